/** A practice that "Desk" has just begun, anew for each test, and two devices that may join it. */
import { beforeEach } from 'vitest'
import type { Random } from '../../src/protocol/natives.js'
import type { Roster } from '../../src/protocol/roster.js'
import { genesis, makeDevice, type TestDevice } from './roster-helpers.js'
import { seededRandom } from './vectors.js'

/** Whoever imports these sees what the test that runs was given. */
export let random: Random
export let desk: TestDevice
export let roster: Roster
export let laptop: TestDevice
export let other: TestDevice

/** To be called once, by the file of the tests. */
export function beginPractice(seed: string): void {
  random = seededRandom(seed)
  desk = makeDevice(random, 'Desk')
  beforeEach(() => {
    roster = genesis(random, desk)
    laptop = makeDevice(random, 'Laptop')
    other = makeDevice(random, 'Other')
  })
}
