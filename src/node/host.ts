/**
 * This device on the network: a libp2p node that listens, dials whom it is told to, and hands out
 * channels. It decides nothing about trust; it says with certainty who is at the other end, and
 * contacts nobody by itself: no discovery but the local network's, no bootstrap, no name server but
 * for addresses that a person configured.
 */
import type { Connection, Stream } from '@libp2p/interface'
import type { Libp2p } from 'libp2p'
import { Channel, type ChannelOptions } from './frames.js'
import { isPlainAddress, isRtcAddress, type Path, parseAddress, pathOfAddress } from './host-address.js'
import { ALIVE_PROTOCOL, answerAlive, answerAliveOrEnd, isIdle, RTC_PATIENCE_MS } from './host-alive.js'
import { Crowd, type CrowdLimits, type Standing } from './host-crowd.js'
import { type DialError, type DialOptions, isAccepted, openBy, openStream } from './host-dial.js'
import { FarPaths } from './host-far.js'
import { watchInterfaces } from './host-interfaces.js'
import { createNode } from './host-node.js'
import type { RelayState, RelayTarget } from './host-relays.js'
import { networkOfConnection, Transports } from './host-transports.js'
import { TwinSeeker } from './host-twin.js'
import { type FoundPeer, type Lan, startLan } from './lan.js'
import { peerIdToPublicKey } from './peer-id.js'

/** Both transports on ports that the system chooses. */
export const DEFAULT_LISTEN = ['/ip4/0.0.0.0/tcp/0', '/ip4/0.0.0.0/tcp/0/ws']

/** More than any practice has devices, twice over while reconnecting. A relay asks for more. */
export const MAX_CONNECTIONS = 512

/**
 * Of the connections, so many may be of those who are not of the practice. A new device needs one, and so do others
 * of the practice whom this device doesn't know yet; beyond it the one goes that has been of no use for longest.
 */
const STRANGERS_SHARE = 1 / 4

/** So long a stranger may take to say why it has come. */
const STRANGER_GRACE_MS = 2_000

/** Streams of one protocol in one connection: one is used, others overlap it while reconnecting. */
export const MAX_INBOUND_STREAMS = 8

/** How long a stop waits for channels to send what they hold. */
const STOP_TIMEOUT_MS = 500

/** How often, while stopping, connections that never spoke are ended: nothing else would. */
const SWEEP_INTERVAL_MS = 50

export type HostLog = (level: 'debug' | 'warn', text: string) => void

export interface HostOptions {
  /** The 32-byte Ed25519 seed of the device; its public key is the host's identity. */
  privateKey: Uint8Array
  /** Multiaddrs of IP, TCP and maybe WebSocket. */
  listen?: string[]
  /** Announce this device on the local network and look for others there. */
  lan?: boolean
  maxConnections?: number
  log?: HostLog
}

/** Who is at the other end: proved by the handshake. */
export interface RemotePeer {
  id: string
  publicKey: Uint8Array
  address: string
  path: Path
}

export interface HostConnection {
  id: string
  address: string
  path: Path
}

export interface ListenError {
  code: 'listen-failed'
  address: string
  sentence: string
}

export interface HandleOptions extends ChannelOptions {
  /** Of this protocol, in one connection. */
  maxInboundStreams?: number
}

export type ChannelHandler = (channel: Channel, remote: RemotePeer) => void
export type Opened = { channel: Channel; remote: RemotePeer }
export type Unsubscribe = () => void

