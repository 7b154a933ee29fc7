/**
 * Transfers of whole states, resumable from any peer.
 *
 *  [T1] a stored (target, cursor) means: for every case ≤ cursor I hold everything ≤ target;
 *  [T2] resuming takes the per-log minimum of both targets, and a log that can't be confirmed drops out;
 *  [T3] at the end the frontier becomes the per-log maximum of my own and the target;
 *  [T4] my own current log is never advanced by a transfer.
 */
import { equalBytes } from './bytes.js'
import type { LogId } from './log.js'

/** One log of a target: the claim, its proof, and the checks of every change in (from..seq]. */
export interface TargetLog {
  log: LogId
  seq: number
  /** Full head at seq, and the author's signature over it; both empty for a log that was cut there. */
  head: Uint8Array
  signature: Uint8Array
  from: number
  /** 8 bytes per change. */
  checks: Uint8Array
}

/** The check of change `seq`, if this target carries it. */
export function targetCheck(target: TargetLog, seq: number): Uint8Array | undefined {
  if (seq <= target.from || seq > target.seq) return undefined
  const at = (seq - target.from - 1) * 8
  return target.checks.subarray(at, at + 8)
}

/**
 * [T2] What may still be concluded when a transfer that began with `stored` goes on with `offered`.
 * A log that is missing in either, or that neither side's checks can confirm, drops out.
 */
export function resumedTarget(stored: TargetLog[], offered: TargetLog[]): TargetLog[] {
  const byLog = new Map(offered.map((log) => [log.log, log]))
  const out: TargetLog[] = []
  for (const old of stored) {
    const now = byLog.get(old.log)
    if (!now) continue
    const [low, high] = old.seq <= now.seq ? [old, now] : [now, old]
    const lowCheck = targetCheck(low, low.seq)
    const confirmed = low.seq === high.seq ? targetCheck(high, high.seq) : targetCheck(high, low.seq)
    if (lowCheck && confirmed && equalBytes(lowCheck, confirmed)) out.push(low)
  }
  return out
}
