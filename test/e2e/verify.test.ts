/** `verify` looks at content as it truly is: what was changed behind a device's back is named. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Level } from 'level'
import { expect, it } from 'vitest'
import * as Y from 'yjs'
import { setFields } from '../../src/cases/edit.js'
import { nodeNatives } from '../../src/node/natives.js'
import { encodePayload } from '../../src/protocol/payload.js'
import { decodeCase, decodeParts, docOf } from '../../src/store/case-content.js'
import { keys, rangeOf } from '../../src/store/keyspace.js'
import { type Database, SealedDb } from '../../src/store/sealed-db.js'
import { afterwards, exported, startPair, synced, type TestDevice, tempFile } from '../support/processes.js'
import { plainCase, workloadLines } from '../support/workload.js'

interface VerifyReport {
  identical: boolean
  devices: { id: string; reached: boolean; differs: string[] }[]
}

/** The store of a device that is stopped, with its keys. */
async function openStore(device: TestDevice): Promise<{ level: Level<Uint8Array, Uint8Array>; sealed: SealedDb }> {
  const options = { keyEncoding: 'view', valueEncoding: 'view' } as const
  const level = new Level<Uint8Array, Uint8Array>(join(device.folder, 'store'), options)
  await level.open()
  afterwards(() => level.close())
  const { dataKey } = JSON.parse(readFileSync(join(device.folder, 'keys.json'), 'utf8')) as { dataKey: string }
  const sealed = new SealedDb({
    db: level as unknown as Database,
    natives: nodeNatives,
    dataKey: Buffer.from(dataKey, 'hex'),
    random: randomBytes,
  })
  return { level, sealed }
}

async function findCase(sealed: SealedDb, id: string) {
  for await (const { key, value } of sealed.rows(rangeOf('c'))) {
    const state = decodeCase(key.slice(1), value)
    if (state.caseId === id) return state
  }
  throw new Error('no such case')
}

it('names the case whose content was changed in the store, with valid checksums', async () => {
  const [desk, laptop] = await startPair()
  await desk.ok('case', 'import', tempFile('cases.jsonl', workloadLines(30)))
  await synced(desk)
  const { id } = plainCase(7)
  await laptop.stop()

  const { level, sealed } = await openStore(laptop)
  const state = await findCase(sealed, id)
  const stored = await sealed.getMany(state.parts.map(({ number }) => keys.part(state.key, number)))
  const doc = docOf(decodeParts(nodeNatives, stored as Uint8Array[]))
  setFields(doc, [['patient.lastName', 'Forged']])
  const forged = encodePayload(nodeNatives, Y.encodeStateAsUpdate(doc))
  const [first, ...others] = state.parts
  const write = { key: keys.part(state.key, first!.number), value: forged }
  await sealed.write([write, ...others.map(({ number }) => ({ key: keys.part(state.key, number), value: forged }))])
  await sealed.flush(write)
  await level.close()

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
  await desk.ok('case', 'import', tempFile('cases.jsonl', workloadLines(30)))
  await synced(desk)
  const { id } = plainCase(11)
  await laptop.stop()

  const { level, sealed } = await openStore(laptop)
  const state = await findCase(sealed, id)
  const key = keys.part(state.key, state.parts[0]!.number)
  const bytes = (await level.get(key))!
  bytes[bytes.length >> 1]! ^= 1
  await level.put(key, bytes, { sync: true } as object)
  await level.close()

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
