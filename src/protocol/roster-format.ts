/**
 * Roster entries as bytes: one canonical encoding, read strictly. What an entry means is decided in
 * roster.ts; what is sealed in it, in epoch-keys.ts.
 *
 *   entry    = unsigned ‖ signature 64
 *   unsigned = version 1 ‖ practice 32 ‖ height 4 ‖ prev 32 ‖ kind 1 ‖ author 32 ‖ body
 *   hash     = SHA-256(label ‖ unsigned); the signature is over label ‖ hash
 *
 * GENESIS has height 0 and zeros for practice and prev: its hash is the practice id.
 */
import { compareBytes, concat, Reader, utf8, Writer } from './bytes.js'
import { ED_KEY_BYTES, ED_SIGNATURE_BYTES } from './ed25519.js'
import { HPKE_OVERHEAD_BYTES, X_KEY_BYTES } from './hpke.js'
import { LABEL_ROSTER_HASH, LABEL_ROSTER_SIGNATURE } from './labels.js'
import { LOG_ID_BYTES } from './limits.js'
import type { Natives } from './natives.js'

export const ROSTER_VERSION = 1
export const HASH_BYTES = 32
export const EPOCH_KEY_BYTES = 32
export const KEY_ID_BYTES = 16
export const HPKE_KEY_BYTES = EPOCH_KEY_BYTES + HPKE_OVERHEAD_BYTES
/** The previous epoch key under the ladder key: used once, so without a nonce of its own. */
export const LADDER_BYTES = EPOCH_KEY_BYTES + 16
const SEED_BYTES = 32

/** One entry: a removal with the parts of 64 devices and 200 cuts stays below. */
export const MAX_ENTRY_BYTES = 64 * 1024
/** Nonce, tag and a padded name. */
export const MAX_SEALED_NAME_BYTES = 512
/** Nonce, tag and padded JSON: device names, relay addresses, keys. */
export const MAX_SEALED_SETTINGS_BYTES = 32 * 1024
/** Devices at one time. */
export const MAX_MEMBERS = 64
/** Logs that one removal closes: a device opens a new one after every start that wasn't clean. */
export const MAX_CUTS = 1024

/** A new epoch key: sealed to everyone who stays, and itself sealing the key before it. */
export interface EpochPart {
  number: number
  keyId: Uint8Array
  /** One for each remaining device, ascending by key. */
  parts: { ed: Uint8Array; sealed: Uint8Array }[]
  /** For the recovery key, exactly where one is registered. */
  recovery?: Uint8Array
  ladder: Uint8Array
}

/** Where a removed device's log ends, for everyone. */
export interface LogCut {
  log: Uint8Array
  seq: number
  head: Uint8Array
}

export type EntryBody =
  | {
      kind: 'genesis'
      /** Random: two practices of one device differ. */
      seed: Uint8Array
      x: Uint8Array
      keyId: Uint8Array
      sealedKey: Uint8Array
      sealedName: Uint8Array
      sealedPracticeName: Uint8Array
    }
  | {
      kind: 'add'
      ed: Uint8Array
      x: Uint8Array
      selfSignature: Uint8Array
      sealedKey: Uint8Array
      sealedName: Uint8Array
    }
  | { kind: 'remove'; ids: Uint8Array[]; cuts: LogCut[]; wipe: boolean; epoch: EpochPart }
  | { kind: 'rotate'; epoch: EpochPart }
  | {
      kind: 'recovery'
      generation: number
      rs: Uint8Array
      rk: Uint8Array
      records: Uint8Array
      epoch: EpochPart
    }
  | { kind: 'settings'; sealed: Uint8Array }

export type EntryKind = EntryBody['kind']

/** An entry without its signature. */
export interface UnsignedEntry {
  practice: Uint8Array
  height: number
  prev: Uint8Array
  author: Uint8Array
  body: EntryBody
}

export interface Entry extends UnsignedEntry {
  signature: Uint8Array
  hash: Uint8Array
}

const KINDS: readonly EntryKind[] = ['genesis', 'add', 'remove', 'rotate', 'recovery', 'settings']

function writeEpoch(writer: Writer, epoch: EpochPart): void {
  writer.u32(epoch.number).fixed(epoch.keyId).u8(epoch.parts.length)
  for (const part of epoch.parts) writer.fixed(part.ed).fixed(part.sealed)
  writer.u8(epoch.recovery ? 1 : 0)
  if (epoch.recovery) writer.fixed(epoch.recovery)
  writer.fixed(epoch.ladder)
}

function writeBody(writer: Writer, body: EntryBody): void {
  switch (body.kind) {
    case 'genesis':
      writer.fixed(body.seed).fixed(body.x).fixed(body.keyId).fixed(body.sealedKey)
      writer.short(body.sealedName).short(body.sealedPracticeName)
      return
    case 'add':
      writer.fixed(body.ed).fixed(body.x).fixed(body.selfSignature).fixed(body.sealedKey)
      writer.short(body.sealedName)
      return
    case 'remove':
      writer.u8(body.ids.length)
      for (const id of body.ids) writer.fixed(id)
      writer.u16(body.cuts.length)
      for (const cut of body.cuts) writer.fixed(cut.log).u32(cut.seq).fixed(cut.head)
      writer.u8(body.wipe ? 1 : 0)
      writeEpoch(writer, body.epoch)
      return
    case 'rotate':
      writeEpoch(writer, body.epoch)
      return
    case 'recovery':
      writer.u32(body.generation).fixed(body.rs).fixed(body.rk).fixed(body.records)
      writeEpoch(writer, body.epoch)
      return
    case 'settings':
      writer.short(body.sealed)
      return
  }
}

