/**
 * Transfers of whole states that come by mail, in parts. Content merges at once; the target is adopted only after all
 * parts are in, and only where this device holds each log as far as the transfer begins.
 */
import { equalBytes, fromHex, toHex } from '../protocol/bytes.js'
import type { States } from '../protocol/envelope.gen.js'
import { ItemAssembly } from '../protocol/items.js'
import { CHECKS_PER_STRETCH } from '../protocol/limits.js'
import type { LogId } from '../protocol/log.js'
import type { Item } from '../protocol/sync.gen.js'
import { boundedTarget, stretchNumber, type TargetLog } from '../protocol/transfer.js'
import { stretchesFromWire, targetsFromWire } from '../protocol/wire.js'
import { freshLogs } from './admitting.js'
import type { CaseDraft } from './case-content.js'
import { readDoubts } from './healing.js'
import { keys, rangeOf } from './keyspace.js'
import { MailSetRow, MetaRow } from './records.gen.js'
import type { Replica } from './replica.js'
import type { Write } from './sealed-db.js'
import { takeItem } from './taking.js'
import { TargetChecks } from './target-checks.js'
import { adoptTarget, doubtWrites, isProven } from './transfers.js'

/** Parts of one transfer: a practice of a million cases has fewer. */
const MAX_PARTS = 65_536
/** Unfinished transfers that are remembered; an older one is offered again by its sender. */
const MAX_SETS = 16
const SET_ID_BYTES = 16
/** Slots of checks below this belong to direct transfers. */
const FIRST_SLOT = 2

/** `waits`: it can't be taken before another part has come. */
export type TakenStates = { kind: 'taken'; advanced: LogId[] } | { kind: 'waits' } | { kind: 'useless' }

/** What this process saw of a set: what happened since it began, and pieces of a case that is too large for one part. */
interface Watch {
  cuts: number
  loose: number
  pieces: Map<number, Item[]>
}
const watches = new WeakMap<Replica, Map<string, Watch>>()

/** Takes one part in. */
export function takeStates(replica: Replica, part: States): Promise<TakenStates> {
  const target = targetsFromWire(part.target)
  if (!target || part.set.length !== SET_ID_BYTES || part.index >= MAX_PARTS)
    return Promise.resolve({ kind: 'useless' })
  return replica.exclusive(async () => {
    const key = keys.mailSet(part.set)
    const stored = await replica.db.get(key)
    if (!stored && part.index > 0) return { kind: 'waits' }
    const row = stored ? MailSetRow.decode(stored) : await newSet(replica)
    const watch = watchOf(replica, toHex(part.set), stored !== undefined)
    if (row.parts.includes(part.index)) return { kind: 'taken', advanced: [] }
    const writes: Write[] = []
    if (part.index === 0) writes.push(...(await beginSet(replica, row, part, target)))
    const checks = new TargetChecks(replica.db, row.slot)
    if (!takeStretches(row, part, checks, writes)) return { kind: 'waits' }
    const whole = gatherPieces(watch, part)
    if (!whole) return { kind: 'waits' }
    const drafts = await draftsOf(replica, whole.items, row)
    row.parts.push(...whole.parts)
    if (part.last) row.count = part.index + 1
    const isWhole = row.count > 0 && row.parts.length === row.count
    writes.push({ key, value: isWhole ? undefined : MailSetRow.encode(row).finish() })
    await replica.commitCases(drafts.values(), writes, { ...replica.meta, unclaimed: true })
    for (const index of whole.parts) watch.pieces.delete(index)
    if (!isWhole) {
      // A transfer that ends meanwhile must not call this content claimed.
      replica.loose++
      watch.loose++
      return { kind: 'taken', advanced: [] }
    }
    watches.get(replica)?.delete(toHex(part.set))
    // A cut that fell meanwhile: what this targeted may not be what is held.
    const advanced =
      watch.cuts === replica.cuts ? await adopt(replica, row, watch.loose !== replica.loose) : []
    await checks.clear()
    return { kind: 'taken', advanced }
  })
}

async function newSet(replica: Replica): Promise<MailSetRow> {
  const sets: { key: Uint8Array; row: MailSetRow }[] = []
  for await (const { key, value } of replica.db.rows(rangeOf('y'), () => {}))
    sets.push({ key, row: MailSetRow.decode(value) })
  sets.sort((a, b) => a.row.number - b.row.number)
  const kept = sets.slice(-(MAX_SETS - 1))
  const old = sets.slice(0, sets.length - kept.length)
  await replica.db.write(old.map(({ key }) => ({ key, value: undefined })))
  const used = new Set(kept.map(({ row }) => row.slot))
  let slot = FIRST_SLOT
  while (used.has(slot)) slot++
  await new TargetChecks(replica.db, slot).clear()
  const number = (sets[sets.length - 1]?.row.number ?? 0) + 1
  const beyond = replica.meta.unclaimed
  return { target: [], parts: [], count: 0, beyond, number, openings: [], slot, stretches: [] }
}

