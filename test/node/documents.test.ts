import { afterEach, expect, it } from 'vitest'
import { createUpdate } from '../../src/cases/create.js'
import { setDeleted, setFields } from '../../src/cases/edit.js'
import { nodeNatives } from '../../src/node/natives.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import { parseRow } from '../../src/store/case-row.js'
import { World } from '../support/world.js'

let world: World
afterEach(() => world.stop())

it('edits of more cases at once than documents are kept open all arrive', async () => {
  world = new World(5)
  const device = await world.add('a')
  const ids = Array.from({ length: 80 }, (_, at) => `case-${at}`)
  await device.replica.append(
    ids.map((id) => ({
      caseId: id,
      kind: KIND_UPDATE,
      update: createUpdate({ id, patient: { lastName: id } }, nodeNatives.sha256),
    })),
  )
  await Promise.all(
    ids.map((id) => device.edit(id, (doc) => setFields(doc, [['patient.phone', `now ${id}`]]))),
  )
  const text = (await device.lines()).join('\n')
  for (const id of ids) expect(text).toContain(`"phone":"now ${id}"`)
})

it('a list row follows what it shows, between letters that it does not show', async () => {
  world = new World(6)
  const device = await world.add('a')
  const content = {
    id: 'one',
    patient: { lastName: 'Nowak' },
    consultations: [{ id: 'c0', date: '2025-01-01', kind: 'first', text: '', marks: [] }],
  }
  const update = createUpdate(content as never, nodeNatives.sha256)
  await device.replica.append([{ caseId: 'one', kind: KIND_UPDATE, update }])
  const row = async () => parseRow((await device.replica.caseState(device.replica.keyOf('one')))!.row)
  const type = (letter: string) =>
    device.edit('one', (doc) => doc.getText('text:consultations/c0').insert(0, letter))
  await type('a')
  await type('b')
  expect(await row()).toMatchObject({ lastName: 'Nowak', deleted: false })
  await device.edit('one', (doc) => setFields(doc, [['patient.lastName', 'Kowalski']]))
  await type('c')
  expect(await row()).toMatchObject({ lastName: 'Kowalski', deleted: false })
  await device.edit('one', (doc) => setDeleted(doc, nodeNatives.sha256))
  expect(await row()).toMatchObject({ deleted: true, lateEdits: false })
  await type('d')
  expect(await row()).toMatchObject({ deleted: true, lateEdits: true })
  expect((await device.lines()).join()).toContain('"text":"dcba"')
})
