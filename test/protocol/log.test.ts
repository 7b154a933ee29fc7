import { describe, expect, test } from 'vitest'
import { nodeNatives as natives } from '../../src/node/natives.js'
import { equalBytes, toHex } from '../../src/protocol/bytes.js'
import {
  checkOf,
  KIND_STATE,
  type LogChange,
  type LogOpening,
  logIdBytes,
  logIdOf,
  nextHead,
  openingHead,
  signedHeadBytes,
} from '../../src/protocol/log.js'
import { portableNatives } from '../../src/protocol/portable.js'
import { change, makeKeys, TestLog } from '../support/logs.js'
import { seeded } from '../support/random.js'

const random = seeded(1)
const practice = random.bytes(32)
const keys = makeKeys(random)
const opening: LogOpening = { device: keys.ed, random: random.bytes(16), predecessor: new Uint8Array(0) }

const flipped = (bytes: Uint8Array, at = 0) => bytes.map((byte, index) => (index === at ? byte ^ 1 : byte))

describe('openings', () => {
  test('a log id is the first 16 bytes of the head before the first change', () => {
    expect(logIdBytes(natives, opening)).toEqual(openingHead(natives, opening).subarray(0, 16))
    expect(logIdOf(natives, opening)).toBe(toHex(logIdBytes(natives, opening)))
  })

  test('[A2] a log id certifies its device, its random value and its predecessor', () => {
    const others: LogOpening[] = [
      { ...opening, device: flipped(opening.device) },
      { ...opening, random: flipped(opening.random, 15) },
      { ...opening, predecessor: random.bytes(16) },
      { ...opening, predecessor: new Uint8Array(16) },
    ]
    const ids = [opening, ...others].map((each) => logIdOf(natives, each))
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('bytes moved between random value and predecessor give another id', () => {
    const bytes = random.bytes(32)
    const one = { ...opening, random: bytes.subarray(0, 16), predecessor: bytes.subarray(16) }
    const other = { ...opening, random: bytes.subarray(0, 15), predecessor: bytes.subarray(15) }
    expect(logIdOf(natives, one)).not.toBe(logIdOf(natives, other))
  })
})

describe('heads', () => {
  const before = random.bytes(32)
  const base = change({ payload: random.bytes(40) })
  const head = nextHead(natives, before, 7, base)

  const variants: [string, Uint8Array, number, LogChange][] = [
    ['the head before', flipped(before, 31), 7, base],
    ['the sequence', before, 8, base],
    ['the kind', before, 7, { ...base, kind: KIND_STATE }],
    ['the generation', before, 7, { ...base, generation: 1 }],
    ['the time', before, 7, { ...base, at: base.at + 1 }],
    ['the case', before, 7, { ...base, caseId: 'case-2' }],
    ['one bit of the payload', before, 7, { ...base, payload: flipped(base.payload, 39) }],
    ['the length of the payload', before, 7, { ...base, payload: base.payload.subarray(0, 39) }],
  ]
  test.each(variants)('a head changes with %s', (_name, previous, seq, changed) => {
    const other = nextHead(natives, previous, seq, changed)
    expect(other).toHaveLength(32)
    expect(equalBytes(other, head)).toBe(false)
  })

  test('equal fields give equal heads, with portable and native hashing', () => {
    expect(nextHead(natives, before, 7, { ...base })).toEqual(head)
    expect(nextHead(portableNatives, before, 7, base)).toEqual(head)
  })

  test('a log’s heads form a chain: a change in the middle changes every later head and none before', () => {
    const log = new TestLog(practice, keys, seeded(2)).add(
      ...Array.from({ length: 6 }, (_, at) => change({ at })),
    )
    const other = log.branch(2).add(change({ at: 99 }), ...log.changes.slice(3))
    expect(other.heads.slice(0, 3)).toEqual(log.heads.slice(0, 3))
    for (const seq of [3, 4, 5, 6]) expect(equalBytes(other.heads[seq]!, log.heads[seq]!)).toBe(false)
  })

  test('a check is the first 8 bytes of a head, in memory of its own', () => {
    const check = checkOf(head)
    expect(check).toEqual(head.subarray(0, 8))
    expect(check.buffer.byteLength).toBe(8)
  })
})

describe('signatures', () => {
  const log = random.bytes(16)
  const head = random.bytes(32)
  const signature = natives.sign(keys.secret, signedHeadBytes(practice, log, 5, head))

  test('the author’s signature holds for its own practice, log, sequence and head', () => {
    expect(natives.verify(keys.ed, signedHeadBytes(practice, log, 5, head), signature)).toBe(true)
    expect(portableNatives.verify(keys.ed, signedHeadBytes(practice, log, 5, head), signature)).toBe(true)
  })

  test.each([
    ['practice', signedHeadBytes(flipped(practice), log, 5, head)],
    ['log', signedHeadBytes(practice, flipped(log), 5, head)],
    ['sequence', signedHeadBytes(practice, log, 6, head)],
    ['head', signedHeadBytes(practice, log, 5, flipped(head, 31))],
  ])('and for no other %s', (_name, signed) => {
    expect(natives.verify(keys.ed, signed, signature)).toBe(false)
  })
})
