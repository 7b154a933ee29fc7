// @ts-check
/**
 * `npm run check`: everything that can be said about the sources without running the product. Every
 * step runs, two at a time, whatever the others find; a failing one shows what it found.
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkNode, ensureInstalled, root } from './lib/build.mjs'

/** @typedef {{ ok: boolean, output: string, note?: string }} Outcome */

const BIOME = ['check', '--error-on-warnings', '--max-diagnostics=100', '.']
const KNIP = ['--no-progress', '--no-config-hints']

const AT_ONCE = 2
const STEPS = [
  { name: 'types', run: () => types('.') },
  { name: 'types of the window', run: () => types('ui') },
  { name: 'lint and format', run: () => tool('@biomejs/biome/bin/biome', BIOME) },
  { name: 'dependency rule', run: () => sources('checkImports') },
  { name: 'banned calls', run: () => sources('checkAmbientCalls') },
  { name: 'dead code', run: () => tool('knip/bin/knip.js', KNIP) },
  { name: 'generated code', run: generated },
  { name: 'packages', run: packages },
  { name: 'files', run: files },
]

/**
 * Runs all steps, to standard output.
 *
 * @returns {Promise<{ passed: number, failed: number }>}
 */
export async function runChecks() {
  let failed = 0
  const left = [...STEPS]
  const hand = async () => {
    for (let step = left.shift(); step; step = left.shift()) if (!(await report(step))) failed += 1
  }
  await Promise.all(Array.from({ length: AT_ONCE }, hand))
  return { passed: STEPS.length - failed, failed }
}

/** @param {{ name: string, run: () => Outcome | Promise<Outcome> }} step */
async function report({ name, run }) {
  const began = Date.now()
  const { ok, output, note = '' } = await attempt(run)
  const seconds = ((Date.now() - began) / 1000).toFixed(1)
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${name.padEnd(20)} ${seconds.padStart(5)} s  ${note}`.trimEnd())
  if (!ok) console.log(`\n${output.trim().replace(/^/gm, '       ')}\n`)
  return ok
}

/**
 * @param {() => Outcome | Promise<Outcome>} run
 * @returns {Promise<Outcome>}
 */
async function attempt(run) {
  try {
    return await run()
  } catch (error) {
    return { ok: false, output: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

/** @param {string} project */
function types(project) {
  if (!existsSync(join(root, project, 'tsconfig.json'))) return { ok: true, output: '' }
  // Kept between runs, so that the second is quick.
  const notes = join(root, `node_modules/.cache/kartoteka/${project === '.' ? 'root' : project}.tsbuildinfo`)
  const args = ['-p', project, '--noEmit', '--pretty', 'false', '--incremental', '--tsBuildInfoFile', notes]
  return tool('typescript/bin/tsc', args)
}

/** @param {'checkImports' | 'checkAmbientCalls'} rule */
async function sources(rule) {
  const rules = await import('./lib/source-rules.mjs')
  const violations = rules[rule](rules.readSources(root))
  return sentences(violations.map(({ file, line, sentence }) => `${file}:${line} ${sentence}`))
}

async function generated() {
  const { staleCodecs } = await import('./lib/generated.mjs')
  return sentences(staleCodecs())
}

async function packages() {
  const { checkPackages } = await import('./lib/package-rules.mjs')
  const text = (/** @type {string} */ name) => readFileSync(join(root, name), 'utf8')
  return sentences(checkPackages(text('package.json'), text('package-lock.json')))
}

async function files() {
  const { checkText, describeSizes, trackedFiles } = await import('./lib/tree-rules.mjs')
  const { readSources } = await import('./lib/source-rules.mjs')
  const tracked = trackedFiles(root)
  const note = `${describeSizes(readSources(root)).sentence}${tracked ? '' : '; no git here, so no text was checked'}`
  return { ...sentences(checkText(tracked ?? new Map())), note }
}

/**
 * @param {string[]} found
 * @returns {Outcome}
 */
function sentences(found) {
  return { ok: found.length === 0, output: found.join('\n') }
}

/**
 * A tool of node_modules, without npx: that one would ask the registry for what is missing.
 *
 * @param {string} bin
 * @param {string[]} args
 * @returns {Promise<Outcome>}
 */
function tool(bin, args) {
  const child = spawn(process.execPath, [join(root, 'node_modules', bin), ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  return new Promise((resolve) => {
    child.on('error', ({ message }) => resolve({ ok: false, output: message }))
    child.on('close', (code) => resolve({ ok: code === 0, output }))
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  checkNode()
  ensureInstalled()
  const { failed } = await runChecks()
  process.exitCode = failed === 0 ? 0 : 1
}
