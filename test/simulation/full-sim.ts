/**
 * The simulator at full strength: two to six devices, direct paths and up to two relays in one run, and everything that
 * happens to them in years. Which of it happens is drawn from the seed. The oracle looks on all the way; in the end
 * everybody who is left meets, by whatever path the seed leaves them, and has the same, with nothing lost.
 */
import { toHex } from '../../src/protocol/bytes.js'
import { fingerprints } from '../../src/store/fingerprints.js'
import type { MailDevice, SimRelay } from '../support/mail-world.js'
import type { SimDevice } from '../support/world.js'
import type { Ending, Strain } from './draw.js'
import { runToEnd, type SimResult, tokensOf } from './sim.js'
import { ScriptedSimulation } from './world-scripts.js'

export interface FullOptions {
  steps: number
  /** Drawn from the seed unless it is given. */
  strain?: Strain
  /** How often the oracle looks, in steps. */
  lookEvery: number
  slow?: boolean
}

export const FULL_DEFAULTS: FullOptions = { steps: 360, lookEvery: 40 }

const FORKING: Strain[] = ['forks', 'forksByMail', 'apart']
const ROUNDS = 48
const BUSTLE_STEPS = 18
/** Three seconds each. */
const STANDING_ROUNDS = 8
/** In steps. */
const LOOK_AT_DISKS = 1

class FullSimulation extends ScriptedSimulation {
  private readonly menu: { upTo: number; run: (device: MailDevice, relay: SimRelay) => unknown }[] = []

  constructor(
    seed: number,
    readonly fullOptions: FullOptions,
  ) {
    super(seed, fullOptions)
    this.fillMenu()
  }

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
    if (this.turn === 0) await this.begin()
    const roll = random() * this.menu[this.menu.length - 1]!.upTo
    const device = random.pick(this.live()) as MailDevice
    const relay = random.pick(this.mailWorld.relays)
    const { run } = this.menu.find(({ upTo }) => roll < upTo)!
    await this.orDamaged(async () => run(device, relay))
    this.oracle.tick()
    if (this.rots && this.turn % LOOK_AT_DISKS === 0) this.standing.look()
    if (++this.turn % this.fullOptions.lookEvery === 0) await this.oracle.look(random.pick(this.live()))
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
      await this.deliverUnharmed(random.int(0, 6))
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

export function simulateFull(seed: number, options: Partial<FullOptions> = {}): Promise<SimResult> {
  return runToEnd(new FullSimulation(seed, { ...FULL_DEFAULTS, ...options }))
}
