import { afterEach, expect, it } from 'vitest'
import { createUpdate } from '../../src/cases/create.js'
import { setFields } from '../../src/cases/edit.js'
import { nodeNatives } from '../../src/node/natives.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
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
