/**
 * A relay on the network: a host that thousands of devices keep a connection to. It lets them reach each
 * other through circuits, tells them from where they come (STUN), and bounds what strangers may take up. The
 * mailbox and what else a relay does are protocols on top, by `handle`.
 */
import type { ConnectionGater, PeerId } from '@libp2p/interface'
import type { Libp2p } from 'libp2p'
import type { Host, HostLog } from './host.js'
import { isIdle, letSystemWatch, RELAY_PATIENCE_MS, RELAY_PROBES_MS } from './host-alive.js'
import type { CrowdLimits } from './host-crowd.js'
import { Hop, MAX_HOP_STREAMS } from './host-hop.js'
import { Libp2pHost } from './host-libp2p.js'
import { type ListenError, listenError, listenFailure, unusableAddress } from './host-listening.js'
import { createNode } from './host-node.js'
import { STUN_HOSTS, type Stun, startStun } from './host-stun.js'
import { trafficOf } from './host-thrift.js'
import { Transports } from './host-transports.js'
import { peerIdToPublicKey } from './peer-id.js'

export const RELAY_LISTEN = ['/ip4/0.0.0.0/tcp/4001', '/ip4/0.0.0.0/tcp/4002/ws']
/** The port registered for STUN. */
export const STUN_PORT = 3478

/** 80 to 180 KB of memory each. */
export const MAX_RELAY_CONNECTIONS = 8_192
/** A hospital behind one address, twice over while reconnecting, and hundreds there that say nothing. */
export const MAX_CONNECTIONS_PER_ADDRESS = 1_024
/** A first sync over a slow line takes a night. */
export const CIRCUIT_DURATION_MS = 24 * 60 * 60 * 1000
export const CIRCUIT_BYTES = 64n * 1024n ** 3n

/** The mailbox and others, beside circuits. */
const MAX_STREAMS = 2 * MAX_HOP_STREAMS + 64

/** A connection that has used nothing of ours for so long belongs to a stranger. */
const IDLE_TIMEOUT_MS = 30_000
const IDLE_INTERVAL_MS = 5_000

export interface CircuitLimits {
  maxReservations?: number
  /** Of one circuit. */
  durationMs?: number
  /** Of one circuit, both directions together. */
  bytes?: bigint
}

export interface RelayHostOptions {
  /** The 32-byte Ed25519 seed: devices know the relay by its key, so it must stay the same. */
  privateKey: Uint8Array
  listen?: string[]
  /** Multiaddrs, names allowed, that are handed out besides those of this computer; without `/p2p`. */
  announce?: string[]
  /** `false`: no circuits. */
  circuit?: false | CircuitLimits
  /** `false`: no STUN. Port 0: any. */
  stun?: false | { port?: number; hosts?: string[] }
  maxConnections?: number
  /** Of one IPv4 address, or of one IPv6 network of 64 bits. */
  maxConnectionsPerAddress?: number
  /** Connections that use nothing are ended after this long. */
  idleTimeoutMs?: number
  /** Connections on which nothing comes are ended after this long. */
  patienceMs?: number
  /** Who may be reached through circuits; without it everybody. */
  mayReserve?: (publicKey: Uint8Array) => boolean
  /** Who may open a circuit to whom; without it everybody to everybody who has reserved. */
  mayConnect?: (from: Uint8Array, to: Uint8Array) => boolean
  log?: HostLog
}

export interface RelayHost extends Host {
  /** The UDP port of the STUN responder; devices are told it as well. */
  readonly stunPort: number | undefined
  /** Devices that can be reached through circuits now. */
  readonly reservations: number
  /** Circuits that are open now. */
  readonly circuits: number
}

export async function createRelayHost(options: RelayHostOptions): Promise<RelayHost | ListenError> {
  const listen = options.listen ?? RELAY_LISTEN
  const unusable = unusableAddress(listen)
  if (unusable) return unusable
  const stun = await openStun(options.stun)
  if (stun !== undefined && 'code' in stun) return stun
  const transports = new Transports({
    perAddress: options.maxConnectionsPerAddress ?? MAX_CONNECTIONS_PER_ADDRESS,
  })
  const hop = options.circuit === false ? undefined : createHop(options.circuit ?? {})
  try {
    const node = await createNode(
      {
        privateKey: options.privateKey,
        listen,
        announce: options.announce ?? [],
        maxConnections: options.maxConnections ?? MAX_RELAY_CONNECTIONS,
        maxStreams: MAX_STREAMS,
        gater: circuitGater(options),
        isCurious: false,
        ...(hop === undefined ? {} : { services: { circuit: hop.service } }),
      },
      transports,
    )
    const host = new RelayLibp2pHost(node, transports, options, hop, stun)
    await host.answerAlive(stun?.port ?? 0)
    return host
  } catch (error) {
    await stun?.close()
    return listenFailure(transports, error)
  }
}

