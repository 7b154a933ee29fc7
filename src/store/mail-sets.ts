/**
 * Transfers of whole states that come by mail, in parts. Parts are taken in their order, whatever order they come in.
 * Content merges at once; the target is adopted only after all parts are in, and only where this device holds each log
 * as far as the transfer begins.
 */
import { equalBytes, fromHex, toHex } from '../protocol/bytes.js'
import type { States } from '../protocol/envelope.gen.js'
import type { LogClaim } from '../protocol/frontier.js'
import { contentBytes, ItemAssembly } from '../protocol/items.js'
import {
  CASE_KEY_BYTES,
  CHECKS_PER_STRETCH,
  MAX_CASE_STATE_BYTES,
  MAX_DAMAGED,
  MAX_PAYLOAD_BYTES,
  MAX_WANTED,
} from '../protocol/limits.js'
import type { LogId } from '../protocol/log.js'
import type { Item } from '../protocol/sync.gen.js'
import { boundedTarget, stretchNumber, type TargetLog } from '../protocol/transfer.js'
import { claimsFromWire, stretchesFromWire, targetsFromWire } from '../protocol/wire.js'
import { freshLogs } from './admitting.js'
import { adoptTarget, isProven } from './adopting.js'
import { unaskedWrites } from './asked.js'
import type { CaseDraft } from './case-content.js'
import { besideWrites, claimWrites, doubtWrites, partedLogs, readDoubts, type SaidClaims } from './doubts.js'
import { beginnings, ForeignLogs, foreignOfCases, heldBefore, reachOf } from './foreign.js'
import { keys, rangeOf } from './keyspace.js'
import { isAsFar, type TakenAnswer } from './mail-answers.js'
import { MailSetRow, MetaRow } from './records.gen.js'
import type { Replica } from './replica.js'
import type { Write } from './sealed-db.js'
import { isBeyond, takeItem } from './taking.js'
import { TargetChecks } from './target-checks.js'

/** Parts of one transfer: a practice of a million cases has fewer. */
const MAX_PARTS = 65_536
/** Unfinished transfers that are remembered; an older one is offered again by its sender. */
const MAX_SETS = 16
const SET_ID_BYTES = 16
/** Slots of checks below this belong to direct transfers. */
const FIRST_SLOT = 2

/** `waits`: it can't be taken before another part has come. */
export type TakenStates =
  | { kind: 'taken'; advanced: LogId[]; answer?: TakenAnswer }
  | { kind: 'waits' }
  | { kind: 'useless' }

/** Finished ones that are remembered: a part that a relay repeats begins nothing anew. */
const KEPT_DONE = 64
/** Sets of which pieces of a case are in memory at a time. */
const MAX_GATHERING = 2

/** A case of the largest size, with what stands around it in its first and last part. */
const MAX_GATHERED_BYTES = MAX_CASE_STATE_BYTES + 2 * MAX_PAYLOAD_BYTES

/** What this process saw of a set: what happened since it began, and pieces of a case that is too large for one part. */
interface Watch {
  cuts: number
  loose: number
  /** When its target was noted as doubted: `Replica.doubtsGone` then. */
  notedAt: number
  /** What its claims show; undefined until they are needed. */
  foreign: ForeignLogs | undefined
  /** What its parts claim that came to their sender after part 0. */
  said: SaidClaims
  /** Parts that follow those which are in; the case that they hold is not whole yet. */
  pieces: Item[][]
}
class Watches {
  readonly bySet = new Map<string, Watch>()
  private done: string[] = []

  isDone(set: string): boolean {
    return this.done.includes(set)
  }

  finish(set: string): void {
    this.bySet.delete(set)
    this.done = [...this.done, set].slice(-KEPT_DONE)
  }

  /** Pieces of older sets are dropped: they come again. */
  gather(watch: Watch): void {
    const gathering = [...this.bySet.values()].filter((each) => each !== watch && each.pieces.length > 0)
    for (const old of gathering.slice(0, Math.max(0, gathering.length + 1 - MAX_GATHERING))) old.pieces = []
  }
}
const watches = new WeakMap<Replica, Watches>()