export function encodeUnsigned(entry: UnsignedEntry): Uint8Array {
  const writer = new Writer().u8(ROSTER_VERSION).fixed(entry.practice).u32(entry.height).fixed(entry.prev)
  writer.u8(KINDS.indexOf(entry.body.kind)).fixed(entry.author)
  writeBody(writer, entry.body)
  return writer.finish()
}

function readFlag(reader: Reader): boolean {
  const flag = reader.u8()
  if (flag > 1) reader.fail()
  return flag === 1
}

/** Keys must ascend strictly: one order, no doubles. */
function checkAscending(reader: Reader, keys: readonly Uint8Array[]): void {
  for (let i = 1; i < keys.length; i++) if (compareBytes(keys[i - 1]!, keys[i]!) >= 0) reader.fail()
}

function readMany<T>(reader: Reader, count: number, max: number, read: () => T): T[] {
  if (count > max) reader.fail()
  const items: T[] = []
  for (let i = 0; i < count && !reader.failed; i++) items.push(read())
  return items
}

function readEpoch(reader: Reader): EpochPart {
  const number = reader.u32()
  const keyId = reader.fixed(KEY_ID_BYTES)
  const parts = readMany(reader, reader.u8(), MAX_MEMBERS, () => ({
    ed: reader.fixed(ED_KEY_BYTES),
    sealed: reader.fixed(HPKE_KEY_BYTES),
  }))
  checkAscending(
    reader,
    parts.map((part) => part.ed),
  )
  const recovery = readFlag(reader) ? reader.fixed(HPKE_KEY_BYTES) : undefined
  const ladder = reader.fixed(LADDER_BYTES)
  return { number, keyId, parts, ladder, ...(recovery ? { recovery } : {}) }
}

function readBody(reader: Reader, kind: EntryKind): EntryBody {
  switch (kind) {
    case 'genesis':
      return {
        kind,
        seed: reader.fixed(SEED_BYTES),
        x: reader.fixed(X_KEY_BYTES),
        keyId: reader.fixed(KEY_ID_BYTES),
        sealedKey: reader.fixed(HPKE_KEY_BYTES),
        sealedName: reader.short(MAX_SEALED_NAME_BYTES),
        sealedPracticeName: reader.short(MAX_SEALED_NAME_BYTES),
      }
    case 'add':
      return {
        kind,
        ed: reader.fixed(ED_KEY_BYTES),
        x: reader.fixed(X_KEY_BYTES),
        selfSignature: reader.fixed(ED_SIGNATURE_BYTES),
        sealedKey: reader.fixed(HPKE_KEY_BYTES),
        sealedName: reader.short(MAX_SEALED_NAME_BYTES),
      }
    case 'remove': {
      const ids = readMany(reader, reader.u8(), MAX_MEMBERS, () => reader.fixed(ED_KEY_BYTES))
      if (ids.length === 0) reader.fail()
      checkAscending(reader, ids)
      const cuts = readMany(reader, reader.u16(), MAX_CUTS, () => ({
        log: reader.fixed(LOG_ID_BYTES),
        seq: reader.u32(),
        head: reader.fixed(HASH_BYTES),
      }))
      checkAscending(
        reader,
        cuts.map((cut) => cut.log),
      )
      return { kind, ids, cuts, wipe: readFlag(reader), epoch: readEpoch(reader) }
    }
    case 'rotate':
      return { kind, epoch: readEpoch(reader) }
    case 'recovery':
      return {
        kind,
        generation: reader.u32(),
        rs: reader.fixed(ED_KEY_BYTES),
        rk: reader.fixed(X_KEY_BYTES),
        records: reader.fixed(HASH_BYTES),
        epoch: readEpoch(reader),
      }
    case 'settings':
      return { kind, sealed: reader.short(MAX_SEALED_SETTINGS_BYTES) }
  }
}

function hashUnsigned(natives: Natives, unsigned: Uint8Array): Uint8Array {
  return natives.sha256(concat([utf8(LABEL_ROSTER_HASH), unsigned]))
}

/** What the author signs. */
export function signedEntryBytes(hash: Uint8Array): Uint8Array {
  return concat([utf8(LABEL_ROSTER_SIGNATURE), hash])
}

export function signEntry(natives: Natives, entry: UnsignedEntry, secretKey: Uint8Array): Uint8Array {
  const unsigned = encodeUnsigned(entry)
  return concat([unsigned, natives.sign(secretKey, signedEntryBytes(hashUnsigned(natives, unsigned)))])
}

/** undefined for anything but a canonical entry. The signature is not yet verified. */
export function decodeEntry(natives: Natives, bytes: Uint8Array): Entry | undefined {
  if (bytes.length > MAX_ENTRY_BYTES || bytes.length < ED_SIGNATURE_BYTES) return undefined
  const unsigned = bytes.subarray(0, bytes.length - ED_SIGNATURE_BYTES)
  const reader = new Reader(unsigned)
  const version = reader.u8()
  const practice = reader.fixed(HASH_BYTES)
  const height = reader.u32()
  const prev = reader.fixed(HASH_BYTES)
  const kind = KINDS[reader.u8()]
  const author = reader.fixed(ED_KEY_BYTES)
  if (version !== ROSTER_VERSION || kind === undefined || reader.failed) return undefined
  const body = readBody(reader, kind)
  if (!reader.complete()) return undefined
  const signature = new Uint8Array(bytes.subarray(unsigned.length))
  return { practice, height, prev, author, body, signature, hash: hashUnsigned(natives, unsigned) }
}
