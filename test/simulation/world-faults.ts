/**
 * Everything that happens to devices and relays in a world of the whole simulator: crashes, copied and restored folders,
 * copies that run beside their originals, other keys, deaths, clocks, later versions, rows that rot. Which of it may
 * happen is drawn from the seed (draw.ts); the oracle looks on.
 */
import { concat, toHex } from '../../src/protocol/bytes.js'
import { SYNC_VERSION } from '../../src/protocol/limits.js'
import { KIND_TOMBSTONE, type LogId } from '../../src/protocol/log.js'
import { MAILBOX_VERSION } from '../../src/protocol/mailbox-limits.js'
import { decodeMailFrame, encodeMailFrame, type MailFrameKind } from '../../src/protocol/mailbox-wire.js'
import { decodeFrame, encodeFrame } from '../../src/protocol/wire.js'
import { isDamage } from '../../src/store/case-table.js'
import { keys } from '../../src/store/keyspace.js'
import { prune } from '../../src/store/pruning.js'
import type { Rows } from '../support/disk.js'
import type { MailDevice, MailWire, SimRelay } from '../support/mail-world.js'
import type { SimDevice, Wire } from '../support/world.js'
import { type Draw, drawOf, type Strain } from './draw.js'
import { MAIL_DEFAULTS, MailSimulation } from './mail-sim.js'
import { Oracle } from './oracle.js'
import { flipped, rowsToRot, Standing } from './rot.js'
import { CASES, type SimResult } from './sim.js'

const YEAR_MS = 365 * 24 * 3_600_000
const EPOCH_MS = 1_700_000_000_000
/** Ten times what any of some hundred seeds has needed. */
const MOST_MESSAGES = 5_000
/** Copies of one folder, from different times. */
const KEPT_COPIES = 4
/** What heals one fork restates what another one would have hidden. */
const SHORT: Strain[] = ['apart', 'doubted', 'rotBehind', 'putBack']
const LONG: Strain[] = ['handovers', 'doubted']

/** Breaks something. */
const FAULTS = new Set(
  'cut crash disk restart rollback twin enrol die drop hangup relaycrash relayrestore evil expire quota jump lost meddled overtaken rot'.split(
    ' ',
  ),
)

export class FaultSimulation extends MailSimulation {
  protected readonly draw: Draw
  protected readonly oracle: Oracle
  private readonly older = new Map<SimDevice, Rows[]>()
  private readonly clean = new Map<SimDevice, Rows[]>()
  protected readonly standing: Standing
  /** What becomes of a device's rows before its next start. */
  private readonly whileOff = new Map<SimDevice, () => void>()
  /** Steps that are over. */
  protected turn = 0
  /** Two places hear nothing of each other before this turn. */
  protected apartUntil = 0

  constructor(seed: number, options: { steps: number; strain?: Strain; slow?: boolean }) {
    const draw = drawOf(seed, options.strain)
    const { devices, relays, direct, rollbacks, deaths, evil } = draw
    super(seed, {
      ...MAIL_DEFAULTS,
      steps: SHORT.includes(draw.strain) ? Math.ceil(options.steps / 4) : options.steps,
      devices,
      relays,
      direct,
      rollbacks,
      deaths,
      evil,
      slow: options.slow ?? false,
    })
    this.draw = draw
    this.world.mostMessages = MOST_MESSAGES
    this.oracle = new Oracle(() => this.world.devices)
    this.standing = new Standing(
      () => this.live(),
      this.oracle,
      (what) => this.oracle.lost(`${what}, after ${this.operations.at(-1)}`),
    )
    this.oracle.excused = this.standing.excused
    this.oracle.excusedEnds = this.standing.excusedEnds
  }

  override async run(): Promise<SimResult> {
    const { world, oracle } = this
    const add = world.add.bind(world)
    world.add = async (name) => this.equip(await add(name))
    world.onSend = (from, bytes) => oracle.overhear(from, bytes)
    this.mailWorld.onAnswer = (relay, device, bytes) => oracle.answered(relay, device, bytes)
    world.onItsWay = (from, bytes, to) => (from.isLater ? ofLaterVersion(bytes, to) : bytes)
    const result = await super.run()
    const faults = Object.entries(this.stats).reduce((sum, [kind, n]) => sum + (FAULTS.has(kind) ? n : 0), 0)
    return {
      ...result,
      problems: [...new Set([...oracle.problems, ...result.problems])],
      stats: { ...this.stats, faults },
    }
  }

