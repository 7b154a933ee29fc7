/** One connected device: its session, and the effects of that session on the store and on the others. */
import { equalBytes, toHex } from '../src/protocol/bytes.js'
import type { Lane } from '../src/protocol/framing.js'
import type { Notice } from '../src/protocol/mailbox.gen.js'
import { MailboxSession } from '../src/protocol/mailbox.js'
import { BATCH_BYTES, MAX_BATCH_MAILS } from '../src/protocol/mailbox-limits.js'
import type { MailboxEffect, MailboxEvent, RefuseCode } from '../src/protocol/mailbox-types.js'
import { decodeMailFrame, encodeMailFrame } from '../src/protocol/mailbox-wire.js'
import type { Natives } from '../src/protocol/natives.js'
import { chainBytes, type Roster } from '../src/protocol/roster.js'
import type { PracticeHub } from './hub.js'
import type { RelayMeter } from './meter.js'
import type { MailStore } from './store/mail-store.js'

/** Where messages for a device go. Nothing may be handed to the link from within `send`. */
export interface Wire {
  send(lane: Lane, bytes: Uint8Array): void
  /** Sends what is queued, then ends. */
  close(): void
  /** This device is a member: from now on it may send whole envelopes. */
  admitted?(): void
  /** What was sent and has not left yet. */
  queuedBytes?(): number
  /** What has come of messages that are not whole yet. */
  unfinishedBytes?(): number
  /** Ends at once, whatever is queued or half come. */
  abort?(): void
}

/** What a link needs of the relay around it. */
export interface Surroundings {
  store: MailStore
  natives: Natives
  meter: RelayMeter
  limits: { quotaBytes: number; queuedBytes: number }
  monotonic(): number
  /** How long this relay has run, in milliseconds. */
  age(): number
  find(practice: Uint8Array): Promise<PracticeHub | 'failed'>
  renew(practice: Uint8Array, verified: Roster): Promise<PracticeHub | 'failed'>
  /** The practice's roster has changed, or with it the practice is gone. */
  announce(hub: PracticeHub): void
  mayRegister(practice: Uint8Array): boolean
  /** Whether a chain may be verified now, of which so much is new here. */
  mayProve(link: MailboxLink, bytes: number): boolean
  join(hub: PracticeHub, link: MailboxLink): void
  ended(link: MailboxLink): void
  openWindow(link: MailboxLink, open: boolean): void
  /** Whether the disk has room. */
  hasRoom(): boolean
  /** Resolves when there is room for more that isn't durable yet; so much of it is held then. */
  room(bytes: number): Promise<void>
  holds(bytes: number): void
  /** Work that a stop waits for. */
  track(work: Promise<void>): void
}

export class MailboxLink {
  readonly session: MailboxSession
  readonly device: Uint8Array
  readonly address: string
  hub: PracticeHub | undefined
  hasWindow = false
  private isEnded = false
  private tail: Promise<void> = Promise.resolve()
  private wake = () => {}
  private waitingBytes = 0
  /** Notices that change while the first ones are still being read. */
  private early: Notice[] | undefined

  constructor(
    private readonly around: Surroundings,
    peer: { publicKey: Uint8Array; address: string },
    private readonly wire: Wire,
  ) {
    const { natives } = around
    this.device = Uint8Array.from(peer.publicKey)
    this.address = peer.address
    this.session = new MailboxSession({ natives, device: this.device, now: around.monotonic() })
  }

  /** A whole message. Resolves when the next may be handed over; never rejects. */
  receive(bytes: Uint8Array): Promise<void> {
    this.waitingBytes += bytes.length
    this.tail = this.tail.then(() => this.handle(bytes))
    this.around.track(this.tail)
    return this.tail
  }

  /** The transport has ended. */
  closed(): void {
    if (this.isEnded) return
    this.isEnded = true
    this.around.ended(this)
    this.wake()
  }

  /** What it holds of messages that are not whole yet, or wait for room. */
  get unfinishedBytes(): number {
    return this.waitingBytes + (this.wire.unfinishedBytes?.() ?? 0)
  }

  /** What it holds of messages that the device doesn't take. */
  get queuedBytes(): number {
    return this.wire.queuedBytes?.() ?? 0
  }

  /** Ends at once, and lets go what it holds. */
  abort(): void {
    this.around.meter.refused('busy')
    this.wire.abort?.()
    this.closed()
  }

