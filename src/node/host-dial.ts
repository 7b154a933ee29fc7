/** From a peer id or addresses to an open stream, with every expected failure as a value. */
import type { Connection, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Libp2p } from 'libp2p'
import type { ChannelOptions } from './frames.js'
import { addressPeerId, isRtcAddress, type Path, parseAddress, pathOfAddress } from './host-address.js'
import { peerIdToPublicKey } from './peer-id.js'

/** For connecting and agreeing on the protocol together. */
export const DIAL_TIMEOUT_MS = 10_000

export interface DialOptions extends ChannelOptions {
  timeoutMs?: number
  signal?: AbortSignal
  /** Uses no other connection, present or new, than one with such a remote end: in search of a better path. */
  accept?: (remote: { address: string; path: Path }) => boolean
}

export interface DialError {
  code: 'bad-address' | 'self' | 'unreachable' | 'wrong-peer' | 'no-such-protocol' | 'timeout' | 'aborted'
  sentence: string
  /** For the log. */
  detail?: string
}

const SENTENCES: Record<DialError['code'], string> = {
  'bad-address': 'This is not the address of a device.',
  self: 'This is the address of this very device.',
  unreachable: 'The other device does not answer.',
  'wrong-peer': 'Another device than expected answers at this address.',
  'no-such-protocol': 'The other device answers but does not take part in this.',
  timeout: 'The other device does not answer in time.',
  aborted: 'The attempt was given up.',
}

export interface OpenedStream {
  stream: Stream
  connection: Connection
}

interface Target {
  /** Undefined: whoever answers. */
  id: string | undefined
  /** Empty: what libp2p knows of the peer. */
  addresses: Multiaddr[]
}

export async function openStream(
  node: Libp2p,
  target: string | string[],
  protocol: string,
  options: DialOptions,
): Promise<OpenedStream | DialError> {
  const parsed = parseTarget(target)
  if (parsed === undefined) return dialError('bad-address')
  if (parsed.id === node.peerId.toString()) return dialError('self')
  return openBy(protocol, options, async (signal) => {
    const present = presentConnection(node, parsed.id)
    if (present !== undefined && isAccepted(present, options)) return { connection: present, reused: true }
    const connection = await connect(node, parsed, signal, options.accept !== undefined)
    if (isAccepted(connection, options)) return { connection, reused: false }
    await connection.close()
    throw new Error('no better path')
  })
}

export function isAccepted({ remoteAddr }: Connection, { accept }: DialOptions): boolean {
  const address = remoteAddr.toString()
  return accept === undefined || accept({ address, path: pathOfAddress(address) })
}

/** A stream over whatever connection the caller finds or makes within the time. */
export async function openBy(
  protocol: string,
  options: DialOptions,
  reach: (signal: AbortSignal) => Promise<{ connection: Connection; reused: boolean }>,
): Promise<OpenedStream | DialError> {
  const timeout = AbortSignal.timeout(options.timeoutMs ?? DIAL_TIMEOUT_MS)
  const signal = options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal])
  if (signal.aborted) return dialError('aborted')
  let reached: { connection: Connection; reused: boolean } | undefined
  try {
    reached = await reach(signal)
    const stream = await reached.connection.newStream(protocol, { signal, runOnLimitedConnection: true })
    return { stream, connection: reached.connection }
  } catch (error) {
    if (options.signal?.aborted === true) return dialError('aborted', error)
    if (!timeout.aborted) return classify(error)
    // A connection of old that does not even open a stream is dead without knowing it; the next
    // attempt shall not meet it again.
    if (reached?.reused === true) reached.connection.abort(new Error('the connection does not answer'))
    return dialError('timeout', error)
  }
}

function parseTarget(target: string | string[]): Target | undefined {
  if (typeof target === 'string') {
    return peerIdToPublicKey(target) === undefined ? undefined : { id: target, addresses: [] }
  }
  const addresses = target.map(parseAddress)
  const ids = new Set<string | undefined>()
  const parsed: Multiaddr[] = []
  for (const address of addresses) {
    const id = address === undefined ? false : addressPeerId(address)
    if (address === undefined || id === false) return undefined
    ids.add(id)
    parsed.push(address)
  }
  return ids.size === 1 ? { id: [...ids][0], addresses: parsed } : undefined
}

/** The open connection with the best path. */
function presentConnection(node: Libp2p, id: string | undefined): Connection | undefined {
  if (id === undefined) return undefined
  const open = node.getConnections(peerIdFromString(id)).filter((each) => each.status === 'open')
  return open.sort((a, b) => cost(a) - cost(b))[0]
}

/** Within this network before between networks, and WebRTC, which costs more, after that; through a relay last. */
function cost(connection: Connection): number {
  const address = connection.remoteAddr.toString()
  if (isRtcAddress(address)) return 2
  return { lan: 0, direct: 1, relayed: 3 }[pathOfAddress(address)]
}

function connect(node: Libp2p, target: Target, signal: AbortSignal, force: boolean): Promise<Connection> {
  if (target.addresses.length > 0) return node.dial(target.addresses, { signal, force })
  if (target.id === undefined) throw new Error('a target has an id or addresses')
  return node.dial(peerIdFromString(target.id), { signal, force })
}

export function classify(error: unknown): DialError {
  const errors = error instanceof AggregateError ? error.errors : [error]
  const names = errors.map((each) => (each instanceof Error ? `${each.name} ${each.message}` : String(each)))
  if (names.some((name) => name.includes('UnsupportedProtocol'))) return dialError('no-such-protocol', error)
  if (names.some((name) => /UnexpectedPeer|does not match expected/.test(name))) {
    return dialError('wrong-peer', error)
  }
  if (names.some((name) => /dial self/i.test(name))) return dialError('self', error)
  return dialError('unreachable', error)
}

function dialError(code: DialError['code'], cause?: unknown): DialError {
  const error: DialError = { code, sentence: SENTENCES[code] }
  if (cause !== undefined) error.detail = String(cause)
  return error
}
