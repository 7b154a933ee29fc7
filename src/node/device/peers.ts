/**
 * Connections to the practice's other devices: who is dialled, when, and by which path. A device is dialled as
 * soon as it is seen on the LAN, and otherwise at its known addresses and through the relays, less and less
 * often. One session stands for each device; it moves to a better path as soon as there is one.
 */
import { compareBytes, toHex } from '../../protocol/bytes.js'
import type { Driver } from '../driver.js'
import type { Link, PeerSession } from '../driver-session.js'
import type { Channel } from '../frames.js'
import type { Host, Opened } from '../host.js'
import { isPlainText, type Path } from '../host-address.js'
import type { DialError } from '../host-dial.js'
import type { RemotePeer } from '../host-remote.js'
import { peerIdToPublicKey, publicKeyToPeerId } from '../peer-id.js'
import { Improvements, onward, qualityOf } from './path-quality.js'
import { addressesToDial, type KnownPeer, PeerSightings } from './peer-addresses.js'
import { PeerRests } from './peer-rests.js'

export const SYNC_PROTOCOL = '/kartoteka/sync/1'

const FIRST_RETRY_MS = 1_000
const LAST_RETRY_MS = 20_000
/** Somebody waits for the outcome of the next three dials. */
const HURRIED_RETRY_MS = 500
/** The device with the greater key waits a moment, so that both don't dial at once. */
const SECOND_DIALLER_MS = 700
/** Known addresses get this much of a start before the relays are tried as well. */
const DIRECT_START_MS = 700
const DIAL_MS = 5_000
/** Two streams opened so close together are one meeting: the better path's stands, or the lower key's. */
const MEETING_MS = 5_000
/** After a session has moved, its last messages may still be on the old path. */
const LINGER_MS = 2_000
/** Nothing is due: a look at everybody all the same, for what nobody has told of. */
const REST_MS = 5_000
const MAX_KEPT_ADDRESSES = 8

interface Dialling {
  nextAt: number
  waitMs: number
  failures: number
  busy: boolean
}

interface Attached {
  session: PeerSession
  channel: Channel
  path: Path
  quality: number
  dialledByLower: boolean
  since: number
}

export interface PeersOptions {
  host: Host
  driver: Pick<Driver, 'connect' | 'receive' | 'disconnect' | 'tellAddresses'>
  ed: Uint8Array
  /** Keys of the other members now. */
  others: () => readonly Uint8Array[]
  known: Map<string, KnownPeer>
  now: () => number
  /** Something of `known` changed and is worth keeping. */
  changed: () => void
}

/**
 * Each side tells where it can be reached once both know what the other holds: to gather that, and to keep it, takes
 * as long as the whole comparison.
 */
const INTRODUCE_AFTER_MS = 200

export class Peers {
  private readonly attached = new Map<string, Attached>()
  private readonly dialling = new Map<string, Dialling>()
  private readonly rests = new PeerRests()
  private readonly sightings = new PeerSightings()
  private readonly improvements: Improvements
  private readonly clock: () => number
  private readonly subscriptions: (() => void)[] = []
  private timer: NodeJS.Timeout | undefined
  private started = false
  private stopped = false

  constructor(private readonly options: PeersOptions) {
    this.clock = onward(options.now)
    this.improvements = new Improvements(this.clock)
  }

  async start(): Promise<void> {
    const { host } = this.options
    host.admit((key) => this.isOther(key))
    await host.handle(SYNC_PROTOCOL, (channel, remote) => this.attach(channel, remote, false))
    this.subscriptions.push(
      host.onPeerFound(({ id, addresses }) => this.found(id, addresses)),
      host.onConnectionClosed(({ id }, last) => {
        const key = peerIdToPublicKey(id)
        if (last && key && this.isOther(key)) this.dueSoon(key)
      }),
      host.onRelayChanged(({ state, circuit }) => {
        if (state === 'connected' && circuit) this.reconsider()
      }),
      host.onNetworkChanged(() => this.reconsider()),
    )
    this.started = true
    this.tick()
  }

