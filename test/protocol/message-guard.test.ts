/** What a message would become is seen before it is decoded, however its bytes hide it. */
import { describe, expect, test } from 'vitest'
import { concat } from '../../src/protocol/bytes.js'
import { hasSoundCounts, type Nested } from '../../src/protocol/message-guard.js'
import { decodeFrame } from '../../src/protocol/wire.js'

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
]

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
