/** A process whose heap is kept small, beside one that Node lets grow. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, expect, test } from 'vitest'

/** Objects that outlive the young heap and are replaced then, as what arrives in a first sync. */
const WORK = `
import { getHeapSpaceStatistics } from 'node:v8'
import { setImmediate as turn } from 'node:timers/promises'
const held = []
let most = 0
for (let i = 0; i < 1_500_000; i++) {
  held[i % 200_000] = { i, list: [i] }
  if (i % 2000 > 0) continue
  await turn()
  most = Math.max(most, process.memoryUsage().heapTotal)
}
const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space').space_size
console.log(JSON.stringify({ young, most }))
`

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kartoteka-heap-'))
  const source = readFileSync(new URL('../../src/node/heap.ts', import.meta.url), 'utf8')
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 }
  writeFileSync(join(folder, 'heap.mjs'), ts.transpileModule(source, { compilerOptions: options }).outputText)
  writeFileSync(join(folder, 'large.mjs'), WORK)
  writeFileSync(
    join(folder, 'small.mjs'),
    `import { keepHeapSmall } from './heap.mjs'\nkeepHeapSmall()\n${WORK}`,
  )
})
afterAll(() => rmSync(folder, { recursive: true }))

const memoryOf = (script: string): { young: number; most: number } =>
  JSON.parse(execFileSync(process.execPath, [join(folder, script)], { encoding: 'utf8' }))

test('what is not needed any more takes less than Node would let it take', () => {
  const [small, large] = [memoryOf('small.mjs'), memoryOf('large.mjs')]
  expect(small.young).toBeLessThan(large.young / 2)
  expect(small.most).toBeLessThan(large.most / 2)
})

test('this V8 knows every flag that it is given', () => {
  const source = "import { giveBackOnce, keepHeapSmall } from './heap.mjs'\nkeepHeapSmall()\ngiveBackOnce()\n"
  writeFileSync(join(folder, 'flags.mjs'), source)
  const { status, stderr } = spawnSync(process.execPath, [join(folder, 'flags.mjs')], { encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
})
