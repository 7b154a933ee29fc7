/**
 * Less work for the same bytes. libp2p writes each piece of a message to the socket by itself, and answers every frame
 * of the multiplexer with one of its own: for a relay under many small messages these are a third of its work. The
 * cipher's part: host-noise.ts.
 */
import { Socket } from 'node:net'
import type {
  Connection,
  MultiaddrConnection,
  Peer,
  PeerId,
  Stream,
  StreamMuxerFactory,
  Upgrader,
} from '@libp2p/interface'
import { type YamuxMuxerInit, yamux } from '@libp2p/yamux'
import type { Libp2p } from 'libp2p'
import { boundHandshake, boundMuxer } from './host-bounds.js'
import { endQuietly, refuseEnded } from './host-ends.js'
import { boundStream, type Pieces } from './host-streams.js'
import { mendWebSocket } from './host-websocket.js'

/**
 * A receiver grants more once it has taken so much: a quarter of the smallest window, about one bulk fragment. A
 * slow line still shows progress well within the writer's patience.
 */
const GRANT_BYTES = 64 * 1024

/** What the library's connections and streams have inside; instances are adapted, never its classes. */
interface InnerConnection {
  sendData(data: Pieces): unknown
  onData(data: unknown): void
}

interface InnerStream extends Stream {
  state: number
  recvWindow: number
  recvWindowCapacity: number
  sendWindowUpdate(): void
}

interface InnerMuxer {
  _newStream(...values: unknown[]): InnerStream
}

/** States of a stream that has said everything that a window update would say besides the window. */
const [OPENED, ESTABLISHED] = [1, 3]

/**
 * Yamux that opens a stream's window again when a part of it is used up, not after each frame, and that holds no more
 * than it must.
 */
export function thriftyYamux(init: YamuxMuxerInit, maxWindowBytes: number): () => StreamMuxerFactory {
  const make = yamux(init)
  return () => {
    const factory = make()
    const create = factory.createStreamMuxer.bind(factory)
    factory.createStreamMuxer = (connection) => {
      refuseEnded(connection)
      const muxer = create(connection)
      const inner = muxer as unknown as InnerMuxer
      const newStream = inner._newStream.bind(muxer)
      inner._newStream = (...values) => {
        const stream = newStream(...values)
        grantLater(stream)
        boundStream(stream)
        return stream
      }
      boundMuxer(muxer, connection, maxWindowBytes)
      endQuietly(muxer)
      return muxer
    }
    return factory
  }
}

function grantLater(stream: InnerStream): void {
  const grant = stream.sendWindowUpdate.bind(stream)
  stream.sendWindowUpdate = () => {
    const isPlain = stream.state === OPENED || stream.state === ESTABLISHED
    if (isPlain && stream.recvWindow - stream.recvWindowCapacity < GRANT_BYTES) return
    grant()
  }
}

/**
 * The same upgrader; connections that it takes write what belongs together at once, their traffic is noted, and it
 * tells of their handshakes.
 */
export function joiningUpgrader(
  upgrader: Upgrader,
  tell: { begun?: () => void; done?: (connection: MultiaddrConnection) => void },
): Upgrader {
  return new Proxy(upgrader, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      if (name !== 'upgradeInbound' && name !== 'upgradeOutbound') return value.bind(target)
      return async (connection: MultiaddrConnection, ...rest: unknown[]) => {
        mendWebSocket(connection)
        joinWrites(connection)
        tell.begun?.()
        const secured = boundHandshake(connection)
        const upgraded: unknown = await Reflect.apply(value, target, [connection, ...rest])
        secured()
        tell.done?.(connection)
        return upgraded
      }
    },
  })
}

/** When something last went over a connection, by the monotonic clock. */
export interface Traffic {
  saidAt: number
  heardAt: number
}

const traffics = new WeakMap<object, Traffic>()

/** Of a connection by TCP or by WebSocket; undefined for others. */
export function trafficOf(connection: Connection): Traffic | undefined {
  return traffics.get(lowerOf(connection))
}

