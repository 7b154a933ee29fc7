/** `verify` looks at content as it truly is: what was changed behind a device's back is named. */
import { expect, it } from 'vitest'
import * as Y from 'yjs'
import { setFields } from '../../src/cases/edit.js'
import { nodeNatives } from '../../src/node/natives.js'
import { encodePayload } from '../../src/protocol/payload.js'
import { decodeParts, docOf } from '../../src/store/case-content.js'
import { keys } from '../../src/store/keyspace.js'
import { exported, imported, startPair, synced } from '../support/processes.js'
import { plainCase, workloadLines } from '../support/workload.js'
import { findCase, withStore } from './stores.js'

interface VerifyReport {
  identical: boolean
  devices: { id: string; reached: boolean; differs: string[] }[]
}

it('names the case whose content was changed in the store, with valid checksums', async () => {
  const [desk, laptop] = await startPair()
  await imported(desk, workloadLines(30))
  await synced(desk)
  const { id } = plainCase(7)
  await laptop.stop()

  await withStore(laptop.folder, async (store) => {
    const { sealed } = store
    const state = await findCase(store, id)
    const stored = await sealed.getMany(state.parts.map(({ number }) => keys.part(state.key, number)))
    const doc = docOf(decodeParts(nodeNatives, stored as Uint8Array[]))
    setFields(doc, [['patient.lastName', 'Forged']])
    const value = encodePayload(nodeNatives, Y.encodeStateAsUpdate(doc))
    const writes = state.parts.map(({ number }) => ({ key: keys.part(state.key, number), value }))
    await sealed.write(writes)
    await sealed.flush()
  })

  await laptop.start()
  // Nothing else notices: the devices agree about what they were told.
  await synced(desk)
  expect(await exported(laptop)).not.toBe(await exported(desk))
  for (const [device, other] of [
    [desk, laptop],
    [laptop, desk],
  ] as const)
    expect(await device.ok<VerifyReport>('verify')).toEqual({
      identical: false,
      devices: [{ id: other.id, reached: true, differs: [id] }],
    })
})

it('names a case with a flipped bit, never shows it as sound, and has it back from the other device', async () => {
  const [desk, laptop] = await startPair()
  await imported(desk, workloadLines(30))
  await synced(desk)
  const { id } = plainCase(11)
  await laptop.stop()

  await withStore(laptop.folder, async (store) => {
    const state = await findCase(store, id)
    const key = keys.part(state.key, state.parts[0]!.number)
    const bytes = (await store.level.get(key))!
    bytes[bytes.length >> 1]! ^= 1
    await store.level.put(key, bytes)
  })

  await laptop.start()
  const shown = await laptop.run('case', 'show', id)
  if (shown.code === 0) expect(shown.json).toMatchObject({ patient: plainCase(11).patient })
  else expect(shown.json).toMatchObject({ error: { code: 'store-damaged' } })
  await laptop.run('verify')
  await synced(laptop)
  expect((await laptop.ok<VerifyReport>('verify')).identical).toBe(true)
  expect(await exported(laptop)).toBe(await exported(desk))
  expect((await laptop.ok<{ problems: unknown[] }>('status')).problems).toEqual([])
})

it('says which device it could not reach', async () => {
  const [desk, laptop] = await startPair()
  await synced(desk)
  await laptop.stop()
  expect(await desk.ok<VerifyReport>('verify')).toEqual({
    identical: false,
    devices: [{ id: laptop.id, reached: false, differs: [] }],
  })
})
