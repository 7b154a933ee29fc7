/** The relay's rules by their ids: the shipping sessions over the shipping store, message by message. */
import { describe, expect, test } from 'vitest'
import { EXPIRY_INTERVAL_MS } from '../../relay/limits.js'
import {
  GREET_TIMEOUT_MS,
  MAX_ENVELOPE_BYTES,
  MAX_NOTICE_BYTES,
  SILENCE_TIMEOUT_MS,
} from '../../src/protocol/mailbox-limits.js'
import { decodeMeetFrame, encodeMailFrame, encodeMeetFrame } from '../../src/protocol/mailbox-wire.js'
import { practiceCode } from '../../src/protocol/practice-code.js'
import type { Roster } from '../../src/protocol/roster.js'
import { removeDevices } from '../../src/protocol/roster-write.js'
import { enrol, makeDevice, must, natives, type TestDevice, writing } from '../protocol/roster-helpers.js'
import { type Random, seeded } from '../support/random.js'
import {
  makePractice,
  memoryMarks,
  memoryRelayDb,
  openTestStore,
  type TestLink,
  TestRelay,
} from '../support/relay.js'

async function setUp(seed: number, count = 3, options: ConstructorParameters<typeof TestRelay>[1] = {}) {
  const random = seeded(seed)
  const practice = makePractice(random, count)
  const relay = new TestRelay(await openTestStore(random), options)
  const bytes = (length: number) => random.bytes(length)
  return { random, bytes, practice, relay, id: () => random.bytes(16) }
}

const kinds = (link: TestLink) => link.seen.map(({ $case }) => $case)
const removing = (bytes: (n: number) => Uint8Array, roster: Roster, by: TestDevice, gone: TestDevice) =>
  must(removeDevices(writing(bytes, roster, by), { ids: [gone.ed], cuts: [] })).roster

describe('who may talk', () => {
  test('[B1] a stranger and a member of an unknown practice hear the same; one chain may let it in', async () => {
    const { random, practice, relay } = await setUp(1)
    await relay.member(practice, 0)
    const stranger = makeDevice((length) => random.bytes(length), 'x')
    const unknown = makePractice(random, 1)
    const heard = []
    for (const roster of [practice.roster, unknown.roster]) {
      const link = relay.connect(stranger)
      await link.greet(roster)
      await link.say('chain', { entries: [...roster.entries] })
      heard.push(link.seen)
      expect(link.isClosed).toBe(true)
    }
    expect(heard[0]).toEqual(heard[1])
    expect(heard[0]).toMatchObject([
      { $case: 'welcome', value: { rosterHead: new Uint8Array(0), sequence: 0 } },
      { $case: 'refuse', value: { code: 'refused' } },
    ])
    const newcomer = relay.connect(unknown.devices[0]!)
    await newcomer.greet(unknown.roster)
    await newcomer.say('chain', { entries: [...unknown.roster.entries] })
    expect(kinds(newcomer)).toEqual(['welcome', 'head', 'notices'])
    expect(newcomer.last('head').head).toEqual(unknown.roster.head)
  })

  test.each(['deposit', 'collect', 'ack', 'check', 'ask', 'leave', 'window', 'notices'] as const)(
    '[B1] %s of a stranger ends the session',
    async (kind) => {
      const { random, practice, relay } = await setUp(2)
      await relay.member(practice, 0)
      const link = relay.connect({ ed: random.bytes(32) })
      await link.greet(practice.roster)
      const key = random.bytes(32)
      await link.say(kind, {
        number: 1,
        id: key.slice(0, 16),
        recipients: [practice.devices[0]!.ed],
        replaces: [],
        envelope: key,
        after: 0,
        ids: [],
        notice: key,
        recipient: key,
        open: true,
        notices: [],
      } as never)
      expect(link.last('refuse').code).toBe('refused')
      expect(relay.store.totals()).toMatchObject({ rows: 0 })
      expect(await relay.store.notices(practice.roster.practiceId)).toEqual([])
    },
  )

  test('[B1] who has said nothing useful after ten seconds goes; a silent member after a minute', async () => {
    const { practice, relay } = await setUp(3)
    const mute = relay.connect(practice.devices[0]!)
    const unproved = relay.connect(practice.devices[1]!)
    await unproved.greet(practice.roster)
    const member = await relay.member(practice, 2)
    relay.now += GREET_TIMEOUT_MS
    relay.core.tick()
    expect([mute.isClosed, unproved.isClosed, member.isClosed]).toEqual([true, true, false])
    relay.now += SILENCE_TIMEOUT_MS - 1
    await member.say('alive', { number: 7, answer: false })
    expect(member.last('alive')).toEqual({ number: 7, answer: true })
    relay.now += SILENCE_TIMEOUT_MS - 1
    relay.core.tick()
    expect(member.isClosed).toBe(false)
    relay.now += 1
    relay.core.tick()
    expect(member.last('refuse').code).toBe('silent')
    await relay.core.whenQuiet()
  })

  test('[B1] versions that share none are told apart', async () => {
    const { practice, relay } = await setUp(4)
    for (const [oldest, newest, code] of [
      [2, 3, 'peer-too-new'],
      [0, 0, 'peer-too-old'],
    ] as const) {
      const link = relay.connect(practice.devices[0]!)
      await link.say('greet', {
        oldest,
        newest,
        practice: practice.roster.practiceId,
        rosterHead: new Uint8Array(0),
      })
      expect(link.last('refuse').code).toBe(code)
    }
  })

  test('a relay for some practices registers no other', async () => {
    const { practice, relay } = await setUp(5, 1, { mayRegister: () => false })
    const link = relay.connect(practice.devices[0]!)
    await link.greet(practice.roster)
    await link.say('chain', { entries: [...practice.roster.entries] })
    expect(link.last('refuse').code).toBe('refused')
    expect(relay.store.totals().practices).toBe(0)
  })
})

