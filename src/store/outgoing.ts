/** The serving half of a transfer of whole states: its target, fixed when it begins. */
import type { LogId, LogOpening } from '../protocol/log.js'
import type { TargetLog } from '../protocol/transfer.js'
import type { Replica } from './replica.js'

/** Every log that reaches beyond the receiver's frontier, with proof and checks from there on. Flush before it is told. */
export async function openStates(
  replica: Replica,
  frontier: Map<LogId, number>,
): Promise<{ target: TargetLog[]; openings: LogOpening[]; cases: number }> {
  return replica.exclusive(async () => {
    const target: TargetLog[] = []
    const openings: LogOpening[] = []
    for (const log of replica.logs.all()) {
      const from = frontier.get(log.log) ?? 0
      if (log.seq <= from) continue
      const { seq, head, signature } = log
      target.push({
        log: log.log,
        seq,
        head,
        signature,
        from,
        checks: await replica.logs.checks(log.log, from, seq),
      })
      openings.push(log)
    }
    return { target, openings, cases: replica.meta.total + replica.meta.deleted }
  })
}
