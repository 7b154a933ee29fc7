/**
 * The relay without a network: sessions, practices, windows and limits over one store. Channels are mapped onto
 * it by server.ts; the simulator and tests call it directly. It has no timers and no clock of its own.
 */
import { toHex } from '../src/protocol/bytes.js'
import { Meeting } from '../src/protocol/mailbox-meet.js'
import { decodeMeetFrame, encodeMailFrame, encodeMeetFrame } from '../src/protocol/mailbox-wire.js'
import type { Natives } from '../src/protocol/natives.js'
import { Rates } from '../src/protocol/rates.js'
import { Hubs, type PracticeHub } from './hub.js'
import { AGE_INTERVAL_MS, EXPIRY_INTERVAL_MS, RELAY_LIMITS, type RelayLimits } from './limits.js'
import { MailboxLink, type Surroundings, type Wire } from './link.js'
import { Membership } from './membership.js'
import { noMeter, type RelayMeter } from './meter.js'
import type { MailStore } from './store/mail-store.js'

export interface RelayClock {
  /** Milliseconds, only forward: deadlines and rates, and how old mail is. A relay looks at no other clock. */
  monotonic(): number
}

export interface RelayCoreOptions {
  store: MailStore
  natives: Natives
  clock: RelayClock
  limits?: Partial<RelayLimits>
  /** Which practices may use this relay; without it everybody's. */
  mayRegister?: (practice: Uint8Array) => boolean
  /** Whether the disk has room for deposits; without it always. */
  hasRoom?: () => boolean
  log?: (line: string) => void
  meter?: RelayMeter
}

/** A device's end of /kartoteka/mailbox/1. */
export interface Connection {
  /** A whole message. Resolves when the next may be handed over; who doesn't wait has them queued here. Never rejects. */
  receive(bytes: Uint8Array): Promise<void>
  /** The transport has ended. */
  closed(): void
}

const NOBODY: Connection = { receive: () => Promise.resolve(), closed: () => {} }

export class RelayCore {
  private readonly limits: RelayLimits
  private readonly meter: RelayMeter
  private readonly log: (line: string) => void
  private readonly links = new Set<MailboxLink>()
  private readonly byAddress = new Map<string, number>()
  private readonly hubs: Hubs
  private readonly meeting: Meeting
  private readonly membership: Membership
  private readonly chains: Rates
  private readonly chainsInAll: Rates
  private readonly memberChains: Rates
  private readonly circuits: Rates
  private readonly around: Surroundings
  private working = 0
  private waitingForQuiet: (() => void)[] = []
  private unansweredBytes = 0
  private waitingForRoom: (() => void)[] = []
  private readonly ageAtStart: number
  private readonly startedAt: number
  private nextAging = Number.NEGATIVE_INFINITY
  private nextExpiry = Number.NEGATIVE_INFINITY
  private isTidying = false
  private isStopping = false

  constructor(private readonly options: RelayCoreOptions) {
    const { store, natives, clock, log = () => {} } = options
    this.limits = { ...RELAY_LIMITS, ...options.limits }
    this.meter = options.meter ?? noMeter
    this.log = log
    this.ageAtStart = store.age
    this.startedAt = clock.monotonic()
    this.hubs = new Hubs(store, natives, log)
    this.meeting = new Meeting(natives)
    this.membership = new Membership(store.practices())
    this.chains = new Rates(this.limits.chainRate)
    this.chainsInAll = new Rates(this.limits.chainRateInAll)
    this.memberChains = new Rates(this.limits.memberChainRate)
    this.circuits = new Rates(this.limits.strangerCircuits)
    this.around = {
      store,
      natives,
      meter: this.meter,
      limits: this.limits,
      monotonic: clock.monotonic,
      age: () => this.age(),
      find: (practice) => this.hubs.find(practice),
      renew: (practice, verified) => this.hubs.renew(practice, verified),
      announce: (hub) => this.announce(hub),
      mayRegister: (practice) => this.mayRegister(practice),
      mayProve: (link, bytes) => this.mayProve(link, bytes),
      join: (hub, link) => this.join(hub, link),
      ended: (link) => this.ended(link),
      openWindow: (link, open) => this.openWindow(link, open),
      hasRoom: options.hasRoom ?? (() => true),
      room: (bytes) => this.room(bytes),
      holds: (bytes) => this.holds(bytes),
      track: (work) => this.track(work),
    }
  }

