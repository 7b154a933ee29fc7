/**
 * Jottings: letters typed while no other device and no relay is connected. Nobody waits for them as changes, so each
 * is only written down in a notepad, and a moment later all of them become one change: one head, one signature, one
 * batch. Then the notepad is cleared. What a killed process has left there is taken up at the next start; what became
 * a change already is then taken in once more, which Yjs passes over. So it is in a copy of the folder, too: its own
 * log begins with the same letters under the same client and clocks.
 *
 *  [S5] a jotting is in the notepad before its edit is confirmed, and until its change is written;
 *  [S6] whoever connects is told of what holds all that was jotted down before, and nothing of theirs is taken in
 *       before that; until then no other device counts as holding the case.
 */
import * as Y from 'yjs'
import { inspectUpdate } from '../cases/inspect.js'
import { readU32, u32, utf8 } from '../protocol/bytes.js'
import { advance, type Clocks, fits } from '../protocol/content.js'
import { MAX_CASE_BYTES } from '../protocol/limits.js'
import { KIND_UPDATE } from '../protocol/log.js'
import { isPlainRow } from './case-row.js'
import { isDamage } from './case-table.js'
import { JottingRow } from './records.gen.js'
import type { Replica } from './replica.js'
import type { LocalChange } from './replica-types.js'
import { WriteFailedError } from './sealed-db.js'

/**
 * Bytes behind each other that outlive the process, not a power cut. Handed in by whoever has such a thing, and used
 * synchronously: for some letters nothing is cheaper. All functions throw what the system says.
 */
export interface Notepad {
  append(bytes: Uint8Array): void
  /** All that was appended since it was last cleared; after a power cut maybe less, or garbage behind it. */
  read(): Uint8Array
  clear(): void
}

/** So many wait at most: Yjs merges that many in a millisecond, and many more in far longer. */
const MAX_JOTTINGS = 200
/** A letter, or a pasted sentence; what is longer is worth a change of its own. */
const MAX_JOTTING_BYTES = 1024
/** A case that might become full before they are changes takes none: what is confirmed must not be refused later. */
const ROOMY_BYTES = MAX_CASE_BYTES - 2 * MAX_JOTTINGS * MAX_JOTTING_BYTES

const LABEL = utf8('kartoteka/1 jotting')
const LENGTH_BYTES = 4

export class Jottings {
  private held = 0
  private isBroken = false

  constructor(private readonly replica: Replica) {}

  get isFull(): boolean {
    return this.held >= MAX_JOTTINGS
  }

  /** Writes down an edit of this case, in which only letters change. False if it must become a change at once. */
  take(caseId: string, key: Uint8Array, update: Uint8Array): boolean {
    const { notepad } = this.replica.options
    if (!notepad || this.isBroken || this.isFull || !mayJot(this.replica, key, update)) return false
    const sealed = this.replica.db.sealed(LABEL, JottingRow.encode({ caseId, update }).finish(), LENGTH_BYTES)
    sealed.set(u32(sealed.length - LENGTH_BYTES))
    try {
      notepad.append(sealed)
    } catch {
      // The store will say what is wrong with the disk, if anything is.
      this.isBroken = true
      return false
    }
    this.held++
    return true
  }

  /** All of them have become changes, which are written. */
  clear(): void {
    if (this.held === 0) return
    this.held = 0
    try {
      this.replica.options.notepad?.clear()
    } catch {
      this.isBroken = true
    }
  }
}

function mayJot(replica: Replica, key: Uint8Array, update: Uint8Array): boolean {
  if (!replica.isMarked || replica.mustLeaveLog || replica.db.failed) return false
  // What the last start left there may still be read by a later one.
  if (replica.lostJottings) return false
  if (update.length > MAX_JOTTING_BYTES || isAwaited(replica)) return false
  const state = replica.cases.recentState(key)
  if (!state || state.unchecked || state.rowUnproven || !isPlainRow(state.row)) return false
  return state.parts.reduce((sum, part) => sum + part.bytes, 0) < ROOMY_BYTES
}

function isAwaited({ options }: Replica): boolean {
  return options.hasOthers() && (options.isAwaited?.() ?? true)
}

/**
 * What a start finds in the notepad, as after an unclean stop, becomes changes, durably. False if some of it can't be
 * read: its bytes have rotted, or a power cut left them so, or the disk fails; or if its case can't, which others may
 * bring back. A disk that refuses, and such a case, leave all of it for the next start.
 */
export async function takeUpJottings(replica: Replica): Promise<boolean> {
  const { notepad } = replica.options
  let bytes: Uint8Array | undefined
  try {
    bytes = notepad?.read()
  } catch {
    return false
  }
  if (!notepad || !bytes?.length) return true
  const { rows, isWhole } = readRows(replica, bytes)
  const { changes, mayHeal } = await changesOf(replica, rows)
  try {
    if (changes.length > 0) await replica.append(changes)
    await replica.flush()
    if (!mayHeal) notepad.clear()
  } catch (error) {
    if (!(error instanceof WriteFailedError)) throw error
    for (const { caseId, update } of changes) replica.docs.keepUnwritten(caseId, update)
  }
  return isWhole && !mayHeal
}

/** The rows of a notepad, up to the first that can't be read. Zeros are room that a power cut left unfilled. */
function readRows(replica: Replica, bytes: Uint8Array): { rows: JottingRow[]; isWhole: boolean } {
  const rows: JottingRow[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = at + LENGTH_BYTES <= bytes.length ? readU32(bytes, at) : 0
    const sealed = bytes.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + length)
    const row = sealed.length === length ? replica.db.opened(LABEL, sealed) : undefined
    if (!row) return { rows, isWhole: bytes.subarray(at).every((byte) => byte === 0) }
    rows.push(JottingRow.decode(row))
    at += LENGTH_BYTES + length
  }
  return { rows, isWhole: true }
}

/**
 * Neighbours of one case are merged into one change. What doesn't fit builds on what a power cut, or rot, has taken:
 * others may hold that, and it waits for them; on a lone device it is gone with it.
 */
async function changesOf(
  replica: Replica,
  rows: JottingRow[],
): Promise<{ changes: LocalChange[]; mayHeal: boolean }> {
  const groups: { caseId: string; updates: Uint8Array[]; isFitting: boolean }[] = []
  const known = new Map<string, Clocks | undefined>()
  const hasOthers = replica.options.hasOthers()
  let mayHeal = false
  for (const { caseId, update } of rows) {
    if (!known.has(caseId)) known.set(caseId, await clocksOf(replica, caseId))
    const clocks = known.get(caseId)
    const contents = inspectUpdate(update)
    if ('error' in contents) continue
    if (!clocks) {
      mayHeal ||= hasOthers
      continue
    }
    const isFitting = fits(contents, clocks)
    if (isFitting) advance(contents, clocks)
    else if (!hasOthers) continue
    const last = groups.at(-1)
    if (last?.caseId === caseId && last.isFitting && isFitting) last.updates.push(update)
    else groups.push({ caseId, updates: [update], isFitting })
  }
  const changes = groups.map(({ caseId, updates }) => ({
    caseId,
    kind: KIND_UPDATE,
    update: Y.mergeUpdates(updates),
    isConfirmed: true,
  }))
  return { changes, mayHeal }
}

/** How far the case as stored knows each client; undefined if it is damaged. */
async function clocksOf(replica: Replica, caseId: string): Promise<Clocks | undefined> {
  try {
    return new Map((await replica.cases.draft(replica.keyOf(caseId), caseId)).state.clocks)
  } catch (error) {
    if (!isDamage(error)) throw error
    return undefined
  }
}
