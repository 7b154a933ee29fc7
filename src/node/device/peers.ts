/**
 * Connections to the practice's other devices: who is dialled, when, and over which address. A device is
 * dialled as soon as it is seen on the LAN, and otherwise at its known addresses, less and less often.
 */
import { compareBytes, toHex } from '../../protocol/bytes.js'
import type { Driver, Link, PeerSession } from '../driver.js'
import type { Channel } from '../frames.js'
import type { Host, RemotePeer } from '../host.js'
import { peerIdToPublicKey, publicKeyToPeerId } from '../peer-id.js'

export const SYNC_PROTOCOL = '/kartoteka/sync/1'

const FIRST_RETRY_MS = 1_000
const LAST_RETRY_MS = 20_000
/** The device with the greater key waits a moment, so that both don't dial at once. */
const SECOND_DIALLER_MS = 700
/** Two streams opened so close together are one meeting: the lower key's stands. */
const MEETING_MS = 5_000
const TICK_MS = 250
const MAX_KEPT_ADDRESSES = 8

export interface KnownPeer {
  addresses: string[]
  lastSeen: number | null
}

interface Dialling {
  nextAt: number
  waitMs: number
  failures: number
  busy: boolean
}

interface Attached {
  session: PeerSession
  channel: Channel
  address: string
  dialledByLower: boolean
  since: number
}

export interface PeersOptions {
  host: Host
  driver: Driver
  ed: Uint8Array
  /** Keys of the other members now. */
  others: () => Uint8Array[]
  known: Map<string, KnownPeer>
  now: () => number
  /** Something of `known` changed and is worth keeping. */
  changed: () => void
}

export class Peers {
  private readonly attached = new Map<string, Attached>()
  private readonly dialling = new Map<string, Dialling>()
  private ticker: NodeJS.Timeout | undefined
  private stopped = false

  constructor(private readonly options: PeersOptions) {}

  async start(): Promise<void> {
    const { host } = this.options
    await host.handle(SYNC_PROTOCOL, (channel, remote) => this.attach(channel, remote, false))
    host.onPeerFound(({ id, addresses }) => {
      const key = peerIdToPublicKey(id)
      if (!key || !this.isOther(key)) return
      const fresh = this.remember(toHex(key), addresses, true)
      if (fresh && !this.attached.has(toHex(key)))
        this.due(toHex(key), this.isLower(key) ? 0 : SECOND_DIALLER_MS)
    })
    host.onConnectionClosed(({ id }, last) => {
      const key = peerIdToPublicKey(id)
      if (last && key && this.isOther(key)) this.due(toHex(key), this.isLower(key) ? 0 : SECOND_DIALLER_MS)
    })
    this.ticker = setInterval(() => this.tick(), TICK_MS)
    this.ticker.unref()
    this.tick()
  }

  stop(): void {
    this.stopped = true
    clearInterval(this.ticker)
  }

  /** Keeps addresses of a device, newest first; says whether any was new. */
  remember(peer: string, addresses: string[], fresh = false): boolean {
    const known = this.options.known.get(peer) ?? { addresses: [], lastSeen: null }
    const added = addresses.filter((address) => !known.addresses.includes(address))
    if (added.length === 0) {
      this.options.known.set(peer, known)
      return fresh && !this.attached.has(peer) && (this.dialling.get(peer)?.failures ?? 0) > 0
    }
    known.addresses = [...added, ...known.addresses].slice(0, MAX_KEPT_ADDRESSES)
    this.options.known.set(peer, known)
    this.options.changed()
    return true
  }

  /** The device was heard of just now. */
  seen(peer: string): void {
    const known = this.options.known.get(peer) ?? { addresses: [], lastSeen: null }
    known.lastSeen = this.options.now()
    this.options.known.set(peer, known)
    this.options.changed()
  }

  /** Dials everybody who isn't connected now. */
  dialAll(): void {
    for (const key of this.options.others()) if (!this.attached.has(toHex(key))) this.due(toHex(key), 0)
    this.tick()
  }

  /** Failed dials in a row since the last `forgive`. */
  failures(peer: string): number {
    return this.dialling.get(peer)?.failures ?? 0
  }

  forgive(): void {
    for (const state of this.dialling.values()) state.failures = 0
  }

  sessionOf(peer: string): PeerSession | undefined {
    const attached = this.attached.get(peer)
    return attached?.session.open ? attached.session : undefined
  }

