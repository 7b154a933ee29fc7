/**
 * The simulator with relays: devices that also meet directly, mail over the shipping relay rules and store, relays that
 * crash, go back to an older copy, or mean ill. In the end no two devices are ever online together, and yet the content
 * of all must be the same, nothing lost, and nothing left at any relay.
 */
import { toHex } from '../../src/protocol/bytes.js'
import type { LogId } from '../../src/protocol/log.js'
import type { Deposit } from '../../src/protocol/mailbox.gen.js'
import type { MailFrameKind } from '../../src/protocol/mailbox-wire.js'
import { decodeMailFrame } from '../../src/protocol/mailbox-wire.js'
import type { Rows } from '../support/disk.js'
import { type MailDevice, type MailWire, MailWorld, type SimRelay } from '../support/mail-world.js'
import type { SimDevice } from '../support/world.js'
import { DEFAULTS, runToEnd, type SimOptions, type SimResult, Simulation } from './sim.js'

export interface MailSimOptions extends SimOptions {
  relays: number
  /** Relays that withhold, repeat, reorder, damage, and claim to hold what they drop. */
  evil: boolean
  /** Devices also meet each other. */
  direct: boolean
}

export const MAIL_DEFAULTS: MailSimOptions = { ...DEFAULTS, steps: 120, relays: 1, evil: true, direct: true }

type Evil = 'drop' | 'withhold' | 'repeat' | 'reorder' | 'flip'
/** Dropping is the worst, and the likeliest. */
const EVILS: Evil[] = ['drop', 'drop', 'withhold', 'repeat', 'reorder', 'flip']

export class MailSimulation extends Simulation {
  protected readonly copies = new Map<SimRelay, Rows>()
  protected readonly broken = new Set<string>()
  /** By id of the envelope: how far it reaches in each log. */
  private readonly deposited = new Map<string, Map<string, number>>()

  constructor(
    seed: number,
    readonly mailOptions: MailSimOptions,
  ) {
    super(seed, mailOptions)
  }

  protected override makeWorld(seed: number): MailWorld {
    return new MailWorld(seed)
  }

  protected get mailWorld(): MailWorld {
    return this.world as MailWorld
  }

  override async run(): Promise<SimResult> {
    for (let at = 0; at < this.mailOptions.relays; at++) await this.mailWorld.addRelay()
    this.mailWorld.onMail = (device, bytes, relay) => this.overhear(device, decodeMailFrame(bytes), relay)
    const result = await super.run()
    return { ...result, problems: [...result.problems, ...this.broken] }
  }

  /** What every acknowledgement must keep, looked at in the moment it leaves. */
  protected overhear(device: MailDevice, frame: MailFrameKind | undefined, _relay: SimRelay): void {
    if (frame?.$case === 'deposit') return this.remember(device, frame.value)
    if (frame?.$case !== 'ack' || frame.value.notice.length === 0) return
    const letter = device.mail.office.open(frame.value.notice)
    const statement = letter?.body.$case === 'word' ? letter.body.value.statement : undefined
    if (!statement) return void this.broken.add(`${device.name} acknowledged without a statement`)
    const stated = new Map(statement.frontier.map(({ log, seq }) => [toHex(log), seq]))
    for (const [log, seq] of stated) {
      const held = device.replica.logs.get(log)
      if (held && held.seq >= seq && device.durableSeq(log) < seq)
        this.broken.add(`${device.name} acknowledged ${log.slice(0, 4)}:${seq} before it was durable`)
    }
    const unusable = new Set(statement.unusable.map(toHex))
    for (const id of frame.value.ids.map(toHex)) if (!unusable.has(id)) this.covered(device, id, stated)
  }

  /** Mail that is acknowledged and not called unusable is covered by what is stated, whoever left it. */
  private covered(device: MailDevice, id: string, stated: ReadonlyMap<string, number>): void {
    for (const [log, to] of this.deposited.get(id) ?? []) {
      const isWhole = !this.isForked(log) && !device.replica.logs.get(log)?.cut
      if (isWhole && (stated.get(log) ?? 0) < to)
        this.broken.add(`${device.name} acknowledged ${log.slice(0, 4)}:${to} and states ${stated.get(log)}`)
    }
  }

  /** How far the changes in an envelope reach. */
  private remember(device: MailDevice, { id, envelope }: Deposit): void {
    const letter = device.mail.office.open(envelope)
    if (letter?.body.$case !== 'changes') return
    const { runs } = letter.body.value
    this.deposited.set(
      toHex(id),
      new Map(runs.map(({ log, from, changes }) => [toHex(log), from + changes.length])),
    )
  }

  /** The log may have two branches. */
  protected isForked(_log: LogId): boolean {
    return (this.stats.rollback ?? 0) > 0
  }