  end(code: RefuseCode): void {
    this.take({ kind: 'end', code })
  }

  take(event: MailboxEvent): void {
    if (this.isEnded) return
    if (event.kind === 'notices' && this.early) {
      this.early.push(...event.notices)
      return
    }
    for (const effect of this.session.step(event)) this.perform(effect)
    this.wake()
  }

  private async handle(bytes: Uint8Array): Promise<void> {
    while (!this.isEnded && !this.session.ready) {
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
    await this.around.room(bytes.length)
    this.waitingBytes -= bytes.length
    try {
      if (!this.isEnded) this.takeFrame(bytes)
    } finally {
      // What it asks of the store is held by now.
      this.around.holds(-bytes.length)
    }
  }

  private takeFrame(bytes: Uint8Array): void {
    const frame = decodeMailFrame(bytes)
    if (frame?.$case === 'chain' && !this.around.mayProve(this, this.newBytes(frame.value.entries)))
      return this.end('busy')
    this.take({ kind: 'frame', frame, now: this.around.monotonic() })
  }

  /** How much of a chain is not held already. */
  private newBytes(entries: readonly Uint8Array[]): number {
    const held = this.hub?.roster?.entries ?? []
    const [last, same] = [held.at(-1), entries[held.length - 1]]
    return chainBytes(last && same && equalBytes(last, same) ? entries.slice(held.length) : entries)
  }

  private perform(effect: MailboxEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.send(effect.lane, encodeMailFrame(effect.frame), effect.frame)
      case 'close':
        this.wire.close()
        return this.closed()
      case 'window':
        return this.around.openWindow(this, effect.open)
      default:
        this.around.track(this.ask(effect))
    }
  }

  private send(lane: Lane, bytes: Uint8Array, frame: { $case: string; value: unknown }): void {
    if (frame.$case === 'refuse') this.around.meter.refused((frame.value as { code: RefuseCode }).code)
    this.wire.send(lane, bytes)
    if (this.queuedBytes <= this.around.limits.queuedBytes) return
    this.wire.close()
    this.closed()
  }

  private async ask(effect: Exclude<MailboxEffect, { kind: 'send' | 'close' | 'window' }>): Promise<void> {
    const { store } = this.around
    const { practice } = this.session
    switch (effect.kind) {
      case 'load':
        return this.load(effect.practice)
      case 'join':
        return this.join()
      case 'adopt':
        return this.adopt(effect)
      case 'deposit':
        return this.deposit(effect)
      case 'collect':
        return this.collect(effect.after)
      case 'ack':
        return this.acknowledge(effect)
      case 'leave':
        return this.leave(effect.number)
      case 'check': {
        const ids = await store.missing(practice, effect.recipient, effect.ids)
        return ids === 'failed'
          ? this.end('failed')
          : this.take({ kind: 'missing', number: effect.number, ids })
      }
      case 'ask': {
        const held = await store.inventory(practice)
        if (held === 'failed') return this.end('failed')
        const { number } = effect
        const now = this.around.age()
        // An age, not a moment: no two clocks need to agree.
        const waiting = held.waiting.map((each) => ({ ...each, oldest: Math.max(0, now - each.oldest) }))
        const quota = this.around.limits.quotaBytes
        this.take({ kind: 'inventory', number, waiting, bytes: held.bytes, quota })
      }
    }
  }

  private async load(practice: Uint8Array): Promise<void> {
    const { store } = this.around
    const hub = await this.around.find(practice)
    if (hub === 'failed') return this.end('failed')
    this.hub = hub
    const sequence = store.sequence(practice)
    this.take({ kind: 'loaded', roster: hub.roster, sequence, incarnation: store.incarnation })
  }

  private async join(): Promise<void> {
    this.around.join(this.hub!, this)
    this.wire.admitted?.()
    this.early = []
    const notices = await this.around.store.notices(this.session.practice)
    const later = this.early
    this.early = undefined
    if (notices === 'failed') return this.end('failed')
    // The newest of each device, by what came last.
    const newest = new Map([...notices, ...later].map((notice) => [toHex(notice.device), notice]))
    this.take({ kind: 'notices', notices: [...newest.values()] })
  }

