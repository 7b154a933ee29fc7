/**
 * Binds one plain text field to one flat Y.Text. What a person types becomes the smallest edit at the
 * caret, so that marks on untouched characters stay and edits of other devices merge letter by letter;
 * what others type moves the caret along. While an input method composes a word, the field is left
 * alone: the word is one edit when it is done, placed where its surroundings are by then.
 */
import * as Y from 'yjs'
import { spliceText } from '../../src/cases/ytext.js'
import { type DeltaStep, diffAtCaret, type Edit, isErased, mapPosition } from './diff.js'

/** The part of a textarea that the binding needs. */
export interface NotesField {
  readonly value: string
  readonly selectionStart: number
  readonly selectionEnd: number
  /** Replaces the text and the selection, and keeps the scroll position. */
  show(text: string, selectionStart: number, selectionEnd: number): void
}

export class NotesBinding {
  readonly #text: Y.Text
  readonly #field: NotesField
  readonly #undo: Y.UndoManager
  /** What the field showed when field and Y.Text last agreed. */
  #shown: string
  /** Changes by others that came while a word was being composed. */
  #waiting: DeltaStep[][] = []
  #composing = false

  constructor(text: Y.Text, field: NotesField) {
    this.#text = text
    this.#field = field
    this.#undo = new Y.UndoManager(text, { trackedOrigins: new Set([this]) })
    this.#shown = shownText(text)
    field.show(this.#shown, 0, 0)
    text.observe(this.#changed)
  }

  destroy(): void {
    if (this.#composing) this.compositionEnd()
    this.#text.unobserve(this.#changed)
    this.#undo.destroy()
  }

  /**
   * The field's text was changed by the person. `composes`: an input method still has the word in hand. One that is cut
   * off, as by a field that becomes read-only, never says that it is done.
   */
  input(composes = this.#composing): void {
    if (composes && this.#composing) return
    this.#composing = false
    this.#commit()
  }

  compositionStart(): void {
    this.#composing = true
  }

  compositionEnd(): void {
    this.#composing = false
    this.#commit()
  }

  /** Takes back one's own last edit, never another device's. */
  undo(): void {
    if (!this.#composing) this.#undo.undo()
  }

  redo(): void {
    if (!this.#composing) this.#undo.redo()
  }

  /** The caret was moved by hand: what is typed from here on is a new step of undo. */
  endUndoStep(): void {
    this.#undo.stopCapturing()
  }

  #commit(): void {
    const edit = diffAtCaret(this.#shown, this.#field.value, this.#field.selectionEnd)
    const waiting = this.#waiting
    this.#waiting = []
    let caret = this.#field.selectionEnd
    if (edit) {
      const at = this.#apply(edit, waiting)
      caret = at + Math.max(0, caret - edit.at)
    } else for (const delta of waiting) caret = mapPosition(caret, delta, 'left')
    this.#shown = shownText(this.#text)
    if (this.#shown !== this.#field.value) {
      const inside = Math.min(caret, this.#shown.length)
      this.#field.show(this.#shown, inside, inside)
    }
  }

  /** Writes an edit of the shown text into the Y.Text as it stands now; returns where it went. */
  #apply(edit: Edit, waiting: readonly DeltaStep[][]): number {
    const map = (index: number) => waiting.reduce((at, delta) => mapPosition(at, delta, 'left'), index)
    let at = map(edit.at)
    this.#text.doc?.transact(() => {
      if (waiting.length === 0) {
        // A Windows line break is two characters shown as one: it goes as a whole.
        const current = this.#text.toString()
        const pair = edit.erase > 0 && current[edit.at] === '\n' && current[edit.at - 1] === '\r' ? 1 : 0
        at -= pair
        spliceText(this.#text, at, edit.erase + pair, edit.insert)
      } else {
        // Only what the person saw goes; what others put in between stays.
        for (const { at: from, length } of runsOf(edit, waiting).reverse()) this.#text.delete(from, length)
      }
      if (waiting.length > 0 && edit.insert) spliceText(this.#text, at, 0, edit.insert)
    }, this)
    return at
  }

  #changed = (event: Y.YTextEvent): void => {
    if (event.transaction.origin === this) return
    const delta = event.delta as DeltaStep[]
    if (this.#composing) {
      this.#waiting.push(delta)
      return
    }
    // Typed but not yet read (an event is still on its way): read it first, then show the change.
    if (this.#field.value !== this.#shown) {
      this.#waiting.push(delta)
      this.#commit()
      return
    }
    this.#shown = shownText(this.#text)
    if (event.transaction.origin === this.#undo) {
      const caret = endOfChange(delta)
      this.#field.show(this.#shown, caret, caret)
    } else if (this.#shown !== this.#field.value) {
      const start = mapPosition(this.#field.selectionStart, delta, 'left')
      const end = mapPosition(this.#field.selectionEnd, delta, 'left')
      this.#field.show(this.#shown, start, Math.max(start, end))
    }
  }
}

/**
 * The text as a field can show it, unit by unit: a field would silently change a carriage return, so a
 * Windows line break shows an invisible character in its place and a lone one shows a line break.
 */
export function shownText(text: Y.Text): string {
  let plain = ''
  for (const piece of text.toDelta() as { insert: unknown }[]) {
    plain += typeof piece.insert === 'string' ? piece.insert : '\ufffc'
  }
  return plain.includes('\r') ? plain.replace(/\r(?=\n)/g, '\u200b').replace(/\r/g, '\n') : plain
}

/** Where the character at `index` of the text before stands now; null if it is gone. */
function positionOf(index: number, waiting: readonly DeltaStep[][]): number | null {
  let at = index
  for (const delta of waiting) {
    if (isErased(at, delta)) return null
    at = mapPosition(at, delta, 'right')
  }
  return at
}

/**
 * Where the characters that an edit erases stand now, as runs in ascending order. Whole runs, since a
 * Y.Text that is cut within a surrogate pair replaces both halves by U+FFFD, for good.
 */
function runsOf(edit: Edit, waiting: readonly DeltaStep[][]): { at: number; length: number }[] {
  const runs: { at: number; length: number }[] = []
  for (let index = edit.at; index < edit.at + edit.erase; index++) {
    const now = positionOf(index, waiting)
    if (now === null) continue
    const last = runs.at(-1)
    if (last && last.at + last.length === now) last.length++
    else runs.push({ at: now, length: 1 })
  }
  return runs
}

/** Where the last step of a change ends, in the text after it. */
function endOfChange(delta: readonly DeltaStep[]): number {
  let at = 0
  let end = 0
  for (const step of delta) {
    if (step.retain !== undefined) at += step.retain
    else if (step.insert !== undefined) {
      at += typeof step.insert === 'string' ? step.insert.length : 1
      end = at
    } else end = at
  }
  return end
}
