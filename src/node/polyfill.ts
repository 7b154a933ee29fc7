/**
 * What Node 20 lacks and libp2p takes for granted. Imported before libp2p: without these every
 * inbound connection and every dial over WebSocket fails there. Newer ones have both; the WebSocket is replaced there as
 * well: Node's own shows no socket that the system could watch, waits for a handshake as long as it likes, and brings
 * its whole HTTP client along.
 */
import { type ClientOptions, WebSocket } from 'ws'

interface Deferred<T> {
  promise: Promise<T>
  resolve: (value: T | PromiseLike<T>) => void
  reject: (reason?: unknown) => void
}

function withResolvers<T>(): Deferred<T> {
  let resolve!: Deferred<T>['resolve']
  let reject!: Deferred<T>['reject']
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}

/** A dial that was given up is left to itself by libp2p; so it ends in the end. */
const GIVEN_UP_MS = 30_000

/**
 * An error that nobody listens to is nothing, as in a browser. For `ws` it is the end of the process: libp2p stops
 * listening when it gives a dial up, and the system says seconds or minutes later that nobody was there.
 */
class BrowserLikeWebSocket extends WebSocket {
  constructor(address: string | URL, protocols?: string | string[], options?: ClientOptions) {
    super(address, protocols, { handshakeTimeout: GIVEN_UP_MS, ...options })
    this.on('error', () => {})
  }
}

if (!('withResolvers' in Promise)) Object.assign(Promise, { withResolvers })
Object.assign(globalThis, { WebSocket: BrowserLikeWebSocket })
