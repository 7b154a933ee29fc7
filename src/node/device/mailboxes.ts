/**
 * This device's links to the practice's relays: a stream of the mailbox over the connection that the host keeps at
 * each, taken up again when it breaks. Only while the cloud mailbox is on here; else no relay is ever contacted, but
 * for one thing: to say that this device collects no more.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Channel } from '../frames.js'
import type { Host } from '../host.js'
import type { RelayState } from '../host-relays.js'
import type { MailDriver } from '../mail-driver.js'
import type { RelaySession } from '../mail-driver-session.js'
import { peerIdToPublicKey, publicKeyToPeerId } from '../peer-id.js'
import { collectsMail, relayAddresses } from './mail-roster.js'
import type { Notes } from './notes.js'
import type { RosterKeeper } from './roster-keeper.js'

export const MAILBOX_PROTOCOL = '/kartoteka/mailbox/1'

const POLL_MS = 50
/** A relay that is given up gets so long to answer. */
const DEPART_MS = 4_000
const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 15_000
/** A relay that refuses this device is asked less often. */
const REFUSED_RETRY_MS = 30_000

export interface MailboxesOptions {
  host: Host
  mail: MailDriver
  keeper: RosterKeeper
  notes: Notes
  ed: Uint8Array
  /** Relays that lead to other devices though no mail is collected here. */
  meetingRelays: () => string[]
  status: () => void
}

interface Attached {
  session: RelaySession
  channel: Channel
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
  private readonly retries = new Map<string, { timer: NodeJS.Timeout | undefined; waitMs: number }>()
  private readonly refused = new Set<string>()
  /** Addresses of relays that are still to be told that this device collects no more. */
  private leaving: string[] = []
  /** Addresses of relays that the practice has just given up, and that are being told so. */
  private readonly departing = new Map<string, string[]>()
  private window = false
  private stopped = false

  constructor(private readonly options: MailboxesOptions) {}

  async start(): Promise<void> {
    const { host, notes } = this.options
    this.leaving = (await notes.read<string[]>('leaving')) ?? []
    host.onRelayChanged((state) => this.onRelay(state))
    this.apply()
  }

  /** Settings or the roster changed. */
  apply(): void {
    if (this.stopped) return
    const { host } = this.options
    const { keeper, meetingRelays } = this.options
    for (const [id, attached] of this.attached) {
      if (this.isWanted(id) || this.departing.has(id)) continue
      if (this.isOn && attached.session.machine.isReady) void this.depart(id, attached)
      else this.end(attached)
    }
    const used = this.isOn ? relayAddresses(keeper) : this.leaving
    const wanted = [...new Set([...used, ...meetingRelays(), ...[...this.departing.values()].flat()])]
    host.setRelays(byRelay(wanted).map((addresses) => ({ addresses })))
    for (const state of host.relays()) this.onRelay(state)
    this.options.status()
  }

  /** The practice uses this relay no more: what waits there for this device is dropped, if it listens. */
  private async depart(id: string, attached: Attached): Promise<void> {
    const { host, mail } = this.options
    this.departing.set(id, host.relays().find((state) => state.id === id)?.addresses ?? [])
    await Promise.race([mail.leave(attached.session), sleep(DEPART_MS, undefined, { ref: false })])
    this.departing.delete(id)
    // From now on it counts as gone: its stream may still take a while to end.
    if (this.attached.get(id) === attached) this.attached.delete(id)
    this.end(attached)
    this.apply()
  }

  private end({ session, channel }: Attached): void {
    this.options.mail.disconnect(session, 'stopped')
    void channel.close()
  }

  /** This device uses the cloud mailbox. */
  get isOn(): boolean {
    return collectsMail(this.options.keeper, this.options.ed)
  }

