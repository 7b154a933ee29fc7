/**
 * Logs: the numbered, hash-chained changes of one device installation.
 *
 * A log id certifies its device (it is a hash of the opening); a head certifies every change before it;
 * the author signs heads, one signature for a run of changes, and the signature travels on every path.
 */
import { concat, toHex, u32, u64, utf8 } from './bytes.js'
import { CHECK_BYTES, LOG_ID_BYTES } from './limits.js'
import type { Natives } from './natives.js'

/** Hex of the 16-byte log id. */
export type LogId = string

/** What names a log: its device, a random value, and the log that this device wrote before. */
export interface LogOpening {
  device: Uint8Array
  random: Uint8Array
  /** 16 bytes, or empty for a device's first log. */
  predecessor: Uint8Array
}

export const KIND_UPDATE = 1
/** A case's whole state, put into one's own log: the healing half of cut and restate. */
export const KIND_STATE = 2
/** Erased for good: everything of this case up to this generation. */
export const KIND_TOMBSTONE = 3

/** One change of one case. `payload` is coded (see payload.ts), `at` milliseconds, for display only. */
export interface LogChange {
  caseId: string
  generation: number
  at: number
  kind: number
  payload: Uint8Array
}

const OPENING_DOMAIN = utf8('kartoteka/1 log opening')
const HEAD_DOMAIN = utf8('kartoteka/1 head')
const SIGNED_DOMAIN = utf8('kartoteka/1 signed head')

/** The head before a log's first change: the hash of its opening. Its first 16 bytes are the log's id. */
export function openingHead(natives: Natives, opening: LogOpening): Uint8Array {
  const { device, random, predecessor } = opening
  return natives.sha256(
    concat([OPENING_DOMAIN, device, random, Uint8Array.of(predecessor.length), predecessor]),
  )
}

/** The id of the log that an opening opens, as bytes. */
export function logIdBytes(natives: Natives, opening: LogOpening): Uint8Array {
  return openingHead(natives, opening).subarray(0, LOG_ID_BYTES)
}

export function logIdOf(natives: Natives, opening: LogOpening): LogId {
  return toHex(logIdBytes(natives, opening))
}

/** head(n) = H(domain ‖ head(n-1) ‖ seq ‖ kind ‖ generation ‖ at ‖ case id ‖ H(payload)). */
export function nextHead(natives: Natives, previous: Uint8Array, seq: number, change: LogChange): Uint8Array {
  const caseId = utf8(change.caseId)
  return natives.sha256(
    concat([
      HEAD_DOMAIN,
      previous,
      u32(seq),
      Uint8Array.of(change.kind),
      u32(change.generation),
      u64(change.at),
      u32(caseId.length),
      caseId,
      natives.sha256(change.payload),
    ]),
  )
}

/** The part of a head that is kept for ever and compared in claims. */
export function checkOf(head: Uint8Array): Uint8Array {
  return head.slice(0, CHECK_BYTES)
}

/** The bytes an author signs: practice, log, sequence and head. */
export function signedHeadBytes(
  practice: Uint8Array,
  log: Uint8Array,
  seq: number,
  head: Uint8Array,
): Uint8Array {
  return concat([SIGNED_DOMAIN, practice, log, u32(seq), head])
}
