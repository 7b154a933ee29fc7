/** The notes of one consultation: a plain field, bound letter by letter to the case's document. */
import { useEffect, useRef } from 'react'
import type { Doc } from 'yjs'
import { consultationText } from '../../src/cases/edit.js'
import { NotesBinding, type NotesField } from '../editor/binding.js'
import type { CaseDoc } from '../editor/case-doc.js'
import { refusalSentence } from '../words/refusals.js'
import { useStore, useSurroundings } from './context.js'

interface NotesEditorProps {
  caseDoc: CaseDoc
  consultation: string
  readOnly: boolean
  /** Just added: the person goes on to write. */
  focus: boolean
}

export function NotesEditor({ caseDoc, consultation, readOnly, focus }: NotesEditorProps) {
  const { t } = useSurroundings()
  const area = useRef<HTMLTextAreaElement>(null)
  const loaded = useStore(caseDoc.state, (state) => state.loaded)
  const doc = useStore(caseDoc.state, () => caseDoc.doc)
  const problem = useStore(caseDoc.state, (state) => state.problem)
  useEffect(() => {
    const element = area.current
    if (!element || !loaded) return
    const stop = bind(element, doc, consultation)
    return stop
  }, [doc, consultation, loaded])
  useEffect(() => {
    if (focus && loaded) area.current?.focus()
  }, [focus, loaded])
  return (
    <>
      <textarea
        ref={area}
        className="notes"
        aria-label={t('consultationNotes')}
        aria-busy={!loaded}
        placeholder={t('notesPlaceholder')}
        readOnly={readOnly || !loaded}
        spellCheck
        // See theme.ts.
        autoComplete="off"
      />
      {problem && (
        <p className="field-error" role="alert">
          {refusalSentence(t, problem)}
        </p>
      )}
    </>
  )
}

function bind(element: HTMLTextAreaElement, doc: Doc, consultation: string): () => void {
  const binding = new NotesBinding(consultationText(doc, consultation), fieldOf(element))
  const listeners = new AbortController()
  const on = { signal: listeners.signal }
  element.addEventListener(
    'input',
    (event) => binding.input(event instanceof InputEvent && event.isComposing),
    on,
  )
  element.addEventListener('compositionstart', () => binding.compositionStart(), on)
  for (const end of ['compositionend', 'blur'])
    element.addEventListener(end, () => binding.compositionEnd(), on)
  element.addEventListener('pointerdown', () => binding.endUndoStep(), on)
  // The browser's own undo would take back another device's letters.
  element.addEventListener(
    'beforeinput',
    (event) => {
      if (event.inputType !== 'historyUndo' && event.inputType !== 'historyRedo') return
      event.preventDefault()
      if (event.inputType === 'historyUndo') binding.undo()
      else binding.redo()
    },
    on,
  )
  element.addEventListener(
    'keydown',
    (event) => {
      const command = (event.ctrlKey || event.metaKey) && !event.altKey ? event.key.toLowerCase() : ''
      if (command !== 'z' && command !== 'y') return
      event.preventDefault()
      if (element.readOnly) return
      if (command === 'z' && !event.shiftKey) binding.undo()
      else binding.redo()
    },
    on,
  )
  return () => {
    listeners.abort()
    binding.destroy()
  }
}

function fieldOf(element: HTMLTextAreaElement): NotesField {
  return {
    get value() {
      return element.value
    },
    get selectionStart() {
      return element.selectionStart
    },
    get selectionEnd() {
      return element.selectionEnd
    },
    show(text, start, end) {
      const { scrollTop } = element
      element.value = text
      // Setting a selection elsewhere than in the focused field would steal the focus in some browsers.
      if (document.activeElement === element) element.setSelectionRange(start, end)
      element.scrollTop = scrollTop
    },
  }
}
