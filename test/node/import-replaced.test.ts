/** An import says what it puts in the place of what somebody wrote here: before, in a preview, and afterwards. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Device } from '../../src/node/api.js'
import type { ImportReport } from '../../src/node/contract.js'
import { createDevice } from '../../src/node/device.js'

const folder = mkdtempSync(join(tmpdir(), 'kartoteka-replaced-'))
let device: Device
beforeAll(async () => {
  device = await createDevice({ folder, network: false })
  await device.practice.create({ name: 'Praxis', device: 'Desk' })
})
afterAll(async () => {
  await device.close()
  rmSync(folder, { recursive: true })
})

const take = (json: object, preview = false) =>
  device.cases.import({ lines: [{ line: 4, text: JSON.stringify(json) }], preview })
const line = async () => (await device.cases.export({ only: ['k'] })).lines[0]!

const older = {
  id: 'k',
  patient: { lastName: 'Żak', phone: '', email: 'a@b' },
  consultations: [{ id: 'c', text: 'fever. sleeps badly' }],
  createdAt: '2020',
}

test('an older file over newer notes: what goes is told, in a preview before it is gone', async () => {
  expect(await take(older)).not.toHaveProperty('replaced')
  await device.cases.set({
    id: 'k',
    fields: [
      ['patient.phone', '111'],
      ['patient.email', ''],
      ['createdAt', '2021'],
    ],
  })
  const newer = 'A newer sentence. '
  await device.cases.type({ id: 'k', consultation: 'c', at: 7, erase: 0, text: newer.repeat(30) })
  await device.cases.add({ id: 'k', kind: 'prescription', json: '{"id":"p","remedy":"Sepia"}' })
  const before = await line()
  const was = `${newer.repeat(30).slice(0, 200)}…`
  const told: ImportReport['replaced'] = [
    { line: 4, id: 'k', field: 'consultations.c.text', was },
    { line: 4, id: 'k', field: 'patient.phone', was: '111' },
  ]
  expect(await take(older, true)).toMatchObject({ merged: 1, replaced: told })
  expect(await line()).toBe(before)
  expect(await take(older)).toMatchObject({ merged: 1, replaced: told })
  const again = await take(older)
  expect(again).toMatchObject({ unchanged: 1 })
  expect(again).not.toHaveProperty('replaced')
})

test('what is only added, or comes back as it is, replaces nothing; another form of consent does', async () => {
  const more = { id: 'k', tags: ['t'], consultations: [{ id: 'c', text: 'fever. sleeps badly, and more' }] }
  expect(await take(more)).not.toHaveProperty('replaced')
  expect(await take({ id: 'k', consent: { date: '2024', note: 'on paper' } })).not.toHaveProperty('replaced')
  expect((await take({ id: 'k', consent: 'yes' })).replaced).toEqual([
    { line: 4, id: 'k', field: 'consent.date', was: '2024' },
    { line: 4, id: 'k', field: 'consent.note', was: 'on paper' },
  ])
  expect((await take({ id: 'k', consent: { date: '2025' } })).replaced).toEqual([
    { line: 4, id: 'k', field: 'consent', was: 'yes' },
  ])
})

test('of a case that is deleted here the report says so: nothing of the file is taken in', async () => {
  await device.cases.delete({ ids: ['k'] })
  const before = await device.cases.show({ id: 'k' })
  for (const preview of [true, false])
    expect(await take({ id: 'k', drawer: 'Study' }, preview)).toEqual({
      added: 0,
      merged: 0,
      unchanged: 1,
      deleted: 1,
      errors: [],
    })
  expect(await device.cases.show({ id: 'k' })).toEqual(before)
})
