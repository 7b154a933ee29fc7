import { describe, expect, it } from 'vitest'
import { simulateMail } from './mail-sim.js'
import { firstFailure, MAIL_PINNED } from './seeds.js'

/** 250 seeds here and as many in the file beside it, so that two workers share them. */
const BLOCKS = 5
const SEEDS = 50

describe('devices that are never online together end with the same content, and no relay keeps anything', () => {
  for (let block = 0; block < BLOCKS; block++) {
    const from = 30000 + block * SEEDS
    it(`seeds ${from} to ${from + SEEDS - 1}`, { timeout: 480_000 }, async () => {
      expect(await firstFailure(from, SEEDS, (seed) => simulateMail(seed))).toBeUndefined()
    })
  }
})

describe('seeds of mail that once failed', () => {
  for (const [seed, what] of MAIL_PINNED) {
    it(`${seed}: ${what}`, async () => {
      expect((await simulateMail(seed)).problems).toEqual([])
    })
  }

  it('the same seed gives the same world of mail', async () => {
    const [first, second] = [await simulateMail(4), await simulateMail(4)]
    expect(second.operations).toEqual(first.operations)
    expect(second.trace).toBe(first.trace)
  })
})
