import { describe, expect, it } from 'vitest'
import { addRecord, chooseValue, consultationText, setFields, typeText } from '../../src/cases/edit.js'
import { mergeCase, replaceCase } from '../../src/cases/merge.js'
import { conflictsOf, exportCase } from '../../src/cases/project.js'
import { checked, docOf, plainCase, sampleCase, sha256, updatesDuring } from './samples.js'

const withText = (text: string, extra: object = {}) =>
  docOf({ id: 'x', consultations: [{ id: 'c', text, ...extra }] })
const notes = (doc: ReturnType<typeof docOf>) => (exportCase(doc, 'x').consultations as object[])[0]

describe('setting fields', () => {
  it('follows dotted paths into patient, records and symptoms, ids with dots included', () => {
    const doc = docOf({
      id: 'x',
      prescriptions: [{ id: 'a' }, { id: 'a.b' }],
      analyses: [{ id: '1.2', symptoms: [{ id: 's.1', text: 'old' }] }],
    })
    const result = setFields(doc, [
      ['patient.phone', '1'],
      ['drawer', 'Study'],
      ['prescriptions.a.dose', 'short'],
      ['prescriptions.a.b.dose', 'long'],
      ['analyses.1.2.title', 't'],
      ['analyses.1.2.symptoms.s.1.text', 'new'],
      ['analyses.1.2.symptoms.s.1.rubrics', '["Mind; fear"]'],
      ['description.text', 'about'],
      ['tags', 'b, a'],
      ['tags.c', 'yes'],
      ['archived', 'true'],
    ])
    expect(result).toEqual({ ok: true })
    expect(exportCase(doc, 'x')).toEqual({
      id: 'x',
      patient: { phone: '1' },
      drawer: 'Study',
      prescriptions: [
        { id: 'a', dose: 'short' },
        { id: 'a.b', dose: 'long' },
      ],
      analyses: [{ id: '1.2', title: 't', symptoms: [{ id: 's.1', text: 'new', rubrics: ['Mind; fear'] }] }],
      description: { text: 'about' },
      tags: ['b', 'a', 'c'],
      archived: true,
    })
  })

  it('leaves what the writer has not seen beside the new value, also what was written through the same document', () => {
    const doc = docOf(plainCase())
    const phones = () => conflictsOf(doc).flatMap(({ value, others }) => [value, ...others])
    const phone = (value: string, ...seen: string[]) =>
      setFields(doc, [['patient.phone', value]], [['patient.phone', seen]])
    setFields(doc, [['patient.phone', 'c']])
    phone('b', '1')
    phone('a', '1')
    expect(phones()).toEqual(['c', 'b', 'a'])
    expect(updatesDuring(doc, () => phone('a', 'a'))).toBe(0)
    phone('d', 'b')
    expect(phones()).toEqual(['d', 'c', 'a'])
    phone('', 'd', 'a')
    expect(phones()).toEqual([])
    expect(exportCase(doc, 'x').patient).toMatchObject({ phone: 'c' })
    phone('e', 'c')
    expect(phones()).toEqual([])
    expect(exportCase(doc, 'x').patient).toMatchObject({ phone: 'e' })
  })

  it('clears with an empty value, and writes nothing when nothing changes', () => {
    const doc = docOf(plainCase())
    expect(updatesDuring(doc, () => setFields(doc, [['patient.phone', '1']]))).toBe(0)
    setFields(doc, [['patient.phone', '']])
    expect(exportCase(doc, 'k1').patient).not.toHaveProperty('phone')
    expect(updatesDuring(doc, () => setFields(doc, [['patient.phone', '']]))).toBe(0)
  })

  it('refuses what it does not know with a sentence, and then writes nothing at all', () => {
    const doc = docOf({ ...plainCase(), own: 'mine' })
    const bad = [
      'id',
      'nonsense',
      'patient',
      'patient.fone',
      'consultations',
      'consultations.c0',
      'consultations.c0.text',
      'consultations.c0.marks',
      'consultations.c0.id',
      'prescriptions.zz.dose',
    ]
    for (const path of bad) {
      const act = () =>
        expect(
          setFields(doc, [
            ['drawer', 'x'],
            [path, 'y'],
          ]).ok,
        ).toBe(false)
      expect(updatesDuring(doc, act)).toBe(0)
    }
    expect(setFields(doc, [['consultations.c0.text', 'y']])).toMatchObject({
      reason: expect.stringContaining('case type'),
    })
    expect(setFields(doc, [['own', 'y']])).toEqual({ ok: true })
    expect(chooseValue(doc, 'consultations.c0.text', 'y').ok).toBe(false)
  })
})

describe('adding records', () => {
  it('takes the new id unless one is given, and checks the record', () => {
    const doc = docOf(plainCase())
    expect(addRecord(doc, 'prescription', { remedy: 'Sepia' }, 'n1')).toEqual({ ok: true, id: 'n1' })
    expect(addRecord(doc, 'analysis', { id: 'a', symptoms: [{ id: 's', text: 'x' }] }, 'n2')).toEqual({
      ok: true,
      id: 'a',
    })
    expect(addRecord(doc, 'consultation', { text: 'x', marks: [[0, 9, 'bold']] }, 'n3').ok).toBe(false)
    expect(exportCase(doc, 'k1').prescriptions).toContainEqual({ id: 'n1', remedy: 'Sepia' })
  })
})

