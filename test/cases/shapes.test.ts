/** Consent and attachments are kept in the form in which they are given: what two forms say is never hidden. */
import { describe, expect, it } from 'vitest'
import { chooseValue, setFields } from '../../src/cases/edit.js'
import type { Json } from '../../src/cases/json.js'
import { mergeCase } from '../../src/cases/merge.js'
import { conflictsOf, contentText, exportCase, projectRow } from '../../src/cases/project.js'
import { checked, docOf, plainCase, sha256, sync, twoDevices, updatesDuring } from './samples.js'

const forms: [field: string, plain: Json, parted: Json][] = [
  ['consent', 'signed on paper', { date: '2024-05-01', note: 'in the folder' }],
  ['attachments', ['a scan', 7], [{ id: 'f1', name: 'scan.pdf' }]],
]

describe.each(forms)('%s', (field, plain, parted) => {
  const give = (doc: ReturnType<typeof docOf>, value: Json) =>
    mergeCase(doc, checked({ id: 'k1', [field]: value }), sha256)

  it('in two forms at once is another value until somebody chooses, either of them', () => {
    for (const chosen of [plain, parted]) {
      const [a, b] = twoDevices(plainCase())
      give(a, plain)
      give(b, parted)
      sync(a, b)
      sync(a, b)
      expect(contentText(a)).toBe(contentText(b))
      expect(conflictsOf(a)).toEqual([{ field, value: parted, others: [plain] }])
      expect(projectRow(a, sha256).conflicts).toBe(1)
      expect(updatesDuring(a, () => mergeCase(a, exportCase(a, 'k1'), sha256))).toBe(0)
      expect(chooseValue(a, field, chosen)).toEqual({ ok: true })
      sync(a, b)
      expect(exportCase(b, 'k1')[field]).toEqual(chosen)
      expect(conflictsOf(b)).toEqual([])
      expect(updatesDuring(b, () => give(b, chosen))).toBe(0)
    }
  })

  it('is what the file says last, whatever its form was', () => {
    const doc = docOf({ ...plainCase(), [field]: plain })
    for (const value of [parted, plain, parted, plain]) {
      give(doc, value)
      expect(exportCase(doc, 'k1')[field]).toEqual(value)
      expect(conflictsOf(doc)).toEqual([])
      expect(updatesDuring(doc, () => give(doc, value))).toBe(0)
    }
  })
})

it('a text of consent stands beside a date that is set', () => {
  const doc = docOf({ ...plainCase(), consent: 'signed' })
  setFields(doc, [['consent.date', '2024']])
  expect(conflictsOf(doc)).toEqual([{ field: 'consent', value: { date: '2024' }, others: ['signed'] }])
})
