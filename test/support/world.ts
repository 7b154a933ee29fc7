/**
 * A world of devices that run the shipping core, store and driver over links and timers of our own: nothing
 * moves unless the test says so, and every choice comes from one seed.
 */
import { setImmediate } from 'node:timers/promises'
import type * as Y from 'yjs'
import { exportLine } from '../../src/cases/project.js'
import { Driver } from '../../src/node/driver.js'
import type { DriverOptions, Link, PeerSession, Timers } from '../../src/node/driver-session.js'
import { nodeNatives } from '../../src/node/natives.js'
import { toHex } from '../../src/protocol/bytes.js'
import { edPublicKey } from '../../src/protocol/ed25519.js'
import { decodeParts, docOf } from '../../src/store/case-content.js'
import { isDamage } from '../../src/store/case-table.js'
import { distrust, sayAgain } from '../../src/store/distrust.js'
import { keys } from '../../src/store/keyspace.js'
import { casesFrom } from '../../src/store/reading.js'
import { LogRow } from '../../src/store/records.gen.js'
import { Replica, type ReplicaOptions, STORE_VERSION } from '../../src/store/replica.js'
import { DamagedError, SealedDb } from '../../src/store/sealed-db.js'
import { Statements } from '../../src/store/statements.js'
import { Disk, type Pace } from './disk.js'
import { toKey } from './light-level.js'
import { type Random, seeded } from './random.js'

interface Timer {
  at: number
  run: () => void
  live: boolean
}

/** Virtual time: timers fire when the world lets it pass. */
class Clock implements Timers {
  now = 0
  private timers: Timer[] = []

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.now + ms, run, live: true }
    this.timers.push(timer)
    return () => {
      timer.live = false
    }
  }

  /** Fires everything due within `ms`, in order. */
  pass(ms: number): void {
    const until = this.now + ms
    for (;;) {
      this.timers = this.timers.filter((timer) => timer.live)
      // Of those due at one moment the one that was set first.
      const next = this.timers.reduce<Timer | undefined>(
        (first, timer) => (timer.at < (first?.at ?? until + 1) ? timer : first),
        undefined,
      )
      if (!next) break
      next.live = false
      this.now = next.at
      next.run()
    }
    this.now = until
  }
}

export interface Wire {
  a: SimDevice
  b: SimDevice
  toA: { lane: 'live' | 'bulk'; bytes: Uint8Array }[]
  toB: { lane: 'live' | 'bulk'; bytes: Uint8Array }[]
  sessionA: PeerSession
  sessionB: PeerSession
  open: boolean
}

/** The same bytes, which all devices hold and which are looked at time and again, have the same line. */
const linesByParts = new Map<string, string>()
const MOST_LINES = 2_000

/** The canonical line of a case with these parts, as they are stored. */
export function lineOf(caseId: string, parts: Uint8Array[], unchecked = false): string {
  let name = unchecked ? `?${caseId}` : caseId
  for (const part of parts) name += ` ${part.length}:${toKey(part)}`
  const known = linesByParts.get(name)
  if (known !== undefined) return known
  const doc = docOf(decodeParts(nodeNatives, parts, unchecked))
  const line = exportLine(doc, caseId)
  doc.destroy()
  if (linesByParts.size >= MOST_LINES) linesByParts.clear()
  linesByParts.set(name, line)
  return line
}

/** What the stored rows of logs say, which are asked for with every message. A row that is written anew is another object. */
const durableLogs = new WeakMap<Uint8Array, { seq: number; isCut: boolean }>()

export class SimDevice {
  disk = new Disk()
  replica!: Replica
  statements!: Statements
  driver!: Driver
  binding = 'machine'
  /** How far its clock is off, and from when the world counts: years, maybe. */
  wallMs = 0
  /** It speaks a later version: what it says holds things that nobody here knows. */
  isLater = false
  dataKey: Uint8Array
  failures: unknown[] = []
  alive = true
  /** Its stored rows rot: that some don't open is no fault of its program. */
  mayRot = false
  /** What is under its store has been seen to have rotted: the next start puts it in order, and believes no claim of it. */
  isInDoubt = false
  /** Its store is open, and nothing has been written by this start. */
  opened: (() => void) | undefined
  /** Its key, as maps know it. */
  readonly hex: string

  constructor(
    readonly world: World,
    readonly name: string,
    public secret: Uint8Array,
    public ed: Uint8Array,
  ) {
    this.dataKey = world.random.bytes(32)
    this.hex = toHex(ed)
    if (world.pace) this.disk.slow(world.pace)
  }

  /** How far a power cut now would leave a log. */
  durableSeq(log: string): number {
    return this.durableLog(log).seq
  }

