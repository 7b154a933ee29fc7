/** A run in CI kills and cuts as often as docs/proof.md says. */
import { readFileSync } from 'node:fs'
import { afterEach, expect, it, vi } from 'vitest'

const GOALS = { kills: 200, cuts: 50 }

afterEach(() => {
  vi.unstubAllEnvs()
  vi.resetModules()
})

it(`${GOALS.kills} kills and ${GOALS.cuts} power cuts in CI, and the same in docs/proof.md`, async () => {
  vi.stubEnv('CI', 'true')
  const { CUTS, cutsOf, KILLS, killsOf } = await import('../support/faults.js')
  expect({ kills: killsOf(KILLS), cuts: cutsOf(CUTS) }).toEqual(GOALS)
  const proof = readFileSync(new URL('../../docs/proof.md', import.meta.url), 'utf8')
  expect(proof).toContain(`a CI run has ${GOALS.kills} kills: ${KILLS.store} each `)
  expect(proof).toContain(
    `a CI run has ${GOALS.cuts} cuts: ${CUTS.store} of a device, ${CUTS.relay} of a relay`,
  )
})
