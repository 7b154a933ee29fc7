/** The serving half of a transfer of whole states: its target, fixed when it begins. */
import { toHex } from '../protocol/bytes.js'
import type { LogClaim } from '../protocol/frontier.js'
import { CHECK_BYTES } from '../protocol/limits.js'
import type { LogId, LogOpening } from '../protocol/log.js'
import type { Item } from '../protocol/sync.gen.js'
import type { CheckRange, CheckStretch, TargetLog } from '../protocol/transfer.js'
import { readDoubts } from './doubts.js'
import type { Replica } from './replica.js'

/**
 * Every log that reaches beyond the receiver's frontier, with its proof; of the others, and of what is doubted, the bare
 * claims, which show whether the receiver holds the same branch. Flush before it is told.
 */
export async function openStates(
  replica: Replica,
  frontier: Map<LogId, number>,
): Promise<{ target: TargetLog[]; openings: LogOpening[]; claims: LogClaim[]; cases: number }> {
  return replica.exclusive(async () => {
    const target: TargetLog[] = []
    const doubts = await readDoubts(replica)
    const claims: LogClaim[] = [...nothingOf(replica, doubts), ...doubts]
    const openings: LogOpening[] = []
    for (const held of replica.logs.all()) {
      const from = frontier.get(held.log) ?? 0
      if (held.seq <= from) {
        if (held.seq > 0) claims.push(held)
        continue
      }
      const { log, seq, check, head, signature } = held
      const fromCheck = (from > 0 && (await replica.logs.checkAt(log, from))) || new Uint8Array(0)
      target.push({ log, seq, check, head, signature, from, fromCheck })
      openings.push(held)
    }
    return { target, openings, claims, cases: replica.meta.total + replica.meta.deleted }
  })
}

/** Checks of these ranges; zeros where unknown, or beyond what is held any more. */
export async function readChecks(replica: Replica, ranges: CheckRange[]): Promise<CheckStretch[]> {
  const stretches: CheckStretch[] = []
  for (const { log, from, to } of ranges) {
    stretches.push({ log, from, checks: await replica.logs.checks(log, from, to) })
  }
  return stretches
}

const touchedBy = (items: Item[]): Set<LogId> =>
  new Set(items.flatMap((item) => item.touched.map(({ log }) => toHex(log))))

/** What is doubted of the logs that these cases hold something of. Read after them, so that what they came on is named. */
export async function doubtsOf(replica: Replica, items: Item[]): Promise<LogClaim[]> {
  const logs = touchedBy(items)
  return (await readDoubts(replica)).filter(({ log }) => logs.has(log))
}

/**
 * What is claimed of the logs that single cases hold something of: first what is held of each, then what is doubted.
 * Read after them, as `doubtsOf`.
 */
export async function claimsOfCases(
  replica: Replica,
  items: Item[],
): Promise<{ claims: LogClaim[]; openings: LogOpening[] }> {
  const doubts = await doubtsOf(replica, items)
  const held = [...touchedBy(items)].flatMap((id) => replica.logs.get(id) ?? [])
  const claims = [...held.filter(({ seq }) => seq > 0), ...nothingOf(replica, doubts), ...doubts]
  return { claims, openings: held }
}

/** Of doubted logs of which nothing is held, a claim that says so. */
function nothingOf(replica: Replica, doubts: LogClaim[]): LogClaim[] {
  const logs = new Set(doubts.map(({ log }) => log).filter((log) => !replica.logs.get(log)?.seq))
  return [...logs].map((log) => ({ log, seq: 0, check: new Uint8Array(CHECK_BYTES) }))
}
