/** Stands for src/protocol/hkdf.ts in the abstract simulator. */
import { concat } from '../../../src/protocol/bytes.js'
import { digest } from './natives.js'

export const HKDF_MAX_BYTES = 255 * 32

export function hkdf(
  inputKey: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
  lengthBytes: number,
): Uint8Array {
  return digest(concat([inputKey, salt, info]), 4).slice(0, lengthBytes)
}

export const hmacSha256 = (key: Uint8Array, message: Uint8Array) => digest(concat([key, message]), 5)
