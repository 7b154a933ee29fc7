/**
 * The relays of a device: a connection and a circuit reservation is kept at each. They come from the
 * practice's settings and may change at any time. One that can't be reached is tried again, less and less
 * often and never at the same moment as everybody else; it makes nothing fail and holds up nothing.
 */
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { Libp2p } from 'libp2p'
import type { HostLog } from './host.js'
import { relayedAddress, relayIdOf } from './host-address.js'
import { Alive, RELAY_PACE } from './host-alive.js'
import type { Circuits } from './host-circuit.js'
import { classify } from './host-dial.js'

/** Connecting, agreeing on a protocol, and a first answer. */
const CONNECT_TIMEOUT_MS = 20_000

/** Between attempts. At most what keeps a device unreachable for less than 30 s when its relay returns. */
const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 20_000

/** One that is only visited may be gone for good. */
const LAST_VISIT_RETRY_MS = 10 * 60_000

/** A relay that has no place, or does not know us yet, may have one soon. */
const LAST_RESERVE_RETRY_MS = 60_000

/** The library sends the first STUN server all questions; a second one is for relays that differ. */
const MAX_STUN_SERVERS = 2

const SENTENCES = {
  'bad-address':
    'This is not the address of a relay. One looks like /dns4/relay.example.org/tcp/4001/p2p/12D3KooW….',
  unreachable: 'The relay does not answer. Kartoteka keeps trying.',
  stranger: 'What answers at this address is no relay of Kartoteka.',
  'wrong-identity': 'Another relay than expected answers at this address. Nothing was sent.',
}

/** A relay as the practice's settings or an invitation name it. */
export interface RelayTarget {
  /** Each of IP address or name, TCP, maybe WebSocket, and always the same `/p2p/RELAY`. */
  addresses: string[]
  /** `host:port`; without it the port that the relay tells. */
  stun?: string
  /** It is only to be told something: no circuit is reserved, and while it can't be reached it is tried seldom. */
  isVisit?: boolean
}

export interface RelayState {
  /** The relay's peer id; empty where the addresses name none. */
  id: string
  addresses: string[]
  state: 'connecting' | 'connected' | 'unreachable' | 'wrong-identity' | 'bad-address'
  /** Others can reach this device through it now. */
  circuit: boolean
  /** For a person, unless it is connected. */
  sentence?: string
}

export interface RelaysOptions {
  node: Libp2p
  log: HostLog
  circuits: () => Promise<Circuits>
  changed: (state: RelayState) => void
}

export class Relays {
  readonly #options: RelaysOptions
  #kept: KeptRelay[] = []

