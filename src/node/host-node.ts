/** The libp2p node under a host: what devices and relays have in common, and the reasons for its numbers. */
import './polyfill.js'
import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import { type Identify, type IdentifyComponents, identify } from '@libp2p/identify'
import type { ConnectionGater, Logger, MultiaddrConnection, PeerId, ServiceMap } from '@libp2p/interface'
import { createLibp2p, type Libp2p, type Libp2pOptions } from 'libp2p'
import { concat } from '../protocol/bytes.js'
import { addressPeerId, compareAddresses, isPlainAddress } from './host-address.js'
import { thriftyNoise } from './host-noise.js'
import { listInOneGo, rememberNobody, thriftyYamux } from './host-thrift.js'
import type { Transports } from './host-transports.js'
import { publicKeyOf } from './key-pairs.js'

/** A phone that wakes up may take long for its half of a handshake. */
const UPGRADE_TIMEOUT_MS = 20_000

/** Connecting and a handshake with a relay; with others the transports give up sooner. */
const ADDRESS_DIAL_TIMEOUT_MS = 10_000

/** Streams of all protocols in one connection of a device. */
const MAX_STREAMS = 64

/**
 * What a peer may send of one stream before we have read it. Together with the buffer below: a
 * paused stream gets at most one window more, and is cut by the library when that overflows its buffer.
 */
const MAX_STREAM_WINDOW_BYTES = 1024 * 1024
const MAX_READ_BUFFER_BYTES = 4 * 1024 * 1024

/** Whoever was dialled is asked what it is once a connection has stood for so long: nothing that we do waits for it. */
const IDENTIFY_AFTER_MS = 1_000

/** Nobody is asked as soon as a connection stands; circuits count as well. */
const UNASKED = { runOnLimitedConnection: true, runOnConnectionOpen: false }

/** What others learn of our software. */
const USER_AGENT = 'kartoteka'

/** The library's own log, which nobody reads: every connection and every stream would make itself several. */
const SILENCE: Logger = Object.assign(() => {}, {
  error: () => {},
  trace: () => {},
  enabled: false,
  newScope: () => SILENCE,
})

export interface NodeOptions {
  /** The 32-byte Ed25519 seed. */
  privateKey: Uint8Array
  listen: string[]
  /** Told to others besides the addresses of this computer. */
  announce?: string[]
  maxConnections: number
  maxStreams?: number
  services?: NonNullable<Libp2pOptions<ServiceMap>['services']>
  gater?: ConnectionGater
  /** `false`: it tells who asks what it is, and asks nobody, since it dials nobody. */
  isCurious?: boolean
}

/** As libp2p keeps it: the seed, and behind it the public key, which it would derive by portable code. */
const keyPairOf = (seed: Uint8Array) => privateKeyFromRaw(concat([seed, publicKeyOf('ed25519', seed)]))

export async function createNode(options: NodeOptions, transports: Transports): Promise<Libp2p> {
  const { maxStreams = MAX_STREAMS, isCurious = true } = options
  const node = await createLibp2p({
    logger: { forComponent: () => SILENCE },
    privateKey: keyPairOf(options.privateKey),
    nodeInfo: { name: USER_AGENT, version: '', userAgent: USER_AGENT },
    addresses: { listen: options.listen, appendAnnounce: options.announce ?? [] },
    transports: [transports.tcp, transports.webSockets],
    connectionEncrypters: [thriftyNoise()],
    streamMuxers: [
      thriftyYamux(
        {
          maxInboundStreams: maxStreams,
          maxOutboundStreams: maxStreams,
          // Its pings find out nothing that our own questions don't, and a relay would spend as much on them.
          enableKeepAlive: false,
          streamOptions: {
            maxStreamWindowSize: MAX_STREAM_WINDOW_BYTES,
            maxReadBufferLength: MAX_READ_BUFFER_BYTES,
          },
        },
        MAX_STREAM_WINDOW_BYTES,
      ),
    ],
    services: {
      identify: isCurious ? identifyLater() : identify(UNASKED),
      ...options.services,
    },
    // It cuts live connections under load; the protocols keep their own alive.
    connectionMonitor: { enabled: false },
    connectionManager: {
      maxConnections: options.maxConnections,
      // Those who wait are bounded by the transports, which refuse nobody. Twenty devices behind one address that
      // reconnect together are normal; with the library's 10, and 5 a second of one address, 94 of 150 were refused.
      inboundConnectionThreshold: Number.POSITIVE_INFINITY,
      maxIncomingPendingConnections: Number.POSITIVE_INFINITY,
      inboundUpgradeTimeout: UPGRADE_TIMEOUT_MS,
      addressDialTimeout: ADDRESS_DIAL_TIMEOUT_MS,
      addressSorter: compareAddresses,
      reconnectRetries: 0,
      // `/dnsaddr` means: ask a name server for more addresses. Nobody is asked.
      resolvers: {},
    },
    connectionGater: {
      ...options.gater,
      denyInboundEncryptedConnection: isImpostor,
      denyOutboundEncryptedConnection: isImpostor,
      filterMultiaddrForPeer: (_peer, address) => isPlainAddress(address),
    },
  })
  listInOneGo(node)
  if (!isCurious) rememberNobody(node)
  return node
}

/**
 * The library would do it at once: half of the work of a meeting, and before what two devices meet for. And it would ask
 * whoever comes, read thousands of addresses in the answer, and keep them for ever.
 */
function identifyLater(): (components: IdentifyComponents) => Identify {
  const make = identify(UNASKED)
  return (components) => {
    const service = make(components)
    components.events.addEventListener('connection:open', ({ detail: connection }) => {
      if (connection.direction === 'inbound') return
      const tell = () => {
        if (connection.status === 'open') service.identify(connection).catch(() => {})
      }
      setTimeout(tell, IDENTIFY_AFTER_MS).unref()
    })
    return service
  }
}

/**
 * Only Ed25519, and only the key that the address names. A relay says who is behind a circuit; were its
 * word to stand in an address beside another key, WebRTC would take it for the identity.
 */
function isImpostor(peer: PeerId, connection: MultiaddrConnection): boolean {
  if (peer.type !== 'Ed25519') return true
  const named = addressPeerId(connection.remoteAddr)
  return named !== undefined && named !== peer.toString()
}
