/**
 * Everything at once, with real processes: the same rule for all of it, no sentence is lost and all end alike.
 * `KARTOTEKA_CHAOS_SEEDS=20 KARTOTEKA_CHAOS_FROM=1 npx vitest run test/e2e/chaos` runs more of it; even seeds go by mail
 * alone.
 */
import { expect, it } from 'vitest'
import { Chaos } from '../support/chaos.js'

const SEEDS = Number(process.env.KARTOTEKA_CHAOS_SEEDS ?? 2)
const FROM = Number(process.env.KARTOTEKA_CHAOS_FROM ?? 1)
const ROUNDS = Number(process.env.KARTOTEKA_CHAOS_ROUNDS ?? 1)
const STEPS = 30

for (let seed = FROM; seed < FROM + SEEDS; seed++) {
  const alone = seed % 2 === 0
  it(`loses nothing, and ends alike, ${alone ? 'by mail alone' : 'together'}: ${seed}`, {
    timeout: 3_600_000,
  }, async () => {
    const notes: string[] = []
    const chaos = new Chaos({ seed, alone, note: (line) => notes.push(line) })
    await chaos.begin()
    for (let round = 1; round <= ROUNDS; round++) {
      notes.push(`round ${round}`)
      for (let step = 0; step < STEPS; step++) await chaos.step()
      expect(await chaos.meet(), notes.join('\n')).toEqual([])
    }
  })
}
