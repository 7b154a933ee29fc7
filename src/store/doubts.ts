/**
 * Doubts: claims that content was taken on and that the frontier has not confirmed. What came on two branches of one log
 * are two doubts. If one took the other's place, the frontier could confirm it, and then nothing would show any more
 * that other content counts as held under the same numbers.
 */
import { equalBytes, fromHex } from '../protocol/bytes.js'
import type { LogClaim } from '../protocol/frontier.js'
import type { LogId } from '../protocol/log.js'
import type { TargetLog } from '../protocol/transfer.js'
import { type Doubt, readDoubts } from './healing.js'
import { keys } from './keyspace.js'
import { DoubtRow } from './records.gen.js'
import type { Replica } from './replica.js'
import type { Write } from './sealed-db.js'
import type { TargetChecks } from './target-checks.js'

/** A log has fewer branches; beyond that the lowest claim goes into the newest, with where its content begins. */
const MAX_DOUBTS_OF_LOG = 8

/** The check of each log's last claim that a session's cases came on: its next one goes on from there. */
export type SaidClaims = Map<LogId, Uint8Array>

/** Content beyond the frontier came on these claims: a fork there must be seen. */
export async function claimWrites(replica: Replica, claims: LogClaim[], said: SaidClaims): Promise<Write[]> {
  if (claims.length === 0) return []
  const doubts = byLog(await readDoubts(replica))
  return claims.flatMap((claim) => {
    const { log, seq, check } = claim
    const held = replica.logs.get(log)?.seq ?? 0
    if (seq <= held) return []
    const olds = doubts.get(log) ?? []
    const before = said.get(log)
    said.set(log, check)
    const same = olds.filter(
      (old) => equalBytes(old.check, check) || (before && equalBytes(old.check, before)),
    )
    return noted(claim, Math.min(held, ...same.map(({ base }) => base)), same, olds)
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
  const writes: Write[] = []
  for (const log of target) {
    // The frontier may count this far already, but on another branch: nothing else would show what came on this one.
    if (!(await isContradicted(replica, log))) {
      // What others know more of my own log is found when they say so.
      if (log.log === replica.liveLog || log.seq <= (replica.logs.get(log.log)?.seq ?? 0)) continue
    }
    const olds = known.get(log.log) ?? []
    const same: Doubt[] = []
    for (const old of olds) if (await confirms(log, checks, old)) same.push(old)
    // What came before `from` is held, if it is this branch that is held up to there.
    const isMine = await isHeldAt(replica, log.log, log.from, log.fromCheck)
    const base = isMine ? log.from : Math.min(log.from, ...same.map((old) => old.base))
    writes.push(...noted(log, base, same, olds))
  }
  return writes
}

/** Does the target's list say of a doubt what the doubt says? */
export async function confirms(target: TargetLog, checks: TargetChecks, doubt: Doubt): Promise<boolean> {
  const check = await checks.at(target, doubt.seq)
  return check !== undefined && equalBytes(check, doubt.check)
}

/** Notes a claim in the place of doubts that are of the same branch; the others stay. */
function noted({ log, seq, check }: LogClaim, base: number, same: Doubt[], olds: Doubt[]): Write[] {
  const others = olds.filter((old) => !same.includes(old)).sort((a, b) => a.seq - b.seq)
  const crowded = others.slice(0, Math.max(0, others.length + 1 - MAX_DOUBTS_OF_LOG))
  const key = keys.doubt(log, check)
  const from = Math.min(base, ...crowded.map((old) => old.base))
  const value = DoubtRow.encode({ log: fromHex(log), base: from, seq, check }).finish()
  return [...[...same, ...crowded].map((old) => ({ key: old.key, value: undefined })), { key, value }]
}

function byLog(doubts: Doubt[]): Map<LogId, Doubt[]> {
  const known = new Map<LogId, Doubt[]>()
  for (const doubt of doubts) known.set(doubt.log, [...(known.get(doubt.log) ?? []), doubt])
  return known
}

/** Does what I hold of the log say something else where the target ends? What isn't known contradicts nothing. */
async function isContradicted(replica: Replica, { log, seq, check }: TargetLog): Promise<boolean> {
  const mine = await replica.logs.checkAt(log, seq)
  return mine !== undefined && !equalBytes(mine, check)
}

async function isHeldAt(replica: Replica, log: LogId, seq: number, check: Uint8Array): Promise<boolean> {
  if (seq === 0) return true
  const mine = await replica.logs.checkAt(log, seq)
  return mine !== undefined && equalBytes(mine, check)
}
