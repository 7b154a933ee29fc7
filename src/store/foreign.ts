/**
 * Logs of which whoever gives whole cases holds another branch than I do. What its cases hold of them lies within my
 * frontier by number, and would count as claimed although nobody who holds my branch has it: it is content of no log
 * until it is restated. Claims that are further than I am show nothing yet: they are doubted (`doubts.ts`).
 */
import { equalBytes } from '../protocol/bytes.js'
import type { LogClaim } from '../protocol/frontier.js'
import type { LogId } from '../protocol/log.js'
import type { TargetLog } from '../protocol/transfer.js'
import type { Replica } from './replica.js'

export const NO_LOGS: ReadonlySet<LogId> = new Set()

/** @param claims what the giver holds, and what it doubts. */
export async function foreignLogs(replica: Replica, claims: LogClaim[]): Promise<Set<LogId>> {
  const foreign = new Set<LogId>()
  for (const { log, seq, check } of claims) {
    const mine = await replica.logs.checkAt(log, seq)
    if (mine && !equalBytes(mine, check)) foreign.add(log)
  }
  return foreign
}

/** Where the logs of a target begin, as claims of its giver: what comes before that isn't doubted with the target. */
export function beginnings(target: TargetLog[]): LogClaim[] {
  return target
    .filter(({ from, fromCheck }) => from > 0 && fromCheck.some((byte) => byte !== 0))
    .map(({ log, from, fromCheck }) => ({ log, seq: from, check: fromCheck }))
}
