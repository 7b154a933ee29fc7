/**
 * Doubts: claims that content was taken on and that the frontier has not confirmed. What came on two branches of one log
 * are two doubts. If one took the other's place, the frontier could confirm it, and then nothing would show any more
 * that other content counts as held under the same numbers.
 */
import { equalBytes, fromHex, toHex } from '../protocol/bytes.js'
import { type LogClaim, placeOf } from '../protocol/frontier.js'
import { CHECK_BYTES } from '../protocol/limits.js'
import type { LogId } from '../protocol/log.js'
import type { TargetLog } from '../protocol/transfer.js'
import { heldAndDoubted } from './foreign.js'
import { keys, rangeOf } from './keyspace.js'
import { DoubtRow } from './records.gen.js'
import type { Replica } from './replica.js'
import type { Write } from './sealed-db.js'
import { storedTargets, type TargetChecks } from './target-checks.js'

/** A log has fewer branches; beyond that the lowest claims go into one. */
const MAX_DOUBTS_OF_LOG = 8
/** The check of that one, which no frontier comes to: what came on one of its branches would hide behind another. */
const OF_SEVERAL = new Uint8Array(CHECK_BYTES).fill(0xff)

/** A claim that content was taken on but the frontier has not confirmed. */
export interface Doubt {
  /** Of its row. */
  key: Uint8Array
  log: LogId
  base: number
  seq: number
  check: Uint8Array
}

export async function readDoubts(replica: Replica): Promise<Doubt[]> {
  const doubts: Doubt[] = []
  for await (const { key, value } of replica.db.rows(rangeOf('d'))) {
    const row = DoubtRow.decode(value)
    doubts.push({ ...row, key: Uint8Array.from(key), log: toHex(row.log) })
  }
  return doubts
}

/** The check of each log's last claim that a session's cases came on: its next one goes on from there. */
export type SaidClaims = Map<LogId, Uint8Array>

/**
 * Content beyond the frontier came on what its giver claims to hold: a fork there must be seen.
 *
 * @param before what the giver held before: it has gone on from there. What came on that is doubted as that.
 */
export async function claimWrites(
  replica: Replica,
  claims: LogClaim[],
  said: SaidClaims,
  before: LogClaim[] = [],
): Promise<Write[]> {
  if (claims.length === 0) return []
  const doubts = byLog(await readDoubts(replica))
  const begun = new Map(before.map((claim) => [placeOf(claim), claim.seq]))
  return heldAndDoubted(claims).held.flatMap((claim) => {
    const { log, seq, check } = claim
    const held = replica.logs.get(log)?.seq ?? 0
    if (seq <= held) return []
    const olds = doubts.get(log) ?? []
    const last = said.get(log)
    said.set(log, check)
    const same = olds.filter(
      (old) => equalBytes(old.check, check) || (last && old.seq <= seq && equalBytes(old.check, last)),
    )
    const isBegun = (old: Doubt) => !same.includes(old) && old.seq < seq && begun.has(placeOf(old))
    const from = Math.max(held, ...olds.filter(isBegun).map((old) => old.seq))
    return noted(claim, Math.min(from, ...same.map(({ base }) => base)), same, olds)
  })
}

/**
 * The giver of whole cases claims more of these logs than I hold. Until the frontier confirms it, all that its cases hold
 * of them may be of another branch, from the first change on.
 */
export function besideWrites(replica: Replica, claims: LogClaim[], doubts: Doubt[]): Write[] {
  const known = byLog(doubts)
  return claims.flatMap((claim) => {
    const { log, seq, check } = claim
    if (seq <= (replica.logs.get(log)?.seq ?? 0)) return []
    const olds = known.get(log) ?? []
    const same = olds.filter((old) => equalBytes(old.check, check))
    return noted(claim, 0, same, olds)
  })
}

/** Until the frontier confirms them, claims that content was taken on are kept: a fork there must be seen. */
export async function doubtWrites(
  replica: Replica,
  target: TargetLog[],
  checks: TargetChecks,
  doubts: Doubt[],
): Promise<Write[]> {
  const known = byLog(doubts)
  const parted = await partedLogs(replica, target, checks)
  const writes: Write[] = []
  for (const log of target) {
    const end = await endOf(replica, log, checks)
    // The frontier may count this far already, but on another branch: nothing else would show what came on this one.
    // Of my own current log as well: the list of its checks is not kept, and I may have gone on in it on another branch.
    if (!parted.has(log.log) && end.seq <= (replica.logs.get(log.log)?.seq ?? 0)) continue
    const olds = known.get(log.log) ?? []
    const same: Doubt[] = []
    for (const old of olds) if (await confirms(log, checks, old)) same.push(old)
    writes.push(...noted(end, await beginningOf(replica, log, same), same, olds))
  }
  return writes
}

/**
 * Logs of a target of which another branch is held, as far as its list shows: what a case has of them is not what is
 * held under the same numbers. The value is what it counts as at least, so that it lies behind where the doubt begins.
 */
