import { expect, it } from 'vitest'
import { MOVED_WAIT_MS, Twins, WAIT_MS } from '../../src/node/device/twins.js'

/** Says after how long of being seen every second it goes its own way. */
function goesAfter({
  isMoved,
  chance = 0,
  until = 200_000,
}: {
  isMoved: boolean
  chance?: number
  until?: number
}) {
  let at = 0
  let went: number | undefined
  let times = 0
  const goOwnWay = async () => {
    went ??= at
    times++
  }
  const failed = () => {}
  const twins = new Twins({ isMoved, chance: () => chance, now: () => at, goOwnWay, failed })
  for (; at < until; at += 1_000) twins.seen()
  expect(times).toBeLessThan(2)
  return went
}

it('goes soon where the folder has been elsewhere, late where it has not', () => {
  expect(goesAfter({ isMoved: true })).toBe(2_000)
  expect(goesAfter({ isMoved: true, chance: 0.99 })).toBeLessThanOrEqual(2 * MOVED_WAIT_MS)
  expect(goesAfter({ isMoved: false })).toBe(WAIT_MS)
  expect(goesAfter({ isMoved: false, chance: 0.5 })).toBe(1.5 * WAIT_MS)
})

it('stays where the other one has gone meanwhile', () => {
  expect(goesAfter({ isMoved: false, until: WAIT_MS })).toBeUndefined()
  let at = 0
  const went: number[] = []
  const options = {
    ...{ isMoved: false, chance: () => 0, now: () => at, failed: () => {} },
    goOwnWay: async () => void went.push(at),
  }
  const twins = new Twins(options)
  // Now and then only: each time it is another story.
  for (; at < 20 * WAIT_MS; at += WAIT_MS) twins.seen()
  expect(went).toEqual([])
})

it('is tried again later where it could not be done', async () => {
  let at = 0
  const failures: unknown[] = []
  let tries = 0
  const twins = new Twins({
    ...{ isMoved: true, chance: () => 0, now: () => at },
    async goOwnWay() {
      if (++tries < 3) throw new Error('no room')
    },
    failed: (error) => failures.push(error),
  })
  for (; at < 30_000; at += 1_000) {
    twins.seen()
    await Promise.resolve()
    await Promise.resolve()
  }
  expect([tries, failures.length]).toEqual([3, 2])
})
