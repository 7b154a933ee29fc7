/**
 * Bounds of what a peer makes a connection do. Before the handshake the library answers questions for protocols as long
 * as some come, all in one turn. Its multiplexer takes a frame of whatever length is announced, keeps the pieces of it as
 * they come, and answers pings and streams too many whether or not the answers are taken.
 */
import type { MessageStream, MultiaddrConnection } from '@libp2p/interface'
import { costOf, joinPieces, type Pieces } from './host-streams.js'

/** What the library has inside; instances are adapted, never its classes. */
interface InnerConnection {
  onData(data: Uint8Array | Pieces): void
}

interface InnerMuxer extends InnerConnection {
  decoder: { buffer: Pieces }
}

const HEADER_BYTES = 12
/** Of what waits for room on the connection: tens of MB. What is ours waits in streams, a few pieces of each. */
const MAX_WAITING_PIECES = 64 * 1024

/** A handshake has a few hundred bytes in few pieces, and what may follow it unasked some more. */
const MAX_HANDSHAKE_BYTES = 64 * 1024

/** Until the function that is returned is called, the handshake is under way: who says more ends the connection. */
export function boundHandshake(connection: MultiaddrConnection): () => void {
  const inner = connection as unknown as InnerConnection
  const hear = inner.onData
  let heard = 0
  inner.onData = (data) => {
    heard += costOf(data)
    if (heard > MAX_HANDSHAKE_BYTES) connection.abort(new Error('this is no handshake'))
    else hear.call(connection, data)
  }
  return () => {
    inner.onData = hear
  }
}

/** @param maxFrameBytes the largest window of a stream: nobody may send a longer frame than that. */
export function boundMuxer(muxer: object, connection: MessageStream, maxFrameBytes: number): void {
  const inner = muxer as InnerMuxer
  const { decoder } = inner
  const take = inner.onData.bind(muxer)
  // What is thrown here ends the connection, as what the library throws itself.
  inner.onData = (data) => {
    take(data)
    const { byteLength } = decoder.buffer
    if (byteLength > HEADER_BYTES + maxFrameBytes) throw new Error('a frame is longer than any window')
    joinPieces(decoder.buffer)
    if (connection.writableNeedsDrain && waitingPieces(connection) > MAX_WAITING_PIECES)
      throw new Error('the answers are not taken')
  }
}

function waitingPieces(connection: MessageStream): number {
  const { bufs } = Reflect.get(connection, 'writeBuffer') as { bufs: unknown[] }
  return bufs.length
}
