/**
 * The one rule by which Ed25519 signatures are judged, on every platform.
 *
 * Implementations disagree on crafted input (cofactor or not, unreduced encodings, small orders; see
 * Chalkias, Garillot, Nikolaenko: "Taming the many EdDSAs", 2020), and a roster entry that counts on one
 * device only would split a practice. So: S < L; A and R canonical and not of small order; and
 * R equals the re-encoded S·B − H(R, A, M)·A, byte for byte, without cofactor. `followsRule` checks
 * what can be seen in the bytes; the equation is left to `Natives.verify`.
 *
 * Keys that enter a roster are checked once more, by `isEnrollableKey`: on the curve and torsion-free.
 */
import { ed25519 } from '@noble/curves/ed25519.js'
import { compareBytes, equalBytes, fromHex } from './bytes.js'

export const ED_KEY_BYTES = 32
export const ED_SIGNATURE_BYTES = 64

/** Big-endian, to be compared with reversed encodings. */
const FIELD_PRIME = fromHex('7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed')
const GROUP_ORDER = fromHex('1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed')

/** The y coordinates (little-endian, sign bit cleared) of the eight points of small order. */
const SMALL_ORDER_Y = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
].map(fromHex)

/** Little-endian bytes below a big-endian bound. */
function isBelow(littleEndian: Uint8Array, bound: Uint8Array): boolean {
  return compareBytes(Uint8Array.from(littleEndian).reverse(), bound) < 0
}

/** y < p and no small order. (x = 0 with the sign bit set is of small order too, and so refused.) */
function isPlainEncoding(point: Uint8Array): boolean {
  const y = Uint8Array.from(point)
  y[31]! &= 0x7f
  return isBelow(y, FIELD_PRIME) && !SMALL_ORDER_Y.some((small) => equalBytes(small, y))
}

/** Everything of the rule but the equation itself. */
export function followsRule(publicKey: Uint8Array, signature: Uint8Array): boolean {
  return (
    publicKey.length === ED_KEY_BYTES &&
    signature.length === ED_SIGNATURE_BYTES &&
    isBelow(signature.subarray(32), GROUP_ORDER) &&
    isPlainEncoding(publicKey) &&
    isPlainEncoding(signature.subarray(0, 32))
  )
}

/** Whether a roster may enrol this Ed25519 key: canonical, on the curve, torsion-free, not the identity. */
export function isEnrollableKey(publicKey: Uint8Array): boolean {
  if (publicKey.length !== ED_KEY_BYTES || !isPlainEncoding(publicKey)) return false
  try {
    return ed25519.Point.fromBytes(publicKey).isTorsionFree()
  } catch {
    return false
  }
}

/** The public key of a 32-byte secret seed. */
export function edPublicKey(secretKey: Uint8Array): Uint8Array {
  return ed25519.getPublicKey(secretKey)
}
