/** Connections that end at an odd moment: the library tells nobody of it, or throws where nobody catches. */
import type { MessageStream, StreamMuxer } from '@libp2p/interface'

/**
 * Throws where a connection has ended by the time it is secured, as when its end came in one packet with the last of
 * the handshake. It would be told of as open, and nobody would ever hear of its end.
 */
export function refuseEnded(secured: MessageStream): void {
  const below: unknown = Reflect.get(secured, 'stream')
  if (typeof below !== 'object' || below === null) return
  if (Reflect.get(below, 'status') !== 'open') throw new Error('the connection has ended')
}

/** To end a connection never throws: where it is over or closing, its last word can't be said, and needn't. */
export function endQuietly(muxer: StreamMuxer): void {
  const abort = muxer.abort.bind(muxer)
  muxer.abort = (error) => {
    try {
      abort(error)
    } catch {}
  }
}
