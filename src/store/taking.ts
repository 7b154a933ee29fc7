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
import { askedFor, wasTold } from './asked.js'
import { type CaseDraft, decodeParts, mergeThroughDoc, UNKNOWN_LOG } from './case-content.js'
import { parseRow } from './case-row.js'
import type { Replica } from './replica.js'
import { isRetained, putRetained } from './retained.js'

/** What is known of who gives a case. */
export interface Giver {
  /** Logs of its target of which it holds another branch, and what it counts as at least. */
  parted: ReadonlyMap<LogId, number>
  /** Other logs of which it does. */
  foreign: ReadonlySet<LogId>
  /** How far it surely held each log when the case was read. */
  reach: (log: LogId) => number
}

const UNKNOWN_GIVER: Giver = { parted: new Map(), foreign: new Set(), reach: () => 0 }

/**
 * Merges one case's whole state into what is held.
 *
 * @returns undefined if the item is malformed.
 */
export async function takeItem(
  replica: Replica,
  item: Item,
  giver: Giver = UNKNOWN_GIVER,
): Promise<CaseDraft | undefined> {
  const { parted, foreign } = giver
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
  if (damaged && isCurrent) {
    if (await isRest(replica, draft, item, giver)) await heal(replica, draft, item)
    // Else each copy that is not enough would stay beside the ones before.
    await draft.unite(replica.db)
  }
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
 * Does the case hold anything that nobody would claim for me once a target is adopted? One that stays damaged is restated
 * as a whole when the rest has come back: else two devices would restate what each copy of the other brings, for ever.
 */
export function isBeyond(replica: Replica, draft: CaseDraft, target: ReadonlyMap<LogId, number>): boolean {
  const { logs, damaged } = replica
  if (damaged.size > 0 && !draft.heals && damaged.has(toHex(draft.state.key))) return false
  return [...draft.state.touched].some(
    ([log, seq]) => seq > Math.max(target.get(log) ?? 0, logs.get(log)?.seq ?? 0),
  )
}

/**
 * Is all of the case that I claim in the copy that came, or among the changes that I retain? Its giver may be behind,
 * or may lack something of the case itself. Where what can't be read had a row, that says what is claimed of the case;
 * else it may be anything that I hold.
 */
async function isRest(replica: Replica, draft: CaseDraft, item: Item, giver: Giver): Promise<boolean> {
  const { base, gaps } = draft
  const its = new Map(item.touched.map(({ log, seq }) => [toHex(log), seq]))
  if (its.has(UNKNOWN_LOG)) return false
  const isKnown = gaps.size > 0 && (await askedFor(replica, item.key)) === undefined
  if (isKnown && item.generation > base.generation) return true
  for (const log of replica.logs.all()) {
    const claimed = isKnown ? Math.min(log.seq, base.touched.get(log.log) ?? 0) : log.seq
    const isOther = giver.parted.has(log.log) || giver.foreign.has(log.log)
    const given = isOther ? 0 : Math.max(its.get(log.log) ?? 0, giver.reach(log.log))
    if (given < claimed && !(await isRetained(replica, log, given))) return false
  }
  return true
}

/**
 * What this device's logs hold of the case is put on top of what is left of the damaged copy and of the one that came:
 * also what that one says it holds, for its giver's may be another branch.
 */
async function heal(replica: Replica, draft: CaseDraft, item: Item): Promise<void> {
  draft.heals = true
  draft.dropParts(draft.gaps)
  await putRetained(replica, draft)
  const isNews = (await wasTold(replica, item.key)) || (await hasMore(replica, draft, item))
  if (isNews) draft.touch(UNKNOWN_LOG, 1)
}

/**
 * Is there more in it than in the copy that came? Its giver may have made do with what could be read, and claims what
 * is retained here all the same.
 */
async function hasMore(replica: Replica, draft: CaseDraft, item: Item): Promise<boolean> {
  const { state } = draft
  if (state.generation > item.generation || state.erased > item.erased) return true
  const isGiven = (payload: Uint8Array) => item.parked.some((parked) => equalBytes(parked.payload, payload))
  if (!state.parked.every(({ payload }) => isGiven(payload))) return true
  const given = mergeThroughDoc(decodeParts(replica.natives, item.parts, true))
  return !equalBytes(mergeThroughDoc(await draft.updates(replica.db)), given)
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
