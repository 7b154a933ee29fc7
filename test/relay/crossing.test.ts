/**
 * Everything at once at one relay: sessions that come, prove themselves, deposit, collect, acknowledge, leave and break off,
 * while what its store reads and writes takes its time. Whatever crosses whatever, nobody is refused who belongs, nothing
 * is lost, and who is connected hears of everything without asking.
 */
import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { toHex } from '../../src/protocol/bytes.js'
import { MAILBOX_VERSION, OLDEST_MAILBOX_VERSION } from '../../src/protocol/mailbox-limits.js'
import { decodeMailFrame, encodeMailFrame, type MailFrameKind } from '../../src/protocol/mailbox-wire.js'
import type { Roster } from '../../src/protocol/roster.js'
import { enrol, genesis, makeDevice, type TestDevice } from '../protocol/roster-helpers.js'
import { type Random, seeded } from '../support/random.js'
import { memoryRelayDb, openTestStore, TestRelay, type Value } from '../support/relay.js'

/** Worlds of one run, and events of one world. */
const WORLDS = Number(process.env.KARTOTEKA_CROSSINGS ?? 100)
const FIRST = Number(process.env.KARTOTEKA_SEED ?? 1)
const EVENTS = 60
/** A reading, or a flush, takes up to one of these many turns of the event loop in one world. */
const SLOW_TURNS = [0, 2, 8, 30]
/** Lists of devices are shown so often at most until both have the same. */
const ROSTER_ROUNDS = 8

async function turns(random: Random, most: number): Promise<void> {
  for (let left = random.int(0, most); left > 0; left--) await setImmediate()
}

/** A relay whose disk is slow, now more and now less. */
async function slowRelay(random: Random): Promise<TestRelay> {
  const slow = (target: object, names: string[], most = random.pick(SLOW_TURNS)) => {
    const calls = target as Record<string, (...all: unknown[]) => Promise<unknown>>
    for (const name of names) {
      const call = calls[name]!.bind(target)
      calls[name] = async (...all) => {
        await turns(random, most)
        const result = await call(...all)
        if (names.includes('batch')) await setImmediate()
        await turns(random, most)
        return result
      }
    }
  }
  const db = memoryRelayDb()
  // No flush ends within the turn in which it began: what the one before led to is done by then.
  slow(db, ['batch'], 2 + random.pick(SLOW_TURNS))
  slow(db, ['getMany'])
  const store = await openTestStore(random, { db })
  slow(store, ['roster'])
  slow(store, ['notices'])
  slow(store, ['collect'])
  return new TestRelay(store)
}

/** One practice, whose list of devices grows by one at a time. */
class World {
  readonly devices: TestDevice[]
  /** After each device that was added. */
  readonly rosters: Roster[]
  /** By recipient: what was acknowledged and has not come yet. */
  readonly expected = new Map<string, Set<string>>()
  /** The newest notice of each device that was acknowledged; what is under way may be newer. */
  readonly notices = new Map<string, number>()
  readonly sessions: Session[] = []
  sequence = 0
  count = 0
  private fault: unknown

  constructor(
    readonly random: Random,
    readonly relay: TestRelay,
  ) {
    const bytes = (length: number) => random.bytes(length)
    this.devices = Array.from({ length: random.int(2, 5) }, (_, at) => makeDevice(bytes, `Device ${at}`))
    this.rosters = [genesis(bytes, this.devices[0]!)]
    for (const device of this.devices.slice(1))
      this.rosters.push(enrol(bytes, this.rosters.at(-1)!, this.devices[0]!, device))
  }

  /** The last who collected has left: the relay knows nothing of the practice any more, and says so to who is there. */
  gone(): void {
    this.expected.clear()
    this.notices.clear()
    this.sequence = 0
    for (const session of this.sessions) session.isDoomed = true
  }

  guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.fault ??= error
    }
  }

  check(): void {
    if (this.fault) throw this.fault
  }
}

class Client {
  session: Session | undefined
  /** The one before, which the relay may not have noticed to be gone. */
  before: Session | undefined
  roster: Roster
  readonly came = new Set<string>()

  constructor(
    readonly world: World,
    readonly at: number,
  ) {
    // Nobody knows a list in which it doesn't stand.
    this.roster = world.random.pick(world.rosters.slice(at))
  }

  get device(): TestDevice {
    return this.world.devices[this.at]!
  }

  get name(): string {
    return toHex(this.device.ed)
  }

  learn(roster: Roster): void {
    if (roster.entries.length <= this.roster.entries.length) return
    this.roster = roster
    this.session?.showRoster()
  }

  connect(): void {
    this.before = this.session
    this.session = new Session(this)
  }

  hangUp(): void {
    this.session?.hangUp()
    this.session = undefined
  }
}