  /** Connected devices. */
  get sessions(): number {
    return this.links.size
  }

  /** One channel of /kartoteka/mailbox/1 with the device of this Ed25519 key, which the transport has proved. */
  connect(peer: { publicKey: Uint8Array; address: string }, wire: Wire): Connection {
    const count = (this.byAddress.get(peer.address) ?? 0) + 1
    if (this.isStopping || count > this.limits.sessionsPerAddress) {
      const code = this.isStopping ? 'stopping' : 'busy'
      this.meter.refused(code)
      wire.send('live', encodeMailFrame({ $case: 'refuse', value: { code } }))
      wire.close()
      return NOBODY
    }
    this.byAddress.set(peer.address, count)
    const link = new MailboxLink(this.around, peer, wire)
    this.links.add(link)
    return {
      receive: (bytes) => (this.isStopping ? Promise.resolve() : link.receive(bytes)),
      closed: () => link.closed(),
    }
  }

  /** One message of /kartoteka/meet/1 → its answer; undefined: the channel ends without one. */
  meet(peer: { address: string }, bytes: Uint8Array): Uint8Array | undefined {
    const frame = decodeMeetFrame(bytes)
    if (frame?.$case !== 'find') return undefined
    const devices = this.meeting.find(peer.address, frame.value.code, this.options.clock.monotonic())
    this.meter.asked(!devices ? 'too-often' : devices.length > 0 ? 'found' : 'nothing')
    return devices && encodeMeetFrame({ $case: 'found', value: { devices } })
  }

  /** Whether this key belongs to any practice here: only these hold reservations for circuits. */
  mayReserve(publicKey: Uint8Array): boolean {
    return this.membership.has(publicKey)
  }

  /** Circuits join devices of one practice, and lead a stranger to a device whose window is open. */
  mayConnect(from: Uint8Array, to: Uint8Array): boolean {
    if (this.membership.share(from, to)) return true
    return this.meeting.hasWindow(to) && this.circuits.take(toHex(to), this.options.clock.monotonic())
  }

  /** To be called about once a second: deadlines, expiry, and giving the disk back. */
  tick(): void {
    const now = this.options.clock.monotonic()
    for (const link of [...this.links]) link.take({ kind: 'tick', now })
    this.bound(this.limits.unfinishedBytes, (link) => link.unfinishedBytes)
    this.bound(this.limits.queuedBytesInAll, (link) => link.queuedBytes)
    if (this.isTidying || this.isStopping) return
    this.isTidying = true
    this.track(this.tidy(now))
  }

  /**
   * Where sessions hold more than that together, those that hold most end, of the address first that holds most: whoever
   * means well comes again.
   */
  private bound(bytes: number, heldBy: (link: MailboxLink) => number): void {
    let sum = 0
    for (const link of this.links) sum += heldBy(link)
    // As nearly always: thousands that are idle cost nothing more.
    if (sum <= bytes) return
    const holding = [...this.links].map((link) => ({ link, held: heldBy(link) }))
    const ofAddress = new Map<string, number>()
    for (const { link, held } of holding)
      ofAddress.set(link.address, (ofAddress.get(link.address) ?? 0) + held)
    const share = ({ link }: { link: MailboxLink }) => ofAddress.get(link.address)!
    for (const { link, held } of holding.sort((a, b) => share(b) - share(a) || b.held - a.held)) {
      if (sum <= bytes) return
      sum -= held
      link.abort()
    }
  }

  /** How long this relay has run since its folder was made, in whole milliseconds; the time it was off doesn't count. */
  private age(): number {
    return Math.trunc(this.ageAtStart + (this.options.clock.monotonic() - this.startedAt))
  }

  private async keepAge(): Promise<void> {
    const { store } = this.options
    if (store.totals().practices > 0) await store.keepAge(this.age())
  }

