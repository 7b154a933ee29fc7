import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareFork, decodePoints, encodePoints, type ForkPoint, forkSeqs } from '../../src/protocol/fork.js'
import { MAX_FORK_POINTS } from '../../src/protocol/limits.js'

/** One side's checks: those of the trunk up to `parts`, its own behind; some unknown. */
interface Side {
  seq: number
  parts: number
  branch: number
  unknown?: Set<number>
}

function checkAt(side: Side, seq: number): Uint8Array | undefined {
  if (seq < 1 || seq > side.seq || side.unknown?.has(seq)) return undefined
  const check = new Uint8Array(8)
  new DataView(check.buffer).setUint32(0, seq)
  check[7] = seq > side.parts ? side.branch : 1
  return check
}

const pointsOf = (side: Side, low: number, high: number): ForkPoint[] =>
  forkSeqs(low, high).map((seq) => ({ seq, check: checkAt(side, seq) ?? new Uint8Array(8) }))

/** Both sides talk until one knows; how many messages it took, and what was found. */
function talk(a: Side, b: Side): { messages: number; cut: number | undefined } {
  let [speaker, listener] = [a, b]
  let points = pointsOf(speaker, 0, speaker.seq)
  for (let messages = 1; messages < 20; messages++) {
    expect(points.length).toBeLessThanOrEqual(MAX_FORK_POINTS)
    const outcome = compareFork(points, listener.seq, (seq) => checkAt(listener, seq))
    if (outcome.kind === 'same') return { messages, cut: undefined }
    if (outcome.kind === 'parted') return { messages, cut: outcome.seq }
    points = pointsOf(listener, outcome.low, outcome.high)
    ;[speaker, listener] = [listener, speaker]
  }
  throw new Error('they never come to an end')
}

describe('where two branches part', () => {
  const lengths = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 50_000_000 }))

  test('is found by both sides, whoever begins, in a few messages of bounded size', () => {
    fc.assert(
      fc.property(lengths, lengths, lengths, (one, two, at) => {
        const parts = Math.min(at, one, two)
        const a = { seq: one, parts, branch: 2 }
        const b = { seq: two, parts, branch: 3 }
        const expected = parts < Math.min(one, two) ? parts : undefined
        for (const found of [talk(a, b), talk(b, a)]) {
          expect(found.cut).toBe(expected)
          expect(found.messages).toBeLessThanOrEqual(5)
        }
      }),
      { seed: 1, numRuns: 300 },
    )
  })

  test('is found in one message where the log is short', () => {
    expect(talk({ seq: 2000, parts: 1234, branch: 2 }, { seq: 1500, parts: 1234, branch: 3 })).toEqual({
      messages: 1,
      cut: 1234,
    })
  })

  test('lies where both still know and agree, at the latest, if checks were lost', () => {
    const unknown = fc.uniqueArray(fc.integer({ min: 1, max: 60 }))
    fc.assert(
      fc.property(unknown, unknown, fc.integer({ min: 0, max: 50 }), (mine, theirs, parts) => {
        const a = { seq: 60, parts, branch: 2, unknown: new Set(mine) }
        const b = { seq: 55, parts, branch: 3, unknown: new Set(theirs) }
        const { cut } = talk(a, b)
        expect(cut).toBeLessThanOrEqual(parts)
        expect(cut === 0 || (checkAt(a, cut!) && checkAt(b, cut!))).toBeTruthy()
      }),
      { seed: 2, numRuns: 500 },
    )
  })

  test('is nowhere, if one is a beginning of the other or nothing is said', () => {
    expect(
      talk({ seq: 9000, parts: 9000, branch: 2 }, { seq: 4321, parts: 4321, branch: 2 }).cut,
    ).toBeUndefined()
    expect(compareFork([], 5, () => undefined)).toEqual({ kind: 'same' })
  })
})

describe('points on the wire', () => {
  const points = pointsOf({ seq: 9, parts: 5, branch: 2, unknown: new Set([4]) }, 0, 9)

  test('come back as they were', () => {
    expect(decodePoints(encodePoints(points))).toEqual(points)
    expect(decodePoints(new Uint8Array(0))).toEqual([])
  })

  test('that are cut short, too many, out of order or before the first change are refused', () => {
    const one = (seq: number) => encodePoints([{ seq, check: new Uint8Array(8) }])
    expect(decodePoints(encodePoints(points).subarray(1))).toBeUndefined()
    expect(decodePoints(one(0))).toBeUndefined()
    expect(decodePoints(new Uint8Array([...one(2), ...one(2)]))).toBeUndefined()
    expect(decodePoints(new Uint8Array([...one(3), ...one(2)]))).toBeUndefined()
    const many = Array.from({ length: MAX_FORK_POINTS + 1 }, (_, at) => ({
      seq: at + 1,
      check: new Uint8Array(8),
    }))
    expect(decodePoints(encodePoints(many))).toBeUndefined()
    expect(decodePoints(encodePoints(many.slice(1)))).toHaveLength(MAX_FORK_POINTS)
  })
})