describe('mail', () => {
  test('[B2] is answered with its sequence, and pushed where somebody waits', async () => {
    const { practice, relay, id } = await setUp(10)
    const [a, b] = [await relay.member(practice, 0), await relay.member(practice, 1)]
    expect(await b.collect()).toEqual({ mails: [], end: true })
    b.seen.length = 0
    const [first, second] = [id(), id()]
    expect(await a.deposit({ id: first, recipients: [practice.devices[1]!.ed] })).toMatchObject({
      error: '',
      sequence: 1,
    })
    await a.deposit({ id: second, recipients: [practice.devices[1]!.ed] })
    // One grant, one batch.
    expect(b.all('batch')).toMatchObject([{ mails: [{ sequence: 1, id: first }] }])
    expect((await b.collect(1)).mails).toMatchObject([
      { sequence: 2, id: second, depositor: practice.devices[0]!.ed },
    ])
  })

  test.each<[string, Record<string, unknown>, string]>([
    ['an id of another length', { id: new Uint8Array(15) }, 'malformed'],
    ['no recipients', { recipients: [] }, 'malformed'],
    ['the depositor alone', { recipients: 'self' }, 'malformed'],
    ['a key of another length', { recipients: [new Uint8Array(31)] }, 'malformed'],
    [
      'too many recipients',
      { recipients: Array.from({ length: 65 }, () => new Uint8Array(32)) },
      'malformed',
    ],
    ['a stranger among the recipients', { recipients: 'stranger' }, 'not-member'],
    ['a wrong id to replace', { replaces: [new Uint8Array(3)] }, 'malformed'],
    ['no envelope', { envelope: new Uint8Array(0) }, 'malformed'],
    ['an envelope over the limit', { envelope: new Uint8Array(MAX_ENVELOPE_BYTES + 1) }, 'too-large'],
  ])('[B3] %s is answered, and changes nothing', async (_name, given, error) => {
    const { practice, relay, id, random } = await setUp(11)
    const a = await relay.member(practice, 0)
    const named = { self: [practice.devices[0]!.ed], stranger: [practice.devices[1]!.ed, random.bytes(32)] }
    const recipients =
      typeof given.recipients === 'string' ? named[given.recipients as 'self'] : given.recipients
    const deposit = { id: id(), recipients: [practice.devices[1]!.ed], ...given }
    if (recipients) deposit.recipients = recipients as Uint8Array[]
    expect(await a.deposit(deposit)).toMatchObject({ error, sequence: 0 })
    expect(relay.store.totals()).toMatchObject({ rows: 0 })
    expect(a.isClosed).toBe(false)
  })

  test('[B5] the newest COLLECT counts; one that goes back brings everything again', async () => {
    const { practice, relay, id } = await setUp(12)
    const [a, b] = [await relay.member(practice, 0), await relay.member(practice, 1)]
    for (let i = 0; i < 3; i++) await a.deposit({ id: id(), recipients: [practice.devices[1]!.ed] })
    await b.collect(3)
    await b.collect(1)
    expect(b.last('batch').mails.map(({ sequence }) => sequence)).toEqual([2, 3])
  })

  test('[B7] a notice goes to all members, newest only', async () => {
    const { practice, relay } = await setUp(13)
    const [a, b] = [await relay.member(practice, 0), await relay.member(practice, 1)]
    expect(await a.ack([], Uint8Array.of(1))).toMatchObject({ error: '' })
    expect(await a.ack([], Uint8Array.of(2))).toMatchObject({ error: '' })
    const device = practice.devices[0]!.ed
    expect(b.all('notices')).toEqual([
      { notices: [{ device, sealed: Uint8Array.of(1) }] },
      { notices: [{ device, sealed: Uint8Array.of(2) }] },
    ])
    expect(a.all('notices')).toEqual([])
    const c = relay.connect(practice.devices[2]!)
    await c.greet(practice.roster)
    expect(c.last('notices')).toEqual({ notices: [{ device, sealed: Uint8Array.of(2) }] })
    expect(await a.ack([], new Uint8Array(MAX_NOTICE_BYTES + 1))).toMatchObject({ error: 'too-large' })
  })

  test('[B9] the last collector takes the practice along, and everybody is told', async () => {
    const { practice, relay, id } = await setUp(14)
    const [a, b] = [await relay.member(practice, 0), await relay.member(practice, 1)]
    await a.collect()
    await b.collect()
    await b.deposit({ id: id(), recipients: [practice.devices[0]!.ed] })
    await a.say('leave', { number: 8 })
    expect(a.last('done')).toEqual({ number: 8, error: '', sequence: 0 })
    expect((await b.inventory()).waiting).toEqual([])
    expect(b.isClosed).toBe(false)
    await b.say('leave', { number: 9 })
    expect(kinds(b).slice(-2)).toEqual(['done', 'refuse'])
    expect(a.last('refuse').code).toBe('refused')
    expect(relay.store.totals()).toEqual({ practices: 0, rows: 0, bytes: 0 })
    expect(relay.core.mayReserve(practice.devices[0]!.ed)).toBe(false)
    await relay.member(practice, 0)
  })

  test('[B9] a practice that was left with mail for somebody stays until that expires', async () => {
    const { practice, relay, id } = await setUp(17, 2, { limits: { expiryMs: 100_000 } })
    const [a, b] = [await relay.member(practice, 0), await relay.member(practice, 1)]
    await a.collect()
    await a.deposit({ id: id(), recipients: [practice.devices[1]!.ed] })
    await a.say('leave', { number: 8 })
    expect(a.last('done')).toMatchObject({ number: 8, error: '' })
    expect((await b.inventory()).waiting).toHaveLength(1)
    relay.now += 150_000
    relay.core.tick()
    await relay.core.whenQuiet()
    expect(b.last('refuse').code).toBe('refused')
    expect(relay.store.totals()).toEqual({ practices: 0, rows: 0, bytes: 0 })
    expect(relay.core.mayReserve(practice.devices[0]!.ed)).toBe(false)
  })

  test('[B10] WELCOME names what was durable, also after a start', async () => {
    const random = seeded(15)
    const practice = makePractice(random, 2)
    const [db, marks] = [memoryRelayDb(), memoryMarks()]
    const relay = new TestRelay(await openTestStore(random, { db, marks }))
    const a = await relay.member(practice, 0)
    await a.deposit({ id: random.bytes(16), recipients: [practice.devices[1]!.ed] })
    await relay.core.stop()
    expect(a.last('refuse').code).toBe('stopping')
    await relay.store.close()
    const again = new TestRelay(await openTestStore(random, { db, marks }))
    const b = again.connect(practice.devices[1]!)
    await b.greet(practice.roster)
    expect(b.last('welcome')).toMatchObject({
      rosterHead: practice.roster.head,
      sequence: 1,
      incarnation: relay.store.incarnation,
    })
  })

  test('mail ages while the relay runs, over restarts, and while it is off not at all', async () => {
    const random = seeded(17)
    const practice = makePractice(random, 2)
    const db = memoryRelayDb()
    const marks = memoryMarks()
    const limits = { expiryMs: 5_000_000 }
    const recipients = [practice.devices[1]!.ed]
    const first = new TestRelay(await openTestStore(random, { db, marks }), { limits })
    const old = random.bytes(16)
    await (await first.member(practice, 0)).deposit({ id: old, recipients })
    first.now += 4_000_000
    await first.core.stop()
    await first.store.close()
    // Off for ten years, or put on by ten years: nothing here asks for the time.
    const again = new TestRelay(await openTestStore(random, { db, marks }), { limits })
    again.now += 900_000
    again.core.tick()
    await again.core.whenQuiet()
    expect(again.store.totals().rows).toBe(1)
    again.now += EXPIRY_INTERVAL_MS
    again.core.tick()
    await again.core.whenQuiet()
    expect(again.store.totals().rows).toBe(0)
  })

  test('expires by the relay’s age, and leaves the rest', async () => {
    const { practice, relay, id } = await setUp(16, 2, { limits: { expiryMs: 5_000_000 } })
    const a = await relay.member(practice, 0)
    const [old, young] = [id(), id()]
    await a.deposit({ id: old, recipients: [practice.devices[1]!.ed] })
    relay.now += 4_000_000
    await a.deposit({ id: young, recipients: [practice.devices[1]!.ed] })
    relay.now += 2_000_000
    a.hangUp()
    relay.core.tick()
    await relay.core.whenQuiet()
    const b = await relay.member(practice, 0)
    expect(await b.missing(practice.devices[1]!.ed, [old, young])).toEqual([old])
  })
})

