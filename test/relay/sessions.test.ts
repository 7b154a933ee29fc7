/** Several sessions of one practice, or of one device, whose messages cross each other. */
import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { MAX_QUIET_PRACTICES } from '../../relay/limits.js'
import { enrol, makeDevice } from '../protocol/roster-helpers.js'
import { seeded } from '../support/random.js'
import { makePractice, openTestStore, TestRelay } from '../support/relay.js'

it('[B8] who joins while its practice is forgotten as quiet hears of the others, and they of it', async () => {
  const random = seeded(80)
  const bytes = (length: number) => random.bytes(length)
  const practice = makePractice(random, 1)
  const store = await openTestStore(random)
  const work: (() => Promise<void>)[] = []
  const roster = store.roster.bind(store)
  store.roster = async (id) => {
    const entries = await roster(id)
    await work.shift()?.()
    return entries
  }
  const relay = new TestRelay(store)
  const registered = async (at: number) => {
    const other = makePractice(random, 1)
    const link = relay.connect(other.devices[0]!, `192.0.2.${at}`)
    // The relay is busy with another one meanwhile: its answers are waited for one by one.
    void link.greet(other.roster)
    void link.say('chain', { entries: [...other.roster.entries] })
    while (!link.seen.some(({ $case }) => $case === 'notices')) await setImmediate()
    link.hangUp()
    relay.now += 1_000
  }
  ;(await relay.member(practice, 0)).hangUp()
  for (let at = 1; at < MAX_QUIET_PRACTICES; at++) await registered(at)
  const device = makeDevice(bytes, 'New')
  const grown = enrol(bytes, practice.roster, practice.devices[0]!, device)
  const b = relay.connect(device)
  await b.greet(grown)
  // Read once while it is compared, and once more when it has been stored.
  work.push(
    async () => {},
    async () => {
      for (let at = 0; at < 2; at++) await registered(at)
    },
  )
  await b.say('chain', { entries: [...grown.entries] })
  const a = await relay.member({ roster: grown, devices: practice.devices }, 0)
  await a.collect()
  a.seen.length = 0
  await b.deposit({ id: random.bytes(16), recipients: [practice.devices[0]!.ed] })
  expect(a.seen.map(({ $case }) => $case)).toEqual(['batch'])
})

it('[B9] a session from before does not make a device that has left collect again', async () => {
  const random = seeded(81)
  const practice = makePractice(random, 2)
  const relay = new TestRelay(await openTestStore(random))
  // The device's network has changed since, and the relay hasn't noticed.
  const before = await relay.member(practice, 0)
  await before.collect()
  const b = await relay.member(practice, 1)
  await b.collect()
  const a = await relay.member(practice, 0)
  await a.say('leave', { number: 1 })
  expect([before.isClosed, a.isClosed]).toEqual([true, false])
  await b.deposit({ id: random.bytes(16), recipients: [practice.devices[0]!.ed] })
  await b.say('leave', { number: 2 })
  expect(relay.store.totals()).toMatchObject({ practices: 1, rows: 1 })
  await relay.store.expire(relay.store.age + 1_000_000)
  expect(relay.store.totals()).toEqual({ practices: 0, rows: 0, bytes: 0 })
})

it('[B8] a roster whose write seemed to fail, and is there, reaches everybody when it is shown again', async () => {
  const random = seeded(82)
  const bytes = (length: number) => random.bytes(length)
  const practice = makePractice(random, 2)
  const store = await openTestStore(random)
  const adopt = store.adopt.bind(store)
  const relay = new TestRelay(store)
  const [a, b] = [await relay.member(practice, 0), await relay.member(practice, 1)]
  const device = makeDevice(bytes, 'New')
  const grown = enrol(bytes, practice.roster, practice.devices[0]!, device)
  store.adopt = async (...given) => {
    await adopt(...given)
    return 'failed'
  }
  await a.say('chain', { entries: [...grown.entries] })
  expect(a.last('refuse').code).toBe('failed')
  store.adopt = adopt
  const again = relay.connect(practice.devices[0]!)
  await again.greet(grown)
  await again.say('chain', { entries: [...grown.entries] })
  expect(again.last('head').head).toEqual(grown.head)
  expect(b.last('chain').entries).toEqual([...grown.entries])
  expect(relay.core.mayReserve(device.ed)).toBe(true)
})
