import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { equalBytes } from '../../src/protocol/bytes.js'
import { resumedTarget, type TargetLog, targetCheck } from '../../src/protocol/transfer.js'
import { change, makeKeys, TestLog } from '../support/logs.js'
import { seeded } from '../support/random.js'

const random = seeded(8)
const practice = random.bytes(32)
const LENGTH = 9
const logs = Array.from({ length: 4 }, () =>
  new TestLog(practice, makeKeys(random), random).add(
    ...Array.from({ length: LENGTH }, (_, at) => change({ at })),
  ),
)
/** The same ids, other changes from the third on. */
const branches = logs.map((log) =>
  log.branch(2).add(...Array.from({ length: LENGTH - 2 }, (_, at) => change({ at: 500 + at }))),
)

test('a target carries the checks of the changes it adds, and no others', () => {
  const target = logs[0]!.target(7, 3)
  expect(targetCheck(target, 3)).toBeUndefined()
  for (let seq = 4; seq <= 7; seq++) expect(targetCheck(target, seq)).toEqual(logs[0]!.check(seq))
  expect(targetCheck(target, 8)).toBeUndefined()
})

describe('[T2] a target resumed from another sender', () => {
  const [a, b] = logs as [TestLog, TestLog]

  test('is the lower of both claims, log by log', () => {
    const resumed = resumedTarget([a.target(4), b.target(9)], [b.target(6), a.target(8)])
    expect(resumed).toEqual([a.target(4), b.target(6)])
  })

  test('leaves out a log that only one of both names', () => {
    expect(resumedTarget([a.target(4)], [b.target(4)])).toEqual([])
    expect(resumedTarget([], [a.target(4)])).toEqual([])
  })

  test('leaves out a log of which the new sender holds another branch', () => {
    expect(resumedTarget([a.target(6)], [branches[0]!.target(8)])).toEqual([])
    expect(resumedTarget([a.target(6)], [branches[0]!.target(6)])).toEqual([])
    expect(resumedTarget([a.target(6)], [branches[0]!.target(4)])).toEqual([])
    expect(resumedTarget([a.target(2)], [branches[0]!.target(8)])).toEqual([a.target(2)])
  })

  test('leaves out a log whose lower claim lies before the other’s checks', () => {
    expect(resumedTarget([a.target(4)], [a.target(9, 4)])).toEqual([])
    expect(resumedTarget([a.target(9, 5)], [a.target(5)])).toEqual([])
  })

  const target = fc.record({
    log: fc.integer({ min: 0, max: 3 }),
    other: fc.boolean(),
    seq: fc.integer({ min: 1, max: LENGTH }),
    from: fc.integer({ min: 0, max: LENGTH - 1 }),
  })
  const targets = fc
    .uniqueArray(target, { selector: ({ log }) => log, maxLength: 4 })
    .map((list) =>
      list
        .filter(({ from, seq }) => from < seq)
        .map(({ log, other, seq, from }) => (other ? branches[log]! : logs[log]!).target(seq, from)),
    )
  const lowerOf = (one: TargetLog, two: TargetLog) => Math.min(one.seq, two.seq)

  test('never claims more than either, nor anything that both don’t prove', () => {
    fc.assert(
      fc.property(targets, targets, (stored, offered) => {
        for (const log of resumedTarget(stored, offered)) {
          const [one, two] = [stored, offered].map((list) => list.find((each) => each.log === log.log)!)
          expect(log.seq).toBe(lowerOf(one!, two!))
          expect(equalBytes(targetCheck(one!, log.seq)!, targetCheck(two!, log.seq)!)).toBe(true)
        }
      }),
      { seed: 9, numRuns: 500 },
    )
  })

  test('comes to the same claims whoever went first, and resuming again changes nothing', () => {
    const claims = (list: TargetLog[]) => list.map(({ log, seq }) => `${log}:${seq}`).sort()
    fc.assert(
      fc.property(targets, targets, (stored, offered) => {
        const resumed = resumedTarget(stored, offered)
        expect(claims(resumedTarget(offered, stored))).toEqual(claims(resumed))
        expect(resumedTarget(resumed, offered)).toEqual(resumed)
        expect(resumedTarget(stored, stored)).toEqual(stored)
      }),
      { seed: 10, numRuns: 500 },
    )
  })

  test('over any number of senders claims only what every one of them proves', () => {
    fc.assert(
      fc.property(fc.array(targets, { minLength: 2, maxLength: 5 }), (senders) => {
        for (const log of senders.slice(1).reduce(resumedTarget, senders[0]!)) {
          for (const sender of senders) {
            const theirs = sender.find((each) => each.log === log.log)!
            expect(theirs.seq).toBeGreaterThanOrEqual(log.seq)
            expect(targetCheck(theirs, log.seq)).toEqual(targetCheck(log, log.seq))
          }
        }
      }),
      { seed: 11, numRuns: 300 },
    )
  })
})
