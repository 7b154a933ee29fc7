/** The list row of a case: projected from its content whenever that changes, stored beside it as JSON. */
import type * as Y from 'yjs'
import type { CaseRow } from '../cases/project.js'
import { projectRow } from '../cases/project.js'
import type { CaseDraft } from './case-content.js'
import { docOf, MissingPartError } from './case-content.js'
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
  if (open) {
    // Letters change a row only where it compares texts.
    const isStale = replica.docs.takeStaleRow(caseId)
    return !isStale && isPlainRow(draft.state.row)
      ? draft.state.row
      : JSON.stringify(projectRow(open, sha256))
  }
  let doc: Y.Doc
  try {
    doc = replica.projected.taken(draft) ?? docOf(await draft.updates(replica.db))
  } catch (error) {
    if (!(error instanceof MissingPartError || error instanceof DamagedError)) throw error
    // Fetched again from another device; until then the row stays as it was.
    replica.cases.noteDamaged(draft.state.key)
    return draft.state.row
  }
  const row = JSON.stringify(projectRow(doc, sha256))
  if (draft.isOthers) draft.projected = doc
  else doc.destroy()
  return row
}

/** The row of a case without conflicts that isn't deleted. Quotes inside values are escaped: these are its own flags. */
export const isPlainRow = (row: string) => row.includes('"deleted":false') && row.includes('"conflicts":0,')

/** Stands for one that can't be read: most are counted like this. */
export const LOST_ROW = '{}'

/** Counts one row in or out. None below nothing: a row that could not be read may have been counted otherwise. */
export function rowCounts(counts: RowCounts, row: string, sign: 1 | -1): void {
  if (row === '') return
  const count = (name: keyof RowCounts) => {
    counts[name] = Math.max(0, counts[name] + sign)
  }
  // Quotes inside values are escaped, so these can only be the row's own flags.
  if (row.includes('"deleted":true')) count('deleted')
  else {
    count('total')
    if (row.includes('"archived":true')) count('archived')
  }
}

const ROW_SHAPE: { [K in keyof CaseRow]: (value: unknown) => value is CaseRow[K] } = {
  name: isText,
  lastName: isText,
  firstName: isText,
  birthYear: (value) => value === null || isCount(value),
  drawer: isMaybeText,
  archived: isFlag,
  deleted: isFlag,
  lateEdits: isFlag,
  conflicts: isCount,
  lastConsultation: isMaybeText,
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}
function isMaybeText(value: unknown): value is string | null {
  return value === null || typeof value === 'string'
}
function isFlag(value: unknown): value is boolean {
  return typeof value === 'boolean'
}
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/**
 * A row as stored or received, or undefined if it isn't one (absent, or made by another version). Nothing but what
 * belongs there, in the order in which rows are made.
 */
export function parseRow(row: string): CaseRow | undefined {
  if (row === '') return undefined
  let parsed: unknown
  try {
    parsed = JSON.parse(row)
  } catch {
    return undefined
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined
  const given = parsed as Record<string, unknown>
  const made: Record<string, unknown> = {}
  for (const [key, isRight] of Object.entries(ROW_SHAPE)) {
    if (!Object.hasOwn(given, key) || !isRight(given[key])) return undefined
    made[key] = given[key]
  }
  return made as CaseRow
}
