/**
 * Stands for src/node/natives.ts in the abstract simulator: what would take most of the time and is proven elsewhere.
 * Hashes still tell any two contents apart, a signature still fits one key and one message only, what is sealed still
 * opens only whole and with what it was sealed for.
 */
import type { Natives } from '../../../src/protocol/natives.js'

/** 256 bits of which 128 are independent: enough for worlds of some ten thousand values. Where parts meet counts. */
function mix(parts: readonly Uint8Array[], seed: number): Uint32Array {
  let a = 0x9e3779b9 ^ seed
  let b = 0x85ebca6b + seed
  let c = 0xc2b2ae35 ^ parts.length
  let d = 0x27d4eb2f ^ (seed << 7)
  for (const part of parts) {
    for (let at = 0; at < part.length; at++) {
      const byte = part[at]!
      a = Math.imul(a ^ byte, 0x01000193)
      b = Math.imul(b ^ byte, 0x5bd1e995) ^ (b >>> 13)
      c = (Math.imul(c, 31) + byte) ^ (c >>> 11)
      d = Math.imul(d + byte, 0x27220a95) ^ (d >>> 15)
    }
    d ^= Math.imul(part.length + 1, 0x2545f491)
  }
  a ^= b >>> 16
  b ^= Math.imul(c, 0x2c1b3c6d)
  c ^= Math.imul(d ^ (d >>> 15), 0x297a2d39)
  d ^= Math.imul(a ^ (a >>> 13), 0x165667b1)
  return Uint32Array.of(a, b, c, d, a ^ Math.imul(c, 0x9e3779b1), b ^ Math.imul(d, 0x85ebca77), a + d, b + c)
}

const digestOf = (parts: readonly Uint8Array[], seed: number) => new Uint8Array(mix(parts, seed).buffer)

/** 32 bytes. */
export const digest = (bytes: Uint8Array, seed = 0): Uint8Array => digestOf([bytes], seed)

const TAG_BYTES = 16

/** The public half of a key: whoever sees it could sign, and nobody in this world tries. */
export const publicKeyOf = (secretKey: Uint8Array): Uint8Array => digest(secretKey, 1)

function signature(publicKey: Uint8Array, message: Uint8Array): Uint8Array {
  const out = new Uint8Array(64)
  out.set(digestOf([publicKey, message], 2))
  return out
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false
  return true
}

export const nodeNatives: Natives = {
  sha256: (bytes) => digest(bytes),
  sign: (secretKey, message) => signature(publicKeyOf(secretKey), message),
  verify: (publicKey, message, given) => isSame(given, signature(publicKey, message)),
  seal(key, nonce, plaintext, aad, room = 0) {
    const sealed = new Uint8Array(room + plaintext.length + TAG_BYTES)
    sealed.set(plaintext, room)
    sealed.set(digestOf([key, nonce, plaintext, aad], 3).subarray(0, TAG_BYTES), room + plaintext.length)
    return sealed
  },
  open(key, nonce, sealed, aad) {
    if (sealed.length < TAG_BYTES) return undefined
    const plaintext = sealed.slice(0, -TAG_BYTES)
    const tag = digestOf([key, nonce, plaintext, aad], 3).subarray(0, TAG_BYTES)
    return isSame(tag, sealed.subarray(-TAG_BYTES)) ? plaintext : undefined
  },
  // Never shorter: payloads stay as they are.
  deflate: (bytes) => Uint8Array.from([...bytes, 0]),
  inflate: () => undefined,
}
