/**
 * A connection by WebSocket, mended. `ws` tells of bytes that are no frame by an error, which the library doesn't listen
 * to: it would end the process. And the library ends a connection with a code that `ws` refuses to send: nothing would
 * end but what is above, and the socket and the other side would never hear of it.
 */
import type { Listener, MultiaddrConnection } from '@libp2p/interface'
import { WebSocket } from 'ws'

/** Of one message. By default a stranger could have 100 MB gathered before the first word of a handshake. */
const MAX_PAYLOAD_BYTES = 1024 * 1024
/** Of one that is sent. */
const MAX_SENT_BYTES = 256 * 1024

/** What the library has inside; instances are adapted, never its classes. */
interface InnerConnection {
  maxMessageSize: number
  sendReset(): void
  onRemoteReset(): void
}

/** Does nothing to a connection of another kind. */
export function mendWebSocket(connection: MultiaddrConnection): void {
  const webSocket: unknown = Reflect.get(connection, 'websocket')
  if (!(webSocket instanceof WebSocket)) return
  const inner = connection as unknown as InnerConnection
  const remoteReset = inner.onRemoteReset.bind(connection)
  webSocket.on('error', (error) => connection.abort(error))
  inner.maxMessageSize = MAX_SENT_BYTES
  const close = connection.close.bind(connection)
  // The library closes what was no handshake, and looks no further.
  connection.close = (options) => close(options).catch(() => connection.abort(new Error('it did not close')))
  inner.sendReset = () => webSocket.terminate()
  inner.onRemoteReset = () => {
    // Of an end that was made here the socket tells once more.
    if (connection.status === 'open' || connection.status === 'closing') remoteReset()
  }
}

/** Does nothing to a listener of another kind. */
export function boundMessages(listener: Listener): void {
  const server = Reflect.get(listener, 'wsServer') as { options: { maxPayload: number } } | undefined
  if (server !== undefined) server.options.maxPayload = MAX_PAYLOAD_BYTES
}