  /** Would a power cut now leave it cut? Memory follows the disk. */
  isDurablyCut(log: string): boolean {
    return this.durableLog(log).isCut
  }

  private durableLog(log: string): { seq: number; isCut: boolean } {
    const key = keys.log(log)
    const stored = this.disk.durable(key)
    if (!stored) return { seq: 0, isCut: false }
    let known = durableLogs.get(stored)
    if (!known) {
      const row = this.replica.db.opened(key, stored)
      // What it was isn't known; no smaller than it is in memory.
      if (!row && this.mayRot) return { seq: Number.POSITIVE_INFINITY, isCut: false }
      if (!row) throw new Error('the row of a log does not open')
      const { seq, cutSeq } = LogRow.decode(row)
      known = { seq, isCut: cutSeq !== undefined }
      durableLogs.set(stored, known)
    }
    return known
  }

  async boot(): Promise<void> {
    try {
      await this.open()
    } catch (error) {
      // As a program does whose store shows at its start that it has rotted: once.
      if (!(error instanceof DamagedError) || !this.mayRot || this.isInDoubt) throw error
      this.isInDoubt = true
      await this.open()
    }
    this.isInDoubt = false
  }

  private async open(): Promise<void> {
    const { world } = this
    const db = new SealedDb({
      db: this.disk.db,
      natives: nodeNatives,
      dataKey: this.dataKey,
      random: (length) => world.random.bytes(length),
    })
    const hasOthers = () => world.members.size > 1
    const sifted = this.isInDoubt ? await distrust(db, nodeNatives, STORE_VERSION, hasOthers()) : undefined
    this.replica = await Replica.open({
      db,
      natives: nodeNatives,
      random: (length) => world.random.bytes(length),
      now: () => world.clock.now + this.wallMs,
      newClientId: () => world.random.int(1, 2 ** 48),
      practice: world.practice,
      indexKey: world.indexKey,
      device: { ed: this.ed, secret: this.secret },
      isMember: (ed) => world.isMember(ed),
      hasOthers,
      binding: this.binding,
      ...this.replicaExtras(),
    })
    this.opened?.()
    if (sifted) await sayAgain(this.replica, sifted)
    this.statements = new Statements(this.replica)
    await this.statements.load()
    this.driver = new Driver({
      replica: this.replica,
      statements: this.statements,
      timers: world.clock,
      roster: {
        head: () => new Uint8Array(32),
        entries: () => [],
        isMember: (ed) => world.isMember(ed),
        apply: async () => false,
        others: () => [...world.members].flatMap(([hex, ed]) => (hex === this.hex ? [] : [ed])),
      },
      ...this.driverExtras(),
      events: { failed: (error) => this.failed(error), ...this.driverExtras().events },
    })
  }

  /** Something of its program has failed. */
  failed(error: unknown): void {
    if (this.mayRot && error instanceof DamagedError) this.isInDoubt = true
    else this.failures.push(error)
  }

  /** What a device with a notepad adds to its store. */
  protected replicaExtras(): Partial<ReplicaOptions> {
    return {}
  }

  /** What a device with more than direct sync adds to its driver. */
  protected driverExtras(): Partial<DriverOptions> {
    return {}
  }

  async edit<T>(caseId: string, change: (doc: Y.Doc) => T): Promise<T> {
    const { result, outcome } = await this.replica.docs.edit(caseId, change)
    if (!outcome.ok) throw new Error(outcome.code)
    return result
  }

  /** Canonical lines of everything held, deleted cases included, read from the stored bytes. */
  lines(): Promise<string[]> {
    return this.disk.quickly(() => this.readLines())
  }

  private async readLines(): Promise<string[]> {
    const lines: string[] = []
    for await (const state of casesFrom(this.replica, new Uint8Array(0))) {
      if (state.parts.length === 0) continue
      const numbers = state.parts.map(({ number }) => keys.part(state.key, number))
      const parts = await this.replica.db.getMany(numbers).catch((error: unknown) => {
        if (this.mayRot && isDamage(error)) return [undefined]
        throw error
      })
      if (this.mayRot && parts.includes(undefined)) {
        lines.push(`${state.caseId}: unreadable`)
        continue
      }
      const line = lineOf(state.caseId, parts as Uint8Array[])
      lines.push(`${line}${state.parked.length > 0 ? ` parked:${state.parked.length}` : ''}`)
    }
    return lines.sort()
  }
}

