/**
 * This device's links to the practice's relays: a stream of the mailbox over the connection that the host keeps at
 * each, taken up again when it breaks. Only while the cloud mailbox is on here; else no relay is ever contacted, but
 * for one thing: to take in what still waits, and to say that this device collects no more. So is a relay that the
 * practice has given up.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { equalBytes } from '../../protocol/bytes.js'
import type { Timers } from '../driver-session.js'
import type { Channel } from '../frames.js'
import type { Host } from '../host.js'
import type { RelayState } from '../host-relays.js'
import type { MailDriver } from '../mail-driver.js'
import type { MailLink, RelaySession } from '../mail-driver-session.js'
import { peerIdToPublicKey, publicKeyToPeerId } from '../peer-id.js'
import { collectsMail, relayAddresses } from './mail-roster.js'
import type { Notes } from './notes.js'
import type { RosterKeeper } from './roster-keeper.js'

export const MAILBOX_PROTOCOL = '/kartoteka/mailbox/1'

/** Name of the note. */
const COLLECTS_AT = 'collectsAt'
const POLL_MS = 50
const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 15_000
/** A relay that refuses this device is asked less often. */
const REFUSED_RETRY_MS = 30_000
/** So long a relay has for its answer to LEAVE. */
export const LEAVE_MS = 20_000
/** One that is only to be told something may be gone for good. */
export const LEAVE_RETRY_MS = 10 * 60_000

export interface MailboxesOptions {
  host: Host
  mail: MailDriver
  keeper: RosterKeeper
  notes: Notes
  timers: Timers
  ed: Uint8Array
  /** Relays that lead to other devices though no mail is collected here. */
  meetingRelays: () => string[]
  status: () => void
}

/**
 * What this device wants of a relay: its mail; where that is off, or the relay given up, what still waits there, which may
 * be the last copy; and then only to say that it collects no more.
 */
type Purpose = 'collect' | 'empty' | 'leave'

interface Attached {
  purpose: Purpose
  session: RelaySession
  channel: Channel
}

interface Retry {
  purpose: Purpose | undefined
  /** Ends the wait; undefined when it is over. */
  cancel: (() => void) | undefined
  waitMs: number
}

/** One relay as a person sees it. */
export interface RelayView {
  address: string
  connected: boolean
  code: 'relay-changed' | 'relay-unreachable' | 'relay-refused' | undefined
  sentence: string | null
  session: RelaySession | undefined
}

export const RELAY_SENTENCES = {
  'relay-changed': 'A different relay answers at this address. Nothing was sent. Ask its operator.',
  'relay-unreachable':
    "The cloud mailbox can't be reached. Everything is saved here and will be sent by itself.",
  'relay-refused': "The relay doesn't take this practice. Ask its operator.",
}

export class Mailboxes {
  /** By the relay's peer id. */
  private readonly attached = new Map<string, Attached>()
  private readonly connecting = new Set<string>()
  private readonly retries = new Map<string, Retry>()
  private readonly refused = new Set<string>()
  /**
   * Addresses of relays that may count this device among those who collect. Each stays until it has answered that it
   * does so no more, however long that takes: with the last who collects goes all that it holds of the practice.
   */
  private collectsAt: string[] = []
  /** Relays that were given up, and at which nothing more waits for this device. */
  private readonly emptied = new Set<string>()
  private window = false
  private stopped = false

  constructor(private readonly options: MailboxesOptions) {}

  async start(): Promise<void> {
    const { host, notes } = this.options
    this.collectsAt = (await notes.read<string[]>(COLLECTS_AT)) ?? []
    host.onRelayChanged((state) => this.onRelay(state))
    this.apply()
  }

  /** Settings or the roster changed. */
  apply(): void {
    if (this.stopped) return
    const { host, keeper, meetingRelays } = this.options
    for (const [id, attached] of this.attached) {
      const purpose = this.purposeOf(id)
      if (purpose !== attached.purpose) this.end(id)
      else if (purpose === 'collect') void this.noteCollects(id).catch(() => {})
    }
    const used = [...(this.isOn ? relayAddresses(keeper) : []), ...meetingRelays()]
    const left = this.collectsAt.filter((address) => this.isGivenUp(idOf(address)))
    host.setRelays([
      ...byRelay(used).map((addresses) => ({ addresses })),
      ...byRelay(left).map((addresses) => ({ addresses, isVisit: true })),
    ])
    for (const state of host.relays()) this.onRelay(state)
    this.options.status()
  }

  private end(id: string): void {
    const attached = this.attached.get(id)
    if (!attached) return
    // From now on it counts as gone: its stream may still take a while to end.
    this.attached.delete(id)
    this.options.mail.disconnect(attached.session, 'stopped')
    void attached.channel.close()
  }

  /** This device uses the cloud mailbox. */
  get isOn(): boolean {
    return collectsMail(this.options.keeper, this.options.ed)
  }

