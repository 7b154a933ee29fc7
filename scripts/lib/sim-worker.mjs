// @ts-check
/** One thread of the simulator: runs the seeds that it is given, one after another, and tells the outcome of each. */
import { pathToFileURL } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'

const { file } = workerData
const simulator = await import(pathToFileURL(file).href)

parentPort?.on(
  'message',
  async (/** @type {import('./sim-pool.mjs').Share} */ { kind, from, count, options }) => {
    for (let seed = from; seed < from + count; seed++) {
      const began = performance.now()
      const { problems, trace, stats, operations } = await simulator[kind](seed, options)
      // What happened is only read where something went wrong.
      const told = problems.length > 0 ? { operations } : {}
      parentPort?.postMessage({ seed, problems, trace, stats, ...told, ms: performance.now() - began })
    }
  },
)
