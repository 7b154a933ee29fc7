/** The doctor is asked when something is wrong: a missing file is what it finds, not what ends it. */
import { mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { createDevice } from '../../src/node/device.js'

const root = mkdtempSync(join(tmpdir(), 'kartoteka-doctor-'))
afterEach(() => rmSync(root, { recursive: true, force: true }))

test('a key file that is gone, and a folder that was moved, are named with what to do', async () => {
  const folder = join(root, 'data')
  const device = await createDevice({ folder, network: false })
  await device.practice.create({ name: 'Praxis', device: 'Desk' })
  const bad = async () =>
    (await device.doctor()).filter(({ ok }) => !ok).map(({ check, fix }) => [check, fix])
  expect(await bad()).toEqual([])
  rmSync(join(folder, 'keys.json'))
  expect(await bad()).toEqual([['keys', expect.stringContaining('keys.json')]])
  renameSync(folder, join(root, 'elsewhere'))
  expect((await bad()).map(([check]) => check)).toEqual(['folder', 'keys'])
  renameSync(join(root, 'elsewhere'), folder)
  await device.close()
})
