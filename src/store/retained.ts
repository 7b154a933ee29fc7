/** What this device's logs retain, for a case that is put together anew. */
import { equalBytes, toHex } from '../protocol/bytes.js'
import type { CaseDraft, CaseState } from './case-content.js'
import { isDamage } from './case-table.js'
import type { RetainedChange, StoredLog } from './logs.js'
import type { Replica } from './replica.js'

/** Can every change of a log behind `from` be read? One that has rotted may be of any case. */
export async function isRetained(replica: Replica, log: StoredLog, from: number): Promise<boolean> {
  if (from < log.retainedFrom) return false
  let last = from
  for await (const { seq } of replica.logs.retained(log.log, from, log.seq)) last = seq
  return last === log.seq
}

/** Puts every change of the case that can be read on top of what is there. */
export async function putRetained(replica: Replica, draft: CaseDraft): Promise<void> {
  for (const log of [...replica.logs.all()]) {
    for await (const { seq, row } of replica.logs.readable(log.log, log.retainedFrom, log.seq)) {
      if (row.caseId !== draft.state.caseId) continue
      await draft.check(replica.db)
      draft.apply(log.log, seq, row)
    }
  }
}

/**
 * What can be read of a case, with what is retained of it.
 *
 * @returns undefined where it can't be read which case that is.
 */
export async function restOf(replica: Replica, key: Uint8Array): Promise<CaseDraft | undefined> {
  const caseId = await readableId(replica, key)
  if (caseId === undefined) return undefined
  const draft = await replica.cases.draftOrRest(key, caseId)
  draft.dropParts(draft.gaps)
  await draft.check(replica.db)
  await putRetained(replica, draft)
  return draft
}

/** Puts what these changes hold of damaged cases into what is left of them: also of those that rotted unnoticed. */
export async function keepOfDamaged(
  replica: Replica,
  changes: () => AsyncIterable<RetainedChange>,
): Promise<void> {
  const { cases, keyOf } = replica
  const ids = new Set<string>()
  for await (const { row } of changes()) ids.add(row.caseId)
  const broken = new Set((await cases.unreadable([...ids].map(keyOf))).map(toHex))
  if (broken.size === 0) return
  const drafts = new Map<string, CaseDraft>()
  for await (const { log, seq, row } of changes()) {
    const { caseId } = row
    if (!broken.has(toHex(keyOf(caseId)))) continue
    const draft = drafts.get(caseId) ?? (await cases.receivingDraft(keyOf(caseId), caseId))
    drafts.set(caseId, draft)
    draft.apply(log, seq, row)
  }
  // Most of it is there already.
  for (const draft of drafts.values()) await draft.unite(replica.db)
  await replica.commitCases(drafts.values(), [], replica.meta)
}

/** The id of a case by its row, or where that can't be read by any retained change of it. */
async function readableId(replica: Replica, key: Uint8Array): Promise<string | undefined> {
  let state: CaseState | undefined
  try {
    state = await replica.caseState(key)
  } catch (error) {
    if (!isDamage(error)) throw error
  }
  return state?.caseId ?? (await retainedId(replica, key))
}

async function retainedId(replica: Replica, key: Uint8Array): Promise<string | undefined> {
  const others = new Set<string>()
  for (const log of [...replica.logs.all()]) {
    for await (const { row } of replica.logs.readable(log.log, log.retainedFrom, log.seq)) {
      if (others.has(row.caseId)) continue
      if (equalBytes(replica.keyOf(row.caseId), key)) return row.caseId
      others.add(row.caseId)
    }
  }
  return undefined
}
