/** Cases that are made by their ids twice at the same moment. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Device } from '../../src/node/api.js'
import { createDevice } from '../../src/node/device.js'

let folder: string
let device: Device
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kartoteka-at-once-'))
  device = await createDevice({ folder, network: false })
  await device.practice.create({ name: 'Praxis', device: 'Desk' })
})
afterEach(async () => {
  await device.close()
  rmSync(folder, { recursive: true })
})

const caseOf = (id: string, text: string) =>
  JSON.stringify({ consultations: [{ date: '2020-01-01', id: 'first', text }], id })
const lines = async () => (await device.cases.export({})).lines

test('two imports merge as they would one after the other, and report so', async () => {
  const ids = Array.from({ length: 70 }, (_, at) => `case-${String(at).padStart(2, '0')}`)
  const importing = (text: string) =>
    device.cases.import({
      lines: ids.map((id, at) => ({ line: at + 1, text: caseOf(id, text) })),
      preview: false,
    })
  const reports = await Promise.all(['Hello', 'Hello', 'Hello there'].map(importing))
  const none = { added: 0, merged: 0, unchanged: 0, errors: [] }
  expect(reports).toEqual([
    { ...none, added: 70 },
    { ...none, unchanged: 70 },
    { ...none, merged: 70 },
  ])
  expect(await lines()).toEqual(ids.map((id) => caseOf(id, 'Hello there')))
})

test('of two new cases with one id the second is refused', async () => {
  const made = await Promise.allSettled(
    ['one', 'two'].map((text) => device.cases.create({ json: caseOf('a', text) })),
  )
  expect(made).toMatchObject([{ status: 'fulfilled' }, { reason: { code: 'case-exists' } }])
  expect(await lines()).toEqual([caseOf('a', 'one')])
})
