/**
 * Transfers of whole states, resumable from any peer.
 *
 *  [T1] a stored (target, cursor) means: for every case ≤ cursor I hold everything ≤ target, or who gave it
 *       could not read it, and it is named beside the cursor;
 *  [T2] resuming takes the per-log minimum of both targets, and a log that can't be confirmed drops out;
 *  [T3] at the end the frontier becomes the per-log maximum of my own and the target, of a cut log up to
 *       its cut, and then what came stays unclaimed;
 *  [T4] my own current log is never advanced by a transfer.
 */
import { equalBytes } from './bytes.js'
import { CHECK_BYTES, CHECKS_PER_STRETCH, MAX_TARGET_CHECKS } from './limits.js'
import type { LogId } from './log.js'

/** One log of a target: the claim and its proof. The checks of every change in (from..seq] follow in stretches. */
export interface TargetLog {
  log: LogId
  seq: number
  /** At seq. */
  check: Uint8Array
  /** Full head at seq, and the author's signature over it; both empty for a log that was cut there. */
  head: Uint8Array
  signature: Uint8Array
  from: number
  /** At `from`; empty where `from` is 0 or its check isn't known. Who holds just so much sees whether it is this branch. */
  fromCheck: Uint8Array
}

/** Where a stretch of checks begins and ends: (from..to]. */
export interface CheckRange {
  log: LogId
  from: number
  to: number
}

/** Checks of the changes behind `from`, 8 bytes each; zeros where unknown. */
export interface CheckStretch {
  log: LogId
  from: number
  checks: Uint8Array
}

/** The stretches of a target's checks in order, gathered so that each message holds at most one stretch's worth. */
export function* stretchesOf(target: TargetLog[]): Generator<CheckRange[]> {
  let message: CheckRange[] = []
  let checks = 0
  for (const { log, from: begin, seq } of target) {
    for (let from = begin; from < seq; from += CHECKS_PER_STRETCH) {
      const to = Math.min(from + CHECKS_PER_STRETCH, seq)
      if (checks + to - from > CHECKS_PER_STRETCH) {
        yield message
        message = []
        checks = 0
      }
      message.push({ log, from, to })
      checks += to - from
    }
  }
  if (message.length > 0) yield message
}

/** Which stretch of its log this is, from 0; undefined if it is none of the target's, or of a wrong length. */
export function stretchNumber(target: TargetLog, { from, checks }: CheckStretch): number | undefined {
  const number = (from - target.from) / CHECKS_PER_STRETCH
  const length = Math.min(CHECKS_PER_STRETCH, target.seq - from)
  return Number.isInteger(number) && number >= 0 && length > 0 && checks.length === length * CHECK_BYTES
    ? number
    : undefined
}

/** Logs that may be in a target together: what would take more room for checks than a practice ever needs is left out. */
export function boundedTarget(target: TargetLog[]): TargetLog[] {
  let checks = 0
  return target.filter(({ from, seq }) => {
    const more = seq > from && checks + seq - from <= MAX_TARGET_CHECKS
    if (more) checks += seq - from
    return more
  })
}

/** Two targets of one log: the lower, and the higher one, whose checks must confirm it. */
export interface Meeting {
  low: TargetLog
  high: TargetLog
  /** The higher one is the stored one. */
  isStoredHigher: boolean
}

/** Where a stored target and an offered one can be held against each other. A log that is missing in either drops out. */
export function meetingsOf(stored: TargetLog[], offered: TargetLog[]): Meeting[] {
  const byLog = new Map(offered.map((log) => [log.log, log]))
  return stored.flatMap((old): Meeting[] => {
    const now = byLog.get(old.log)
    if (!now) return []
    return old.seq <= now.seq
      ? [{ low: old, high: now, isStoredHigher: false }]
      : [{ low: now, high: old, isStoredHigher: true }]
  })
}

/** [T2] Does the higher target's check of the lower one's last change (undefined if unknown) confirm it? */
export function isConfirmed({ low }: Meeting, check: Uint8Array | undefined): boolean {
  const isKnown = check?.some((byte) => byte !== 0) ?? false
  return isKnown && equalBytes(low.check, check!)
}
