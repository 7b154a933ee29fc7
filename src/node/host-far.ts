/** The ways of a device to those that it can't dial: through its relays, and by WebRTC arranged over them. */
import type { Connection } from '@libp2p/interface'
import type { Libp2p } from 'libp2p'
import type { HostLog } from './host.js'
import { pathOfAddress, relayedAddress, rtcAddress } from './host-address.js'
import { Alive, RTC_PACE } from './host-alive.js'
import { Circuits, releaseRtc } from './host-circuit.js'
import { type RelayState, Relays } from './host-relays.js'
import type { Transports } from './host-transports.js'
import { peerIdToPublicKey } from './peer-id.js'

/** 5 to 8 % of WebRTC dials between two Nodes hang, whatever the network; the next one works. */
const RTC_DIAL_TIMEOUT_MS = 3_000
const RTC_DIALS = 3

export class FarPaths {
  readonly relays: Relays
  /** Who may arrange WebRTC with this device. */
  isMember: (publicKey: Uint8Array) => boolean = () => false
  readonly #node: Libp2p
  readonly #transports: Transports
  readonly #log: HostLog
  #circuits: Promise<Circuits> | undefined

  constructor(node: Libp2p, transports: Transports, log: HostLog, changed: (state: RelayState) => void) {
    this.#node = node
    this.#transports = transports
    this.#log = log
    this.relays = new Relays({ node, log, circuits: () => this.#loadCircuits(), changed })
    transports.isRelay = (id) => typeof id === 'string' && this.relays.has(id)
  }

  async stop(): Promise<void> {
    this.relays.stop()
    const circuits = await this.#circuits?.catch(() => undefined)
    await circuits?.stop()
  }

  /** After the node has stopped: lets the native library go. */
  async release(): Promise<void> {
    const circuits = await this.#circuits?.catch(() => undefined)
    if (circuits?.hasRtc === true) releaseRtc()
  }

  /** A connection through a relay: the present one, or a new one through whichever relay leads there. */
  async reachRelayed(id: string, signal: AbortSignal): Promise<{ connection: Connection; reused: boolean }> {
    const present = this.#relayedConnection(id)
    if (present !== undefined) return { connection: present, reused: true }
    const circuits = await this.#loadCircuits()
    const errors: unknown[] = [new Error('no relay is connected')]
    for (const relay of this.relays.connected()) {
      try {
        const connection = await circuits.dialCircuit(relayedAddress(relay, id), signal)
        return { connection, reused: false }
      } catch (error) {
        signal.throwIfAborted()
        errors.push(error)
      }
    }
    throw errors.at(-1)
  }

  /** A new WebRTC connection that has proved to work. */
  async reachRtc(id: string, signal: AbortSignal): Promise<Connection> {
    const circuits = await this.#loadCircuits()
    for (let left = RTC_DIALS; ; left--) {
      try {
        return await this.#tryRtc(circuits, id, signal)
      } catch (error) {
        signal.throwIfAborted()
        if (left <= 1 || !circuits.hasRtc) throw error
      }
    }
  }

  async #tryRtc(circuits: Circuits, id: string, end: AbortSignal): Promise<Connection> {
    const { connection: relayed } = await this.reachRelayed(id, end)
    const relay = relayed.remoteAddr.toString().split('/p2p-circuit')[0] ?? ''
    const signal = AbortSignal.any([AbortSignal.timeout(RTC_DIAL_TIMEOUT_MS), end])
    const connection = await circuits.dialRtc(rtcAddress(relay, id), signal)
    try {
      // Both sides report a connection before it carries anything.
      await Alive.open(connection, RTC_PACE, signal, () =>
        connection.abort(new Error('the connection does not answer')),
      )
      return connection
    } catch (error) {
      connection.abort(error instanceof Error ? error : new Error(String(error)))
      throw error
    }
  }

  #relayedConnection(id: string): Connection | undefined {
    const isRelayed = ({ remotePeer, status, remoteAddr }: Connection): boolean =>
      remotePeer.toString() === id && status === 'open' && pathOfAddress(remoteAddr.toString()) === 'relayed'
    return this.#node.getConnections().find(isRelayed)
  }

  #loadCircuits(): Promise<Circuits> {
    this.#circuits ??= Circuits.load(this.#transports.components, {
      log: this.#log,
      isRelay: (id) => this.relays.has(id),
      isMember: (id) => {
        const key = peerIdToPublicKey(id)
        return key !== undefined && this.isMember(key)
      },
      stunServers: () => this.relays.stunServers(),
      reservationLost: (relay) => this.relays.reservationLost(relay),
    })
    return this.#circuits
  }
}
