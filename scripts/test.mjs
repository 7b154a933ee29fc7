// @ts-check
/**
 * `npm test`: installs what the tests need, checks the sources, builds, runs all tests, and ends with
 * one line of counts. Each step of the check counts like a test, and so do all seeds of the simulator together, which
 * run behind everything else from the beginning: compilers use one processor, and many tests wait more than they work.
 *
 * `npm test -- FILTER` hands its words to vitest (a part of a path, `--project unit`, `-t name`), without
 * the check and those seeds.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkNode, ensureBuilt, ensureInstalled, root } from './lib/build.mjs'
import { ensureChromium } from './lib/chromium.mjs'
import { ensureSystemTools } from './lib/system-tools.mjs'

/** All of a run, which takes half as long on two cores; a test that hangs must not take away the counts of the others. */
const RUN_LIMIT_MS = 50 * 60 * 1000
/** How long the tests may take to end when told to. */
const KILL_AFTER_MS = 5000
/** Whole worlds with abstract content, the same in every run. */
const SEEDS = { count: 10_000, from: 50_000 }
/** Gets what no other process wants. */
const LOWEST_PRIORITY = 19
const SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])

const deadline = Date.now() + RUN_LIMIT_MS
const filter = process.argv.slice(2)
const folder = mkdtempSync(join(tmpdir(), 'kartoteka-counts-'))
const countsFile = join(folder, 'counts.json')
const checks = { passed: 0, failed: 0 }
let isPreparing = true
let isComplete = false

// An early end, for whatever reason, is a failure that the last line must tell.
process.on('exit', (code) => {
  const tests = readCounts()
  const passed = checks.passed + tests.passed
  const failed = checks.failed + tests.failed
  const isFailed = failed > 0 || code !== 0 || !isComplete
  rmSync(folder, { recursive: true, force: true })
  if (isFailed) process.exitCode = code || 1
  console.log(`${passed} passed, ${isFailed ? Math.max(1, failed) : 0} failed, ${tests.skipped} skipped`)
})

checkNode()
ensureInstalled()
const seeds = filter.length === 0 ? runSeeds() : undefined
// What runs by then is told to end by itself (runNode); nothing more must begin.
for (const signal of SIGNALS) process.on(signal, () => isPreparing && process.exit(1))
const chromium = ensureChromium()
ensureSystemTools()
if (filter.length === 0) {
  const { runChecks } = await import('./check.mjs')
  Object.assign(checks, await runChecks())
  ensureBuilt()
}
isPreparing = false
const code = await runTests()
if (seeds) checks[(await seeds) === 0 ? 'passed' : 'failed'] += 1
process.exitCode = code
isComplete = true

/** @returns {Promise<number>} The exit code. */
function runTests() {
  const color = process.stdout.isTTY ? [] : ['--no-color']
  const env = { KARTOTEKA_COUNTS: countsFile, ...(chromium && { KARTOTEKA_CHROMIUM: chromium }) }
  return runNode([join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...color, ...filter], { env })
}

/** @returns {Promise<number>} The exit code. */
function runSeeds() {
  const { count, from } = SEEDS
  const args = [join(root, 'scripts/sim.mjs'), '--quiet', '--seeds', `${count}`, '--from', `${from}`]
  return runNode(args, { priority: LOWEST_PRIORITY })
}

/**
 * @param {string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, priority?: number }} options
 * @returns {Promise<number>} The exit code.
 */
function runNode(args, { env, priority }) {
  // A group of its own, so that its workers end with it.
  const isGroup = process.platform !== 'win32'
  /** @type {import('node:child_process').StdioOptions} */
  const stdio = ['ignore', 'inherit', 'inherit']
  const options = { cwd: root, env: { ...process.env, ...env }, stdio, detached: isGroup }
  const child = spawn(process.execPath, args, options)
  // Before it has threads: on Linux each has a priority, which it takes from the one that begins it.
  if (priority !== undefined && child.pid) lower(child.pid, priority)
  const kill = (/** @type {NodeJS.Signals} */ signal) => {
    try {
      if (isGroup && child.pid) process.kill(-child.pid, signal)
      else child.kill(signal)
    } catch {
      // It has ended meanwhile.
    }
  }
  const stop = (/** @type {NodeJS.Signals} */ signal) => {
    kill(signal)
    setTimeout(() => kill('SIGKILL'), KILL_AFTER_MS).unref()
  }
  for (const signal of SIGNALS) process.on(signal, () => stop(signal))
  const end = () => kill('SIGKILL')
  // A step that fails in between ends this process at once.
  process.on('exit', end)
  const timer = setTimeout(() => {
    console.error(`The tests were stopped: the whole run may take ${RUN_LIMIT_MS / 60_000} minutes.`)
    stop('SIGTERM')
  }, deadline - Date.now())
  return new Promise((resolve) => {
    child.on('error', (error) => {
      console.error(`The tests could not be started (${error.message}).`)
      resolve(1)
    })
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      process.off('exit', end)
      end()
      resolve(code ?? (signal ? 1 : 0))
    })
  })
}

/**
 * @param {number} pid
 * @param {number} priority
 */
function lower(pid, priority) {
  setPriority(pid, priority)
  try {
    // Linux gives each session of processes the same share, whatever the priorities within it say.
    writeFileSync(`/proc/${pid}/autogroup`, `${priority}`)
  } catch {
    // Another system, or one that doesn't.
  }
}

/** @returns {{ passed: number, failed: number, skipped: number }} */
function readCounts() {
  try {
    return JSON.parse(readFileSync(countsFile, 'utf8'))
  } catch {
    return { passed: 0, failed: 0, skipped: 0 }
  }
}