export async function partedLogs(
  replica: Replica,
  target: Iterable<TargetLog>,
  checks: TargetChecks,
): Promise<Map<LogId, number>> {
  const parted = new Map<LogId, number>()
  for (const log of target) {
    const at = Math.min(log.seq, replica.logs.get(log.log)?.seq ?? 0)
    if (at === 0) continue
    const its = at === log.from ? log.fromCheck : await checks.at(log, at)
    if (!its || !(await isOther(replica, log.log, at, its))) continue
    const isOtherBefore = await isOther(replica, log.log, log.from, log.fromCheck)
    parted.set(log.log, isOtherBefore ? log.from + 1 : 0)
  }
  return parted
}

/** How far a target counts: of a log that was cut on its branch, up to the cut. */
async function endOf(replica: Replica, target: TargetLog, checks: TargetChecks): Promise<LogClaim> {
  const cut = replica.logs.get(target.log)?.cut
  if (!cut || cut.seq >= target.seq || !(await confirms(target, checks, cut))) return target
  return { log: target.log, ...cut }
}

/** Where on its branch a target's content begins to be doubted: what comes before that is held. */
async function beginningOf(
  replica: Replica,
  { log, from, fromCheck }: TargetLog,
  same: Doubt[],
): Promise<number> {
  const mine = await replica.logs.checkAt(log, from)
  if (mine && equalBytes(mine, fromCheck)) return from
  return Math.min(from, replica.logs.get(log)?.seq ?? 0, ...same.map(({ base }) => base))
}

/**
 * What a cut leaves of the doubts about its log. What came on them behind the cut is restated, what came before it is
 * not, and may be of a branch that nothing else shows: a doubt that begins before the cut stays. The frontier will never
 * confirm one that reaches beyond it, and all that came on it would be restated; but where an unfinished transfer's
 * list shows that its branch goes through the cut, it ends there.
 */
export async function doubtsAfterCut(
  replica: Replica,
  id: LogId,
  cut: { seq: number; check: Uint8Array },
): Promise<Write[]> {
  const olds = (await readDoubts(replica)).filter(({ log }) => log === id)
  const gone = olds.filter(({ base }) => base >= cut.seq).map(({ key }) => ({ key, value: undefined }))
  const kept = olds.filter(({ base }) => base < cut.seq)
  const beyond = kept.filter(({ seq }) => seq > cut.seq)
  if (beyond.length === 0) return gone
  const targets = (await storedTargets(replica.db)).filter(({ target }) => target.log === id)
  const through = new Set<Doubt>()
  for (const { target, checks } of targets) {
    if (!(await confirms(target, checks, cut))) continue
    for (const doubt of beyond) if (await confirms(target, checks, doubt)) through.add(doubt)
  }
  if (through.size === 0) return gone
  const same = kept.filter((doubt) => through.has(doubt) || equalBytes(doubt.check, cut.check))
  const base = Math.min(...same.map((doubt) => doubt.base))
  return [...gone, ...noted({ log: id, ...cut }, base, same, kept)]
}

/** Does the target's list say the same of a doubt's end, or of a cut? */
export async function confirms(
  target: TargetLog,
  checks: TargetChecks,
  said: { seq: number; check: Uint8Array },
): Promise<boolean> {
  const check = await checks.at(target, said.seq)
  return check !== undefined && equalBytes(check, said.check)
}

/** Notes a claim in the place of doubts that are of the same branch; the others stay. */
function noted(claim: LogClaim, base: number, same: Doubt[], olds: Doubt[]): Write[] {
  const rank = ({ seq, check }: Doubt) => (equalBytes(check, OF_SEVERAL) ? 0 : seq)
  const others = olds.filter((old) => !same.includes(old)).sort((a, b) => rank(a) - rank(b))
  const crowded =
    others.length < MAX_DOUBTS_OF_LOG ? [] : others.slice(0, others.length + 2 - MAX_DOUBTS_OF_LOG)
  const gone = [...same, ...crowded].map(({ key }) => ({ key, value: undefined }))
  const from = Math.min(...crowded.map((old) => old.base))
  const seq = Math.max(...crowded.map((old) => old.seq))
  const one = crowded.length > 0 ? [doubtWrite({ log: claim.log, seq, check: OF_SEVERAL }, from)] : []
  // What came on several of somebody else's branches may be that one already.
  const start = equalBytes(claim.check, OF_SEVERAL) ? Math.min(base, from) : base
  return [...gone, ...one, doubtWrite(claim, start)]
}

function doubtWrite({ log, seq, check }: LogClaim, base: number): Write {
  return {
    key: keys.doubt(log, check),
    value: DoubtRow.encode({ log: fromHex(log), base, seq, check }).finish(),
  }
}

function byLog(doubts: Doubt[]): Map<LogId, Doubt[]> {
  const known = new Map<LogId, Doubt[]>()
  for (const doubt of doubts) known.set(doubt.log, [...(known.get(doubt.log) ?? []), doubt])
  return known
}

/** Is it another change that I hold there? What isn't known contradicts nothing. */
async function isOther(replica: Replica, log: LogId, seq: number, check: Uint8Array): Promise<boolean> {
  const mine = check.length > 0 ? await replica.logs.checkAt(log, seq) : undefined
  return mine !== undefined && !equalBytes(mine, check)
}
