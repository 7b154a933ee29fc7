/**
 * HPKE, RFC 9180, base mode, one message: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305.
 * The ephemeral secret is handed in and must be fresh for every message. And X25519 itself, RFC 7748.
 */
import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { expand, extract } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { concat, EMPTY, equalBytes, fromHex, isZero, u8, u16, utf8 } from './bytes.js'

export const X_KEY_BYTES = 32
/** Encapsulated key before, tag behind the ciphertext. */
export const HPKE_OVERHEAD_BYTES = 32 + 16

const KEM_ID = 0x0020
const KDF_ID = 0x0001
const AEAD_ID = 0x0003
const MODE_BASE = 0
const VERSION = utf8('HPKE-v1')
const KEM_SUITE = concat([utf8('KEM'), u16(KEM_ID)])
const HPKE_SUITE = concat([utf8('HPKE'), u16(KEM_ID), u16(KDF_ID), u16(AEAD_ID)])

/**
 * The u coordinates (little-endian, highest bit cleared) of small order, of the curve and of its twist: 0, 1, two of
 * order 8, p − 1, and those that are reduced to 0 and 1.
 */
const SMALL_ORDER_U = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].map(fromHex)

function labeledExtract(
  suite: Uint8Array,
  salt: Uint8Array,
  label: string,
  inputKey: Uint8Array,
): Uint8Array {
  return extract(sha256, concat([VERSION, suite, utf8(label), inputKey]), salt)
}

function labeledExpand(
  suite: Uint8Array,
  key: Uint8Array,
  label: string,
  info: Uint8Array,
  lengthBytes: number,
): Uint8Array {
  const labeled = concat([u16(lengthBytes), VERSION, suite, utf8(label), info])
  return expand(sha256, key, labeled, lengthBytes)
}

/** By the ladder: the library's own way first builds a table, which pays off after a dozen keys. */
export function xPublicKey(secretKey: Uint8Array): Uint8Array {
  return x25519.scalarMult(secretKey, x25519.GuBytes)
}

/** undefined for a public key of small order: the shared secret would be all zeros (RFC 7748 §6.1). */
export function xSharedSecret(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
  if (publicKey.length !== X_KEY_BYTES) return undefined
  try {
    const shared = x25519.getSharedSecret(secretKey, publicKey)
    return isZero(shared) ? undefined : shared
  } catch {
    return undefined
  }
}

/**
 * Whether anything can be sealed to this X25519 key at all: every secret makes zeros of the points of small order, and
 * of no other (RFC 7748 §6.1). To look them up takes a hundredth of what trying a secret does, for each key of a roster.
 */
export function isUsableXKey(publicKey: Uint8Array): boolean {
  if (publicKey.length !== X_KEY_BYTES) return false
  const u = Uint8Array.from(publicKey)
  u[31]! &= 0x7f
  return !SMALL_ORDER_U.some((small) => equalBytes(small, u))
}

/** §4.1, ExtractAndExpand over the Diffie-Hellman result. */
export function kemSharedSecret(
  shared: Uint8Array,
  encapsulated: Uint8Array,
  recipient: Uint8Array,
): Uint8Array {
  const key = labeledExtract(KEM_SUITE, EMPTY, 'eae_prk', shared)
  return labeledExpand(KEM_SUITE, key, 'shared_secret', concat([encapsulated, recipient]), 32)
}

/** §5.1, KeySchedule in base mode. */
export function keySchedule(
  sharedSecret: Uint8Array,
  info: Uint8Array,
): { key: Uint8Array; baseNonce: Uint8Array } {
  const context = concat([
    u8(MODE_BASE),
    labeledExtract(HPKE_SUITE, EMPTY, 'psk_id_hash', EMPTY),
    labeledExtract(HPKE_SUITE, EMPTY, 'info_hash', info),
  ])
  const secret = labeledExtract(HPKE_SUITE, sharedSecret, 'secret', EMPTY)
  return {
    key: labeledExpand(HPKE_SUITE, secret, 'key', context, 32),
    baseNonce: labeledExpand(HPKE_SUITE, secret, 'base_nonce', context, 12),
  }
}

/** Encapsulated key ‖ ciphertext ‖ tag, or undefined where the recipient's key is unusable. */
export function hpkeSeal(message: {
  recipient: Uint8Array
  ephemeralSecret: Uint8Array
  info: Uint8Array
  aad: Uint8Array
  plaintext: Uint8Array
}): Uint8Array | undefined {
  const shared = xSharedSecret(message.ephemeralSecret, message.recipient)
  if (!shared) return undefined
  const encapsulated = xPublicKey(message.ephemeralSecret)
  const schedule = keySchedule(kemSharedSecret(shared, encapsulated, message.recipient), message.info)
  const cipher = chacha20poly1305(schedule.key, schedule.baseNonce, message.aad)
  return concat([encapsulated, cipher.encrypt(message.plaintext)])
}

/**
 * undefined when it wasn't sealed to this key, with this info and associated data.
 *
 * @param message.recipient the public key of `secretKey`: its holder has it anyway, and to work it out takes as long as
 *   the secret that is shared.
 */
export function hpkeOpen(message: {
  recipient: Uint8Array
  secretKey: Uint8Array
  info: Uint8Array
  aad: Uint8Array
  sealed: Uint8Array
}): Uint8Array | undefined {
  const { recipient, secretKey, sealed } = message
  if (sealed.length < HPKE_OVERHEAD_BYTES) return undefined
  const encapsulated = sealed.subarray(0, X_KEY_BYTES)
  const shared = xSharedSecret(secretKey, encapsulated)
  if (!shared) return undefined
  const schedule = keySchedule(kemSharedSecret(shared, encapsulated, recipient), message.info)
  try {
    return chacha20poly1305(schedule.key, schedule.baseNonce, message.aad).decrypt(
      sealed.subarray(X_KEY_BYTES),
    )
  } catch {
    return undefined
  }
}
