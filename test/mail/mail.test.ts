/** Devices that are never online together: mail, by the shipping machine, office, store and relay. */
import { afterEach, expect, test } from 'vitest'
import { FORWARD_MAIL_MS } from '../../src/protocol/mail-plan.js'
import { MailBench } from './mail-bench.js'

/** Nonce and tag of a stored row. */
const SEAL_BYTES = 24 + 16

let bench: MailBench
afterEach(() => bench.stop())

async function begin(seed: number, ...names: string[]) {
  const begun = await MailBench.begin(seed, ...names)
  bench = begun.bench
  return begun.devices
}

test('what one types reaches the other by mail, in both directions, and nothing stays at the relay', async () => {
  const [a, b] = await begin(7, 'a', 'b')
  await bench.create(a, 'one', 'two')
  await bench.online(a)
  await bench.online(b)
  expect(await b.lines()).toEqual(await a.lines())
  await bench.phone(b, 'one', '123')
  await bench.online(b)
  await bench.online(a)
  expect((await a.lines()).join()).toContain('123')
  await bench.online(b)
  await bench.expectSettled([a, b])
})

test('[L4] the statements that mail carries turn the ticks, and nothing else does', async () => {
  const [a, b] = await begin(8, 'a', 'b')
  await bench.create(a, 'one')
  await bench.online(a)
  expect((await bench.held(b, a)).count).toBe(1)
  expect(bench.ticks(a, b)).toBe(false)
  await bench.online(b)
  expect(bench.ticks(a, b)).toBe(false)
  await bench.online(a)
  expect(bench.ticks(a, b)).toBe(true)
  // And what everybody holds need not be kept for anybody.
  const [log] = [...a.replica.logs.all()]
  expect(log?.retainedFrom).toBe(log?.seq)
})

test('[L6] keystrokes within a moment travel together', async () => {
  const [a, b] = await begin(9, 'a', 'b')
  await bench.create(a, 'one')
  await bench.connectMail(a, bench.relay)
  await bench.pass(3_000)
  const before = await bench.held(b, a)
  for (const letter of 'keystrokes') await bench.phone(a, 'one', letter)
  await bench.pass(1_200)
  const after = await bench.held(b, a)
  expect(after.count).toBe(before.count + 1)
})

test('many small edits while another is away end in few envelopes, and the relay keeps little more', async () => {
  const [a, b] = await begin(10, 'a', 'b')
  await bench.create(a, ...Array.from({ length: 20 }, (_, at) => `case-${at}`))
  await bench.connectMail(a, bench.relay)
  await bench.pass(2_000)
  let most = 0
  for (let at = 0; at < 200; at++) {
    await bench.phone(a, `case-${at % 20}`, `+48 ${at}`)
    await bench.pass(600)
    if (at % 10 === 0) most = Math.max(most, (await bench.held(b, a)).count)
  }
  await bench.pass(3_000)
  const { count, bytes } = await bench.held(b, a)
  expect(most).toBeLessThanOrEqual(26)
  expect(count).toBeLessThanOrEqual(25)
  // The changes as A retains them, without what seals each of its rows.
  const retained = [...a.disk.snapshot()].filter(([key]) => key[0] === 'l')
  const payload = retained.reduce((sum, [, row]) => sum + row.length - SEAL_BYTES, 0)
  expect(retained.length).toBeGreaterThan(200)
  const rows = [...bench.relay.disk.snapshot().values()].reduce((sum, row) => sum + row.length, 0)
  expect(rows).toBeGreaterThan(bytes)
  expect(rows).toBeLessThan(1.5 * payload)
  await bench.online(b)
  expect(await b.lines()).toEqual(await a.lines())
  await bench.pass(3_000)
  await bench.expectSettled([a, b])
})

test('letters of one sender that wait behind each other are worked in together', async () => {
  const [a, b, c] = await begin(30, 'a', 'b', 'c')
  await bench.create(a, 'one', 'two')
  await bench.online(a)
  await bench.online(c)
  await bench.online(b)
  for (let at = 0; at < 4; at++) {
    await bench.phone(a, 'one', `+48 ${at}`)
    await bench.phone(a, 'two', `+49 ${at}`)
    await bench.online(a)
  }
  await bench.phone(c, 'one', '123')
  await bench.online(c)
  expect((await bench.held(b, a)).count).toBeGreaterThan(3)
  const written: string[][] = []
  b.replica.events.cases = (ids) => written.push(ids.sort())
  await bench.online(b)
  expect(written[0]).toEqual(['one', 'two'])
  expect(written.length).toBeLessThanOrEqual(2)
  expect(await b.lines()).toEqual(await c.lines())
})

