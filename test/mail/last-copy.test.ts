/** What has rotted at the device that left it may lie nowhere else than at the relay: it stays until it is collected. */
import { afterEach, expect, test } from 'vitest'
import { FOLD_AT } from '../../src/protocol/mail-fold.js'
import { toKey } from '../support/light-level.js'
import { MailBench } from './mail-bench.js'

let bench: MailBench
afterEach(() => bench.stop())

test('[H4] folding takes nothing along that its giver does not hold any more', async () => {
  const begun = await MailBench.begin(91, 'a', 'b')
  bench = begun.bench
  const [a, b] = begun.devices
  await bench.create(a, 'one', 'two')
  await bench.meet(a, b)
  const wire = await bench.connectMail(a, bench.relay)
  await bench.phone(a, 'one', 'a sentence')
  await bench.pass(3_000)
  for (let at = 0; at < FOLD_AT - 4; at++) {
    await bench.phone(a, 'two', `${at}`)
    await bench.pass(600)
  }
  bench.cutMail(wire)
  const key = toKey(a.replica.keyOf('one'))
  const log = a.replica.currentLog!
  const rows = await bench.stopDevice(a)
  // Rows of the case are gone, and so is what was retained.
  for (const name of [...rows.keys()])
    if (('cp'.includes(name[0]!) && name.includes(key)) || name[0] === 'l') rows.delete(name)
  await a.disk.restore(rows)
  a.isInDoubt = true
  await a.boot()
  expect(log).toBeDefined()
  const again = await bench.connectMail(a, bench.relay)
  for (let at = 0; at < FOLD_AT + 4; at++) {
    await bench.phone(a, 'two', `again ${at}`)
    await bench.pass(600)
  }
  bench.cutMail(again)
  await bench.online(b)
  expect((await b.lines()).join()).toContain('a sentence')
})