describe('rosters', () => {
  test('[B8] one that extends is taken over and told to the others; an older or foreign one is not', async () => {
    const { bytes, random, practice, relay } = await setUp(20, 2)
    const [a, b] = [await relay.member(practice, 0), await relay.member(practice, 1)]
    const grown = enrol(bytes, practice.roster, practice.devices[0]!, makeDevice(bytes, 'New'))
    await a.say('chain', { entries: [...grown.entries] })
    expect(a.seen).toEqual([{ $case: 'head', value: { head: grown.head } }])
    expect(b.seen).toEqual([{ $case: 'chain', value: { entries: [...grown.entries] } }])
    await b.say('chain', { entries: [...practice.roster.entries] })
    expect(b.last('head').head).toEqual(grown.head)
    await b.say('chain', { entries: [...makePractice(random, 1).roster.entries] })
    expect(b.last('head').head).toEqual(grown.head)
    await b.say('chain', { entries: [random.bytes(100)] })
    expect(b.last('head').head).toEqual(grown.head)
    await b.say('chain', { entries: [] })
    expect(b.last('chain').entries).toEqual([...grown.entries])
  })

  test('[B8] of two branches the one stands that devices would choose', async () => {
    const { bytes, practice, relay } = await setUp(21, 3)
    const [one, two, three] = practice.devices as [TestDevice, TestDevice, TestDevice]
    const [a, b] = [await relay.member(practice, 0), await relay.member(practice, 1)]
    const added = enrol(bytes, practice.roster, two, makeDevice(bytes, 'New'))
    const removed = removing(bytes, practice.roster, one, three)
    const c = await relay.member(practice, 2)
    await b.say('chain', { entries: [...added.entries] })
    expect(b.last('head').head).toEqual(added.head)
    await a.say('chain', { entries: [...removed.entries] })
    // A removal comes before an addition.
    expect(a.last('head').head).toEqual(removed.head)
    expect(c.last('refuse').code).toBe('refused')
    await b.say('chain', { entries: [...added.entries] })
    expect(b.last('head').head).toEqual(removed.head)
  })

  test('[B8] a removed device loses its session, mail and circuits at once, and its chain lets it in no more', async () => {
    const { bytes, practice, relay, id } = await setUp(22)
    const [a, b] = [await relay.member(practice, 0), await relay.member(practice, 1)]
    await a.deposit({ id: id(), recipients: [practice.devices[1]!.ed] })
    await b.ack([], Uint8Array.of(5))
    expect(relay.core.mayReserve(practice.devices[1]!.ed)).toBe(true)
    const roster = removing(bytes, practice.roster, practice.devices[0]!, practice.devices[1]!)
    await a.say('chain', { entries: [...roster.entries] })
    expect(b.last('refuse').code).toBe('refused')
    expect((await a.inventory()).waiting).toEqual([])
    expect(await relay.store.notices(roster.practiceId)).toEqual([])
    expect(relay.core.mayReserve(practice.devices[1]!.ed)).toBe(false)
    expect(relay.core.mayConnect(practice.devices[1]!.ed, practice.devices[0]!.ed)).toBe(false)
    expect(relay.core.mayConnect(practice.devices[2]!.ed, practice.devices[0]!.ed)).toBe(true)
    const again = relay.connect(practice.devices[1]!)
    await again.greet(practice.roster)
    await again.say('chain', { entries: [...practice.roster.entries] })
    expect(kinds(again)).toEqual(['welcome', 'refuse'])
  })

  test('[B8] a new device gets in by the chain that names it', async () => {
    const { bytes, practice, relay } = await setUp(23, 1)
    await relay.member(practice, 0)
    const device = makeDevice(bytes, 'New')
    const grown = enrol(bytes, practice.roster, practice.devices[0]!, device)
    const link = relay.connect(device)
    await link.greet(grown)
    await link.say('chain', { entries: [...grown.entries] })
    expect(kinds(link)).toEqual(['welcome', 'head', 'notices'])
  })

  test('[B8] two devices that register a practice at once are both in', async () => {
    const { practice, relay } = await setUp(24, 2)
    const links = practice.devices.map((device) => relay.connect(device))
    await Promise.all(links.map((link) => link.greet(practice.roster)))
    await Promise.all(links.map((link) => link.say('chain', { entries: [...practice.roster.entries] })))
    for (const link of links) expect(kinds(link)).toEqual(['welcome', 'head', 'notices'])
    await links[0]!.ack([], Uint8Array.of(1))
    expect(kinds(links[1]!)).toContain('notices')
  })
})