export interface Host {
  readonly id: string
  readonly publicKey: Uint8Array
  /** Where this device can be reached now, each ending in `/p2p/ID`. */
  addresses(): string[]
  /** Takes channels of a protocol from anybody; the handler decides whether to talk. */
  handle(protocol: string, handler: ChannelHandler, options?: HandleOptions): Promise<void>
  unhandle(protocol: string): Promise<void>
  /** Opens a channel, over the best present connection where there is one. A peer id alone reaches known addresses only. */
  dial(target: string | string[], protocol: string, options?: DialOptions): Promise<Opened | DialError>
  /** The same through a relay, whichever of the connected ones leads to the device. */
  dialRelayed(id: string, protocol: string, options?: DialOptions): Promise<Opened | DialError>
  /** The same over a new WebRTC connection, arranged through a relay; returns only what has proved to work. */
  dialRtc(id: string, protocol: string, options?: DialOptions): Promise<Opened | DialError>
  /** Ends all connections with a peer. */
  disconnect(id: string): Promise<void>
  /** Ends a connection that has proved dead, at once: to wait for the other side's end of it would only take time. */
  abandon(remote: Pick<RemotePeer, 'id' | 'address'>): void
  /** Ends those connections with a peer over which no channel is open. */
  closeIdle(id: string): void
  /**
   * The relays from now on: the whole list, at any time. Never throws, waits for nothing; what comes of it
   * is told by `relays` and `onRelayChanged`.
   */
  setRelays(relays: RelayTarget[]): void
  relays(): RelayState[]
  /** Tries all relays now, and looks whether connected ones still answer. */
  retryRelays(): void
  onRelayChanged(callback: (state: RelayState) => void): Unsubscribe
  /** Who may arrange WebRTC with this device, and so learn its addresses. Nobody, until this is called. */
  admit(isMember: (publicKey: Uint8Array) => boolean): void
  /** This computer's network interfaces have changed: what seemed connected may be gone. */
  onNetworkChanged(callback: () => void): Unsubscribe
  connections(): HostConnection[]
  /** Devices seen on the local network, each again about every second. Unverified. */
  onPeerFound(callback: (peer: FoundPeer) => void): Unsubscribe
  /** Another process on the local network has proved to have this device's key; again every few seconds. */
  onTwin(callback: () => void): Unsubscribe
  onConnectionOpened(callback: (connection: HostConnection) => void): Unsubscribe
  /** `last`: no other connection with this peer remains. */
  onConnectionClosed(callback: (connection: HostConnection, last: boolean) => void): Unsubscribe
  /**
   * Closes channels, connections, sockets and timers. Nothing keeps the process alive afterwards, but
   * for a timer of libp2p's address book that ends within a second.
   */
  stop(): Promise<void>
}

export async function createHost(options: HostOptions): Promise<Host | ListenError> {
  const listen = options.listen ?? DEFAULT_LISTEN
  for (const address of listen) {
    const parsed = parseAddress(address)
    if (parsed === undefined || !isPlainAddress(parsed)) return listenError(address, 'unusable')
  }
  const transports = new Transports()
  try {
    const { privateKey, maxConnections = MAX_CONNECTIONS } = options
    const node = await createNode({ privateKey, listen, maxConnections }, transports)
    const host = new Libp2pHost(node, transports, options)
    await host.answerAlive(0)
    await host.answerRun()
    return host
  } catch (error) {
    return listenFailure(transports, error)
  }
}

/** The failure as a value where it is one of listening; everything else is a bug and thrown on. */
export function listenFailure(transports: Transports, error: unknown): ListenError {
  const failure = transports.listenFailures[0]
  if (failure === undefined) throw error
  return listenError(failure.address, failure.reason)
}

export interface Libp2pHostOptions extends Pick<HostOptions, 'lan' | 'log' | 'maxConnections'> {
  /** Who is no stranger; without it those whom `admit` names. */
  isKnown?: (publicKey: Uint8Array) => boolean
  strangers?: CrowdLimits
}

export class Libp2pHost implements Host {
  readonly id: string
  readonly publicKey: Uint8Array
  readonly #node: Libp2p
  readonly #transports: Transports
  readonly #log: HostLog
  readonly #lan: Lan | undefined
  readonly #channels = new Map<Channel, Connection>()
  readonly #found = new Set<(peer: FoundPeer) => void>()
  readonly #twin = new Set<() => void>()
  readonly #twins: TwinSeeker
  readonly #opened = new Set<(connection: HostConnection) => void>()
  readonly #closed = new Set<(connection: HostConnection, last: boolean) => void>()
  readonly #relayChanged = new Set<(state: RelayState) => void>()
  readonly #networkChanged = new Set<() => void>()
  readonly #far: FarPaths
  readonly #strangers: Crowd<Connection>
  /** When each connection of a stranger came, by the monotonic clock. */
  readonly #cameAt = new WeakMap<Connection, number>()
  readonly #unwatch: () => void
  #stopping: Promise<void> | undefined

