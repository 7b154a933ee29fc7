import { describe, expect, it } from 'vitest'
import { simulateMail } from './mail-sim.js'
import { firstFailure } from './seeds.js'

const BLOCKS = 5
const SEEDS = 50

describe('devices that are never online together end with the same content, and no relay keeps anything', () => {
  for (let block = 0; block < BLOCKS; block++) {
    const from = 40000 + block * SEEDS
    it(`seeds ${from} to ${from + SEEDS - 1}`, { timeout: 480_000 }, async () => {
      expect(await firstFailure(from, SEEDS, (seed) => simulateMail(seed))).toBeUndefined()
    })
  }
})