class Session {
  isReady = false
  isOver = false
  /** The relay may send mail without being asked. */
  hasGrant = false
  /** The practice has gone from the relay since it began. */
  isDoomed = false
  readonly heard = new Map<string, number>()
  refusal: string | undefined
  /** What was known to be durable when this session began. */
  private readonly sequenceThen: number
  /** The relay holds less than was durable: right where the practice is going while this session begins. */
  wentBack = false
  private rounds = 0
  private number = 0
  private readonly waiting = new Map<number, (done: Value<'done'>) => void>()
  private readonly connection: ReturnType<TestRelay['core']['connect']>

  constructor(private readonly client: Client) {
    const { world, device } = client
    this.sequenceThen = world.sequence
    world.sessions.push(this)
    this.connection = world.relay.core.connect(
      { publicKey: device.ed, address: `192.0.2.${client.at}` },
      {
        send: (_lane, bytes) => {
          const frame = decodeMailFrame(bytes)!
          if (!this.isOver) queueMicrotask(() => world.guarded(() => this.take(frame)))
        },
        close: () => {
          this.isOver = true
        },
      },
    )
    const [oldest, newest] = [OLDEST_MAILBOX_VERSION, MAILBOX_VERSION]
    const { practiceId, head } = client.roster
    this.say('greet', { oldest, newest, practice: practiceId, rosterHead: head })
  }

  hangUp(): void {
    this.isOver = true
    this.connection.closed()
  }

  private say<Case extends MailFrameKind['$case']>(kind: Case, value: Value<Case>): void {
    if (!this.isOver) void this.connection.receive(encodeMailFrame({ $case: kind, value } as MailFrameKind))
  }

  private ask<Case extends 'deposit' | 'ack' | 'leave'>(
    kind: Case,
    value: Omit<Value<Case>, 'number'>,
    done: (answer: Value<'done'>) => void,
  ): void {
    const number = ++this.number
    this.waiting.set(number, done)
    this.say(kind, { number, ...value } as Value<Case>)
  }

  private take(frame: MailFrameKind): void {
    const { world } = this.client
    switch (frame.$case) {
      case 'welcome':
        this.wentBack = frame.value.rosterHead.length > 0 && frame.value.sequence < this.sequenceThen
        return this.onHead(frame.value.rosterHead)
      case 'head':
        return this.onHead(frame.value.head)
      case 'chain': {
        const roster = world.rosters.find(({ entries }) => entries.length === frame.value.entries.length)!
        if (roster.entries.length > this.client.roster.entries.length) this.client.roster = roster
        return this.onHead(roster.head)
      }
      case 'notices':
        for (const { device, sealed } of frame.value.notices)
          this.heard.set(toHex(device), new DataView(sealed.buffer, sealed.byteOffset).getUint32(0))
        return
      case 'batch':
        return this.onBatch(frame.value)
      case 'done': {
        const done = this.waiting.get(frame.value.number)!
        this.waiting.delete(frame.value.number)
        return done(frame.value)
      }
      case 'refuse':
        this.refusal = frame.value.code
        return
      default:
        throw new Error(`the relay said ${frame.$case}`)
    }
  }

  private onHead(head: Uint8Array): void {
    const { roster } = this.client
    if (toHex(head) === toHex(roster.head)) {
      if (!this.isReady && this.client.world.random() < 0.7) queueMicrotask(() => this.collect())
      this.isReady = true
      return
    }
    if (++this.rounds > ROSTER_ROUNDS) throw new Error('the relay does not settle on a list of devices')
    const held = this.client.world.rosters.find((each) => toHex(each.head) === toHex(head))
    const isBehind = (held?.entries.length ?? 0) < roster.entries.length
    this.say('chain', { entries: isBehind ? [...roster.entries] : [] })
  }

  showRoster(): void {
    if (this.isReady) this.say('chain', { entries: [...this.client.roster.entries] })
  }

  collect(): void {
    if (!this.isReady || this.hasGrant) return
    this.hasGrant = true
    this.say('collect', { after: 0 })
  }

  private onBatch({ mails, end }: Value<'batch'>): void {
    const { came, name, world } = this.client
    expect(this.hasGrant).toBe(true)
    for (const { id } of mails) {
      came.add(toHex(id))
      world.expected.get(name)?.delete(toHex(id))
    }
    if (mails.length === 0) {
      expect(end).toBe(true)
      return
    }
    this.hasGrant = false
    this.acknowledge(mails.map(({ id }) => id))
    this.collect()
  }

  acknowledge(ids: Uint8Array[], notice = new Uint8Array(0)): void {
    const { name, world } = this.client
    const number = notice.length > 0 ? new DataView(notice.buffer).getUint32(0) : 0
    this.ask('ack', { ids, notice }, ({ error }) => {
      expect(error).toBe('')
      if (number > (world.notices.get(name) ?? 0)) world.notices.set(name, number)
    })
  }

