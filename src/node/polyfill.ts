/**
 * What Node 20 lacks and libp2p takes for granted. Imported before libp2p: without these every
 * inbound connection and every dial over WebSocket fails there. Node 22 needs neither.
 */
import { WebSocket } from 'ws'

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

function define(target: object, name: string, value: unknown): void {
  if (name in target) return
  Object.defineProperty(target, name, { value, writable: true, configurable: true })
}

define(Promise, 'withResolvers', withResolvers)
define(globalThis, 'WebSocket', WebSocket)
