import { describe, expect, it } from 'vitest'
import { abstractSeeds } from './bundled.js'
import { FULL_PINNED } from './seeds.js'

/** Those that are drawn as they come run behind all tests (scripts/test.mjs), and with real cases by `npm run sim`. */
describe('everything at once, with abstract content', () => {
  const run = abstractSeeds()
  it('copies that become devices of their own, 60 seeds', { timeout: 600_000 }, async () => {
    expect(await run(70_000, 60, { strain: 'copies' })).toEqual([])
  })

  it('a branch of which only a broken transfer is left, 60 seeds', { timeout: 600_000 }, async () => {
    expect(await run(71_000, 60, { strain: 'doubted' })).toEqual([])
  })

  it('stored rows that rot, none of them a case’s own, 60 seeds', { timeout: 600_000 }, async () => {
    expect(await run(72_000, 60, { strain: 'rotOfClaims' })).toEqual([])
  })

  it('stored rows that rot, also of cases, 60 seeds', { timeout: 600_000 }, async () => {
    expect(await run(1, 60, { strain: 'rot' })).toEqual([])
  })

  it('a case that rots, and comes first from a device that is behind, 60 seeds', {
    timeout: 600_000,
  }, async () => {
    expect(await run(1, 60, { strain: 'rotBehind' })).toEqual([])
  })

  it('cases that rot where devices meet only at relays, 60 seeds', { timeout: 600_000 }, async () => {
    expect(await run(1, 60, { strain: 'rotByMail' })).toEqual([])
  })

  it('whole states by mail for who was put back, 60 seeds', { timeout: 600_000 }, async () => {
    expect(await run(1, 60, { strain: 'putBack' })).toEqual([])
  })

  it('disks that take their time, 60 seeds', { timeout: 600_000 }, async () => {
    expect(await run(80_000, 60, { slow: true })).toEqual([])
  })

  for (const [seed, strain, what] of FULL_PINNED) {
    it(`${seed} ${strain}: ${what}`, { timeout: 60_000 }, async () => {
      expect(await run(seed, 1, { strain })).toEqual([])
    })
  }
})