/** After a restart nothing is known of what happened since: then a scan decides. */
function watchOf(replica: Replica, set: string, isResumed: boolean): Watch {
  const all = watches.get(replica) ?? new Map<string, Watch>()
  watches.set(replica, all)
  const fresh = { cuts: replica.cuts, loose: isResumed ? -1 : replica.loose, pieces: new Map() }
  const watch = all.get(set) ?? fresh
  all.set(set, watch)
  return watch
}

async function beginSet(
  replica: Replica,
  row: MailSetRow,
  part: States,
  offered: TargetLog[],
): Promise<Write[]> {
  const fresh = freshLogs(replica, part.openings)
  const proven = boundedTarget(offered.filter((log) => isProven(replica, fresh, log)))
  row.target = proven.map((log) => ({ ...log, log: fromHex(log.log) }))
  row.openings = part.openings
  row.stretches = proven.map(() => 0)
  return doubtWrites(replica, proven, new TargetChecks(replica.db, row.slot), await readDoubts(replica))
}

/** False if a stretch comes before those that it follows. What fits no target is passed over. */
function takeStretches(row: MailSetRow, part: States, checks: TargetChecks, writes: Write[]): boolean {
  const stretches = stretchesFromWire(part.stretches) ?? []
  const targets = targetOf(row)
  for (const stretch of stretches) {
    const at = targets.findIndex(({ log }) => log === stretch.log)
    const target = targets[at]
    const number = target && stretchNumber(target, stretch)
    if (!target || number === undefined || number < row.stretches[at]!) continue
    if (number > row.stretches[at]!) return false
    const isLast = stretch.from + CHECKS_PER_STRETCH >= target.seq
    if (isLast && !equalBytes(stretch.checks.subarray(-target.check.length), target.check)) continue
    writes.push(checks.write(stretch, number))
    row.stretches[at] = number + 1
  }
  return true
}

/** What a later piece of a large case lacks: only its first one says which changes the case holds. */
const isTail = ({ touched }: Item) => touched.length === 0

/** The cases that are whole with this part, and which parts they came in; undefined while pieces are missing. */
function gatherPieces(watch: Watch, part: States): { items: Item[]; parts: number[] } | undefined {
  if (!part.items.some((item) => item.more || isTail(item))) return { items: part.items, parts: [part.index] }
  watch.pieces.set(part.index, part.items)
  let from = part.index
  let to = part.index
  while (watch.pieces.has(from - 1)) from--
  while (watch.pieces.has(to + 1)) to++
  const parts = Array.from({ length: to - from + 1 }, (_, at) => from + at)
  const pieces = parts.flatMap((index) => watch.pieces.get(index)!)
  if (isTail(pieces[0]!) || pieces[pieces.length - 1]!.more) return undefined
  const items = new ItemAssembly().add(pieces)
  return items && { items, parts }
}

async function draftsOf(replica: Replica, items: Item[], row: MailSetRow): Promise<Map<string, CaseDraft>> {
  const reach = new Map(row.target.map(({ log, seq }) => [toHex(log), seq]))
  const drafts = new Map<string, CaseDraft>()
  await replica.cases.prefetch(items.map((item) => item.key))
  for (const item of items) {
    const draft = await takeItem(replica, item)
    if (!draft) continue
    drafts.set(draft.state.caseId, draft)
    for (const [log, seq] of draft.state.touched)
      if (seq > Math.max(reach.get(log) ?? 0, replica.logs.get(log)?.seq ?? 0)) row.beyond = true
  }
  return drafts
}

const targetOf = (row: MailSetRow): TargetLog[] => row.target.map((log) => ({ ...log, log: toHex(log.log) }))

async function adopt(replica: Replica, row: MailSetRow, isDisturbed: boolean): Promise<LogId[]> {
  const checks = new TargetChecks(replica.db, row.slot)
  const target = targetOf(row).filter(
    ({ from, seq }, at) => row.stretches[at]! * CHECKS_PER_STRETCH >= seq - from,
  )
  const fresh = freshLogs(replica, row.openings)
  const { writes, adopted, isShort } = await adoptTarget(replica, target, fresh, checks)
  const unclaimed = row.beyond || isShort || isDisturbed || target.length < row.target.length
  const meta = { ...replica.meta, unclaimed }
  await replica.db.write([...writes, { key: keys.meta(), value: MetaRow.encode(meta).finish() }])
  replica.meta = meta
  for (const log of adopted) replica.logs.set(log)
  return adopted.map(({ log }) => log)
}