/** Takes one part in. */
export function takeStates(replica: Replica, part: States): Promise<TakenStates> {
  const target = targetsFromWire(part.target)
  const claims = claimsFromWire(part.claims)
  if (!target || !claims || part.set.length !== SET_ID_BYTES || part.index >= MAX_PARTS)
    return Promise.resolve({ kind: 'useless' })
  return replica.exclusive(async () => {
    const set = toHex(part.set)
    const seen = watches.get(replica) ?? new Watches()
    watches.set(replica, seen)
    if (seen.isDone(set)) return { kind: 'taken', advanced: [] }
    const key = keys.mailSet(part.set)
    const stored = await replica.db.get(key)
    if (!stored && part.index > 0) return { kind: 'waits' }
    const row = stored ? MailSetRow.decode(stored) : await newSet(replica, seen)
    const watch = watchOf(replica, seen, set, stored !== undefined)
    if (part.index < row.parts) return { kind: 'taken', advanced: [] }
    if (part.index !== row.parts + watch.pieces.length) return { kind: 'waits' }
    const whole = gatherPieces(seen, watch, part)
    if (whole === 'too-large') return { kind: 'useless' }
    if (!whole) return { kind: 'waits' }
    const missing = isAnswer(part) || !part.last ? [] : soundKeys(part.missing)
    // So many have not rotted: nobody holds ever more names because a member says so.
    if (tooMany(replica, missing)) return { kind: 'useless' }
    const writes: Write[] = []
    const checks = new TargetChecks(replica.db, row.slot)
    const isFirst = part.index === 0
    const given = isFirst ? beginSet(replica, row, part, target, claims) : targetOf(row)
    const { doubtsGone } = replica
    // Content that comes after doubts were given up is doubted like what came before.
    if (isFirst || watch.notedAt !== doubtsGone) {
      const doubts = await readDoubts(replica)
      const beside = besideWrites(replica, claimsOf(row), doubts)
      writes.push(...(await doubtWrites(replica, given, checks, doubts)), ...beside)
      // Nothing that is adopted confirms these.
      row.beyond ||= beside.length > 0
    }
    takeStretches(row, part, checks, writes)
    if (isFirst || !watch.foreign) watch.foreign = new ForeignLogs(replica, claimsOf(row))
    const before = heldBefore(targetOf(row), claimsOf(row))
    const later = isFirst ? [] : claims
    const foreignOf = await foreignOfCases(replica, later, before, await watch.foreign.among())
    const drafts = await draftsOf(replica, whole, row, foreignOf)
    writes.push(...(await claimWrites(replica, later, watch.said, before)))
    row.parts = part.index + 1
    writes.push({ key, value: part.last ? undefined : MailSetRow.encode(row).finish() })
    await replica.commitCases(drafts.values(), writes, { ...replica.meta, unclaimed: true })
    watch.notedAt = doubtsGone
    watch.pieces = []
    if (!part.last) {
      // A transfer that ends meanwhile must not call this content claimed.
      replica.loose++
      watch.loose++
      return { kind: 'taken', advanced: [] }
    }
    seen.finish(set)
    // A cut that fell meanwhile: what this targeted may not be what is held.
    const advanced =
      watch.cuts === replica.cuts ? await adopt(replica, row, missing, watch.loose !== replica.loose) : []
    await checks.clear()
    return { kind: 'taken', advanced, ...(await answerOf(replica, row, part)) }
  })
}

const isAnswer = ({ answers }: States) => answers.length > 0

async function answerOf(replica: Replica, row: MailSetRow, part: States): Promise<{ answer?: TakenAnswer }> {
  if (!isAnswer(part)) return {}
  const missing = soundKeys(part.missing.slice(0, MAX_WANTED))
  return { answer: { asking: part.answers, missing, isAsFar: await isAsFar(replica, claimsOf(row)) } }
}

const soundKeys = (given: Uint8Array[]) => given.filter((key) => key.length === CASE_KEY_BYTES)

/** With these more would be marked than may be. */
function tooMany({ damaged }: Replica, missing: Uint8Array[]): boolean {
  const marked = new Set([...damaged.keys(), ...missing.map(toHex)]).size
  return marked > MAX_DAMAGED && marked > damaged.size
}

async function newSet(replica: Replica, seen: Watches): Promise<MailSetRow> {
  const sets: { key: Uint8Array; row: MailSetRow }[] = []
  for await (const { key, value } of replica.db.rows(rangeOf('y'), () => {}))
    sets.push({ key, row: MailSetRow.decode(value) })
  sets.sort((a, b) => a.row.number - b.row.number)
  const kept = sets.slice(-(MAX_SETS - 1))
  const old = sets.slice(0, sets.length - kept.length)
  await replica.db.write(old.map(({ key }) => ({ key, value: undefined })))
  for (const { key } of old) seen.bySet.delete(toHex(key.slice(-SET_ID_BYTES)))
  const used = new Set(kept.map(({ row }) => row.slot))
  let slot = FIRST_SLOT
  while (used.has(slot)) slot++
  await new TargetChecks(replica.db, slot).clear()
  const number = (sets[sets.length - 1]?.row.number ?? 0) + 1
  const beyond = replica.meta.unclaimed
  return { target: [], parts: 0, beyond, number, openings: [], slot, stretches: [], claims: [] }
}

/** After a restart nothing is known of what happened since: then a scan decides. */
function watchOf(replica: Replica, seen: Watches, set: string, isResumed: boolean): Watch {
  const fresh = {
    cuts: replica.cuts,
    loose: isResumed ? -1 : replica.loose,
    notedAt: -1,
    foreign: undefined,
    said: new Map(),
    pieces: [],
  }
  const watch = seen.bySet.get(set) ?? fresh
  seen.bySet.set(set, watch)
  return watch
}

