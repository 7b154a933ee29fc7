import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type * as Y from 'yjs'
import {
  addRecord,
  chooseValue,
  consultationText,
  removeRecord,
  removeTag,
  restore,
  setArchived,
  setDeleted,
  setFields,
  setTag,
  typeText,
} from '../../src/cases/edit.js'
import { mergeCase } from '../../src/cases/merge.js'
import { conflictsOf, contentText, exportCase, exportLine, projectRow } from '../../src/cases/project.js'
import { checked, docOf, plainCase, sha256, sync, twoDevices, updatesDuring } from './samples.js'

const ids = (json: unknown): string[] => (json as { id: string }[]).map((record) => record.id)

function expectSame(a: Y.Doc, b: Y.Doc): void {
  sync(a, b)
  sync(a, b)
  expect(exportLine(a, 'k1')).toBe(exportLine(b, 'k1'))
  expect(contentText(a)).toBe(contentText(b))
}

describe('two offline devices', () => {
  it('keep both values of one field until a person chooses', () => {
    const [a, b] = twoDevices(plainCase())
    setFields(a, [['patient.phone', '111']])
    setFields(b, [['patient.phone', '222']])
    expectSame(a, b)
    expect(conflictsOf(a)).toEqual([{ field: 'patient.phone', value: '222', others: ['111'] }])
    expect(projectRow(a, sha256).conflicts).toBe(1)
    expect(chooseValue(b, 'patient.phone', '111')).toEqual({ ok: true })
    expectSame(a, b)
    expect(conflictsOf(a)).toEqual([])
    expect(exportCase(a, 'k1').patient).toMatchObject({ phone: '111' })
  })

  it('keep both choices when they settle one conflict differently', () => {
    const [a, b] = twoDevices(plainCase())
    setFields(a, [['drawer', 'A']])
    setFields(b, [['drawer', 'B']])
    sync(a, b)
    chooseValue(a, 'drawer', 'A')
    chooseValue(b, 'drawer', 'B')
    expectSame(a, b)
    expect(conflictsOf(a)).toEqual([{ field: 'drawer', value: 'B', others: ['A'] }])
  })

  it('have no conflict when they write the same', () => {
    const [a, b] = twoDevices(plainCase())
    for (const doc of [a, b]) setFields(doc, [['drawer', 'Study']])
    expectSame(a, b)
    expect(conflictsOf(a)).toEqual([])
  })

  it('keep both insertions inside one word', () => {
    const [a, b] = twoDevices(plainCase())
    typeText(a, 'c0', 3, 0, 'AA')
    typeText(b, 'c0', 3, 0, 'BB')
    expectSame(a, b)
    expect(consultationText(a, 'c0').toString()).toMatch(/^gor(AABB|BBAA)ączka rano$/)
  })

  it('keep what is typed while the other makes the line a heading, or joins it', () => {
    const two = { ...plainCase(), consultations: [{ id: 'c0', text: 'one\ntwo' }] }
    const [a, b] = twoDevices(two)
    mergeCase(
      a,
      checked({ id: 'k1', consultations: [{ id: 'c0', text: 'one\ntwo', blocks: [[0, 'h2']] }] }),
      sha256,
    )
    typeText(b, 'c0', 3, 0, '!')
    expectSame(a, b)
    expect(exportCase(a, 'k1').consultations).toEqual([{ id: 'c0', text: 'one!\ntwo', blocks: [[0, 'h2']] }])
    typeText(a, 'c0', 4, 1, '')
    typeText(b, 'c0', 8, 0, '?')
    expectSame(a, b)
    expect(consultationText(a, 'c0').toString()).toBe('one!two?')
  })

  it('unite tags, and a removal takes only what it saw', () => {
    const [a, b] = twoDevices(plainCase())
    setTag(a, 'sen')
    removeTag(a, 'ostry')
    setTag(b, 'lęk')
    expectSame(a, b)
    expect(exportCase(a, 'k1').tags).toEqual(['lęk', 'sen'])
  })

  it('lose a removed record for good, late edits included, and hide their conflicts', () => {
    const [a, b] = twoDevices(plainCase())
    expect(removeRecord(a, 'prescriptions', 'p0')).toEqual({ ok: true })
    expect(removeRecord(a, 'consultations', 'c0')).toEqual({ ok: true })
    setFields(b, [['prescriptions.p0.dose', '2x']])
    typeText(b, 'c0', 0, 0, 'late ')
    expectSame(a, b)
    expect(exportCase(a, 'k1')).toMatchObject({ consultations: [], prescriptions: [] })
    expect(typeText(a, 'c0', 0, 0, 'x').ok).toBe(false)
  })

  it('get a removed record back, without its former content, by adding it again', () => {
    const [a, b] = twoDevices(plainCase())
    removeRecord(a, 'consultations', 'c0')
    expect(addRecord(a, 'consultation', { id: 'c0', text: 'new' }, 'n')).toEqual({ ok: true, id: 'c0' })
    expectSame(a, b)
    expect(exportCase(b, 'k1').consultations).toEqual([{ id: 'c0', text: 'new' }])
    expect(addRecord(a, 'consultation', { id: 'c0' }, 'n').ok).toBe(false)
  })

  it('import the same new consultation without doubling its text', () => {
    const [a, b] = twoDevices(plainCase())
    const more = checked({ id: 'k1', consultations: [{ id: 'c9', date: '2021', text: 'imported' }] })
    for (const doc of [a, b]) mergeCase(doc, more, sha256)
    expectSame(a, b)
    expect(consultationText(a, 'c9').toString()).toBe('imported')
    expect(ids(exportCase(a, 'k1').consultations)).toEqual(['c0', 'c9'])
  })
})