  pathOf(peer: string): 'lan' | 'direct' | 'none' {
    const attached = this.attached.get(peer)
    if (!attached?.session.open) return 'none'
    return isNearby(attached.address) ? 'lan' : 'direct'
  }

  private isOther(key: Uint8Array): boolean {
    return this.options.others().some((other) => compareBytes(other, key) === 0)
  }

  private isLower(key: Uint8Array): boolean {
    return compareBytes(this.options.ed, key) < 0
  }

  private due(peer: string, inMs: number): void {
    const state = this.dialling.get(peer)
    const nextAt = this.options.now() + inMs
    if (state) state.nextAt = Math.min(state.nextAt, nextAt)
    else this.dialling.set(peer, { nextAt, waitMs: FIRST_RETRY_MS, failures: 0, busy: false })
  }

  private tick(): void {
    if (this.stopped) return
    const now = this.options.now()
    for (const key of this.options.others()) {
      const peer = toHex(key)
      if (this.attached.has(peer) || !this.options.known.get(peer)?.addresses.length) continue
      if (!this.dialling.has(peer)) this.due(peer, this.isLower(key) ? 0 : SECOND_DIALLER_MS)
      const state = this.dialling.get(peer)!
      if (!state.busy && state.nextAt <= now) void this.dial(peer, key, state)
    }
  }

  private async dial(peer: string, key: Uint8Array, state: Dialling): Promise<void> {
    state.busy = true
    const id = publicKeyToPeerId(key)
    const addresses = (this.options.known.get(peer)?.addresses ?? []).map((address) =>
      address.includes('/p2p/') ? address : `${address}/p2p/${id}`,
    )
    const opened = await this.options.host.dial(addresses, SYNC_PROTOCOL, { timeoutMs: 5_000 })
    state.busy = false
    if (this.stopped) {
      if (!('code' in opened)) void opened.channel.close()
      return
    }
    if ('code' in opened) {
      state.failures++
      // Jitter, so that a clinic's devices don't all ask at the same moment.
      state.waitMs = Math.min(state.waitMs * 2, LAST_RETRY_MS)
      state.nextAt = this.options.now() + state.waitMs * (0.75 + Math.random() / 2)
      return
    }
    this.attach(opened.channel, opened.remote, true)
  }

  private attach(channel: Channel, remote: RemotePeer, dialled: boolean): void {
    if (this.stopped) {
      void channel.close()
      return
    }
    const peer = toHex(remote.publicKey)
    const dialledByLower = dialled === this.isLower(remote.publicKey)
    const old = this.attached.get(peer)
    if (
      old?.session.open &&
      old.dialledByLower &&
      !dialledByLower &&
      this.options.now() - old.since < MEETING_MS
    ) {
      void channel.close()
      return
    }
    const link: Link = {
      publicKey: remote.publicKey,
      send: (lane, bytes) => void channel.send(lane, bytes),
      close: () => void channel.close(),
    }
    const session = this.options.driver.connect(link)
    const attached: Attached = {
      session,
      channel,
      address: remote.address,
      dialledByLower,
      since: this.options.now(),
    }
    this.attached.set(peer, attached)
    this.dialling.delete(peer)
    this.options.driver.tellAddresses(session, this.options.host.addresses())
    if (dialled) this.remember(peer, [remote.address])
    void this.read(attached, peer)
  }

  private async read({ session, channel }: Attached, peer: string): Promise<void> {
    for await (const { bytes } of channel.messages) {
      if (!session.open) break
      await this.options.driver.receive(session, bytes)
    }
    this.options.driver.disconnect(session, 'lost')
    if (this.attached.get(peer)?.session !== session) return
    this.attached.delete(peer)
    const known = this.options.known.get(peer)
    if (known) known.lastSeen = this.options.now()
    this.options.changed()
    const key = session.link.publicKey
    if (!this.stopped) this.due(peer, this.isLower(key) ? 200 : SECOND_DIALLER_MS)
  }
}

/** Private, link-local or loopback: the same network. */
function isNearby(address: string): boolean {
  const ip4 = /^\/ip4\/(\d+)\.(\d+)\./.exec(address)
  if (ip4) {
    const [a, b] = [Number(ip4[1]), Number(ip4[2])]
    return (
      a === 10 ||
      a === 127 ||
      (a === 192 && b === 168) ||
      (a === 172 && b >= 16 && b < 32) ||
      (a === 169 && b === 254)
    )
  }
  return /^\/ip6\/(::1|fe80|f[cd])/i.test(address)
}
