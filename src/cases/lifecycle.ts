/**
 * Archived and deleted: facts beside the content, so that neither hides an edit.
 *
 * Each deletion keeps the fingerprint of the content that was deleted. A deleted case whose content now matches none
 * of them was edited late, somewhere where the deletion was not yet known.
 */
import type * as Y from 'yjs'
import { type Conflict, readContent } from './export.js'
import { canonicalJson, type Json, type Sha256, utf8 } from './json.js'
import { CaseView } from './view.js'

/** `archived` is undefined while it was never given. */
export type Lifecycle = { archived: boolean | undefined; deleted: boolean; conflict: Conflict | null }

/** Of two concurrent words on archiving, the one that leaves the case in sight stands. */
export function readLifecycle(view: CaseView): Lifecycle {
  const values = view.lifecycle.values('archived').filter((value) => typeof value === 'boolean')
  const archived = values.length === 0 ? undefined : values.every((value) => value)
  const conflict = values.length > 1 ? { field: 'archived', value: false, others: [true] } : null
  return { archived, deleted: view.lifecycle.has('deleted'), conflict }
}

/** Fingerprint of everything in the case that a person can edit, the lifecycle left out. */
function editFingerprint(view: CaseView, sha256: Sha256): string {
  const { content, conflicts } = readContent(view)
  const digest = sha256(utf8(canonicalJson([content, conflicts as Json])))
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** True when a deleted case holds an edit that no deletion has seen. */
export function hasLateEdits(view: CaseView, sha256: Sha256): boolean {
  if (!view.lifecycle.has('deleted')) return false
  return !view.lifecycle.values('deleted').includes(editFingerprint(view, sha256))
}

/** Archives or unarchives. Writes nothing when that is already so. */
export function setArchived(doc: Y.Doc, on: boolean): void {
  doc.transact(() => {
    const view = new CaseView(doc)
    if (on || view.lifecycle.has('archived')) view.lifecycle.set('archived', on)
  })
}

/** Deletes the case, or, after late edits, confirms the deletion. Else writes nothing. */
export function setDeleted(doc: Y.Doc, sha256: Sha256): void {
  doc.transact(() => {
    const view = new CaseView(doc)
    if (view.lifecycle.has('deleted') && !hasLateEdits(view, sha256)) return
    view.lifecycle.set('deleted', editFingerprint(view, sha256))
  })
}

/** Takes every deletion known here back. */
export function restore(doc: Y.Doc): void {
  doc.transact(() => new CaseView(doc).lifecycle.clear('deleted'))
}
