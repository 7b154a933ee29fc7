/** The key file: without the right one everything in the store is lost. */
import { mkdtempSync, rmSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createDevice } from '../../src/node/device.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kartoteka-keys-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('first starts at the same time, as by a double click, have the keys that are in the file', async () => {
  for (let attempt = 0; attempt < 10; attempt++) {
    const fresh = join(folder, `${attempt}`)
    const open = () => createDevice({ folder: fresh, network: false })
    const started = await Promise.allSettled([open(), open()])
    const [running] = started.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    const [refused] = started.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
    expect(refused).toMatchObject({ code: 'in-use' })
    await running!.close()
    const again = await open()
    expect(again.id).toBe(running!.id)
    await again.close()
  }
})

test('a store whose key file is gone is refused, and no other keys take its place', async () => {
  const device = await createDevice({ folder, network: false })
  await device.practice.create({ name: 'Practice', device: 'Desk', pin: undefined })
  await device.close()
  await rm(join(folder, 'keys.json'))
  const again = createDevice({ folder, network: false })
  await expect(again).rejects.toMatchObject({ code: 'keys-damaged' })
  await expect(readFile(join(folder, 'keys.json'))).rejects.toMatchObject({ code: 'ENOENT' })
})
