import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as Y from 'yjs'
import { NotesBinding, type NotesField, shownText } from '../../ui/editor/binding.js'
import { diffAtCaret } from '../../ui/editor/diff.js'

/** A textarea as far as the binding sees it. */
class Field implements NotesField {
  value = ''
  selectionStart = 0
  selectionEnd = 0

  show(text: string, start: number, end: number): void {
    this.value = text
    this.selectionStart = start
    this.selectionEnd = end
  }

  /** What a keystroke does: replaces the selection and leaves the caret behind it. */
  put(at: number, erase: number, insert: string): void {
    this.value = this.value.slice(0, at) + insert + this.value.slice(at + erase)
    this.selectionStart = this.selectionEnd = at + insert.length
  }
}

function open(text: string) {
  const doc = new Y.Doc()
  const notes = doc.getText('notes')
  if (text) notes.insert(0, text)
  const field = new Field()
  const binding = new NotesBinding(notes, field)
  const type = (at: number, erase: number, insert: string) => {
    field.put(at, erase, insert)
    binding.input()
  }
  /** An edit by another device. */
  const remote = (change: (theirs: Y.Text) => void) => {
    const theirs = new Y.Doc()
    Y.applyUpdate(theirs, Y.encodeStateAsUpdate(doc))
    change(theirs.getText('notes'))
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(theirs), 'remote')
  }
  return { doc, notes, field, binding, type, remote }
}

describe('one small edit', () => {
  test('among equal letters the one at the caret is meant', () => {
    expect(diffAtCaret('aaa', 'aaaa', 2)).toEqual({ at: 1, erase: 0, insert: 'a' })
    expect(diffAtCaret('aaaa', 'aaa', 2)).toEqual({ at: 2, erase: 1, insert: '' })
  })

  test('a pair of surrogates is never cut', () => {
    expect(diffAtCaret('😀', '😁', 2)).toEqual({ at: 0, erase: 2, insert: '😁' })
  })

  test('it always turns the one text into the other', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '\n', '😀', '😁'), maxLength: 12 })
    fc.assert(
      fc.property(text, text, fc.nat(24), (before, after, caret) => {
        const edit = diffAtCaret(before, after, Math.min(caret, after.length))
        const result = edit
          ? before.slice(0, edit.at) + edit.insert + before.slice(edit.at + edit.erase)
          : before
        expect(result).toBe(after)
      }),
    )
  })
})

