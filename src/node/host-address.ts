/** Which addresses a host listens on, takes from others, and dials. */
import { CODE_P2P, type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { peerIdToPublicKey } from './peer-id.js'

/** Of a multiaddr: an IP address, a TCP port, maybe WebSocket, maybe who is there. No name to look up. */
const PLAIN = /^\/ip[46]\/[^/]+\/tcp\/\d+(\/ws)?(\/p2p\/[^/]+)?$/

/**
 * True for addresses that can be dialled without asking any name server. What others announce has
 * to be such an address; names are only looked up where a person has configured them.
 */
export function isPlainAddress(address: Multiaddr): boolean {
  return PLAIN.test(address.toString())
}

/** The multiaddr, or undefined for text that is none. */
export function parseAddress(text: string): Multiaddr | undefined {
  try {
    return multiaddr(text)
  } catch {
    return undefined
  }
}

/** The peer id an address ends in: undefined when it names none, false when it names no Ed25519 peer. */
export function addressPeerId(address: Multiaddr): string | undefined | false {
  const id = address.getComponents().findLast((component) => component.code === CODE_P2P)?.value
  if (id === undefined) return undefined
  return peerIdToPublicKey(id) === undefined ? false : id
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