  constructor(options: RelaysOptions) {
    this.#options = options
    options.node.addEventListener('connection:close', (event) => {
      for (const relay of this.#kept) relay.connectionClosed(event.detail)
    })
  }

  /** From now on these, and no others. Those that stay keep their connections. */
  set(targets: RelayTarget[]): void {
    const before = this.#kept
    this.#kept = []
    for (const target of targets) {
      const id = relayIdOf(target.addresses) ?? ''
      const known = before.find((each) => each.state.id === id && id !== '')
      if (this.#kept.some((each) => each.state.id === id && id !== '')) continue
      const relay = known ?? new KeptRelay(id, this.#options)
      this.#kept.push(relay)
      relay.configure(target)
    }
    for (const relay of before) if (!this.#kept.includes(relay)) relay.stop()
  }

  /** All but those that are only visited. */
  get #used(): KeptRelay[] {
    return this.#kept.filter(({ isVisit }) => !isVisit)
  }

  states(): RelayState[] {
    return this.#kept.map(({ state }) => state)
  }

  has(id: string): boolean {
    return this.#kept.some(({ state }) => state.id === id && id !== '')
  }

  /** Addresses of connected relays, each with the relay's id. */
  connected(): string[] {
    return this.#used.flatMap(({ state }) => (state.state === 'connected' ? state.addresses.slice(0, 1) : []))
  }

  /** Where this device is reached through its relays. */
  addresses(self: string): string[] {
    return this.#used.flatMap(({ state }) =>
      state.circuit ? state.addresses.map((address) => relayedAddress(address, self)) : [],
    )
  }

  stunServers(): string[] {
    return this.#used.flatMap((relay) => relay.stunServer ?? []).slice(0, MAX_STUN_SERVERS)
  }

  /** Now, whatever the waits say; and is what seems connected still there? */
  retry(): void {
    for (const relay of this.#kept) relay.retry()
  }

  reservationLost(id: string): void {
    for (const relay of this.#kept) if (relay.state.id === id) relay.reservationLost()
  }

  stop(): void {
    for (const relay of this.#kept) relay.stop()
    this.#kept = []
  }
}

class KeptRelay {
  state: RelayState
  readonly #options: RelaysOptions
  #stun: string | undefined
  isVisit = false
  #toldStunPort = 0
  #connection: Connection | undefined
  #alive: Alive | undefined
  #end = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #waitMs = FIRST_RETRY_MS
  #reserveWaitMs = FIRST_RETRY_MS
  #busy = false

  constructor(id: string, options: RelaysOptions) {
    this.#options = options
    this.state = { id, addresses: [], state: 'connecting', circuit: false }
  }

  configure(target: RelayTarget): void {
    const moved = target.addresses.join() !== this.state.addresses.join()
    const stays = this.isVisit && target.isVisit !== true
    this.#stun = target.stun
    this.isVisit = target.isVisit === true
    this.state = { ...this.state, addresses: [...target.addresses] }
    if (this.state.id === '') this.#become('bad-address', SENTENCES['bad-address'])
    else if (stays || (moved && this.#connection === undefined)) this.retry()
  }

  get stunServer(): string | undefined {
    if (this.#stun !== undefined) return `stun:${this.#stun}`
    const host = this.#connection?.remoteAddr.getComponents()[0]?.value
    if (host === undefined || this.#toldStunPort === 0) return undefined
    return `stun:${host.includes(':') ? `[${host}]` : host}:${this.#toldStunPort}`
  }

  retry(): void {
    if (this.state.id === '' || this.#end.signal.aborted) return
    this.#waitMs = FIRST_RETRY_MS
    this.#reserveWaitMs = FIRST_RETRY_MS
    if (this.#connection === undefined) void this.#connect()
    else {
      this.#alive?.ask()
      if (!this.state.circuit) void this.#reserve(this.#connection)
    }
  }

  connectionClosed(closed: Connection): void {
    if (closed !== this.#connection) return
    this.#connection = undefined
    this.#alive?.stop()
    this.#alive = undefined
    this.state = { ...this.state, circuit: false }
    this.#become('unreachable', SENTENCES.unreachable)
    this.#retryLater()
  }

  reservationLost(): void {
    if (!this.state.circuit) return
    this.#setCircuit(false)
    if (this.#connection !== undefined) void this.#reserve(this.#connection)
  }

  stop(): void {
    this.#end.abort()
    clearTimeout(this.#timer)
    this.#alive?.stop()
    const connection = this.#connection
    this.#connection = undefined
    if (connection !== undefined) connection.close().catch((error) => connection.abort(error))
  }

  async #connect(): Promise<void> {
    if (this.#busy || this.#end.signal.aborted) return
    this.#busy = true
    clearTimeout(this.#timer)
    const { node } = this.#options
    const signal = AbortSignal.any([AbortSignal.timeout(CONNECT_TIMEOUT_MS), this.#end.signal])
    let connection: Connection | undefined
    try {
      connection = await node.dial(this.state.addresses.map(multiaddr), { signal })
      const made = connection
      const { alive, greeting } = await Alive.open(made, RELAY_PACE, signal, () =>
        made.abort(new Error('the relay is silent')),
      )
      if (made.status !== 'open') throw new Error('the connection is gone')
      this.#connection = made
      this.#alive = alive
      this.#toldStunPort = greeting.stunPort
    } catch (error) {
      this.#busy = false
      connection?.abort(new Error('the relay does not answer'))
      this.#failed(error)
      return
    }
    this.#busy = false
    this.#waitMs = FIRST_RETRY_MS
    this.#become('connected')
    void this.#reserve(connection)
  }

  #failed(error: unknown): void {
    if (this.#end.signal.aborted) return
    this.#options.log('debug', `relay ${this.state.id}: ${String(error)}`)
    const { code } = classify(error)
    if (code === 'wrong-peer') this.#become('wrong-identity', SENTENCES['wrong-identity'])
    else this.#become('unreachable', code === 'no-such-protocol' ? SENTENCES.stranger : SENTENCES.unreachable)
    this.#retryLater()
  }

  #retryLater(): void {
    if (this.#end.signal.aborted) return
    const waitMs = jitter(this.#waitMs)
    this.#waitMs = Math.min(this.#waitMs * 2, this.isVisit ? LAST_VISIT_RETRY_MS : LAST_RETRY_MS)
    this.#after(waitMs, () => void this.#connect())
  }

  async #reserve(connection: Connection): Promise<void> {
    if (this.isVisit) return
    const signal = AbortSignal.any([AbortSignal.timeout(CONNECT_TIMEOUT_MS), this.#end.signal])
    try {
      const circuits = await this.#options.circuits()
      if (this.#connection !== connection) return
      const reserved = await circuits.reserve(connection, signal)
      if (this.#connection === connection) this.#setCircuit(reserved && !this.isVisit)
    } catch (error) {
      this.#options.log('debug', `relay ${this.state.id} reserves nothing: ${String(error)}`)
      if (this.#connection !== connection || this.#end.signal.aborted) return
      const waitMs = jitter(this.#reserveWaitMs)
      this.#reserveWaitMs = Math.min(this.#reserveWaitMs * 2, LAST_RESERVE_RETRY_MS)
      this.#after(waitMs, () => {
        if (this.#connection === connection) void this.#reserve(connection)
      })
    }
  }

  #after(waitMs: number, run: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(run, waitMs)
    this.#timer.unref()
  }

  #setCircuit(circuit: boolean): void {
    if (this.state.circuit === circuit) return
    this.state = { ...this.state, circuit }
    this.#options.changed(this.state)
  }

  #become(state: RelayState['state'], sentence?: string): void {
    const { sentence: before, ...rest } = this.state
    if (rest.state === state && before === sentence) return
    this.state = sentence === undefined ? { ...rest, state } : { ...rest, state, sentence }
    this.#options.changed(this.state)
  }
}

/** When a relay returns, its devices shall not all come at once. */
function jitter(ms: number): number {
  return ms * (0.5 + Math.random() * 0.75)
}
