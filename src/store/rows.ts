/**
 * List rows that came with a peer's cases: shown at once, so that a first sync shows a list while it runs, and
 * projected from the content when there is time, and before the case is first opened or changed.
 */
import { CaseDraft } from './case-content.js'
import { projectCaseRow } from './case-row.js'
import type { CaseState } from './case-state.js'
import { keys } from './keyspace.js'
import { casesFrom } from './reading.js'
import { MetaRow } from './records.gen.js'
import type { Replica } from './replica.js'

/** Cases that one slice looks at, and how many of them it projects: a few milliseconds each. */
const LOOKED_AT = 400
const PROJECTED = 8

/** Projects the rows of these cases anew. For work that already runs alone. */
export async function proveRows(replica: Replica, states: CaseState[]): Promise<void> {
  const [same, changed]: [CaseDraft[], CaseDraft[]] = [[], []]
  for (const state of states) {
    const draft = new CaseDraft(state, replica.natives)
    draft.state.row = await projectCaseRow(replica, draft)
    draft.state.rowUnproven = false
    draft.rowGiven = true
    ;(draft.state.row === state.row ? same : changed).push(draft)
  }
  // What was right needs nobody's attention.
  await replica.db.write(same.flatMap((draft) => draft.writes()))
  replica.cases.committed(same)
  if (changed.length > 0) await replica.commitCases(changed, [], replica.meta)
}

/** Where a sweep stands: behind which case, and how many unproven rows had ever come when it began. */
export interface SweepPlace {
  after: Uint8Array
  given: number
}

/** A slice of a sweep, alone with the store for its time. Undefined when every row is proven. */
export function sweepRows(replica: Replica, place?: SweepPlace): Promise<SweepPlace | undefined> {
  return replica.exclusive(async () => {
    if (!replica.meta.rowsUnproven) return undefined
    const { after, given } = place ?? { after: new Uint8Array(0), given: replica.cases.unprovenRows }
    const unproven: CaseState[] = []
    let looked = 0
    let next: SweepPlace | undefined
    for await (const state of casesFrom(replica, after)) {
      if (state.rowUnproven) unproven.push(state)
      if (++looked < LOOKED_AT && unproven.length < PROJECTED) continue
      next = { after: state.key, given }
      break
    }
    await proveRows(replica, unproven)
    if (next) return next
    // More have come since it began, perhaps behind it.
    if (given !== replica.cases.unprovenRows)
      return { after: new Uint8Array(0), given: replica.cases.unprovenRows }
    const meta = { ...replica.meta, rowsUnproven: false }
    await replica.db.write([{ key: keys.meta(), value: MetaRow.encode(meta).finish() }])
    replica.meta = meta
    return undefined
  })
}
