import { describe, expect, it } from 'vitest'
import { firstFailure, PINNED } from './seeds.js'
import { simulate } from './sim.js'

/** 250 seeds here and as many in the file beside it, so that two workers share them. */
const BLOCKS = 10
const SEEDS = 25

describe('whatever happens, everybody who is left ends with the same content and nothing is lost', () => {
  for (let block = 0; block < BLOCKS; block++) {
    const from = 10000 + block * SEEDS
    it(`seeds ${from} to ${from + SEEDS - 1}`, { timeout: 240_000 }, async () => {
      expect(await firstFailure(from, SEEDS, (seed) => simulate(seed))).toBeUndefined()
    })
  }
})

describe('seeds that once failed', () => {
  for (const [seed, what] of PINNED) {
    it(`${seed}: ${what}`, async () => {
      expect((await simulate(seed)).problems).toEqual([])
    })
  }

  it('the same seed gives the same world', async () => {
    const [first, second] = [await simulate(48), await simulate(48)]
    expect(second.trace).toBe(first.trace)
    expect(second.operations).toEqual(first.operations)
  })
})