  private purposeOf(id: string): Purpose | undefined {
    const { keeper, ed } = this.options
    const has = (addresses: string[]) => addresses.some((address) => idOf(address) === id)
    if (this.isOn && has(relayAddresses(keeper))) return 'collect'
    // A relay drops by itself whoever is removed.
    if (!keeper.isMember(ed) || !has(this.collectsAt)) return undefined
    return this.emptied.has(id) ? 'leave' : 'empty'
  }

  /** All relays of the practice. */
  views(): RelayView[] {
    const states = this.options.host.relays()
    return relayAddresses(this.options.keeper).map((address) => {
      const id = idOf(address)
      const session = this.attached.get(id)?.session
      const connected = this.isOn && session?.machine.isReady === true
      const state = states.find((each) => each.id === id)
      const code = connected || !this.isOn ? undefined : this.codeOf(id, state)
      return { address, connected, code, sentence: code ? RELAY_SENTENCES[code] : null, session }
    })
  }

  private codeOf(id: string, state: RelayState | undefined): keyof typeof RELAY_SENTENCES {
    if (state?.state === 'wrong-identity') return 'relay-changed'
    return this.refused.has(id) ? 'relay-refused' : 'relay-unreachable'
  }

  /** Sessions at relays that know this device, and at which it collects. */
  ready(): RelaySession[] {
    return [...this.attached.values()]
      .filter(({ purpose, session }) => purpose === 'collect' && session.machine.isReady)
      .map(({ session }) => session)
  }

  /** Each relay, but for `except`, has been reached, or so much time is over. */
  whenReady(timeoutMs: number, except?: string): Promise<void> {
    return this.until(
      ({ id }) =>
        id === except || this.purposeOf(id) !== 'collect' || !!this.attached.get(id)?.session.machine.isReady,
      timeoutMs,
    )
  }

  /** Each relay that can be reached knows where this device collects no more, or so much time is over. */
  whenTold(timeoutMs: number): Promise<void> {
    return this.until(({ id, state }) => state !== 'connected' || !this.isGivenUp(id), timeoutMs)
  }

  private isGivenUp(id: string): boolean {
    const purpose = this.purposeOf(id)
    return purpose === 'empty' || purpose === 'leave'
  }

  private async until(isSo: (relay: RelayState) => boolean, timeoutMs: number): Promise<void> {
    const until = performance.now() + timeoutMs
    while (!this.options.host.relays().every(isSo) && !this.stopped && performance.now() < until)
      await sleep(POLL_MS)
  }

  /** Try now, whatever the back-off says. */
  retry(): void {
    this.options.host.retryRelays()
    for (const state of this.options.host.relays()) {
      const retry = this.retries.get(state.id)
      retry?.cancel?.()
      this.retries.delete(state.id)
      this.onRelay(state)
    }
  }

  /** A window for a new device is open here: relays may tell who knows the code. */
  setWindow(open: boolean): void {
    this.window = open
    this.options.mail.window(open)
  }

  stop(): void {
    this.stopped = true
    for (const { cancel } of this.retries.values()) cancel?.()
  }

  private onRelay(state: RelayState): void {
    if (this.stopped) return
    if (state.state !== 'connected') this.emptied.delete(state.id)
    else if (this.purposeOf(state.id)) void this.connect(state.id)
    this.options.status()
  }

  private async connect(id: string): Promise<void> {
    const relay = peerIdToPublicKey(id)
    const purpose = this.purposeOf(id)
    if (!relay || !purpose || this.attached.has(id) || this.connecting.has(id)) return
    const retry = this.retries.get(id)
    // Who only wanted to say goodbye may wait for long.
    if (retry?.cancel && retry.purpose === purpose) return
    retry?.cancel?.()
    this.connecting.add(id)
    // A disk that takes nothing is told of elsewhere.
    const attached = await this.attach(id, relay, purpose).catch(() => undefined)
    this.connecting.delete(id)
    if (!attached) return this.again(id)
    this.attached.set(id, attached)
    if (attached.purpose !== this.purposeOf(id)) return this.apply()
    this.options.mail.window(this.window)
    void this.read(id, attached)
  }

  private async attach(id: string, relay: Uint8Array, purpose: Purpose): Promise<Attached | undefined> {
    const { host, mail } = this.options
    if (purpose === 'collect') await this.noteCollects(id)
    const opened = await host.dial(id, MAILBOX_PROTOCOL)
    if ('code' in opened) return undefined
    const { channel } = opened
    const link: MailLink = {
      relay,
      send: (lane, bytes) => void channel.send(lane, bytes),
      close: () => void channel.close(),
    }
    // The mailbox may have been switched off, or on, or the relay given up, while this was dialled.
    const isWanted = () => !this.stopped && this.purposeOf(id) === purpose
    const visit = purpose === 'collect' ? undefined : purpose
    const session = isWanted() ? await mail.connect(link, visit) : undefined
    if (session && isWanted()) return { purpose, session, channel }
    if (session) mail.disconnect(session, 'stopped')
    void channel.close()
    return undefined
  }

