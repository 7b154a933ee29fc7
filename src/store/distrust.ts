/**
 * A store in which rows may be missing, because files under it have rotted: what it claims can't be told from what it
 * has lost.
 *
 *  [H4] after doubtful damage nothing is claimed any more: what can be read stays as content beyond the frontier
 *
 * So others give everything again, and what only this device has is restated.
 *
 * It works on rows, before a replica opens them. Without other devices the claims stay: nobody could give anything
 * again, and nobody's claims could be contradicted.
 */
import { concat, readU32, toHex } from '../protocol/bytes.js'
import { CASE_KEY_BYTES, MAX_CHANGE_BYTES, MAX_STATE_BYTES } from '../protocol/limits.js'
import { checkOf, KIND_STATE, KIND_TOMBSTONE, logIdBytes, openingHead } from '../protocol/log.js'
import type { Natives } from '../protocol/natives.js'
import { decodePayload } from '../protocol/payload.js'
import { toldWrites } from './asked.js'
import { UNKNOWN_LOG } from './case-content.js'
import { type RowCounts, rowCounts } from './case-row.js'
import { decodeCase } from './case-state.js'
import { isDamage } from './case-table.js'
import { caseOfTold, keys, rangeOf } from './keyspace.js'
import { ChangeRow, DoubtRow, LogRow, MetaRow } from './records.gen.js'
import type { LocalChange, Replica } from './replica.js'
import type { SealedDb, Write } from './sealed-db.js'

const EMPTY = new Uint8Array(0)
const EVERYTHING = { gte: EMPTY, lt: Uint8Array.of(0xff) }
const RETAINED = { gte: Uint8Array.of(0x6c), lt: Uint8Array.of(0x6d) }
/** Of claims: checks, transfers and their targets, sets by mail, whom of a damaged case was asked. */
const OF_CLAIMS = 'hxuya'
const WRITES_AT_ONCE = 500

/** What reading every row showed. */
export interface Sifted {
  /** Rows that didn't open, and are gone now. A key that has rotted is no key of ours. */
  unreadable: number
  /** Cases of which something is missing. */
  brokenCases: number
  /** Retained changes of such cases: this device may be the only one that has them. */
  again: LocalChange[]
}

/** False if there are rows and none opens: then the key is wrong, not the rows. */
export async function opensAnything(db: SealedDb): Promise<boolean> {
  let isEmpty = true
  const rows = db.rows(EVERYTHING, () => {
    isEmpty = false
  })
  for await (const _ of rows) return true
  return isEmpty
}

/** [H4] Puts the rows in order. May be repeated. */
export async function distrust(
  db: SealedDb,
  natives: Natives,
  version: number,
  hasOthers: boolean,
): Promise<Sifted> {
  const gone: Uint8Array[] = []
  for await (const _ of db.rows(EVERYTHING, (key) => gone.push(Uint8Array.from(key))));
  const unreadable = gone.length
  const cases = await lookAtCases(db)
  gone.push(...cases.orphans)
  // A row that doesn't open stands for one that is gone: until somebody tells which case it is, it can't be opened.
  await db.writeUnreadable(cases.rowless.map(keys.case))
  // What others were told they will go on remembering: that it was said is no claim. Nothing stands in these rows.
  const told = (await db.keysIn(allOf('a'))).flatMap((row) => caseOfTold(row) ?? [])
  if (hasOthers) {
    for (const letter of OF_CLAIMS)
      gone.push(...(await db.keysIn(allOf(letter))).map((key) => Uint8Array.from(key)))
    for await (const { value } of db.rows(rangeOf('f'), () => {}))
      await db.write(unclaimed(natives, LogRow.decode(value)))
  }
  // Which cases were damaged is of use until what is retained of them was said again, however often this begins anew.
  const kept = new Set([keys.damaged(), ...cases.rowless.map(keys.case), ...told.map(keys.told)].map(toHex))
  await drop(
    db,
    gone.filter((key) => !kept.has(toHex(key))),
  )
  const stored = await db.get(keys.meta())
  const meta: MetaRow = {
    ...(stored ? MetaRow.decode(stored) : { ...MetaRow.decode(EMPTY), version }),
    ...cases.counts,
    // The next append opens a new log.
    running: true,
    unclaimed: true,
  }
  await db.write([
    { key: keys.meta(), value: MetaRow.encode(meta).finish() },
    { key: keys.damaged(), value: cases.broken.length > 0 ? concat(cases.broken) : undefined },
    ...toldWrites(told),
  ])
  const again = hasOthers ? await changesOf(db, natives, cases.whole) : []
  await db.flush()
  return { unreadable, brokenCases: cases.broken.length, again }
}

/** What may be held by nobody else goes on in my new log; then no change is left of the logs that are doubted. */
export async function sayAgain(replica: Replica, { again }: Sifted): Promise<void> {
  await goOnWithRest(replica, new Set(again.map(({ caseId }) => caseId)))
  for (const change of again) {
    const outcome = await replica.append([change])
    // It was taken before, as it is. Were it refused, what follows would drop the last of it.
    if (!outcome.ok) throw new Error('a change that is said again was refused')
  }
  await replica.flush()
  const mine = replica.currentLog
  const old = await replica.db.keysIn(allOf('l'))
  const logOf = (key: Uint8Array) => toHex(key.subarray(1, key.length - 4))
  const isHeld = (key: Uint8Array) =>
    logOf(key) === mine && readU32(key, key.length - 4) <= (replica.logs.get(mine)?.seq ?? 0)
  await drop(
    replica.db,
    old.filter((key) => !isHeld(key)).map((key) => Uint8Array.from(key)),
  )
  await replica.flush()
}

