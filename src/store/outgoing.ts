/** The serving half of a transfer of whole states: its target, fixed when it begins. */
import { toHex } from '../protocol/bytes.js'
import { type LogClaim, placeOf } from '../protocol/frontier.js'
import { CHECK_BYTES } from '../protocol/limits.js'
import type { LogId, LogOpening } from '../protocol/log.js'
import type { Item } from '../protocol/sync.gen.js'
import type { CheckRange, CheckStretch, TargetLog } from '../protocol/transfer.js'
import { readDoubts } from './doubts.js'
import type { Replica } from './replica.js'

/** What the giver of whole states has said of its logs when it began: how far it held each, and what it doubted. */
export interface Told {
  held: ReadonlyMap<LogId, number>
  doubted: ReadonlySet<string>
}

interface Opened {
  target: TargetLog[]
  openings: LogOpening[]
  claims: LogClaim[]
  cases: number
  told: Told
}

/**
 * Every log that reaches beyond the receiver's frontier, with its proof; of the others, and of what is doubted, the bare
 * claims, which show whether the receiver holds the same branch. Flush before it is told.
 */
export async function openStates(replica: Replica, frontier: Map<LogId, number>): Promise<Opened> {
  return replica.exclusive(async () => {
    const target: TargetLog[] = []
    const others: LogClaim[] = []
    const openings: LogOpening[] = []
    const doubts = await readDoubts(replica)
    const told: Told = {
      held: new Map([...replica.logs.all()].map(({ log, seq }) => [log, seq])),
      doubted: new Set(doubts.map(placeOf)),
    }
    for (const held of replica.logs.all()) {
      const from = frontier.get(held.log) ?? 0
      if (held.seq <= from) {
        others.push(held)
        continue
      }
      const { log, seq, check, head, signature } = held
      const fromCheck = (from > 0 && (await replica.logs.checkAt(log, from))) || new Uint8Array(0)
      target.push({ log, seq, check, head, signature, from, fromCheck })
      openings.push(held)
    }
    const claims = heldFirst(replica, others, doubts)
    return { target, openings, claims, cases: replica.meta.total + replica.meta.deleted, told }
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

/**
 * What is claimed of the logs that these cases hold something of: first what is held of each, then what is doubted.
 * Who reads them runs alone, as for `toldApart`.
 */
export async function claimsOfCases(
  replica: Replica,
  items: Item[],
): Promise<{ claims: LogClaim[]; openings: LogOpening[] }> {
  const logs = new Set(items.flatMap((item) => item.touched.map(({ log }) => toHex(log))))
  const doubts = (await readDoubts(replica)).filter(({ log }) => logs.has(log))
  const held = [...logs].flatMap((id) => replica.logs.get(id) ?? [])
  return { claims: heldFirst(replica, held, doubts), openings: held }
}

/**
 * Of cases that were just read, those at the beginning of which all may hold something that came after the receiver was
 * told of my logs, with what is claimed of these logs; or those of which none does. Who reads them runs alone: a doubt
 * that ends meanwhile would not be named.
 */
export async function toldApart(
  replica: Replica,
  items: Item[],
  told: Told,
): Promise<{ items: Item[]; claims: LogClaim[] }> {
  const doubts = (await readDoubts(replica)).filter((doubt) => !told.doubted.has(placeOf(doubt)))
  const laterOf = ({ touched }: Item): LogId[] =>
    touched.flatMap(({ log: bytes, seq }) => {
      const id = toHex(bytes)
      const before = told.held.get(id) ?? 0
      const isGrown = seq > before && (replica.logs.get(id)?.seq ?? 0) > before
      return isGrown || doubts.some(({ log, base }) => log === id && seq > base) ? [id] : []
    })
  const later = items.map(laterOf)
  const isLater = (at: number) => (later[at]?.length ?? 0) > 0
  let end = 1
  while (end < items.length && isLater(end) === isLater(0)) end++
  const logs = new Set(later.slice(0, end).flat())
  const held = [...logs].flatMap((id) => replica.logs.get(id) ?? [])
  const doubted = doubts.filter(({ log }) => logs.has(log))
  return { items: items.slice(0, end), claims: heldFirst(replica, held, doubted) }
}

/** Claims of which the first one of a log is what is held of it. */
const heldFirst = (replica: Replica, held: LogClaim[], doubts: LogClaim[]): LogClaim[] => [
  ...held.filter(({ seq }) => seq > 0),
  ...nothingOf(replica, doubts),
  ...doubts,
]

/** Of doubted logs of which nothing is held, a claim that says so. */
function nothingOf(replica: Replica, doubts: LogClaim[]): LogClaim[] {
  const logs = new Set(doubts.map(({ log }) => log).filter((log) => !replica.logs.get(log)?.seq))
  return [...logs].map((log) => ({ log, seq: 0, check: new Uint8Array(CHECK_BYTES) }))
}
