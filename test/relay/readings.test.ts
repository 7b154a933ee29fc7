/** A roster is read for one device while a write for another changes it: what was read before counts for nobody. */
import { expect, it } from 'vitest'
import { encodeMailFrame } from '../../src/protocol/mailbox-wire.js'
import { seeded } from '../support/random.js'
import { makePractice, memoryMarks, memoryRelayDb, openTestStore, TestRelay } from '../support/relay.js'

const tick = () => new Promise((resolve) => setImmediate(resolve))

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (await isSo()) return
    await tick()
  }
  throw new Error('it did not come')
}

/** A practice at a relay that was just started, whose next reading of a roster is slow. */
async function setUp(seed: number, isKnown: boolean) {
  const random = seeded(seed)
  const practice = makePractice(random, 3)
  const [db, marks] = [memoryRelayDb(), memoryMarks()]
  if (isKnown) await new TestRelay(await openTestStore(random, { db, marks })).member(practice, 0)
  const store = await openTestStore(random, { db, marks })
  const relay = new TestRelay(store, { limits: { expiryMs: 100_000 } })
  const read = store.roster.bind(store)
  /** The next reading has its result, and brings it when `goOn` is called. */
  const holdNext = () => {
    let goOn = () => {}
    const rest = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const reading = { isDone: false, goOn }
    store.roster = async (id) => {
      store.roster = read
      const held = await read(id)
      reading.isDone = true
      await rest
      return held
    }
    return reading
  }
  const isHeld = async () => Array.isArray(await read(practice.roster.practiceId))
  return { practice, relay, holdNext, isHeld }
}

it('[B8] a device that registers a practice is let in though another one asked for it just before', async () => {
  const { practice, relay, holdNext, isHeld } = await setUp(41, false)
  const [a, b] = [relay.connect(practice.devices[0]!), relay.connect(practice.devices[1]!)]
  await a.greet(practice.roster)
  const reading = holdNext()
  const greeting = b.greet(practice.roster)
  await until(() => reading.isDone)
  const proving = a.say('chain', { entries: [...practice.roster.entries] })
  await until(isHeld)
  for (let i = 0; i < 10; i++) await tick()
  reading.goOn()
  await Promise.all([greeting, proving])
  expect(a.seen.map(({ $case }) => $case)).toEqual(['welcome', 'head', 'notices'])
  expect(b.seen.map(({ $case }) => $case)).toEqual(['welcome', 'notices'])
})

it('[B9] a practice that is forgotten while its roster is read is not known any more', async () => {
  const { practice, relay, holdNext, isHeld } = await setUp(43, true)
  relay.now += 400 * 24 * 3_600_000
  const reading = holdNext()
  const b = relay.connect(practice.devices[1]!)
  const greeting = b.greet(practice.roster)
  await until(() => reading.isDone)
  relay.core.tick()
  await until(async () => !(await isHeld()))
  for (let i = 0; i < 10; i++) await tick()
  reading.goOn()
  await greeting
  expect(b.seen).toMatchObject([{ $case: 'welcome', value: { rosterHead: new Uint8Array(0) } }])
  await b.raw(encodeMailFrame({ $case: 'chain', value: { entries: [...practice.roster.entries] } }))
  expect(b.seen.map(({ $case }) => $case)).toEqual(['welcome', 'head', 'notices'])
  expect(await isHeld()).toBe(true)
})
