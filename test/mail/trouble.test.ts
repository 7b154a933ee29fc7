/** Relays and devices that fail, go back, or mean ill: mail is late, never lost, and no tick turns without reason. */
import { afterEach, expect, test } from 'vitest'
import type { MailFrameKind } from '../../src/protocol/mailbox-wire.js'
import { learnCuts } from '../../src/store/healing.js'
import type { MailDevice, Meddling } from '../support/mail-world.js'
import { MailBench } from './mail-bench.js'

let bench: MailBench
afterEach(() => bench.stop())

async function begin(seed: number, ...names: string[]) {
  const begun = await MailBench.begin(seed, ...names)
  bench = begun.bench
  return begun.devices
}

/** Everybody is online once more than needed: in the end nothing may wait. */
async function rounds(devices: MailDevice[], count = 3): Promise<void> {
  for (let round = 0; round < count; round++) for (const device of devices) await bench.online(device, 20_000)
}

test('[L5] a relay that is restored from an older copy gets again what it had', async () => {
  const [a, b] = await begin(20, 'a', 'b')
  await bench.create(a, 'one')
  await bench.online(a)
  await bench.online(b)
  await bench.online(a)
  const copy = bench.relay.disk.snapshot()
  await bench.phone(a, 'one', '55')
  await bench.online(a)
  expect((await bench.held(b, a)).count).toBe(1)
  await bench.relay.restore(copy)
  await bench.online(b)
  expect((await b.lines()).join()).not.toContain('55')
  expect(bench.ticks(a, b)).toBe(false)
  await bench.online(a)
  await bench.online(b)
  expect((await b.lines()).join()).toContain('55')
  await rounds([a, b])
  await bench.expectSettled([a, b])
})

test('[L5] a relay that loses power loses nothing that it said was durable', async () => {
  const [a, b] = await begin(21, 'a', 'b')
  await bench.create(a, 'one')
  for (let at = 0; at < 6; at++) {
    const wire = await bench.connectMail(a, bench.relay)
    await bench.phone(a, 'one', `${at}`)
    bench.clock.pass(300)
    for (let step = 0; step < 4 * at; step++) {
      bench.deliverMail(wire, step % 2 === 0)
      await bench.settle(2)
    }
    await bench.relay.crash(at)
  }
  await rounds([a, b])
  await bench.expectSettled([a, b])
})

test('[L4] [L5] a relay that says durable and drops turns no tick, and is offered everything again', async () => {
  const [a, b] = await begin(22, 'a', 'b')
  await bench.create(a, 'one')
  let dropped = 0
  bench.relay.meddle = (frame, toDevice) => {
    if (toDevice || frame.$case !== 'deposit') return undefined
    dropped++
    const { number } = frame.value
    const wire = bench.mailWires.find(({ device }) => device === a)!
    bench.answer(wire, { $case: 'done', value: { number, error: '', sequence: 1 } })
    return []
  }
  await bench.online(a)
  expect(dropped).toBe(1)
  await bench.online(b)
  expect(await b.lines()).toEqual([])
  await bench.online(a, 12_000)
  expect(bench.ticks(a, b)).toBe(false)
  expect(dropped).toBeGreaterThan(1)
  bench.relay.meddle = undefined
  await rounds([a, b])
  expect(await b.lines()).toHaveLength(1)
  expect(bench.ticks(a, b)).toBe(true)
  await bench.expectSettled([a, b])
})

const mails = (change: (of: Mails) => Mails): Meddling => {
  return (frame, toDevice) => {
    if (!toDevice || frame.$case !== 'batch' || frame.value.mails.length === 0) return undefined
    return [{ $case: 'batch', value: { ...frame.value, mails: change(frame.value.mails) } }]
  }
}
type Mails = Extract<MailFrameKind, { $case: 'batch' }>['value']['mails']

test.each<[string, Meddling]>([
  ['withholds', mails(() => [])],
  ['repeats', mails((all) => [...all, ...all])],
  ['reorders', mails((all) => [...all].reverse())],
  ['truncates', mails((all) => all.map((mail) => ({ ...mail, envelope: mail.envelope.subarray(0, 90) })))],
  [
    'flips bits',
    mails((all) =>
      all.map((mail) => ({
        ...mail,
        envelope: mail.envelope.map((byte, at) => (at === 100 ? byte ^ 1 : byte)),
      })),
    ),
  ],
  [
    'gives one envelope for another',
    mails((all) => all.map((mail, at) => ({ ...mail, envelope: all[(at + 1) % all.length]!.envelope }))),
  ],
])('a relay that %s loses nothing once it stops', async (_name, meddle) => {
  const [a, b] = await begin(23, 'a', 'b')
  for (let at = 0; at < 4; at++) {
    await bench.create(a, `case-${at}`)
    await bench.online(a, 3_000)
  }
  bench.relay.meddle = meddle
  await bench.online(b, 12_000)
  bench.relay.meddle = undefined
  await rounds([a, b])
  expect(await b.lines()).toHaveLength(4)
  await bench.expectSettled([a, b])
})

