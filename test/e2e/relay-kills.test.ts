/**
 * kill −9 of a relay at random moments while devices deposit: every mail that was acknowledged is there
 * after each start, once, and in order. KARTOTEKA_RELAY_KILLS says how many kills there are.
 */
import { expect, it } from 'vitest'
import { KILLS as FAULTS } from '../support/faults.js'
import { seeded } from '../support/random.js'
import { RelayLoad } from '../support/relay-load.js'
import { RelayProcess } from '../support/relay-process.js'

const KILLS = FAULTS.relay
/** A kill comes within this long after the first answer of a start. */
const MOMENT_MS = 300
/** What is held is read again after each kill, and grows; 100 kills take some minutes where much else runs. */
const KILL_LIMIT_MS = 10_000

const random = seeded(Number(process.env.KARTOTEKA_SEED ?? 301))

it(`loses nothing that was acknowledged in ${KILLS} kills`, { timeout: KILLS * KILL_LIMIT_MS }, async () => {
  const relay = await new RelayProcess().start()
  const load = new RelayLoad(relay, random)
  for (let kill = 0; kill < KILLS; kill++) {
    await load.during(MOMENT_MS, () => relay.kill())
    await relay.start()
    expect(await load.lost()).toEqual([])
  }
  expect(load.count).toBeGreaterThan(KILLS)
})
