/**
 * The circuit relay of a relay, mended. The library's server keeps reservations of those who have left, loses
 * a reservation that was renewed twice, and reads from a fast sender without end while the receiver is slow.
 * Here reservations live as long as their connection and are renewed for as long as one likes, and a circuit
 * holds its sender.
 */
import { circuitRelayServer } from '@libp2p/circuit-relay-v2'
import type { PeerId, Stream, StreamMessageEvent } from '@libp2p/interface'
import { costOf, handOn } from './host-streams.js'

/** A reservation is renewed by its device five minutes before it ends. */
const RESERVATION_TTL_MS = 2 * 60 * 60 * 1000

/** Memory for one direction of a circuit; above it the sender waits, below half it goes on. */
const CIRCUIT_BUFFER_BYTES = 256 * 1024

/** Circuits and questions for them on one connection, each way: more than a practice has devices. */
export const MAX_HOP_STREAMS = 64

type Status = 'OK' | 'RESERVATION_REFUSED'

export interface HopOptions {
  maxReservations: number
  /** Of one circuit. */
  durationMs: number
  /** Of one circuit, both directions together. */
  bytes: bigint
}

/** The question of one device for a circuit, and what the library hands on with it. */
interface HopRequest {
  stream: { unwrap(): Stream }
}
type HopServer = ReturnType<ReturnType<typeof circuitRelayServer>> & {
  handleConnect(request: HopRequest, options: object): Promise<void>
  stopHop(request: unknown, options: object): Promise<Stream | undefined>
  reservationStore: {
    reserve(peer: PeerId, address: unknown): { status: Status; expire?: number }
  }
}

type Components = Parameters<ReturnType<typeof circuitRelayServer>>[0]
type Reservation = { signal: AbortSignal & { reset(ms?: number): void; clear(): void } }

export class Hop {
  circuits = 0
  readonly #options: HopOptions
  /** The other device's end of a circuit that is being made, by the options of the question for it. */
  readonly #ends = new WeakMap<object, Stream>()
  #server: HopServer | undefined

  constructor(options: HopOptions) {
    this.#options = options
  }

  get reservations(): number {
    return this.#server?.reservations.size ?? 0
  }

  /** The service for libp2p. */
  readonly service = (components: Components): HopServer => {
    const server = circuitRelayServer({
      maxInboundHopStreams: MAX_HOP_STREAMS,
      maxOutboundStopStreams: MAX_HOP_STREAMS,
    })(components) as HopServer
    this.#server = server
    const { handleConnect, stopHop } = server
    server.stopHop = async (request, options) => {
      const end = await stopHop.call(server, request, options)
      if (end !== undefined) this.#ends.set(options, end)
      return end
    }
    server.handleConnect = (request, options) => {
      const { stream } = request
      const unwrap = stream.unwrap.bind(stream)
      // Called when all has been said, right before the two are joined.
      stream.unwrap = () => {
        const source = unwrap()
        const end = this.#ends.get(options)
        if (end !== undefined) this.#join(source, end)
        return source
      }
      return handleConnect.call(server, request, options)
    }
    server.reservationStore.reserve = (peer, address) => this.#reserve(server, peer, address)
    return server
  }

  /** The last connection of a device has gone, and with it the way to it. */
  left(peer: PeerId): void {
    const reservation = this.#server?.reservations.get(peer)
    reservation?.signal.clear()
    this.#server?.reservations.delete(peer)
  }

  #reserve(server: HopServer, peer: PeerId, address: unknown): { status: Status; expire?: number } {
    const { reservations } = server
    const known = reservations.get(peer)
    if (known === undefined && reservations.size >= this.#options.maxReservations) {
      return { status: 'RESERVATION_REFUSED' }
    }
    const expiry = new Date(Date.now() + RESERVATION_TTL_MS)
    if (known !== undefined) {
      known.signal.reset(RESERVATION_TTL_MS)
    } else {
      const signal = expiringSignal(RESERVATION_TTL_MS)
      signal.addEventListener('abort', () => reservations.delete(peer), { once: true })
      const limit = { data: this.#options.bytes, duration: this.#options.durationMs }
      reservations.set(peer, { addr: address, expiry, limit, signal } as Parameters<
        typeof reservations.set
      >[1])
    }
    return { status: 'OK', expire: Math.round(expiry.getTime() / 1000) }
  }

  #join(a: Stream, b: Stream): void {
    this.circuits += 1
    let isOpen = true
    const closed = (): void => {
      if (isOpen) this.circuits -= 1
      isOpen = false
    }
    a.addEventListener('close', closed, { once: true })
    b.addEventListener('close', closed, { once: true })
    for (const end of [a, b]) handOn(end)
    holdBack(a, b)
    holdBack(b, a)
  }
}

/** Pauses `from` while what it has brought and `to` has not taken is too much. */
function holdBack(from: Stream, to: Stream): void {
  let held = 0
  let paused = false
  const send = to.send.bind(to)
  to.send = (data) => {
    held -= costOf(data)
    const goOn = send(data)
    if (paused && held <= CIRCUIT_BUFFER_BYTES / 2) {
      paused = false
      // Not from within: what the stream has kept comes at once.
      queueMicrotask(() => attempt(() => from.resume()))
    }
    return goOn
  }
  from.addEventListener('message', (event: StreamMessageEvent) => {
    held += costOf(event.data)
    if (paused || held < CIRCUIT_BUFFER_BYTES) return
    paused = true
    attempt(() => from.pause())
  })
}

/** It may be closing: then there is nothing to hold back. */
function attempt(act: () => void): void {
  try {
    act()
  } catch {}
}

/** The library's own can't be reset twice: the first renewal's end would still end the reservation. */
function expiringSignal(ms: number): Reservation['signal'] {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(new Error('the reservation has ended')), ms)
  timer.unref()
  return Object.assign(controller.signal, {
    reset: () => {
      timer.refresh()
    },
    clear: () => clearTimeout(timer),
  })
}