test('a full relay loses nothing at the sender', async () => {
  const [a, b] = await begin(24, 'a', 'b')
  bench.relay.meddle = (frame, toDevice) => {
    if (toDevice || frame.$case !== 'deposit') return undefined
    const wire = bench.mailWires.find(({ device }) => device === a)!
    bench.answer(wire, { $case: 'done', value: { number: frame.value.number, error: 'full', sequence: 0 } })
    return []
  }
  await bench.create(a, 'one')
  const wire = await bench.connectMail(a, bench.relay)
  await bench.pass(3_000)
  expect(wire.session.isFull).toBe(true)
  bench.relay.meddle = undefined
  await bench.pass(62_000, 1_000)
  expect(wire.session.isFull).toBe(false)
  bench.cutMail(wire)
  await bench.online(b)
  expect(await b.lines()).toEqual(await a.lines())
})

test('[L4] a device that is restored from an older copy is served again', async () => {
  const [a, b] = await begin(25, 'a', 'b')
  await bench.create(a, 'one')
  await bench.online(a)
  await bench.online(b)
  const copy = await bench.stopDevice(b)
  await b.boot()
  await bench.phone(a, 'one', '91')
  await bench.online(a)
  await bench.online(b)
  await bench.online(a)
  expect(bench.ticks(a, b)).toBe(true)
  await bench.restart(b, copy)
  expect((await b.lines()).join()).not.toContain('91')
  await rounds([b, a, b])
  expect((await b.lines()).join()).toContain('91')
  await bench.expectSettled([a, b])
})

test('a log that was continued twice is healed by mail alone', async () => {
  const [a, b, c] = await begin(26, 'a', 'b', 'c')
  await bench.create(a, 'one', 'two')
  await bench.online(a)
  await bench.online(b)
  const copy = await bench.stopDevice(a)
  await a.boot()
  await bench.phone(a, 'one', 'first branch')
  await bench.online(a)
  await bench.online(b)
  await bench.restart(a, copy)
  await bench.phone(a, 'two', 'second branch')
  await bench.online(a)
  await rounds([b, c, a], 6)
  const lines = (await c.lines()).join()
  expect(lines).toContain('first branch')
  expect(lines).toContain('second branch')
  await bench.expectSettled([a, b, c])
})

test('a cut of a branch that nobody holds any more is healed by mail alone', async () => {
  const [a, b, c] = await begin(28, 'a', 'b', 'c')
  await bench.create(a, 'one', 'two', 'three')
  await bench.online(a)
  await bench.online(b)
  const log = b.replica.logs.get(a.replica.currentLog!)!
  await bench.phone(b, 'one', 'of b')
  a.collects = false
  await bench.relay.expire()
  await learnCuts(c.replica, [{ log: log.log, seq: 2, check: bench.random.bytes(8) }], [log])
  await rounds([b, c], 4)
  await bench.expectSettled([b, c])
  expect((await c.lines()).join()).toContain('of b')
  expect(c.replica.logs.get(log.log)).toMatchObject({ seq: 1, cut: { seq: 1 } })
})

test('[L1] a device that loses power while it collects is given the rest again', async () => {
  const [a, b] = await begin(27, 'a', 'b')
  for (let at = 0; at < 5; at++) {
    await bench.create(a, `case-${at}`)
    await bench.online(a, 3_000)
    const wire = await bench.connectMail(b, bench.relay)
    for (let step = 0; step < 3 * at; step++) {
      bench.deliverMail(wire, step % 2 === 0)
      await bench.settle(2)
    }
    bench.cutMail(wire)
    void b.mail.stop()
    void b.driver.stop()
    await b.disk.crash(at)
    await b.boot()
  }
  await rounds([a, b])
  expect(await b.lines()).toHaveLength(5)
  await bench.expectSettled([a, b])
})

test('[L9] a relay that says that more waits, and gives nothing, is waited for no longer than a minute', async () => {
  const [a, b] = await begin(29, 'a', 'b')
  await bench.create(a, 'one')
  await bench.online(a)
  // That it didn't even greet is no waiting for mail.
  for (let again = 0; again < 7; again++) {
    bench.relay.meddle = (_frame, toDevice) => (toDevice ? [] : undefined)
    const mute = await bench.connectMail(b, bench.relay)
    await bench.pass(9_000)
    bench.cutMail(mute)
    await bench.quiesce()
  }
  bench.relay.meddle = (frame, toDevice) => (toDevice && frame.$case === 'batch' ? [] : undefined)
  let wire = await bench.connectMail(b, bench.relay)
  await bench.pass(40_000)
  expect(b.mail.isPending).toBe(true)
  // Not even if it begins anew again and again.
  bench.cutMail(wire)
  await bench.quiesce()
  wire = await bench.connectMail(b, bench.relay)
  await bench.pass(15_000)
  expect(b.mail.isPending).toBe(true)
  await bench.pass(10_000)
  expect(b.mail.isPending).toBe(false)
  // What it gives after all is taken in, and then it is waited for again.
  bench.relay.meddle = undefined
  bench.cutMail(wire)
  await bench.quiesce()
  await bench.online(b)
  expect(await b.lines()).toEqual(await a.lines())
  bench.relay.meddle = (frame, toDevice) => (toDevice && frame.$case === 'batch' ? [] : undefined)
  await bench.connectMail(b, bench.relay)
  await bench.pass(15_000)
  expect(b.mail.isPending).toBe(true)
})