  private async adopt({ expected, roster }: Extract<MailboxEffect, { kind: 'adopt' }>): Promise<void> {
    const { practice } = this.session
    const { around } = this
    if (expected.length === 0 && !around.mayRegister(practice))
      return this.take({ kind: 'adopted', outcome: 'refused' })
    // Strangers could fill what is left.
    if (expected.length === 0 && !around.hasRoom()) return this.take({ kind: 'adopted', outcome: 'busy' })
    const { head, entries, members } = roster
    const current = members.filter(({ removedAt }) => removedAt === undefined).map(({ ed }) => ed)
    const outcome = await around.store.adopt(practice, expected, { head, entries, members: current })
    if (outcome === 'full' || outcome === 'failed') return this.take({ kind: 'adopted', outcome: 'failed' })
    const hub = await around.renew(practice, roster)
    if (hub === 'failed') return this.take({ kind: 'adopted', outcome: 'failed' })
    this.hub = hub
    // After a conflict, too: a write that seemed to fail may be there, and nobody was told, this session included.
    around.announce(hub)
    // Who is no member yet isn't among those that were told.
    if (!hub.links.has(this)) this.take({ kind: 'roster', roster: hub.roster })
    this.take({ kind: 'adopted', outcome })
  }

  private async deposit({ number, deposit }: Extract<MailboxEffect, { kind: 'deposit' }>): Promise<void> {
    const { store, meter, limits, monotonic, age, holds } = this.around
    const bytes = deposit.envelope.length
    const began = monotonic()
    holds(bytes)
    const stored = { ...deposit, depositor: this.device, at: age() }
    const outcome = this.around.hasRoom()
      ? await store.deposit(this.session.practice, stored, limits.quotaBytes)
      : { error: 'full' as const }
    holds(-bytes)
    const error = 'error' in outcome ? outcome.error : ''
    meter.deposit(error, monotonic() - began, bytes)
    const { sequence, fresh } = 'error' in outcome ? { sequence: 0, fresh: [] } : outcome
    this.take({ kind: 'done', number, error, sequence, bytes })
    if (fresh.length === 0) return
    for (const link of this.hub?.links ?? [])
      if (fresh.some((recipient) => isSameKey(recipient, link.device))) link.take({ kind: 'mail' })
  }

  private async collect(after: number): Promise<void> {
    const { store, meter } = this.around
    const { practice } = this.session
    const limits = { bytes: BATCH_BYTES, mails: MAX_BATCH_MAILS }
    const isNoted = await store.beginCollecting(practice, this.device)
    const batch = isNoted === 'failed' ? 'failed' : await store.collect(practice, this.device, after, limits)
    if (batch === 'failed') return this.end('failed')
    meter.collected(batch.mails.length)
    this.take({ kind: 'batch', ...batch })
  }

  private async acknowledge(effect: Extract<MailboxEffect, { kind: 'ack' }>): Promise<void> {
    const { number, ids, notice } = effect
    const outcome = await this.around.store.acknowledge(this.session.practice, this.device, ids, notice)
    const error = outcome === 'ok' ? '' : outcome
    if (error === '') this.around.meter.acknowledged(ids.length)
    this.take({ kind: 'done', number, error, sequence: 0, bytes: notice.length })
    if (error !== '' || notice.length === 0) return
    const notices = [{ device: this.device, sealed: notice }]
    for (const link of this.hub?.links ?? []) if (link !== this) link.take({ kind: 'notices', notices })
  }

  private async leave(number: number): Promise<void> {
    // [B9] Of a session from before the end may not have come here yet, and with the next mail it would collect again.
    for (const older of this.sessionsBefore()) older.end('replaced')
    const outcome = await this.around.store.leave(this.session.practice, this.device)
    const error = outcome === 'failed' ? 'failed' : ''
    this.take({ kind: 'done', number, error, sequence: 0, bytes: 0 })
    if (outcome !== 'gone') return
    this.hub!.roster = undefined
    this.around.announce(this.hub!)
  }

  /** Of this device. */
  private sessionsBefore(): MailboxLink[] {
    const all = [...this.hub!.links]
    return all.slice(0, all.indexOf(this)).filter(({ device }) => isSameKey(device, this.device))
  }
}

/** Of public keys, which differ at once: a deposit compares them with those of all that are connected. */
const isSameKey = (a: Uint8Array, b: Uint8Array) => a[0] === b[0] && equalBytes(a, b)
