/**
 * The two transports, wrapped for what libp2p does not tell or do: which address could not be
 * listened on and why, the end of connections that never come to a handshake, and a bound for each address.
 */
import { isIPv6, Server, type Socket } from 'node:net'
import type { Listener, MultiaddrConnection, Transport } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { addressPeerId } from './host-address.js'
import { Crowd } from './host-crowd.js'
import { joiningUpgrader, socketOf } from './host-thrift.js'
import { boundMessages } from './host-websocket.js'

type TcpComponents = Parameters<ReturnType<typeof tcp>>[0]
type WebSocketComponents = Parameters<ReturnType<typeof webSockets>>[0]

/** An address that could not be listened on, and the system's code for why, such as EADDRINUSE. */
export interface ListenFailure {
  address: string
  reason: string
}

/**
 * From the first packet to the end of the handshake, that of HTTP before it included; libp2p bounds only its own. Who
 * takes longer does not mean us, and would keep a file open for ever.
 */
const HANDSHAKE_TIMEOUT_MS = 30_000

/**
 * Connections that the system keeps until we take them, one in each turn of the event loop. So of a crowd that comes at
 * once, as when a relay was started anew, one after the other is let in; whoever finds no room asks once more after a
 * second, and costs nothing. Never more than are let in while a device waits for its handshake (by default 511): else
 * the next one would always be somebody who is about to give up, and nobody would ever come in.
 */
const BACKLOG = 128

/** One address that leads nowhere must not use up the time for the others; the handshake included, but for relays. */
const DIAL_TIMEOUT_MS = 3_000

/**
 * Sockets before the end of their handshake; each takes about 30 KB. Hundreds that say nothing must not keep the others
 * out: beyond the limit the one that waits longest goes.
 */
const MAX_WAITING = 1_024

/**
 * Bytes a WebSocket takes before it makes the writer wait, and how often it looks whether they are
 * gone. By default 4 MiB and 10 ms: a live message would wait behind all of that.
 */
const WEBSOCKET_BUFFER_BYTES = 256 * 1024
const WEBSOCKET_POLL_MS = 2

export interface SocketLimits {
  /** Sockets of one IPv4 address, or of one IPv6 network of 64 bits, whatever they have said so far. */
  perAddress?: number
  /** Of all addresses, before the end of their handshake. */
  waiting?: number
}

export class Transports {
  readonly listenFailures: ListenFailure[] = []
  /** What libp2p hands to transports: the way to add one later. */
  components: { transportManager: { getAddrs(): { toString(): string }[] } } | undefined
  /** A relay that was started anew is met by everybody: once it has answered, its handshake may take longer. */
  isRelay: (id: string | undefined | false) => boolean = () => false
  readonly #perAddress: number
  readonly #sockets = new Set<Socket>()
  readonly #byAddress = new Map<string, number>()
  readonly #waiting: Crowd<Socket>

