/** Addresses: which ones a host takes from others, dials and listens on, and what path an address stands for. */
import { CODE_P2P, type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { peerIdToPublicKey } from './peer-id.js'

/** Of a multiaddr: an IP address, a TCP port, maybe WebSocket, maybe who is there. No name to look up. */
const PLAIN = /^\/ip[46]\/[^/]+\/tcp\/\d+(\/ws)?(\/p2p\/[^/]+)?$/

/** Where a relay is: by address or by a name that a person configured, and with the key that must answer. */
const RELAY = /^\/(ip4|ip6|dns|dns4|dns6)\/[^/]+\/tcp\/\d+(\/ws|\/wss|\/tls\/ws)?\/p2p\/[^/]+$/

/**
 * The path that a connection takes: `lan` within this network, `direct` to the other device (TCP between
 * networks, or WebRTC), `relayed` through a relay.
 */
export type Path = 'lan' | 'direct' | 'relayed'

/**
 * True for addresses that can be dialled without asking any name server. What others announce has
 * to be such an address; names are only looked up where a person has configured them.
 */
export function isPlainAddress(address: Multiaddr): boolean {
  return PLAIN.test(address.toString())
}

/** The same for text, which may be anything. */
export function isPlainText(text: string): boolean {
  return PLAIN.test(text) && parseAddress(text) !== undefined
}

/** The multiaddr, or undefined for text that is none. */
export function parseAddress(text: string): Multiaddr | undefined {
  try {
    return multiaddr(text)
  } catch {
    return undefined
  }
}

/** The relay's peer id, where all of these are addresses of one and the same relay. */
export function relayIdOf(addresses: string[]): string | undefined {
  const ids = new Set<string | undefined | false>()
  for (const text of addresses) {
    const parsed = RELAY.test(text) ? parseAddress(text) : undefined
    ids.add(parsed === undefined ? false : addressPeerId(parsed))
  }
  const [id] = ids
  return ids.size === 1 && typeof id === 'string' ? id : undefined
}

/** The peer id an address ends in: undefined when it names none, false when it names no Ed25519 peer. */
export function addressPeerId(address: Multiaddr): string | undefined | false {
  const id = address.getComponents().findLast((component) => component.code === CODE_P2P)?.value
  if (id === undefined) return undefined
  return peerIdToPublicKey(id) === undefined ? false : id
}

/** Where a device is reached through a relay, given an address of the relay that ends in its peer id. */
export function relayedAddress(relay: string, device: string): string {
  return `${relay}/p2p-circuit/p2p/${device}`
}

/** The same for a connection that is only arranged through the relay. */
export function rtcAddress(relay: string, device: string): string {
  return `${relay}/p2p-circuit/webrtc/p2p/${device}`
}

export function isRtcAddress(address: string): boolean {
  return address.includes('/webrtc')
}

/** The path of a connection, by the address of its other end. */
export function pathOfAddress(address: string): Path {
  if (isRtcAddress(address)) return 'direct'
  if (address.includes('/p2p-circuit')) return 'relayed'
  return isNearby(address) ? 'lan' : 'direct'
}

/** Plain TCP first, it costs less; otherwise the order in which the addresses were given. */
export function compareAddresses(a: { multiaddr: Multiaddr }, b: { multiaddr: Multiaddr }): -1 | 0 | 1 {
  const [first, second] = [isWebSocket(a.multiaddr), isWebSocket(b.multiaddr)]
  if (first === second) return 0
  return first ? 1 : -1
}

function isWebSocket(address: Multiaddr): boolean {
  return address.getComponents().some((component) => component.name === 'ws' || component.name === 'wss')
}

/** Private, link-local or loopback: the same network. */
function isNearby(address: string): boolean {
  const ip4 = /^\/ip4\/(\d+)\.(\d+)\./.exec(address)
  if (ip4) {
    const [a, b] = [Number(ip4[1]), Number(ip4[2])]
    return (
      a === 10 ||
      a === 127 ||
      (a === 192 && b === 168) ||
      (a === 172 && b >= 16 && b < 32) ||
      (a === 169 && b === 254)
    )
  }
  return /^\/ip6\/(::1\/|fe80|f[cd])/i.test(address)
}
