/**
 * Pruning: payloads that every member's own word covers are dropped from the logs; their checks stay. A device
 * that stays away for long gets whole states instead, so retained changes are bounded too. While a case is damaged here,
 * words count for nothing. When the store closes it ends with the portion it is at; the next start goes on.
 */
import type { LogId } from '../protocol/log.js'
import type { Replica } from './replica.js'

/** Beyond this many retained changes of one log the oldest go, covered or not. */
export const RETAINED_CHANGES = 20_000

/** So many go at once: their cases are looked at, and nothing else is written meanwhile. */
export const CHANGES_AT_ONCE = 2_000

/**
 * @param others for every other member: how far it is known to hold each log durably; undefined if unknown. Asked
 *   anew for each portion: a member may come, or be doubted, in between.
 * @returns how many logs were pruned.
 */
export async function prune(
  replica: Replica,
  others: () => (Map<LogId, number> | undefined)[],
  retained = RETAINED_CHANGES,
): Promise<number> {
  const all = new Set<LogId>()
  for (;;) {
    const pruned = await replica.exclusive(async () =>
      replica.isClosing ? [] : pruneSome(replica, others(), retained),
    )
    if (pruned.length === 0) return all.size
    for (const log of pruned) all.add(log)
  }
}

async function pruneSome(
  replica: Replica,
  others: (Map<LogId, number> | undefined)[],
  retained: number,
): Promise<LogId[]> {
  const isDamaged = replica.damaged.size > 0
  // Kept: the next start finds a damaged case only when it reads it.
  if (isDamaged) await replica.db.write([replica.cases.damagedWrite()])
  let room = CHANGES_AT_ONCE
  const stretches = [...replica.logs.all()].map((log) => {
    // What is retained may be all that can be read of a damaged case: who took it whole from me claims it, and lacks it.
    const words = isDamaged ? [0] : others.map((frontier) => frontier?.get(log.log) ?? 0)
    const covered = Math.min(log.seq, ...words)
    const to = Math.min(Math.max(covered, log.seq - retained), log.retainedFrom + room)
    room -= Math.max(0, to - log.retainedFrom)
    return { log, to }
  })
  const { writes, logs } = await replica.logs.pruneWrites(stretches)
  if (writes.length > 0) await replica.db.write(writes)
  for (const log of logs) replica.logs.set(log)
  return logs.map(({ log }) => log)
}
