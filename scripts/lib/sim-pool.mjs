// @ts-check
/** Many seeds of one bundled simulator over worker threads, a few seeds at a time each. */
import { setFlagsFromString } from 'node:v8'
import { Worker } from 'node:worker_threads'

/**
 * @typedef {object} Outcome
 * @property {number} seed
 * @property {string[]} problems
 * @property {string} trace of all operations and of how much was delivered
 * @property {Record<string, number>} stats
 * @property {string[]} [operations] of a seed that fails
 * @property {number} ms
 *
 * @typedef {object} Run
 * @property {string} file the bundle
 * @property {'simulateFull' | 'simulate' | 'simulateJotting' | 'simulateMail'} kind
 * @property {number} from
 * @property {number} count
 * @property {number} [workers]
 * @property {object} [options] given to the simulator
 * @property {(outcome: Outcome) => void} [onOutcome]
 * @property {(outcome: Outcome) => boolean} [isEnough] ends the run with this outcome
 * @property {Worker[]} [idle] threads of earlier runs of the same bundle: they are used again, and left there for the
 *   next. A thread runs its first hundred seeds at half its speed, while V8 compiles.
 *
 * @typedef {{ kind: string, from: number, count: number, options?: object | undefined }} Share what a thread is given
 */

/** What V8 is told, for the whole process: compiling less and later takes less time in all. The first is Node 20's. */
const FLAGS = [
  Number.parseInt(process.versions.v8, 10) < 12
    ? '--interrupt-budget=400000'
    : '--invocation-count-for-turbofan=18000',
  '--max-inlined-bytecode-size-cumulative=200',
]
/** Each step of a world makes thousands of small objects and leaves nearly all of them. */
const YOUNG_MB = 64

/** Seeds that a thread is given at once. */
const AT_A_TIME = 4
/** A seed that takes longer hangs; the slowest of healthy ones take a few seconds where much else runs. */
const HANGS_MS = 240_000

/**
 * Runs seeds `from` to `from + count - 1`, in any order.
 *
 * @param {Run} run
 * @returns {Promise<{ done: number, failed: Outcome[], stats: Record<string, number>, print: string }>} `print`: of all
 *   traces; the same for the same seeds of the same sources.
 */
export async function runSeeds({ file, kind, from, count, workers = 1, options, onOutcome, isEnough, idle }) {
  for (const flag of FLAGS) setFlagsFromString(flag)
  /** @type {Outcome[]} */
  const failed = []
  /** @type {Record<string, number>} */
  const stats = {}
  let print = 0n
  let next = from
  let done = 0
  let isOver = false
  /** @type {Set<() => void>} */
  const enders = new Set()

  /** @param {Outcome} outcome */
  const take = (outcome) => {
    if (isOver) return
    done++
    if (outcome.problems.length > 0) failed.push(outcome)
    for (const [name, n] of Object.entries(outcome.stats)) stats[name] = (stats[name] ?? 0) + n
    if (outcome.trace) print ^= BigInt(`0x${outcome.trace.slice(0, 16)}`)
    onOutcome?.(outcome)
    if (!isEnough?.(outcome)) return
    isOver = true
    for (const end of enders) end()
  }

  const thread = () =>
    new Promise((/** @type {(value: void) => void} */ resolve, reject) => {
      const worker = idle?.pop() ?? beginThread(file)
      /** @type {NodeJS.Timeout | undefined} */
      let watch
      let expected = next
      let left = 0
      const end = () => {
        clearTimeout(watch)
        enders.delete(end)
        // Only these: a thread that has lost the listeners of its own says nothing any more.
        worker.off('message', onMessage)
        worker.off('error', reject)
        if (!idle || left > 0) return void worker.terminate().then(() => resolve())
        idle.push(worker)
        resolve()
      }
      enders.add(end)
      const give = () => {
        if (isOver || next >= from + count) return end()
        const share = Math.min(AT_A_TIME, from + count - next)
        expected = next
        left = share
        next += share
        worker.postMessage({ kind, from: expected, count: share, options })
        watchOver()
      }
      const watchOver = () => {
        clearTimeout(watch)
        watch = setTimeout(() => {
          take({ seed: expected, problems: ['hangs'], trace: '', stats: {}, ms: HANGS_MS })
          end()
          if (!isOver) void thread().then(resolve, reject)
        }, HANGS_MS)
      }
      /** @param {Outcome} outcome */
      const onMessage = (outcome) => {
        expected = outcome.seed + 1
        left--
        take(outcome)
        if (isOver) return
        if (left === 0) give()
        else watchOver()
      }
      worker.on('message', onMessage)
      worker.on('error', reject)
      give()
    })

  await Promise.all(Array.from({ length: Math.max(1, Math.min(workers, count)) }, thread))
  failed.sort((a, b) => a.seed - b.seed)
  return { done, failed, stats, print: print.toString(16).padStart(16, '0') }
}

/** @param {string} file */
function beginThread(file) {
  const url = new URL('./sim-worker.mjs', import.meta.url)
  return new Worker(url, { workerData: { file }, resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB } })
}
