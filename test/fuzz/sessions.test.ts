/** Members, strangers and relays that mean ill, in whole conversations: with a device's driver, and with a relay. */
import { expect, test } from 'vitest'
import { createUpdate } from '../../src/cases/create.js'
import { setFields } from '../../src/cases/edit.js'
import { nodeNatives } from '../../src/node/natives.js'
import { toHex } from '../../src/protocol/bytes.js'
import { encodeMailFrame, encodeMeetFrame } from '../../src/protocol/mailbox-wire.js'
import { encodeFrame } from '../../src/protocol/wire.js'
import { makeKeys } from '../support/logs.js'
import { create, MailBench, phone } from '../support/mail-bench.js'
import { type Random, seeded } from '../support/random.js'
import { makePractice, openTestStore, TestRelay } from '../support/relay.js'
import { type SimDevice, World } from '../support/world.js'
import { expectBoth, fuzz } from './fuzz.js'
import { MESSAGES, mutated } from './mutate.js'
import { corpusOf, readSchema, valuesOf } from './schema.js'

/** A conversation is a few hundred times as much work as a message. */
const SHARE = 1 / 100

type Kind = { $case: string }
const kindsOf = (schema: string, message: string) =>
  valuesOf(readSchema(schema), message).map((frame) => (frame as { kind: Kind }).kind)

const case1 = (id: string) => createUpdate({ id, patient: { lastName: id } }, nodeNatives.sha256)

/** What two honest devices say to each other over a while: greetings, changes, whole states, words, a fork. */
async function honestTalk(world: World): Promise<Uint8Array[]> {
  const said: Uint8Array[] = []
  world.onSend = (_from, bytes) => said.push(bytes)
  const [a, b] = [await world.add('a'), await world.add('b')]
  for (const id of ['one', 'two', 'three'])
    await a.replica.append([{ caseId: id, kind: 1, update: case1(id) }])
  const meet = async (one: SimDevice, two: SimDevice) => {
    world.connect(one, two)
    await world.quiesce()
    world.clock.pass(6_000)
    await world.quiesce()
  }
  await meet(a, b)
  for (let at = 0; at < 4; at++) {
    await a.edit('one', (doc) => setFields(doc, [['patient.phone', `${at}`]]))
    await b.edit('one', (doc) => setFields(doc, [['patient.email', `${at}`]]))
    await world.quiesce()
  }
  world.onSend = undefined
  for (const wire of [...world.wires]) world.cut(wire)
  return said
}

const messages = corpusOf(kindsOf('protocol/sync.proto', 'Frame'), (kind) => encodeFrame(kind as never), 51)

/** A few messages: those of an honest conversation, mutated ones of it, and any others. */
function talk(random: Random, honest: readonly Uint8Array[], others: readonly Uint8Array[]): Uint8Array[] {
  const begin = random() < 0.8 ? [honest[0]!] : []
  const rest = Array.from({ length: random.int(1, 8) }, () => {
    const way = random()
    if (way < 0.15) return random.pick(honest)
    return mutated(random, way < 0.75 ? honest : others, MESSAGES)
  })
  return [...begin, ...rest]
}

const showTalk = (said: readonly Uint8Array[]) =>
  said.map((bytes) => Buffer.from(bytes).toString('hex')).join(' ')

test('a member that means ill, to a device', async () => {
  let world = new World(61)
  let honest = await honestTalk(world)
  let count = 0
  const tally = await fuzz({
    name: 'device',
    share: SHARE,
    make: (random) => talk(random, honest, messages),
    show: showTalk,
    run: async (said) => {
      // What came of earlier conversations stays for a while, as it does at a device.
      if (count++ % 200 === 199) {
        await world.stop()
        world = new World(61)
        honest = await honestTalk(world)
      }
      const victim = world.devices[0]!
      const keys = makeKeys(seeded(count % 3))
      world.members.set(toHex(keys.ed), keys.ed)
      let isClosed = false
      const close = () => {
        isClosed = true
      }
      const session = victim.driver.connect({ publicKey: keys.ed, send() {}, close })
      for (const bytes of said) {
        await victim.driver.receive(session, bytes)
        await world.settle(1)
      }
      await session.work
      await world.settle(2)
      world.clock.pass(1_000)
      victim.driver.disconnect(session, 'lost')
      const [failure] = victim.failures.splice(0)
      if (failure) throw failure
      return isClosed ? 'error' : 'value'
    },
  })
  expectBoth(tally, 0)
  // It still serves others.
  const [a] = world.devices
  const fresh = await world.add('fresh')
  world.connect(a!, fresh)
  await world.quiesce()
  world.clock.pass(6_000)
  await world.quiesce()
  expect((await fresh.lines()).length).toBeGreaterThanOrEqual(3)
  await world.stop()
})

