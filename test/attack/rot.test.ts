/** A bit that rots outside a case's own rows: what others need still reaches them, another way. */
import { afterEach, expect, test } from 'vitest'
import { createUpdate } from '../../src/cases/create.js'
import { setFields } from '../../src/cases/edit.js'
import { nodeNatives } from '../../src/node/natives.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import { keys } from '../../src/store/keyspace.js'
import { type SimDevice, World } from '../support/world.js'

let world: World
afterEach(() => world.stop())

async function meet(a: SimDevice, b: SimDevice): Promise<void> {
  for (let attempt = 0; attempt < 4; attempt++) {
    if (world.wires.length === 0) world.connect(a, b)
    await world.quiesce()
    world.clock.pass(3000)
    await world.quiesce()
  }
}

test('a retained change that rots does not keep the changes behind it from other devices', async () => {
  world = new World(11)
  const [a, b] = [await world.add('a'), await world.add('b')]
  for (const id of ['one', 'two']) {
    const update = createUpdate({ id, patient: { lastName: id } }, nodeNatives.sha256)
    await a.replica.append([{ caseId: id, kind: KIND_UPDATE, update }])
  }
  await meet(a, b)
  for (const wire of [...world.wires]) world.cut(wire)
  for (let at = 0; at < 3; at++) await a.edit('one', (doc) => setFields(doc, [['patient.phone', `${at}`]]))
  await a.edit('two', (doc) => setFields(doc, [['patient.phone', '456']]))
  const log = a.replica.logs.get(a.replica.currentLog!)!
  const key = keys.change(log.log, log.seq - 2)
  const view = { keyEncoding: 'view', valueEncoding: 'view' } as const
  const value = Uint8Array.from((await a.disk.db.get(key, view)) as Uint8Array)
  value[40]! ^= 1
  await a.disk.db.batch([{ type: 'put', key, value }], view)
  await meet(a, b)
  expect(await b.lines()).toEqual(await a.lines())
})
