/** What the simulator's devices write: real cases. The abstract simulator has sets instead (abstract/content.ts). */
import type * as Y from 'yjs'
import { createUpdate } from '../../src/cases/create.js'
import { addRecord, restore, setArchived, setDeleted, setFields, typeText } from '../../src/cases/edit.js'
import { nodeNatives } from '../../src/node/natives.js'
import type { Random } from '../support/random.js'

/** Kinds of edits are 0 to this. */
export const LAST_KIND = 9

/** The first update of a case. */
export function beginning(id: string, token: string): Uint8Array {
  const json = { id, patient: { lastName: 'N' }, consultations: [{ id: 'c', text: `${token} start` }] }
  return createUpdate(json, nodeNatives.sha256)
}

/** One edit; see `leavesToken`. */
export function change(doc: Y.Doc, kind: number, token: string, random: Random): unknown {
  if (kind < 5) return typeText(doc, 'c', 0, 0, `${token} `)
  if (kind === 5) return setFields(doc, [['patient.phone', token.replace('T', 'P')]])
  if (kind === 6)
    return addRecord(doc, 'consultation', { date: '2024-01-01', text: token }, token.split('Z')[0]!)
  if (kind === 7) return setArchived(doc, random() < 0.5)
  if (kind === 8) return setDeleted(doc, nodeNatives.sha256)
  return restore(doc)
}

/** Whether an edit of this kind leaves its token in the case for ever. */
export const leavesToken = (kind: number) => kind < 5 || kind === 6
