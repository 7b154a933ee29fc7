/**
 * Installs and builds what a checkout lacks, and nothing when it lacks nothing. Plain Node, no
 * dependencies: it runs before there are any. All output goes to standard error.
 *
 * Run directly (`npm run build`) it builds in any case.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../', import.meta.url))
/** The built command line. */
export const program = join(root, 'dist/program/node/cli.js')

const LOCK_STAMP = join(root, 'node_modules/.kartoteka-lock')
const BUILD_STAMP = join(root, 'dist/.built')
/** What the outcome of a build depends on. */
const SOURCES = [
  'src',
  'relay',
  'ui',
  'scripts/lib/bundle.mjs',
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
]
const LEAST_NODE = [20, 19]
/** Another start that installs and builds; longer than that it has died. */
const LOCK_WAIT_MS = 10 * 60 * 1000

/** Ends the process with a sentence if Node is too old. */
export function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > LEAST_NODE[0] || (major === LEAST_NODE[0] && minor >= LEAST_NODE[1])) return
  fail(`Kartoteka needs Node ${LEAST_NODE.join('.')} or newer; this is ${process.versions.node}.`)
}

/** Installs the packages if there are none, or if the lock file names others. */
export function ensureInstalled() {
  if (isInstalled()) return
  locked(() => {
    if (isInstalled()) return
    say('Installing packages …')
    const npm = process.env.npm_execpath
    const args = ['ci', '--ignore-scripts']
    if (npm?.endsWith('.js')) runNode([npm, ...args])
    else runTool(process.platform === 'win32' ? 'npm.cmd' : 'npm', args)
    writeFileSync(LOCK_STAMP, lockHash())
  })
}

/** Builds if any source has changed since the last build. */
export function ensureBuilt() {
  if (isBuilt(fingerprint())) return
  locked(() => {
    // Another start may have built meanwhile.
    if (!isBuilt(fingerprint())) build()
  })
}

export function build() {
  // Taken first: a source that changes while it builds is built again next time.
  const before = fingerprint()
  say('Building …')
  rmSync(BUILD_STAMP, { force: true })
  // The compiler's own notes would make it skip what somebody has removed.
  if (!existsSync(program)) rmSync(join(root, 'dist/.tsbuildinfo'), { force: true })
  runNode([join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json')])
  runNode([join(root, 'scripts/lib/bundle.mjs')])
  if (existsSync(join(root, 'ui/index.html'))) {
    const vite = join(root, 'node_modules/vite/bin/vite.js')
    // A test run that builds sets another one, and would get the window's slow variant.
    runNode([vite, 'build', join(root, 'ui'), '--outDir', join(root, 'dist/ui'), '--emptyOutDir'], {
      NODE_ENV: 'production',
    })
  }
  writeFileSync(BUILD_STAMP, before)
}

function isInstalled() {
  if (!existsSync(join(root, 'node_modules/.package-lock.json'))) return false
  const hash = lockHash()
  if (read(LOCK_STAMP) === hash) return true
  // Installed by hand: npm has noted what it installed.
  if (!isSameTree()) return false
  writeFileSync(LOCK_STAMP, hash)
  return true
}

/** Whether every package of the lock file is there in its version; optional ones may be missing. */
function isSameTree() {
  const wanted = JSON.parse(read(join(root, 'package-lock.json')) ?? '{}').packages ?? {}
  const found = JSON.parse(read(join(root, 'node_modules/.package-lock.json')) ?? '{}').packages ?? {}
  return Object.entries(wanted).every(
    ([path, entry]) => path === '' || entry.optional || found[path]?.version === entry.version,
  )
}

function lockHash() {
  return createHash('sha256')
    .update(read(join(root, 'package-lock.json')) ?? '')
    .digest('hex')
}

function isBuilt(now) {
  return existsSync(program) && read(BUILD_STAMP) === now
}

/** Names, sizes and times of all sources. */
function fingerprint() {
  const hash = createHash('sha256').update(read(LOCK_STAMP) ?? '')
  for (const name of SOURCES) addToHash(hash, join(root, name))
  return hash.digest('hex')
}

function addToHash(hash, path) {
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found) return
  if (!found.isDirectory()) {
    hash.update(`${path}\n${found.size} ${found.mtimeMs}\n`)
    return
  }
  for (const name of readdirSync(path).sort()) if (name !== 'node_modules') addToHash(hash, join(path, name))
}

/** One start at a time installs or builds. */
function locked(work) {
  const lock = join(root, 'dist/.lock')
  const deadline = Date.now() + LOCK_WAIT_MS
  mkdirSync(join(root, 'dist'), { recursive: true })
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' })
      break
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (!isAlive(Number(read(lock))) || Date.now() > deadline) rmSync(lock, { force: true })
    else sleep(100)
  }
  try {
    work()
  } finally {
    rmSync(lock, { force: true })
  }
}

function isAlive(pid) {
  // Empty for the moment between its making and its filling.
  if (!pid) return true
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function sleep(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

function runNode(args, env = {}) {
  runTool(process.execPath, args, env)
}

/** Its standard output goes to our standard error, so that `--json` stays one value. */
function runTool(command, args, env = {}) {
  const shell = command.endsWith('.cmd')
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 2, 2],
    shell,
  })
  if (error) fail(`${command} could not be started (${error.message}).`)
  if (status !== 0) {
    rmSync(join(root, 'dist/.lock'), { force: true })
    fail(`This step failed: ${[command, ...args].join(' ')}`)
  }
}

function read(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

function say(text) {
  process.stderr.write(`${text}\n`)
}

function fail(sentence) {
  say(sentence)
  process.exit(1)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  checkNode()
  build()
}