class RelayLibp2pHost extends Libp2pHost implements RelayHost {
  readonly #hop: Hop | undefined
  readonly #stun: Stun | undefined
  readonly #idle: NodeJS.Timeout

  constructor(
    node: Libp2p,
    transports: Transports,
    options: RelayHostOptions,
    hop: Hop | undefined,
    stun: Stun | undefined,
  ) {
    super(node, transports, {
      ...(options.log === undefined ? {} : { log: options.log }),
      isKnown: options.mayReserve ?? (() => true),
      strangers: strangersOf(options),
    })
    this.#hop = hop
    this.#stun = stun
    node.addEventListener('peer:disconnect', (event) => hop?.left(event.detail))
    node.addEventListener('connection:open', (event) => letSystemWatch(event.detail, RELAY_PROBES_MS))
    const { idleTimeoutMs = IDLE_TIMEOUT_MS, patienceMs = RELAY_PATIENCE_MS } = options
    const sweep = (): void => endIdle(node, idleTimeoutMs, patienceMs)
    this.#idle = setInterval(sweep, Math.min(IDLE_INTERVAL_MS, idleTimeoutMs / 2, patienceMs / 2))
    this.#idle.unref()
  }

  get stunPort(): number | undefined {
    return this.#stun?.port
  }

  get reservations(): number {
    return this.#hop?.reservations ?? 0
  }

  get circuits(): number {
    return this.#hop?.circuits ?? 0
  }

  override async stop(): Promise<void> {
    clearInterval(this.#idle)
    await Promise.all([super.stop(), this.#closeStun()])
  }

  async #closeStun(): Promise<void> {
    try {
      await this.#stun?.close()
    } catch {
      // It is closed already: stop was called twice.
    }
  }
}

/** At most half of all places, a quarter of an address's: the devices of practices registered here always find one. */
function strangersOf({
  maxConnections = MAX_RELAY_CONNECTIONS,
  maxConnectionsPerAddress = MAX_CONNECTIONS_PER_ADDRESS,
}: RelayHostOptions): CrowdLimits {
  return { inAll: Math.ceil(maxConnections / 2), perNetwork: Math.ceil(maxConnectionsPerAddress / 4) }
}

function createHop(limits: CircuitLimits): Hop {
  return new Hop({
    // Whoever is connected can be reached.
    maxReservations: limits.maxReservations ?? MAX_RELAY_CONNECTIONS,
    durationMs: limits.durationMs ?? CIRCUIT_DURATION_MS,
    bytes: limits.bytes ?? CIRCUIT_BYTES,
  })
}

async function openStun(options: RelayHostOptions['stun']): Promise<Stun | ListenError | undefined> {
  if (options === false) return undefined
  const stun = await startStun(options?.hosts ?? STUN_HOSTS, options?.port ?? STUN_PORT)
  if (!('code' in stun)) return stun
  return listenError(`/${stun.host.includes(':') ? 'ip6' : 'ip4'}/${stun.host}/udp/${stun.port}`, stun.code)
}

function circuitGater({ mayReserve, mayConnect }: RelayHostOptions): ConnectionGater {
  return {
    ...(mayReserve && { denyInboundRelayReservation: (peer) => !mayReserve(keyOf(peer)) }),
    ...(mayConnect && {
      denyOutboundRelayedConnection: (from, to) => !mayConnect(keyOf(from), keyOf(to)),
    }),
  }
}

function endIdle(node: Libp2p, idleMs: number, patienceMs: number): void {
  const before = Date.now() - idleMs
  const silentSince = performance.now() - patienceMs
  for (const connection of node.getConnections()) {
    if (connection.status !== 'open') continue
    if ((trafficOf(connection)?.heardAt ?? Number.POSITIVE_INFINITY) < silentSince)
      connection.abort(new Error('it is silent'))
    else if (connection.timeline.open < before && isIdle(connection))
      connection.abort(new Error('nothing was asked'))
  }
}

/** An empty key, which nobody has, for a peer that is none of ours. */
function keyOf(peer: PeerId): Uint8Array {
  return peerIdToPublicKey(peer.toString()) ?? new Uint8Array(0)
}