export class World {
  readonly random: Random
  readonly clock = new Clock()
  practice: Uint8Array
  readonly indexKey: Uint8Array
  readonly members = new Map<string, Uint8Array>()
  readonly devices: SimDevice[] = []
  readonly wires: Wire[] = []
  /** Which device typed a token. */
  readonly typed = new Map<string, unknown>()
  delivered = 0
  /** Of one time of quiet: more messages than that never end. */
  mostMessages = 100_000
  /** Sees every message as it leaves, before it is on its way. */
  onSend: ((from: SimDevice, bytes: Uint8Array) => void) | undefined
  /** Disks take their time. */
  pace: Pace | undefined
  /** How many turns of the event loop go by between two steps of a world whose disks do. */
  stepTurns: Pace | undefined
  /** What becomes of a message on its way. */
  onItsWay: ((from: SimDevice, bytes: Uint8Array, to: 'device' | 'relay') => Uint8Array) | undefined

  constructor(readonly seed: number) {
    this.random = seeded(seed)
    this.practice = this.random.bytes(32)
    this.indexKey = this.random.bytes(32)
  }

  isMember(ed: Uint8Array): boolean {
    return this.members.has(toHex(ed))
  }

  async add(name: string): Promise<SimDevice> {
    const secret = this.random.bytes(32)
    return this.enrol(new SimDevice(this, name, secret, edPublicKey(secret)))
  }

  protected async enrol<T extends SimDevice>(device: T): Promise<T> {
    this.members.set(device.hex, device.ed)
    this.devices.push(device)
    await device.boot()
    return device
  }

  connect(a: SimDevice, b: SimDevice): Wire {
    const wire = { a, b, toA: [], toB: [], open: true } as unknown as Wire
    const link = (from: SimDevice, to: SimDevice, queue: () => Wire['toA']): Link => ({
      publicKey: to.ed,
      send: (lane, bytes) => {
        if (!wire.open) return
        this.onSend?.(from, bytes)
        queue().push({ lane, bytes: this.onItsWay?.(from, bytes, 'device') ?? bytes })
      },
      close: () => this.cut(wire, from),
    })
    this.wires.push(wire)
    wire.sessionA = a.driver.connect(link(a, b, () => wire.toB))
    wire.sessionB = b.driver.connect(link(b, a, () => wire.toA))
    return wire
  }

  /** The connection breaks; what was on its way is gone. */
  cut(wire: Wire, by?: SimDevice): void {
    if (!wire.open) return
    wire.open = false
    wire.toA = []
    wire.toB = []
    const at = this.wires.indexOf(wire)
    if (at >= 0) this.wires.splice(at, 1)
    if (by !== wire.a) wire.a.driver.disconnect(wire.sessionA, 'lost')
    if (by !== wire.b) wire.b.driver.disconnect(wire.sessionB, 'lost')
  }

  /** One message to one side: live ones may overtake bulk ones, never each other. */
  deliver(wire: Wire, toA: boolean): boolean {
    const queue = toA ? wire.toA : wire.toB
    const live = queue.findIndex(({ lane }) => lane === 'live')
    const at =
      live >= 0 && this.random() < 0.5 ? live : queue.findIndex(({ lane }) => lane === queue[0]?.lane)
    const message = queue[at]
    if (!message) return false
    queue.splice(at, 1)
    this.delivered++
    if (toA) void wire.a.driver.receive(wire.sessionA, message.bytes)
    else void wire.b.driver.receive(wire.sessionB, message.bytes)
    return true
  }

  /**
   * Lets all promises of one step run to their ends: neither the database nor anything else needs a turn of the event
   * loop, and what is asked for here comes when no promise has anything left to do.
   */
  async settle(_turns?: number): Promise<void> {
    for (let left = this.stepTurns?.() ?? 0; left > 0; left--) await setImmediate()
    await new Promise<void>((resolve) => process.nextTick(resolve))
  }

  /** No disk has anything left to do. */
  protected get isIdle(): boolean {
    return this.devices.every(({ disk }) => disk.isIdle)
  }

  /** Delivers everything until nothing is on its way. */
  async quiesce(limit = this.mostMessages): Promise<void> {
    for (let step = 0; step < limit; ) {
      let moved = false
      for (const wire of [...this.wires]) {
        for (const toA of [true, false]) {
          while (this.deliver(wire, toA)) {
            moved = true
            step++
          }
        }
      }
      await this.settle()
      if (!moved && this.isIdle && this.wires.every((wire) => wire.toA.length === 0 && wire.toB.length === 0))
        return
    }
    throw new Error(`seed ${this.seed}: messages never end`)
  }

  async stop(): Promise<void> {
    for (const wire of [...this.wires]) this.cut(wire)
    for (const device of this.devices) if (device.alive) await device.driver.stop()
  }
}
