/** The list row of a case: projected from its content whenever that changes, stored beside it as JSON. */
import type { CaseRow } from '../cases/project.js'
import { projectRow } from '../cases/project.js'
import type { CaseDraft } from './case-content.js'
import { decodeParts, docOf, MissingPartError } from './case-content.js'
import type { Replica } from './replica.js'
import { DamagedError } from './sealed-db.js'

export interface RowCounts {
  /** Cases that are not deleted, archived ones included. */
  total: number
  archived: number
  deleted: number
}

/** The row of a case as this draft leaves it; '' if it has no content (erased, or only parked so far). */
export async function projectCaseRow(replica: Replica, draft: CaseDraft): Promise<string> {
  const { caseId, parts } = draft.state
  const open = replica.docs.catchUp(caseId, draft.merged, draft.dropped)
  if (parts.length === 0) return ''
  const sha256 = replica.natives.sha256
  if (open) return JSON.stringify(projectRow(open, sha256))
  let stored: Uint8Array[]
  try {
    stored = await draft.parts(replica.db)
  } catch (error) {
    if (!(error instanceof MissingPartError || error instanceof DamagedError)) throw error
    // Fetched again from another device; until then the row stays as it was.
    replica.cases.noteDamaged(draft.state.key)
    return draft.state.row
  }
  const doc = docOf(decodeParts(replica.natives, stored, draft.state.unchecked))
  const row = JSON.stringify(projectRow(doc, sha256))
  doc.destroy()
  return row
}

/** Counts one row in or out. */
export function rowCounts(counts: RowCounts, row: string, sign: 1 | -1): void {
  if (row === '') return
  // Quotes inside values are escaped, so these can only be the row's own flags.
  if (row.includes('"deleted":true')) counts.deleted += sign
  else {
    counts.total += sign
    if (row.includes('"archived":true')) counts.archived += sign
  }
}

/** A row as stored or received, or undefined if it isn't one (absent, or made by another version). */
export function parseRow(row: string): CaseRow | undefined {
  if (row === '') return undefined
  try {
    const parsed = JSON.parse(row) as CaseRow
    const texts = [parsed.name, parsed.firstName, parsed.lastName]
    const flags = [parsed.archived, parsed.deleted, parsed.lateEdits]
    const maybe = [parsed.drawer, parsed.lastConsultation].every(
      (text) => text === null || typeof text === 'string',
    )
    const numbers =
      typeof parsed.conflicts === 'number' &&
      (parsed.birthYear === null || typeof parsed.birthYear === 'number')
    return maybe &&
      numbers &&
      texts.every((text) => typeof text === 'string') &&
      flags.every((flag) => typeof flag === 'boolean')
      ? parsed
      : undefined
  } catch {
    return undefined
  }
}
