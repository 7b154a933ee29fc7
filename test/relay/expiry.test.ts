/** [B9] A practice that comes again while the relay is still busy with what else expires. */
import { expect, it } from 'vitest'
import { EXPIRY_INTERVAL_MS } from '../../relay/limits.js'
import { MAILBOX_VERSION, OLDEST_MAILBOX_VERSION } from '../../src/protocol/mailbox-limits.js'
import { encodeMailFrame } from '../../src/protocol/mailbox-wire.js'
import { seeded } from '../support/random.js'
import { makePractice, memoryMarks, memoryRelayDb, openTestStore, TestRelay } from '../support/relay.js'

const tick = () => new Promise((resolve) => setImmediate(resolve))

it('a practice that is brought again while others still expire stays what it is', async () => {
  const random = seeded(17)
  const practice = makePractice(random, 2)
  const practiceId = practice.roster.practiceId
  const store = await openTestStore(random)
  const relay = new TestRelay(store, { limits: { expiryMs: 100_000 } })
  const a = await relay.member(practice, 0)
  await a.deposit({ id: random.bytes(16), recipients: [practice.devices[1]!.ed] })
  await a.say('leave', { number: 8 })
  a.hangUp()
  // Its hub is not remembered any more, as after a start or after 256 other practices.
  ;(relay.core as never as { hubs: { hubs: Map<string, unknown> } }).hubs.hubs.clear()
  // The portions behind the one in which it goes take their time.
  let goOn = () => {}
  const rest = new Promise<void>((resolve) => {
    goOn = resolve
  })
  const expire = store.expire.bind(store)
  store.expire = async (...all: [never]) => {
    const expired = await expire(...all)
    await rest
    return expired
  }
  relay.now += 150_000
  relay.core.tick()
  for (let i = 0; i < 50; i++) await tick()
  expect(await store.roster(practiceId)).toBeUndefined()
  const b = relay.connect(practice.devices[1]!)
  const send = (kind: string, value: unknown) =>
    void (b as never as { connection: { receive(x: Uint8Array): void } }).connection.receive(
      encodeMailFrame({ $case: kind, value } as never),
    )
  send('greet', {
    oldest: OLDEST_MAILBOX_VERSION,
    newest: MAILBOX_VERSION,
    practice: practiceId,
    rosterHead: practice.roster.head,
  })
  send('chain', { entries: [...practice.roster.entries] })
  for (let i = 0; i < 200 && b.seen.length < 3; i++) await tick()
  expect(b.seen.map((each) => each.$case)).toEqual(['welcome', 'head', 'notices'])
  goOn()
  await relay.core.whenQuiet()
  expect(await store.roster(practiceId)).toBeDefined()
  const said = b.seen.map((each) => each.$case)
  const again = await relay.member(practice, 1)
  const mayReserve = relay.core.mayReserve(practice.devices[1]!.ed)
  again.hangUp()
  expect({ said, mayReserve }).toEqual({ said: ['welcome', 'head', 'notices'], mayReserve: true })
})

it('what has gone in one portion is told, and a practice that went is forgotten, though the next one fails', async () => {
  const random = seeded(18)
  const [practice, big] = [makePractice(random, 2), makePractice(random, 2)]
  const db = memoryRelayDb()
  const disk = { failAt: Number.POSITIVE_INFINITY }
  const batch = db.batch.bind(db) as (...all: unknown[]) => Promise<void>
  ;(db as never as { batch: unknown }).batch = (...all: unknown[]) =>
    --disk.failAt === 0 ? Promise.reject(new Error('the disk says no')) : batch(...all)
  const store = await openTestStore(random, { db, reopen: async (each) => each })
  const relay = new TestRelay(store, { limits: { expiryMs: 100_000 } })
  const a = await relay.member(practice, 0)
  await a.deposit({ id: random.bytes(16), recipients: [practice.devices[1]!.ed] })
  await a.say('leave', { number: 8 })
  a.hangUp()
  relay.now += 10
  const other = await relay.member(big, 0)
  await other.collect()
  for (let i = 0; i < 600; i++)
    await other.deposit({ id: random.bytes(16), recipients: [big.devices[1]!.ed] })
  other.hangUp()
  relay.now += 150_000
  // The age is kept first, then the first portion; the second one fails, once.
  disk.failAt = 3
  relay.core.tick()
  await relay.core.whenQuiet()
  expect(relay.lines).toEqual(['Dropped 500 mails that nobody had collected.'])
  expect(await store.roster(practice.roster.practiceId)).toBeUndefined()
  // The rest goes an hour later.
  relay.now += EXPIRY_INTERVAL_MS
  relay.core.tick()
  await relay.core.whenQuiet()
  expect(relay.lines.slice(1)).toEqual(['Dropped 101 mails that nobody had collected.'])
  // The practice takes this relay up again.
  const b = await relay.member(practice, 1)
  await b.collect()
  const done = await b.deposit({ id: random.bytes(16), recipients: [practice.devices[0]!.ed] })
  expect(done.error).toBe('')
})

it('[B9] a practice whose devices are gone for good is forgotten, one that is visited or connected is not', async () => {
  const random = seeded(19)
  const [gone, here, comes] = [makePractice(random, 1), makePractice(random, 1), makePractice(random, 1)]
  const day = 24 * 3_600_000
  const db = memoryRelayDb()
  const marks = memoryMarks()
  const limits = { limits: { expiryMs: 180 * day } }
  let relay = new TestRelay(await openTestStore(random, { db, marks }), limits)
  const first = await relay.member(gone, 0)
  await first.ack([], Uint8Array.of(1))
  first.hangUp()
  await relay.member(here, 0)
  const isHeld = async ({ roster }: ReturnType<typeof makePractice>) =>
    (await relay.store.roster(roster.practiceId)) !== undefined
  const days = async (count: number) => {
    for (let at = 0; at < count; at += 10) {
      const device = await relay.member(comes, 0)
      device.hangUp()
      relay.now += 10 * day
      relay.core.tick()
      await relay.core.whenQuiet()
    }
  }
  await days(100)
  // What was counted so far is not forgotten with a stop, though nothing waits.
  await relay.core.stop()
  relay = new TestRelay(await openTestStore(random, { db, marks }), limits)
  await relay.member(here, 0)
  expect(await isHeld(gone)).toBe(true)
  await days(100)
  expect([await isHeld(gone), await isHeld(here), await isHeld(comes)]).toEqual([false, true, true])
  expect(relay.core.mayReserve(gone.devices[0]!.ed)).toBe(false)
  // It comes after all.
  await relay.member(gone, 0)
  expect(await isHeld(gone)).toBe(true)
})
