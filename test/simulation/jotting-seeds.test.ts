import { describe, expect, it } from 'vitest'
import { simulateJotting } from './jotting-sim.js'
import { firstFailure } from './seeds.js'

/** [S5] [S6] */
describe('letters that are only jotted down are with everybody in the end, and none that was confirmed is lost by a kill', () => {
  it('seeds 1 to 30', { timeout: 240_000 }, async () => {
    expect(await firstFailure(1, 30, (seed) => simulateJotting(seed))).toBeUndefined()
  })
})