test('members and strangers that mean ill, to a relay', async () => {
  const kinds = kindsOf('protocol/mailbox.proto', 'MailFrame')
  const others = corpusOf(kinds, (kind) => encodeMailFrame(kind as never), 52)
  const questions = corpusOf(
    kindsOf('protocol/mailbox.proto', 'MeetFrame'),
    (kind) => encodeMeetFrame(kind as never),
    53,
  )
  const random = seeded(62)
  const practice = makePractice(random, 3)
  const store = await openTestStore(random)
  const relay = new TestRelay(store, {})
  const greet = encodeMailFrame({
    $case: 'greet',
    value: { oldest: 1, newest: 1, practice: practice.roster.practiceId, rosterHead: practice.roster.head },
  })
  const chain = encodeMailFrame({ $case: 'chain', value: { entries: [...practice.roster.entries] } })
  await relay.member(practice, 0)
  const deposit = (number: number) => ({
    ...{ number, id: random.bytes(16), replaces: [], envelope: random.bytes(600) },
    recipients: practice.devices.slice(1).map(({ ed }) => ed),
  })
  const honest = [
    greet,
    chain,
    ...[1, 2, 3].map((number) => encodeMailFrame({ $case: 'deposit', value: deposit(number) })),
    encodeMailFrame({ $case: 'collect', value: { after: 0 } }),
    encodeMailFrame({
      $case: 'ack',
      value: { number: 4, ids: [random.bytes(16)], notice: random.bytes(90) },
    }),
    encodeMailFrame({ $case: 'ask', value: { number: 5 } }),
    encodeMailFrame({ $case: 'window', value: { open: true } }),
  ]
  const tally = await fuzz({
    name: 'relay',
    share: SHARE,
    make: (each) => ({
      device: random.pick([0, 1, 2, 3]),
      said: talk(each, honest, others),
      question: mutated(each, questions, MESSAGES),
    }),
    show: ({ said }) => showTalk(said),
    run: async ({ device, said, question }) => {
      const keys = practice.devices[device] ?? { ed: nodeNatives.sha256(greet) }
      const link = relay.connect(keys)
      for (const bytes of said) await link.raw(bytes)
      relay.core.meet({ address: '192.0.2.1' }, question)
      relay.now += 1_000
      relay.core.tick()
      link.hangUp()
      const [line] = relay.lines.splice(0).filter((each) => each.startsWith('Something unexpected'))
      if (line) throw new Error(line)
      return link.seen.some(({ $case }) => $case === 'refuse') ? 'error' : 'value'
    },
  })
  expectBoth(tally, 0)
  expect((await relay.member(practice, 1)).isClosed).toBe(false)
})

test('a relay that means ill, to a device', async () => {
  const world = new MailBench(63)
  const relay = await world.addRelay()
  const [a, b] = [await world.add('a'), await world.add('b')]
  await create(a, ['one', 'two'])
  const honest: Uint8Array[] = []
  relay.meddle = (frame, toDevice) => {
    if (toDevice) honest.push(encodeMailFrame(frame))
    return undefined
  }
  await world.online(relay, [a])
  await world.online(relay, [b])
  await phone(b, 'one', '1')
  await world.online(relay, [b])
  await world.online(relay, [a])
  relay.meddle = undefined
  const kinds = kindsOf('protocol/mailbox.proto', 'MailFrame')
  const others = corpusOf(kinds, (kind) => encodeMailFrame(kind as never), 54)
  const tally = await fuzz({
    name: 'hostile relay',
    share: SHARE,
    make: (random) => talk(random, honest, others),
    show: showTalk,
    run: async (said) => {
      let isClosed = false
      const link = {
        relay: relay.ed,
        send() {},
        close() {
          isClosed = true
        },
      }
      const session = await a.mail.connect(link)
      for (const bytes of said) {
        void a.mail.receive(session, bytes)
        await world.settle(1)
      }
      world.clock.pass(1_000)
      await session.work
      await world.settle(1)
      a.mail.disconnect(session, 'lost')
      const [failure] = a.failures.splice(0)
      if (failure) throw failure
      return isClosed ? 'error' : 'value'
    },
  })
  expectBoth(tally, 0)
  await world.online(relay, [a])
  expect(await a.lines()).toEqual(await b.lines())
  await world.stop()
})
