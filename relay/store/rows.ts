/** The values of a relay's rows. Each ends with a checksum over key and value: LevelDB alone misses flipped bits. */
import { concat, equalBytes, Reader, readU64, u48, u64, Writer } from '../../src/protocol/bytes.js'
import {
  DEVICE_KEY_BYTES,
  MAX_CHAIN_BYTES,
  MAX_ENVELOPE_BYTES,
  MAX_RECIPIENTS,
} from '../../src/protocol/mailbox-limits.js'
import type { Natives } from '../../src/protocol/natives.js'
import { MAX_ROSTER_ENTRIES } from '../../src/protocol/roster.js'
import { HASH_BYTES, MAX_ENTRY_BYTES, MAX_MEMBERS } from '../../src/protocol/roster-format.js'

/** Against accidents, not against people: one in 2^64 passes. */
const CHECKSUM_BYTES = 8

/** Value ‖ checksum; hashed and returned from one piece of memory. */
export function withChecksum(natives: Natives, key: Uint8Array, value: Uint8Array): Uint8Array {
  const end = key.length + value.length
  const bytes = Buffer.allocUnsafe(end + CHECKSUM_BYTES)
  bytes.set(key)
  bytes.set(value, key.length)
  bytes.set(natives.sha256(bytes.subarray(0, end)).subarray(0, CHECKSUM_BYTES), end)
  return bytes.subarray(key.length)
}

/** undefined for a value that is not what was written under this key. */
export function checked(natives: Natives, key: Uint8Array, stored: Uint8Array): Uint8Array | undefined {
  const length = stored.length - CHECKSUM_BYTES
  if (length < 0) return undefined
  // Never a Buffer, whose slices are views.
  const value = new Uint8Array(stored.buffer, stored.byteOffset, length)
  const checksum = natives.sha256(concat([key, value])).subarray(0, CHECKSUM_BYTES)
  return equalBytes(checksum, stored.subarray(length)) ? value : undefined
}

export interface PracticeRow {
  head: Uint8Array
  members: Uint8Array[]
}

export function encodePractice({ head, members }: { head: Uint8Array; members: readonly Uint8Array[] }) {
  const writer = new Writer().fixed(head).u8(members.length)
  for (const member of members) writer.fixed(member)
  return writer.finish()
}

export function decodePractice(value: Uint8Array): PracticeRow | undefined {
  const reader = new Reader(value)
  const head = reader.fixed(HASH_BYTES)
  const count = reader.u8()
  if (count > MAX_MEMBERS) return undefined
  const members = Array.from({ length: count }, () => reader.fixed(DEVICE_KEY_BYTES))
  return reader.complete() ? { head, members } : undefined
}

export function encodeRoster(entries: readonly Uint8Array[]): Uint8Array {
  const writer = new Writer().u16(entries.length)
  for (const entry of entries) writer.long(entry)
  return writer.finish()
}

export function decodeRoster(value: Uint8Array): Uint8Array[] | undefined {
  if (value.length > 2 * MAX_CHAIN_BYTES) return undefined
  const reader = new Reader(value)
  const count = reader.u16()
  if (count > MAX_ROSTER_ENTRIES) return undefined
  const entries = Array.from({ length: count }, () => reader.long(MAX_ENTRY_BYTES))
  return reader.complete() ? entries : undefined
}

/** For whom a mail waits, and at which place. */
export interface Pending {
  recipient: Uint8Array
  sequence: number
}

export interface MailRow {
  depositor: Uint8Array
  /** The relay's age when it came. */
  at: number
  /** Of the envelope. */
  bytes: number
  /** At least one. */
  pending: Pending[]
}

export function encodeMail({ depositor, at, bytes, pending }: MailRow): Uint8Array {
  const writer = new Writer().fixed(depositor).fixed(u48(at)).u32(bytes).u8(pending.length)
  for (const { recipient, sequence } of pending) writer.fixed(recipient).fixed(u64(sequence))
  return writer.finish()
}

export function decodeMail(value: Uint8Array): MailRow | undefined {
  const reader = new Reader(value)
  const depositor = reader.fixed(DEVICE_KEY_BYTES)
  const at = integer(reader, 6)
  const bytes = reader.u32()
  const count = reader.u8()
  if (count > MAX_RECIPIENTS || bytes > MAX_ENVELOPE_BYTES) return undefined
  const pending = Array.from({ length: count }, () => ({
    recipient: reader.fixed(DEVICE_KEY_BYTES),
    sequence: integer(reader, 8),
  }))
  return reader.complete() ? { depositor, at, bytes, pending } : undefined
}

export interface WaitingRow {
  at: number
  bytes: number
}

export const encodeWaiting = ({ at, bytes }: WaitingRow): Uint8Array =>
  new Writer().fixed(u48(at)).u32(bytes).finish()

export function decodeWaiting(value: Uint8Array): WaitingRow | undefined {
  const reader = new Reader(value)
  const row = { at: integer(reader, 6), bytes: reader.u32() }
  return reader.complete() ? row : undefined
}

export const encodeSequence = (sequence: number): Uint8Array => u64(sequence)

export const decodeSequence = (value: Uint8Array): number | undefined =>
  value.length === 8 ? readU64(value) : undefined

/** Of a relay, in whole milliseconds. */
export const encodeAge = (age: number): Uint8Array => u64(age)

export const decodeAge = (value: Uint8Array): number | undefined =>
  value.length === 8 ? readU64(value) : undefined

function integer(reader: Reader, width: 6 | 8): number {
  const bytes = reader.fixed(width)
  if (bytes.length < width) return 0
  const value = readU64(width === 8 ? bytes : concat([new Uint8Array(2), bytes]))
  if (value === undefined) reader.fail()
  return value ?? 0
}
