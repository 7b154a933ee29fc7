/**
 * This device on the network: a libp2p node that listens, dials whom it is told to, and hands out
 * channels. It decides nothing about trust; it says with certainty who is at the other end, and
 * contacts nobody by itself: no discovery but the local network's, no bootstrap, no name server but
 * for addresses that a person configured.
 */
import './polyfill.js'
import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import type { Connection, Stream } from '@libp2p/interface'
import { yamux } from '@libp2p/yamux'
import { createLibp2p, type Libp2p } from 'libp2p'
import { Channel, type ChannelOptions } from './frames.js'
import { compareAddresses, isPlainAddress, parseAddress } from './host-address.js'
import { type DialError, type DialOptions, openStream } from './host-dial.js'
import { Transports } from './host-transports.js'
import { type FoundPeer, type Lan, startLan } from './lan.js'
import { peerIdToPublicKey } from './peer-id.js'

/** Both transports on ports that the system chooses. */
export const DEFAULT_LISTEN = ['/ip4/0.0.0.0/tcp/0', '/ip4/0.0.0.0/tcp/0/ws']

/** More than any practice has devices, twice over while reconnecting. A relay asks for more. */
export const MAX_CONNECTIONS = 512

/**
 * Handshakes under way at a time. Twenty devices behind one address that reconnect together are
 * normal; with the library's 10, and 5 a second of one address, 94 of 150 were refused.
 */
const MAX_PENDING_CONNECTIONS = 256

/** A phone that wakes up may take long for its half of a handshake. */
const UPGRADE_TIMEOUT_MS = 20_000

/** One address that leads nowhere must not use up the time for the others. */
const ADDRESS_DIAL_TIMEOUT_MS = 3_000

/** Streams of one protocol in one connection: one is used, others overlap it while reconnecting. */
export const MAX_INBOUND_STREAMS = 8

/** Streams of all protocols in one connection. */
const MAX_STREAMS = 64

/**
 * What a peer may send of one stream before we have read it. Together with the buffer below: a
 * paused stream gets at most one window more, and is cut by the library when that overflows its buffer.
 */
const MAX_STREAM_WINDOW_BYTES = 1024 * 1024
const MAX_READ_BUFFER_BYTES = 4 * 1024 * 1024

/** What others learn of our software. */
const USER_AGENT = 'kartoteka'

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
}

export interface HostConnection {
  id: string
  address: string
  /** `limited`: through a relay that bounds time and bytes. */
  kind: 'direct' | 'limited'
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
  /** Opens a channel, over the present connection where there is one. A peer id alone reaches known addresses only. */
  dial(target: string | string[], protocol: string, options?: DialOptions): Promise<Opened | DialError>
  /** Ends all connections with a peer. */
  disconnect(id: string): Promise<void>
  connections(): HostConnection[]
  /** Devices seen on the local network, each again about every second. Unverified. */
  onPeerFound(callback: (peer: FoundPeer) => void): Unsubscribe
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
    const node = await createNode(options, listen, transports)
    return new Libp2pHost(node, transports, options)
  } catch (error) {
    const failure = transports.listenFailures[0]
    if (failure === undefined) throw error
    return listenError(failure.address, failure.reason)
  }
}

async function createNode(options: HostOptions, listen: string[], transports: Transports): Promise<Libp2p> {
  return createLibp2p({
    privateKey: await generateKeyPairFromSeed('Ed25519', options.privateKey),
    nodeInfo: { name: USER_AGENT, version: '', userAgent: USER_AGENT },
    addresses: { listen },
    transports: [transports.tcp, transports.webSockets],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({
        maxInboundStreams: MAX_STREAMS,
        maxOutboundStreams: MAX_STREAMS,
        streamOptions: {
          maxStreamWindowSize: MAX_STREAM_WINDOW_BYTES,
          maxReadBufferLength: MAX_READ_BUFFER_BYTES,
        },
      }),
    ],
    services: { identify: identify({ runOnLimitedConnection: true }) },
    // It cuts live connections under load; the sync protocol keeps its own alive.
    connectionMonitor: { enabled: false },
    connectionManager: {
      maxConnections: options.maxConnections ?? MAX_CONNECTIONS,
      inboundConnectionThreshold: Number.POSITIVE_INFINITY,
      maxIncomingPendingConnections: MAX_PENDING_CONNECTIONS,
      inboundUpgradeTimeout: UPGRADE_TIMEOUT_MS,
      addressDialTimeout: ADDRESS_DIAL_TIMEOUT_MS,
      addressSorter: compareAddresses,
      reconnectRetries: 0,
      // `/dnsaddr` means: ask a name server for more addresses. Nobody is asked.
      resolvers: {},
    },
    connectionGater: {
      denyInboundEncryptedConnection: (peer) => peer.type !== 'Ed25519',
      denyOutboundEncryptedConnection: (peer) => peer.type !== 'Ed25519',
      filterMultiaddrForPeer: (_peer, address) => isPlainAddress(address),
    },
  })
}