  /** A device as it enters the world, and after each of its starts. */
  protected equip<T extends SimDevice>(device: T): T {
    const { random } = this.world
    const { skew, later } = this.draw
    device.wallMs ||= EPOCH_MS + (skew ? random.int(-20, 20) * YEAR_MS : 0)
    device.isLater ||= later && random() < 0.3
    device.mayRot = this.rots
    device.opened = () => this.oracle.follow(device)
    const boot = device.boot.bind(device)
    device.boot = async () => {
      this.whileOff.get(device)?.()
      this.whileOff.delete(device)
      await boot()
      if (this.world.pace) await device.disk.quickly(() => this.oracle.catchUp(device))
      this.oracle.follow(device)
      await this.oracle.look(device)
    }
    this.oracle.follow(device)
    return device
  }

  protected override overhear(device: MailDevice, frame: MailFrameKind | undefined, relay: SimRelay): void {
    this.oracle.leaves(relay, device, frame)
    super.overhear(device, frame, relay)
  }

  protected override isForked(log: LogId): boolean {
    return this.oracle.forked.has(log)
  }

  protected get rots(): boolean {
    return this.draw.rot !== 'nothing'
  }

  protected count(kind: string, by = 1): void {
    this.stats[kind] = (this.stats[kind] ?? 0) + by
  }

  protected isApart(a: SimDevice, b: SimDevice): boolean {
    return this.turn < this.apartUntil && this.placeOf(a) !== this.placeOf(b)
  }

  /** A device's copies are in the other place, all of them. */
  protected placeOf(device: SimDevice): number {
    const first = this.world.devices.findIndex(({ ed }) => toHex(ed) === toHex(device.ed))
    return (first + (this.world.devices[first] === device ? 0 : 1)) % 2
  }

  protected override async connect(a: SimDevice): Promise<void> {
    const b = this.world.random.pick(this.live())
    // Nobody connects to itself, be it a copy.
    if (a === b || toHex(a.ed) === toHex(b.ed) || this.wireBetween(a, b) || this.isApart(a, b)) return
    this.note(`connect ${a.name} ${b.name}`)
    this.world.connect(a, b)
  }

  protected wireBetween(a: SimDevice, b: SimDevice): Wire | undefined {
    return this.world.wires.find((wire) => (wire.a === a && wire.b === b) || (wire.a === b && wire.b === a))
  }

  /** Long texts, so that whole states are on their way for long. */
  protected override textOf(token: string): string {
    return LONG.includes(this.draw.strain) ? token.padEnd(200, '.') : token
  }

  /** As it is: no connection breaks. */
  protected deliverUnharmed(count: number): Promise<void> {
    return super.deliver(count)
  }

  /** Connections break while much is on its way. */
  protected override async deliver(count: number): Promise<void> {
    await super.deliver(count)
    if (this.world.random() < 0.25) await this.cutSome()
  }

  protected override async cutSome(): Promise<void> {
    const before = this.world.wires.reduce((sum, { toA, toB }) => sum + toA.length + toB.length, 0)
    await super.cutSome()
    const after = this.world.wires.reduce((sum, { toA, toB }) => sum + toA.length + toB.length, 0)
    this.count('lost', before - after)
  }

  protected override async crash(device: SimDevice): Promise<void> {
    this.oracle.forget(device)
    await super.crash(device)
  }

  protected override async deliverMail(count: number): Promise<void> {
    await super.deliverMail(count)
    if (this.world.random() < 0.25) await this.cutMailSome()
  }

  protected override async cutMailSome(): Promise<void> {
    const before = this.mailWorld.mailWires.reduce((sum, each) => sum + inFlight(each), 0)
    await super.cutMailSome()
    const after = this.mailWorld.mailWires.reduce((sum, each) => sum + inFlight(each), 0)
    this.count('lost', before - after)
  }

  protected toggleDisk(device: SimDevice): void {
    device.disk.held = !device.disk.held
    if (!device.disk.held) device.disk.release()
    this.note(`disk ${device.name} ${device.disk.held ? 'slow' : 'fast'}`)
  }

