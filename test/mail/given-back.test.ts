/** What an author has left itself is not left back for it, as long as it says that it has it. */
import { afterEach, expect, test } from 'vitest'
import { FORWARD_MAIL_MS } from '../../src/protocol/mail-plan.js'
import { decodeMailFrame } from '../../src/protocol/mailbox-wire.js'
import { MailBench } from './mail-bench.js'

let bench: MailBench
afterEach(() => bench.stop())

test('[P2] who collects an author’s changes leaves them back only where it does not say that it has them', async () => {
  const begun = await MailBench.begin(92, 'a', 'b', 'c')
  bench = begun.bench
  const [a, b, c] = begun.devices
  await bench.create(a, 'one')
  await bench.meetAll([a, b, c])
  const deposits = { a: 0, b: 0, c: 0 }
  bench.onMail = (device, bytes) => {
    if (decodeMailFrame(bytes)?.$case === 'deposit') deposits[device.name as 'a']++
  }
  const rows = await a.disk.snapshot()
  for (const device of [a, b, c]) await bench.connectMail(device, bench.relay)
  await bench.pass(3_000)
  for (let at = 0; at < 5; at++) {
    await bench.phone(a, 'one', `${at}`)
    await bench.pass(700)
  }
  await bench.pass(2 * FORWARD_MAIL_MS)
  expect(deposits).toEqual({ a: 5, b: 0, c: 0 })
  await bench.expectSettled([a, b, c])
  // Put back to before all that, it is given it again.
  await bench.restart(a, rows)
  await bench.online(a, 3_000)
  await bench.pass(2 * FORWARD_MAIL_MS)
  await bench.online(a)
  await bench.expectSettled([a, b, c])
  expect((await a.lines()).join()).toContain('"phone":"4"')
})
