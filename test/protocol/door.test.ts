import { describe, expect, test } from 'vitest'
import { nodeNatives as natives } from '../../src/node/natives.js'
import { type ChangeRun, judgeRun, type LogTip } from '../../src/protocol/door.js'
import { MAX_ACCEPTED_RUN_CHANGES, MAX_CASE_ID_UNITS } from '../../src/protocol/limits.js'
import { KIND_STATE, type LogChange } from '../../src/protocol/log.js'
import { change, makeKeys, TestLog } from '../support/logs.js'
import { seeded } from '../support/random.js'

const random = seeded(7)
const practice = random.bytes(32)
const log = new TestLog(practice, makeKeys(random), random)
log.add(
  ...Array.from({ length: 8 }, (_, at) => change({ at, caseId: `case-${at}`, payload: random.bytes(20) })),
)
/** Shares two changes with `log`, then goes its own way. */
const branch = log.branch(2).add(...Array.from({ length: 6 }, (_, at) => change({ at: 900 + at })))

const judge = (tip: LogTip, run: ChangeRun) => judgeRun(natives, practice, tip, run)
const heads = (from: number, to: number) => log.heads.slice(from + 1, to + 1)

describe('[A1] in order, behind the head I hold', () => {
  test('the next run is taken, with the heads it leads to', () => {
    expect(judge(log.tip(0), log.run(0, 3))).toEqual({ kind: 'accept', heads: heads(0, 3) })
    expect(judge(log.tip(3), log.run(3, 8))).toEqual({ kind: 'accept', heads: heads(3, 8) })
  })

  test('an empty run, and one that I hold already, is known', () => {
    expect(judge(log.tip(3), { ...log.run(3, 3), signature: new Uint8Array(0) })).toEqual({ kind: 'known' })
    for (let to = 1; to <= 3; to++) expect(judge(log.tip(3), log.run(0, to))).toEqual({ kind: 'known' })
  })

  test.each([
    ['leaves something out', 4, 6],
    ['begins before my end and goes beyond it', 1, 6],
  ])('a run that %s is a gap, and what is missing is told', (_name, from, to) => {
    expect(judge(log.tip(3), log.run(from, to))).toEqual({ kind: 'gap', from: 3 })
  })
})

describe('[A1] only up to a signed head', () => {
  const refused = { kind: 'refused', reason: 'bad signature' }
  const run = log.run(2, 5)
  const withChange = (at: number, given: Partial<LogChange>): ChangeRun => ({
    ...run,
    changes: run.changes.map((each, index) => (index === at ? { ...each, ...given } : each)),
  })

  test.each<[string, Partial<LogChange>]>([
    ['case', { caseId: 'another' }],
    ['generation', { generation: 1 }],
    ['time', { at: 12345 }],
    ['kind', { kind: KIND_STATE }],
    ['payload', { payload: Uint8Array.of(0, 9, 9) }],
  ])('a run with another %s anywhere is refused', (_name, given) => {
    for (const at of [0, 1, 2]) expect(judge(log.tip(2), withChange(at, given))).toEqual(refused)
  })

  test('changes left out, added, or in another order are refused', () => {
    const [first, second, third] = run.changes as [LogChange, LogChange, LogChange]
    for (const changes of [
      [first, second],
      [first, third],
      [second, first, third],
      [first, second, third, third],
    ]) {
      expect(judge(log.tip(2), { ...run, changes })).toEqual(refused)
    }
  })

  test.each<[string, Uint8Array]>([
    ['empty', new Uint8Array(0)],
    ['too short', run.signature.subarray(0, 63)],
    ['of another sequence', log.signature(4)],
    ['of another branch', branch.signature(5)],
    [
      'of another device',
      new TestLog(practice, makeKeys(random), random).add(...log.changes.slice(0, 5)).signature(5),
    ],
  ])('a signature that is %s is refused', (_name, signature) => {
    expect(judge(log.tip(2), { ...run, signature })).toEqual(refused)
  })

  test('any flipped bit of a signature is refused', () => {
    for (let bit = 0; bit < 512; bit++) {
      const signature = run.signature.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
      expect(judge(log.tip(2), { ...run, signature })).toEqual(refused)
    }
  })

  test('another practice’s signature is refused', () => {
    expect(judgeRun(natives, random.bytes(32), log.tip(2), run)).toEqual(refused)
  })

  test('another branch, signed by the same author, does not fit behind my head', () => {
    expect(judge(log.tip(4), branch.run(4, 6))).toEqual(refused)
    expect(judge(log.tip(2), branch.run(2, 6)).kind).toBe('accept')
  })
})

