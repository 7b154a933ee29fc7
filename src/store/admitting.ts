/** The door of the store: runs of changes come in, from wherever, judged by protocol/door.ts. */
import { type ChangeRun, judgeRun } from '../protocol/door.js'
import { LOG_RANDOM_BYTES } from '../protocol/limits.js'
import { type LogId, type LogOpening, logIdOf } from '../protocol/log.js'
import type { CaseDraft } from './case-content.js'
import { type AcceptedRun, commitRuns, grownLog } from './commit.js'
import type { StoredLog } from './logs.js'
import type { Replica } from './replica.js'
import type { AdmitOutcome } from './replica-types.js'

/** What one message or letter gives. */
export interface Given {
  openings: LogOpening[]
  runs: ChangeRun[]
}

/** What was accepted so far, and is not written yet. */
interface Taken {
  /** Some log is not held yet. */
  needsOpenings: boolean
  fresh: Map<LogId, StoredLog>
  drafts: Map<string, CaseDraft>
  accepted: AcceptedRun[]
  tips: Map<LogId, StoredLog>
}

/**
 * Takes runs in, what each gives as if it came after the one before, and writes all of it together: each case that
 * they touch is worked on once. The caller runs alone with the store, and acknowledges after a flush.
 */
export async function admitEach(
  replica: Replica,
  given: Given[],
  from: Uint8Array | undefined,
): Promise<AdmitOutcome[]> {
  // An opening comes with every change; to hash it is of use only where a log is not held yet.
  const needsOpenings = given.some(({ runs }) => runs.some(({ log }) => !replica.logs.get(log)))
  const taken: Taken = { needsOpenings, fresh: new Map(), drafts: new Map(), accepted: [], tips: new Map() }
  const ids = new Set(
    given.flatMap(({ runs }) => runs.flatMap((run) => run.changes.map(({ caseId }) => caseId))),
  )
  await replica.cases.prefetch([...ids].map((id) => replica.keyOf(id)))
  const outcomes: AdmitOutcome[] = []
  for (const each of given) outcomes.push(await admitRuns(replica, each, taken))
  const { accepted, drafts } = taken
  if (accepted.length > 0) await commitRuns(replica, accepted, drafts, from)
  return outcomes
}

async function admitRuns(
  replica: Replica,
  { openings, runs }: Given,
  { needsOpenings, fresh, drafts, accepted, tips }: Taken,
): Promise<AdmitOutcome> {
  const outcome: AdmitOutcome = { advanced: [], gaps: [], forks: [], refused: [] }
  if (needsOpenings)
    for (const [id, log] of freshLogs(replica, openings)) if (!fresh.has(id)) fresh.set(id, log)
  for (const given of runs) {
    const log = tips.get(given.log) ?? replica.logs.get(given.log) ?? fresh.get(given.log)
    if (!log) {
      outcome.refused.push(`${given.log}: unknown log`)
      continue
    }
    const run = behind(given, log.seq)
    const verdict = judgeRun(replica.natives, replica.options.practice, log, run)
    switch (verdict.kind) {
      case 'known':
        break
      case 'gap':
        outcome.gaps.push({ log: run.log, from: verdict.from })
        break
      case 'fork':
        outcome.forks.push(run.log)
        break
      case 'refused':
        outcome.refused.push(`${run.log}: ${verdict.reason}`)
        break
      case 'accept': {
        const taken = { ...run, changes: run.changes.slice(0, verdict.heads.length) }
        await applyRun(replica, drafts, taken)
        accepted.push({ log, run: taken, heads: verdict.heads })
        tips.set(run.log, grownLog(log, taken, verdict.heads))
        if (!outcome.advanced.includes(run.log)) outcome.advanced.push(run.log)
        break
      }
    }
  }
  return outcome
}

/** What of a run lies behind the held head. Its signature proves that it follows it. [A1] */
function behind(run: ChangeRun, seq: number): ChangeRun {
  const known = seq - run.from
  if (known <= 0 || known >= run.changes.length) return run
  return { ...run, from: seq, changes: run.changes.slice(known) }
}

/** Authentic changes advance even where the case is damaged here; they wait in it. [A4] */
async function applyRun(replica: Replica, drafts: Map<string, CaseDraft>, run: ChangeRun): Promise<void> {
  for (const [at, change] of run.changes.entries()) {
    const { caseId } = change
    const draft = drafts.get(caseId) ?? (await replica.cases.receivingDraft(replica.keyOf(caseId), caseId))
    draft.isOthers = true
    drafts.set(caseId, draft)
    draft.apply(run.log, run.from + at + 1, change)
  }
}

/** Openings of logs that I don't know yet and whose device belongs to the practice. */
export function freshLogs(replica: Replica, openings: LogOpening[]): Map<LogId, StoredLog> {
  const fresh = new Map<LogId, StoredLog>()
  for (const opening of openings) {
    if (opening.device.length !== 32 || opening.random.length !== LOG_RANDOM_BYTES) continue
    if (opening.predecessor.length !== 0 && opening.predecessor.length !== 16) continue
    const id = logIdOf(replica.natives, opening)
    if (!replica.logs.get(id) && replica.options.isMember(opening.device))
      fresh.set(id, replica.logs.fresh(opening))
  }
  return fresh
}
