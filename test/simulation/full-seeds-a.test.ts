import { describe, expect, it } from 'vitest'
import { abstractSeeds } from './bundled.js'
import { simulateFull } from './full-sim.js'
import { FULL_PINNED, firstFailure } from './seeds.js'

/** 1,000 seeds here and as many in the file beside it, so that two workers share them. */
const BLOCKS = 10
const SEEDS = 100

describe('everything at once, with abstract content', () => {
  const run = abstractSeeds()
  for (let block = 0; block < BLOCKS; block++) {
    const from = 50_000 + block * SEEDS
    it(`seeds ${from} to ${from + SEEDS - 1}`, { timeout: 600_000 }, async () => {
      expect(await run(from, SEEDS)).toEqual([])
    })
  }

  for (const [seed, what] of FULL_PINNED) {
    it(`${seed}: ${what}`, { timeout: 60_000 }, async () => {
      expect(await run(seed, 1)).toEqual([])
    })
  }
})

describe('everything at once, with real cases and cryptography', () => {
  it('the same seed gives the same world', { timeout: 120_000 }, async () => {
    const [first, second] = [await simulateFull(36), await simulateFull(36)]
    expect(second.operations).toEqual(first.operations)
    expect(second.trace).toBe(first.trace)
    expect(first.operations.length).toBeGreaterThan(100)
  })

  for (let block = 0; block < 4; block++) {
    const from = 70_000 + block * 25
    it(`seeds ${from} to ${from + 24}`, { timeout: 600_000 }, async () => {
      expect(await firstFailure(from, 25, (seed) => simulateFull(seed))).toBeUndefined()
    })
  }
})