  note(): void {
    if (!this.isReady) return
    const notice = new Uint8Array(4)
    new DataView(notice.buffer).setUint32(0, ++this.client.world.count)
    this.acknowledge([], notice)
  }

  /** It collects no more; what waited for it, and its notice, are dropped. */
  leave(): void {
    if (!this.isReady) return
    const { client } = this
    this.ask('leave', {}, ({ error }) => {
      expect(error).toBe('')
      client.hangUp()
    })
  }

  deposit(recipients: Client[]): void {
    if (!this.isReady || recipients.length === 0) return
    const { world } = this.client
    const id = world.random.bytes(16)
    const envelope = world.random.bytes(20)
    const all = recipients.map(({ device }) => device.ed)
    this.ask('deposit', { id, recipients: all, replaces: [], envelope }, ({ error, sequence }) => {
      if (error === 'not-member') return
      expect(error).toBe('')
      if (!this.isDoomed) world.sequence = Math.max(world.sequence, sequence)
      for (const { name, came } of recipients) {
        if (came.has(toHex(id))) continue
        const waiting = world.expected.get(name) ?? new Set()
        world.expected.set(name, waiting.add(toHex(id)))
      }
    })
  }
}

function reconnect(clients: Client[]): void {
  for (const client of clients) {
    client.hangUp()
    client.connect()
  }
}

function happen(clients: Client[], random: Random): void {
  const client = random.pick(clients)
  const { session, world } = client
  const others = clients.filter((each) => each !== client && random() < 0.6)
  const kind = random()
  if (!session || session.isOver) return client.connect()
  // The power comes back, and all of them at once.
  if (kind < 0.02) return reconnect(clients)
  if (kind < 0.06) return client.hangUp()
  // Its network has changed, and the relay hears of the end later.
  if (kind < 0.1) return client.connect()
  if (kind < 0.14) return client.learn(random.pick(world.rosters.slice(client.at)))
  if (kind < 0.18) return session.leave()
  if (kind < 0.26) return session.note()
  if (kind < 0.4) return session.collect()
  session.deposit(others)
}

async function run(seed: number): Promise<void> {
  const random = seeded(seed)
  const relay = await slowRelay(random)
  const world = new World(random, relay)
  const clients = world.devices.map((_, at) => new Client(world, at))
  const leave = relay.store.leave.bind(relay.store)
  relay.store.leave = async (practice, device) => {
    const outcome = await leave(practice, device)
    world.expected.delete(toHex(device))
    world.notices.delete(toHex(device))
    if (outcome === 'gone') world.gone()
    return outcome
  }
  for (const client of clients) {
    client.connect()
    await turns(random, 12)
  }
  for (let event = 0; event < EVENTS; event++) {
    happen(clients, random)
    await turns(random, 6)
    if (random() < 0.1) for (const { before } of clients) before?.hangUp()
  }
  // In the end all are there, with the newest list.
  for (const client of clients) {
    client.before?.hangUp()
    client.learn(world.rosters.at(-1)!)
  }
  await quiet(relay)
  for (const client of clients) if (!client.session || client.session.isOver) client.connect()
  await quiet(relay)
  for (const client of clients) if (!client.session!.isReady) client.session!.showRoster()
  if (random() < 0.2) for (const { session } of clients) session!.note()
  for (const { session } of clients) session!.collect()
  await quiet(relay)
  world.check()
  for (const { refusal, isDoomed, wentBack } of world.sessions) {
    expect([undefined, 'replaced', isDoomed ? 'refused' : 'replaced']).toContain(refusal)
    expect({ wentBack, isDoomed }).not.toEqual({ wentBack: true, isDoomed: false })
  }
  for (const { name, session, at } of clients) {
    expect({ at, isReady: session!.isReady, isOver: session!.isOver }).toEqual({
      at,
      isReady: true,
      isOver: false,
    })
    expect([...(world.expected.get(name) ?? [])]).toEqual([])
    for (const [other, number] of world.notices)
      if (other !== name) expect(session!.heard.get(other)).toBeGreaterThanOrEqual(number)
  }
  expect(relay.store.totals()).toMatchObject({ practices: 1, rows: 0, bytes: 0 })
  await relay.store.close()
}

/** Nothing is under way, also of what an answer has led to. */
async function quiet(relay: TestRelay): Promise<void> {
  for (let calm = 0; calm < 3; calm++) {
    await relay.core.whenQuiet()
    await setImmediate()
  }
}

it(`loses nothing and refuses nobody, whatever crosses whatever: ${WORLDS} worlds`, async () => {
  const failed: string[] = []
  for (let seed = FIRST; seed < FIRST + WORLDS; seed++)
    await run(seed).catch((error: Error) => failed.push(`seed ${seed}: ${error.message}`))
  expect(failed).toEqual([])
})
