/**
 * The two transports, wrapped for what libp2p does not tell or do: which address could not be
 * listened on and why, the end of connections that never said a word, and a bound for each address.
 */
import { isIPv6, Server, type Socket } from 'node:net'
import type { Listener, Transport } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { joiningUpgrader } from './host-thrift.js'

type TcpComponents = Parameters<ReturnType<typeof tcp>>[0]
type WebSocketComponents = Parameters<ReturnType<typeof webSockets>>[0]

/** An address that could not be listened on, and the system's code for why, such as EADDRINUSE. */
export interface ListenFailure {
  address: string
  reason: string
}

/** A connection that has sent nothing for this long does not mean us; it would keep a file open for ever. */
const SILENCE_TIMEOUT_MS = 20_000

/**
 * Bytes a WebSocket takes before it makes the writer wait, and how often it looks whether they are
 * gone. By default 4 MiB and 10 ms: a live message would wait behind all of that.
 */
const WEBSOCKET_BUFFER_BYTES = 256 * 1024
const WEBSOCKET_POLL_MS = 2

export interface SocketLimits {
  /** Sockets of one IPv4 address, or of one IPv6 network of 64 bits, whatever they have said so far. */
  perAddress: number
}

export class Transports {
  readonly listenFailures: ListenFailure[] = []
  /** What libp2p hands to transports: the way to add one later. */
  components: { transportManager: { getAddrs(): { toString(): string }[] } } | undefined
  readonly #limits: SocketLimits
  readonly #sockets = new Set<Socket>()
  readonly #byAddress = new Map<string, number>()

  constructor(limits: SocketLimits = { perAddress: Number.POSITIVE_INFINITY }) {
    this.#limits = limits
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
    transport.createListener = (options) =>
      this.#watchListener(createListener({ ...options, upgrader: joiningUpgrader(options.upgrader) }))
    const dial = transport.dial.bind(transport)
    transport.dial = (address, options) =>
      dial(address, { ...options, upgrader: joiningUpgrader(options.upgrader) })
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
    const server: unknown = Reflect.get(listener, 'server')
    if (server instanceof Server) server.on('connection', (socket) => this.#watchSocket(socket))
    return listener
  }

  #watchSocket(socket: Socket): void {
    const network = networkOf(socket.remoteAddress ?? '')
    const count = (this.#byAddress.get(network) ?? 0) + 1
    if (count > this.#limits.perAddress) {
      socket.destroy()
      return
    }
    this.#byAddress.set(network, count)
    this.#sockets.add(socket)
    const silence = setTimeout(() => {
      if (socket.bytesRead === 0) socket.destroy()
    }, SILENCE_TIMEOUT_MS)
    silence.unref()
    socket.on('close', () => {
      clearTimeout(silence)
      this.#sockets.delete(socket)
      const left = (this.#byAddress.get(network) ?? 1) - 1
      if (left > 0) this.#byAddress.set(network, left)
      else this.#byAddress.delete(network)
    })
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

function errorCode(error: unknown): string {
  if (error instanceof Error) return 'code' in error ? String(error.code) : error.message
  return String(error)
}