  protected override async chaos(): Promise<void> {
    const { random } = this.world
    const roll = random()
    const device = random.pick(this.live()) as MailDevice
    const relay = random.pick(this.mailWorld.relays)
    if (roll < 0.06) return this.connectMail(device, relay)
    if (roll < 0.26) return this.visit(device, relay)
    if (roll < 0.42) return this.deliverMail(random.int(1, 16))
    if (roll < 0.46) return this.cutMailSome()
    if (roll < 0.475) return this.crashRelay(relay)
    if (roll < 0.49) return this.copyRelay(relay)
    if (roll < 0.505) return this.restoreRelay(relay)
    if (roll < 0.52) return this.toggle(device)
    if (roll < 0.55 && this.mailOptions.evil) return this.turnEvil(relay)
    if (roll < 0.58) return this.restart(device)
    if (roll < 0.6 && this.mailOptions.rollbacks) return this.rollBack(device)
    if (roll < 0.615) return this.expire(relay)
    if (roll < 0.65) return this.passMail(random.pick([300, 1_500, 4_500, 15_000]))
    return super.chaos()
  }

  protected wireOf(device: MailDevice, relay: SimRelay) {
    return this.mailWorld.mailWires.find((wire) => wire.device === device && wire.relay === relay)
  }

  protected async connectMail(device: MailDevice, relay: SimRelay): Promise<void> {
    if (!device.collects || this.wireOf(device, relay)) return
    this.note(`mail ${device.name}`)
    await this.mailWorld.connectMail(device, relay)
  }

  /** Some seconds at a relay with everything that comes of it, unless the connection breaks in between. */
  protected async visit(device: MailDevice, relay: SimRelay): Promise<void> {
    const { random, clock } = this.mailWorld
    await this.connectMail(device, relay)
    const wire = this.wireOf(device, relay)
    if (!wire) return
    const rounds = random.int(3, 14)
    this.note(`visit ${device.name} ${rounds}`)
    for (let round = 0; round < rounds && wire.open; round++) {
      clock.pass(random.pick([100, 300, 900]))
      relay.core.tick()
      for (let moved = true; moved && wire.open; ) {
        moved = false
        for (const toDevice of [true, false])
          while (wire.open && this.mailWorld.deliverMail(wire, toDevice)) moved = true
        await this.mailWorld.settle(3)
        if (random() < 0.02) this.hangUp(wire)
      }
    }
    if (random() < 0.7 && wire.open) this.hangUp(wire)
  }

  private hangUp(wire: MailWire): void {
    this.note(`hangup ${wire.device.name}`)
    this.mailWorld.cutMail(wire)
  }

  protected override async connect(device: SimDevice): Promise<void> {
    if (this.mailOptions.direct) return super.connect(device)
    return this.visit(device as MailDevice, this.mailWorld.random.pick(this.mailWorld.relays))
  }

  protected async deliverMail(count: number): Promise<void> {
    const { mailWires, random } = this.mailWorld
    for (let at = 0; at < count && mailWires.length > 0; at++) {
      this.mailWorld.deliverMail(random.pick(mailWires), random() < 0.5)
      await this.mailWorld.settle(2)
    }
    this.note(`post ${count}`)
  }

  protected async cutMailSome(): Promise<void> {
    const { mailWires, random } = this.mailWorld
    if (mailWires.length === 0) return
    this.hangUp(random.pick(mailWires))
  }

  protected async crashRelay(relay: SimRelay): Promise<void> {
    const kept = this.world.random.int(0, relay.disk.unflushed)
    this.note(`relaycrash ${kept}`)
    await relay.crash(kept)
  }

  protected async copyRelay(relay: SimRelay): Promise<void> {
    this.note('relaycopy')
    this.copies.set(relay, relay.disk.snapshot())
  }

  protected async restoreRelay(relay: SimRelay): Promise<void> {
    const rows = this.copies.get(relay)
    if (!rows) return
    this.note('relayrestore')
    await relay.restore(rows)
  }

  protected async expire(relay: SimRelay): Promise<void> {
    this.note('expire')
    await relay.expire()
  }

  /** The cloud mailbox on and off again. */
  protected async toggle(device: MailDevice): Promise<void> {
    device.collects = !device.collects
    this.note(`mailbox ${device.name} ${device.collects ? 'on' : 'off'}`)
    if (device.collects) return
    for (const wire of [...this.mailWorld.mailWires]) {
      if (wire.device !== device) continue
      void device.mail.leave(wire.session)
      await this.deliverMail(8)
      this.mailWorld.cutMail(wire)
    }
  }

