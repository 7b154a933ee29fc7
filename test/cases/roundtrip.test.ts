import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { createUpdate } from '../../src/cases/create.js'
import { canonicalJson, parseCase } from '../../src/cases/interchange.js'
import type { CaseJson, Json } from '../../src/cases/json.js'
import { mergeCase } from '../../src/cases/merge.js'
import {
  conflictsOf,
  contentText,
  exportCase,
  exportLine,
  projectRow,
  searchText,
} from '../../src/cases/project.js'
import { readRich } from '../../src/cases/ytext.js'
import { checked, docOf, docWith, ODD_CASE, plainCase, sampleCase, sha256, updatesDuring } from './samples.js'

const samples = Array.from({ length: 60 }, (_, i) => sampleCase(i, 1 + (i % 3)))

function expectExact(json: CaseJson): void {
  const value = checked(json)
  const doc = docOf(json)
  const exported = exportCase(doc, String(value.id))
  expect(exported).toEqual(value)
  expect(canonicalJson(exported)).toBe(canonicalJson(value))
  expect(parseCase(exportLine(doc, String(value.id)))).toEqual({ ok: true, value })
  expect(updatesDuring(doc, () => mergeCase(doc, value, sha256))).toBe(0)
}

describe('a case survives import and export exactly', () => {
  it('for cases with every field', () => {
    for (const json of samples) expectExact(json)
  })

  it('for odd but valid cases, and nothing is polluted', () => {
    expectExact(ODD_CASE)
    expect(Object.hasOwn(exportCase(docOf(ODD_CASE), 'x'), '__proto__')).toBe(true)
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
  })

  it('for any unknown JSON anywhere', () => {
    const key = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', '#', '/', '~', 'length'))
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        fc.string({ unit: 'grapheme' }),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(key, tie('tree'), { maxKeys: 3, noNullPrototype: true }),
      ),
    }))
    const fields = fc.dictionary(key, tree as fc.Arbitrary<Json>, { maxKeys: 4, noNullPrototype: true })
    fc.assert(
      fc.property(fields, fields, fields, (top, inPatient, inRecord) => {
        expectExact({
          ...top,
          id: 'x',
          patient: inPatient,
          prescriptions: [{ ...inRecord, id: '__proto__' }],
        })
      }),
      { numRuns: 150 },
    )
  })

  it('for 10 MB of text', () => {
    const text = 'ąę\n🌿 '.repeat(1_000_000)
    expectExact({ id: 'x', consultations: [{ id: 'c', text, marks: [[0, 5000, 'bold']] }] })
  })

  it('for any marks and blocks, and reading the text gives the canonical form', () => {
    const piece = fc.constantFrom('a', 'b', '\n', '\n', '🌿', ' ')
    const style = fc.constantFrom<Json>('bold', 'italic', { link: 'x' }, { link: 'y' })
    const spot = fc.nat(12)
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 12 }),
        fc.array(fc.tuple(spot, spot, style), { maxLength: 6 }),
        fc.array(fc.tuple(spot, fc.constantFrom('h2', 'ul', 'ol')), { maxLength: 4 }),
        (pieces, rawMarks, rawBlocks) => {
          const text = pieces.join('')
          const marks = rawMarks
            .map(([a, b, mark]) => [Math.min(a, b), Math.max(a, b), mark] as Json[])
            .filter((mark) => Number(mark[1]) <= text.length)
          const blocks = rawBlocks.filter(([line]) => line < text.split('\n').length) as Json
          expectExact({ id: 'x', description: { text, marks, blocks } })
        },
      ),
      { numRuns: 400 },
    )
  })
})

describe('creating', () => {
  it('gives the same bytes for the same content, and doubles nothing when merged', () => {
    for (const json of samples.slice(0, 20)) {
      const update = createUpdate(checked(json), sha256)
      const shuffled = checked(Object.fromEntries(Object.entries(json).reverse()))
      expect(createUpdate(shuffled, sha256)).toEqual(update)
      const doc = docWith(update)
      expect(updatesDuring(doc, () => Y.applyUpdate(doc, createUpdate(checked(json), sha256)))).toBe(0)
    }
  })

  it('gives pinned bytes: if this fails, the format changed and FORMAT in write.ts must change too', () => {
    const hash = createHash('sha256')
    for (const json of [...samples, ODD_CASE]) hash.update(createUpdate(checked(json), sha256))
    expect(hash.digest('hex')).toBe('f954454e1814e2354084f28bbe8da6055dd68a22f890de07fd493bd52df26838')
  })

  it('changes texts by pinned bytes: if this fails, FORMAT in write.ts must change too', () => {
    const hash = createHash('sha256')
    const [first, ...rest] = samples.map(({ description }) => description).filter(Boolean)
    const doc = docOf({ id: 'x', description: first! })
    for (const description of rest) {
      doc.clientID = 1
      mergeCase(doc, checked({ id: 'x', description: description! }), sha256)
    }
    hash.update(Y.encodeStateAsUpdate(doc))
    expect(hash.digest('hex')).toBe('a237102107aad9e8c7cde754baa57488a5bfa3d3a3d1417a5d4c2acaced25683')
  })

  it('gives other client ids for other content, all of them safe integers', () => {
    const clients = new Set<number>()
    for (const json of samples) {
      for (const id of docOf(json).store.clients.keys()) {
        expect(Number.isSafeInteger(id)).toBe(true)
        if (json.patient) clients.add(id)
      }
    }
    expect(clients.size).toBeGreaterThan(samples.length)
  })

  it('keeps one text when two versions of a line are imported apart', () => {
    const other = { ...plainCase(), patient: { firstName: 'Zofia', lastName: 'Nowak' } }
    const doc = docWith(createUpdate(checked(plainCase()), sha256), createUpdate(checked(other), sha256))
    expect(readRich(doc.getText('text:consultations/c0')).text).toBe('gorączka rano')
    expect(conflictsOf(doc).map((conflict) => conflict.field)).toEqual(['patient.lastName'])
  })
})

describe('opening, projecting and exporting', () => {
  it('write nothing', () => {
    for (const json of [...samples, ODD_CASE]) {
      const doc = docOf(json)
      const before = Y.encodeStateAsUpdate(doc)
      const count = updatesDuring(doc, () => {
        projectRow(doc, sha256)
        exportCase(doc, 'x')
        contentText(doc)
        conflictsOf(doc)
        searchText(doc)
      })
      expect(count).toBe(0)
      expect(Y.encodeStateAsUpdate(doc)).toEqual(before)
    }
  })

  it('give a row with what a list shows', () => {
    expect(projectRow(docOf(plainCase()), sha256)).toEqual({
      name: 'Zofia Żółć',
      lastName: 'Żółć',
      firstName: 'Zofia',
      birthYear: 1980,
      drawer: null,
      archived: false,
      deleted: false,
      lateEdits: false,
      conflicts: 0,
      lastConsultation: '2020-01-01',
    })
  })

  it('find every text with its place', () => {
    expect(searchText(docOf(plainCase()))).toContainEqual({
      field: 'consultations.c0.text',
      text: 'gorączka rano',
    })
  })
})
