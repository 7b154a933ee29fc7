/** My own changes: coded once, chained to my log, signed once for each run. */
import { INSPECTION_LIMITS, inspectUpdate } from '../cases/inspect.js'
import { equalBytes, fromHex } from '../protocol/bytes.js'
import type { ChangeRun } from '../protocol/door.js'
import {
  LOG_RANDOM_BYTES,
  MAX_CASE_BYTES,
  MAX_CHANGE_BYTES,
  MAX_PAYLOAD_BYTES,
  MAX_RUN_BYTES,
  MAX_RUN_CHANGES,
  MAX_STATE_BYTES,
} from '../protocol/limits.js'
import {
  KIND_STATE,
  KIND_TOMBSTONE,
  KIND_UPDATE,
  type LogChange,
  nextHead,
  signedHeadBytes,
} from '../protocol/log.js'
import { encodePayload } from '../protocol/payload.js'
import type { CaseDraft } from './case-content.js'
import { commitRuns } from './commit.js'
import type { StoredLog } from './logs.js'
import type { Replica } from './replica.js'
import type { AppendOutcome, LocalChange } from './replica-types.js'

/** A deletion takes two bytes: no smaller update reaches a bound of what is taken in. */
const INSPECT_FROM_BYTES = 2 * INSPECTION_LIMITS.deletions

interface CodedChange {
  change: LocalChange
  payload: Uint8Array
}

/** Appends to my log, in order. The caller runs alone with the store. */
export async function appendChanges(
  replica: Replica,
  changes: LocalChange[],
  myLog: () => Promise<StoredLog>,
): Promise<AppendOutcome> {
  const coded: CodedChange[] = []
  for (const change of changes) {
    const limit = change.kind === KIND_STATE ? MAX_STATE_BYTES : MAX_CHANGE_BYTES
    if (change.update.length > limit || isVoid(change))
      return { ok: false, code: 'too-large', caseId: change.caseId }
    const payload = change.payload ?? encodePayload(replica.natives, change.update)
    if (payload.length > MAX_PAYLOAD_BYTES) return { ok: false, code: 'too-large', caseId: change.caseId }
    if (await isFull(replica, change, payload)) return { ok: false, code: 'case-full', caseId: change.caseId }
    coded.push({ change, payload })
  }
  for (let at = 0; at < coded.length; ) {
    let bytes = 0
    let end = at
    while (end < coded.length && end - at < MAX_RUN_CHANGES && (end === at || bytes < MAX_RUN_BYTES))
      bytes += coded[end++]!.payload.length
    await appendRun(replica, await myLog(), coded.slice(at, end))
    at = end
  }
  return { ok: true }
}

/** It would be void here and everywhere. What is confirmed already goes its way. [D1] */
function isVoid({ kind, isConfirmed, update }: LocalChange): boolean {
  if (kind !== KIND_UPDATE || isConfirmed || update.length < INSPECT_FROM_BYTES) return false
  return 'error' in inspectUpdate(update)
}

async function isFull(
  replica: Replica,
  { kind, isConfirmed, caseId }: LocalChange,
  payload: Uint8Array,
): Promise<boolean> {
  if (kind !== KIND_UPDATE || isConfirmed) return false
  const state = await replica.caseState(replica.keyOf(caseId))
  const stored = state?.parts.reduce((sum, part) => sum + part.bytes, 0) ?? 0
  return stored + payload.length > MAX_CASE_BYTES
}

/** What can't be read can be erased all the same. */
const draftFor = ({ cases, keyOf }: Replica, { kind, caseId }: LocalChange): Promise<CaseDraft> =>
  kind === KIND_TOMBSTONE ? cases.receivingDraft(keyOf(caseId), caseId) : cases.draft(keyOf(caseId), caseId)

async function appendRun(replica: Replica, log: StoredLog, coded: CodedChange[]): Promise<void> {
  const { natives, options } = replica
  const drafts = new Map<string, CaseDraft>()
  const changes: LogChange[] = []
  const heads: Uint8Array[] = []
  let head = log.head
  for (const { change, payload } of coded) {
    const { caseId } = change
    const draft = drafts.get(caseId) ?? (await draftFor(replica, change))
    drafts.set(caseId, draft)
    const logged: LogChange = {
      caseId,
      generation: change.generation ?? draft.state.generation,
      at: options.now(),
      kind: change.kind,
      payload,
    }
    const seq = log.seq + heads.length + 1
    head = nextHead(natives, head, seq, logged)
    heads.push(head)
    changes.push(logged)
    const before = draft.merged.length
    draft.apply(log.log, seq, logged)
    const merged = draft.merged[before]
    if (
      change.from &&
      merged &&
      replica.docs.isCurrent(caseId, change.from) &&
      equalBytes(merged, change.update)
    )
      draft.merged.splice(before, 1)
  }
  const run: ChangeRun = {
    log: log.log,
    from: log.seq,
    changes,
    signature: natives.sign(
      options.device.secret,
      signedHeadBytes(options.practice, fromHex(log.log), log.seq + heads.length, head),
    ),
  }
  await commitRuns(replica, [{ log, run, heads }], drafts, undefined)
}

/** A new log of this device, behind the one it wrote last. */
export function openLog(replica: Replica): StoredLog {
  const { options, currentLog, isCurrentLogMine } = replica
  return replica.logs.fresh({
    device: options.device.ed,
    random: options.random(LOG_RANDOM_BYTES),
    predecessor: currentLog && isCurrentLogMine ? fromHex(currentLog) : new Uint8Array(0),
  })
}