/** What is doubted with it: of my own log, too, for it may be of a time before my folder was restored. */
function beginSet(
  replica: Replica,
  row: MailSetRow,
  part: States,
  offered: TargetLog[],
  claims: LogClaim[],
): TargetLog[] {
  const fresh = freshLogs(replica, part.openings)
  const proven = boundedTarget(offered.filter((log) => isProven(replica, fresh, log)))
  const adoptable = proven.filter(({ log }) => log !== replica.liveLog)
  row.target = adoptable.map((log) => ({ ...log, log: fromHex(log.log) }))
  row.openings = part.openings
  row.stretches = adoptable.map(() => 0)
  row.claims = [...beginnings(proven), ...claims].map((claim) => ({ ...claim, log: fromHex(claim.log) }))
  return proven
}

/** What fits no target, or doesn't follow what is here, is passed over, and its log drops out. */
function takeStretches(row: MailSetRow, part: States, checks: TargetChecks, writes: Write[]): void {
  const targets = targetOf(row)
  for (const stretch of stretchesFromWire(part.stretches) ?? []) {
    const at = targets.findIndex(({ log }) => log === stretch.log)
    const target = targets[at]
    const number = target && stretchNumber(target, stretch)
    if (!target || number === undefined || number !== row.stretches[at]!) continue
    const isLast = stretch.from + CHECKS_PER_STRETCH >= target.seq
    if (isLast && !equalBytes(stretch.checks.subarray(-target.check.length), target.check)) continue
    writes.push(checks.write(stretch, number))
    row.stretches[at] = number + 1
  }
}

/** The cases that are whole with this part; undefined while pieces are missing. */
function gatherPieces(seen: Watches, watch: Watch, part: States): Item[] | 'too-large' | undefined {
  const isOpen = part.items.at(-1)?.more === true
  if (isOpen && (part.last || part.index === 0)) return 'too-large'
  const parts = [...watch.pieces, part.items]
  const bytes = parts.flat().reduce((sum, item) => sum + contentBytes(item), 0)
  if (bytes > MAX_GATHERED_BYTES) {
    watch.pieces = []
    return 'too-large'
  }
  if (isOpen) {
    watch.pieces = parts
    seen.gather(watch)
    return undefined
  }
  return new ItemAssembly().add(parts.flat()) ?? 'too-large'
}

async function draftsOf(
  replica: Replica,
  items: Item[],
  row: MailSetRow,
  foreignOf: (item: Item) => ReadonlySet<LogId>,
): Promise<Map<string, CaseDraft>> {
  const reach = new Map(row.target.map(({ log, seq }) => [toHex(log), seq]))
  const drafts = new Map<string, CaseDraft>()
  const parted = await partedLogs(replica, targetOf(row), new TargetChecks(replica.db, row.slot))
  await replica.cases.prefetch(items.map((item) => item.key))
  const giver = { parted, reach: reachOf(claimsOf(row), targetOf(row)) }
  for (const item of items) {
    const draft = await takeItem(replica, item, { ...giver, foreign: foreignOf(item) })
    if (!draft) continue
    drafts.set(draft.state.caseId, draft)
    row.beyond ||= isBeyond(replica, draft, reach)
  }
  return drafts
}

const claimsOf = (row: MailSetRow): LogClaim[] =>
  row.claims.map((claim) => ({ ...claim, log: toHex(claim.log) }))
const targetOf = (row: MailSetRow): TargetLog[] => row.target.map((log) => ({ ...log, log: toHex(log.log) }))

async function adopt(
  replica: Replica,
  row: MailSetRow,
  missing: Uint8Array[],
  isDisturbed: boolean,
): Promise<LogId[]> {
  const checks = new TargetChecks(replica.db, row.slot)
  const target = targetOf(row).filter(
    ({ from, seq }, at) => row.stretches[at]! * CHECKS_PER_STRETCH >= seq - from,
  )
  const fresh = freshLogs(replica, row.openings)
  const { writes, adopted, isShort } = await adoptTarget(replica, target, fresh, checks)
  const unclaimed = row.beyond || isShort || isDisturbed || target.length < row.target.length
  const meta = { ...replica.meta, unclaimed }
  // [T1] Of these something may be claimed from now on that was not given.
  if (adopted.length > 0 && missing.length > 0) {
    for (const each of missing) replica.cases.markAnew(each)
    writes.push(replica.cases.damagedWrite(), ...unaskedWrites(missing))
  }
  await replica.db.write([...writes, { key: keys.meta(), value: MetaRow.encode(meta).finish() }])
  replica.meta = meta
  for (const log of adopted) replica.logs.set(log)
  return adopted.map(({ log }) => log)
}
