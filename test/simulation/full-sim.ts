/**
 * The simulator at full strength: two to six devices, direct paths and up to two relays in one run, and everything that
 * happens to them in years. Which of it happens is drawn from the seed. The oracle looks on all the way; in the end
 * everybody who is left meets, by whatever path the seed leaves them, and has the same, with nothing lost.
 */
import { concat, toHex } from '../../src/protocol/bytes.js'
import { SYNC_VERSION } from '../../src/protocol/limits.js'
import { KIND_TOMBSTONE, type LogId } from '../../src/protocol/log.js'
import { MAILBOX_VERSION } from '../../src/protocol/mailbox-limits.js'
import { decodeMailFrame, encodeMailFrame, type MailFrameKind } from '../../src/protocol/mailbox-wire.js'
import { decodeFrame, encodeFrame } from '../../src/protocol/wire.js'
import { isDamage } from '../../src/store/case-table.js'
import { fingerprints } from '../../src/store/fingerprints.js'
import { keys } from '../../src/store/keyspace.js'
import { prune } from '../../src/store/pruning.js'
import type { Rows } from '../support/disk.js'
import type { MailDevice, MailWire, SimRelay } from '../support/mail-world.js'
import type { SimDevice, Wire } from '../support/world.js'
import { type Draw, drawOf, type Ending, type Strain } from './draw.js'
import { MAIL_DEFAULTS, MailSimulation } from './mail-sim.js'
import { Oracle } from './oracle.js'
import { flipped, rowsOf, rowsToRot, Standing } from './rot.js'
import { CASES, runToEnd, type SimResult, tokensOf } from './sim.js'

const YEAR_MS = 365 * 24 * 3_600_000
const EPOCH_MS = 1_700_000_000_000

export interface FullOptions {
  steps: number
  /** Drawn from the seed unless it is given. */
  strain?: Strain
  /** How often the oracle looks, in steps. */
  lookEvery: number
}

export const FULL_DEFAULTS: FullOptions = { steps: 360, lookEvery: 40 }

/** Breaks something. */
const FAULTS = new Set(
  'cut crash disk restart rollback twin enrol die drop hangup relaycrash relayrestore evil expire quota jump lost meddled overtaken rot'.split(
    ' ',
  ),
)

class FullSimulation extends MailSimulation {
  private readonly draw: Draw
  private readonly oracle: Oracle
  private readonly menu: { upTo: number; run: (device: MailDevice, relay: SimRelay) => unknown }[] = []
  private readonly older = new Map<SimDevice, Rows[]>()
  private readonly clean = new Map<SimDevice, Rows[]>()
  private readonly standing: Standing
  /** What becomes of a device's rows before its next start. */
  private readonly whileOff = new Map<SimDevice, () => void>()
  private turn = 0
  /** Two places hear nothing of each other before this turn. */
  private apartUntil = 0

