/**
 * Pruning: payloads that every member's own word covers are dropped from the logs; their checks stay. A device
 * that stays away for long gets whole states instead, so retained changes are bounded too. While a case is damaged here,
 * words count for nothing.
 */
import type { LogId } from '../protocol/log.js'
import type { Replica } from './replica.js'

/** Beyond this many retained changes of one log the oldest go, covered or not. */
export const RETAINED_CHANGES = 20_000

/**
 * @param others for every other member: how far it is known to hold each log durably; undefined if unknown.
 * @returns how many logs were pruned.
 */
export function prune(
  replica: Replica,
  others: (Map<LogId, number> | undefined)[],
  retained = RETAINED_CHANGES,
): Promise<number> {
  return replica.exclusive(async () => {
    const { cases } = replica
    const isDamaged = cases.damaged.size > 0
    // Kept: the next start finds a damaged case only when it reads it.
    if (isDamaged) await replica.db.write([cases.damagedWrite()])
    const stretches = [...replica.logs.all()].map((log) => {
      // What is retained may be all that can be read of a damaged case: who took it whole from me claims it, and lacks it.
      const words = isDamaged ? [0] : others.map((frontier) => frontier?.get(log.log) ?? 0)
      const covered = Math.min(log.seq, ...words)
      return { log, to: Math.max(covered, log.seq - retained) }
    })
    const { writes, logs } = await replica.logs.pruneWrites(stretches)
    if (writes.length > 0) await replica.db.write(writes)
    for (const log of logs) replica.logs.set(log)
    return logs.length
  })
}
