/** [S6] A relay that could take a letter counts as somebody who is there. */
import { afterEach, expect, it } from 'vitest'
import { createUpdate } from '../../src/cases/create.js'
import { typeText } from '../../src/cases/edit.js'
import { nodeNatives } from '../../src/node/natives.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import { MailWorld } from '../support/mail-world.js'
import { MemoryNotepad } from '../support/notepad.js'

const world = new MailWorld(5)
afterEach(() => world.stop())

it('[S6] what was only jotted down is left at the relay that connects, and nothing is jotted down while it is there', async () => {
  const [a, b] = [await world.add('a'), await world.add('b')]
  Object.assign(a.replica.options, {
    notepad: new MemoryNotepad(),
    isAwaited: () => a.driver.sessions.size + a.mail.sessions.size > 0,
  })
  const update = createUpdate({ id: 'one', consultations: [{ id: 'c', text: '' }] }, nodeNatives.sha256)
  await a.replica.append([{ caseId: 'one', kind: KIND_UPDATE, update }])
  const type = (text: string) => a.edit('one', (doc) => typeText(doc, 'c', 0, 0, text))
  for (const letter of '.ab') await type(letter)
  expect(a.replica.docs.jotted).toBe(1)
  const relay = await world.addRelay()
  await world.connectMail(a, relay)
  await type('c')
  expect(a.replica.docs.jotted).toBe(0)
  await world.quiesce()
  await world.pass(3_000)
  await type('d')
  expect(a.replica.docs.jotted).toBe(0)
  await world.pass(3_000)
  await world.connectMail(b, relay)
  await world.quiesce()
  await world.pass(3_000)
  expect((await b.lines()).join()).toContain('dcba.')
  expect(await b.lines()).toEqual(await a.lines())
  expect([...a.failures, ...b.failures]).toEqual([])
})
