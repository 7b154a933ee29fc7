/** A process that compiles late and little, beside one that compiles as V8 would by itself. */
import { execFileSync, spawnSync } from 'node:child_process'
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

/** A function that becomes hot, and calls others of middling size. */
const NESTED = `
const lines = (k) => Array.from({ length: 12 }, (_, i) => 's = (s * ' + (i + k) + ' + b) ^ (s >> ' + i + ');').join('')
const made = Array.from({ length: 8 }, (_, k) => new Function('a', 'b', 'let s = a;' + lines(k) + 'return s'))
const [f0, f1, f2, f3, f4, f5, f6, f7] = made
const all = (x) => f0(x, 1) + f1(x, 2) + f2(x, 3) + f3(x, 4) + f4(x, 5) + f5(x, 6) + f6(x, 7) + f7(x, 8)
for (let i = 0; i < 2_000_000; i++) all(i)
`
const START = "import { compileLess } from './compiling.mjs'\ncompileLess()\n"

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kartoteka-compiling-'))
  const source = readFileSync(new URL('../../src/node/compiling.ts', import.meta.url), 'utf8')
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 }
  const { outputText } = ts.transpileModule(source, { compilerOptions: options })
  writeFileSync(join(folder, 'compiling.mjs'), outputText)
  writeFileSync(join(folder, 'soon.mjs'), WORK)
  writeFileSync(join(folder, 'late.mjs'), `${START}${WORK}`)
  writeFileSync(join(folder, 'more.mjs'), NESTED)
  writeFileSync(join(folder, 'less.mjs'), `${START}${NESTED}`)
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Without the compiler between both that newer V8 have: it is quick, and what it does is not put off. */
const isCompiled = (script: string, calls: number): boolean => {
  const args = ['--no-maglev', '--trace-opt', join(folder, script), String(calls)]
  return execFileSync(process.execPath, args, { encoding: 'utf8' }).includes('<JSFunction worked')
}

test('what runs for a moment is left as it is, what goes on is compiled', () => {
  expect(isCompiled('soon.mjs', 450)).toBe(true)
  expect(isCompiled('late.mjs', 450)).toBe(false)
  expect(isCompiled('late.mjs', 20_000)).toBe(true)
})

/** How often the compiler writes one function out within another. */
function inlinedBy(script: string): number {
  const args = ['--trace-turbo-inlining', join(folder, script)]
  return execFileSync(process.execPath, args, { encoding: 'utf8' }).split('Inlining ').length - 1
}

test('what became hot is compiled with less of what it calls', () => {
  expect(inlinedBy('less.mjs')).toBeLessThan(inlinedBy('more.mjs') / 2)
})

test('this V8 knows every flag that it is given', () => {
  const { status, stderr } = spawnSync(process.execPath, [join(folder, 'late.mjs'), '0'], {
    encoding: 'utf8',
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
})
