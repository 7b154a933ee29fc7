/** What others see of a case: the list row, the interchange form, the fingerprint text. */
import type * as Y from 'yjs'
import { type Conflict, readContent } from './export.js'
import { type CaseJson, canonicalJson, compareText, type Json, put, type Sha256 } from './json.js'
import { hasLateEdits, readLifecycle } from './lifecycle.js'
import { CONTAINERS, RECORD_LISTS } from './schema.js'
import { CaseView } from './view.js'

export type { Conflict } from './export.js'

/** One row of the case list. Dates are as given; `conflicts` counts fields. */
export type CaseRow = {
  name: string
  lastName: string
  firstName: string
  birthYear: number | null
  drawer: string | null
  archived: boolean
  deleted: boolean
  lateEdits: boolean
  conflicts: number
  lastConsultation: string | null
}

/** Projects a case onto its list row. Texts are read only for a deleted or conflicting case. */
export function projectRow(doc: Y.Doc, sha256: Sha256): CaseRow {
  const view = new CaseView(doc)
  const text = (path: string): string => {
    const value = view.fields.get(path)
    return typeof value === 'string' ? value : ''
  }
  const { archived, deleted } = readLifecycle(view)
  const firstName = text('patient/firstName')
  const lastName = text('patient/lastName')
  const year = /^\d{4}/.exec(text('patient/birthDate'))
  const dates = view.list('consultations').map((record) => text(`${record.path}/date`))
  return {
    name: [firstName, lastName].filter(Boolean).join(' '),
    lastName,
    firstName,
    birthYear: year ? Number(year[0]) : null,
    drawer: text('drawer') || null,
    archived: archived ?? false,
    deleted,
    lateEdits: deleted && hasLateEdits(view, sha256),
    conflicts: conflictsIn(view).length,
    lastConsultation: dates.sort(compareText).at(-1) || null,
  }
}

/** The case in interchange form; the id is the caller's, the document doesn't hold it. */
export function exportCase(doc: Y.Doc, id: string): CaseJson {
  const view = new CaseView(doc)
  const { content } = readContent(view)
  const { archived } = readLifecycle(view)
  put(content, 'id', id)
  if (archived !== undefined) put(content, 'archived', archived)
  return content
}

/** One line of an export file, without its line break: equal cases give equal lines. */
export const exportLine = (doc: Y.Doc, id: string): string => canonicalJson(exportCase(doc, id))

/**
 * Canonical text of all that can be seen of a case, conflicts and lifecycle included, for fingerprints: equal
 * documents give equal texts, any visible difference gives different ones.
 */
export function contentText(doc: Y.Doc): string {
  const view = new CaseView(doc)
  const { content, conflicts } = readContent(view)
  const { archived, conflict } = readLifecycle(view)
  return canonicalJson({
    content,
    conflicts: [...conflicts, ...(conflict ? [conflict] : [])] as Json,
    archived: archived ?? null,
    deleted: view.lifecycle.has('deleted') ? view.lifecycle.values('deleted') : false,
  })
}

/** All conflicts that a person can see and settle, by field. */
export const conflictsOf = (doc: Y.Doc): Conflict[] => conflictsIn(new CaseView(doc))

function conflictsIn(view: CaseView): Conflict[] {
  const { conflict } = readLifecycle(view)
  const ofLifecycle = conflict ? [conflict] : []
  const inTwoForms = [...CONTAINERS, ...RECORD_LISTS].some((name) => view.fields.has(name))
  if (!inTwoForms && view.fields.crowded().length === 0) return ofLifecycle
  return [...ofLifecycle, ...readContent(view).conflicts]
}

/** Every text in a case with its dotted place, for searching. */
export function searchText(doc: Y.Doc): { field: string; text: string }[] {
  const found: { field: string; text: string }[] = []
  const visit = (value: Json, field: string): void => {
    if (typeof value === 'string') {
      if (value !== '') found.push({ field, text: value })
    } else if (Array.isArray(value)) {
      for (const inner of value) visit(inner, idOf(inner) === null ? field : `${field}.${idOf(inner)}`)
    } else if (value !== null && typeof value === 'object') {
      for (const [key, inner] of Object.entries(value)) {
        if (key !== 'id' && key !== 'marks' && key !== 'blocks') visit(inner, field ? `${field}.${key}` : key)
      }
    }
  }
  visit(readContent(new CaseView(doc)).content, '')
  return found
}

const idOf = (value: Json): string | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && typeof value.id === 'string'
    ? value.id
    : null
