/** What a message would become is seen before it is decoded, however its bytes hide it. */
import { describe, expect, test } from 'vitest'
import { concat, EMPTY } from '../../src/protocol/bytes.js'
import { MAX_MESSAGE_BYTES } from '../../src/protocol/framing.js'
import { hasSoundCounts, type Nested } from '../../src/protocol/message-guard.js'
import { decodePairFrame } from '../../src/protocol/pairing-rules.js'
import type { Item } from '../../src/protocol/sync.gen.js'
import { decodeFrame, encodeFrame, type FrameKind } from '../../src/protocol/wire.js'
import { usedBytes } from '../fuzz/fuzz.js'

const CLAIMS = 2
const NESTED: Nested = { [CLAIMS]: { 1: {} } }
const COUNT = 400_000

function varint(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push(rest > 127 ? (rest % 128) + 128 : rest)
    if (rest <= 127) return bytes
  }
}

/** A field of a message inside another, with its length. */
const field = (tag: number[], content: Uint8Array) =>
  concat([Uint8Array.from([...tag, ...varint(content.length)]), content])
/** Nothing but empty claims: two bytes each. */
const empty = Uint8Array.from({ length: 2 * COUNT }, (_, at) => (at % 2 === 0 ? 0x0a : 0x00))
const TAG = CLAIMS * 8 + 2

/** Each becomes COUNT objects where it is decoded unseen. */
const hidden: [string, Uint8Array][] = [
  ['plainly', field([TAG], empty)],
  ['behind a group', concat([Uint8Array.of(0xfb, 0x01, 0xfc, 0x01), field([TAG], empty)])],
  ['in a group that the frame carries', concat([Uint8Array.of(0x7b, 0x7c), field([TAG], empty)])],
  ['under a tag with bits beyond the 32nd', field([TAG | 0x80, 0x80, 0x80, 0x80, 0x10], empty)],
  ['under a tag of ten bytes', field([TAG | 0x80, ...Array<number>(8).fill(0x80), 0x01], empty)],
  [
    'behind a length with bits beyond the 32nd',
    concat([Uint8Array.of(0xa2, 0x06, 0x80, 0x80, 0x80, 0x80, 0x70), field([TAG], empty)]),
  ],
  // The claims say that they end at once, but their first element reaches behind that end: the codec reads on there.
  ['behind the end of what holds it', behindTheEnd()],
  ['behind a number of eight bytes that reaches over that end', behindNumber([1 * 8 + 1], [0x7a], 4)],
  ['behind a number of four bytes that reaches over that end', behindNumber([1 * 8 + 5], [0x7a], 0)],
  // It ends with the tag of the blob; the blob's length, a multiple of 8, is then the tag of a number: the next byte.
  ['behind a long number that reaches over that end', behindNumber([1 * 8, 0x80, 0x80], [0x82, 0x01], 1)],
]

/** Claims that end in a number, and a blob behind them: from where that number ends, it reads as nothing but claims. */
function behindNumber(number: number[], blobTag: number[], skipped: number): Uint8Array {
  const inner = concat([new Uint8Array(skipped), field([TAG], empty)])
  // Numbers of a field that nobody knows.
  const padding = new Uint8Array((8 - (inner.length % 8)) % 8).fill(0x78)
  return concat([field([TAG], Uint8Array.from(number)), field(blobTag, concat([inner, padding]))])
}

function behindTheEnd(): Uint8Array {
  // Claims of 4 bytes: one unknown field of them says to be longer than what holds it.
  const rest = field([1 * 8 + 2], empty)
  return concat([Uint8Array.from([TAG, 4, 1 * 8 + 2, ...varint(rest.length)]), rest])
}

describe('a message of nothing but empty elements', () => {
  test.each(hidden)('hidden %s is refused before it becomes objects', (_name, bytes) => {
    const before = process.memoryUsage().heapUsed
    expect(hasSoundCounts(bytes, NESTED)).toBe(false)
    expect(decodeFrame(bytes)).toBeUndefined()
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024)
  })
})

test('a welcome of nothing but empty entries is refused before it becomes objects, whoever sends it', () => {
  const before = usedBytes()
  const entries = Uint8Array.from({ length: 4_000_000 }, (_, at) => (at % 2 === 0 ? 0x1a : 0x00))
  expect(decodePairFrame(field([8 * 8 + 2], entries))).toBeUndefined()
  expect(usedBytes() - before).toBeLessThan(24 * 1024 * 1024)
})

