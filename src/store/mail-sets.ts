/**
 * Transfers of whole states that come by mail, in parts. Content merges at once; the target is adopted only after all
 * parts are in, and only where this device holds each log as far as the transfer begins.
 */
import { fromHex, toHex } from '../protocol/bytes.js'
import type { States } from '../protocol/envelope.gen.js'
import type { LogId } from '../protocol/log.js'
import { targetsFromWire } from '../protocol/wire.js'
import { freshLogs } from './admitting.js'
import type { CaseDraft } from './case-content.js'
import { readDoubts } from './healing.js'
import { keys, rangeOf } from './keyspace.js'
import { MailSetRow, MetaRow } from './records.gen.js'
import type { Replica } from './replica.js'
import type { Write } from './sealed-db.js'
import { adoptTarget, doubtWrites, isProven, takeItem } from './transfers.js'

/** Parts of one transfer: a practice of a million cases has fewer. */
const MAX_PARTS = 65_536
/** Unfinished transfers that are remembered; an older one is offered again by its sender. */
const MAX_SETS = 16
const SET_ID_BYTES = 16

/** Counts what happened since a set began, as far as this process saw it. */
interface Watch {
  cuts: number
  loose: number
}
const watches = new WeakMap<Replica, Map<string, Watch>>()

/** Takes one part in; gives the logs that advanced. undefined: not a part of anything. */
export function takeStates(replica: Replica, part: States): Promise<LogId[] | undefined> {
  const target = targetsFromWire(part.target)
  if (!target || part.set.length !== SET_ID_BYTES || part.index >= MAX_PARTS)
    return Promise.resolve(undefined)
  return replica.exclusive(async () => {
    const key = keys.mailSet(part.set)
    const stored = await replica.db.get(key)
    const row = stored ? MailSetRow.decode(stored) : await newSet(replica)
    const watch = watchOf(replica, toHex(part.set), stored !== undefined)
    if (row.parts.includes(part.index)) return []
    row.parts.push(part.index)
    if (part.last) row.count = part.index + 1
    const writes: Write[] = []
    if (part.index === 0) {
      const proven = target.filter((log) => isProven(replica, freshLogs(replica, part.openings), log))
      row.target = proven.map((log) => ({ ...log, log: fromHex(log.log) }))
      row.openings = part.openings
      writes.push(...doubtWrites(replica, proven, await readDoubts(replica)))
    }
    const drafts = await draftsOf(replica, part, row)
    const whole = row.count > 0 && row.parts.length === row.count
    writes.push({ key, value: whole ? undefined : MailSetRow.encode(row).finish() })
    await replica.commitCases(drafts.values(), writes, { ...replica.meta, unclaimed: true })
    if (!whole) {
      // A transfer that ends meanwhile must not call this content claimed.
      replica.loose++
      watch.loose++
      return []
    }
    watches.get(replica)?.delete(toHex(part.set))
    // A cut fell meanwhile: what this targeted may not be what is held.
    if (watch.cuts !== replica.cuts) return []
    return adopt(replica, row, watch.loose !== replica.loose)
  })
}

async function newSet(replica: Replica): Promise<MailSetRow> {
  const sets: { key: Uint8Array; number: number }[] = []
  for await (const { key, value } of replica.db.rows(rangeOf('y'), () => {}))
    sets.push({ key, number: MailSetRow.decode(value).number })
  sets.sort((a, b) => a.number - b.number)
  const old = sets.slice(0, Math.max(0, sets.length - MAX_SETS + 1))
  await replica.db.write(old.map(({ key }) => ({ key, value: undefined })))
  const number = (sets[sets.length - 1]?.number ?? 0) + 1
  return { target: [], parts: [], count: 0, beyond: replica.meta.unclaimed, number, openings: [] }
}

/** After a restart nothing is known of what happened since: then a scan decides. */
function watchOf(replica: Replica, set: string, isResumed: boolean): Watch {
  const all = watches.get(replica) ?? new Map<string, Watch>()
  watches.set(replica, all)
  const fresh = { cuts: replica.cuts, loose: isResumed ? -1 : replica.loose }
  const watch = all.get(set) ?? fresh
  all.set(set, watch)
  return watch
}

async function draftsOf(replica: Replica, part: States, row: MailSetRow): Promise<Map<string, CaseDraft>> {
  const reach = new Map(row.target.map(({ log, seq }) => [toHex(log), seq]))
  const drafts = new Map<string, CaseDraft>()
  await replica.cases.prefetch(part.items.map((item) => item.key))
  for (const item of part.items) {
    const draft = await takeItem(replica, item)
    if (!draft) continue
    drafts.set(draft.state.caseId, draft)
    for (const [log, seq] of draft.state.touched)
      if (seq > Math.max(reach.get(log) ?? 0, replica.logs.get(log)?.seq ?? 0)) row.beyond = true
  }
  return drafts
}

async function adopt(replica: Replica, row: MailSetRow, isDisturbed: boolean): Promise<LogId[]> {
  const target = row.target.map((log) => ({ ...log, log: toHex(log.log) }))
  const { writes, adopted, isShort } = await adoptTarget(replica, target, freshLogs(replica, row.openings))
  const meta = { ...replica.meta, unclaimed: row.beyond || isShort || isDisturbed }
  await replica.db.write([...writes, { key: keys.meta(), value: MetaRow.encode(meta).finish() }])
  replica.meta = meta
  for (const log of adopted) replica.logs.set(log)
  return adopted.map(({ log }) => log)
}
