/** The portable natives, over noble and fflate: the reference, and what a browser runs on. */
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { ed25519 } from '@noble/curves/ed25519.js'
import { sha256, sha512 } from '@noble/hashes/sha2.js'
import { deflateSync } from 'fflate'
import { concat, equalBytes } from './bytes.js'
import { followsRule } from './ed25519.js'
import { inflate } from './inflate.js'
import type { Natives } from './natives.js'

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!)
  return value
}

/** S·B − k·A, re-encoded, is R byte for byte: RFC 8032 §5.1.7 without the cofactor. */
function holdsEquation(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const { Point } = ed25519
  const r = signature.subarray(0, 32)
  const s = littleEndian(signature.subarray(32))
  const k = Point.Fn.create(littleEndian(sha512(concat([r, publicKey, message]))))
  const a = Point.fromBytes(publicKey)
  return equalBytes(Point.BASE.multiplyUnsafe(s).subtract(a.multiplyUnsafe(k)).toBytes(), r)
}

export const portableNatives: Natives = {
  sha256: (bytes) => sha256(bytes),

  sign: (secretKey, message) => ed25519.sign(message, secretKey),

  verify(publicKey, message, signature) {
    if (!followsRule(publicKey, signature)) return false
    try {
      return holdsEquation(publicKey, message, signature)
    } catch {
      return false // not a point of the curve
    }
  },

  seal(key, nonce, plaintext, aad, room = 0) {
    return concat([new Uint8Array(room), xchacha20poly1305(key, nonce, aad).encrypt(plaintext)])
  },

  open(key, nonce, sealed, aad) {
    try {
      return xchacha20poly1305(key, nonce, aad).decrypt(sealed)
    } catch {
      return undefined // as well for a key, a nonce or a tag of another length
    }
  },

  deflate: (bytes) => deflateSync(bytes),

  inflate,
}