  private async tidy(now: number): Promise<void> {
    const { store } = this.options
    if (now >= this.nextAging) {
      this.nextAging = now + AGE_INTERVAL_MS
      if (store.totals().rows > 0) await this.keepAge()
    }
    if (now >= this.nextExpiry) {
      this.nextExpiry = now + EXPIRY_INTERVAL_MS
      // Who stays connected for long is here all the while.
      await Promise.all(this.hubs.visited().map((practice) => store.visited(practice, this.age())))
      // While nothing waits seldom, but for good: practices grow old, too.
      if (store.totals().rows === 0) await this.keepAge()
      const before = this.age() - this.limits.expiryMs
      const { mails } = await store.expire(before, (practice) => this.forget(practice))
      if (mails > 0) this.log(`Dropped ${mails} mails that nobody had collected.`)
    }
    await store.tidy()
    this.isTidying = false
  }

  /** The store holds nothing of it any more. */
  forget(practice: Uint8Array): void {
    const hub = this.hubs.held(practice) ?? { practice, roster: undefined, links: new Set() }
    hub.roster = undefined
    this.announce(hub)
  }

  /** Resolves when nothing is under way: every message that was handed over is answered. */
  async whenQuiet(): Promise<void> {
    while (this.working > 0) await new Promise<void>((resolve) => this.waitingForQuiet.push(resolve))
  }

  /** Takes no more, answers what came, and says why it goes. The store stays open. */
  async stop(): Promise<void> {
    this.isStopping = true
    await this.whenQuiet()
    await this.keepAge()
    for (const link of [...this.links]) link.end('stopping')
  }

  private announce(hub: PracticeHub): void {
    const members = hub.roster?.members.filter(({ removedAt }) => removedAt === undefined) ?? []
    this.membership.set(
      hub.practice,
      members.map(({ ed }) => ed),
    )
    this.hubs.announce(hub)
  }

  private mayRegister(practice: Uint8Array): boolean {
    const { store, mayRegister } = this.options
    if (mayRegister && !mayRegister(practice)) return false
    return store.totals().practices < this.limits.practices
  }

  private mayProve({ session, address }: MailboxLink, bytes: number): boolean {
    const now = this.options.clock.monotonic()
    const cost = Math.ceil(bytes / this.limits.chainPieceBytes)
    if (session.isMember) return this.memberChains.take(toHex(session.practice), now, cost)
    const price = Math.max(1, cost)
    return this.chains.take(address, now, price) && this.chainsInAll.take('', now, price)
  }

  /** The older session of a device that came again is most likely dead. */
  private join(found: PracticeHub, link: MailboxLink): void {
    const hub = this.hubs.present(found)
    link.hub = hub
    const own = [...hub.links].filter(({ device }) => toHex(device) === toHex(link.device))
    for (const older of own.slice(0, Math.max(0, own.length + 1 - this.limits.sessionsPerDevice)))
      older.end('replaced')
    hub.links.add(link)
    this.track(this.options.store.visited(hub.practice, this.age()).then(() => {}))
    // It may be another one than it was let in by, or gone.
    link.take({ kind: 'roster', roster: hub.roster })
  }

  private ended(link: MailboxLink): void {
    this.links.delete(link)
    link.hub?.links.delete(link)
    this.openWindow(link, false)
    const left = (this.byAddress.get(link.address) ?? 1) - 1
    if (left > 0) this.byAddress.set(link.address, left)
    else this.byAddress.delete(link.address)
  }

  private openWindow(link: MailboxLink, open: boolean): void {
    if (link.hasWindow === open) return
    link.hasWindow = open
    if (open) this.meeting.open(link.session.practice, link.device)
    else this.meeting.close(link.session.practice, link.device)
  }

  /** Taken with the same look: of many that wait, all would find it free. */
  private async room(bytes: number): Promise<void> {
    while (this.unansweredBytes >= this.limits.unansweredBytes)
      await new Promise<void>((resolve) => this.waitingForRoom.push(resolve))
    this.unansweredBytes += bytes
  }

  private holds(bytes: number): void {
    this.unansweredBytes += bytes
    if (bytes < 0) for (const resolve of this.waitingForRoom.splice(0)) resolve()
  }

  private track(work: Promise<void>): void {
    this.working++
    const ended = () => {
      if (--this.working === 0) for (const resolve of this.waitingForQuiet.splice(0)) resolve()
    }
    work.then(ended, (error: unknown) => {
      this.log(`Something unexpected happened: ${(error as Error)?.stack ?? error}`)
      ended()
    })
  }
}
