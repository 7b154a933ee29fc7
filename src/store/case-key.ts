/**
 * The key of a case in stores and transfers: a MAC of its id under the practice's index key. The same on
 * every device, so that a transfer's cursor means the same everywhere; ids may be names, so it is keyed.
 */
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { utf8 } from '../protocol/bytes.js'
import { CASE_KEY_BYTES } from '../protocol/limits.js'

export function caseKeyOf(indexKey: Uint8Array, caseId: string): Uint8Array {
  return hmac(sha256, indexKey, utf8(caseId)).slice(0, CASE_KEY_BYTES)
}
