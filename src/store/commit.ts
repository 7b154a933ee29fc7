/**
 * Writing what was taken in: drafts of cases, and the runs of changes that they come from.
 *
 *  [S3] applying is atomic: content, list row, touched, frontier in one batch.
 */
import { concat, toHex } from '../protocol/bytes.js'
import type { ChangeRun } from '../protocol/door.js'
import { encoded } from '../protocol/encode.js'
import { COMPACT_PARTS } from '../protocol/limits.js'
import { checkOf, type LogId } from '../protocol/log.js'
import { askedFor, isLackedElsewhere, unaskedWrites, wholeWrites } from './asked.js'
import { type CaseDraft, UNKNOWN_LOG } from './case-content.js'
import { LOST_ROW, projectCaseRow, type RowCounts, rowCounts } from './case-row.js'
import { isDamage } from './case-table.js'
import { keys } from './keyspace.js'
import { logWrite, type StoredLog } from './logs.js'
import { ChangeRow, MetaRow } from './records.gen.js'
import type { Replica } from './replica.js'
import type { Write } from './sealed-db.js'

/** A run that was judged, with its log as it stood before and the head of each of its changes. */
export interface AcceptedRun {
  log: StoredLog
  run: ChangeRun
  heads: Uint8Array[]
}

/** [S3] One batch for runs and the cases they touch. */
export async function commitRuns(
  replica: Replica,
  accepted: AcceptedRun[],
  drafts: Map<string, CaseDraft>,
  from: Uint8Array | undefined,
): Promise<void> {
  const writes: Write[] = []
  const tips = new Map<LogId, StoredLog>()
  let order = replica.meta.order
  for (const { log, run, heads } of accepted) {
    const tip = tips.get(log.log) ?? log
    let grown = grownLog(tip, run, heads)
    // What is retained while nobody else is left goes with the next pruning, not in the midst of this.
    if (replica.options.hasOthers() || tip.retainedFrom < tip.seq) {
      for (const [at, change] of run.changes.entries()) {
        const last = at === run.changes.length - 1
        const row = encoded(ChangeRow, {
          ...change,
          check: checkOf(heads[at]!),
          signature: last ? run.signature : new Uint8Array(0),
          order: order++,
        })
        writes.push({ key: keys.change(run.log, run.from + at + 1), value: row })
      }
    } else {
      writes.push(...(await replica.logs.checkWrites(tip.log, tip.seq, concat(heads.map(checkOf)))))
      grown = { ...grown, retainedFrom: grown.seq }
    }
    tips.set(run.log, grown)
  }
  for (const tip of tips.values()) writes.push(logWrite(tip))
  const meta = { ...replica.meta, order }
  await commitCases(replica, drafts.values(), writes, meta)
  for (const tip of tips.values()) replica.logs.set(tip)
  replica.projected.keep(drafts.values())
  replica.events.grown?.({
    runs: accepted.map(({ log, run }) => ({ run, opening: log })),
    caseKeys: [...drafts.values()].map((draft) => draft.state.key),
    from,
  })
}

/** Compacts, projects rows, writes everything with `writes` in one batch, then lets memory follow. */
export async function commitCases(
  replica: Replica,
  drafts: Iterable<CaseDraft>,
  writes: Write[],
  meta: MetaRow,
): Promise<void> {
  const { cases } = replica
  const list = [...drafts]
  let written: { next: MetaRow; outdated: Uint8Array[] }
  try {
    written = await writeCases(replica, list, writes, meta)
  } catch (error) {
    // Open documents have it already. What could not be stored must not stay there, nor must what is typed build on it.
    for (const draft of list) replica.docs.forget(draft.state.caseId)
    throw error
  }
  const { next, outdated } = written
  replica.meta = next
  replica.storedMeta = next
  cases.committed(list)
  for (const key of outdated) if (cases.damaged.has(toHex(key))) cases.askAgain(key)
  if (cases.damaged.size === 0) replica.places = undefined
  // Somebody builds on what nobody could give here: else it would wait unseen.
  for (const { base, state } of list)
    if (base.parked.length === 0 && state.parked.length > 0 && cases.hasEnded(state.key))
      if (!cases.damaged.has(toHex(state.key))) replica.events.ended?.('waiting')
  replica.events.cases?.(list.map((draft) => draft.state.caseId))
}

