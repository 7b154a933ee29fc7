/** What this device's logs retain, for a case that is put together anew. */
import { equalBytes } from '../protocol/bytes.js'
import type { CaseDraft } from './case-content.js'
import type { StoredLog } from './logs.js'
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

/** The id of a case whose row can't be read, if any retained change is of it. */
export async function retainedId(replica: Replica, key: Uint8Array): Promise<string | undefined> {
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