  stop(): void {
    this.stopped = true
    clearTimeout(this.timer)
    for (const unsubscribe of this.subscriptions) unsubscribe()
  }

  /** Something has changed that may make a dial due: a member came, or an address is known. */
  wake(): void {
    this.sleep(0)
  }

  /** Keeps addresses that a device tells of itself, newest first; says whether any was new. Names are passed over. */
  remember(peer: string, addresses: string[]): boolean {
    return this.keep(peer, addresses.filter(isPlainText))
  }

  /** The device was heard of just now. */
  seen(peer: string): void {
    const known = this.options.known.get(peer) ?? { addresses: [], lastSeen: null }
    known.lastSeen = this.options.now()
    this.options.known.set(peer, known)
    this.options.changed()
  }

  /** Dials everybody who isn't connected now, and looks for better paths to those who are. */
  dialAll(): void {
    this.rests.forget()
    for (const key of this.options.others()) if (!this.attached.has(toHex(key))) this.due(toHex(key), 0)
    this.improvements.forget()
    this.options.host.retryRelays()
    this.tick()
  }

  /** Who was refused before may belong now. */
  rosterChanged(): void {
    this.rests.forget()
    this.wake()
  }

  /** Failed dials in a row since the last `forgive`. */
  failures(peer: string): number {
    return this.dialling.get(peer)?.failures ?? 0
  }

  /** Whoever can't be reached will soon be known as such, whatever the back-off was. */
  forgive(): void {
    for (const state of this.dialling.values()) {
      state.failures = 0
      state.waitMs = HURRIED_RETRY_MS
    }
  }

  sessionOf(peer: string): PeerSession | undefined {
    const attached = this.attached.get(peer)
    return attached?.session.open ? attached.session : undefined
  }

  /** Of the connection over which the session runs. */
  pathOf(peer: string): Path | 'none' {
    const attached = this.attached.get(peer)
    return attached?.session.open ? attached.path : 'none'
  }

  private keep(peer: string, addresses: string[]): boolean {
    const known = this.options.known.get(peer) ?? { addresses: [], lastSeen: null }
    const added = addresses.filter((address) => !known.addresses.includes(address))
    this.options.known.set(peer, known)
    if (added.length === 0) return false
    known.addresses = [...added, ...known.addresses].slice(0, MAX_KEPT_ADDRESSES)
    this.options.changed()
    const attached = this.attached.get(peer)
    if (attached) this.improvements.sighted(peer, attached.quality)
    this.wake()
    return true
  }

  private isOther(key: Uint8Array): boolean {
    return this.options.others().some((other) => compareBytes(other, key) === 0)
  }

  private isLower(key: Uint8Array): boolean {
    return compareBytes(this.options.ed, key) < 0
  }

  private found(id: string, addresses: string[]): void {
    const key = peerIdToPublicKey(id)
    if (!key || !this.isOther(key)) return
    const peer = toHex(key)
    const isElsewhere = this.sightings.note(peer, addresses.filter(isPlainText))
    const attached = this.attached.get(peer)
    // It is on this network, and we talk to it by a detour.
    if (attached) this.improvements.sighted(peer, attached.quality)
    else if (isElsewhere || this.failures(peer) > 0) this.dueSoon(key)
    this.wake()
  }

  private reconsider(): void {
    this.improvements.forget()
    for (const key of this.options.others()) if (!this.attached.has(toHex(key))) this.dueSoon(key)
    this.wake()
  }

  private dueSoon(key: Uint8Array): void {
    this.due(toHex(key), this.isLower(key) ? 0 : SECOND_DIALLER_MS)
  }

