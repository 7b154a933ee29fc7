/** HKDF-SHA-256, RFC 5869, and HMAC-SHA-256, over noble. Labels come from labels.ts. */
import { hkdf as nobleHkdf } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'

/** The longest output of HKDF-SHA-256: 255 blocks. */
export const HKDF_MAX_BYTES = 255 * 32

/** `info` begins with a label. Throws beyond HKDF_MAX_BYTES. */
export function hkdf(
  inputKey: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
  lengthBytes: number,
): Uint8Array {
  return nobleHkdf(sha256, inputKey, salt, info, lengthBytes)
}

export function hmacSha256(key: Uint8Array, message: Uint8Array): Uint8Array {
  return hmac(sha256, key, message)
}
