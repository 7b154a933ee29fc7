/** The connection to a relay breaks again and again while whole states are left there. */
import { afterEach, expect, test } from 'vitest'
import { decodeMailFrame } from '../../src/protocol/mailbox-wire.js'
import type { MailDevice } from '../support/mail-world.js'
import { MailBench } from './mail-bench.js'

let bench: MailBench
afterEach(() => bench.stop())

const noise = () =>
  Array.from(bench.random.bytes(150_000), (byte) =>
    String.fromCharCode(0x4e00 + byte * 64 + bench.random.int(0, 63)),
  ).join('')

/** a holds cases of several parts, retains nothing of them, and b, which has nothing of them, is away. */
async function begin(): Promise<[MailDevice, MailDevice]> {
  const begun = await MailBench.begin(93, 'a', 'b')
  bench = begun.bench
  const [a, b] = begun.devices
  await bench.create(a, 'one', 'two', 'three', 'four')
  for (const id of ['one', 'two', 'three', 'four']) await bench.phone(a, id, noise())
  await bench.forget(a)
  return [a, b]
}

/** a is at the relay until so many of its deposits have been answered. */
async function leave(a: MailDevice, count: number): Promise<void> {
  const wire = await bench.connectMail(a, bench.relay)
  let done = 0
  bench.onAnswer = (_relay, _device, bytes) => {
    const frame = decodeMailFrame(bytes)
    if (frame?.$case === 'done' && frame.value.sequence > 0) done++
  }
  for (let at = 0; at < 400 && done < count && wire.open; at++) {
    if (!bench.deliverMail(wire, false) && !bench.deliverMail(wire, true)) bench.clock.pass(300)
    await bench.settle()
    await bench.relay.core.whenQuiet()
    await bench.settle()
  }
  bench.deliverMail(wire, true)
  await bench.settle()
  bench.cutMail(wire)
  await bench.quiesce()
}

test('what was left before it broke does not pile up, and the end of it leaves nothing else', async () => {
  const [a, b] = await begin()
  const counts: number[] = []
  for (let at = 0; at < 6; at++) {
    await leave(a, 3)
    counts.push(bench.relay.rows)
  }
  await bench.online(a)
  expect([...counts, bench.relay.rows]).toEqual([3, 3, 3, 3, 3, 3, 4])
  await bench.online(b)
  await bench.expectSettled([a, b])
})

test('what was left before it broke stays where a case of it has rotted since, unnoticed', async () => {
  const [a, b] = await begin()
  await leave(a, 3)
  const before = [...a.replica.cases.damaged]
  for (const id of ['one', 'two', 'three', 'four']) await bench.rotUnnoticed(a, id, 'p')
  await leave(a, 3)
  expect([before, a.replica.cases.damaged.size, bench.relay.rows]).toEqual([[], 4, 3])
  await bench.online(b)
  expect((await b.lines()).length).toBeGreaterThan(0)
})
