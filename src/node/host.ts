/**
 * This device on the network, as the rest of the program sees it: it listens, dials whom it is told to, and hands out
 * channels. It decides nothing about trust; it says with certainty who is at the other end, and contacts nobody by
 * itself: no discovery but the local network's, no bootstrap, no name server but for addresses that a person configured.
 */
import type { Channel, ChannelOptions } from './frames.js'
import type { CrowdLimits } from './host-crowd.js'
import type { DialError, DialOptions } from './host-dial.js'
import { Libp2pHost } from './host-libp2p.js'
import type { Unsubscribe } from './host-listeners.js'
import { type ListenError, listenFailure, unusableAddress } from './host-listening.js'
import { createNode } from './host-node.js'
import type { RelayState, RelayTarget } from './host-relays.js'
import type { HostConnection, RemotePeer } from './host-remote.js'
import { Transports } from './host-transports.js'
import type { FoundPeer } from './lan.js'

/** Both transports on ports that the system chooses. */
export const DEFAULT_LISTEN = ['/ip4/0.0.0.0/tcp/0', '/ip4/0.0.0.0/tcp/0/ws']

/** More than any practice has devices, twice over while reconnecting. A relay asks for more. */
export const MAX_CONNECTIONS = 512

/**
 * Of the connections, so many may be of those who are not of the practice. A new device needs one, and so do others
 * of the practice whom this device doesn't know yet; beyond it the one goes that has been of no use for longest.
 */
const STRANGERS_SHARE = 1 / 4

export type HostLog = (level: 'debug' | 'warn', text: string) => void

export interface HostOptions {
  /** The 32-byte Ed25519 seed of the device; its public key is the host's identity. */
  privateKey: Uint8Array
  /** Multiaddrs of IP, TCP and maybe WebSocket. */
  listen?: string[]
  /** Announce this device on the local network and look for others there. */
  lan?: boolean
  maxConnections?: number
  log?: HostLog
}

export interface HandleOptions extends ChannelOptions {
  /** Of this protocol, in one connection. */
  maxInboundStreams?: number
}

export type ChannelHandler = (channel: Channel, remote: RemotePeer) => void
export type Opened = { channel: Channel; remote: RemotePeer }

export interface Host {
  readonly id: string
  readonly publicKey: Uint8Array
  /** Where this device can be reached now, each ending in `/p2p/ID`. */
  addresses(): string[]
  /** Takes channels of a protocol from anybody; the handler decides whether to talk. */
  handle(protocol: string, handler: ChannelHandler, options?: HandleOptions): Promise<void>
  /** Opens a channel, over the best present connection where there is one. A peer id alone reaches known addresses only. */
  dial(target: string | string[], protocol: string, options?: DialOptions): Promise<Opened | DialError>
  /** The same through a relay, whichever of the connected ones leads to the device. */
  dialRelayed(id: string, protocol: string, options?: DialOptions): Promise<Opened | DialError>
  /** The same over a new WebRTC connection, arranged through a relay; returns only what has proved to work. */
  dialRtc(id: string, protocol: string, options?: DialOptions): Promise<Opened | DialError>
  /** Ends a connection that has proved dead, at once: to wait for the other side's end of it would only take time. */
  abandon(remote: Pick<RemotePeer, 'id' | 'address'>): void
  /** Ends those connections with a peer over which no channel is open. */
  closeIdle(id: string): void
  /**
   * The relays from now on: the whole list, at any time. Never throws, waits for nothing; what comes of it
   * is told by `relays` and `onRelayChanged`.
   */
  setRelays(relays: RelayTarget[]): void
  relays(): RelayState[]
  /** Tries all relays now, and looks whether connected ones still answer. */
  retryRelays(): void
  onRelayChanged(callback: (state: RelayState) => void): Unsubscribe
  /** Who may arrange WebRTC with this device, and so learn its addresses. Nobody, until this is called. */
  admit(isMember: (publicKey: Uint8Array) => boolean): void
  /** This computer's network interfaces have changed: what seemed connected may be gone. */
  onNetworkChanged(callback: () => void): Unsubscribe
  connections(): HostConnection[]
  /** Devices seen on the local network, each again about every second. Unverified. */
  onPeerFound(callback: (peer: FoundPeer) => void): Unsubscribe
  /** Another process on the local network has proved to have this device's key; again every few seconds. */
  onTwin(callback: () => void): Unsubscribe
  /** `last`: no other connection with this peer remains. */
  onConnectionClosed(callback: (connection: HostConnection, last: boolean) => void): Unsubscribe
  /**
   * Closes channels, connections, sockets and timers. Nothing keeps the process alive afterwards, but
   * for a timer of libp2p's address book that ends within a second.
   */
  stop(): Promise<void>
}

export async function createHost(options: HostOptions): Promise<Host | ListenError> {
  const { privateKey, listen = DEFAULT_LISTEN, maxConnections = MAX_CONNECTIONS } = options
  const unusable = unusableAddress(listen)
  if (unusable) return unusable
  const transports = new Transports()
  try {
    const node = await createNode({ privateKey, listen, maxConnections }, transports)
    const host = new Libp2pHost(node, transports, { ...options, strangers: strangersAmong(maxConnections) })
    await host.answerAlive(0)
    await host.answerRun()
    host.forgetStrangers()
    return host
  } catch (error) {
    return listenFailure(transports, error)
  }
}

function strangersAmong(maxConnections: number): CrowdLimits {
  const inAll = Math.max(1, Math.floor(maxConnections * STRANGERS_SHARE))
  return { inAll, perNetwork: inAll }
}
