/** Stands for src/protocol/hpke.ts in the abstract simulator: sealed to one key, and opened by its secret only. */
import { concat } from '../../../src/protocol/bytes.js'
import { digest, nodeNatives, publicKeyOf } from './natives.js'

export const X_KEY_BYTES = 32
export const HPKE_OVERHEAD_BYTES = 32 + 16
const NONCE = new Uint8Array(24)

export const xPublicKey = publicKeyOf
export const isUsableXKey = (publicKey: Uint8Array) => publicKey.length === X_KEY_BYTES

interface Message {
  info: Uint8Array
  aad: Uint8Array
}

export function hpkeSeal(
  message: Message & { recipient: Uint8Array; ephemeralSecret: Uint8Array; plaintext: Uint8Array },
): Uint8Array {
  const { recipient, ephemeralSecret, info, aad, plaintext } = message
  return concat([digest(ephemeralSecret), nodeNatives.seal(recipient, NONCE, plaintext, concat([info, aad]))])
}

export function hpkeOpen(
  message: Message & { recipient: Uint8Array; secretKey: Uint8Array; sealed: Uint8Array },
): Uint8Array | undefined {
  const { secretKey, sealed, info, aad } = message
  return nodeNatives.open(xPublicKey(secretKey), NONCE, sealed.subarray(X_KEY_BYTES), concat([info, aad]))
}
