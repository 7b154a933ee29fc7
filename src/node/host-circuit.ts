/**
 * A device's two ways through a relay: a circuit, and WebRTC arranged over a circuit. The libraries come in
 * only when a relay is configured. What they allow too freely is narrowed here: only a configured relay may
 * bring circuits, only members of the practice may arrange WebRTC, and no server is asked but the practice's.
 */
import type { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { type Connection, type Stream, start, stop, type Transport } from '@libp2p/interface'
import type { webRTC } from '@libp2p/webrtc'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { HostLog } from './host.js'
import { addressPeerId, isRtcAddress } from './host-address.js'
import { takeOnlyBytes } from './host-rtc.js'

type CircuitComponents = Parameters<ReturnType<typeof circuitRelayTransport>>[0]
type RtcComponents = Parameters<ReturnType<typeof webRTC>>[0]
type Components = CircuitComponents & RtcComponents

/** Asks a relay to reserve; the library's own name for it. */
const HOP_PROTOCOL = '/libp2p/circuit/relay/0.2.0/hop'

/** Bytes a WebRTC stream takes before it makes the writer wait; by default 2 MiB, behind which live messages wait. */
const RTC_BUFFER_BYTES = 256 * 1024

/** What the library's circuit transport has besides being one. */
interface CircuitTransport extends Transport {
  onStop(stream: Stream, connection: Connection): Promise<void>
  reservationStore: {
    addRelay(relay: Connection['remotePeer'], type: 'configured'): Promise<unknown>
    hasReservation(relay: Connection['remotePeer']): boolean
    addEventListener(type: 'relay:removed', listener: (event: CustomEvent<{ relay: unknown }>) => void): void
  }
}

/** The same of its WebRTC transport. */
interface RtcTransport extends Transport {
  _onProtocol(stream: Stream, connection: Connection, signal: AbortSignal): Promise<void>
}

export interface CircuitOptions {
  log: HostLog
  isRelay: (id: string) => boolean
  isMember: (id: string) => boolean
  /** `stun:HOST:PORT` of the practice's relays; asked for each new connection. */
  stunServers: () => string[]
  /** A reservation has ended before its connection: it could not be renewed. */
  reservationLost: (relay: string) => void
}

export class Circuits {
  readonly #components: Components
  readonly #circuit: CircuitTransport
  readonly #rtc: RtcTransport | undefined

  private constructor(components: Components, circuit: CircuitTransport, rtc: RtcTransport | undefined) {
    this.#components = components
    this.#circuit = circuit
    this.#rtc = rtc
  }

  /** Adds the transports to a running node, given what it hands to transports. */
  static async load(given: unknown, options: CircuitOptions): Promise<Circuits> {
    const components = given as Components
    const circuit = await addCircuit(components, options)
    const rtc = await addRtc(components, options)
    return new Circuits(components, circuit, rtc)
  }

  get hasRtc(): boolean {
    return this.#rtc !== undefined
  }

  /** Reserves at a connected relay: false where it offers no circuits. Rejects where it refuses this one. */
  async reserve(relay: Connection, signal: AbortSignal): Promise<boolean> {
    // The library never again asks a relay that it has once found without the protocol. So it isn't let find out.
    try {
      const probe = await relay.newStream(HOP_PROTOCOL, { signal })
      probe.abort(new Error('only a question'))
    } catch (error) {
      if (error instanceof Error && error.name === 'UnsupportedProtocolError') return false
      throw error
    }
    await this.#circuit.reservationStore.addRelay(relay.remotePeer, 'configured')
    return true
  }

  /** A connection to a device through a relay, by an address that names both. */
  dialCircuit(address: string, signal: AbortSignal): Promise<Connection> {
    return this.#dial(this.#circuit, multiaddr(address), signal)
  }

  /** A WebRTC connection, arranged over the circuit that stands. It counts only once something went through. */
  async dialRtc(address: string, signal: AbortSignal): Promise<Connection> {
    if (this.#rtc === undefined) throw new Error('WebRTC is not available on this computer')
    return this.#dial(this.#rtc, multiaddr(address), signal)
  }

  async stop(): Promise<void> {
    await stop(this.#rtc, this.#circuit)
  }

  /** Without libp2p's dial queue: that joins dials to one peer, whatever they are over. */
  #dial(transport: Transport, address: Multiaddr, signal: AbortSignal): Promise<Connection> {
    return transport.dial(address, { signal, upgrader: this.#components.upgrader })
  }
}

async function addCircuit(components: Components, options: CircuitOptions): Promise<CircuitTransport> {
  const { circuitRelayTransport } = await import('@libp2p/circuit-relay-v2')
  const transport = circuitRelayTransport()(components) as CircuitTransport
  const onStop = transport.onStop
  transport.onStop = async (stream, connection) => {
    // Else anybody who connects could make us reserve at, and announce, an address of theirs.
    if (!options.isRelay(connection.remotePeer.toString())) {
      stream.abort(new Error('not a relay of this practice'))
      return
    }
    await onStop(stream, connection)
  }
  transport.reservationStore.addEventListener('relay:removed', (event) => {
    options.reservationLost(String(event.detail.relay))
  })
  components.transportManager.add(transport)
  await start(transport)
  return transport
}

async function addRtc(components: Components, options: CircuitOptions): Promise<RtcTransport | undefined> {
  let library: typeof import('@libp2p/webrtc')
  try {
    library = await import('@libp2p/webrtc')
  } catch (error) {
    options.log('warn', `WebRTC is not available, far devices are reached through relays: ${String(error)}`)
    return undefined
  }
  const transport = library.webRTC({
    // Never left out: the library's default is to ask servers of other companies.
    rtcConfiguration: () => ({ iceServers: options.stunServers().map((urls) => ({ urls })) }),
    dataChannel: { maxBufferedAmount: RTC_BUFFER_BYTES },
  })(components) as RtcTransport
  const onProtocol = transport._onProtocol.bind(transport)
  transport._onProtocol = async (stream, connection, signal) => {
    // An offer is answered with this computer's addresses, so strangers get none. The library takes the other
    // side's identity from the connection's address: it has to be the one that the handshake has proved.
    const id = connection.remotePeer.toString()
    if (!options.isMember(id) || addressPeerId(connection.remoteAddr) !== id) {
      stream.abort(new Error('not a device of this practice'))
      return
    }
    await onProtocol(stream, connection, signal)
  }
  components.events.addEventListener('connection:open', ({ detail: connection }) => {
    if (isRtcAddress(connection.remoteAddr.toString())) takeOnlyBytes(connection)
  })
  components.transportManager.add(transport)
  await start(transport)
  await holdRtc()
  return transport
}

/** Hosts of this process that use the native library: its threads end with the last of them. */
let holders = 0
let cleanup: (() => void) | undefined

async function holdRtc(): Promise<void> {
  holders += 1
  cleanup ??= (await import('node-datachannel')).cleanup
}

/** Without this the process would stay alive after the host has stopped. */
export function releaseRtc(): void {
  holders -= 1
  if (holders === 0) cleanup?.()
}
