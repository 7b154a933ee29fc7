/** The core and the store are for every platform: a bundle of them for a browser needs nothing of Node. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { readSources } from '../../scripts/lib/source-rules.mjs'
import { bundle } from '../support/bundle.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'kartoteka-bundle-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** One module that hands on all of these. */
function all(files: string[]): string {
  const entry = join(folder, 'all.mjs')
  writeFileSync(
    entry,
    files.map((file, at) => `export * as m${at} from ${JSON.stringify(root + file)}`).join('\n'),
  )
  return entry
}

const filesIn = (...rooms: string[]) =>
  [...readSources(root).keys()].filter((file) => rooms.some((room) => file.startsWith(room)))

test('src/protocol, src/cases and src/store are bundled for a browser whole', async () => {
  const files = filesIn('src/protocol/', 'src/cases/', 'src/store/')
  const { code, needs } = await bundle(all(files))
  expect(files.length).toBeGreaterThan(100)
  expect(needs).toEqual([])
  expect(code).not.toMatch(/from ["']node:|require\(|__vite-browser-external/)
  // Nothing was left out of it, and nothing in it is left to be found elsewhere.
  for (const word of ['kartoteka/1 head', 'kartoteka/1 statement', 'class IncomingTransfer'])
    expect(code).toContain(word)
  expect(code).not.toMatch(/^import /m)
})

test('a module that needs Node is found', async () => {
  const { needs } = await bundle(all(['src/node/natives.ts']))
  expect(needs).toEqual(expect.arrayContaining([expect.stringMatching(/natives\.ts imports node:zlib$/)]))
})