describe('bounds', () => {
  test('[B12] a flood of deposits is answered to the last, in order', async () => {
    const { practice, relay, id } = await setUp(30, 2)
    const a = await relay.member(practice, 0)
    const deposits = Array.from({ length: 300 }, (_, number) =>
      a.say('deposit', {
        number,
        id: id(),
        recipients: [practice.devices[1]!.ed],
        replaces: [],
        envelope: new Uint8Array(100),
      }),
    )
    await Promise.all(deposits)
    expect(a.all('done').map(({ number }) => number)).toEqual(Array.from({ length: 300 }, (_, at) => at))
  })

  test('[B12] who takes nothing is cut off when too much is queued for it', async () => {
    const { practice, relay } = await setUp(31, 2, { limits: { queuedBytes: 1000 } })
    const [a, b] = [await relay.member(practice, 0), await relay.member(practice, 1)]
    b.queued = 1001
    await a.ack([], Uint8Array.of(1))
    expect(b.isClosed).toBe(true)
    expect(a.isClosed).toBe(false)
  })

  test('[B12] sessions of one address are bounded, and twenty devices of a clinic are not refused', async () => {
    const { random, relay } = await setUp(32, 1, { limits: { sessionsPerAddress: 40 } })
    const practice = makePractice(random, 20)
    for (let at = 0; at < 20; at++) await relay.member(practice, at)
    const strangers = Array.from({ length: 25 }, () => relay.connect({ ed: random.bytes(32) }))
    expect(strangers.map(({ isClosed }) => isClosed)).toEqual(Array.from({ length: 25 }, (_, at) => at >= 20))
    strangers[0]!.hangUp()
    expect(relay.connect({ ed: random.bytes(32) }).isClosed).toBe(false)
    expect(relay.connect({ ed: random.bytes(32) }, '192.0.2.9').isClosed).toBe(false)
  })

  test('[B12] a device that comes again and again keeps its newest sessions', async () => {
    const { practice, relay } = await setUp(33, 2)
    const links = []
    for (let i = 0; i < 4; i++) links.push(await relay.member(practice, 0))
    expect(links.map(({ isClosed }) => isClosed)).toEqual([true, true, false, false])
    expect(links[0]!.last('refuse').code).toBe('replaced')
  })

  test('[B12] chains of strangers are verified so often, and no more', async () => {
    const { random, relay } = await setUp(34, 1, { limits: { chainRate: { burst: 2, perSecond: 1 } } })
    const codes = []
    for (let i = 0; i < 4; i++) {
      const own = makePractice(random, 1)
      const link = relay.connect(own.devices[0]!)
      await link.greet(own.roster)
      await link.say('chain', { entries: [...own.roster.entries] })
      codes.push(link.isClosed ? link.last('refuse').code : '')
      if (i === 2) relay.now += 1000
    }
    expect(codes).toEqual(['', '', 'busy', ''])
  })

  test('[B12] a long chain counts for several, and those of members count as well, but for what is held', async () => {
    const limits = {
      chainRate: { burst: 8, perSecond: 1 },
      memberChainRate: { burst: 8, perSecond: 1 },
      chainPieceBytes: 200,
    }
    const { random, relay } = await setUp(37, 1, { limits })
    const [one, other] = [makePractice(random, 4), makePractice(random, 1)]
    const bytes = (length: number) => random.bytes(length)
    const a = await relay.member(one, 0)
    const stranger = relay.connect(other.devices[0]!)
    await stranger.greet(other.roster)
    await stranger.say('chain', { entries: [...other.roster.entries] })
    expect(stranger.last('refuse').code).toBe('busy')
    // What the relay holds already costs nothing.
    for (let i = 0; i < 20; i++) await a.say('chain', { entries: [...one.roster.entries] })
    const later = enrol(bytes, one.roster, one.devices[0]!, makeDevice(bytes, 'Later'))
    await a.say('chain', { entries: [...later.entries] })
    expect(a.isClosed).toBe(false)
    const branch = enrol(bytes, one.roster, one.devices[1]!, makeDevice(bytes, 'Branch'))
    const kinds = []
    for (let i = 0; i < 3 && !a.isClosed; i++) {
      a.seen.length = 0
      await a.say('chain', { entries: [...branch.entries] })
      kinds.push(a.seen.at(-1)!.$case)
    }
    expect(kinds.at(-1)).toBe('refuse')
    expect(a.last('refuse').code).toBe('busy')
  })

  test('[B12] messages that are not whole are bounded in all, and end first where most were begun', async () => {
    const { practice, relay } = await setUp(38, 4, { limits: { unfinishedBytes: 300 } })
    const links = []
    for (let at = 0; at < 4; at++) links.push(await relay.member(practice, at))
    links.push(relay.connect(practice.devices[0]!, '192.0.2.9'))
    for (const [at, bytes] of [60, 100, 80, 0, 150].entries()) links[at]!.unfinished = bytes
    relay.now += 1000
    relay.core.tick()
    expect(links.map(({ isClosed }) => isClosed)).toEqual([false, true, false, false, false])
    links[4]!.unfinished = 160
    relay.core.tick()
    expect(links.filter(({ isClosed }) => isClosed)).toHaveLength(1)
    expect(relay.core.sessions).toBe(4)
  })

  test('[B12] and so is what devices do not take', async () => {
    const { practice, relay } = await setUp(40, 3, { limits: { queuedBytesInAll: 300 } })
    const links = []
    for (let at = 0; at < 3; at++) links.push(await relay.member(practice, at))
    for (const [at, bytes] of [90, 120, 100].entries()) links[at]!.queued = bytes
    relay.core.tick()
    expect(links.map(({ isClosed }) => isClosed)).toEqual([false, true, false])
  })

  test('[B12] so are messages that wait for room', async () => {
    const limits = { unansweredBytes: 10, unfinishedBytes: 1000 }
    const { practice, relay, id } = await setUp(39, 3, { limits })
    const links = []
    for (let at = 0; at < 3; at++) links.push(await relay.member(practice, at))
    let goOn = () => {}
    const disk = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const deposit = relay.store.deposit.bind(relay.store)
    relay.store.deposit = async (...all) => {
      await disk
      return deposit(...all)
    }
    const said = links.map((link, at) =>
      link.say('deposit', {
        number: 1,
        id: id(),
        recipients: [practice.devices[(at + 1) % 3]!.ed],
        replaces: [],
        envelope: new Uint8Array(600 + 10 * at),
      }),
    )
    await new Promise((resolve) => setImmediate(resolve))
    relay.core.tick()
    expect(links.map(({ isClosed }) => isClosed)).toEqual([false, false, true])
    goOn()
    await Promise.all(said)
    expect(links.slice(0, 2).map((link) => link.last('done').error)).toEqual(['', ''])
  })

  test('a full disk is said, and takes nothing', async () => {
    let hasRoom = true
    const { practice, relay, id } = await setUp(35, 2, { hasRoom: () => hasRoom })
    const a = await relay.member(practice, 0)
    hasRoom = false
    const deposit = { id: id(), recipients: [practice.devices[1]!.ed] }
    expect(await a.deposit(deposit)).toMatchObject({ error: 'full' })
    hasRoom = true
    expect(await a.deposit(deposit)).toMatchObject({ error: '', sequence: 1 })
  })

  test('[B12] a full disk takes no new practice', async () => {
    let hasRoom = false
    const { practice, relay } = await setUp(36, 1, { hasRoom: () => hasRoom })
    const link = relay.connect(practice.devices[0]!)
    await link.greet(practice.roster)
    await link.say('chain', { entries: [...practice.roster.entries] })
    expect(kinds(link)).toEqual(['welcome', 'refuse'])
    expect([link.last('refuse').code, relay.store.totals().practices]).toEqual(['busy', 0])
    hasRoom = true
    await relay.member(practice, 0)
    expect(relay.store.totals().practices).toBe(1)
  })
})

