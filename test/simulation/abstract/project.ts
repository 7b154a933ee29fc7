/** Stands for src/cases/project.ts in the abstract simulator: a case is the sorted list of its tokens. */
import type { CaseRow } from '../../../src/cases/project.js'
import type { Doc } from './yjs.js'

/** Every token, those that were deleted with a mark. */
export function contentText(doc: Doc): string {
  return doc.operations
    .map((operation) => (doc.isDeleted(operation) ? `-${operation.token}` : operation.token))
    .sort()
    .join(' ')
}

export function projectRow(doc: Doc): CaseRow {
  return {
    name: `${doc.operations.length}`,
    lastName: `${doc.deletions.length}`,
    firstName: '',
    birthYear: null,
    drawer: null,
    archived: doc.deletions.length % 2 === 1,
    deleted: false,
    lateEdits: false,
    conflicts: 0,
    lastConsultation: null,
  }
}

export const exportLine = (doc: Doc, id: string): string => `${id}: ${contentText(doc)}`