  /** Before the first mail is asked for: whatever happens next, the relay will be told when that ends. */
  private async noteCollects(id: string): Promise<void> {
    this.emptied.delete(id)
    const here = relayAddresses(this.options.keeper).filter((address) => idOf(address) === id)
    const added = here.filter((address) => !this.collectsAt.includes(address))
    if (added.length === 0) return
    await this.keepCollectsAt([...this.collectsAt, ...added]).catch((error) => {
      this.collectsAt = this.collectsAt.filter((address) => !added.includes(address))
      throw error
    })
  }

  private async keepCollectsAt(addresses: string[]): Promise<void> {
    this.collectsAt = addresses
    await this.options.notes.saveDurably(COLLECTS_AT, addresses)
  }

  private async read(id: string, attached: Attached): Promise<void> {
    const { mail } = this.options
    const { session, channel } = attached
    for await (const { bytes } of channel.messages) {
      if (!session.open) break
      const done = mail.receive(session, bytes)
      if (session.machine.isReady) this.onReady(id, attached)
      await done
      if (session.machine.isReady) this.onReady(id, attached)
    }
    mail.disconnect(session, 'lost')
    if (this.attached.get(id) !== attached) return
    // Whether it knows is what its answer says, and that may have come right before the end.
    if (attached.purpose === 'leave' && this.greeted.has(attached)) return
    this.attached.delete(id)
    this.options.status()
    this.again(id)
  }

  private readonly greeted = new WeakSet<Attached>()

  private onReady(id: string, attached: Attached): void {
    if (this.greeted.has(attached)) return
    this.greeted.add(attached)
    this.refused.delete(id)
    const { purpose } = attached
    if (purpose === 'collect') this.retries.delete(id)
    this.options.status()
    if (purpose === 'empty') void this.empty(id, attached)
    if (purpose === 'leave') void this.leave(id, attached)
  }

  private async empty(id: string, { session }: Attached): Promise<void> {
    // However long it takes: to stay is the harmless side.
    const { timers } = this.options
    while (session.open && !session.machine.isCollected && !this.stopped)
      await new Promise<void>((resolve) => timers.after(POLL_MS, resolve))
    if (!session.open || this.stopped) return
    this.emptied.add(id)
    this.apply()
  }

  private async leave(id: string, attached: Attached): Promise<void> {
    const { timers } = this.options
    const isLeft = await new Promise<boolean>((resolve) => {
      const cancel = timers.after(LEAVE_MS, () => resolve(false))
      void this.sayGoodbye(attached.session).then(resolve).finally(cancel)
    })
    // Meanwhile it may have been taken up again.
    if (this.attached.get(id) !== attached) return
    this.end(id)
    if (!isLeft) return this.again(id)
    this.emptied.delete(id)
    const rest = this.collectsAt.filter((address) => idOf(address) !== id)
    await this.keepCollectsAt(rest).catch(() => {})
    this.apply()
  }

  /** Others may have left something since it was emptied. */
  private async sayGoodbye(session: RelaySession): Promise<boolean> {
    const { mail, ed } = this.options
    const inventory = await mail.inventory(session)
    const waits = inventory?.waiting.some(({ recipient }) => equalBytes(recipient, ed))
    return !waits && mail.leave(session)
  }

  /** A relay ended the conversation: once more, later and later. */
  closed(relay: string, code: string): void {
    const id = publicKeyToPeerId(Uint8Array.from(Buffer.from(relay, 'hex')))
    // What is not settled with its roster is not sent by itself either.
    if (code === 'refused' || code === 'contested') this.refused.add(id)
  }

  private again(id: string): void {
    if (this.stopped) return
    // By the next try others may have left something there.
    this.emptied.delete(id)
    const purpose = this.purposeOf(id)
    const before = this.retries.get(id)
    const beforeMs = before?.purpose === purpose ? before!.waitMs : 0
    const leastMs = this.refused.has(id) ? REFUSED_RETRY_MS : FIRST_RETRY_MS
    const mostMs = this.isGivenUp(id) ? LEAVE_RETRY_MS : Math.max(leastMs, LAST_RETRY_MS)
    const waitMs = Math.min(mostMs, Math.max(leastMs, beforeMs * 2))
    before?.cancel?.()
    const { host, timers } = this.options
    const cancel = timers.after(waitMs * (0.75 + Math.random() / 2), () => {
      this.retries.set(id, { purpose, cancel: undefined, waitMs })
      const state = host.relays().find((each) => each.id === id)
      if (state) this.onRelay(state)
    })
    this.retries.set(id, { purpose, cancel, waitMs })
  }
}

/** The relay's peer id at the end of its address; empty where it names none. */
export function idOf(address: string): string {
  return /\/p2p\/([^/]+)$/.exec(address)?.[1] ?? ''
}

/** Several addresses of one relay belong together. */
export function byRelay(addresses: string[]): string[][] {
  const groups = new Map<string, string[]>()
  for (const address of addresses) groups.set(idOf(address), [...(groups.get(idOf(address)) ?? []), address])
  return [...groups.values()]
}
