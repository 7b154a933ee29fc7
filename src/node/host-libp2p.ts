/** The host over libp2p: a node, what hangs on it, and the way from each to the outside. */
import type { Connection, Stream } from '@libp2p/interface'
import type { Libp2p } from 'libp2p'
import type { ChannelHandler, HandleOptions, Host, HostLog, HostOptions, Opened } from './host.js'
import { isRtcAddress } from './host-address.js'
import { ALIVE_PROTOCOL, answerAlive, answerAliveOrEnd, RTC_PATIENCE_MS } from './host-alive.js'
import { Channels } from './host-channels.js'
import type { CrowdLimits } from './host-crowd.js'
import { type DialError, type DialOptions, isAccepted, openBy, openStream } from './host-dial.js'
import { FarPaths } from './host-far.js'
import { watchInterfaces } from './host-interfaces.js'
import { Listeners, type Unsubscribe } from './host-listeners.js'
import type { RelayState, RelayTarget } from './host-relays.js'
import { type HostConnection, hostConnection, keyOfPeer, type RemotePeer, remotePeer } from './host-remote.js'
import { type IsKnown, Strangers } from './host-strangers.js'
import type { Transports } from './host-transports.js'
import { TwinSeeker } from './host-twin.js'
import { type FoundPeer, type Lan, startLan } from './lan.js'

/** Streams of one protocol in one connection: one is used, others overlap it while reconnecting. */
const MAX_INBOUND_STREAMS = 8

/** How often, while stopping, connections that never spoke are ended: nothing else would. */
const SWEEP_INTERVAL_MS = 50

export interface Libp2pHostOptions extends Pick<HostOptions, 'lan' | 'log'> {
  /** Who is no stranger; without it those whom `admit` names. */
  isKnown?: IsKnown
  /** How many strangers have room. */
  strangers: CrowdLimits
}

export class Libp2pHost implements Host {
  readonly id: string
  readonly publicKey: Uint8Array
  readonly #node: Libp2p
  readonly #transports: Transports
  readonly #log: HostLog
  readonly #lan: Lan | undefined
  readonly #channels = new Channels()
  readonly #strangers: Strangers
  readonly #far: FarPaths
  readonly #twins: TwinSeeker
  readonly #found: Listeners<[peer: FoundPeer]>
  readonly #twin: Listeners<[]>
  readonly #closed: Listeners<[connection: HostConnection, last: boolean]>
  readonly #relayChanged: Listeners<[state: RelayState]>
  readonly #networkChanged: Listeners<[]>
  readonly #unwatch: () => void
  #stopping: Promise<void> | undefined

