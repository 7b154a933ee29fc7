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
    let pruned = 0
    const { cases } = replica
    const isDamaged = cases.damaged.size > 0
    // Kept: the next start finds a damaged case only when it reads it.
    if (isDamaged) await replica.db.write([cases.damagedWrite()])
    for (const log of [...replica.logs.all()]) {
      // What is retained may be all that can be read of a damaged case: who took it whole from me claims it, and lacks it.
      const words = isDamaged ? [0] : others.map((frontier) => frontier?.get(log.log) ?? 0)
      const covered = Math.min(log.seq, ...words)
      const upTo = Math.max(covered, log.seq - retained)
      if (upTo <= log.retainedFrom) continue
      const result = await replica.logs.pruneWrites(log, upTo)
      await replica.db.write(result.writes)
      replica.logs.set(result.log)
      pruned++
    }
    return pruned
  })
}
