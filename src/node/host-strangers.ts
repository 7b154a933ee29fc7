/** Connections that came from those who are not of the practice: so many have room, and one must say why it has come. */
import type { Connection } from '@libp2p/interface'
import { ALIVE_PROTOCOL, isIdle } from './host-alive.js'
import { Crowd, type CrowdLimits, type Standing } from './host-crowd.js'
import { keyOfPeer } from './host-remote.js'
import { networkOfConnection } from './host-transports.js'

/** So long a stranger may take to say why it has come. */
const STRANGER_GRACE_MS = 2_000

export type IsKnown = (publicKey: Uint8Array) => boolean

export class Strangers {
  readonly #isKnown: IsKnown
  readonly #crowd: Crowd<Connection>
  /** When each of their connections came, by the monotonic clock. */
  readonly #cameAt = new WeakMap<Connection, number>()

  constructor(isKnown: IsKnown, limits: CrowdLimits) {
    this.#isKnown = isKnown
    this.#crowd = new Crowd({
      ...limits,
      judge: (connection) => this.#standingOf(connection),
      end: (connection) => connection.abort(new Error('there is no room for another stranger')),
    })
  }

  opened(connection: Connection): void {
    if (connection.direction !== 'inbound' || this.#standingOf(connection) === 'known') return
    this.#cameAt.set(connection, performance.now())
    this.#crowd.add(connection, networkOfConnection(connection))
  }

  closed(connection: Connection): void {
    this.#crowd.delete(connection, networkOfConnection(connection))
  }

  /** Asking whether we live is no reason for a stranger to stay. */
  #standingOf(connection: Connection): Standing {
    if (this.#isKnown(keyOfPeer(connection.remotePeer.toString()))) return 'known'
    const isNew = performance.now() - (this.#cameAt.get(connection) ?? 0) < STRANGER_GRACE_MS
    return isNew || !isIdle(connection, ALIVE_PROTOCOL) ? 'busy' : 'idle'
  }
}
