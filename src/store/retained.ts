/** What this device's logs retain, for a case that is put together anew. */
import { toHex } from '../protocol/bytes.js'
import type { LogId } from '../protocol/log.js'
import type { CaseDraft } from './case-content.js'
import type { CaseState } from './case-state.js'
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

/** What is retained of one case. */
interface RetainedOfCase {
  caseId: string
  /** Changes that follow each other: (from..to]. */
  stretches: { log: LogId; from: number; to: number }[]
}

/**
 * Where the retained changes of each case lie, those that could be read: one look at all that is retained serves every
 * case that is put together anew, and a later one looks only at what has come since. What lies there may be gone, or have
 * rotted by now; another change is never there.
 */
export class RetainedPlaces {
  private readonly byKey = new Map<string, RetainedOfCase>()
  private readonly keyOfId = new Map<string, string>()
  /** How far each log was looked at. */
  private readonly looked = new Map<LogId, number>()

  constructor(private readonly replica: Pick<Replica, 'logs' | 'keyOf'>) {}

  /** Of a case by its key; undefined if nothing is. For work that runs alone. */
  async of(key: Uint8Array): Promise<RetainedOfCase | undefined> {
    const { logs } = this.replica
    for (const { log, retainedFrom, seq: held } of [...logs.all()]) {
      const from = Math.max(retainedFrom, this.looked.get(log) ?? 0)
      for await (const { seq, row } of logs.readable(log, from, held)) this.note(log, seq, row.caseId)
      this.looked.set(log, Math.max(from, held))
    }
    return this.byKey.get(toHex(key))
  }

  private note(log: LogId, seq: number, caseId: string): void {
    const hex = this.keyOfId.get(caseId) ?? toHex(this.replica.keyOf(caseId))
    this.keyOfId.set(caseId, hex)
    const found = this.byKey.get(hex) ?? { caseId, stretches: [] }
    this.byKey.set(hex, found)
    const last = found.stretches.at(-1)
    if (last?.log === log && last.to === seq - 1) last.to = seq
    else found.stretches.push({ log, from: seq - 1, to: seq })
  }
}

/** Forgotten once no case is damaged any more. */
const placesOf = (replica: Replica) => (replica.places ??= new RetainedPlaces(replica))

/** Puts every change of the case that can be read on top of what is there. */
export async function putRetained(replica: Replica, draft: CaseDraft): Promise<void> {
  const found = await placesOf(replica).of(draft.state.key)
  for (const { log, from, to } of found?.stretches ?? []) {
    for await (const { seq, row } of replica.logs.readable(log, from, to)) {
      await draft.check(replica.db)
      draft.apply(log, seq, row)
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
export async function readableId(replica: Replica, key: Uint8Array): Promise<string | undefined> {
  let state: CaseState | undefined
  try {
    state = await replica.caseState(key)
  } catch (error) {
    if (!isDamage(error)) throw error
  }
  return state?.caseId ?? (await placesOf(replica).of(key))?.caseId
}