describe('how many elements are sound', () => {
  /** So many empty ones of field 1, and bytes behind them that nobody reads. */
  const elements = (count: number, spareBytes = 0) => {
    const bytes = new Uint8Array(2 * count)
    for (let at = 0; at < bytes.length; at += 2) bytes[at] = 0x0a
    return spareBytes === 0 ? bytes : concat([bytes, field([2 * 8 + 2], new Uint8Array(spareBytes))])
  }

  test('one for each five bytes and ten thousand more; one with lists of its own counts thrice', () => {
    for (const [nested, units] of [
      [{}, 1],
      [{ 1: {} }, 1],
      [{ 1: { 1: {} } }, 3],
    ] as [Nested, number][]) {
      const most = Math.floor(10_000 / (units - 2 / 5))
      expect(hasSoundCounts(elements(most), nested)).toBe(true)
      expect(hasSoundCounts(elements(most + 1), nested)).toBe(false)
    }
  })

  test('never more than six hundred thousand, however long the message is', () => {
    expect(hasSoundCounts(elements(600_000 - 1, 3_000_000), { 1: {} })).toBe(true)
    expect(hasSoundCounts(elements(600_000, 3_000_000), { 1: {} })).toBe(false)
  })

  test('what reaches behind the end is unsound, and what ends there isn’t', () => {
    const tags = { number: 1 * 8, eight: 1 * 8 + 1, bytes: 1 * 8 + 2, four: 1 * 8 + 5 }
    const whole = [
      [tags.number, 0x80, 0x01],
      [tags.eight, 0, 0, 0, 0, 0, 0, 0, 0],
      [tags.bytes, 2, 7, 7],
      [tags.four, 0, 0, 0, 0],
    ]
    for (const bytes of whole) {
      expect(hasSoundCounts(Uint8Array.from(bytes), {})).toBe(true)
      expect(hasSoundCounts(Uint8Array.from(bytes.slice(0, -1)), {})).toBe(false)
    }
    // Nothing is read of a number's own bytes, which here would be a group.
    expect(hasSoundCounts(Uint8Array.of(tags.four, 3, 3, 3, 3), {})).toBe(true)
    expect(hasSoundCounts(Uint8Array.of(tags.eight, 3, 3, 3, 3, 3, 3, 3, 3), {})).toBe(true)
    for (const group of [3, 4, 6, 7]) expect(hasSoundCounts(Uint8Array.of(1 * 8 + group), {})).toBe(false)
  })
})

test('of a tag of ten bytes the lowest 32 bits count, as for the codec', () => {
  const tag = [0x80 | (2 * 8 + 2), ...Array<number>(8).fill(0x80), 0x01]
  expect(hasSoundCounts(Uint8Array.from([...tag, 1, 3]), {})).toBe(true)
  expect(hasSoundCounts(Uint8Array.from([...tag, 2, 3]), {})).toBe(false)
})

describe('the largest honest messages', () => {
  const LOGS = 65_536
  const bytes = (length: number) => new Uint8Array(length).fill(7)
  const claims = Array.from({ length: LOGS }, (_, seq) => ({ log: bytes(16), seq, check: bytes(8) }))
  const openings = claims.map(() => ({ device: bytes(32), random: bytes(16), predecessor: bytes(16) }))
  /** Of a case that was opened so many times, each time by a new client; imported ones have small numbers. */
  const clocks = Array.from({ length: 50_000 }, (_, client) => ({ client, clock: 1 }))
  const touched = claims.map(({ log, seq }) => ({ log, seq }))
  const item = { key: bytes(16), caseId: 'a', generation: 0, erased: 0, parked: [], row: EMPTY, more: false }
  const items = (one: Pick<Item, 'touched' | 'clocks'>) => ({
    $case: 'items' as const,
    value: {
      transfer: 1,
      early: false,
      claims: [],
      openings: [],
      missing: [],
      items: [{ ...item, parts: [bytes(9)], ...one }],
    },
  })
  const changes = Array.from({ length: 4096 }, () => ({
    ...{ caseId: 'a', generation: 0, at: 1, kind: 1 },
    payload: bytes(3),
  }))
  const honest: FrameKind[] = [
    { $case: 'claims', value: { closed: claims, cuts: [], openings } },
    { $case: 'claims', value: { closed: [], cuts: claims, openings } },
    { $case: 'ack', value: { claims, transfer: 0, cursor: EMPTY, bulkBytes: 0 } },
    items({ touched: [], clocks }),
    items({ touched, clocks: [] }),
    {
      $case: 'changes',
      value: { openings: [], runs: [{ log: bytes(16), from: 0, changes, signature: bytes(64) }] },
    },
    { $case: 'want', value: { keys: claims.map(() => bytes(16)) } },
  ]
  test.each(honest.map((frame) => [frame.$case, frame] as const))('%s passes', (_name, frame) => {
    expect(decodeFrame(encodeFrame(frame))?.$case).toBe(frame.$case)
  })
})

describe('a message of the largest size', () => {
  /** As many elements as the guard lets through, of the kinds that take most memory for their bytes. */
  const shapes: [string, number, number[]][] = [
    ['cases', 9, [0x1a, 0]],
    ['runs with an empty change', 5, [0x12, 2, 0x1a, 0]],
    ['targets', 8, [0x1a, 0]],
    ['keys', 10, [0x12, 0]],
    ['claims', 2, [0x0a, 0]],
    ['numbers', 15, [0x08, 1]],
  ]
  test.each(shapes)('of empty %s takes little memory and time', (_name, kind, element) => {
    const padding = 8
    let most = 0
    for (const count of [60_000, 199_000, 299_000, 599_000, 5_000_000]) {
      const content = new Uint8Array(count * element.length)
      for (let at = 0; at < content.length; at += element.length) content.set(element, at)
      // Bytes that nobody reads make the message as long as one may be.
      const blob = field([0xfa, 0x07], new Uint8Array(MAX_MESSAGE_BYTES - content.length - 4 * padding))
      const bytes = field([kind * 8 + 2], content)
      const before = usedBytes()
      const began = performance.now()
      decodeFrame(concat([blob, bytes]))
      expect(performance.now() - began).toBeLessThan(2_000)
      most = Math.max(most, usedBytes() - before - MAX_MESSAGE_BYTES)
    }
    expect(most).toBeLessThan(64 * 1024 * 1024)
  })
})