  constructor(
    seed: number,
    readonly fullOptions: FullOptions,
  ) {
    const draw = drawOf(seed, fullOptions.strain)
    const { devices, relays, direct, rollbacks, deaths, evil } = draw
    super(seed, {
      ...MAIL_DEFAULTS,
      steps: SHORT.includes(draw.strain) ? Math.ceil(fullOptions.steps / 4) : fullOptions.steps,
      devices,
      relays,
      direct,
      rollbacks,
      deaths,
      evil,
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
    this.fillMenu()
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
  private equip<T extends SimDevice>(device: T): T {
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

  private get rots(): boolean {
    return this.draw.rot !== 'nothing'
  }

  private count(kind: string, by = 1): void {
    this.stats[kind] = (this.stats[kind] ?? 0) + by
  }

  // ---- chaos

  private fillMenu(): void {
    const { draw, world } = this
    const { random } = world
    let sum = 0
    const add = (weight: number, run: (device: MailDevice, relay: SimRelay) => unknown, when = true) => {
      if (!when) return
      sum += weight
      this.menu.push({ upTo: sum, run })
    }
    const mail = draw.relays > 0
    const forks = FORKING.includes(draw.strain) ? 5 : 1
    const states = draw.strain === 'states' ? 4 : 1
    const losses = draw.strain === 'losses' ? 3 : 1
    add(22, (device) => this.edit(device))
    add(15, (device) => this.connect(device), draw.direct)
    add(20, () => this.deliver(random.int(1, 12)), draw.direct)
    add(10 * losses, () => this.cutSome(), draw.direct)
    // After a crash a new log begins; a fork of a fork needs one that is gone on with for long.
    add(forks > 1 ? 2 : 9 * losses, (device) => this.crash(device))
    add(3 * states, (device) => this.prune(device))
    add(3 * states, (device) => this.dropOld(device), draw.dropping)
    add(5, () => this.passMail(random.pick([50, 300, 2_500, 12_000])))
    add(9 * Math.min(2, losses), (device) => this.toggleDisk(device))
    add(5 * Math.min(2, forks), (device) => this.restart(device))
    add(forks, (device) => this.copy(device), draw.rollbacks || draw.twins)
    add(2 * forks, (device) => this.rollBack(device), draw.rollbacks)
    const copies = draw.strain === 'copies' ? 5 : 1
    add(Math.min(3, forks) * copies, (device) => this.addTwin(device), draw.twins)
    add(0.7, (device) => this.dieIfAllowed(device), draw.deaths)
    add(0.8, () => this.join())
    add(2, (device) => this.flush(device))
    add(1.5, (device) => this.erase(device), draw.erasing)
    add(4, (device) => this.jump(device), draw.skew)
    add(1, (device) => this.appendUnknown(device), draw.later)
    add(6, (device, relay) => this.connectMail(device, relay), mail)
    add(draw.direct ? 9 : 20, (device, relay) => this.visit(device, relay), mail)
    add(14, () => this.deliverMail(random.int(1, 16)), mail)
    add(6 * losses, () => this.cutMailSome(), mail)
    add(4 * losses, (_device, relay) => this.crashRelay(relay), mail)
    add(1, (_device, relay) => this.copyRelay(relay), mail)
    add(1, (_device, relay) => this.restoreRelay(relay), mail)
    add(1, (device) => this.toggle(device), mail)
    add(4, (_device, relay) => this.turnEvil(relay), mail && draw.evil)
    add(2, (_device, relay) => this.expire(relay), mail)
    add(1, (_device, relay) => this.changeQuota(relay), mail && draw.quotas)
    add(0.7, () => this.rotate(), mail)
    add(5, (device) => this.enrolAnew(device), draw.strain === 'copies')
    add(8, (device) => this.rot(device), this.rots)
    add(6, (device) => this.gather(device), draw.strain === 'apart')
    add(40, (device) => this.handOver(device), draw.strain === 'handovers')
  }

  protected override async chaos(): Promise<void> {
    const { random } = this.world
    if (this.turn === 0 && this.draw.strain === 'apart') await this.partWays()
    if (this.turn === 0 && this.draw.strain === 'handovers') await this.letIn()
    if (this.turn === 0 && this.draw.strain === 'doubted') await this.leaveInDoubt()
    if (this.turn === 0 && this.draw.strain === 'rotBehind') await this.fallBehind()
    if (this.turn === 0 && this.draw.strain === 'putBack') await this.goBack()
    const roll = random() * this.menu[this.menu.length - 1]!.upTo
    const device = random.pick(this.live()) as MailDevice
    const relay = random.pick(this.mailWorld.relays)
    const { run } = this.menu.find(({ upTo }) => roll < upTo)!
    await this.orDamaged(async () => run(device, relay))
    this.oracle.tick()
    if (this.rots && this.turn % LOOK_AT_DISKS === 0) this.standing.look()
    if (++this.turn % this.fullOptions.lookEvery === 0) await this.oracle.look(random.pick(this.live()))
  }

  protected override async connect(a: SimDevice): Promise<void> {
    const b = this.world.random.pick(this.live())
    // Nobody connects to itself, be it a copy.
    if (a === b || toHex(a.ed) === toHex(b.ed) || this.wireBetween(a, b) || this.isApart(a, b)) return
    this.note(`connect ${a.name} ${b.name}`)
    this.world.connect(a, b)
  }

  private isApart(a: SimDevice, b: SimDevice): boolean {
    return this.turn < this.apartUntil && this.placeOf(a) !== this.placeOf(b)
  }

  /** A device's copies are in the other place, all of them. */
  private placeOf(device: SimDevice): number {
    const first = this.world.devices.findIndex(({ ed }) => toHex(ed) === toHex(device.ed))
    return (first + (this.world.devices[first] === device ? 0 : 1)) % 2
  }

  private async partWays(): Promise<void> {
    const { random } = this.world
    await this.writeOnTop()
    this.apartUntil = random() < 0.5 ? 1 : random.int(1, Math.floor(this.options.steps * 0.8))
    await this.forkTwice()
  }

  private async write(device: SimDevice, from: number, to: number): Promise<void> {
    for (let left = this.world.random.int(from, to); left > 0; left--) await this.edit(device)
  }

  private async stopAndCopy(device: SimDevice): Promise<void> {
    for (const before = this.snapshots.get(device); this.snapshots.get(device) === before; )
      await this.restart(device)
  }

  /**
   * One builds on what another wrote, and is put back: a third, which lacks that base, alone holds what was built. Who
   * wrote the base is in another place by then.
   */
  private async writeOnTop(): Promise<void> {
    const { world } = this
    const [holder, writer, builder] = world.devices as [SimDevice, SimDevice, SimDevice]
    await this.write(builder, 1, 3)
    await this.stopAndCopy(builder)
    await this.gather(holder)
    const between = world.connect(writer, builder)
    await world.quiesce()
    await this.edit(writer, LAST_CASE)
    while (world.deliver(between, false)) await world.settle(1)
    await this.edit(builder, LAST_CASE)
    const built = this.wireBetween(builder, holder)
    while (built && world.deliver(built, built.a === holder)) await world.settle(1)
    for (const wire of [...world.wires]) world.cut(wire)
    await this.rollBack(builder)
    await this.write(builder, 1, 3)
  }

  /** A copy of a folder is taken to another place, is gone on with there, and is itself put back and gone on with. */
  private async forkTwice(): Promise<void> {
    const { random } = this.world
    const owner = this.world.devices[0] as MailDevice
    await this.write(owner, 1, 4)
    await this.gather(owner)
    await this.stopAndCopy(owner)
    await this.addTwin(owner, false)
    const length = random.int(2, 5)
    await this.write(owner, length + 1, length + 3)
    await this.gather(owner)
    const twin = this.world.devices.at(-1)!
    if (toHex(twin.ed) !== toHex(owner.ed) || twin === owner) return
    await this.write(twin, length, length)
    await this.stopAndCopy(twin)
    await this.write(twin, 1, 3)
    await this.gather(twin)
    await this.rollBack(twin)
    await this.write(twin, 1, 3)
    await this.gather(twin)
  }

  /** A new device is given everything, twice broken off, by one that goes on writing. */
  private async letIn(): Promise<void> {
    const { random, devices, clock } = this.world
    const [giver, taker] = devices as [SimDevice, SimDevice]
    for (let left = random.int(25, 45); left > 0; left--) await this.edit(giver)
    for (let at = 0; at < 2; at++) {
      const wire = this.world.connect(giver, taker)
      for (let left = random.int(12, 30); left > 0; left--) {
        this.world.deliver(wire, random() < 0.4)
        await this.world.settle(1)
        if (taker.driver.isReceiving && at > 0 && random() < 0.3) {
          await this.edit(giver)
          clock.pass(300)
        }
      }
      if (at === 0) this.world.cut(wire)
      for (let left = random.int(1, 5); left > 0; left--) await this.edit(giver)
    }
  }

  /**
   * Whole states are broken off, and their giver is put back: nobody else has what came. It goes on, is put back once
   * more, and goes on another way, so that a third device cuts its log, and is gone then.
   */
  private async leaveInDoubt(): Promise<void> {
    const { world } = this
    const { random } = world
    const [giver, taker, third] = world.devices as [MailDevice, SimDevice, SimDevice]
    await this.write(giver, 1, 5)
    const before = await this.folderOf(giver)
    await this.write(giver, 2, 8)
    await prune(giver.replica, () => [], 0)
    const wire = world.connect(giver, taker)
    // The first cases have come, and the rest never does.
    for (let left = 99, more = random.int(1, 4); left > 0 && more > 0; left--) {
      world.deliver(wire, random() < 0.4)
      await world.settle(1)
      if (taker.replica.meta.total > 0) more--
    }
    world.cut(wire)
    await this.putBack(giver, before)
    await this.write(giver, 1, 10)
    const between = await this.folderOf(giver)
    for (let at = 0; at < 2; at++) {
      if (at > 0) await this.putBack(giver, between)
      await this.write(giver, 1, 4)
      await this.meetAlone(giver, third)
    }
    await this.die(giver)
  }

  /**
   * A case rots where it came with whole states. Before anybody else a device gives whole states of it, too, that has
   * written in it, and has not heard of all that was.
   */
  private async fallBehind(): Promise<void> {
    const { world } = this
    const { random } = world
    const [author, holder, other] = world.devices as [SimDevice, SimDevice, SimDevice]
    const caseId = random.pick(CASES)
    const writeIn = async (device: SimDevice) => {
      for (let left = random.int(1, 3); left > 0; left--)
        await this.edit(device, random() < 0.6 ? caseId : undefined)
      await this.edit(device, caseId)
    }
    await writeIn(author)
    await this.gather(other)
    for (const wire of [...world.wires]) world.cut(wire)
    await writeIn(author)
    await this.meetAlone(author, holder)
    await writeIn(other)
    for (const device of [holder, other]) await this.flush(device)
    // What it alone has written is only among what it retains then.
    const unretained = rowsOf(other, caseId).filter((name) => name[0] !== 'l')
    if (random() < 0.3) this.rotNow(other, unretained, random() < 0.5, false)
    this.oracle.drops = true
    for (const { replica } of [holder, other]) await prune(replica, () => [], 0)
    await this.flush(holder)
    this.rotNow(holder, rowsOf(holder, caseId), random() < 0.5, false)
    if (random() < 0.7) for await (const _ of fingerprints(holder.replica));
    await this.meetAlone(other, holder)
  }

  /**
   * Whole states come by mail to a device that was put back since it said how far it is: they begin where it is no more.
   * Or it has meanwhile met their giver when that had been put back itself and gone on another way.
   */
  private async goBack(): Promise<void> {
    const { random } = this.world
    const [giver, taker] = this.world.devices as [MailDevice, MailDevice]
    await this.write(giver, 1, 3)
    await this.meetAlone(giver, taker)
    const [givers, takers] = [await this.folderOf(giver), await this.folderOf(taker)]
    const more = random.int(1, 4)
    await this.write(giver, more, more)
    for (const device of [giver, taker, giver]) await super.alone(device)
    const further = await this.folderOf(giver)
    await this.putBack(taker, takers)
    if (random() < 0.5) {
      await this.putBack(giver, givers)
      await this.write(giver, more, more)
      await this.meetAlone(giver, taker)
      await this.putBack(giver, further)
    }
    await this.write(giver, 1, 2)
    this.oracle.drops = true
    await prune(giver.replica, () => [], 0)
    for (const device of [giver, taker]) await super.alone(device)
  }

  private async meetAlone(a: SimDevice, b: SimDevice): Promise<void> {
    const wire = this.world.connect(a, b)
    await this.world.quiesce()
    this.world.clock.pass(3_000)
    await this.world.quiesce()
    this.world.cut(wire)
  }

  /** A device's folder as a clean stop leaves it. */
  private async folderOf(device: SimDevice): Promise<Rows> {
    await this.stopAndCopy(device)
    return this.snapshots.get(device)!
  }

  private async putBack(device: SimDevice, rows: Rows): Promise<void> {
    this.snapshots.set(device, rows)
    this.oracle.hasCopies = true
    this.oracle.forget(device)
    await super.rollBack(device)
  }

  /** Everybody in one place is connected for long enough: what one of them has, all have. */
  private async gather(device: SimDevice): Promise<void> {
    this.note(`gather ${device.name}`)
    for (const each of this.live()) {
      each.disk.held = false
      each.disk.release()
      if (each !== device && toHex(each.ed) !== toHex(device.ed) && !this.isApart(each, device))
        if (!this.wireBetween(each, device)) this.world.connect(device, each)
    }
    await this.world.quiesce()
    this.world.clock.pass(3_000)
    await this.world.quiesce()
  }

  /** Long texts, so that whole states are on their way for long. */
  protected override textOf(token: string): string {
    return LONG.includes(this.draw.strain) ? token.padEnd(200, '.') : token
  }

  /** A giver of whole states goes on writing while they flow; the connection breaks in the midst, and another one goes on. */
  private async handOver(device: SimDevice): Promise<void> {
    const { random, clock, wires } = this.world
    let wire = wires.find(({ a, b }) => a.driver.isReceiving || b.driver.isReceiving)
    if (!wire) return this.connect(device)
    const taker = wire.a.driver.isReceiving ? wire.a : wire.b
    this.note(`handover ${taker.name}`)
    for (let left = random.int(4, 24); left > 0; left--) {
      if (!wire.open) {
        const giver = random.pick(this.live())
        if (toHex(giver.ed) === toHex(taker.ed) || this.wireBetween(giver, taker)) continue
        wire = this.world.connect(giver, taker)
      }
      const isForA: boolean = (wire.a === taker) === random() < 0.6
      if (random() < 0.2) await this.edit(wire.a === taker ? wire.b : wire.a)
      if (random() < 0.2) clock.pass(300)
      this.world.deliver(wire, isForA)
      await this.world.settle(1)
      if (random() < 0.06) this.world.cut(wire)
    }
  }

  private wireBetween(a: SimDevice, b: SimDevice): Wire | undefined {
    return this.world.wires.find((wire) => (wire.a === a && wire.b === b) || (wire.a === b && wire.b === a))
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

  private toggleDisk(device: SimDevice): void {
    device.disk.held = !device.disk.held
    if (!device.disk.held) device.disk.release()
    this.note(`disk ${device.name} ${device.disk.held ? 'slow' : 'fast'}`)
  }

  /** The folder is copied while it is in use: what is durable now. */
  private copy(device: SimDevice): void {
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

  /** The copy of a folder runs as well, noticed (another machine or path) or not. */
  private async addTwin(device: MailDevice, isNoticed = this.world.random() < 0.5): Promise<void> {
    const rows = this.snapshots.get(device) ?? this.older.get(device)?.[0]
    if (!rows || this.world.devices.length >= 7) return
    this.note(`twin ${device.name} ${isNoticed ? 'noticed' : 'unnoticed'}`)
    this.oracle.hasCopies = true
    const binding = isNoticed ? `${device.binding}+` : device.binding
    const twin = this.equip(await this.mailWorld.addTwin(device, rows, binding))
    if (isNoticed) this.oracle.beginsAnew(twin)
  }

  /** One of two processes with one key goes on under another, and knows nothing of what the other one holds. */
  private async enrolAnew(device: MailDevice): Promise<void> {
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

  private async dieIfAllowed(device: SimDevice): Promise<void> {
    if (this.live().length > 2) await this.die(device)
  }

  private async join(): Promise<void> {
    if (this.world.devices.length >= 6) return
    const added = await this.world.add(`d${this.world.devices.length}`)
    this.note(`join ${added.name}`)
  }

  /** Past the bound: changes go whoever lacks them, and whole states must do. */
  private async dropOld(device: SimDevice): Promise<void> {
    if (this.rots && device.disk.held) return
    this.note(`drop ${device.name}`)
    this.oracle.drops = true
    await Promise.race([prune(device.replica, () => [], this.world.random.int(0, 4)), this.world.settle(2)])
  }

  /** Erased for good: a tombstone for what this device knows of the case. */
  private async erase(device: SimDevice): Promise<void> {
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
  private jump(device: SimDevice): void {
    const years = this.world.random.int(-20, 20)
    this.note(`jump ${device.name} ${years}`)
    device.wallMs = EPOCH_MS + years * YEAR_MS
  }

  /** A later version writes a kind of change that nobody here knows: void, and no obstacle. */
  private async appendUnknown(device: SimDevice): Promise<void> {
    if (!device.isLater) return
    this.note(`unknown ${device.name}`)
    const update = this.world.random.bytes(20)
    const caseId = this.world.random.pick(CASES)
    await this.written(device.replica.append([{ caseId, kind: 9, update }]))
  }

  /** A person is told that it can't be read. */
  private async orDamaged(work: () => Promise<unknown>): Promise<void> {
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
  private async rot(device: SimDevice): Promise<void> {
    const { random } = this.world
    const isOff = random() < 0.5
    const isSeen = random() < 0.5
    const rot = () => {
      const names = rowsToRot(device, random, this.draw.rot === 'everything')
      this.rotNow(device, names, isSeen, isOff && isSeen)
    }
    if (!isOff) return rot()
    this.whileOff.set(device, rot)
    await (random() < 0.5 ? this.restart(device) : this.crash(device))
  }

  private rotNow(device: SimDevice, names: string[], isSeen: boolean, mayBeGone: boolean): void {
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

  private async changeQuota(relay: SimRelay): Promise<void> {
    relay.quotaBytes = this.world.random.pick([2_000, 6_000, 20_000, undefined])
    this.note(`quota ${relay.quotaBytes}`)
    await relay.crash(relay.disk.unflushed)
  }

  private rotate(): void {
    this.note('rotate')
    this.mailWorld.rotate()
  }

  // ---- healing

  protected override async heal(): Promise<string[]> {
    const { mailWorld } = this
    const apart = await this.standingApart()
    if (this.rots) await this.lookAfterRot()
    const ending = this.live().some(({ name }) => name.endsWith('+')) ? 'direct' : this.draw.ending
    this.note(`heal ${ending}`)
    for (const wire of [...mailWorld.wires]) mailWorld.cut(wire)
    for (const wire of [...mailWorld.mailWires]) mailWorld.cutMail(wire)
    for (const device of this.live() as MailDevice[]) {
      device.disk.held = false
      device.disk.release()
      device.collects = true
    }
    for (const relay of mailWorld.relays) {
      // With direct paths, a relay that means ill to the end stops nobody.
      if (ending === 'alone') relay.meddle = undefined
      if (relay.quotaBytes === undefined) continue
      relay.quotaBytes = undefined
      await relay.crash(relay.disk.unflushed)
    }
    await mailWorld.settle(3)
    // A device and its own copy can't talk to each other: a last one joins that can talk to both.
    const isAlone = this.live().every(({ ed }) => toHex(ed) === toHex(this.live()[0]!.ed))
    if (isAlone && this.live().length > 1) await this.world.add('last')
    return [...apart, ...(ending === 'alone' ? await super.heal() : await this.healTogether(ending))]
  }

  /** Many connections, and much on its way, while nothing breaks. */
  private async bustle(): Promise<void> {
    const { random } = this.world
    for (let at = 0; at < BUSTLE_STEPS && this.draw.direct; at++) {
      const device = random.pick(this.live())
      if (at % 3 === 0) await this.connect(device)
      else await this.edit(device)
      await super.deliver(random.int(0, 6))
    }
  }

  /** Before the last meeting somebody looks whether everything can be read, and starts again what asks for it. */
  private async lookAfterRot(): Promise<void> {
    for (const device of this.live()) await device.replica.flush()
    this.standing.look()
    for (const device of this.live()) {
      if (device.isInDoubt || this.world.random() < 0.5) await this.restart(device)
      for await (const _ of fingerprints(device.replica));
    }
  }

  protected override async expectedTokens(live: SimDevice[]): Promise<Set<string>> {
    return this.rots ? new Set(this.standing.tokens.keys()) : super.expectedTokens(live)
  }

  /** Whose connection still stands has the same as the other in the end, without a new one and without being asked. */
  private async standingApart(): Promise<string[]> {
    const { mailWorld } = this
    for (const device of this.live()) {
      device.disk.held = false
      device.disk.release()
    }
    for (const wire of [...mailWorld.mailWires]) mailWorld.cutMail(wire)
    await this.bustle()
    for (let at = 0; at < STANDING_ROUNDS; at++) {
      await mailWorld.quiesce()
      mailWorld.clock.pass(3_000)
    }
    await mailWorld.quiesce()
    const digest = ({ replica }: SimDevice) => toHex(replica.digest())
    return mailWorld.wires
      .filter(({ a, b }) => digest(a) !== digest(b))
      .map(({ a, b }) => `${a.name} and ${b.name} are connected and stay apart`)
  }

  /** Whoever is told so starts it again. */
  protected override async alone(device: MailDevice): Promise<void> {
    if (device.isInDoubt) await this.restart(device)
    await super.alone(device)
  }

  private async healTogether(ending: Ending): Promise<string[]> {
    const { world, mailWorld } = this
    const expected = await this.expectedTokens(this.live())
    const rounds = ROUNDS * this.mostCopies
    for (let round = 0; round < rounds; round++) {
      const online = this.onlineIn(round)
      for (const wire of [...world.wires])
        if (!online.includes(wire.a) || !online.includes(wire.b)) world.cut(wire)
      if (ending === 'both')
        for (const device of online as MailDevice[])
          for (const relay of mailWorld.relays)
            if (!this.wireOf(device, relay)) await mailWorld.connectMail(device, relay)
      // Whoever is told so starts it again.
      for (const device of online) if (device.isInDoubt) await this.restart(device)
      this.meet(online)
      await world.quiesce()
      await mailWorld.pass(3_000, 3_000)
      if (await this.settled()) return this.check(expected)
      if (round % 5 === 4) for (const wire of [...world.wires]) world.cut(wire)
    }
    return [`never settled: ${await this.describeAll()}`, ...(await this.check(expected))]
  }

  /** All, but of a device and its copies one at a time: two can't be connected to anybody together. */
  private onlineIn(round: number): SimDevice[] {
    const byKey = new Map<string, SimDevice[]>()
    for (const device of this.live())
      byKey.set(toHex(device.ed), [...(byKey.get(toHex(device.ed)) ?? []), device])
    // Each changes as often as all before it have had all their turns, so that everybody meets everybody.
    let turn = Math.floor(round / 2)
    return [...byKey.values()].map((twins) => {
      const online = twins[turn % twins.length]!
      turn = Math.floor(turn / twins.length)
      return online
    })
  }

  /** Of one device, itself included: each of them has only its share of the rounds. */
  private get mostCopies(): number {
    const counts = new Map<string, number>()
    for (const { ed } of this.live()) counts.set(toHex(ed), (counts.get(toHex(ed)) ?? 0) + 1)
    return Math.max(...counts.values())
  }

  /** In a row; but where a case has rotted, every other member is asked for it: everybody meets everybody. */
  private meet(online: SimDevice[]): void {
    for (let at = 1; at < online.length; at++)
      for (let before = this.rots ? 0 : at - 1; before < at; before++) {
        const [a, b] = [online[before]!, online[at]!]
        if (!this.wireBetween(a, b)) this.world.connect(a, b)
      }
  }

  /** What still stood somewhere is everywhere, be it that it waits there for what has rotted; what was erased is nowhere. */
  private async unheld(expected: ReadonlySet<string>): Promise<string[]> {
    const { oracle, standing } = this
    const problems: string[] = []
    for (const device of this.live()) {
      const seen = await oracle.see(device)
      const levelOf = (caseId: string) => {
        const state = seen.get(caseId)?.state
        return state ? Math.max(state.erased, state.generation) : 0
      }
      const held = new Set([...seen.values()].flatMap(({ tokens }) => [...tokens]))
      for (const [caseId, level] of standing.erased)
        if (levelOf(caseId) < level) problems.push(`${device.name} knows no end ${level} of ${caseId}`)
      for (const token of new Set([...expected, ...held])) {
        const known = oracle.generations.get(token)
        const isErased = known !== undefined && known.generation < levelOf(known.caseId)
        // What was found of a case had left it before that ended.
        const isElsewhere = standing.found.has(token) && !seen.get(known?.caseId ?? '')?.tokens.has(token)
        if (isErased && isElsewhere) continue
        if (isErased === held.has(token))
          problems.push(`${device.name} ${isErased ? 'holds erased' : 'lost'} ${token}`)
      }
    }
    return problems
  }

  /** What was erased in the end is expected of nobody, and must be nowhere. */
  protected override async check(expected: Set<string>): Promise<string[]> {
    const { oracle } = this
    for (const device of this.live()) await oracle.look(device)
    if (this.rots) return [...(await this.unheld(expected)), ...(await super.check(new Set()))]
    const seen = await oracle.see(this.live()[0]!)
    const isErased = (token: string) => {
      const known = oracle.generations.get(token)
      const state = known && seen.get(known.caseId)?.state
      return state !== undefined && known!.generation < Math.max(state.erased, state.generation)
    }
    const problems = await super.check(new Set([...expected].filter((token) => !isErased(token))))
    for (const device of this.live())
      for (const token of await tokensOf(device))
        if (isErased(token)) problems.push(`${device.name} holds ${token}, which was erased`)
    return problems
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
const LAST_CASE = CASES[CASES.length - 1]!
const FORKING: Strain[] = ['forks', 'forksByMail', 'apart']
/** What heals one fork restates what another one would have hidden. */
const SHORT: Strain[] = ['apart', 'doubted', 'rotBehind', 'putBack']
const LONG: Strain[] = ['handovers', 'doubted']
const ROUNDS = 48
const BUSTLE_STEPS = 18
/** Ten times what any of some hundred seeds has needed. */
const MOST_MESSAGES = 5_000
/** Three seconds each. */
const STANDING_ROUNDS = 8
/** Copies of one folder, from different times. */
const KEPT_COPIES = 4
/** In steps. */
const LOOK_AT_DISKS = 1

export function simulateFull(seed: number, options: Partial<FullOptions> = {}): Promise<SimResult> {
  return runToEnd(new FullSimulation(seed, { ...FULL_DEFAULTS, ...options }))
}