describe('lifecycle', () => {
  it('deletes without late edits when nothing else happened', () => {
    const [a, b] = twoDevices(plainCase())
    setDeleted(a, sha256)
    expectSame(a, b)
    expect(projectRow(b, sha256)).toMatchObject({ deleted: true, lateEdits: false })
    expect(updatesDuring(b, () => setDeleted(b, sha256))).toBe(0)
  })

  it('keeps a case deleted that is edited elsewhere, and marks the late edit', () => {
    const [a, b] = twoDevices(plainCase())
    setDeleted(a, sha256)
    typeText(b, 'c0', 0, 0, 'late ')
    expectSame(a, b)
    expect(projectRow(a, sha256)).toMatchObject({ deleted: true, lateEdits: true })
    restore(b)
    expectSame(a, b)
    expect(projectRow(a, sha256)).toMatchObject({ deleted: false, lateEdits: false })
    expect(consultationText(a, 'c0').toString()).toBe('late gorączka rano')
  })

  it('counts no late edit when one of two deletions had seen it', () => {
    const [a, b] = twoDevices(plainCase())
    setDeleted(a, sha256)
    typeText(b, 'c0', 0, 0, 'late ')
    setDeleted(b, sha256)
    expectSame(a, b)
    expect(projectRow(a, sha256)).toMatchObject({ deleted: true, lateEdits: false })
  })

  it('settles archive against unarchive in favour of the case in sight', () => {
    const [a, b] = twoDevices({ ...plainCase(), archived: true })
    setArchived(a, false)
    setArchived(a, true)
    setArchived(b, false)
    expectSame(a, b)
    expect(projectRow(a, sha256)).toMatchObject({ archived: false, conflicts: 1 })
    chooseValue(a, 'archived', true)
    expectSame(a, b)
    expect(projectRow(b, sha256)).toMatchObject({ archived: true, conflicts: 0 })
  })

  it('leaves archived absent until someone archives', () => {
    const { archived: _, ...rest } = plainCase()
    const doc = docOf(rest)
    expect(updatesDuring(doc, () => setArchived(doc, false))).toBe(0)
    expect(exportCase(doc, 'k1')).not.toHaveProperty('archived')
  })

  it('shows in the fingerprint text', () => {
    const doc = docOf(plainCase())
    const seen = new Set([contentText(doc)])
    setArchived(doc, true)
    seen.add(contentText(doc))
    setDeleted(doc, sha256)
    seen.add(contentText(doc))
    expect(seen.size).toBe(3)
  })
})

describe('any edits on three devices', () => {
  type Act = (doc: Y.Doc) => unknown
  const word = fc.constantFrom('a', 'b\n', '🌿', '', 'long word')
  const act: fc.Arbitrary<Act> = fc.oneof(
    fc.tuple(fc.nat(20), fc.nat(4), word).map(
      ([at, erase, text]): Act =>
        (doc) =>
          typeText(doc, 'c0', at, erase, text),
    ),
    fc.tuple(fc.constantFrom('patient.phone', 'prescriptions.p0.dose', 'drawer'), word).map(
      ([path, value]): Act =>
        (doc) =>
          setFields(doc, [[path, value]]),
    ),
    fc.tuple(fc.constantFrom('x', 'y'), fc.boolean()).map(
      ([tag, on]): Act =>
        (doc) =>
          on ? setTag(doc, tag) : removeTag(doc, tag),
    ),
    fc.tuple(fc.nat(8), fc.nat(8), fc.constantFrom('bold', 'italic'), fc.constantFrom('h2', 'ul')).map(
      ([a, b, mark, kind]): Act =>
        (doc) => {
          const text = consultationText(doc, 'c0').toString()
          const [from, to] = [Math.min(a, b, text.length), Math.min(Math.max(a, b), text.length)]
          const json = { id: 'c0', text, marks: [[from, to, mark]], blocks: [[0, kind]] }
          mergeCase(doc, checked({ id: 'k1', consultations: [json] }), sha256)
        },
    ),
    fc.boolean().map(
      (on): Act =>
        (doc) =>
          setArchived(doc, on),
    ),
    fc.constantFrom<Act>(
      (doc) => setDeleted(doc, sha256),
      restore,
      (doc) => removeRecord(doc, 'prescriptions', 'p0'),
    ),
  )

  it('converge, and the export is canonical and complete', () => {
    const script = fc.array(fc.tuple(fc.nat(2), act, fc.boolean()), { maxLength: 25 })
    fc.assert(
      fc.property(script, (steps) => {
        const docs = [docOf(plainCase()), docOf(plainCase()), docOf(plainCase())]
        for (const [device, edit, meet] of steps) {
          edit(docs[device]!)
          if (meet) sync(docs[device]!, docs[(device + 1) % 3]!)
        }
        for (const [i, k] of [
          [0, 1],
          [1, 2],
          [0, 1],
          [0, 2],
        ] as const)
          sync(docs[i]!, docs[k]!)
        for (const doc of docs) expect(contentText(doc)).toBe(contentText(docs[0]!))
        const exported = exportCase(docs[0]!, 'k1')
        expect(checked(exported)).toEqual(exported)
        expect(updatesDuring(docs[1]!, () => mergeCase(docs[1]!, exported, sha256))).toBe(0)
      }),
      { numRuns: 200 },
    )
  })
})