/** Cases that can't be read take changes once what can be read of them stands by itself. */
function goOnWithRest(replica: Replica, caseIds: Iterable<string>): Promise<void> {
  return replica.exclusive(async () => {
    for (const caseId of caseIds) {
      const key = replica.keyOf(caseId)
      const draft = await replica.cases.receivingDraft(key, caseId)
      if (replica.damaged.has(toHex(key))) await replica.commitCases([draft], [], replica.meta)
    }
  })
}

/** All keys of one kind, none that follows it. */
function allOf(letter: string): { gte: Uint8Array; lte: Uint8Array } {
  const code = letter.charCodeAt(0)
  return { gte: Uint8Array.of(code), lte: Uint8Array.of(code, ...new Uint8Array(64).fill(0xff)) }
}

async function drop(db: SealedDb, gone: Uint8Array[]): Promise<void> {
  for (let at = 0; at < gone.length; at += WRITES_AT_ONCE) {
    await db.write(gone.slice(at, at + WRITES_AT_ONCE).map((key) => ({ key, value: undefined })))
  }
}

/** Nothing of the log is held; that content was taken on this claim is a doubt until the frontier confirms it. */
function unclaimed(natives: Natives, row: LogRow): Write[] {
  const opening = { device: row.device, random: row.random, predecessor: row.predecessor }
  const head = openingHead(natives, opening)
  const log = logIdBytes(natives, row)
  const isCut = row.cutSeq !== undefined
  const lowered: LogRow = {
    ...row,
    seq: 0,
    head,
    check: isCut ? row.cutCheck : checkOf(head),
    signature: EMPTY,
    retainedFrom: 0,
  }
  const writes: Write[] = [{ key: keys.log(toHex(log)), value: LogRow.encode(lowered).finish() }]
  if (row.seq > 0) {
    const doubt: DoubtRow = { log, base: 0, seq: row.seq, check: row.check }
    writes.push({ key: keys.doubt(toHex(log), row.check), value: DoubtRow.encode(doubt).finish() })
  }
  return writes
}

interface Cases {
  /** Ids of cases that have all their parts, and were not known to lack anything. */
  whole: Set<string>
  /** Keys of those that don't or were known to, those without a row included. */
  broken: Uint8Array[]
  /** Keys of those whose parts are all that is left: they stay, for who knows which case that is. */
  rowless: Uint8Array[]
  /** Parts that their case doesn't count on any more. */
  orphans: Uint8Array[]
  counts: RowCounts
}

/** Which cases were damaged before; undefined where that can't be read: any may have been. */
async function markedBefore(db: SealedDb): Promise<Set<string> | undefined> {
  try {
    const stored = (await db.get(keys.damaged())) ?? EMPTY
    const marked = new Set<string>()
    for (let at = 0; at < stored.length; at += CASE_KEY_BYTES)
      marked.add(toHex(stored.subarray(at, at + CASE_KEY_BYTES)))
    return marked
  } catch (error) {
    if (!isDamage(error)) throw error
    return undefined
  }
}

async function lookAtCases(db: SealedDb): Promise<Cases> {
  const marked = await markedBefore(db)
  const parts = new Map<string, Uint8Array>()
  for await (const { key } of db.rows({ gte: Uint8Array.of(0x70), lt: Uint8Array.of(0x71) }, () => {}))
    parts.set(toHex(key), Uint8Array.from(key))
  const found: Cases = {
    whole: new Set(),
    broken: [],
    rowless: [],
    orphans: [],
    counts: { total: 0, archived: 0, deleted: 0 },
  }
  const rows = new Set<string>()
  for await (const { key, value } of db.rows(rangeOf('c'), () => {})) {
    rows.add(toHex(key.subarray(1)))
    const state = decodeCase(key.slice(1, 1 + CASE_KEY_BYTES), value)
    rowCounts(found.counts, state.row, 1)
    // All of them are taken out of the map, whichever is missing.
    const there = state.parts.filter(({ number }) => parts.delete(toHex(keys.part(state.key, number))))
    // Of one that was damaged before, some of what is retained may be in none of its parts; what was put together of one
    // whose row was lost shows that by itself, where its mark is gone.
    if (there.length < state.parts.length || marked?.has(toHex(state.key))) found.broken.push(state.key)
    else if (marked && !state.touched.has(UNKNOWN_LOG)) found.whole.add(state.caseId)
  }
  const rowless = new Map<string, Uint8Array>()
  for (const part of parts.values()) {
    const key = part.slice(1, 1 + CASE_KEY_BYTES)
    if (rows.has(toHex(key))) found.orphans.push(part)
    else rowless.set(toHex(key), key)
  }
  found.rowless.push(...rowless.values())
  found.broken.push(...found.rowless)
  // As one whose row can't be read any more counts until it comes back.
  found.counts.total += found.rowless.length
  return found
}

/** Retained changes of cases that aren't whole. */
async function changesOf(db: SealedDb, natives: Natives, whole: Set<string>): Promise<LocalChange[]> {
  const changes: LocalChange[] = []
  for await (const { value } of db.rows(RETAINED, () => {})) {
    const { caseId, kind, payload, generation } = ChangeRow.decode(value)
    if (whole.has(caseId)) continue
    if (kind === KIND_TOMBSTONE) {
      // Whatever stands in it, it erases.
      changes.push({ caseId, kind, update: EMPTY, generation })
      continue
    }
    // Longer than this it is void, and would be refused.
    const update = decodePayload(natives, payload, kind === KIND_STATE ? MAX_STATE_BYTES : MAX_CHANGE_BYTES)
    if (update) changes.push({ caseId, kind, update, payload, generation, isConfirmed: true })
  }
  return changes
}