test('one body waits for several recipients', async () => {
  const [a, b, c] = await begin(11, 'a', 'b', 'c')
  await bench.create(a, 'one')
  await bench.online(a)
  const [forB, forC] = [await bench.held(b, a), await bench.held(c, a)]
  expect([forB.count, forC.count]).toEqual([1, 1])
  expect(forB.total).toBe(forB.bytes)
  expect(forC.bytes).toBe(forB.bytes)
  await bench.online(b)
  expect(await bench.held(c, a)).toEqual({ ...forC, total: forC.bytes })
  await bench.online(c)
  expect(await c.lines()).toEqual(await a.lines())
  await bench.online(a)
  await bench.expectSettled([a, b, c])
})

test('[P2] a device without mailbox edits next to A: B, far away, gets it from A at once', async () => {
  const [a, b, c] = await begin(12, 'a', 'b', 'c')
  c.collects = false
  await bench.online(a)
  await bench.online(b)
  bench.connect(a, c)
  await bench.quiesce()
  await bench.create(c, 'from-c')
  await bench.connectMail(a, bench.relay)
  await bench.pass(3_000)
  expect((await bench.held(b, a)).count).toBe(1)
  expect((await bench.held(c, a)).count).toBe(0)
  await bench.online(b)
  expect((await b.lines()).join()).toContain('from-c')
  expect(await b.lines()).toEqual(await c.lines())
})

test('[P2] a device that holds what its author did not leave gives it on, after the author had its time', async () => {
  const [a, b, c] = await begin(13, 'a', 'b', 'c')
  const wire = bench.connect(a, b)
  await bench.quiesce()
  await bench.create(a, 'one')
  await bench.quiesce()
  bench.cut(wire)
  await bench.connectMail(b, bench.relay)
  await bench.pass(FORWARD_MAIL_MS - 2_000)
  expect((await bench.held(c, b)).count).toBe(0)
  await bench.pass(5_000)
  expect((await bench.held(c, b)).count).toBe(1)
  await bench.online(c)
  expect((await c.lines()).join()).toContain('one')
})

test('[P4] two that hold the same leave it once', async () => {
  const [a, b, c] = await begin(14, 'a', 'b', 'c')
  const wire = bench.connect(a, b)
  await bench.quiesce()
  await bench.create(a, 'one')
  await bench.quiesce()
  bench.cut(wire)
  await bench.online(a)
  await bench.online(b, FORWARD_MAIL_MS + 9_000)
  expect((await bench.held(c, a)).count).toBe(1)
})

test('over two relays everything arrives, whichever a device reaches, and neither keeps anything', async () => {
  const [a, b] = await begin(15, 'a', 'b')
  const second = await bench.addRelay()
  const both = [bench.relay, second]
  await bench.create(a, 'one')
  await bench.online(a, 6_000, both)
  await bench.online(b, 6_000, [second])
  expect((await b.lines()).join()).toContain('one')
  await bench.phone(b, 'one', '77')
  await bench.online(b, 6_000, [bench.relay])
  await bench.online(a, 6_000, both)
  expect((await a.lines()).join()).toContain('77')
  await bench.online(b, 6_000, both)
  await bench.online(a, 6_000, both)
  await bench.expectSettled([a, b], both)
})

test('switching the mailbox off drops its mail, and the last one takes everything along', async () => {
  const [a, b] = await begin(16, 'a', 'b')
  await bench.create(a, 'one')
  await bench.online(a)
  await bench.online(b, 300)
  await bench.phone(a, 'one', '1')
  await bench.online(a)
  expect((await bench.held(b, a)).count).toBe(1)
  const leave = async (device: typeof a) => {
    device.collects = false
    const wire = await bench.connectMail(device, bench.relay)
    await bench.quiesce()
    const left = device.mail.leave(wire.session)
    await bench.quiesce()
    bench.cutMail(wire)
    await bench.quiesce()
    return left
  }
  expect(await leave(b)).toBe(true)
  expect((await bench.held(b, a)).count).toBe(0)
  await bench.phone(a, 'one', '2')
  await bench.online(a)
  expect((await bench.held(b, a)).count).toBe(0)
  const practice = Buffer.from(bench.practice).toString('latin1')
  const rows = () => [...bench.relay.disk.snapshot().keys()].filter((key) => key.includes(practice))
  expect(rows()).not.toEqual([])
  await leave(a)
  expect(rows()).toEqual([])
})