describe('meeting', () => {
  const find = (relay: TestRelay, code: string, address = '192.0.2.7') => {
    const answer = relay.core.meet({ address }, encodeMeetFrame({ $case: 'find', value: { code } }))
    return answer && decodeMeetFrame(answer)?.value
  }

  test('[B13] tells of open windows only, for as long as they are', async () => {
    const { practice, relay, random } = await setUp(40, 2)
    const code = practiceCode(natives, practice.roster.practiceId)
    const [a, b] = [await relay.member(practice, 0), await relay.member(practice, 1)]
    const stranger = random.bytes(32)
    expect(find(relay, code)).toEqual({ devices: [] })
    await a.say('window', { open: true })
    expect(find(relay, code)).toEqual({ devices: [practice.devices[0]!.ed] })
    expect(relay.core.mayConnect(stranger, practice.devices[0]!.ed)).toBe(true)
    expect(relay.core.mayConnect(stranger, practice.devices[1]!.ed)).toBe(false)
    await b.say('window', { open: true })
    expect(find(relay, code)).toEqual({ devices: practice.devices.map(({ ed }) => ed) })
    await a.say('window', { open: false })
    b.hangUp()
    expect(find(relay, code)).toEqual({ devices: [] })
    expect(relay.core.mayConnect(stranger, practice.devices[0]!.ed)).toBe(false)
  })

  test('[B13] is bounded for each address and in all', async () => {
    const { practice, relay } = await setUp(41, 1)
    const code = practiceCode(natives, practice.roster.practiceId)
    const asked = (address: string) => find(relay, code, address) !== undefined
    expect(Array.from({ length: 12 }, () => asked('192.0.2.1')).filter(Boolean)).toHaveLength(10)
    expect(asked('192.0.2.2')).toBe(true)
    relay.now += 1000
    expect(Array.from({ length: 3 }, () => asked('192.0.2.1')).filter(Boolean)).toHaveLength(1)
    relay.now += 60_000
    const many = Array.from({ length: 150 }, (_, at) => asked(`198.51.100.${at}`))
    expect(many.filter(Boolean)).toHaveLength(100)
  })

  test('[B13] circuits of strangers to an open window are bounded', async () => {
    const { practice, relay, random } = await setUp(42, 1)
    const a = await relay.member(practice, 0)
    await a.say('window', { open: true })
    const tried = Array.from({ length: 20 }, () =>
      relay.core.mayConnect(random.bytes(32), practice.devices[0]!.ed),
    )
    expect(tried.filter(Boolean)).toHaveLength(10)
  })
})

