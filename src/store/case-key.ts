/**
 * The key of a case in stores and transfers: a MAC of its id under the practice's index key. The same on
 * every device, so that a transfer's cursor means the same everywhere; ids may be names, so it is keyed.
 */
import { concat, utf8 } from '../protocol/bytes.js'
import { CASE_KEY_BYTES } from '../protocol/limits.js'
import type { Natives } from '../protocol/natives.js'

/** Block length of SHA-256. */
const BLOCK_BYTES = 64
/** Whoever has a case open asks for its key with each letter. */
const RECENT_KEYS = 64

/** A function from case ids to case keys of 16 bytes: HMAC-SHA-256 (RFC 2104), with the key prepared once. */
export function caseKeysOf(
  natives: Pick<Natives, 'sha256'>,
  indexKey: Uint8Array,
): (caseId: string) => Uint8Array {
  const padded = new Uint8Array(BLOCK_BYTES)
  padded.set(indexKey.length > BLOCK_BYTES ? natives.sha256(indexKey) : indexKey)
  const inner = padded.map((byte) => byte ^ 0x36)
  const outer = padded.map((byte) => byte ^ 0x5c)
  const recent = new Map<string, Uint8Array>()
  return (caseId) => {
    const known = recent.get(caseId)
    if (known) return known
    const digest = natives.sha256(concat([inner, utf8(caseId)]))
    const key = natives.sha256(concat([outer, digest])).slice(0, CASE_KEY_BYTES)
    if (recent.size >= RECENT_KEYS) recent.clear()
    recent.set(caseId, key)
    return key
  }
}
