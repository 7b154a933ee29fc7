/** A relay in this process: the shipping rules and store, with devices that speak to it by hand. */
import { MemoryLevel } from 'memory-level'
import { RelayCore, type RelayCoreOptions } from '../../relay/core.js'
import type { Database } from '../../relay/store/database.js'
import { type LevelStoreOptions, openLevelStore } from '../../relay/store/level-store.js'
import type { MailStore } from '../../relay/store/mail-store.js'
import type { MarkFile } from '../../relay/store/marks.js'
import { nodeNatives } from '../../src/node/natives.js'
import { MAILBOX_VERSION, OLDEST_MAILBOX_VERSION } from '../../src/protocol/mailbox-limits.js'
import { decodeMailFrame, encodeMailFrame, type MailFrameKind } from '../../src/protocol/mailbox-wire.js'
import type { Roster } from '../../src/protocol/roster.js'
import { enrol, genesis, makeDevice, type TestDevice } from '../protocol/roster-helpers.js'
import type { Random } from './random.js'

export type Value<Case extends MailFrameKind['$case']> = Extract<MailFrameKind, { $case: Case }>['value']

/** The file beside the database, as a value. */
export function memoryMarks(): MarkFile & { content: Uint8Array | undefined; writes: number } {
  return {
    content: undefined,
    writes: 0,
    async read() {
      return this.content
    },
    async write(bytes) {
      this.content = bytes
      this.writes++
    },
    async stamp() {
      return String(this.writes)
    },
  }
}

export function memoryRelayDb(): Database {
  const options = { keyEncoding: 'view', valueEncoding: 'view', storeEncoding: 'view' } as const
  return new MemoryLevel<Uint8Array, Uint8Array>(options) as unknown as Database
}

export function openTestStore(random: Random, options: Partial<LevelStoreOptions> = {}): Promise<MailStore> {
  return openLevelStore({
    db: memoryRelayDb(),
    marks: memoryMarks(),
    natives: nodeNatives,
    random: (length) => random.bytes(length),
    ...options,
  })
}

export interface TestPractice {
  roster: Roster
  devices: TestDevice[]
}

export function makePractice(random: Random, count: number): TestPractice {
  const bytes = (length: number) => random.bytes(length)
  const devices = Array.from({ length: count }, (_, at) => makeDevice(bytes, `Device ${at}`))
  let roster = genesis(bytes, devices[0]!)
  for (const device of devices.slice(1)) roster = enrol(bytes, roster, devices[0]!, device)
  return { roster, devices }
}

/** A relay whose clock stands still until it is moved. */
export class TestRelay {
  now = 1_000_000
  readonly lines: string[] = []
  readonly core: RelayCore

  constructor(
    readonly store: MailStore,
    options: Partial<RelayCoreOptions> = {},
  ) {
    this.core = new RelayCore({
      store,
      natives: nodeNatives,
      clock: { monotonic: () => this.now },
      log: (line) => this.lines.push(line),
      ...options,
    })
  }

  connect(device: { ed: Uint8Array }, address = '192.0.2.1'): TestLink {
    return new TestLink(this, device.ed, address)
  }

  /** Connected, greeted and taken for a member. */
  async member(practice: TestPractice, at: number): Promise<TestLink> {
    const link = this.connect(practice.devices[at]!)
    await link.greet(practice.roster)
    if (link.last('welcome').rosterHead.length === 0)
      await link.say('chain', { entries: [...practice.roster.entries] })
    if (!link.seen.some(({ $case }) => $case === 'notices')) throw new Error('this device is no member')
    link.seen.length = 0
    return link
  }
}

export class TestLink {
  /** What the relay said, since it was last looked at. */
  readonly seen: MailFrameKind[] = []
  isClosed = false
  queued = 0
  unfinished = 0
  private number = 0
  private readonly connection: ReturnType<RelayCore['connect']>

  constructor(
    readonly relay: TestRelay,
    publicKey: Uint8Array,
    address: string,
  ) {
    this.connection = relay.core.connect(
      { publicKey, address },
      {
        send: (_lane, bytes) => {
          this.seen.push(decodeMailFrame(bytes)!)
        },
        close: () => {
          this.isClosed = true
        },
        queuedBytes: () => this.queued,
        unfinishedBytes: () => this.unfinished,
        abort: () => {
          this.isClosed = true
        },
      },
    )
  }

  /** Hands over and waits until everything is answered. */
  async say<Case extends MailFrameKind['$case']>(kind: Case, value: Value<Case>): Promise<void> {
    await this.raw(encodeMailFrame({ $case: kind, value } as MailFrameKind))
  }

  async raw(bytes: Uint8Array): Promise<void> {
    void this.connection.receive(bytes)
    await this.relay.core.whenQuiet()
  }

  greet(roster: Roster): Promise<void> {
    const [oldest, newest] = [OLDEST_MAILBOX_VERSION, MAILBOX_VERSION]
    return this.say('greet', { oldest, newest, practice: roster.practiceId, rosterHead: roster.head })
  }

  /** The answer to a deposit. */
  async deposit(deposit: Partial<Value<'deposit'>>): Promise<Value<'done'>> {
    const empty = { id: new Uint8Array(0), recipients: [], replaces: [], envelope: Uint8Array.of(1) }
    await this.say('deposit', { number: ++this.number, ...empty, ...deposit })
    return this.last('done')
  }

  async collect(after = 0): Promise<Value<'batch'>> {
    await this.say('collect', { after })
    return this.last('batch')
  }

  async ack(ids: Uint8Array[], notice: Uint8Array = new Uint8Array(0)): Promise<Value<'done'>> {
    await this.say('ack', { number: ++this.number, ids, notice })
    return this.last('done')
  }

  async inventory(): Promise<Value<'inventory'>> {
    await this.say('ask', { number: ++this.number })
    return this.last('inventory')
  }

  async missing(recipient: Uint8Array, ids: Uint8Array[]): Promise<Uint8Array[]> {
    await this.say('check', { number: ++this.number, recipient, ids })
    return this.last('missing').ids
  }

  /** The newest message of a kind; throws if there is none. */
  last<Case extends MailFrameKind['$case']>(kind: Case): Value<Case> {
    const found = this.seen.findLast(({ $case }) => $case === kind)
    if (!found)
      throw new Error(`the relay said no ${kind}: ${this.seen.map(({ $case }) => $case).join(', ')}`)
    return found.value as Value<Case>
  }

  all<Case extends MailFrameKind['$case']>(kind: Case): Value<Case>[] {
    return this.seen.filter(({ $case }) => $case === kind).map(({ value }) => value as Value<Case>)
  }

  hangUp(): void {
    this.isClosed = true
    this.connection.closed()
  }
}
