/** Two devices that are never online together: mail, by the shipping machine, office, store and relay. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createUpdate } from '../../src/cases/create.js'
import { setFields } from '../../src/cases/edit.js'
import { nodeNatives } from '../../src/node/natives.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import { type MailDevice, MailWorld, type SimRelay } from '../support/mail-world.js'

let world: MailWorld
let relay: SimRelay
let a: MailDevice
let b: MailDevice
beforeEach(async () => {
  world = new MailWorld(7)
  relay = await world.addRelay()
  a = await world.add('a')
  b = await world.add('b')
})
afterEach(() => world.stop())

async function create(device: MailDevice, ...ids: string[]): Promise<void> {
  for (const id of ids) {
    const update = createUpdate({ id, patient: { lastName: id } }, nodeNatives.sha256)
    await device.replica.append([{ caseId: id, kind: KIND_UPDATE, update }])
  }
}

const phone = (device: MailDevice, id: string, text: string) =>
  device.edit(id, (doc) => setFields(doc, [['patient.phone', text]]))

/** One device alone with the relay for a while. */
async function online(device: MailDevice, ms = 6_000): Promise<void> {
  const wire = await world.connectMail(device, relay)
  await world.pass(ms)
  world.cutMail(wire)
  await world.quiesce()
}

async function waiting(device: MailDevice): Promise<number> {
  await world.connectMail(device, relay)
  await world.pass(3_000)
  const inventory = await relay.waiting(device)
  return inventory!.waiting.reduce((sum, { count }) => sum + count, 0)
}

test('what one types reaches the other by mail, in both directions, and nothing stays at the relay', async () => {
  await create(a, 'one', 'two')
  await online(a)
  await online(b)
  expect(await b.lines()).toEqual(await a.lines())
  await phone(b, 'one', '123')
  await online(b)
  await online(a)
  expect(await a.lines()).toEqual(await b.lines())
  expect((await a.lines()).join()).toContain('123')
  await online(b)
  expect(await waiting(a)).toBe(0)
  expect(a.failures).toEqual([])
  expect(b.failures).toEqual([])
})