  /** Its mailbox is used here, or left. */
  private isWanted(id: string): boolean {
    const addresses = this.isOn ? relayAddresses(this.options.keeper) : this.leaving
    return addresses.some((address) => idOf(address) === id)
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

  /** Sessions at relays that know this device. */
  ready(): RelaySession[] {
    return [...this.attached.values()].map(({ session }) => session).filter(({ machine }) => machine.isReady)
  }

  /** Each relay, but for `except`, has been reached, or so much time is over. */
  async whenReady(timeoutMs: number, except?: string): Promise<void> {
    const until = performance.now() + timeoutMs
    const all = () =>
      this.options.host
        .relays()
        .every(
          ({ id }) => id === except || !this.isWanted(id) || this.attached.get(id)?.session.machine.isReady,
        )
    while (!all() && !this.stopped && performance.now() < until) await sleep(POLL_MS)
  }

  /** Try now, whatever the back-off says. */
  retry(): void {
    this.options.host.retryRelays()
    for (const state of this.options.host.relays()) {
      const retry = this.retries.get(state.id)
      clearTimeout(retry?.timer)
      this.retries.delete(state.id)
      this.onRelay(state)
    }
  }

  /** A window for a new device is open here: relays may tell who knows the code. */
  setWindow(open: boolean): void {
    this.window = open
    this.options.mail.window(open)
  }

  /** This device collects no more: relays are told now, or as soon as they can be reached. */
  async leave(addresses: string[]): Promise<void> {
    const { notes, mail } = this.options
    const left = new Set<string>()
    for (const session of this.ready()) {
      if (await mail.leave(session)) left.add(publicKeyToPeerId(session.link.relay))
      mail.disconnect(session, 'stopped')
    }
    this.leaving = addresses.filter((address) => !left.has(idOf(address)))
    await notes.saveDurably('leaving', this.leaving)
    this.apply()
  }

  /** It collects again. */
  async stay(): Promise<void> {
    if (this.leaving.length === 0) return this.apply()
    this.leaving = []
    await this.options.notes.saveDurably('leaving', this.leaving)
    for (const { session } of this.attached.values()) this.options.mail.disconnect(session, 'stopped')
    this.apply()
  }

  stop(): void {
    this.stopped = true
    for (const { timer } of this.retries.values()) clearTimeout(timer)
  }

  private onRelay(state: RelayState): void {
    if (this.stopped) return
    if (state.state === 'connected' && this.isWanted(state.id)) void this.connect(state.id)
    this.options.status()
  }

  private async connect(id: string): Promise<void> {
    if (this.attached.has(id) || this.connecting.has(id) || this.retries.get(id)?.timer) return
    const relay = peerIdToPublicKey(id)
    if (!relay) return
    this.connecting.add(id)
    const { host, mail } = this.options
    const opened = await host.dial(id, MAILBOX_PROTOCOL)
    this.connecting.delete(id)
    if ('code' in opened) return this.again(id)
    // The mailbox may have been switched off, or left, while this was dialled.
    if (this.stopped || !this.isWanted(id)) {
      void opened.channel.close()
      return
    }
    const { channel } = opened
    const isLeaving = !this.isOn
    const session = await mail.connect(
      {
        relay,
        send: (lane, bytes) => void channel.send(lane, bytes),
        close: () => void channel.close(),
      },
      isLeaving,
    )
    if (this.stopped || !this.isWanted(id) || isLeaving === this.isOn) {
      mail.disconnect(session, 'stopped')
      return this.again(id)
    }
    this.attached.set(id, { session, channel })
    mail.window(this.window)
    void this.read(id, session, channel)
  }

  private async read(id: string, session: RelaySession, channel: Channel): Promise<void> {
    const { mail } = this.options
    for await (const { bytes } of channel.messages) {
      if (!session.open) break
      const done = mail.receive(session, bytes)
      if (session.machine.isReady) this.onReady(id, session)
      await done
      if (session.machine.isReady) this.onReady(id, session)
    }
    mail.disconnect(session, 'lost')
    if (this.attached.get(id)?.session !== session) return
    this.attached.delete(id)
    this.options.status()
    this.again(id)
  }

  private readonly greeted = new WeakSet<RelaySession>()

  private onReady(id: string, session: RelaySession): void {
    if (this.greeted.has(session)) return
    this.greeted.add(session)
    this.refused.delete(id)
    this.retries.delete(id)
    this.options.status()
    if (!this.isOn && this.leaving.length > 0) void this.leave(this.leaving)
  }

  /** A relay ended the conversation: once more, later and later. */
  closed(relay: string, code: string): void {
    const id = publicKeyToPeerId(Uint8Array.from(Buffer.from(relay, 'hex')))
    if (code === 'refused') this.refused.add(id)
  }

  private again(id: string): void {
    if (this.stopped) return
    const before = this.retries.get(id)
    const waitMs = this.refused.has(id)
      ? REFUSED_RETRY_MS
      : Math.min(LAST_RETRY_MS, (before?.waitMs ?? FIRST_RETRY_MS / 2) * 2)
    clearTimeout(before?.timer)
    const timer = setTimeout(
      () => {
        this.retries.set(id, { timer: undefined, waitMs })
        const state = this.options.host.relays().find((each) => each.id === id)
        if (state) this.onRelay(state)
      },
      waitMs * (0.75 + Math.random() / 2),
    )
    timer.unref()
    this.retries.set(id, { timer, waitMs })
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