  /** The folder is copied while it is in use: what is durable now. */
  protected copy(device: SimDevice): void {
    this.note(`copy ${device.name}`)
    this.older.set(device, [device.disk.snapshot(), ...(this.older.get(device) ?? [])].slice(0, KEPT_COPIES))
  }

  /** Copies from several clean stops: what is put back may be older than what was put back before. */
  protected override async restart(device: SimDevice): Promise<void> {
    await super.restart(device)
    const rows = this.snapshots.get(device)
    const kept = this.clean.get(device) ?? []
    if (rows && !kept.includes(rows)) this.clean.set(device, [rows, ...kept].slice(0, KEPT_COPIES))
  }

  protected override async rollBack(device: SimDevice): Promise<void> {
    const clean = this.clean.get(device)
    if (clean && this.draw.strain !== 'none') this.snapshots.set(device, this.world.random.pick(clean))
    const older = this.older.get(device) ?? []
    if (older.length > 0 && this.world.random() < 0.6)
      this.snapshots.set(device, this.world.random.pick(older))
    if (this.snapshots.has(device)) this.oracle.hasCopies = true
    this.oracle.forget(device)
    await super.rollBack(device)
  }

  protected async putBack(device: SimDevice, rows: Rows): Promise<void> {
    this.snapshots.set(device, rows)
    this.oracle.hasCopies = true
    this.oracle.forget(device)
    await super.rollBack(device)
  }

  /** The copy of a folder runs as well, noticed (another machine or path) or not. */
  protected async addTwin(device: MailDevice, isNoticed = this.world.random() < 0.5): Promise<void> {
    const rows = this.snapshots.get(device) ?? this.older.get(device)?.[0]
    if (!rows || this.world.devices.length >= 7) return
    this.note(`twin ${device.name} ${isNoticed ? 'noticed' : 'unnoticed'}`)
    this.oracle.hasCopies = true
    const binding = isNoticed ? `${device.binding}+` : device.binding
    const twin = this.equip(await this.mailWorld.addTwin(device, rows, binding))
    if (isNoticed) this.oracle.beginsAnew(twin)
  }

  /** One of two processes with one key goes on under another, and knows nothing of what the other one holds. */
  protected async enrolAnew(device: MailDevice): Promise<void> {
    const former = device.ed
    if (!this.live().some((other) => other !== device && toHex(other.ed) === toHex(former))) return
    this.note(`enrol ${device.name}`)
    for (const kept of [this.snapshots, this.older, this.clean]) kept.delete(device)
    device.disk.held = false
    device.disk.release()
    await device.replica.db.write([{ key: keys.statement(former), value: undefined }])
    await device.replica.flush()
    this.mailWorld.enrolAnew(device)
    if (this.world.random() < 0.7) await this.restart(device)
    else await this.crash(device)
    for (const each of this.live() as MailDevice[]) each.mail.rosterChanged()
    // It goes on in no log of its original's.
    this.oracle.beginsAnew(device)
  }

  protected async dieIfAllowed(device: SimDevice): Promise<void> {
    if (this.live().length > 2) await this.die(device)
  }

  protected async join(): Promise<void> {
    if (this.world.devices.length >= 6) return
    const added = await this.world.add(`d${this.world.devices.length}`)
    this.note(`join ${added.name}`)
  }

  /** Past the bound: changes go whoever lacks them, and whole states must do. */
  protected async dropOld(device: SimDevice): Promise<void> {
    if (this.rots && device.disk.held) return
    this.note(`drop ${device.name}`)
    this.oracle.drops = true
    await Promise.race([prune(device.replica, () => [], this.world.random.int(0, 4)), this.world.settle(2)])
  }

  /** Erased for good: a tombstone for what this device knows of the case. */
  protected async erase(device: SimDevice): Promise<void> {
    const caseId = this.world.random.pick(CASES)
    const { replica } = device
    const state = await replica.caseState(replica.keyOf(caseId))
    if (!state || state.parts.length === 0) return
    this.note(`erase ${device.name} ${caseId} ${state.generation}`)
    const { generation } = state
    const update = new Uint8Array(0)
    await this.written(replica.append([{ caseId, kind: KIND_TOMBSTONE, update, generation }]))
  }