  constructor({ perAddress = Number.POSITIVE_INFINITY, waiting = MAX_WAITING }: SocketLimits = {}) {
    this.#perAddress = perAddress
    this.#waiting = new Crowd({
      ...{ inAll: waiting, perNetwork: waiting },
      judge: () => 'idle',
      end: (socket) => socket.destroy(),
    })
  }

  readonly tcp = (components: TcpComponents): Transport => {
    this.components = components as unknown as NonNullable<Transports['components']>
    return this.#watch(tcp()(components))
  }

  readonly webSockets = (components: WebSocketComponents): Transport =>
    this.#watch(
      webSockets({
        maxBufferedAmount: WEBSOCKET_BUFFER_BYTES,
        bufferedAmountPollInterval: WEBSOCKET_POLL_MS,
      })(components),
    )

  /** Where this host listens, with each address of each interface. */
  listening(): string[] {
    return this.components?.transportManager.getAddrs().map((address) => address.toString()) ?? []
  }

  /** Ends connections without a first byte: a WebSocket listener overlooks them, and then waits for their end. */
  destroySilentSockets(): void {
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy()
  }

  destroySockets(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  #watch(transport: Transport): Transport {
    const createListener = transport.createListener.bind(transport)
    transport.createListener = (options) => {
      const upgrader = joiningUpgrader(options.upgrader, {
        done: (connection) => this.#isThrough(connection),
      })
      return this.#watchListener(createListener({ ...options, upgrader }))
    }
    const dial = transport.dial.bind(transport)
    transport.dial = (address, options) => {
      const late = new AbortController()
      const timer = setTimeout(() => late.abort(new Error('nobody answers')), DIAL_TIMEOUT_MS)
      const begun = (): void => {
        if (this.isRelay(addressPeerId(address))) clearTimeout(timer)
      }
      const upgrader = joiningUpgrader(options.upgrader, { begun })
      const signal = AbortSignal.any([options.signal, late.signal])
      return dial(address, { ...options, signal, upgrader }).finally(() => clearTimeout(timer))
    }
    return transport
  }

  #watchListener(listener: Listener): Listener {
    const listen = listener.listen.bind(listener)
    listener.listen = async (address) => {
      try {
        await listen(address)
      } catch (error) {
        this.listenFailures.push({ address: address.toString(), reason: errorCode(error) })
        throw error
      }
    }
    boundMessages(listener)
    const server: unknown = Reflect.get(listener, 'server')
    if (server instanceof Server) {
      server.on('connection', (socket) => this.#watchSocket(socket))
      const open = server.listen.bind(server) as (options: object, ...rest: unknown[]) => Server
      server.listen = (options: unknown, ...rest: unknown[]) =>
        open({ ...(options as object), backlog: BACKLOG }, ...rest)
    }
    return listener
  }

  #watchSocket(socket: Socket): void {
    const network = networkOf(socket.remoteAddress ?? '')
    const count = this.#byAddress.get(network) ?? 0
    if (count >= this.#perAddress && !this.#waiting.makeRoom(network)) {
      socket.destroy()
      return
    }
    this.#byAddress.set(network, count + 1)
    this.#sockets.add(socket)
    this.#waiting.add(socket, network)
    const late = setTimeout(() => {
      if (this.#waiting.has(socket, network)) socket.destroy()
    }, HANDSHAKE_TIMEOUT_MS)
    late.unref()
    socket.on('close', () => {
      clearTimeout(late)
      this.#sockets.delete(socket)
      this.#waiting.delete(socket, network)
      const left = (this.#byAddress.get(network) ?? 1) - 1
      if (left > 0) this.#byAddress.set(network, left)
      else this.#byAddress.delete(network)
    })
  }

  /** Its handshake is over: whoever that is, it waits no more. */
  #isThrough(connection: MultiaddrConnection): void {
    const socket = socketOf(connection)
    if (socket !== undefined) this.#waiting.delete(socket, networkOf(socket.remoteAddress ?? ''))
  }
}

/** Whom a limit by address means: one subscriber has a whole /64 of IPv6 addresses. */
export function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
  if (!isIPv6(plain)) return plain
  const [before = '', after = ''] = plain.replace(/%.*$/, '').split('::')
  const head = before.split(':').filter((group) => group !== '')
  const tail = after.split(':').filter((group) => group !== '')
  const zeros = new Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0')
  return [...head, ...zeros, ...tail].slice(0, 4).join(':')
}

/** By the IP address of its multiaddr: `/ip4/192.0.2.1/tcp/…`; of a circuit that is the relay's. */
export function networkOfConnection({ remoteAddr }: { remoteAddr: { toString(): string } }): string {
  return networkOf(remoteAddr.toString().split('/')[2] ?? '')
}

function errorCode(error: unknown): string {
  if (error instanceof Error) return 'code' in error ? String(error.code) : error.message
  return String(error)
}