  private due(peer: string, inMs: number): void {
    const state = this.dialling.get(peer)
    const nextAt = this.clock() + Math.max(inMs, this.rests.restMs(peer))
    if (state) state.nextAt = Math.min(state.nextAt, nextAt)
    else this.dialling.set(peer, { nextAt, waitMs: FIRST_RETRY_MS, failures: 0, busy: false })
    this.wake()
  }

  /** Does what is due, then rests until something is: an idle device sleeps. */
  private tick(): void {
    if (this.stopped) return
    const now = this.clock()
    let next = now + REST_MS
    for (const key of this.options.others()) {
      const peer = toHex(key)
      const attached = this.attached.get(peer)
      if (attached) {
        void this.improvements.tick(peer, attached.quality, this.isLower(key), () => this.improve(peer, key))
        next = Math.min(next, this.improvements.dueAt(peer, attached.quality))
        continue
      }
      if (!this.addressesOf(peer, key).length && !this.hasRelay()) continue
      if (!this.dialling.has(peer)) this.dueSoon(key)
      const state = this.dialling.get(peer)!
      if (!state.busy && state.nextAt <= now) void this.dial(peer, key, state)
      if (!state.busy) next = Math.min(next, state.nextAt)
    }
    this.sleep(next - now)
  }

  private sleep(ms: number): void {
    clearTimeout(this.timer)
    if (!this.started || this.stopped) return
    // A timer may be a little early.
    this.timer = setTimeout(() => this.tick(), Math.max(Math.ceil(ms) + 1, 1))
    this.timer.unref()
  }

  private addressesOf(peer: string, key: Uint8Array): string[] {
    const suffix = `/p2p/${publicKeyToPeerId(key)}`
    const known = this.options.known.get(peer)?.addresses ?? []
    return addressesToDial(known, this.sightings.of(peer), this.failures(peer)).map((address) =>
      address.includes('/p2p/') ? address : address + suffix,
    )
  }

  private hasRelay(): boolean {
    return this.options.host.relays().some(({ state }) => state === 'connected')
  }

  private async dial(peer: string, key: Uint8Array, state: Dialling): Promise<void> {
    state.busy = true
    // Who asks for a dial from here on, as with a new address, is not answered by this one.
    state.nextAt = Number.POSITIVE_INFINITY
    const { host } = this.options
    const id = publicKeyToPeerId(key)
    const addresses = this.addressesOf(peer, key)
    const options = { timeoutMs: DIAL_MS }
    const direct = addresses.length > 0 ? this.take(host.dial(addresses, SYNC_PROTOCOL, options)) : undefined
    const relayed = this.hasRelay()
      ? this.headStart(direct).then((done) => done || this.take(host.dialRelayed(id, SYNC_PROTOCOL, options)))
      : undefined
    const outcomes = await Promise.all([direct, relayed])
    state.busy = false
    const isThrough = outcomes.includes(true)
    if (!isThrough) {
      state.failures++
      state.waitMs = Math.min(state.waitMs * 2, LAST_RETRY_MS)
    }
    // Jitter, so that a clinic's devices don't all ask at the same moment.
    const waitMs = isThrough ? FIRST_RETRY_MS : state.waitMs * (0.75 + Math.random() / 2)
    state.nextAt = Math.min(state.nextAt, this.clock() + waitMs)
    this.wake()
  }

