import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { Practice } from '../../src/node/device/practice-state.js'
import { ROTTEN, StoreWatch } from '../../src/node/device/store-watch.js'

const folder = mkdtempSync(join(tmpdir(), 'kartoteka-watch-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('that a new start helps is said once, and only when that start will know of it', async () => {
  const said: string[] = []
  const notes = { say: async (code: string, sentence: string) => void said.push(`${code}: ${sentence}`) }
  const practice = { isRotten: false, options: { emit: () => {}, notes } }
  let stored = () => {}
  const watch = new StoreWatch(
    folder,
    practice as unknown as Practice,
    () =>
      new Promise((resolve) => {
        stored = resolve
      }),
  )
  const told = [watch.rotten(), watch.rotten()]
  expect({ ...practice, said }).toMatchObject({ isRotten: false, said: [] })
  stored()
  await Promise.all(told)
  expect({ ...practice, said }).toMatchObject({ isRotten: true, said: [`store-damaged: ${ROTTEN}`] })
})
