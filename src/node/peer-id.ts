/** Peer ids and the Ed25519 keys they stand for. A device's peer id *is* its key, in text. */
import { publicKeyFromRaw } from '@libp2p/crypto/keys'
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id'

export const PUBLIC_KEY_BYTES = 32

/** An Ed25519 peer id has 52 characters; base58 takes quadratic time, so nothing longer is looked at. */
const MAX_PEER_ID_LENGTH = 64

/** The peer id of a 32-byte Ed25519 public key, `12D3KooW…`. */
export function publicKeyToPeerId(publicKey: Uint8Array): string {
  if (publicKey.byteLength !== PUBLIC_KEY_BYTES) throw new RangeError('an Ed25519 key has 32 bytes')
  const key = publicKeyFromRaw(publicKey)
  if (key.type !== 'Ed25519') throw new RangeError('not an Ed25519 key')
  return peerIdFromPublicKey(key).toString()
}

/**
 * The 32-byte Ed25519 public key of a peer id; undefined for every other text. Only the usual form
 * is taken, so that one device has one id and ids can be compared as text.
 */
export function peerIdToPublicKey(id: string): Uint8Array | undefined {
  if (id.length > MAX_PEER_ID_LENGTH) return undefined
  try {
    const peer = peerIdFromString(id)
    if (peer.type !== 'Ed25519' || peer.toString() !== id) return undefined
    return peer.publicKey.raw.byteLength === PUBLIC_KEY_BYTES
      ? Uint8Array.from(peer.publicKey.raw)
      : undefined
  } catch {
    return undefined
  }
}
