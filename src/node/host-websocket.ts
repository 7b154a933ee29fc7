/**
 * A connection by WebSocket, mended. `ws` tells of bytes that are no frame by an error, which the library doesn't listen
 * to: it would end the process. And the library ends a connection with a code that `ws` refuses to send: nothing would
 * end but what is above, and the socket and the other side would never hear of it.
 */
import type { MultiaddrConnection } from '@libp2p/interface'
import { WebSocket } from 'ws'

/** What the library has inside; instances are adapted, never its classes. */
interface InnerConnection {
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
  inner.sendReset = () => webSocket.terminate()
  inner.onRemoteReset = () => {
    // Of an end that was made here the socket tells once more.
    if (connection.status === 'open' || connection.status === 'closing') remoteReset()
  }
}
