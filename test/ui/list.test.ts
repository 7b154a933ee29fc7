import { describe, expect, test } from 'vitest'
import type { CaseListRow } from '../../src/node/contract.js'
import { newestFirst, readCase, withField } from '../../ui/lib/case-view.js'
import { isWholeDate, parseDate } from '../../ui/lib/dates.js'
import { fold } from '../../ui/lib/fold.js'
import { batches } from '../../ui/lib/lines.js'
import {
  countViews,
  drawersOf,
  filterRows,
  keepUnchanged,
  rowsOfView,
  sortRows,
  TypeAhead,
} from '../../ui/lib/list.js'
import { FakeDevice } from './fake-device.js'

const row = (firstName: string, lastName: string, part: Partial<CaseListRow> = {}): CaseListRow => ({
  id: `${firstName} ${lastName}`,
  name: `${firstName} ${lastName}`.trim(),
  firstName,
  lastName,
  birthYear: null,
  drawer: null,
  archived: false,
  deleted: false,
  lateEdits: false,
  conflicts: 0,
  lastConsultation: null,
  ...part,
})
const names = (rows: readonly CaseListRow[]) => rows.map((one) => one.name)

describe('the filter', () => {
  const rows = [row('Łukasz', 'Żółć'), row('Zoë', "O'Brien"), row('Jan', 'Kowalski', { birthYear: 1980 })]

  test('letters are compared without diacritics, ł included', () => {
    expect(fold('ŁÓDŹ zażółć Straße Øre')).toBe('lodz zazolc strasse ore')
    // Pasted along with a name, and in nobody's sight.
    expect(fold('ŁAŹ\u200bNI\u00adCKA')).toBe('laznicka')
  })

  test.each([
    ['lukasz', 'Łukasz Żółć'],
    ['ŁUK', 'Łukasz Żółć'],
    ['zolc luk', 'Łukasz Żółć'],
    ['zoe', "Zoë O'Brien"],
    ['kow 1980', 'Jan Kowalski'],
  ])('"%s" finds %s', (query, expected) => {
    expect(names(filterRows(rows, query))).toEqual([expected])
  })

  test('nothing typed leaves the list as it is', () => {
    expect(filterRows(rows, '  ')).toBe(rows)
  })

  test('10,000 rows are filtered within a frame', async () => {
    const many = await new FakeDevice({ cases: 10_000 }).api.cases.list({ deleted: true })
    filterRows(many, 'warm')
    // The best of several: what else the machine does is not what this is about.
    const times = Array.from({ length: 15 }, () => {
      const began = performance.now()
      filterRows(many, 'zieli luk')
      return performance.now() - began
    })
    expect(Math.min(...times)).toBeLessThan(16)
  })
})

test('type-ahead: letters make a word, a repeated letter walks, a pause begins anew', () => {
  const rows = [row('Adam', 'Bąk'), row('Ewa', 'Lis'), row('Jan', 'Łoś'), row('Zofia', 'Lipa')]
  const typing = new TypeAhead()
  expect(typing.type('l', rows, 0, 0)).toBe(1)
  expect(typing.type('o', rows, 1, 100)).toBe(2)
  expect(typing.type('l', rows, 2, 2000)).toBe(3)
  expect(typing.type('l', rows, 3, 2100)).toBe(1)
  expect(typing.type('z', rows, 1, 4000)).toBe(3)
  expect(typing.type('q', rows, 1, 6000)).toBe(-1)
})

test('views: deleted wins over archived, an archived case leaves its drawer', () => {
  const rows = [
    row('A', 'A', { drawer: 'Study' }),
    row('B', 'B', { drawer: 'Study', archived: true }),
    row('C', 'C', { drawer: 'Mine', archived: true, deleted: true }),
  ]
  expect(names(rowsOfView(rows, 'all'))).toEqual(['A A'])
  expect(names(rowsOfView(rows, 'drawer:Study'))).toEqual(['A A'])
  expect(names(rowsOfView(rows, 'archived'))).toEqual(['B B'])
  expect(names(rowsOfView(rows, 'deleted'))).toEqual(['C C'])
  expect(countViews(rows).get('drawer:Study')).toBe(1)
  expect(drawersOf([row('D', 'D', { drawer: 'Żłobek' })])).toEqual([
    'Patients',
    'Colleagues',
    'Study',
    'Seminars',
    'Other',
    'Żłobek',
  ])
})