  constructor(node: Libp2p, transports: Transports, options: Libp2pHostOptions) {
    const log = options.log ?? (() => {})
    this.id = node.peerId.toString()
    this.publicKey = keyOfPeer(this.id)
    this.#node = node
    this.#transports = transports
    this.#log = log
    this.#found = new Listeners(log)
    this.#twin = new Listeners(log)
    this.#closed = new Listeners(log)
    this.#relayChanged = new Listeners(log)
    this.#networkChanged = new Listeners(log)
    const isKnown = options.isKnown ?? ((key) => this.#far.isMember(key))
    this.#strangers = new Strangers(isKnown, options.strangers)
    node.addEventListener('connection:open', ({ detail }) => this.#strangers.opened(detail))
    node.addEventListener('connection:close', ({ detail }) => {
      this.#strangers.closed(detail)
      const others = node.getConnections(detail.remotePeer).filter((each) => isOpen(each) && each !== detail)
      this.#closed.tell(hostConnection(detail), others.length === 0)
    })
    this.#far = new FarPaths(node, transports, log, (state) => this.#relayChanged.tell(state))
    this.#unwatch = watchInterfaces(() => {
      this.#far.relays.retry()
      this.#networkChanged.tell()
    })
    this.#twins = new TwinSeeker({
      node,
      addresses: () => this.addresses(),
      found: () => this.#twin.tell(),
    })
    if (options.lan === true) {
      this.#lan = startLan({
        id: this.id,
        addresses: () => node.getMultiaddrs(),
        logger: node.logger,
        log,
        onFound: (peer) => {
          if (peer.id === this.id) void this.#twins.look(peer.addresses)
          else this.#found.tell(peer)
        },
      })
    }
  }

  addresses(): string[] {
    const told = this.#node.getMultiaddrs().map((address) => address.toString())
    // libp2p keeps public addresses to itself until somebody has confirmed them; there is nobody to ask.
    const own = this.#transports.listening().map((address) => `${address}/p2p/${this.id}`)
    return [...new Set([...told, ...own, ...this.#far.relays.addresses(this.id)])]
  }

  /** Answers those who ask whether their connection with us still works. */
  async answerAlive(stunPort: number): Promise<void> {
    const take = (stream: Stream, connection: Connection): Promise<void> =>
      isRtcAddress(connection.remoteAddr.toString())
        ? answerAliveOrEnd(stream, connection, { stunPort }, RTC_PATIENCE_MS)
        : answerAlive(stream, { stunPort })
    await this.#node.handle(ALIVE_PROTOCOL, take, {
      maxInboundStreams: MAX_INBOUND_STREAMS,
      runOnLimitedConnection: true,
    })
  }

  /** Says which process this is to those who have met another one with its key. */
  answerRun(): Promise<void> {
    return this.#twins.answer()
  }

  /** What libp2p notes of whoever comes stays for as long as that one does. Of others it may be asked for an address. */
  forgetStrangers(): void {
    this.#node.addEventListener('peer:disconnect', ({ detail: peer }) => {
      const id = peer.toString()
      if (this.#far.isMember(keyOfPeer(id)) || this.#transports.isRelay(id)) return
      this.#node.peerStore.delete(peer).catch(() => {})
    })
  }

  async handle(protocol: string, handler: ChannelHandler, options: HandleOptions = {}): Promise<void> {
    const take = (stream: Stream, connection: Connection): void => {
      const channel = this.#channels.adopt(stream, connection, options)
      // Behind what this turn has written: the other side waits for the word that its protocol is spoken here.
      process.nextTick(() => {
        try {
          handler(channel, remotePeer(connection))
        } catch (error) {
          this.#log('warn', `the handler of ${protocol} failed: ${String(error)}`)
          channel.abort(new Error('The conversation failed on this side.'))
        }
      })
    }
    await this.#node.handle(protocol, take, {
      maxInboundStreams: options.maxInboundStreams ?? MAX_INBOUND_STREAMS,
      runOnLimitedConnection: true,
    })
  }

  async dial(
    target: string | string[],
    protocol: string,
    options: DialOptions = {},
  ): Promise<Opened | DialError> {
    return this.#open(String(target), protocol, options, () =>
      openStream(this.#node, target, protocol, options),
    )
  }

  async dialRelayed(id: string, protocol: string, options: DialOptions = {}): Promise<Opened | DialError> {
    return this.#open(`${id} through a relay`, protocol, options, () =>
      openBy(protocol, options, (signal) => this.#far.reachRelayed(id, signal)),
    )
  }

  async dialRtc(id: string, protocol: string, options: DialOptions = {}): Promise<Opened | DialError> {
    return this.#open(`${id} by WebRTC`, protocol, options, () =>
      openBy(protocol, options, async (signal) => {
        const connection = await this.#far.reachRtc(id, signal)
        if (isAccepted(connection, options)) return { connection, reused: false }
        await connection.close()
        throw new Error('no better path any more')
      }),
    )
  }

  async #open(
    target: string,
    protocol: string,
    options: DialOptions,
    open: () => Promise<{ stream: Stream; connection: Connection } | DialError>,
  ): Promise<Opened | DialError> {
    if (this.#stopping !== undefined) return { code: 'aborted', sentence: 'This device is stopping.' }
    const opened = await open()
    if ('code' in opened) {
      this.#log('debug', `dialling ${target} for ${protocol}: ${opened.code} (${opened.detail ?? ''})`)
      return opened
    }
    return {
      channel: this.#channels.adopt(opened.stream, opened.connection, options),
      remote: remotePeer(opened.connection),
    }
  }

  setRelays(relays: RelayTarget[]): void {
    if (this.#stopping === undefined) this.#far.relays.set(relays)
  }

  relays(): RelayState[] {
    return this.#far.relays.states()
  }

  retryRelays(): void {
    this.#far.relays.retry()
  }

  onRelayChanged(callback: (state: RelayState) => void): Unsubscribe {
    return this.#relayChanged.add(callback)
  }

  onNetworkChanged(callback: () => void): Unsubscribe {
    return this.#networkChanged.add(callback)
  }

  admit(isMember: (publicKey: Uint8Array) => boolean): void {
    this.#far.isMember = isMember
  }

  abandon({ id, address }: Pick<RemotePeer, 'id' | 'address'>): void {
    for (const connection of this.#node.getConnections())
      if (connection.remotePeer.toString() === id && connection.remoteAddr.toString() === address)
        connection.abort(new Error('the other side is silent'))
  }

  closeIdle(id: string): void {
    const busy = this.#channels.busy()
    for (const connection of this.#node.getConnections()) {
      if (connection.remotePeer.toString() !== id || !isOpen(connection) || busy.has(connection)) continue
      connection.close().catch((error) => connection.abort(error))
    }
  }

  connections(): HostConnection[] {
    return this.#node.getConnections().filter(isOpen).map(hostConnection)
  }

  onPeerFound(callback: (peer: FoundPeer) => void): Unsubscribe {
    return this.#found.add(callback)
  }

  onTwin(callback: () => void): Unsubscribe {
    return this.#twin.add(callback)
  }

  onConnectionClosed(callback: (connection: HostConnection, last: boolean) => void): Unsubscribe {
    return this.#closed.add(callback)
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#unwatch()
    this.#twins.stop()
    await this.#lan?.stop()
    await this.#channels.stop()
    await this.#far.stop()
    const stopped = this.#node.stop()
    const sweep = setInterval(() => this.#transports.destroySilentSockets(), SWEEP_INTERVAL_MS)
    try {
      await stopped
    } finally {
      clearInterval(sweep)
      this.#transports.destroySockets()
      await this.#far.release()
    }
  }
}

function isOpen(connection: Connection): boolean {
  return connection.status === 'open'
}
