/** What is in git: nothing of one machine, no work left behind, files of a readable size, no test in the wrong place. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, matchesGlob } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { readSources } from '../../scripts/lib/source-rules.mjs'
import { checkText, describeSizes, trackedFiles } from '../../scripts/lib/tree-rules.mjs'
import { BROWSER_TESTS, E2E_TESTS } from '../../vitest.config.js'

const root = fileURLToPath(new URL('../../', import.meta.url))

describe('files in git', () => {
  it('name no folder of one machine and leave no work behind', (context) => {
    const files = trackedFiles(root)
    if (!files) return context.skip('this copy of the sources is not a git checkout')
    expect(files.size).toBeGreaterThan(100)
    expect(checkText(files)).toEqual([])
  })

  it.each([
    ['cd /wor', 'k/main'],
    ['"/wor', 'k"'],
    ['see /tmp/bash_job', 's.0/1'],
    ['// TO', 'DO: later'],
    ['FIX', 'ME'],
  ])('a planted %s%s is found', (start, end) => {
    expect(checkText(new Map([['a.ts', `first\n${start}${end}\n`]]))).toEqual([
      expect.stringMatching(/^a\.ts:2 /),
    ])
  })

  it.each([
    ['https://example.org/wor', 'k/1'],
    ['workload/', 'gen.mjs'],
    ['src/wor', 'k/a.ts'],
    ['/wor', 'kload'],
    ['a to', 'do list'],
  ])('%s%s is fine', (start, end) => {
    expect(checkText(new Map([['a.ts', start + end]]))).toEqual([])
  })
})

it('the median source is short', () => {
  const { medianLines, sentence } = describeSizes(readSources(root))
  expect(medianLines, sentence).toBeLessThanOrEqual(150)
})

it('tests that drive a browser run where there is one, one at a time', () => {
  const names = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.test\.tsx?$/.test(name),
  )
  const misplaced = names
    .map((name) => `test/${name.replaceAll('\\', '/')}`)
    .filter((path) =>
      /from '@playwright\/test'|chromium\.launch/.test(readFileSync(join(root, path), 'utf8')),
    )
    .filter((path) => ![...BROWSER_TESTS, ...E2E_TESTS].some((glob) => matchesGlob(path, glob)))
    .filter((path) => !path.startsWith('test/house/'))
  expect(misplaced).toEqual([])
})
