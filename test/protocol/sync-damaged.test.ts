/** A damaged case between two devices that run the whole stack: neither lost, nor hidden, nor in the way. */
import { afterEach, expect, test } from 'vitest'
import { createUpdate } from '../../src/cases/create.js'
import { setFields, typeText } from '../../src/cases/edit.js'
import { nodeNatives } from '../../src/node/natives.js'
import { toHex } from '../../src/protocol/bytes.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import { keys } from '../../src/store/keyspace.js'
import { prune } from '../../src/store/pruning.js'
import { type SimDevice, World } from '../support/world.js'

let world: World
afterEach(() => world.stop())

async function start(seed: number): Promise<[SimDevice, SimDevice]> {
  world = new World(seed)
  const devices: [SimDevice, SimDevice] = [await world.add('a'), await world.add('b')]
  const changes = Array.from({ length: 5 }, (_, at) => {
    const consultations = [{ id: 'c0', date: '2024-01-02', text: `notes ${at} `.repeat(30) }]
    const update = createUpdate(
      { id: `case-${at}`, patient: { lastName: `Nowak ${at}` }, consultations },
      nodeNatives.sha256,
    )
    return { caseId: `case-${at}`, kind: KIND_UPDATE, update }
  })
  expect(await devices[0].replica.append(changes)).toEqual({ ok: true })
  return devices
}

/** The device's row of a case rots while it is off. */
async function rot(device: SimDevice, caseId: string): Promise<void> {
  const key = keys.case(device.replica.keyOf(caseId))
  await device.driver.stop()
  await device.replica.close()
  const view = { keyEncoding: 'view', valueEncoding: 'view' } as const
  const value = Uint8Array.from((await device.disk.db.get(key, view)) as Uint8Array)
  value[40]! ^= 1
  await device.disk.db.batch([{ type: 'put', key, value }], view)
  await device.boot()
}

/** Meets, and again for as long as sessions break; then everything quiet. */
async function meet(a: SimDevice, b: SimDevice): Promise<void> {
  for (let attempt = 0; attempt < 4; attempt++) {
    if (world.wires.length === 0) world.connect(a, b)
    await world.quiesce()
    world.clock.pass(3000)
    await world.quiesce()
  }
}

test('a sender that can’t read a case says so at the end: the receiver knows that it lacks it', async () => {
  const [a, b] = await start(1)
  await world.add('away')
  await prune(a.replica, () => [], 0)
  await rot(a, 'case-2')
  await meet(a, b)
  expect(await b.lines()).toHaveLength(4)
  expect([...b.replica.damaged.keys()]).toEqual([toHex(b.replica.keyOf('case-2'))])
})

test('a case whose row its author can’t read is made anew of the changes that are retained, where nobody else has it', async () => {
  const [a, b] = await start(1)
  await rot(a, 'case-2')
  await meet(a, b)
  expect(await b.lines()).toHaveLength(5)
  expect(await b.lines()).toEqual(await a.lines())
})

test('devices one of which lacks a case never say that both hold everything', async () => {
  const [a, b] = await start(2)
  await world.add('away')
  await prune(a.replica, () => [], 0)
  await rot(a, 'case-2')
  await meet(a, b)
  const [wire] = world.wires
  const round = a.driver.round(wire!.sessionA)
  await world.quiesce()
  expect((await round)?.complete).toBe(false)
})

test('a case damaged here is fetched from a device that has it', async () => {
  const [a, b] = await start(3)
  await meet(a, b)
  await a.edit('case-1', (doc) => typeText(doc, 'c0', 0, 0, 'before '))
  await world.quiesce()
  for (const wire of [...world.wires]) world.cut(wire)
  await rot(b, 'case-2')
  await b.lines()
  expect(b.replica.damaged.size).toBe(1)
  await meet(a, b)
  expect(b.replica.damaged.size).toBe(0)
  expect(await b.lines()).toEqual(await a.lines())
})

test('a case damaged here and edited there meanwhile is fetched, and nothing else waits for it', async () => {
  const [a, b] = await start(4)
  await meet(a, b)
  for (const wire of [...world.wires]) world.cut(wire)
  await rot(b, 'case-2')
  await a.edit('case-2', (doc) => setFields(doc, [['patient.phone', '123']]))
  await a.edit('case-3', (doc) => setFields(doc, [['patient.phone', '456']]))
  await meet(a, b)
  expect((await b.lines()).join()).toContain('456')
  expect(await b.lines()).toEqual(await a.lines())
  expect(b.failures).toEqual([])
})

test('a round that is asked for as soon as the devices are connected ends', async () => {
  const [a, b] = await start(5)
  await meet(a, b)
  for (const wire of [...world.wires]) world.cut(wire)
  const wire = world.connect(a, b)
  let result: unknown
  void a.driver.round(wire.sessionA).then((round) => {
    result = round
  })
  await world.quiesce()
  expect(result).toMatchObject({ equal: true, complete: true })
})
