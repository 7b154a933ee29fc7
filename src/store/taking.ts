/** Taking one case's whole state in, as a peer gives it. */
import { inspectUpdate, STATE_LIMITS } from '../cases/inspect.js'
import { equalBytes, fromUtf8, toHex } from '../protocol/bytes.js'
import { fits } from '../protocol/content.js'
import {
  CASE_KEY_BYTES,
  LOG_ID_BYTES,
  MAX_CASE_ID_UNITS,
  MAX_PAYLOAD_BYTES,
  MAX_STATE_BYTES,
} from '../protocol/limits.js'
import type { LogId } from '../protocol/log.js'
import { decodePayload } from '../protocol/payload.js'
import type { Item } from '../protocol/sync.gen.js'
import { type CaseDraft, UNKNOWN_LOG } from './case-content.js'
import { parseRow } from './case-row.js'
import { NO_LOGS } from './foreign.js'
import type { Replica } from './replica.js'

const NONE: ReadonlyMap<LogId, number> = new Map()

/**
 * Merges one case's whole state into what is held.
 *
 * @param parted logs of the target of which the giver holds another branch, and what it counts as at least.
 * @param foreign other logs of which it does.
 * @returns undefined if the item is malformed.
 */
export async function takeItem(
  replica: Replica,
  item: Item,
  parted: ReadonlyMap<LogId, number> = NONE,
  foreign: ReadonlySet<LogId> = NO_LOGS,
): Promise<CaseDraft | undefined> {
  const { caseId } = item
  if (caseId.length === 0 || caseId.length > MAX_CASE_ID_UNITS || item.key.length !== CASE_KEY_BYTES)
    return undefined
  if (!equalBytes(replica.keyOf(caseId), item.key)) return undefined
  if (item.touched.some(({ log }) => log.length !== LOG_ID_BYTES)) return undefined
  // Of a case whose stored bytes are damaged here, what can be read goes on.
  const { cases } = replica
  const draft = cases.newDraft(item.key, caseId) ?? (await cases.draftOrRest(item.key, caseId))
  const held = draft.state.touched
  const touched = item.touched.map(({ log: id, seq }) => {
    const log = toHex(id)
    return { log, seq: Math.max(seq, parted.get(log) ?? 0) }
  })
  const isForeign = touched.some(({ log, seq }) => seq > 0 && foreign.has(log))
  const isHeld = ({ log, seq }: { log: LogId; seq: number }) =>
    seq <= (replica.logs.get(log)?.seq ?? 0) && seq <= (held.get(log) ?? 0) && !parted.has(log)
  const known = touched.length > 0 && !isForeign && touched.every(isHeld)
  const damaged = replica.damaged.size > 0 && replica.damaged.has(toHex(item.key))
  if (known && !damaged && item.erased <= draft.state.erased) return draft
  const wasEmpty = draft.state.parts.length === 0 && draft.state.parked.length === 0
  draft.erase(item.erased)
  const isCurrent = draft.enterGeneration(item.generation)
  if (isCurrent) {
    if (wasEmpty && !replica.docs.isOpen(caseId)) takeWhole(draft, item)
    else {
      await draft.check(replica.db)
      for (const part of item.parts) takePart(replica, draft, part)
    }
    for (const parked of item.parked) draft.takePayload(toHex(parked.log), parked.seq, parked.payload, true)
    draft.retryParked()
  }
  for (const { log, seq } of touched) draft.touch(log, seq)
  if (isForeign) draft.touch(UNKNOWN_LOG, 1)
  if (damaged && isCurrent && isRest(replica, draft, item)) await heal(replica, draft, item)
  const row = parseRow(fromUtf8(item.row) ?? '')
  // The sender's row should be of exactly this content if nothing else was here and every part went in.
  if (wasEmpty && !damaged && draft.state.parts.length === item.parts.length && row) {
    draft.state.row = JSON.stringify(row)
    draft.rowGiven = !replica.docs.isOpen(caseId)
    draft.state.rowUnproven = draft.rowGiven
  }
  return draft
}

/**
 * Is all of the case that I claim in the copy that came, or among the changes that I retain? Its giver may be behind.
 * Of a case that its giver may lack something of, only what mine is known to lack can be told to be there.
 */
function isRest(replica: Replica, draft: CaseDraft, item: Item): boolean {
  const its = new Map(item.touched.map(({ log, seq }) => [toHex(log), seq]))
  if (its.has(UNKNOWN_LOG) && draft.gaps.size === 0) return false
  if (item.generation > draft.base.generation) return true
  return [...draft.base.touched].every(([id, seq]) => {
    const log = replica.logs.get(id)
    const given = its.get(id) ?? 0
    return given >= Math.min(seq, log?.seq ?? 0) || (log?.retainedFrom ?? 0) <= given
  })
}

/**
 * What this device's logs hold of the case is put on top of what is left of the damaged copy and of the one that came:
 * also what that one says it holds, for its giver's may be another branch.
 */
async function heal(replica: Replica, draft: CaseDraft, item: Item): Promise<void> {
  draft.heals = true
  draft.dropParts(draft.gaps)
  // A row that could not be read was counted; most likely it was as this one.
  if (draft.base.touched.has(UNKNOWN_LOG)) draft.rowBefore ||= fromUtf8(item.row) ?? ''
  for (const log of [...replica.logs.all()]) {
    for await (const { seq, row } of replica.logs.readable(log.log, log.retainedFrom, log.seq)) {
      if (row.caseId !== item.caseId) continue
      await draft.check(replica.db)
      draft.apply(log.log, seq, row)
    }
  }
  if (draft.base.parts.length > 0) await draft.unite(replica.db)
}

/** A case that nothing was held of: its bytes are stored as they came, and looked at before they are first used. */
function takeWhole(draft: CaseDraft, item: Item): void {
  // Of any other length a part is void anyway, and might not fit into a message on its way further.
  for (const part of item.parts) if (part.length <= MAX_PAYLOAD_BYTES) draft.addPart(part)
  for (const { client, clock } of item.clocks) draft.state.clocks.set(client, clock)
  draft.state.unchecked = item.parts.length > 0
}

/** One part of a state. It fits if the sender was honest; if not, it waits like any other change. */
function takePart(replica: Replica, draft: CaseDraft, part: Uint8Array): void {
  const update = decodePayload(replica.natives, part, MAX_STATE_BYTES)
  if (!update) return
  const contents = inspectUpdate(update, STATE_LIMITS)
  if ('error' in contents) return
  if (!fits(contents, draft.state.clocks)) {
    draft.takePayload(UNKNOWN_LOG, 0, part, true)
    return
  }
  draft.addPart(part)
  draft.noteClocks(contents)
  draft.merged.push(update)
}
