/**
 * Documents that list rows were projected from a moment ago, of cases that nobody has open. The next changes of others
 * often touch the same cases, and need no more of the store then than what they bring. Each belongs to one state of its
 * case, the very one that was written, and is changed or dropped with it.
 */
import * as Y from 'yjs'
import type { CaseDraft } from './case-content.js'
import type { CaseState } from './case-state.js'

/** Of parts as stored; in memory it is some ten times as much. */
const MAX_BYTES = 1024 * 1024
const MAX_DOCUMENTS = 64

interface Kept {
  state: CaseState
  doc: Y.Doc
  bytes: number
}

export class ProjectedDocuments {
  private readonly kept = new Map<string, Kept>()
  private bytes = 0

  /** The document of what the draft began from, with what the draft merged; it is the draft's from now on. */
  taken(draft: CaseDraft): Y.Doc | undefined {
    const kept = this.kept.get(draft.base.caseId)
    if (!kept) return undefined
    this.drop(kept)
    if (kept.state !== draft.base || !draft.addsOnlyMerged) return undefined
    kept.doc.transact(() => {
      for (const update of draft.merged) Y.applyUpdate(kept.doc, update)
    })
    return kept.doc
  }

  /** The drafts are written: the newest documents stay, as far as there is room. */
  keep(drafts: Iterable<CaseDraft>): void {
    for (const { state, projected: doc } of drafts) {
      const older = this.kept.get(state.caseId)
      if (older) this.drop(older)
      const bytes = state.parts.reduce((sum, part) => sum + part.bytes, 0)
      if (!doc || state.unchecked || bytes > MAX_BYTES) continue
      this.kept.set(state.caseId, { state, doc, bytes })
      this.bytes += bytes
      for (const oldest of this.kept.values()) {
        if (this.bytes <= MAX_BYTES && this.kept.size <= MAX_DOCUMENTS) break
        this.drop(oldest)
      }
    }
  }

  clear(): void {
    this.kept.clear()
    this.bytes = 0
  }

  private drop(kept: Kept): void {
    this.kept.delete(kept.state.caseId)
    this.bytes -= kept.bytes
  }
}
