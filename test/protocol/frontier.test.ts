import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nodeNatives as natives } from '../../src/node/natives.js'
import { toHex } from '../../src/protocol/bytes.js'
import { claimsDigest, type HeldLog, judgeClaim, splitLogs } from '../../src/protocol/frontier.js'
import { change, makeKeys, TestLog } from '../support/logs.js'
import { seeded } from '../support/random.js'

const random = seeded(3)
const practice = random.bytes(32)
const keys = makeKeys(random)

function held(given: Partial<HeldLog> = {}): HeldLog {
  return {
    log: toHex(random.bytes(16)),
    seq: 3,
    check: random.bytes(8),
    device: keys.ed,
    random: random.bytes(16),
    predecessor: new Uint8Array(0),
    cut: undefined,
    ...given,
  }
}

describe('digests', () => {
  const logs = [held(), held({ seq: 9 }), held({ cut: { seq: 3, check: random.bytes(8) } }), held()]

  test('[F3] the digest of claims does not depend on their order', () => {
    const digest = claimsDigest(natives, logs)
    expect(digest).toHaveLength(16)
    fc.assert(
      fc.property(fc.shuffledSubarray(logs, { minLength: logs.length }), (shuffled) => {
        expect(claimsDigest(natives, shuffled)).toEqual(digest)
      }),
      { seed: 1, numRuns: 50 },
    )
  })

  const cut = logs[2]!.cut!
  test.each<[string, HeldLog[]]>([
    ['a sequence', [{ ...logs[0]!, seq: 4 }, ...logs.slice(1)]],
    ['a check', [{ ...logs[0]!, check: random.bytes(8) }, ...logs.slice(1)]],
    ['a log id', [{ ...logs[0]!, log: toHex(random.bytes(16)) }, ...logs.slice(1)]],
    ['a missing log', logs.slice(1)],
    ['a log more', [...logs, held()]],
    ['a cut where there was none', [{ ...logs[0]!, cut }, ...logs.slice(1)]],
    ['a cut that is gone', [logs[0]!, logs[1]!, { ...logs[2]!, cut: undefined }, logs[3]!]],
    ['a lower cut', [logs[0]!, logs[1]!, { ...logs[2]!, cut: { ...cut, seq: 2 } }, logs[3]!]],
    [
      'a cut with another check',
      [logs[0]!, logs[1]!, { ...logs[2]!, cut: { ...cut, check: random.bytes(8) } }, logs[3]!],
    ],
  ])('[F3] it differs with %s', (_name, others) => {
    expect(claimsDigest(natives, others)).not.toEqual(claimsDigest(natives, logs))
  })

  test('[F3] who opened a log and what came before it don’t count: the log’s id says it already', () => {
    const others = logs.map((log) => ({ ...log, random: random.bytes(16) }))
    expect(claimsDigest(natives, others)).toEqual(claimsDigest(natives, logs))
  })
})

describe('open and closed logs', () => {
  test('a log is closed by its successor or by a cut; one with neither changes nor cut is not told of', () => {
    const first = held()
    const second = held({ predecessor: Uint8Array.from(Buffer.from(first.log, 'hex')) })
    const cut = held({ seq: 0, cut: { seq: 0, check: new Uint8Array(8) } })
    const silent = held({ seq: 0, predecessor: Uint8Array.from(Buffer.from(second.log, 'hex')) })
    const { open, closed } = splitLogs([silent, cut, second, first], toHex)
    expect(open).toEqual([second])
    expect(closed).toEqual([first, cut].sort((a, b) => (a.log < b.log ? -1 : 1)))
  })

  test('both lists are in order of their ids, whatever the order given', () => {
    const logs = Array.from({ length: 20 }, () => held())
    const { open } = splitLogs([...logs].reverse(), toHex)
    expect(open.map(({ log }) => log)).toEqual(logs.map(({ log }) => log).sort())
  })
})

describe('[F1] a claim judged by what I hold', () => {
  const log = new TestLog(practice, keys, seeded(4)).add(
    ...Array.from({ length: 5 }, (_, at) => change({ at })),
  )
  const other = log
    .branch(2)
    .add(change({ at: 77 }), change({ at: 78 }), change({ at: 79 }), change({ at: 80 }))
  const mine = log.claim(4)
  const checkAt = (seq: number) => log.check(seq)
  const forgotten = () => undefined

  test.each([
    ['nothing claimed, nothing held', log.claim(0), undefined, checkAt, 'same'],
    ['nothing claimed, something held', log.claim(0), mine, checkAt, 'behind'],
    ['something claimed, log unknown', log.claim(2), undefined, checkAt, 'ahead'],
    ['something claimed, nothing held', log.claim(1), log.claim(0), checkAt, 'ahead'],
    ['the same end', log.claim(4), mine, checkAt, 'same'],
    ['the same length, another head', other.claim(4), mine, checkAt, 'fork'],
    ['a beginning of mine', log.claim(3), mine, checkAt, 'behind'],
    ['a beginning of mine that I can’t prove any more', log.claim(3), mine, forgotten, 'fork'],
    ['a shorter one that leaves mine', other.claim(3), mine, checkAt, 'fork'],
    ['the beginning that both branches share', other.claim(2), mine, checkAt, 'behind'],
    ['more than I hold', log.claim(5), mine, checkAt, 'ahead'],
    [
      'more than I hold, of another branch: only its changes can tell',
      other.claim(6),
      mine,
      checkAt,
      'ahead',
    ],
  ] as const)('%s', (_name, claim, own, lookUp, verdict) => {
    expect(judgeClaim(claim, own, lookUp)).toBe(verdict)
  })

  test('checks are looked up only below what I hold', () => {
    const asked: number[] = []
    for (let seq = 0; seq <= 5; seq++) {
      judgeClaim(log.claim(seq), mine, (at) => {
        asked.push(at)
        return log.check(at)
      })
    }
    expect(asked).toEqual([1, 2, 3])
  })
})
