import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { equalBytes } from '../../src/protocol/bytes.js'
import { CHECKS_PER_STRETCH, MAX_TARGET_CHECKS } from '../../src/protocol/limits.js'
import {
  boundedTarget,
  isConfirmed,
  meetingsOf,
  stretchesOf,
  stretchNumber,
  type TargetLog,
} from '../../src/protocol/transfer.js'
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

/** What a target's list of checks says of a change; undefined if it doesn't reach there. */
function targetCheck(target: TargetLog, seq: number): Uint8Array | undefined {
  return seq > target.from && seq <= target.seq ? branchOf(target).check(seq) : undefined
}

function branchOf({ log, seq, head }: TargetLog): TestLog {
  return [...logs, ...branches].find(({ id, heads }) => id === log && equalBytes(heads[seq]!, head))!
}

/** The target that a transfer goes on with, as a receiver finds it. */
function resumedTarget(stored: TargetLog[], offered: TargetLog[]): TargetLog[] {
  return meetingsOf(stored, offered)
    .filter((meeting) => isConfirmed(meeting, targetCheck(meeting.high, meeting.low.seq)))
    .map(({ low }) => low)
}

describe('the checks of a target', () => {
  const far = { ...logs[0]!.target(), log: 'ab'.repeat(16) }
  const target = (seq: number, from = 0, log = far.log): TargetLog => ({ ...far, log, seq, from })
  const S = CHECKS_PER_STRETCH

  test('go in stretches, in order, several small ones in one message, none larger than one', () => {
    const gathered = [...stretchesOf([target(3), target(2 * S + 5, 4), target(9, 9), target(7)])]
    const sizes = gathered.map((ranges) => ranges.map(({ from, to }) => [from, to]))
    expect(sizes).toEqual([
      [[0, 3]],
      [[4, S + 4]],
      [[S + 4, 2 * S + 4]],
      [
        [2 * S + 4, 2 * S + 5],
        [0, 7],
      ],
    ])
    for (const ranges of gathered) {
      expect(ranges.reduce((sum, { from, to }) => sum + to - from, 0)).toBeLessThanOrEqual(S)
    }
    expect([...stretchesOf([])]).toEqual([])
    // Together exactly one stretch's worth, wherever they begin.
    const together = [...stretchesOf([target(9 * S + 1, 9 * S), target(8 * S - 1, 7 * S)])]
    expect(together.map((ranges) => ranges.length)).toEqual([2])
  })

  test('are numbered from where the target begins; anything else is none of them', () => {
    const given = (from: number, count: number) =>
      stretchNumber(target(2 * S + 5, 4), { log: far.log, from, checks: new Uint8Array(8 * count) })
    expect([given(4, S), given(S + 4, S), given(2 * S + 4, 1)]).toEqual([0, 1, 2])
    const before = { log: far.log, from: 0, checks: new Uint8Array(8 * S) }
    expect(stretchNumber(target(3 * S, S), before)).toBeUndefined()
    const nothing = { log: far.log, from: 2 * S, checks: new Uint8Array(0) }
    expect(stretchNumber(target(2 * S), nothing)).toBeUndefined()
    for (const wrong of [given(5, S), given(0, S), given(4, S - 1), given(2 * S + 4, 2), given(3 * S + 4, 1)])
      expect(wrong).toBeUndefined()
    expect(
      stretchNumber(target(9), { log: far.log, from: 0, checks: new Uint8Array(9 * 8 + 1) }),
    ).toBeUndefined()
  })

  test('never take more room than a bound: a log that would is left out, the others stay', () => {
    const list = [target(100), target(0xffff_ffff), target(MAX_TARGET_CHECKS), target(MAX_TARGET_CHECKS, 200)]
    expect(boundedTarget(list)).toEqual([list[0], list[3]])
    expect(boundedTarget([target(5, 5), target(5, 9)])).toEqual([])
    const full = [target(MAX_TARGET_CHECKS - 50), target(250, 200), target(1)]
    expect(boundedTarget(full)).toEqual(full.slice(0, 2))
  })
})

describe('[T2] a target resumed from another sender', () => {
  const [a, b] = logs as [TestLog, TestLog]

  test('is the lower of both claims, log by log', () => {
    const resumed = resumedTarget([a.target(4), b.target(9)], [b.target(6), a.target(8)])
    expect(resumed).toEqual([a.target(4), b.target(6)])
  })

  test('says whose list of checks reaches further: the other one’s where both end at the same place', () => {
    const higher = (stored: number, offered: number) =>
      meetingsOf([a.target(stored)], [a.target(offered)]).map(({ isStoredHigher }) => isStoredHigher)
    expect([higher(4, 8), higher(8, 4), higher(6, 6)]).toEqual([[false], [true], [false]])
  })

  test('is not confirmed by a check that isn’t known', () => {
    const [meeting] = meetingsOf([{ ...a.target(4), check: new Uint8Array(8) }], [a.target(8)])
    expect(isConfirmed(meeting!, new Uint8Array(8))).toBe(false)
    expect(isConfirmed(meeting!, undefined)).toBe(false)
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

  test('over any number of senders claims only what every one of them holds', () => {
    fc.assert(
      fc.property(fc.array(targets, { minLength: 2, maxLength: 5 }), (senders) => {
        for (const log of senders.slice(1).reduce(resumedTarget, senders[0]!)) {
          for (const sender of senders) {
            const theirs = sender.find((each) => each.log === log.log)!
            expect(theirs.seq).toBeGreaterThanOrEqual(log.seq)
            // Its list of checks may begin later: the one in between, which is of the same branch, has proven it.
            expect(branchOf(theirs).check(log.seq)).toEqual(branchOf(log).check(log.seq))
          }
        }
      }),
      { seed: 11, numRuns: 300 },
    )
  })
})