async function writeCases(
  replica: Replica,
  list: CaseDraft[],
  writes: Write[],
  meta: MetaRow,
): Promise<{ next: MetaRow; outdated: Uint8Array[] }> {
  const { cases, db } = replica
  const isMarked = (draft: CaseDraft) => cases.damaged.size > 0 && cases.damaged.has(toHex(draft.state.key))
  for (const draft of list)
    if (draft.isBegunAnew && !draft.heals && isMarked(draft)) await beginAnew(replica, draft)
  const counts: RowCounts = { total: meta.total, archived: meta.archived, deleted: meta.deleted }
  for (const draft of list) {
    if (!draft.rowGiven) {
      draft.state.row = await projectCaseRow(replica, draft)
      draft.state.rowUnproven = false
    }
    if (draft.state.parts.length > COMPACT_PARTS) await compact(replica, draft)
    // A row that can't be read was counted; most likely it was as the new one.
    const lost = draft.hadParts ? draft.state.row || LOST_ROW : ''
    rowCounts(counts, draft.isRowLost ? lost : draft.base.row, -1)
    rowCounts(counts, draft.state.row, +1)
    writes.push(...draft.writes())
  }
  // To seal all of it and hand it to the database takes longer than to pass it on to a window.
  const { whenShown } = replica.options
  if (whenShown && list.some((draft) => draft.isOthers && replica.docs.isWatched(draft.state.caseId)))
    await whenShown()
  const rowsUnproven = meta.rowsUnproven || list.some((draft) => draft.state.rowUnproven)
  const next = { ...meta, ...counts, rowsUnproven, running: meta.running || replica.mustLeaveLog }
  const outdated: Uint8Array[] = []
  // The mark must outlive the damaged bytes that a new row replaces.
  if (list.some(isMarked)) {
    for (const { isRowLost, hasRotted, state } of list.filter(isMarked)) {
      const asked = await askedFor(replica, state.key)
      // From here on a row is there again, but it doesn't say what was claimed of the case.
      if (isRowLost && !asked) writes.push(...unaskedWrites([state.key]))
      if (hasRotted && asked && asked.length > 0) outdated.push(state.key)
    }
    writes.push(...unaskedWrites(outdated))
    const healed = list.filter((draft) => draft.heals && isMarked(draft))
    writes.push(cases.damagedWrite(healed.map((draft) => draft.state.key)))
    for (const { state } of healed) {
      // Who gave it may have made do with less.
      if (await isLackedElsewhere(replica, state.key)) writes.push(cases.endedWrite(state.key))
      writes.push(...wholeWrites(state.key))
    }
  }
  if (replica.meta !== replica.storedMeta || !isSame(next, replica.meta))
    writes.push({ key: keys.meta(), value: encoded(MetaRow, next) })
  await db.write(writes)
  return { next, outdated }
}

/** A damaged case was erased, or a newer generation has begun: nothing of what was held is missing any more. */
async function beginAnew(replica: Replica, draft: CaseDraft): Promise<void> {
  const { gaps, state } = draft
  // Where it isn't known what was held, that may have been of a newer generation still.
  if (gaps.size === 0 || (await askedFor(replica, state.key))) return
  draft.heals = true
  state.touched.delete(UNKNOWN_LOG)
}

async function compact({ cases, db }: Replica, draft: CaseDraft): Promise<void> {
  try {
    await draft.compact(db)
  } catch (error) {
    if (!isDamage(error)) throw error
    cases.noteDamaged(draft.state.key)
  }
}

function isSame(a: MetaRow, b: MetaRow): boolean {
  return (Object.keys(a) as (keyof MetaRow)[]).every((name) => a[name] === b[name])
}

export function grownLog(log: StoredLog, run: ChangeRun, heads: Uint8Array[]): StoredLog {
  const head = heads[heads.length - 1]!
  const grown = { ...log, seq: run.from + heads.length, check: checkOf(head) }
  // At its cut a log ends: no head to go on from, and the run's signature is of one further on.
  const ended = log.cut !== undefined && grown.seq >= log.cut.seq
  const none = new Uint8Array(0)
  return ended ? { ...grown, head: none, signature: none } : { ...grown, head, signature: run.signature }
}
