/** Where the notes of a consultation lie in its case's document. */
import type * as Y from 'yjs'
import { pathOf, TEXT_PREFIX } from '../../src/cases/schema.js'

export function consultationNotes(doc: Y.Doc, consultation: string): Y.Text {
  return doc.getText(TEXT_PREFIX + pathOf('consultations', consultation))
}
