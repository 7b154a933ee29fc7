/**
 * The one door: everything that enters a device, whichever way it came, is judged here.
 *
 *  [A1] a run enters only in order, behind the head I hold, and only up to a signed head;
 *  [A2] a log accepts one device: the one its id certifies, and that must be of the practice;
 *  [A3] a cut log accepts nothing above its cut;
 *  [A4] authentic changes always advance the frontier, whatever their content (void, parked, erased).
 */
import { equalBytes, fromHex } from './bytes.js'
import { MAX_ACCEPTED_RUN_BYTES, MAX_ACCEPTED_RUN_CHANGES, MAX_CASE_ID_UNITS } from './limits.js'
import type { LogChange, LogId } from './log.js'
import { checkOf, nextHead, signedHeadBytes } from './log.js'
import type { Natives } from './natives.js'

/** What the store knows of the log that a run belongs to. */
export interface LogTip {
  log: LogId
  device: Uint8Array
  seq: number
  /** Full head at seq; empty once the log was cut: nothing may follow then. */
  head: Uint8Array
  cut: { seq: number; check: Uint8Array } | undefined
}

/** A contiguous range (from..from+changes.length] of one log. */
export interface ChangeRun {
  log: LogId
  from: number
  changes: LogChange[]
  /** The author's signature over the last head; may be empty only where the run ends at the log's cut. */
  signature: Uint8Array
}

export type RunVerdict =
  | { kind: 'accept'; heads: Uint8Array[] }
  | { kind: 'known' }
  | { kind: 'gap'; from: number }
  | { kind: 'fork' }
  | { kind: 'refused'; reason: string }

/** Judges a run against the log as held now. Pure; the caller has checked membership [A2]. */
export function judgeRun(natives: Natives, practice: Uint8Array, tip: LogTip, run: ChangeRun): RunVerdict {
  if (run.changes.length === 0) return { kind: 'known' }
  const bytes = run.changes.reduce((sum, { payload }) => sum + payload.length, 0)
  if (run.changes.length > MAX_ACCEPTED_RUN_CHANGES || bytes > MAX_ACCEPTED_RUN_BYTES)
    return { kind: 'refused', reason: 'run too long' }
  const to = run.from + run.changes.length
  if (to <= tip.seq) return { kind: 'known' }
  if (tip.cut && tip.seq >= tip.cut.seq) return { kind: 'known' } // [A3]
  if (run.from !== tip.seq) return { kind: 'gap', from: tip.seq } // [A1]
  const limit = tip.cut ? Math.min(to, tip.cut.seq) : to // [A3]
  const heads: Uint8Array[] = []
  let head = tip.head
  for (const change of run.changes) {
    if (!isWellFormed(change)) return { kind: 'refused', reason: 'malformed change' }
    head = nextHead(natives, head, run.from + heads.length + 1, change)
    heads.push(head)
  }
  if (tip.cut && limit === tip.cut.seq && to >= tip.cut.seq) {
    const atCut = heads[tip.cut.seq - run.from - 1]
    if (!atCut || !equalBytes(checkOf(atCut), tip.cut.check)) return { kind: 'fork' }
    return { kind: 'accept', heads: heads.slice(0, tip.cut.seq - run.from) }
  }
  // A chain that leaves the one I hold gives another head, so a wrong branch fails here too.
  const signed = signedHeadBytes(practice, fromHex(run.log), to, head)
  if (!natives.verify(tip.device, signed, run.signature)) return { kind: 'refused', reason: 'bad signature' }
  return { kind: 'accept', heads }
}

/** Context-free shape of a change that may be hashed at all; anything else can't have come from us. */
function isWellFormed(change: LogChange): boolean {
  return (
    change.caseId.length > 0 &&
    change.caseId.length <= MAX_CASE_ID_UNITS &&
    Number.isSafeInteger(change.at) &&
    change.at >= 0 &&
    change.kind > 0 &&
    change.kind < 256
  )
}