describe('the binding', () => {
  test('opening writes nothing', () => {
    const doc = new Y.Doc()
    let updates = 0
    doc.on('update', () => updates++)
    new NotesBinding(doc.getText('notes'), new Field()).destroy()
    expect(updates).toBe(0)
  })

  test('marks on untouched characters stay, and go on where one types', () => {
    const { notes, type } = open('one bold end')
    notes.format(4, 4, { bold: true })
    type(0, 0, '»')
    type(7, 0, 'OO')
    expect(notes.toDelta()).toEqual([
      { insert: '»one ' },
      { insert: 'boOOld', attributes: { bold: true } },
      { insert: ' end' },
    ])
  })

  test('what others type moves the caret along', () => {
    const { field, remote, notes } = open('hello world')
    field.selectionStart = field.selectionEnd = 6
    remote((theirs) => theirs.insert(0, 'well, '))
    expect(field.selectionStart).toBe(12)
    remote((theirs) => theirs.delete(0, 6))
    expect([field.selectionStart, field.value]).toEqual([6, notes.toString()])
  })

  test('what others type exactly at the caret stands behind it', () => {
    const { field, remote } = open('ab')
    field.selectionStart = field.selectionEnd = 1
    remote((theirs) => theirs.insert(1, 'X'))
    expect([field.value, field.selectionStart]).toEqual(['aXb', 1])
  })

  test('a letter typed but not yet read is not lost when a change arrives', () => {
    const { field, binding, notes, remote } = open('abc')
    field.put(3, 0, 'd')
    remote((theirs) => theirs.insert(0, 'X'))
    binding.input()
    expect([notes.toString(), field.value, field.selectionEnd]).toEqual(['Xabcd', 'Xabcd', 5])
  })

  test('while a word is composed the field is left alone; then both stand', () => {
    const { field, binding, notes, remote } = open('one two')
    binding.compositionStart()
    field.put(3, 0, 'ż')
    binding.input()
    remote((theirs) => theirs.insert(0, 'zero '))
    field.put(3, 1, 'że')
    binding.input()
    expect([notes.toString(), field.value]).toEqual(['zero one two', 'oneże two'])
    binding.compositionEnd()
    expect([notes.toString(), field.value, field.selectionEnd]).toEqual([
      'zero oneże two',
      'zero oneże two',
      10,
    ])
  })

  test('composing over a selection keeps what others put into it', () => {
    const { field, binding, notes, remote } = open('abcdef')
    binding.compositionStart()
    field.put(1, 4, 'ń')
    remote((theirs) => theirs.insert(3, 'REMOTE'))
    binding.compositionEnd()
    expect(notes.toString()).toContain('REMOTE')
    expect(notes.toString().replace('REMOTE', '')).toBe('ańf')
    expect(field.value).toBe(notes.toString())
  })

  test('an emoji erased while a change came stands whole again after undo', () => {
    const { field, binding, notes, remote } = open('x😀y')
    binding.compositionStart()
    remote((theirs) => theirs.insert(0, 'a'))
    field.put(1, 2, '')
    binding.compositionEnd()
    expect(notes.toString()).toBe('axy')
    binding.undo()
    expect([notes.toString(), field.value]).toEqual(['ax😀y', 'ax😀y'])
  })

  test('undo takes back one’s own edits only', () => {
    const { field, binding, notes, type, remote } = open('start')
    type(5, 0, ' mine')
    remote((theirs) => theirs.insert(0, 'theirs '))
    binding.undo()
    expect([notes.toString(), field.value]).toEqual(['theirs start', 'theirs start'])
    binding.redo()
    expect(field.value).toBe('theirs start mine')
  })

  test('Windows line breaks are kept, and one Backspace takes a whole one', () => {
    const { field, notes, type } = open('a\r\nb\rc')
    expect(field.value).toBe('a\u200b\nb\nc')
    type(0, 0, 'x')
    expect(notes.toString()).toBe('xa\r\nb\rc')
    type(3, 1, '')
    expect(notes.toString()).toBe('xab\rc')
    expect(field.value).toBe('xab\nc')
  })

  test('field and text agree, and both devices converge, whatever happens in whatever order', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '\n', 'ł', '😀'), maxLength: 3 })
    const step = fc.record({
      who: fc.constantFrom('here', 'there', 'sync', 'compose', 'composed', 'undo'),
      at: fc.nat(40),
      erase: fc.nat(3),
      text: letters,
    })
    fc.assert(
      fc.property(letters, fc.array(step, { maxLength: 25 }), (initial, steps) => {
        const here = open(initial)
        const there = new Y.Doc()
        const exchange = () => {
          const mine = Y.encodeStateAsUpdate(here.doc, Y.encodeStateVector(there))
          Y.applyUpdate(here.doc, Y.encodeStateAsUpdate(there, Y.encodeStateVector(here.doc)), 'remote')
          Y.applyUpdate(there, mine)
        }
        exchange()
        let composing = false
        for (const { who, at, erase, text } of steps) {
          if (who === 'sync') exchange()
          else if (who === 'compose') {
            composing = true
            here.binding.compositionStart()
          } else if (who === 'composed') {
            composing = false
            here.binding.compositionEnd()
          } else if (who === 'undo') here.binding.undo()
          else {
            const target = who === 'here' ? here.field.value : there.getText('notes').toString()
            const units = [...target]
            const from = units.slice(0, at % (units.length + 1)).join('').length
            const gone = target.slice(from) ? [...target.slice(from)].slice(0, erase).join('').length : 0
            if (who === 'here') here.type(from, gone, text)
            else {
              if (gone) there.getText('notes').delete(from, gone)
              if (text) there.getText('notes').insert(from, text)
            }
          }
          if (!composing) expect(here.field.value).toBe(shownText(here.notes))
        }
        here.binding.compositionEnd()
        exchange()
        exchange()
        expect(here.field.value).toBe(there.getText('notes').toString())
        expect(here.field.value).not.toContain('\ufffd')
      }),
      { numRuns: 400 },
    )
  })
})