  protected async passMail(ms: number): Promise<void> {
    this.note(`wait ${ms}`)
    this.world.clock.pass(ms)
    for (const relay of this.mailWorld.relays) relay.core.tick()
    await this.world.settle(2)
  }

  protected async turnEvil(relay: SimRelay): Promise<void> {
    const { random } = this.world
    if (relay.meddle) {
      relay.meddle = undefined
      return this.note('honest')
    }
    const evil = random.pick(EVILS)
    this.note(`evil ${evil}`)
    relay.meddle = (frame, toDevice) => this.meddle(relay, evil, frame, toDevice)
  }

  private meddle(
    relay: SimRelay,
    evil: Evil,
    frame: MailFrameKind,
    toDevice: boolean,
  ): MailFrameKind[] | undefined {
    const { random, mailWires } = this.mailWorld
    if (evil === 'drop' && !toDevice && frame.$case === 'deposit') {
      const { number } = frame.value
      const wire = mailWires.find((each) => each.relay === relay)
      if (wire) this.mailWorld.answer(wire, { $case: 'done', value: { number, error: '', sequence: 1 } })
      return []
    }
    if (!toDevice || frame.$case !== 'batch' || frame.value.mails.length === 0) return undefined
    const { mails, end } = frame.value
    const batch = (changed: typeof mails): MailFrameKind => ({
      $case: 'batch',
      value: { mails: changed, end },
    })
    if (evil === 'withhold') return [batch(mails.filter(() => random() < 0.5))]
    if (evil === 'repeat') return [batch(mails), batch(mails)]
    if (evil === 'reorder') return [batch([...mails].reverse())]
    if (evil !== 'flip') return undefined
    return [
      batch(
        mails.map((mail) => {
          if (random() < 0.5) return mail
          const envelope = Uint8Array.from(mail.envelope)
          envelope[random.int(0, envelope.length - 1)]! ^= 1 << random.int(0, 7)
          return { ...mail, envelope }
        }),
      ),
    ]
  }

  protected override async kill(device: SimDevice): Promise<void> {
    for (const wire of [...this.mailWorld.mailWires]) if (wire.device === device) this.mailWorld.cutMail(wire)
    void (device as MailDevice).mail.stop()
    await super.kill(device)
  }

  protected override async restart(device: SimDevice): Promise<void> {
    for (const wire of [...this.mailWorld.mailWires]) if (wire.device === device) this.mailWorld.cutMail(wire)
    void (device as MailDevice).mail.stop()
    await super.restart(device)
  }

  /** From now on one device at a time is online, alone with the relays. */
  protected override async heal(): Promise<string[]> {
    const { mailWorld } = this
    const live = this.live() as MailDevice[]
    for (const wire of [...mailWorld.wires]) mailWorld.cut(wire)
    for (const wire of [...mailWorld.mailWires]) mailWorld.cutMail(wire)
    for (const relay of mailWorld.relays) relay.meddle = undefined
    for (const device of live) {
      device.disk.held = false
      device.disk.release()
      device.collects = true
    }
    await mailWorld.settle(3)
    const expected = await this.expectedTokens(live)
    for (let round = 0; round < HEAL_ROUNDS; round++) {
      for (const device of live) await this.alone(device)
      if ((await this.settled()) && (await this.isEmpty(live))) return this.check(expected)
    }
    const empty = await this.isEmpty(live)
    return [`never settled (empty: ${empty}): ${await this.describeAll()}`, ...(await this.check(expected))]
  }

  protected async alone(device: MailDevice): Promise<void> {
    const { mailWorld } = this
    for (const relay of mailWorld.relays) await mailWorld.connectMail(device, relay)
    await mailWorld.quiesce()
    await mailWorld.pass(24_000, 3_000)
    for (const wire of [...mailWorld.mailWires]) mailWorld.cutMail(wire)
    await mailWorld.quiesce()
  }

  protected async isEmpty(live: MailDevice[]): Promise<boolean> {
    const { mailWorld } = this
    const [device] = live
    for (const relay of mailWorld.relays) {
      const wire = await mailWorld.connectMail(device!, relay)
      await mailWorld.pass(1_000)
      const inventory = await relay.waiting(device!)
      mailWorld.cutMail(wire)
      const members = new Set(live.map(({ ed }) => toHex(ed)))
      // What waits for a device that died stays until it is removed.
      if (inventory?.waiting.some(({ recipient, count }) => count > 0 && members.has(toHex(recipient))))
        return false
    }
    return true
  }
}

const HEAL_ROUNDS = 12

export async function simulateMail(seed: number, options: Partial<MailSimOptions> = {}): Promise<SimResult> {
  const merged = { ...MAIL_DEFAULTS, relays: 1 + (seed % 2), direct: seed % 4 < 2, ...options }
  return runToEnd(new MailSimulation(seed, merged))
}