class Libp2pHost implements Host {
  readonly id: string
  readonly publicKey: Uint8Array
  readonly #node: Libp2p
  readonly #transports: Transports
  readonly #log: HostLog
  readonly #lan: Lan | undefined
  readonly #channels = new Set<Channel>()
  readonly #found = new Set<(peer: FoundPeer) => void>()
  readonly #opened = new Set<(connection: HostConnection) => void>()
  readonly #closed = new Set<(connection: HostConnection, last: boolean) => void>()
  #stopping: Promise<void> | undefined

  constructor(node: Libp2p, transports: Transports, options: HostOptions) {
    this.id = node.peerId.toString()
    this.publicKey = remoteKey(this.id)
    this.#node = node
    this.#transports = transports
    this.#log = options.log ?? (() => {})
    node.addEventListener('connection:open', (event) => {
      this.#tell(this.#opened, toHostConnection(event.detail))
    })
    node.addEventListener('connection:close', (event) => {
      const closed = event.detail
      const others = node.getConnections(closed.remotePeer).filter((each) => isOpen(each) && each !== closed)
      this.#tell(this.#closed, toHostConnection(closed), others.length === 0)
    })
    if (options.lan === true) {
      this.#lan = startLan({
        id: this.id,
        addresses: () => node.getMultiaddrs(),
        logger: node.logger,
        log: this.#log,
        onFound: (peer) => this.#tell(this.#found, peer),
      })
    }
  }

  addresses(): string[] {
    return this.#node.getMultiaddrs().map((address) => address.toString())
  }

  async handle(protocol: string, handler: ChannelHandler, options: HandleOptions = {}): Promise<void> {
    const take = (stream: Stream, connection: Connection): void => {
      const channel = this.#adopt(stream, options)
      try {
        handler(channel, remotePeer(connection))
      } catch (error) {
        this.#log('warn', `the handler of ${protocol} failed: ${String(error)}`)
        channel.abort(new Error('The conversation failed on this side.'))
      }
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
    if (this.#stopping !== undefined) return { code: 'aborted', sentence: 'This device is stopping.' }
    const opened = await openStream(this.#node, target, protocol, options)
    if ('code' in opened) {
      this.#log(
        'debug',
        `dialling ${String(target)} for ${protocol}: ${opened.code} (${opened.detail ?? ''})`,
      )
      return opened
    }
    return { channel: this.#adopt(opened.stream, options), remote: remotePeer(opened.connection) }
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

  connections(): HostConnection[] {
    return this.#node.getConnections().filter(isOpen).map(toHostConnection)
  }

  onPeerFound(callback: (peer: FoundPeer) => void): Unsubscribe {
    return subscribe(this.#found, callback)
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
    await this.#lan?.stop()
    await this.#closeChannels()
    for (const channel of this.#channels) channel.abort(new Error('This device is stopping.'))
    const stopped = this.#node.stop()
    const sweep = setInterval(() => this.#transports.destroySilentSockets(), SWEEP_INTERVAL_MS)
    try {
      await stopped
    } finally {
      clearInterval(sweep)
      this.#transports.destroySockets()
    }
  }

  async #closeChannels(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise((resolve) => {
      timer = setTimeout(resolve, STOP_TIMEOUT_MS)
    })
    await Promise.race([Promise.all([...this.#channels].map((channel) => channel.close())), timeout])
    clearTimeout(timer)
  }

  #adopt(stream: Stream, options: ChannelOptions): Channel {
    const channel = new Channel(stream, options)
    this.#channels.add(channel)
    void channel.closed.then(() => this.#channels.delete(channel))
    return channel
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

function toHostConnection(connection: Connection): HostConnection {
  return {
    id: connection.remotePeer.toString(),
    address: connection.remoteAddr.toString(),
    kind: connection.limits === undefined ? 'direct' : 'limited',
  }
}

function remotePeer(connection: Connection): RemotePeer {
  const id = connection.remotePeer.toString()
  return { id, publicKey: remoteKey(id), address: connection.remoteAddr.toString() }
}

/** Connections with other keys than Ed25519 are denied at the handshake. */
function remoteKey(id: string): Uint8Array {
  const publicKey = peerIdToPublicKey(id)
  if (publicKey === undefined) throw new Error(`${id} is no Ed25519 peer`)
  return publicKey
}

function listenError(address: string, reason: string): ListenError {
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