test('order: by last name in Polish order, the unnamed at the end; unchanged rows stay the same objects', () => {
  const rows = [
    row('', ''),
    row('A', 'Łoś'),
    row('A', 'Lis'),
    row('B', 'Lis'),
    row('A', 'Zych'),
    row('A', 'Ćma'),
  ]
  const sorted = sortRows(rows)
  expect(names(sorted)).toEqual(['A Ćma', 'A Lis', 'B Lis', 'A Łoś', 'A Zych', ''])
  const again = keepUnchanged(sorted, structuredClone(sorted))
  expect(again.every((one, index) => one === sorted[index])).toBe(true)
})

test('dates: as stored, or as Europeans type them; impossible ones are refused', () => {
  expect(['1980-05-24', '24.5.1980', '1980', '1980-5', ''].map(parseDate)).toEqual([
    '1980-05-24',
    '1980-05-24',
    '1980',
    '1980-05',
    '',
  ])
  expect(['24-05-1980', '24. 5. 1980', '24.05.1980 r.'].map(parseDate)).toEqual(Array(3).fill('1980-05-24'))
  const isWhole = (typed: string) => isWholeDate(typed, parseDate(typed)!)
  expect(['1980-05-24', '24.5.1980', '4/5/1980', ''].map(isWhole)).toEqual([true, true, true, true])
  expect(['1980', '1980-05', '1980-05-2', '1980-5-2'].map(isWhole)).toEqual([false, false, false, false])
  expect(['31.2.1980', '1980-13', 'May', '24.5.80'].map(parseDate)).toEqual([null, null, null, null])
})

test('a case is read with hostile keys, and a typed field shows before the device answers', () => {
  const json =
    '{"id":"x","patient":{"firstName":"Ewa","__proto__":"z"},"consultations":[{"id":"a.b","date":"2020-01-01","text":"Hi\\nthere"}],"conflicts":[{"field":"drawer","value":"A","others":["B"]}],"heldBy":["d"]}'
  const view = readCase(json)
  expect(view.patient.firstName).toBe('Ewa')
  expect(view.consultations[0]?.preview).toBe('Hi there')
  expect(view.conflicts).toHaveLength(1)
  expect(withField(view, 'patient.firstName', 'Eva').patient.firstName).toBe('Eva')
  expect(withField(view, 'consultations.a.b.date', '2021-01-01').consultations[0]?.fields.date).toBe(
    '2021-01-01',
  )
  const list = ['2020-01-01', '', '2021-01-01'].map((date, index) => ({
    id: `${index}`,
    fields: { date },
    preview: '',
  }))
  expect(newestFirst(list).map((one) => one.id)).toEqual(['1', '2', '0'])
})

test('import lines keep their numbers, whatever the pieces of the file', async () => {
  async function* pieces(list: Uint8Array[]) {
    yield* list
  }
  const file = new TextEncoder().encode('\ufeff{"a":1}\n\n{"b":2}\u2028\r\n{"ż":3}')
  const single = [...file].map((byte) => Uint8Array.of(byte))
  for (const parts of [[file], [file.subarray(0, 6), file.subarray(6)], single]) {
    const lines = []
    for await (const batch of batches(pieces(parts))) lines.push(...batch.lines)
    expect(lines).toEqual([
      { line: 1, text: '{"a":1}' },
      { line: 3, text: '{"b":2}\u2028\r' },
      { line: 4, text: '{"ż":3}' },
    ])
  }
})

test('an import takes no line of another encoding in with wrong letters', async () => {
  // As Windows writes Łukasz.
  const file = Buffer.from('{"id":"a"}\n{"id":"\xa3ukasz"}\n{"id":"b\xa3"}', 'latin1')
  const found = []
  for await (const batch of batches(
    (async function* () {
      yield file
    })(),
  ))
    found.push(batch)
  expect(found).toEqual([{ lines: [{ line: 1, text: '{"id":"a"}' }], notText: [2, 3] }])
})
