import { describe, expect, it } from 'vitest'
import { abstractSeeds } from './bundled.js'
import { simulateFull } from './full-sim.js'
import { firstFailure } from './seeds.js'

const BLOCKS = 10
const SEEDS = 100

describe('everything at once, with abstract content, further seeds', () => {
  const run = abstractSeeds()
  for (let block = 0; block < BLOCKS; block++) {
    const from = 60_000 + block * SEEDS
    it(`seeds ${from} to ${from + SEEDS - 1}`, { timeout: 600_000 }, async () => {
      expect(await run(from, SEEDS)).toEqual([])
    })
  }
})

describe('everything at once, with real cases and cryptography, further seeds', () => {
  for (let block = 0; block < 4; block++) {
    const from = 80_000 + block * 25
    it(`seeds ${from} to ${from + 24}`, { timeout: 600_000 }, async () => {
      expect(await firstFailure(from, 25, (seed) => simulateFull(seed))).toBeUndefined()
    })
  }
})
