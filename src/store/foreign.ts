/**
 * Logs of which whoever gives whole cases holds another branch than I do. What its cases hold of them lies within my
 * frontier by number, and would count as claimed although nobody who holds my branch has it: it is content of no log
 * until it is restated. Claims that are further than I am show nothing yet: they are doubted (`doubts.ts`).
 *
 * Not so the logs of a target (`partedLogs`): its list shows behind which change the branches part, so that what a case
 * holds before it needs no restatement; and its end is noted as a doubt, by which others hear of the fork and cut it.
 */
import { equalBytes, toHex } from '../protocol/bytes.js'
import type { LogClaim } from '../protocol/frontier.js'
import type { LogId } from '../protocol/log.js'
import type { Item } from '../protocol/sync.gen.js'
import type { TargetLog } from '../protocol/transfer.js'
import type { StoredLog } from './logs.js'
import type { Replica } from './replica.js'

const NO_LOGS: ReadonlySet<LogId> = new Set()

/**
 * Of all that comes on these claims, which may be very many: each is held against what I hold of its log only once, and
 * again when that has changed.
 */
export class ForeignLogs {
  /** Of each claim, what was held of its log when it was looked at, and whether that is another branch. */
  private readonly seen: { held: StoredLog | undefined; isOther: boolean }[] = []

  constructor(
    private readonly replica: Replica,
    /** What the giver holds, and what it doubts. */
    private readonly claims: LogClaim[],
  ) {}

  async among(): Promise<Set<LogId>> {
    const { logs } = this.replica
    const foreign = new Set<LogId>()
    for (const [at, { log, seq, check }] of this.claims.entries()) {
      const held = logs.get(log)
      let seen = this.seen[at]
      if (!seen || seen.held !== held) {
        const mine = await logs.checkAt(log, seq)
        seen = { held, isOther: mine !== undefined && !equalBytes(mine, check) }
        this.seen[at] = seen
      }
      if (seen.isOther) foreign.add(log)
    }
    return foreign
  }
}

/**
 * What the claims of single cases say: the first one of a log is what the giver holds of it, 0 if that is nothing; any
 * others are what it doubts.
 */
export function heldAndDoubted(claims: LogClaim[]): { held: LogClaim[]; doubted: LogClaim[] } {
  const held = new Map<LogId, LogClaim>()
  const doubted: LogClaim[] = []
  for (const claim of claims) {
    if (held.has(claim.log)) doubted.push(claim)
    else held.set(claim.log, claim)
  }
  return { held: [...held.values()], doubted }
}

/** How far the giver of whole cases surely holds each log: of several claims any may be one that it only doubts. */
export function reachOf(claims: LogClaim[], target: Iterable<TargetLog> = []): (log: LogId) => number {
  const reach = new Map<LogId, number>()
  for (const { log, seq } of claims) reach.set(log, Math.min(seq, reach.get(log) ?? seq))
  for (const { log, seq } of target) reach.set(log, seq)
  return (log) => reach.get(log) ?? 0
}

/**
 * Logs of which single cases, each by itself, may hold another branch than I do, or will. A giver's doubt that is further
 * than I am is no doubt of mine: a giver in the midst of a transfer names ever new ones, and beyond a few they would be
 * lumped together. To restate the few cases that come like this costs less.
 *
 * Of a giver that holds more of a log than I do nothing shows where its branch leaves mine. What a case holds behind the
 * last place at which both are known to have been one counts as of another, as far as I claim it; what is beyond that is
 * doubted (`claimWrites`).
 *
 * @param before what the same giver held before: when it began, or by its word.
 * @param others logs of which its cases hold another branch anyway.
 */
export async function foreignOfCases(
  replica: Replica,
  claims: LogClaim[],
  before: LogClaim[] = [],
  others: ReadonlySet<LogId> = NO_LOGS,
): Promise<(item: Item) => ReadonlySet<LogId>> {
  const foreign = new Set([...others, ...(await new ForeignLogs(replica, claims).among())])
  const gaps = new Map<LogId, { from: number; to: number }>()
  const { held, doubted } = heldAndDoubted(claims)
  for (const { log, seq } of doubted) if (seq > (replica.logs.get(log)?.seq ?? 0)) foreign.add(log)
  for (const { log, seq } of held) {
    const to = replica.logs.get(log)?.seq ?? 0
    if (seq > to) gaps.set(log, { from: 0, to })
  }
  // Both may be very many.
  if (gaps.size > 0) {
    for (const { log, seq, check } of before) {
      const gap = gaps.get(log)
      if (!gap || seq <= gap.from) continue
      const mine = await replica.logs.checkAt(log, seq)
      if (mine && equalBytes(mine, check)) gap.from = seq
    }
  }
  return ({ touched }) => {
    const among = touched.map(({ log, seq }) => ({ log: toHex(log), seq }))
    const inGap = among.filter(({ log, seq }) => {
      const gap = gaps.get(log)
      return gap && seq > gap.from && seq <= gap.to
    })
    return inGap.length === 0 ? foreign : new Set([...foreign, ...inGap.map(({ log }) => log)])
  }
}

/** Where the logs of a target begin, as claims of its giver: what comes before that isn't doubted with the target. */
export function beginnings(target: TargetLog[]): LogClaim[] {
  return target
    .filter(({ from, fromCheck }) => from > 0 && fromCheck.some((byte) => byte !== 0))
    .map(({ log, from, fromCheck }) => ({ log, seq: from, check: fromCheck }))
}

/** What the giver of whole states held when it began, by what it said then; of a target's logs it only doubted the rest. */
export function heldBefore(target: TargetLog[], claims: LogClaim[]): LogClaim[] {
  const ids = new Set(target.map(({ log }) => log))
  const others = heldAndDoubted(claims.filter(({ log }) => !ids.has(log))).held
  return [...target, ...beginnings(target), ...others]
}
