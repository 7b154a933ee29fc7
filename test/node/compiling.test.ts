/** A process that compiles late, beside one that compiles when V8 would by itself. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, expect, test } from 'vitest'

/** Calls one small function so often, and says whether V8 meant to compile it. */
const WORK = `
function worked(value) {
  let sum = 0
  for (let i = 0; i < 10; i++) sum += value ^ i
  return sum
}
function many() {
  let sum = 0
  for (let call = 0; call < 10; call++) sum += worked(call)
  return sum
}
for (let rest = Number(process.argv[2]); rest > 0; rest -= 10) many()
`

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kartoteka-compiling-'))
  const source = readFileSync(new URL('../../src/node/compiling.ts', import.meta.url), 'utf8')
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 }
  const { outputText } = ts.transpileModule(source, { compilerOptions: options })
  writeFileSync(join(folder, 'compiling.mjs'), outputText)
  writeFileSync(join(folder, 'soon.mjs'), WORK)
  writeFileSync(
    join(folder, 'late.mjs'),
    `import { compileLate } from './compiling.mjs'\ncompileLate()\n${WORK}`,
  )
})
afterAll(() => rmSync(folder, { recursive: true }))

const isCompiled = (script: string, calls: number): boolean =>
  execFileSync(process.execPath, ['--trace-opt', join(folder, script), String(calls)], {
    encoding: 'utf8',
  }).includes('<JSFunction worked')

test('what runs for a moment is left as it is, what goes on is compiled', () => {
  expect(isCompiled('soon.mjs', 800)).toBe(true)
  expect(isCompiled('late.mjs', 800)).toBe(false)
  expect(isCompiled('late.mjs', 20_000)).toBe(true)
})