describe('typing', () => {
  it('refuses places outside the text and halves of characters', () => {
    const doc = withText('a🌿b')
    for (const [at, erase, text] of [
      [-1, 0, 'x'],
      [0.5, 0, 'x'],
      [5, 0, 'x'],
      [0, 5, ''],
      [2, 0, 'x'],
      [1, 1, ''],
      [0, 0, '\ud83c'],
    ] as const) {
      expect(typeText(doc, 'c', at, erase, text).ok).toBe(false)
    }
    expect(typeText(doc, 'nope', 0, 0, 'x').ok).toBe(false)
    expect(updatesDuring(doc, () => typeText(doc, 'c', 0, 0, ''))).toBe(0)
    expect(typeText(doc, 'c', 1, 2, 'é')).toEqual({ ok: true })
    expect(consultationText(doc, 'c').toString()).toBe('aéb')
  })

  it('takes on bold at its end, a link only inside', () => {
    const doc = withText('abcd', {
      marks: [
        [0, 2, 'bold'],
        [0, 4, { link: 'u' }],
      ],
    })
    typeText(doc, 'c', 4, 0, '!')
    typeText(doc, 'c', 2, 0, 'x')
    expect(notes(doc)).toEqual({
      id: 'c',
      text: 'abxcd!',
      marks: [
        [0, 3, 'bold'],
        [0, 5, { link: 'u' }],
      ],
    })
  })

  it('goes on with a list, but not with a heading', () => {
    const list = withText('one', { blocks: [[0, 'ul']] })
    typeText(list, 'c', 3, 0, '\ntwo')
    expect(notes(list)).toMatchObject({
      text: 'one\ntwo',
      blocks: [
        [0, 'ul'],
        [1, 'ul'],
      ],
    })
    const heading = withText('one\nrest', {
      blocks: [
        [0, 'h2'],
        [1, 'ol'],
      ],
    })
    typeText(heading, 'c', 3, 0, '\ntwo')
    expect(notes(heading)).toMatchObject({
      text: 'one\ntwo\nrest',
      blocks: [
        [0, 'h2'],
        [2, 'ol'],
      ],
    })
    typeText(heading, 'c', 0, 0, '\n')
    expect(notes(heading)).toMatchObject({
      text: '\none\ntwo\nrest',
      blocks: [
        [1, 'h2'],
        [3, 'ol'],
      ],
    })
  })

  it('keeps the kind of the first line when lines are joined', () => {
    const doc = withText('one\ntwo', {
      blocks: [
        [0, 'h2'],
        [1, 'ul'],
      ],
    })
    typeText(doc, 'c', 3, 1, ' ')
    expect(notes(doc)).toEqual({ id: 'c', text: 'one two', blocks: [[0, 'h2']] })
  })

  it('leaves an erased text given', () => {
    const doc = withText('one')
    typeText(doc, 'c', 0, 3, '')
    expect(notes(doc)).toEqual({ id: 'c', text: '' })
  })
})

describe('merging an import', () => {
  it('shows what is given in the place of an empty list or object, of whatever kind it is', () => {
    const doc = docOf(checked({ id: 'x', attachments: [], consent: {} }))
    mergeCase(doc, checked({ id: 'x', attachments: ['scan.pdf'], consent: 'on paper' }), sha256)
    expect(exportCase(doc, 'x')).toEqual({ id: 'x', attachments: ['scan.pdf'], consent: 'on paper' })
    expect(setFields(doc, [['attachments', '']])).toEqual({ ok: true })
    expect(exportCase(doc, 'x')).toEqual({ id: 'x', attachments: [], consent: 'on paper' })
  })

  it('changes what it gives, unites lists, and never removes', () => {
    const doc = docOf(plainCase())
    const json = checked({
      id: 'k1',
      patient: { phone: '2', email: 'e' },
      tags: ['sen'],
      consultations: [{ id: 'c0', text: 'gorączka i kaszel rano', marks: [[0, 8, 'bold']] }],
    })
    mergeCase(doc, json, sha256)
    expect(exportCase(doc, 'k1')).toEqual({
      ...plainCase(),
      patient: { firstName: 'Zofia', lastName: 'Żółć', birthDate: '1980-02-03', phone: '2', email: 'e' },
      tags: ['ostry', 'sen'],
      consultations: [
        {
          id: 'c0',
          date: '2020-01-01',
          kind: 'first',
          text: 'gorączka i kaszel rano',
          marks: [[0, 8, 'bold']],
        },
      ],
    })
    expect(updatesDuring(doc, () => mergeCase(doc, json, sha256))).toBe(0)
  })
})

describe('bringing an earlier version back', () => {
  it('leaves nothing of the later one but empty lists and texts', () => {
    for (let i = 0; i < 40; i++) {
      const doc = docOf({ ...sampleCase(i, 5), mine: 1 })
      const earlier = checked({ ...sampleCase(i + 40, 6), archived: true })
      replaceCase(doc, earlier, sha256)
      const now = exportCase(doc, String(earlier.id))
      expect(now).not.toHaveProperty('mine')
      expect(now).toMatchObject({ ...earlier, ...('tags' in earlier ? { tags: expect.anything() } : {}) })
      expect([...(now.tags as string[])].sort()).toEqual([...(earlier.tags as string[])].sort())
      expect(updatesDuring(doc, () => replaceCase(doc, earlier, sha256))).toBe(0)
    }
  })
})
