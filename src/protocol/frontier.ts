/**
 * Frontiers and cuts: what a device says it holds.
 *
 * Invariants kept here (PROTOCOL.md, [F…]):
 *  [F1] a claim moves only by verified contiguity or by a completed transfer;
 *  [F3] equal digests mean equal frontiers and equal cuts.
 */
import { compareBytes, concat, equalBytes, fromHex, toHex, u32, utf8 } from './bytes.js'
import type { LogId } from './log.js'
import type { Natives } from './natives.js'

/** "I hold `log` up to `seq`"; `check` is the first 8 bytes of the head there. */
export interface LogClaim {
  log: LogId
  seq: number
  check: Uint8Array
}

/** The same for all claims of one place on one branch. */
export const placeOf = ({ log, check }: LogClaim): string => log + toHex(check)

/** A claim as a log's holder keeps it: also who opened the log, and where it ends for everyone, if cut. */
export interface HeldLog extends LogClaim {
  device: Uint8Array
  random: Uint8Array
  /** 16 bytes, or empty. */
  predecessor: Uint8Array
  cut: { seq: number; check: Uint8Array } | undefined
}

/** Splits logs into open ones (a device's newest, not cut) and closed ones; both sorted by id. */
export function splitLogs<T extends HeldLog>(
  logs: Iterable<T>,
  hexOf: (bytes: Uint8Array) => LogId,
): { open: T[]; closed: T[] } {
  const all = [...logs].filter((log) => log.seq > 0 || log.cut)
  const succeeded = new Set<LogId>()
  for (const log of all) if (log.predecessor.length > 0) succeeded.add(hexOf(log.predecessor))
  const open: T[] = []
  const closed: T[] = []
  for (const log of all) (succeeded.has(log.log) || log.cut ? closed : open).push(log)
  const byId = (a: T, b: T) => (a.log < b.log ? -1 : 1)
  return { open: open.sort(byId), closed: closed.sort(byId) }
}

const DIGEST_DOMAIN = utf8('kartoteka/1 claims')

/** 16 bytes over claims and cuts, independent of the order given. */
export function claimsDigest(natives: Natives, logs: HeldLog[]): Uint8Array {
  const rows = logs.map((log) =>
    concat([
      fromHex(log.log),
      u32(log.seq),
      log.check,
      log.cut ? concat([Uint8Array.of(1), u32(log.cut.seq), log.cut.check]) : Uint8Array.of(0),
    ]),
  )
  rows.sort(compareBytes)
  return natives.sha256(concat([DIGEST_DOMAIN, ...rows])).subarray(0, 16)
}

/**
 * A claim judged by what I hold.
 *  - same: we both end there;
 *  - behind: the other side's claim is a proven beginning of mine;
 *  - ahead: it claims more than I hold; only the changes themselves can prove it;
 *  - fork: contradicted, or not provable any more. Both heal by a cut.
 */
export type Verdict = 'same' | 'behind' | 'ahead' | 'fork'

/** @param checkAt my check of change `seq` of that log, if I still have it; asked only for seq ≤ mine. */
export function judgeClaim(
  claim: LogClaim,
  mine: { seq: number; check: Uint8Array } | undefined,
  checkAt: (seq: number) => Uint8Array | undefined,
): Verdict {
  if (claim.seq === 0) return mine && mine.seq > 0 ? 'behind' : 'same'
  if (!mine || claim.seq > mine.seq) return 'ahead'
  if (claim.seq === mine.seq) return equalBytes(claim.check, mine.check) ? 'same' : 'fork'
  const check = checkAt(claim.seq)
  return check && equalBytes(check, claim.check) ? 'behind' : 'fork'
}