  /** Somebody sets a clock. */
  protected jump(device: SimDevice): void {
    const years = this.world.random.int(-20, 20)
    this.note(`jump ${device.name} ${years}`)
    device.wallMs = EPOCH_MS + years * YEAR_MS
  }

  /** A later version writes a kind of change that nobody here knows: void, and no obstacle. */
  protected async appendUnknown(device: SimDevice): Promise<void> {
    if (!device.isLater) return
    this.note(`unknown ${device.name}`)
    const update = this.world.random.bytes(20)
    const caseId = this.world.random.pick(CASES)
    await this.written(device.replica.append([{ caseId, kind: 9, update }]))
  }

  /** A person is told that it can't be read. */
  protected async orDamaged(work: () => Promise<unknown>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!this.rots || !isDamage(error)) throw error
      this.note('unreadable')
    }
  }

  protected override edit(device: SimDevice, id?: string): Promise<void> {
    return this.orDamaged(() => super.edit(device, id))
  }

  protected override async flush(device: SimDevice): Promise<void> {
    if (!this.rots) return super.flush(device)
    this.note(`flush ${device.name}`)
    await this.written(device.replica.flush())
  }

  /**
   * Rows rot, while the device runs or is off. What LevelDB's checksums show at the next start makes that believe
   * nothing; what rotted in memory, before it was written, they don't show. Rows are gone without a word only behind
   * files that have rotted.
   */
  protected async rot(device: SimDevice): Promise<void> {
    const { random } = this.world
    const isOff = random() < 0.5
    const isSeen = random() < 0.5
    const rot = () => {
      const names = rowsToRot(device, random, this.draw.rot === 'everything')
      this.rotNow(device, names, isSeen, isOff && isSeen)
    }
    // What rots between a look at it and the write that counts on that can't be helped.
    while (!device.disk.isIdle) await this.world.settle()
    if (!isOff) return rot()
    this.whileOff.set(device, rot)
    await (random() < 0.5 ? this.restart(device) : this.crash(device))
  }

  protected rotNow(device: SimDevice, names: string[], isSeen: boolean, mayBeGone: boolean): void {
    const { random } = this.world
    const rotten: string[] = []
    const gone = this.standing.except(() => {
      for (const name of names) {
        const value =
          mayBeGone && random() < 0.4 ? undefined : flipped(device.disk.durableRows.get(name)!, random)
        if (device.disk.rot(name, value)) rotten.push(`${value ? '' : '-'}${name[0]}`)
      }
    })
    if (rotten.length === 0) return
    if (isSeen) device.isInDoubt = true
    this.oracle.hasRotted(device)
    this.note(`rot ${device.name} ${isSeen ? 'seen' : 'unseen'} ${rotten.join('')} ${gone.join()}`)
    this.count('excused', gone.length)
  }

  protected async changeQuota(relay: SimRelay): Promise<void> {
    relay.quotaBytes = this.world.random.pick([2_000, 6_000, 20_000, undefined])
    this.note(`quota ${relay.quotaBytes}`)
    await relay.crash(relay.disk.unflushed)
  }

  protected rotate(): void {
    this.note('rotate')
    this.mailWorld.rotate()
  }
}

/** What is said of a later version: it offers a version that nobody here has, and says more than is understood. */
function ofLaterVersion(bytes: Uint8Array, to: 'device' | 'relay'): Uint8Array {
  return concat([offeringMore(bytes, to), UNKNOWN_FIELD])
}

function offeringMore(bytes: Uint8Array, to: 'device' | 'relay'): Uint8Array {
  if (to === 'device') {
    const frame = decodeFrame(bytes)
    if (frame?.$case !== 'hello') return bytes
    return encodeFrame({ ...frame, value: { ...frame.value, newest: SYNC_VERSION + 1 } })
  }
  const frame = decodeMailFrame(bytes)
  if (frame?.$case !== 'greet') return bytes
  return encodeMailFrame({ ...frame, value: { ...frame.value, newest: MAILBOX_VERSION + 1 } })
}

const inFlight = ({ toDevice, toRelay }: MailWire) => toDevice.length + toRelay.length

/** Field 1,000, a varint. */
const UNKNOWN_FIELD = Uint8Array.of(0xc0, 0x3e, 0x01)