/** What lies under a connection by TCP, or by a WebSocket that isn't Node's own; undefined for others. */
export function socketUnder(connection: Connection): Socket | undefined {
  return socketOf(lowerOf(connection))
}

function lowerOf(connection: Connection): MultiaddrConnection {
  return Reflect.get(connection, 'maConn') as MultiaddrConnection
}

/** The same, before it is secured. */
export function socketOf(connection: MultiaddrConnection): Socket | undefined {
  const webSocket: unknown = Reflect.get(connection, 'websocket')
  const socket: unknown =
    typeof webSocket === 'object' && webSocket !== null
      ? Reflect.get(webSocket, '_socket')
      : Reflect.get(connection, 'socket')
  return socket instanceof Socket ? socket : undefined
}

function joinWrites(connection: MultiaddrConnection): void {
  const inner = connection as unknown as InnerConnection
  const send = inner.sendData.bind(connection)
  const hear = inner.onData.bind(connection)
  const now = performance.now()
  const traffic = { saidAt: now, heardAt: now }
  traffics.set(connection, traffic)
  inner.onData = (data) => {
    traffic.heardAt = performance.now()
    hear(data)
  }
  const socket: unknown = Reflect.get(connection, 'socket')
  if (socket instanceof Socket) {
    inner.sendData = (data) => {
      traffic.saidAt = performance.now()
      corkForNow(socket)
      return send(data)
    }
  } else {
    // A message of a WebSocket is whole.
    inner.sendData = (data) => {
      traffic.saidAt = performance.now()
      const whole = data.subarray()
      data.consume(whole.byteLength)
      data.append(whole)
      return send(data)
    }
  }
}

/** Sockets that are written to while `sendNow` is at it; undefined at all other times. */
let pressed: Set<Socket> | undefined

/**
 * What `send` writes to any connection has been handed to the system when this returns, as far as the connection
 * takes it, and still leaves in one call; everything else waits for the end of its turn.
 */
export function sendNow(send: () => void): void {
  const sockets = new Set<Socket>()
  pressed = sockets
  try {
    send()
  } finally {
    pressed = undefined
    for (const socket of sockets) socket.uncork()
  }
}

/** What is written until this turn ends leaves in one call of the system. */
function corkForNow(socket: Socket): void {
  pressed?.add(socket)
  if (socket.writableCorked > 0) return
  socket.cork()
  if (pressed === undefined) process.nextTick(() => socket.uncork())
}

interface InnerManager {
  getConnections(peer?: PeerId): Connection[]
  getConnectionsMap(): { values(): Iterable<Connection[]> }
}

/**
 * Lists all connections in one go. The library joins a longer and longer list for one peer after the other, and does so
 * twice for each connection that comes: with thousands of them that was most of the work of letting one in. Of one peer
 * the newest comes first: an older one may have died unnoticed.
 */
export function listInOneGo(node: Libp2p): void {
  const { connectionManager } = (node as unknown as { components: { connectionManager: InnerManager } })
    .components
  const ofPeer = connectionManager.getConnections.bind(connectionManager)
  connectionManager.getConnections = (peer) => {
    if (peer !== undefined) return ofPeer(peer).toReversed()
    const all: Connection[] = []
    for (const some of connectionManager.getConnectionsMap().values()) all.push(...some)
    return all
  }
}

/**
 * Keeps nothing of others: who dials nobody asks for it never. The library would note for each stream that its peer
 * speaks the protocol, and forget nobody who ever came.
 */
export function rememberNobody({ peerId, peerStore }: Libp2p): void {
  const merge = peerStore.merge.bind(peerStore)
  peerStore.merge = async (peer, ...rest) => (peer.equals(peerId) ? merge(peer, ...rest) : nothingOf(peer))
}

function nothingOf(id: PeerId): Peer {
  return { id, addresses: [], protocols: [], metadata: new Map(), tags: new Map() }
}
