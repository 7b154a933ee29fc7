/** The same file imported on two devices that hold the same: it stands there once. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import * as Y from 'yjs'
import { consultationText, removeRecord, typeText } from '../../src/cases/edit.js'
import type { CaseJson, Json } from '../../src/cases/json.js'
import { mergeCase } from '../../src/cases/merge.js'
import { contentText, exportCase } from '../../src/cases/project.js'
import { checked, docOf, docWith, plainCase, sha256, sync, twoDevices } from './samples.js'

const withNotes = (json: { [k: string]: Json }): CaseJson =>
  checked({ id: 'k1', consultations: [{ id: 'c0', ...json }] })

function importOnBoth([a, b]: [Y.Doc, Y.Doc], json: CaseJson): void {
  for (const doc of [a, b]) mergeCase(doc, json, sha256)
  sync(a, b)
  sync(a, b)
  expect(contentText(a)).toBe(contentText(b))
}

it('a changed text that two devices import stands once', () => {
  const both = twoDevices(plainCase())
  importOnBoth(both, withNotes({ text: 'gorączka wieczorem, rano', blocks: [[0, 'h2']] }))
  expect(consultationText(both[0], 'c0').toString()).toBe('gorączka wieczorem, rano')
})

it('a removed record that two devices import again has its text once', () => {
  const both = twoDevices(plainCase())
  removeRecord(both[0], 'consultations', 'c0')
  sync(...both)
  importOnBoth(both, withNotes({ text: 'gorączka rano' }))
  expect(exportCase(both[0], 'k1').consultations).toMatchObject([{ text: 'gorączka rano' }])
})

it('a text that was emptied, and two devices import again, stands once', () => {
  const both = twoDevices(plainCase())
  typeText(both[0], 'c0', 0, 13, '')
  sync(...both)
  importOnBoth(both, withNotes({ text: 'gorączka rano' }))
  expect(consultationText(both[1], 'c0').toString()).toBe('gorączka rano')
})

it('whatever was written before: two that hold the same import the same to the same', () => {
  const word = fc.constantFrom('a', 'b\n', '🌿', 'ą', '\n', 'long word')
  const text = fc.array(word, { maxLength: 6 }).map((words) => words.join(''))
  const notes = fc.record({
    text,
    marks: fc.array(fc.tuple(fc.nat(9), fc.nat(9), fc.constantFrom<Json>('bold', 'italic', { link: 'x' }))),
    blocks: fc.array(fc.tuple(fc.nat(3), fc.constantFrom('h2', 'ul')), { maxLength: 3 }),
  })
  const fit = ({
    text,
    marks,
    blocks,
  }: {
    text: string
    marks: [number, number, Json][]
    blocks: [number, string][]
  }) =>
    withNotes({
      text,
      marks: marks
        .map(([x, y, style]): Json => [Math.min(x, y), Math.max(x, y), style])
        .filter((mark) => Number((mark as Json[])[1]) <= text.length),
      blocks: blocks.filter(([line]) => line < text.split('\n').length),
    })
  const step = fc.oneof(
    fc.tuple(fc.nat(1), notes.map(fit)).map(([device, json]) => ({ device, json })),
    fc.record({ device: fc.nat(1), at: fc.nat(9), erase: fc.nat(5), typed: word }),
    fc.record({ device: fc.nat(1), removed: fc.constant(true) }),
    fc.constant({ met: true }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 14 }), notes.map(fit), (steps, last) => {
      const both: [Y.Doc, Y.Doc] = [docOf(plainCase()), docOf(plainCase())]
      for (const each of steps) {
        if ('met' in each) sync(...both)
        else if ('json' in each) mergeCase(both[each.device]!, each.json, sha256)
        else if ('removed' in each) removeRecord(both[each.device]!, 'consultations', 'c0')
        else typeText(both[each.device]!, 'c0', each.at, each.erase, each.typed)
      }
      // Yjs tidies formats up after the first, and tells the other in the second.
      sync(...both)
      sync(...both)
      importOnBoth([both[0], docWith(Y.encodeStateAsUpdate(both[1]))], last)
      const [record] = exportCase(both[0], 'k1').consultations as CaseJson[]
      expect(record).toMatchObject((last.consultations as CaseJson[])[0]!)
    }),
    { numRuns: 300 },
  )
})