  constructor(node: Libp2p, transports: Transports, options: Libp2pHostOptions) {
    this.id = node.peerId.toString()
    this.publicKey = remoteKey(this.id)
    this.#node = node
    this.#transports = transports
    this.#log = options.log ?? (() => {})
    const isKnown = options.isKnown ?? ((key) => this.#far.isMember(key))
    this.#strangers = new Crowd({
      ...(options.strangers ?? strangersAmong(options.maxConnections)),
      judge: (connection) => this.#standingOf(connection, isKnown),
      end: (connection) => connection.abort(new Error('there is no room for another stranger')),
    })
    node.addEventListener('connection:open', (event) => {
      const opened = event.detail
      if (opened.direction === 'inbound' && this.#standingOf(opened, isKnown) !== 'known') {
        this.#cameAt.set(opened, performance.now())
        this.#strangers.add(opened, networkOfConnection(opened))
      }
      this.#tell(this.#opened, toHostConnection(opened))
    })
    node.addEventListener('connection:close', (event) => {
      const closed = event.detail
      this.#strangers.delete(closed, networkOfConnection(closed))
      const others = node.getConnections(closed.remotePeer).filter((each) => isOpen(each) && each !== closed)
      this.#tell(this.#closed, toHostConnection(closed), others.length === 0)
    })
    this.#far = new FarPaths(node, transports, this.#log, (state) => this.#tell(this.#relayChanged, state))
    this.#unwatch = watchInterfaces(() => {
      this.#far.relays.retry()
      this.#tell(this.#networkChanged)
    })
    this.#twins = new TwinSeeker({
      node,
      addresses: () => this.addresses(),
      found: () => this.#tell(this.#twin),
    })
    if (options.lan === true) {
      this.#lan = startLan({
        id: this.id,
        addresses: () => node.getMultiaddrs(),
        logger: node.logger,
        log: this.#log,
        onFound: (peer) => {
          if (peer.id === this.id) void this.#twins.look(peer.addresses)
          else this.#tell(this.#found, peer)
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

  async handle(protocol: string, handler: ChannelHandler, options: HandleOptions = {}): Promise<void> {
    const take = (stream: Stream, connection: Connection): void => {
      const channel = this.#adopt(stream, connection, options)
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

  async unhandle(protocol: string): Promise<void> {
    await this.#node.unhandle(protocol)
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
      channel: this.#adopt(opened.stream, opened.connection, options),
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
    return subscribe(this.#relayChanged, callback)
  }

  onNetworkChanged(callback: () => void): Unsubscribe {
    return subscribe(this.#networkChanged, callback)
  }

  admit(isMember: (publicKey: Uint8Array) => boolean): void {
    this.#far.isMember = isMember
  }

  abandon({ id, address }: Pick<RemotePeer, 'id' | 'address'>): void {
    for (const connection of this.#node.getConnections())
      if (connection.remotePeer.toString() === id && connection.remoteAddr.toString() === address)
        connection.abort(new Error('the other side is silent'))
  }

  async disconnect(id: string): Promise<void> {
    const connections = this.#node.getConnections().filter((each) => each.remotePeer.toString() === id)
    await Promise.all(
      connections.map(async (connection) => {
        try {
          await connection.close()
        } catch (error) {
          connection.abort(error instanceof Error ? error : new Error(String(error)))
        }
      }),
    )
  }

  closeIdle(id: string): void {
    const busy = new Set(this.#channels.values())
    for (const connection of this.#node.getConnections()) {
      if (connection.remotePeer.toString() !== id || !isOpen(connection) || busy.has(connection)) continue
      connection.close().catch((error) => connection.abort(error))
    }
  }

  connections(): HostConnection[] {
    return this.#node.getConnections().filter(isOpen).map(toHostConnection)
  }

  onPeerFound(callback: (peer: FoundPeer) => void): Unsubscribe {
    return subscribe(this.#found, callback)
  }

  onTwin(callback: () => void): Unsubscribe {
    return subscribe(this.#twin, callback)
  }

  onConnectionOpened(callback: (connection: HostConnection) => void): Unsubscribe {
    return subscribe(this.#opened, callback)
  }

  onConnectionClosed(callback: (connection: HostConnection, last: boolean) => void): Unsubscribe {
    return subscribe(this.#closed, callback)
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#unwatch()
    this.#twins.stop()
    await this.#lan?.stop()
    await this.#closeChannels()
    for (const channel of this.#channels.keys()) channel.abort(new Error('This device is stopping.'))
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

  async #closeChannels(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise((resolve) => {
      timer = setTimeout(resolve, STOP_TIMEOUT_MS)
    })
    await Promise.race([Promise.all([...this.#channels.keys()].map((channel) => channel.close())), timeout])
    clearTimeout(timer)
  }

  #adopt(stream: Stream, connection: Connection, options: ChannelOptions): Channel {
    const channel = new Channel(stream, options)
    this.#channels.set(channel, connection)
    void channel.closed.then(() => this.#channels.delete(channel))
    return channel
  }

  /** Asking whether we live is no reason for a stranger to stay. */
  #standingOf(connection: Connection, isKnown: (publicKey: Uint8Array) => boolean): Standing {
    if (isKnown(remoteKey(connection.remotePeer.toString()))) return 'known'
    const isNew = performance.now() - (this.#cameAt.get(connection) ?? 0) < STRANGER_GRACE_MS
    return isNew || !isIdle(connection, ALIVE_PROTOCOL) ? 'busy' : 'idle'
  }

  /** A callback that throws inside an event target would end the process. */
  #tell<T extends unknown[]>(callbacks: Set<(...values: T) => void>, ...values: T): void {
    for (const callback of callbacks) {
      try {
        callback(...values)
      } catch (error) {
        this.#log('warn', `a listener of the host failed: ${String(error)}`)
      }
    }
  }
}

function subscribe<T>(callbacks: Set<T>, callback: T): Unsubscribe {
  callbacks.add(callback)
  return () => {
    callbacks.delete(callback)
  }
}

function isOpen(connection: Connection): boolean {
  return connection.status === 'open'
}

function strangersAmong(maxConnections = MAX_CONNECTIONS): CrowdLimits {
  const inAll = Math.max(1, Math.floor(maxConnections * STRANGERS_SHARE))
  return { inAll, perNetwork: inAll }
}

function toHostConnection(connection: Connection): HostConnection {
  return {
    id: connection.remotePeer.toString(),
    address: connection.remoteAddr.toString(),
    path: pathOf(connection),
  }
}

function remotePeer(connection: Connection): RemotePeer {
  const id = connection.remotePeer.toString()
  const address = connection.remoteAddr.toString()
  return { id, publicKey: remoteKey(id), address, path: pathOf(connection) }
}

function pathOf(connection: Connection): Path {
  return pathOfAddress(connection.remoteAddr.toString())
}

/** Connections with other keys than Ed25519 are denied at the handshake. */
function remoteKey(id: string): Uint8Array {
  const publicKey = peerIdToPublicKey(id)
  if (publicKey === undefined) throw new Error(`${id} is no Ed25519 peer`)
  return publicKey
}

export function listenError(address: string, reason: string): ListenError {
  return {
    code: 'listen-failed',
    address,
    sentence: `Kartoteka can't listen on ${address}: ${explain(reason)}`,
  }
}

function explain(reason: string): string {
  switch (reason) {
    case 'EADDRINUSE':
      return 'another program uses this port. Stop it, or choose another port.'
    case 'EADDRNOTAVAIL':
      return 'this computer has no such address.'
    case 'EACCES':
      return 'the system does not allow it. Choose a port above 1023.'
    case 'unusable':
      return 'an address looks like /ip4/0.0.0.0/tcp/4001 or /ip4/0.0.0.0/tcp/4002/ws.'
    default:
      return `${reason}.`
  }
}
