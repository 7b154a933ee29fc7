/** The level keys of a relay: one letter, then fixed-width parts, so that every question is one range. */
import { concat, readU64, u48, u64 } from '../../src/protocol/bytes.js'
import { DEVICE_KEY_BYTES, MAIL_ID_BYTES, PRACTICE_ID_BYTES } from '../../src/protocol/mailbox-limits.js'

/** From Node's pool: a deposit makes six, and memory of their own would cost more than what they say. */
function key(letter: string, ...parts: Uint8Array[]): Uint8Array {
  const bytes = Buffer.allocUnsafe(parts.reduce((sum, part) => sum + part.length, 1))
  bytes[0] = letter.charCodeAt(0)
  let at = 1
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

type Bytes = Uint8Array

export const keys = {
  /** The mark that must be in the file beside the database as well. */
  mark: () => key('a'),
  /** How long the relay has run. */
  age: () => key('t'),
  /** A practice: head and current members. */
  practice: (practice: Bytes) => key('p', practice),
  /** Its roster's entries. */
  roster: (practice: Bytes) => key('r', practice),
  /** Its highest sequence. */
  sequence: (practice: Bytes) => key('s', practice),
  /** The relay's age when a member was last here. */
  visit: (practice: Bytes) => key('v', practice),
  collector: (practice: Bytes, device: Bytes) => key('k', practice, device),
  notice: (practice: Bytes, device: Bytes) => key('n', practice, device),
  /** A mail: who deposited it, when, how long it is, and for whom it waits. */
  mail: (practice: Bytes, id: Bytes) => key('m', practice, id),
  /** Its envelope. */
  body: (practice: Bytes, id: Bytes) => key('b', practice, id),
  /** It waits for this recipient. */
  row: (practice: Bytes, recipient: Bytes, sequence: number, id: Bytes) =>
    key('w', practice, recipient, u64(sequence), id),
  /** It expires in this order. */
  expiry: (at: number, practice: Bytes, id: Bytes) => key('e', u48(at), practice, id),
}

export interface Range {
  gte: Uint8Array
  lt: Uint8Array
}

/** Everything that begins with this. */
export function rangeOf(letter: string, ...parts: Uint8Array[]): Range {
  const gte = key(letter, ...parts)
  const lt = Uint8Array.from(gte)
  // No prefix of ours ends with 0xff in all its bytes: the letter is below.
  for (let at = lt.length - 1; at >= 0; at--) {
    if (lt[at]! < 0xff) {
      lt[at]! += 1
      return { gte, lt: lt.slice(0, at + 1) }
    }
  }
  throw new Error('unreachable: letters are below 0xff')
}

/** A recipient's rows behind a sequence. */
export function rowsAfter(practice: Uint8Array, recipient: Uint8Array, after: number): Range {
  const all = rangeOf('w', practice, recipient)
  return after >= Number.MAX_SAFE_INTEGER
    ? { gte: all.lt, lt: all.lt }
    : { gte: key('w', practice, recipient, u64(after + 1)), lt: all.lt }
}

/** At which age the mail of an expiry row was deposited. */
export const ageIn = (bytes: Uint8Array): number =>
  readU64(concat([new Uint8Array(2), copy(bytes, 1, 6)])) ?? 0

/** What was deposited before an age. */
export function expiryBefore(at: number): Range {
  return { gte: key('e'), lt: key('e', u48(Math.max(0, at))) }
}

/** Of a plain Uint8Array: what a database gives may be a Buffer, whose slices are views. */
const copy = (bytes: Uint8Array, from: number, length: number) =>
  new Uint8Array(bytes.subarray(from, from + length))

/** The practice at the beginning of the keys that have one there. */
export const practiceIn = (bytes: Uint8Array): Uint8Array => copy(bytes, 1, PRACTICE_ID_BYTES)

const BEHIND_PRACTICE = 1 + PRACTICE_ID_BYTES

/** The device behind the practice. */
export const deviceIn = (bytes: Uint8Array): Uint8Array => copy(bytes, BEHIND_PRACTICE, DEVICE_KEY_BYTES)

/** The id behind the practice. */
export const mailIn = (bytes: Uint8Array): Uint8Array => copy(bytes, BEHIND_PRACTICE, MAIL_ID_BYTES)

export interface RowKey {
  recipient: Uint8Array
  sequence: number
  id: Uint8Array
}

export function rowIn(bytes: Uint8Array): RowKey {
  const from = BEHIND_PRACTICE + DEVICE_KEY_BYTES
  return {
    recipient: copy(bytes, BEHIND_PRACTICE, DEVICE_KEY_BYTES),
    sequence: readU64(bytes, from) ?? 0,
    id: copy(bytes, from + 8, MAIL_ID_BYTES),
  }
}

/** Practice and id of an expiry row. */
export function expiringIn(bytes: Uint8Array): { practice: Uint8Array; id: Uint8Array } {
  const behind = 1 + 6 + PRACTICE_ID_BYTES
  return { practice: copy(bytes, 1 + 6, PRACTICE_ID_BYTES), id: copy(bytes, behind, MAIL_ID_BYTES) }
}
