/** Seeds of the abstract simulator from a test: bundled once for a file, on a thread of its own. */
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { afterAll, beforeAll } from 'vitest'
import { bundleSimulator } from '../../scripts/lib/sim-bundle.mjs'
import { type Outcome, runSeeds } from '../../scripts/lib/sim-pool.mjs'
import type { Strain } from './draw.js'

const kind = 'simulateFull'

/** For a test file: runs seeds until one fails, and gives all that did. */
export function abstractSeeds(): (from: number, count: number, strain?: Strain) => Promise<Outcome[]> {
  let file = ''
  const idle: Worker[] = []
  beforeAll(async () => {
    file = await bundleSimulator({ abstract: true })
  })
  afterAll(async () => {
    await Promise.all(idle.map((thread) => thread.terminate()))
    await rm(dirname(file), { recursive: true, force: true })
  })
  return async (from, count, strain) => {
    const options = strain ? { strain } : {}
    const { failed } = await runSeeds({ file, kind, from, count, options, isEnough: isFailing, idle })
    return failed
  }
}

const isFailing = ({ problems }: Outcome) => problems.length > 0
