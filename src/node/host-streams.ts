/**
 * What a peer may say on a stream where nobody takes it as it comes: before a protocol is agreed on, and in protocols of
 * the library, which have little to say. The library keeps megabytes of it, each byte in the piece in which it came. It
 * also drops the pieces of a list one by one, and moves all others each time: of 300,000 that takes minutes.
 */
import type { Stream } from '@libp2p/interface'
import { concat } from '../protocol/bytes.js'

export type Pieces = Exclude<Parameters<Stream['send']>[0], Uint8Array>

/** What the library has inside; instances are adapted, never its classes. */
interface InnerStream extends Stream {
  readBuffer: { bufs: Uint8Array[] }
  onData(data: Uint8Array | Pieces): void
}

/** What a piece takes beside its bytes. */
const PIECE_BYTES = 128
/** Of a stream, pieces included. Whoever has just agreed may send a window at once, before we know. */
const MAX_UNTAKEN_BYTES = 512 * 1024
/** Pieces that wait are made one when there are so many. */
const MAX_PIECES = 256
/** Streams of the library's housekeeping. */
const HOUSEKEEPING = '/ipfs/'
/** A device asks a relay for a circuit, and a relay the other device. */
const [HOP, STOP] = ['/libp2p/circuit/relay/0.2.0/hop', '/libp2p/circuit/relay/0.2.0/stop']

/** Ends of circuits at a relay. */
const joined = new WeakSet<Stream>()

/** From now on whatever comes on this stream of a relay is handed on. */
export function handOn(stream: Stream): void {
  joined.add(stream)
}

export function boundStream(stream: Stream): void {
  const inner = stream as InnerStream
  const take = inner.onData.bind(stream)
  let untaken = 0
  let waiting = 0
  // What is thrown here ends the connection, as what the library throws itself.
  inner.onData = (data) => {
    if (isUntaken(stream)) untaken += costOf(data)
    if (untaken > MAX_UNTAKEN_BYTES) throw new Error('this is no question for a protocol')
    take(data)
    const { bufs } = inner.readBuffer
    waiting = bufs.length === 0 ? 0 : waiting + 1
    if (waiting < MAX_PIECES) return
    bufs.push(concat(bufs.splice(-MAX_PIECES)))
    waiting = 0
  }
}

/** Bytes of memory, about. */
export function costOf(data: Uint8Array | Pieces): number {
  return data.byteLength + PIECE_BYTES * (data instanceof Uint8Array ? 1 : piecesOf(data).length)
}

/** Makes one piece of a list where there are too many. */
export function joinPieces(list: Pieces): void {
  if (piecesOf(list).length < MAX_PIECES) return
  const whole = list.subarray()
  list.consume(whole.byteLength)
  list.append(whole)
}

function piecesOf(list: Pieces): Uint8Array[] {
  return (list as unknown as { bufs: Uint8Array[] }).bufs
}

function isUntaken(stream: Stream): boolean {
  const { protocol, direction } = stream
  if (protocol === '' || protocol.startsWith(HOUSEKEEPING)) return true
  const isAtRelay = protocol === (direction === 'inbound' ? HOP : STOP)
  return isAtRelay && !joined.has(stream)
}