describe('hostile bytes', () => {
  test('no messages whatever make the relay fail, nor change another practice', async () => {
    const { practice, relay, random } = await setUp(50, 3)
    const good = await relay.member(practice, 0)
    await good.deposit({
      id: random.bytes(16),
      recipients: [practice.devices[1]!.ed],
      envelope: random.bytes(50),
    })
    const before = await good.inventory()
    const enemy = makePractice(random, 2)
    for (let round = 0; round < 150; round++) {
      const link = round % 3 === 0 ? relay.connect(enemy.devices[0]!) : await relay.member(enemy, 0)
      for (let i = 0; i < 6 && !link.isClosed; i++) await link.raw(hostile(random, enemy.devices[1]!.ed))
      link.hangUp()
    }
    expect(relay.lines.filter((line) => line.includes('unexpected'))).toEqual([])
    const { number: _number, ...after } = await good.inventory()
    expect(before).toMatchObject(after)
  })
})

/** A sound message, one with bits flipped, one cut off, or none at all. */
function hostile(random: Random, other: Uint8Array): Uint8Array {
  const key = random.bytes(random.pick([0, 16, 32, 33]))
  const number = random.int(0, 2 ** 32 - 1)
  const bytes = encodeMailFrame(
    random.pick([
      {
        $case: 'deposit',
        value: { number, id: key, recipients: [key, other], replaces: [key], envelope: key },
      },
      {
        $case: 'deposit',
        value: {
          number,
          id: random.bytes(16),
          recipients: [other],
          replaces: [random.bytes(16)],
          envelope: random.bytes(40),
        },
      },
      { $case: 'collect', value: { after: random.pick([0, 2 ** 40, Number.MAX_SAFE_INTEGER]) } },
      { $case: 'ack', value: { number, ids: [random.bytes(16), key], notice: key } },
      { $case: 'check', value: { number, recipient: key, ids: [key] } },
      { $case: 'chain', value: { entries: [key, random.bytes(200)] } },
      {
        $case: 'batch',
        value: { mails: [{ sequence: 1, id: key, depositor: key, envelope: key }], end: true },
      },
      { $case: 'window', value: { open: true } },
      { $case: 'leave', value: { number } },
      { $case: 'ask', value: { number } },
    ]),
  )
  const kind = random.int(0, 3)
  if (kind === 0) return bytes
  if (kind === 1) return bytes.slice(0, random.int(0, bytes.length))
  if (kind === 2) return random.bytes(random.int(0, 60))
  return bytes.map((byte) => (random() < 0.05 ? byte ^ (1 << random.int(0, 7)) : byte))
}