  /** Whether the direct dial has succeeded; waits for it, but not for long. */
  private async headStart(direct: Promise<boolean> | undefined): Promise<boolean> {
    if (direct === undefined) return false
    let timer: NodeJS.Timeout | undefined
    const enough = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), DIRECT_START_MS)
      timer.unref()
    })
    const done = await Promise.race([direct, enough])
    clearTimeout(timer)
    return done
  }

  /** In search of a better path than the session has: at known addresses, and by WebRTC where only a relay leads. */
  private async improve(peer: string, key: Uint8Array): Promise<void> {
    const { host } = this.options
    const addresses = this.addressesOf(peer, key)
    const accept = (remote: Pick<RemotePeer, 'path' | 'address'>): boolean =>
      qualityOf(remote) > (this.attached.get(peer)?.quality ?? -1)
    const direct =
      addresses.length > 0 && this.take(host.dial(addresses, SYNC_PROTOCOL, { timeoutMs: DIAL_MS, accept }))
    const rtc =
      this.pathOf(peer) === 'relayed' &&
      this.take(host.dialRtc(publicKeyToPeerId(key), SYNC_PROTOCOL, { accept }))
    await Promise.all([direct, rtc])
    this.wake()
  }

  private async take(dialled: Promise<Opened | DialError>): Promise<boolean> {
    const opened = await dialled
    if ('code' in opened) return false
    this.attach(opened.channel, opened.remote, true)
    return true
  }

  private attach(channel: Channel, remote: RemotePeer, dialled: boolean): void {
    if (this.stopped) {
      void channel.close()
      return
    }
    const { driver, host } = this.options
    const peer = toHex(remote.publicKey)
    const dialledByLower = dialled === this.isLower(remote.publicKey)
    const quality = qualityOf(remote)
    const old = this.attached.get(peer)
    if (old?.session.open && this.isPreferred(old, quality, dialledByLower)) {
      void channel.close()
      return
    }
    const link: Link = {
      publicKey: remote.publicKey,
      send: (lane, bytes) => void channel.send(lane, bytes),
      flush: () => channel.flush(),
      whenBulkLow: () => channel.whenBulkLow(),
      close: (code) => {
        // A dial would meet the dead connection again, and wait for it.
        if (code === 'silent') host.abandon(remote)
        if (code === 'refused' && this.isOther(remote.publicKey)) this.rests.refused(peer)
        void channel.close()
      },
    }
    // This ends the session that stood, if one did: nothing is lost, the new one goes on from what is durable.
    const session = driver.connect(link)
    const { path } = remote
    const attached: Attached = { session, channel, path, quality, dialledByLower, since: this.clock() }
    this.attached.set(peer, attached)
    this.dialling.delete(peer)
    if (this.isOther(remote.publicKey))
      this.improvements.stands(peer, quality, this.isLower(remote.publicKey))
    this.wake()
    setTimeout(() => this.introduce(session), INTRODUCE_AFTER_MS).unref()
    if (dialled && quality >= 2) this.keep(peer, [remote.address])
    if (old) setTimeout(() => this.options.host.closeIdle(remote.id), LINGER_MS).unref()
    void this.read(attached, peer)
  }

  private introduce(session: PeerSession): void {
    const { driver, host } = this.options
    if (session.open) driver.tellAddresses(session, host.addresses().filter(isPlainText))
  }

  /** A worse path is taken all the same when the better one is not just new: the other side may have lost it. */
  private isPreferred(old: Attached, quality: number, dialledByLower: boolean): boolean {
    if (this.clock() - old.since >= MEETING_MS) return false
    if (quality !== old.quality) return quality < old.quality
    return old.dialledByLower && !dialledByLower
  }

  private async read({ session, channel, quality, since }: Attached, peer: string): Promise<void> {
    const { driver, now } = this.options
    for await (const { bytes } of channel.messages) {
      if (!session.open) break
      await driver.receive(session, bytes)
    }
    driver.disconnect(session, 'lost')
    this.improvements.ended(peer, quality, this.clock() - since)
    this.rests.stood(peer, this.clock() - since)
    if (this.attached.get(peer)?.session !== session) return
    this.attached.delete(peer)
    const key = session.link.publicKey
    // Of a stranger nothing is kept: there are as many as somebody likes.
    if (!this.isOther(key)) return
    const known = this.options.known.get(peer)
    if (known) known.lastSeen = now()
    // A stop has saved it, and nothing may follow what it flushes.
    if (this.stopped) return
    this.options.changed()
    this.due(peer, this.isLower(key) ? 200 : SECOND_DIALLER_MS)
  }
}
