/** Mail that goes round and round: the same deposit without end, a look that is taken again and again, words that answer words. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { cutLog } from '../../src/store/healing.js'
import { StatesWriter } from '../../src/store/mail-out.js'
import { create, MailBench, phone } from '../support/mail-bench.js'
import { hexOf, type MailDevice, type SimRelay } from '../support/mail-world.js'

let world: MailBench
let relay: SimRelay
let a: MailDevice
let b: MailDevice
beforeEach(async () => {
  world = new MailBench(11)
  relay = await world.addRelay()
  a = await world.add('a')
  b = await world.add('b')
})
afterEach(async () => {
  vi.restoreAllMocks()
  await world.stop()
})

const noise = (length: number) => Buffer.from(world.random.bytes(length)).toString('base64')

test('whole states that would take more room than the changes are weighed once, not for ever', async () => {
  for (let at = 0; at < 160; at++) await create(a, [`case-${at}`], noise(30_000))
  const open = StatesWriter.open.bind(StatesWriter)
  const spy = vi.spyOn(StatesWriter, 'open').mockImplementation((...args) => {
    if (spy.mock.calls.length > 10) throw new Error('weighed again and again')
    return open(...args)
  })
  await world.online(relay, [a], 8_000)
  expect(a.failures).toEqual([])
  expect(spy.mock.calls.length).toBeLessThanOrEqual(2)
  await world.online(relay, [b], 8_000)
  expect((await b.lines()).length).toBe(160)
}, 60_000)

test('small mails of a log that was cut meanwhile are folded once', async () => {
  const c = await world.add('c')
  await create(a, ['one'])
  for (let at = 0; at < 30; at++) {
    await phone(a, 'one', `${at}`)
    const wire = await world.connectMail(a, relay)
    await world.pass(900)
    world.cutMail(wire)
    if (at === 22) {
      // What follows is lost to a cut at a third device's word, with everything waiting for the other two.
      const log = a.replica.liveLog!
      const check = (await a.replica.logs.checkAt(log, 5))!
      await cutLog(a.replica, log, 5, check)
    }
  }
  world.deposits.length = 0
  await world.online(relay, [a], 120_000, 1_000)
  expect(world.deposits.length).toBeLessThanOrEqual(8)
  await world.online(relay, [b], 8_000)
  await world.online(relay, [c], 8_000)
  expect(await b.lines()).toEqual(await a.lines())
  expect(await c.lines()).toEqual(await a.lines())
}, 60_000)

test('what a recipient can never use is offered more and more seldom', async () => {
  await create(a, ['one'])
  const admitEach = b.mail.office.admitEach.bind(b.mail.office)
  vi.spyOn(b.mail.office, 'admitEach').mockImplementation(async (envelopes) => {
    const kinds = envelopes.map((envelope) => b.mail.office.open(envelope)?.body.$case)
    return kinds.every((kind) => kind === 'word')
      ? admitEach(envelopes)
      : kinds.map(() => ({ kind: 'useless' }))
  })
  await world.online(relay, [a, b], 300_000, 500)
  expect(world.deposits.length).toBeGreaterThan(3)
  expect(world.deposits.length).toBeLessThan(40)
}, 60_000)

test('a case that is damaged here keeps no other device waiting', async () => {
  const c = await world.add('c')
  await create(a, ['one', 'two'])
  world.connect(a, c)
  await world.quiesce()
  await world.pass(3_000)
  // b needs whole states, and these are not to be had while a case is damaged; c needs a change.
  await a.driver.prune()
  for (const log of a.replica.logs.all()) a.replica.logs.set({ ...log, retainedFrom: log.seq })
  for (const wire of [...world.wires]) world.cut(wire)
  const key = a.replica.keyOf('two')
  a.replica.cases.noteDamaged(key)
  await phone(a, 'one', '123')
  await world.online(relay, [a], 30_000)
  await world.online(relay, [c], 6_000)
  expect((await c.lines()).join()).toContain('123')
  expect(hexOf(b)).not.toBe(hexOf(c))
})
