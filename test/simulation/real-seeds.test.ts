/** The simulators with real cases and cryptography. */
import { describe, expect, it } from 'vitest'
import { realSeeds } from './bundled.js'
import { MAIL_PINNED, PINNED } from './seeds.js'

const SEEDS = 500
const SEEDS_PER_TEST = 50
const { run, one } = realSeeds()

describe('whatever happens, everybody who is left ends with the same content and nothing is lost', () => {
  for (let from = 10_000; from < 10_000 + SEEDS; from += SEEDS_PER_TEST) {
    it(`seeds ${from} to ${from + SEEDS_PER_TEST - 1}`, async () => {
      expect(await run('simulate', from, SEEDS_PER_TEST)).toEqual([])
    })
  }

  it.each(PINNED)('%i, which once failed: %s', async (seed) => {
    expect(await run('simulate', seed, 1)).toEqual([])
  })
})

describe('devices that are never online together end with the same content, and no relay keeps anything', () => {
  for (let from = 30_000; from < 30_000 + SEEDS; from += SEEDS_PER_TEST) {
    it(`seeds ${from} to ${from + SEEDS_PER_TEST - 1}`, async () => {
      expect(await run('simulateMail', from, SEEDS_PER_TEST)).toEqual([])
    })
  }

  it.each(MAIL_PINNED)('%i, which once failed: %s', async (seed) => {
    expect(await run('simulateMail', seed, 1)).toEqual([])
  })
})

/** [S5] [S6] */
describe('letters that are only jotted down are with everybody in the end, and none that was confirmed is lost by a kill', () => {
  it('seeds 1 to 30', async () => {
    expect(await run('simulateJotting', 1, 30)).toEqual([])
  })
})

describe('the same seed gives the same world', () => {
  it.each([
    ['of direct connections', 'simulate', 48],
    ['of mail', 'simulateMail', 4],
    ['of everything at once', 'simulateFull', 36],
  ] as const)('%s', async (_what, kind, seed) => {
    const [first, second] = [await one(kind, seed), await one(kind, seed)]
    // Of all operations and of how much was delivered.
    expect(first.trace).toMatch(/^[0-9a-f]{64}$/)
    expect(second.trace).toBe(first.trace)
    expect(second.stats).toEqual(first.stats)
  })
})
