/**
 * Payload coding: one byte says how the bytes behind it are stored. A payload is compressed once, by its
 * author, and is stored, hashed and sent in that form everywhere.
 */
import { COMPRESS_FROM_BYTES, MAX_PAYLOAD_BYTES } from './limits.js'
import type { Natives } from './natives.js'

const RAW = 0
const DEFLATE = 1

/** Raw bytes → coded payload. Chooses the shorter form. */
export function encodePayload(natives: Natives, bytes: Uint8Array): Uint8Array {
  if (bytes.length >= COMPRESS_FROM_BYTES) {
    const deflated = natives.deflate(bytes)
    if (deflated.length < bytes.length) return coded(DEFLATE, deflated)
  }
  return coded(RAW, bytes)
}

/** Coded payload → raw bytes, or undefined if it is malformed or would exceed `limitBytes`. Never throws. */
export function decodePayload(
  natives: Natives,
  payload: Uint8Array,
  limitBytes: number,
): Uint8Array | undefined {
  if (payload.length > MAX_PAYLOAD_BYTES) return undefined
  const body = payload.subarray(1)
  switch (payload[0]) {
    case RAW:
      return body.length <= limitBytes ? body : undefined
    case DEFLATE:
      return natives.inflate(body, limitBytes)
    default:
      return undefined
  }
}

function coded(code: number, bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length + 1)
  out[0] = code
  out.set(bytes, 1)
  return out
}
