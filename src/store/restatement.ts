/** [H2] A case's content as changes that anybody can take in. */
import { MAX_CHANGE_BYTES, MAX_STATE_BYTES } from '../protocol/limits.js'
import { KIND_STATE, KIND_TOMBSTONE } from '../protocol/log.js'
import { decodePayload } from '../protocol/payload.js'
import { type CaseDraft, decodeParts, mergeThroughDoc } from './case-content.js'
import type { LocalChange, Replica } from './replica.js'

/** A case's whole content as changes, and which of its parts they stand for. */
export interface Restatement {
  changes: LocalChange[]
  parts: { old: Set<number>; restated: number }
}

/**
 * The changes that carry a case's whole content: a tombstone or its state, and what waits in it. That is restated as
 * states, too: it may have come as a part of one, and be more than a change may be.
 */
export async function restatement(replica: Replica, draft: CaseDraft): Promise<Restatement> {
  const { state } = draft
  const { caseId } = state
  const changes: LocalChange[] = []
  const add = (payload: Uint8Array) => {
    const update = decodePayload(replica.natives, payload, MAX_STATE_BYTES)
    if (update) changes.push({ caseId, kind: KIND_STATE, update, payload })
  }
  // Nothing can be read of its generation: it was erased up to here, or began anew with what is void or waits. What
  // came before is gone for good either way.
  if (state.generation > 0 && state.parts.length === 0) {
    changes.push({
      caseId,
      kind: KIND_TOMBSTONE,
      update: new Uint8Array(0),
      generation: state.generation - 1,
    })
  }
  const before = changes.length
  if (state.parts.length > 0) {
    const parts = await draft.parts(replica.db)
    const update = mergeThroughDoc(decodeParts(replica.natives, parts))
    if (update.length <= MAX_CHANGE_BYTES) changes.push({ caseId, kind: KIND_STATE, update })
    // What would outgrow one change goes as several states: each part was taken in one.
    else for (const part of parts) add(part)
  }
  const restated = changes.length - before
  for (const { payload } of state.parked) add(payload)
  return { changes, parts: { old: new Set(state.parts.map(({ number }) => number)), restated } }
}
