/** [L7] What was in vain rests before it is tried again: by a clock of the test's own. */
import { expect, test } from 'vitest'
import { Rests } from '../../src/protocol/mail-rests.js'

const [ONE, OTHER] = ['one', 'other']

test('[L7] a rest begins with the next look, ends by the clock, and is not begun again by later looks', () => {
  const rests = new Rests()
  rests.rest([ONE], 100)
  expect(rests.leftMs(ONE, 50)).toBe(0)
  rests.look(50)
  expect(rests.leftMs(ONE, 50)).toBe(100)
  rests.look(149)
  expect(rests.leftMs(ONE, 149)).toBe(1)
  expect(rests.leftMs(ONE, 150)).toBe(0)
  expect(rests.leftMs(ONE, 900)).toBe(0)
  expect(rests.leftMs(OTHER, 50)).toBe(0)
})

test('[L7] a relay that rests does so for everybody; a person who asks ends that, and no rest of a recipient', () => {
  for (const looksBetween of [true, false]) {
    const rests = new Rests()
    rests.rest([ONE], 10)
    rests.restAll(100)
    rests.look(0)
    expect([ONE, OTHER].map((each) => rests.leftMs(each, 0))).toEqual([100, 100])
    rests.restAll(500)
    if (looksBetween) rests.look(1)
    rests.wake()
    rests.look(1)
    expect([ONE, OTHER].map((each) => rests.leftMs(each, 1))).toEqual([9, 0])
  }
})

test('[L7] three losses are made good at once; each further one rests twice as long, ten minutes at most', () => {
  const rests = new Rests()
  const seconds = () => {
    rests.inVain(ONE)
    rests.look(0)
    return rests.leftMs(ONE, 0) / 1_000
  }
  expect(Array.from({ length: 12 }, seconds)).toEqual([0, 0, 0, 10, 20, 40, 80, 160, 320, 600, 600, 600])
  expect(rests.leftMs(OTHER, 0)).toBe(0)
  // Who has everything begins anew, once the rest that stands is over.
  rests.succeeded(ONE)
  rests.inVain(ONE)
  rests.look(600_000)
  expect(rests.leftMs(ONE, 600_000)).toBe(0)
})
