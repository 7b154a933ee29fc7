// @ts-check
/**
 * `npm run sim -- --seeds N --from SEED`: many seeds of the simulator on all cores; ends with 1 where one fails, names
 * it, and that seed alone replays it. `--bugs` breaks one rule after another and shows by how many seeds each is noticed.
 */
import { rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { ensureInstalled } from './lib/build.mjs'

const USAGE = `Usage: npm run sim -- [--seeds N] [--from SEED] [--real | --direct | --jottings | --mail]
                                    [--steps N] [--strain S] [--slow] [--workers N] [--quiet]
       npm run sim -- --bugs [TEXT] [--seeds N] [--from SEED] [--strain S] [--slow] [--enough N] [--workers N]

Without a flag the abstract simulator runs: everything at once, with cheap content and cryptography. --real is the same
with real cases and cryptography; --direct and --mail are the smaller ones that preceded it. --jottings is --direct
with letters that are only jotted down, kills, and folders copied while they run. --strain, of the whole one: what all
worlds suffer most from: none, forks, forksByMail, states, losses, copies, apart,
handovers, doubted, rot, rotOfClaims, rotBehind, rotByMail or putBack; without it each draws its own. --slow, of the
whole one: disks take their time, so that everything else goes on in the midst of what a device does.
--bugs runs seeds of the abstract simulator for each rule broken on purpose, or for those whose name holds TEXT, until
so many have noticed it (--enough, 2), at most N (400); each in the worlds that notice it, unless --strain says others.
--quiet shows no bar.`

ensureInstalled()
const { bundleSimulator } = await import('./lib/sim-bundle.mjs')
const { runSeeds } = await import('./lib/sim-pool.mjs')

/** @returns {{ values: Record<string, string | boolean | undefined>, positionals: string[] }} */
function given() {
  try {
    const text = /** @type {const} */ ({ type: 'string' })
    const flag = /** @type {const} */ ({ type: 'boolean' })
    return parseArgs({
      allowPositionals: true,
      options: {
        seeds: text,
        from: text,
        steps: text,
        strain: text,
        workers: text,
        enough: text,
        real: flag,
        direct: flag,
        jottings: flag,
        mail: flag,
        slow: flag,
        bugs: flag,
        quiet: flag,
        help: flag,
      },
    })
  } catch (error) {
    console.error(`${/** @type {Error} */ (error).message}\n\n${USAGE}`)
    process.exit(2)
  }
}

const { values, positionals } = given()
/**
 * @param {string} name
 * @param {number} otherwise
 */
function number(name, otherwise) {
  const value = values[name] === undefined ? otherwise : Number(values[name])
  if (Number.isSafeInteger(value) && value >= (name === 'from' ? 0 : 1)) return value
  console.error(`--${name} takes a whole number.\n\n${USAGE}`)
  process.exit(2)
}
if (values.help) {
  console.log(USAGE)
  process.exit(0)
}
const from = number('from', 1)
const workers = number('workers', availableParallelism())
/** Those of test/simulation/draw.ts. */
const STRAINS = [
  'none',
  'forks',
  'forksByMail',
  'states',
  'losses',
  'copies',
  'apart',
  'handovers',
  'doubted',
  'rot',
  'rotOfClaims',
  'rotBehind',
  'rotByMail',
  'putBack',
]
if (values.strain !== undefined && !STRAINS.includes(String(values.strain))) {
  console.error(`--strain takes one of ${STRAINS.join(', ')}.\n\n${USAGE}`)
  process.exit(2)
}
const options = {
  ...(values.steps === undefined ? {} : { steps: number('steps', 1) }),
  ...(values.strain === undefined ? {} : { strain: values.strain }),
  ...(values.slow ? { slow: true } : {}),
}
process.exit(values.bugs ? await showBugs(number('seeds', 400)) : await runMany(number('seeds', 500)))

/** @param {number} seeds */
async function runMany(seeds) {
  const small = values.direct ? 'simulate' : values.jottings ? 'simulateJotting' : undefined
  const kind = small ?? (values.mail ? 'simulateMail' : 'simulateFull')
  const abstract = !values.real && kind === 'simulateFull'
  const file = await bundleSimulator({ abstract })
  const began = performance.now()
  let done = 0
  let failing = 0
  /** @type {Map<number, string>} */
  const traces = new Map()
  const { failed, stats, print } = await runSeeds({
    file,
    kind,
    from,
    count: seeds,
    workers,
    options,
    onOutcome: ({ seed, problems, trace }) => {
      done++
      if (problems.length > 0) {
        failing++
        traces.set(seed, trace)
        console.log(`\rseed ${seed} fails:\n  ${problems.slice(0, 5).join('\n  ')}`)
      }
      bar(done, seeds, `${failing} failing`, began)
    },
  })
  for (const { seed } of failed) {
    const again = await runSeeds({ file, kind, from: seed, count: 1, options, onOutcome: () => {} })
    const trace = again.failed[0]?.trace
    const isSame = trace !== undefined && trace === traces.get(seed)
    console.log(`\nseed ${seed} ${isSame ? 'replays' : 'DOES NOT REPLAY'}: trace ${traces.get(seed)}`)
  }
  await rm(dirname(file), { recursive: true, force: true })
  const each = (stats.faults ?? 0) / seeds
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  console.log(
    `\n${seeds} seeds from ${from} in ${seconds} s${each > 0 ? `, ${each.toFixed(0)} faults each` : ''}, print ${print}: ${
      failed.length === 0 ? 'none fails' : `failing: ${failed.map(({ seed }) => seed).join(' ')}`
    }`,
  )
  return failed.length === 0 ? 0 : 1
}

/** @param {number} seeds */
async function showBugs(seeds) {
  const { BUGS } = await import('./lib/sim-bugs.mjs')
  const wanted = BUGS.filter(({ name }) => name.includes(positionals[0] ?? ''))
  let missed = 0
  console.log(`noticed by, of at most ${seeds} seeds`)
  for (const { name, edits, world } of wanted) {
    const strain = values.strain ?? world.strain
    const first = values.from === undefined ? (world.from ?? from) : from
    let left = number('enough', 2)
    const file = await bundleSimulator({ abstract: true, edits })
    const { failed, done } = await runSeeds({
      file,
      kind: 'simulateFull',
      from: first,
      count: seeds,
      workers,
      options: { ...options, ...(strain === undefined ? {} : { strain }) },
      isEnough: ({ problems }) => problems.length > 0 && --left === 0,
    })
    await rm(dirname(file), { recursive: true, force: true })
    if (failed.length === 0) missed++
    const share = `${failed.length} of ${done}`.padStart(12)
    const where = strain === undefined ? '' : ` (${strain})`
    console.log(`${share}  ${name}${where}${failed.length === 0 ? '   NOT NOTICED' : ''}`)
  }
  console.log(missed === 0 ? `all ${wanted.length} noticed` : `${missed} of ${wanted.length} not noticed`)
  return missed === 0 ? 0 : 1
}

/**
 * @param {number} done
 * @param {number} of
 * @param {string} words
 * @param {number} began
 */
function bar(done, of, words, began) {
  if (values.quiet || !process.stderr.isTTY) return
  const filled = Math.floor((30 * done) / of)
  const leftS = ((performance.now() - began) / 1000 / done) * (of - done)
  const line = `${'#'.repeat(filled)}${'.'.repeat(30 - filled)} ${done} of ${of} seeds, ${words}, ${leftS.toFixed(0)} s left`
  process.stderr.write(`\r${line} `)
}
