/**
 * Stands for src/node/natives.ts in the abstract simulator: what would take most of the time and is proven elsewhere.
 * Hashes still tell any two contents apart, a signature still fits one key and one message only, what is sealed still
 * opens only whole and with what it was sealed for.
 */
import type { Natives } from '../../../src/protocol/natives.js'

/** What `mix` came to last: one buffer for all, as a digest is made thousands of times in each world. */
const mixed = new Uint32Array(8)

/** 256 bits of which 128 are independent: enough for worlds of some ten thousand values. Where parts meet counts. */
function mix(parts: readonly Uint8Array[], seed: number): void {
  let a = 0x9e3779b9 ^ seed
  let b = (0x85ebca6b + seed) | 0
  let c = 0xc2b2ae35 ^ parts.length
  let d = 0x27d4eb2f ^ (seed << 7)
  for (let which = 0; which < parts.length; which++) {
    const part = parts[which]!
    const { length } = part
    for (let at = 0; at < length; at++) {
      const byte = part[at]!
      a = Math.imul(a ^ byte, 0x01000193)
      b = Math.imul(b ^ byte, 0x5bd1e995) ^ (b >>> 13)
      c = ((Math.imul(c, 31) + byte) | 0) ^ (c >>> 11)
      d = Math.imul((d + byte) | 0, 0x27220a95) ^ (d >>> 15)
    }
    d ^= Math.imul(length + 1, 0x2545f491)
  }
  a ^= b >>> 16
  b ^= Math.imul(c, 0x2c1b3c6d)
  c ^= Math.imul(d ^ (d >>> 15), 0x297a2d39)
  d ^= Math.imul(a ^ (a >>> 13), 0x165667b1)
  mixed[0] = a
  mixed[1] = b
  mixed[2] = c
  mixed[3] = d
  mixed[4] = a ^ Math.imul(c, 0x9e3779b1)
  mixed[5] = b ^ Math.imul(d, 0x85ebca77)
  mixed[6] = a + d
  mixed[7] = b + c
}

/**
 * The tag of what is sealed into the first 16 bytes of `mixed`: of the key, the nonce, the first `length` bytes of the
 * plaintext and the associated data. Most of what is hashed in a world is sealed, and a tag is only ever compared: so
 * four bytes at a time, and 64 bits. No step loses anything: where one word differs, so does the tag.
 */
function mixTag(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, length: number, aad: Uint8Array) {
  let a = 0x9e3779b9
  let b = 0x85ebca6b
  for (let which = 0; which < 4; which++) {
    const part = which === 0 ? key : which === 1 ? nonce : which === 2 ? plaintext : aad
    const end = which === 2 ? length : part.length
    let at = 0
    for (; at + 4 <= end; at += 4) {
      const word = part[at]! | (part[at + 1]! << 8) | (part[at + 2]! << 16) | (part[at + 3]! << 24)
      a = Math.imul(a ^ word, 0x5bd1e995)
      a = (a << 13) | (a >>> 19)
      b = Math.imul((b + word) | 0, 0x2c1b3c6d)
      b = (b << 7) | (b >>> 25)
    }
    // What is left, behind its length.
    let rest = end
    for (; at < end; at++) rest = (rest << 8) | part[at]!
    a = Math.imul(a ^ rest, 0x297a2d39)
    b = Math.imul((b + rest) | 0, 0x165667b1) ^ end
  }
  a ^= b >>> 15
  b ^= Math.imul(a ^ (a >>> 13), 0x2545f491)
  mixed[0] = a
  mixed[1] = b
  mixed[2] = a + b
  mixed[3] = Math.imul(a, 0x9e3779b1) ^ b
}

function putMixed(out: Uint8Array, at: number, length: number) {
  for (let each = 0; each < length; each++) out[at + each] = mixed[each >> 2]! >>> ((each & 3) << 3)
}

function isMixed(given: Uint8Array, at: number, length: number) {
  for (let each = 0; each < length; each++)
    if (given[at + each] !== ((mixed[each >> 2]! >>> ((each & 3) << 3)) & 0xff)) return false
  return true
}

/** The first `length` bytes of the digest into `out` at `at`. */
function putDigest(out: Uint8Array, at: number, length: number, parts: readonly Uint8Array[], seed: number) {
  mix(parts, seed)
  putMixed(out, at, length)
}

/** Are the bytes of `given` from `at` on the first of the digest? */
function isDigest(given: Uint8Array, at: number, length: number, parts: readonly Uint8Array[], seed: number) {
  mix(parts, seed)
  return isMixed(given, at, length)
}

/** 32 bytes. */
export function digest(bytes: Uint8Array, seed = 0): Uint8Array {
  const out = new Uint8Array(DIGEST_BYTES)
  putDigest(out, 0, DIGEST_BYTES, [bytes], seed)
  return out
}

const DIGEST_BYTES = 32
const SIGNATURE_BYTES = 64
const TAG_BYTES = 16

/** The public half of a key: whoever sees it could sign, and nobody in this world tries. */
export const publicKeyOf = (secretKey: Uint8Array): Uint8Array => digest(secretKey, 1)

function signature(publicKey: Uint8Array, message: Uint8Array): Uint8Array {
  const out = new Uint8Array(SIGNATURE_BYTES)
  putDigest(out, 0, DIGEST_BYTES, [publicKey, message], 2)
  return out
}

function isSignature(given: Uint8Array, publicKey: Uint8Array, message: Uint8Array): boolean {
  if (given.length !== SIGNATURE_BYTES) return false
  for (let at = DIGEST_BYTES; at < SIGNATURE_BYTES; at++) if (given[at] !== 0) return false
  return isDigest(given, 0, DIGEST_BYTES, [publicKey, message], 2)
}

export const nodeNatives: Natives = {
  sha256: (bytes) => digest(bytes),
  sign: (secretKey, message) => signature(publicKeyOf(secretKey), message),
  verify: (publicKey, message, given) => isSignature(given, publicKey, message),
  seal(key, nonce, plaintext, aad, room = 0) {
    const end = room + plaintext.length
    const sealed = new Uint8Array(end + TAG_BYTES)
    sealed.set(plaintext, room)
    mixTag(key, nonce, plaintext, plaintext.length, aad)
    putMixed(sealed, end, TAG_BYTES)
    return sealed
  },
  open(key, nonce, sealed, aad) {
    const length = sealed.length - TAG_BYTES
    if (length < 0) return undefined
    mixTag(key, nonce, sealed, length, aad)
    return isMixed(sealed, length, TAG_BYTES) ? sealed.subarray(0, length) : undefined
  },
  // Never shorter: payloads stay as they are.
  deflate(bytes) {
    const longer = new Uint8Array(bytes.length + 1)
    longer.set(bytes)
    return longer
  },
  inflate: () => undefined,
}
