/** Sample cases for the tests of src/cases: seeded, with every field, and odd ones. */
import { createHash } from 'node:crypto'
import * as Y from 'yjs'
import { createUpdate } from '../../src/cases/create.js'
import { checkCase } from '../../src/cases/interchange.js'
import type { CaseJson, Json, Sha256 } from '../../src/cases/json.js'

export const sha256: Sha256 = (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest())

/** Mulberry32. */
function random(seed: number): (bound: number) => number {
  let a = seed >>> 0
  return (bound) => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * bound)
  }
}

const WORDS = 'ból głowy od rana gorączka 🌿 sen lęk שלום wiatr źródło 👩🏽‍⚕️ chill fever stawy noc'.split(' ')
const TAGS = ['przewlekły', 'ostry', 'dziecko', 'skóra', 'alergia']

export function sampleCase(index: number, seed = 1): CaseJson {
  const r = random(seed * 7919 + index)
  const pick = <T>(list: readonly T[]): T => list[r(list.length)]!
  const many = <T>(bound: number, make: (i: number) => T): T[] =>
    Array.from({ length: r(bound) }, (_, i) => make(i))
  const text = (words: number) =>
    Array.from({ length: 1 + r(words) }, () => pick(WORDS) + (r(6) ? ' ' : '.\n')).join('')
  const day = () => `${2015 + r(10)}-0${1 + r(9)}-${10 + r(18)}`
  const rich = (): { [k: string]: Json } => {
    const plain = text(60)
    const spot = () => r(plain.length + 1)
    const marks = many(6, (): Json => {
      const [from, to] = [spot(), spot()].sort((a, b) => a - b) as [number, number]
      return [from, to, pick<Json>(['bold', 'italic', { link: 'https://example.org/a?b=1' }, { link: 'x' }])]
    })
    const lines = plain.split('\n').length
    const blocks = many(4, (): Json => [r(lines), pick(['h2', 'ul', 'ol'])])
    return { text: plain, marks, ...(r(2) ? { blocks } : {}) }
  }
  const c: CaseJson = {
    id: `case-${index}-${r(1e9)}`,
    patient: {
      firstName: pick(WORDS),
      lastName: text(2),
      birthDate: day(),
      phone: `+48 ${r(1e9)}`,
      email: '',
    },
    consultations: many(6, (i) => ({ id: `c${i}`, date: day(), kind: i ? 'follow-up' : 'first', ...rich() })),
    prescriptions: many(4, (i) => ({
      id: `p${i}`,
      date: day(),
      remedy: pick(WORDS),
      dose: '',
      note: text(5),
    })),
    tags: TAGS.filter(() => r(2)),
    createdAt: day(),
    updatedAt: day(),
  }
  if (r(2)) c.archived = r(2) === 0
  if (r(2)) c.description = rich()
  if (r(2)) c.drawer = pick(['Patients', 'Żłobek №2', ''])
  if (r(3) === 0) c.followUp = day()
  if (r(2)) c.consent = { date: day(), note: text(3), extra: [1, { deep: null }] }
  if (r(2)) {
    c.analyses = many(3, (i) => ({
      id: `a${3 - i}`,
      date: day(),
      title: text(2),
      symptoms: many(4, (k) => ({
        id: `s${9 - k}`,
        text: text(6),
        rubrics: many(3, () => `Mind; ${text(3)}`),
      })),
    }))
  }
  if (r(3) === 0)
    c.attachments = [
      { id: 'f2', name: 'scan.pdf', bytes: 12.5 },
      { id: 'f1', name: '' },
    ]
  if (r(3) === 0) c.other = { a: [1, -0.5, true, null, {}], b: {} }
  return c
}

/** Parsed from text, so that `__proto__` is an own property, as it is after an import. */
export const ODD_CASE = JSON.parse(`{
  "id": "__proto__", "__proto__": {"polluted": 1}, "constructor": {"constructor": "x"}, "": "", "a.b": "dots",
  "a/b~c#d": {"toString": null}, "zero": -0, "tiny": 5e-324, "big": 1e308, "nul": "a\\u0000b\\ufeff",
  "patient": {"__proto__": "x", "": {}, "firstName": "\\ufeffשלום", "hasOwnProperty": [], "sex": null},
  "consultations": [
    {"id": "__proto__", "text": "", "marks": [], "blocks": [], "__proto__": {"a": 1}},
    {"id": "a.b/c~d#e", "date": "2020", "text": "\\u0000\\n\\n👩🏽‍⚕️\\n", "marks": [], "text ": 1},
    {"id": "constructor", "date": "2021", "marks": []},
    {"id": "only-blocks", "date": "2022", "text": "", "blocks": [[0, "h2"]]}],
  "prescriptions": [], "tags": ["__proto__", "b", "a", ""], "description": {}, "consent": true,
  "analyses": [{"id": "toString", "symptoms": []}, {"id": "__proto__", "symptoms": [
    {"id": "__proto__", "text": "", "rubrics": []}, {"id": "b"}, {"id": "a", "text": "x", "__proto__": 7}]}],
  "attachments": ["loose", 1]
}`) as CaseJson

export function checked(json: CaseJson): CaseJson {
  const result = checkCase(json)
  if (!result.ok) throw new Error(result.reason)
  return result.value
}

/** A document holding the case, under its own client id. */
export function docOf(json: CaseJson): Y.Doc {
  return docWith(createUpdate(checked(json), sha256))
}

export function docWith(...updates: Uint8Array[]): Y.Doc {
  const doc = new Y.Doc()
  for (const update of updates) Y.applyUpdate(doc, update)
  return doc
}

/** Two devices that hold the same case. */
export function twoDevices(json: CaseJson): [Y.Doc, Y.Doc] {
  return [docOf(json), docOf(json)]
}

export function sync(a: Y.Doc, b: Y.Doc): void {
  const fromA = Y.encodeStateAsUpdate(a, Y.encodeStateVector(b))
  const fromB = Y.encodeStateAsUpdate(b, Y.encodeStateVector(a))
  Y.applyUpdate(a, fromB)
  Y.applyUpdate(b, fromA)
}

/** Counts the updates that `act` makes the document emit. */
export function updatesDuring(doc: Y.Doc, act: () => void): number {
  let count = 0
  const onUpdate = () => count++
  doc.on('update', onUpdate)
  act()
  doc.off('update', onUpdate)
  return count
}

export const plainCase = (): CaseJson => ({
  id: 'k1',
  patient: { firstName: 'Zofia', lastName: 'Żółć', birthDate: '1980-02-03', phone: '1' },
  consultations: [{ id: 'c0', date: '2020-01-01', kind: 'first', text: 'gorączka rano', marks: [] }],
  prescriptions: [{ id: 'p0', date: '2020-01-01', remedy: 'Sepia', dose: '1x' }],
  tags: ['ostry'],
  archived: false,
})
