/** Seeds of a simulator from a test: bundled once for a file, on a thread of its own, which runs them faster than vitest. */
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { afterAll, beforeAll } from 'vitest'
import { bundleSimulator } from '../../scripts/lib/sim-bundle.mjs'
import { type Outcome, type Run, runSeeds } from '../../scripts/lib/sim-pool.mjs'
import type { Strain } from './draw.js'

/** For a test file: runs seeds until one fails, and gives all that did. */
export function abstractSeeds(): (
  from: number,
  count: number,
  options?: { strain?: Strain; slow?: boolean },
) => Promise<Outcome[]> {
  const outcomes = bundledSeeds({ abstract: true })
  return async (from, count, options) => failing(await outcomes('simulateFull', from, count, options))
}

/** The same of those with real cases and cryptography; and what came of one seed, to compare. */
export function realSeeds() {
  const outcomes = bundledSeeds({ abstract: false })
  return {
    run: async (kind: Run['kind'], from: number, count: number) => failing(await outcomes(kind, from, count)),
    one: async (kind: Run['kind'], seed: number) => (await outcomes(kind, seed, 1))[0]!,
  }
}

function bundledSeeds(bundle: { abstract: boolean }) {
  let file = ''
  const idle: Worker[] = []
  beforeAll(async () => {
    file = await bundleSimulator(bundle)
  })
  afterAll(async () => {
    await Promise.all(idle.map((thread) => thread.terminate()))
    await rm(dirname(file), { recursive: true, force: true })
  })
  return async (kind: Run['kind'], from: number, count: number, options = {}) => {
    const outcomes: Outcome[] = []
    const onOutcome = (outcome: Outcome) => outcomes.push(outcome)
    await runSeeds({ file, kind, from, count, options, isEnough: isFailing, onOutcome, idle })
    return outcomes
  }
}

const isFailing = ({ problems }: Outcome) => problems.length > 0
const failing = (outcomes: Outcome[]) => outcomes.filter(isFailing)
