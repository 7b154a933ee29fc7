/** The key file: without the right one everything in the store is lost. */
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadIdentity } from '../../src/node/device/identity.js'
import { createDevice } from '../../src/node/device.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kartoteka-keys-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('first starts at the same time, as by a double click, have the keys that are in the file', async () => {
  for (let attempt = 0; attempt < 40; attempt++) {
    const fresh = join(folder, `${attempt}`)
    await mkdir(fresh)
    const started = await Promise.allSettled([
      loadIdentity(fresh),
      new Promise((resolve) => setTimeout(resolve, attempt % 4)).then(() => loadIdentity(fresh)),
    ])
    const kept = await loadIdentity(fresh)
    for (const outcome of started)
      if (outcome.status === 'fulfilled') expect(outcome.value.dataKey).toEqual(kept.dataKey)
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