describe('[A3] a cut log', () => {
  test('takes a run up to its cut, proven by the cut alone', () => {
    const unsigned = { ...log.run(3, 5), signature: new Uint8Array(0) }
    expect(judge(log.tip(3, 5), unsigned)).toEqual({ kind: 'accept', heads: heads(3, 5) })
  })

  test('takes of a run that goes beyond its cut only what lies below', () => {
    expect(judge(log.tip(3, 5), log.run(3, 8))).toEqual({ kind: 'accept', heads: heads(3, 5) })
  })

  test('still needs a signature for a run that ends below its cut', () => {
    expect(judge(log.tip(3, 7), log.run(3, 5))).toEqual({ kind: 'accept', heads: heads(3, 5) })
    const unsigned = { ...log.run(3, 5), signature: new Uint8Array(0) }
    expect(judge(log.tip(3, 7), unsigned)).toEqual({ kind: 'refused', reason: 'bad signature' })
  })

  test('takes nothing once it stands at its cut', () => {
    expect(judge(log.tip(5, 5), log.run(5, 8))).toEqual({ kind: 'known' })
    expect(judge({ ...log.tip(5, 5), head: new Uint8Array(0) }, log.run(5, 8))).toEqual({ kind: 'known' })
  })

  test('cut at its very beginning, it takes nothing at all', () => {
    const tip: LogTip = { ...log.tip(0), cut: { seq: 0, check: new Uint8Array(8) } }
    expect(judge(tip, log.run(0, 8))).toEqual({ kind: 'known' })
  })

  test('a run that reaches the cut with another head is a fork, signed or not', () => {
    const tip = { ...log.tip(2), cut: { seq: 5, check: log.check(5) } }
    expect(judge(tip, branch.run(2, 5))).toEqual({ kind: 'fork' })
    expect(judge(tip, branch.run(2, 6))).toEqual({ kind: 'fork' })
    expect(judge(tip, { ...log.run(2, 5), changes: branch.changes.slice(2, 5) })).toEqual({ kind: 'fork' })
  })
})

describe('bounds', () => {
  test('a run of too many changes is refused before anything is hashed', () => {
    const changes = Array.from({ length: MAX_ACCEPTED_RUN_CHANGES + 1 }, () => change())
    let hashed = 0
    const sha256 = (bytes: Uint8Array) => {
      hashed++
      return natives.sha256(bytes)
    }
    const counting = { ...natives, sha256 }
    const run = { ...log.run(3, 5), changes }
    expect(judgeRun(counting, practice, log.tip(3), run)).toEqual({ kind: 'refused', reason: 'run too long' })
    expect(hashed).toBe(0)
  })

  test('the longest run that is allowed is taken', () => {
    const long = new TestLog(practice, makeKeys(random), random)
    long.add(...Array.from({ length: MAX_ACCEPTED_RUN_CHANGES }, () => change()))
    expect(judge(long.tip(0), long.run()).kind).toBe('accept')
  })

  test.each<[string, Partial<LogChange>]>([
    ['no case', { caseId: '' }],
    ['a case id beyond the limit', { caseId: 'x'.repeat(MAX_CASE_ID_UNITS + 1) }],
    ['kind 0', { kind: 0 }],
    ['a kind above a byte', { kind: 256 }],
    ['a time before 1970', { at: -1 }],
    ['a time that is no whole number', { at: 0.5 }],
  ])('a change with %s can’t have come from us: refused', (_name, given) => {
    const run = { ...log.run(3, 4), changes: [change(given)] }
    expect(judge(log.tip(3), run)).toEqual({ kind: 'refused', reason: 'malformed change' })
  })

  test('[A4] content that can’t be read, and an unknown kind, are taken all the same', () => {
    const odd = new TestLog(practice, makeKeys(random), random)
    odd.add(
      change({ payload: new Uint8Array(0) }),
      change({ kind: 200 }),
      change({ payload: Uint8Array.of(9, 9) }),
    )
    odd.add(change({ caseId: 'x'.repeat(MAX_CASE_ID_UNITS), at: 0 }))
    expect(judge(odd.tip(0), odd.run()).kind).toBe('accept')
  })
})
