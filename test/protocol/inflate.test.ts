/**
 * Raw deflate, rule by rule, with streams that no compressor writes: what the portable code takes is what zlib takes.
 * Damaged and random streams are in natives.test.ts.
 */
import { describe, expect, test } from 'vitest'
import { nodeNatives } from '../../src/node/natives.js'
import { equalBytes } from '../../src/protocol/bytes.js'
import { inflate } from '../../src/protocol/inflate.js'

/** Bits in the order of the stream: numbers begin with the lowest bit, codes with the highest. */
class Bits {
  private readonly all: number[] = []

  number(value: number, count: number): this {
    for (let at = 0; at < count; at++) this.all.push((value >> at) & 1)
    return this
  }

  code(value: number, count: number): this {
    for (let at = count - 1; at >= 0; at--) this.all.push((value >> at) & 1)
    return this
  }

  /** Zeros up to a whole byte, then these. */
  bytes(...values: number[]): this {
    while (this.all.length % 8 !== 0) this.all.push(0)
    for (const value of values) this.number(value, 8)
    return this
  }

  /** A symbol of the fixed literal code. */
  fixed(symbol: number): this {
    if (symbol < 144) return this.code(0x30 + symbol, 8)
    if (symbol < 256) return this.code(0x190 + symbol - 144, 9)
    return symbol < 280 ? this.code(symbol - 256, 7) : this.code(0xc0 + symbol - 280, 8)
  }

  /** A last block's header; 1 is of the fixed codes, 2 of its own. */
  block(type: number, isLast = true): this {
    return this.number(isLast ? 1 : 0, 1).number(type, 2)
  }

  get stream(): Uint8Array {
    const bytes = new Uint8Array(Math.ceil(this.all.length / 8))
    this.all.forEach((bit, at) => {
      bytes[at >> 3]! |= bit << (at & 7)
    })
    return bytes
  }
}

/** What both say of a stream, which must be the same: its bytes, or undefined. */
function both(bits: Bits, limit = 100_000): number[] | undefined {
  const [portable, zlib] = [inflate(bits.stream, limit), nodeNatives.inflate(bits.stream, limit)]
  const isSame = portable && zlib ? equalBytes(portable, zlib) : portable === zlib
  if (!isSame) throw new Error(`${portable?.length} bytes here, ${zlib?.length} of zlib`)
  return portable && [...portable]
}

const fixed = () => new Bits().block(1)
const END = 256
const text = [...new TextEncoder().encode('kartoteka')]
const spelled = (bits: Bits) => text.reduce((so, byte) => so.fixed(byte), bits)

/** Extra bits of each length symbol from 257 on, and of each distance symbol: RFC 1951 §3.2.5. */
const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
const DISTANCE_EXTRA = Array.from({ length: 30 }, (_, symbol) => Math.max(0, (symbol >> 1) - 1))

/** Symbols 0 to 12 of the code of lengths have four bits, the others five: complete. */
const CODE_LENGTHS: number[] = Array.from({ length: 19 }, (_, symbol) => (symbol < 13 ? 4 : 5))
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

/** A block's own codes, from lengths or pairs of a repeating symbol and its extra bits. */
function own(
  literals: number,
  distances: number,
  lengths: (number | [symbol: number, extra: number])[],
  codeLengths = CODE_LENGTHS,
): Bits {
  const bits = new Bits()
    .block(2)
    .number(literals - 257, 5)
    .number(distances - 1, 5)
    .number(15, 4)
  for (const symbol of ORDER) bits.number(codeLengths[symbol]!, 3)
  for (const entry of lengths) {
    const [symbol, extra] = typeof entry === 'number' ? [entry, 0] : entry
    if (symbol < 13) bits.code(symbol, 4)
    else bits.code(26 + symbol - 13, 5)
    if (symbol >= 16) bits.number(extra, symbol === 16 ? 2 : symbol === 17 ? 3 : 7)
  }
  return bits
}
/** `count` symbols without a code, in one or two entries; from 11 to 276. */
const zeros = (count: number): [number, number][] =>
  count > 138 ? [[18, 127], ...zeros(count - 138)] : [[18, count - 11]]
/** 'a' is 0, the end is 1: the only two literals. */
const A_AND_END: (number | [number, number])[] = [...zeros(97), 1, ...zeros(158), 1]

describe('blocks', () => {
  test('of stored bytes say their length twice', () => {
    const stored = (...header: number[]) => new Bits().block(0).bytes(...header)
    expect(both(stored(9, 0, 246, 255, ...text))).toEqual(text)
    expect(both(stored(0, 0, 255, 255))).toEqual([])
    for (const wrong of [
      stored(9, 0, 247, 255, ...text),
      stored(9, 0, 246, 254, ...text),
      stored(9, 0, 246, 255, ...text.slice(1)),
      stored(9, 0, 246, 255, ...text, 0),
      stored(9, 0, 246),
      stored(),
    ])
      expect(both(wrong)).toBeUndefined()
    const long = Array.from({ length: 300 }, (_, at) => at & 255)
    expect(both(stored(44, 1, 211, 254, ...long))).toEqual(long)
    expect(both(stored(44, 1, 211, 254, ...long), 299)).toBeUndefined()
    const twice = spelled(fixed()).fixed(END).stream
    expect(inflate(twice, 9)).toHaveLength(9)
  })

  test('of stored bytes begin at a whole byte, wherever the block before them ends', () => {
    for (let shift = 0; shift < 8; shift++) {
      const bits = new Bits().block(1, false)
      // Each of these takes nine bits.
      for (let at = 0; at < shift; at++) bits.fixed(200)
      const bytes = [...Array(shift).fill(200), 1, 2]
      expect(both(bits.fixed(END).block(0).bytes(2, 0, 253, 255, 1, 2))).toEqual(bytes)
    }
  })

  test('follow each other until the last; there is no fourth kind', () => {
    const first = spelled(new Bits().block(1, false)).fixed(END).block(0, false).bytes(1, 0, 254, 255, 33)
    expect(both(first.block(1).fixed(97).fixed(END))).toEqual([...text, 33, 97])
    expect(both(new Bits().block(3).number(0, 29))).toBeUndefined()
    const fourth = own(257, 1, [...A_AND_END, 0]).code(1, 1).stream
    expect(inflate(fourth, 100)).toEqual(new Uint8Array(0))
    fourth[0]! |= 0b110
    expect([inflate(fourth, 100), nodeNatives.inflate(fourth, 100)]).toEqual([undefined, undefined])
    expect(both(spelled(new Bits().block(1, false)).fixed(END))).toBeUndefined()
    expect(both(spelled(fixed()))).toBeUndefined()
    expect(both(spelled(fixed()).fixed(END).bytes(0))).toBeUndefined()
  })
})

describe('copies', () => {
  test('are of every length and distance that there is, and of no other', () => {
    const far = new Bits().block(0, false).bytes(0xff, 0xff, 0, 0)
    const filler = Array.from({ length: 0xffff }, (_, at) => (at * 7 + (at >> 8)) & 255)
    far.bytes(...filler).block(1)
    LENGTH_EXTRA.forEach((extra, at) => {
      for (const value of new Set([0, 2 ** extra - 1]))
        far
          .fixed(257 + at)
          .number(value, extra)
          .code(4, 5)
          .number(1, 1)
    })
    DISTANCE_EXTRA.forEach((extra, symbol) => {
      for (const value of new Set([0, 2 ** extra - 1])) far.fixed(260).code(symbol, 5).number(value, extra)
    })
    expect(both(far.fixed(END))?.length).toBeGreaterThan(69_000)
    const copy = (length: number, distance: number) =>
      spelled(fixed()).fixed(length).code(distance, 5).number(0, 13).fixed(END)
    for (const symbol of [286, 287]) expect(both(copy(symbol, 0))).toBeUndefined()
    for (const symbol of [30, 31]) expect(both(copy(257, symbol))).toBeUndefined()
  })

  test('reach back to the first byte and no further, and may overlap what they write', () => {
    const reach = (distance: number) =>
      spelled(fixed())
        .fixed(261)
        .code(6, 5)
        .number(distance - 9, 2)
        .fixed(END)
    expect(both(reach(9))).toEqual([...text, ...text.slice(0, 7)])
    expect(both(reach(10))).toBeUndefined()
    expect(both(fixed().fixed(97).fixed(257).code(0, 5).fixed(END))).toEqual([97, 97, 97, 97])
    expect(both(fixed().fixed(257).code(0, 5).fixed(END))).toBeUndefined()
  })

  test('stop at the limit, as single bytes do', () => {
    const copied = () => fixed().fixed(97).fixed(257).code(0, 5).fixed(END)
    expect([both(copied(), 4)?.length, both(copied(), 3)]).toEqual([4, undefined])
    expect([both(spelled(fixed()).fixed(END), 9)?.length, both(spelled(fixed()).fixed(END), 8)]).toEqual([
      9,
      undefined,
    ])
  })

  test('grow the output as far as they need, from any size on', () => {
    const bits = fixed().fixed(97)
    for (let at = 0; at < 200; at++) bits.fixed(285).code(0, 5)
    const grown = both(bits.fixed(END))!
    expect([grown.length, grown.every((byte) => byte === 97)]).toEqual([1 + 200 * 258, true])
  })
})

describe('codes of a block’s own', () => {
  const end = (bits: Bits) => bits.code(0, 1).code(0, 1).code(1, 1)

  test('may be of two symbols, without distances or with one', () => {
    expect(both(end(own(257, 1, [...A_AND_END, 0])))).toEqual([97, 97])
    expect(both(end(own(257, 1, [...A_AND_END, 1])))).toEqual([97, 97])
    // One distance code of one bit leaves another unused; one of two bits, three.
    expect(both(end(own(257, 1, [...A_AND_END, 2])))).toBeUndefined()
    expect(both(end(own(257, 2, [...A_AND_END, 1, 1])))).toEqual([97, 97])
    expect(both(end(own(257, 3, [...A_AND_END, 1, 1, 1])))).toBeUndefined()
    expect(both(end(own(257, 3, [...A_AND_END, 1, 2, 0])))).toBeUndefined()
  })

  test('copy with it', () => {
    // 'a' 1 bit, the end 2, length 3 2; distance 1.
    const lengths = [...zeros(97), 1, ...zeros(158), 2, 2, 1]
    const bits = own(258, 1, lengths).code(0, 1).code(3, 2).code(0, 1).code(2, 2)
    expect(both(bits)).toEqual([97, 97, 97, 97])
    expect(both(own(258, 1, lengths).code(0, 1).code(3, 2).code(1, 1).code(2, 2))).toBeUndefined()
    const without = own(258, 1, [...lengths.slice(0, -1), 0])
    expect(both(without.code(0, 1).code(3, 2).number(0, 20))).toBeUndefined()
  })

  test('must have an end, and neither too many codes nor too few', () => {
    expect(both(end(own(257, 1, [...zeros(97), 1, 1, ...zeros(158), 0])))).toBeUndefined()
    expect(both(end(own(257, 1, [1, ...zeros(96), 1, ...zeros(158), 1, 0])))).toBeUndefined()
    expect(both(end(own(257, 1, [...zeros(97), 2, ...zeros(158), 2, 0])))).toBeUndefined()
    expect(both(own(257, 1, [...zeros(256), 1, 0]).code(0, 1))).toEqual([])
    expect(both(own(257, 1, [...zeros(256), 2, 0]).code(0, 2))).toBeUndefined()
  })

  test('have at most 286 and 30 symbols', () => {
    const rest = (literals: number) => (literals === 257 ? [] : zeros(literals - 257))
    for (const [literals, distances, isTaken] of [
      [286, 30, true],
      [287, 30, false],
      [286, 31, false],
    ] as const) {
      const bits = own(literals, distances, [...A_AND_END, ...rest(literals), ...zeros(distances)])
      expect(both(end(bits))).toEqual(isTaken ? [97, 97] : undefined)
    }
  })

  test('repeat a length that there is, and no further than there are symbols', () => {
    const a = (lengths: (number | [number, number])[], distances = 1) =>
      both(end(own(257, distances, lengths)))
    expect(a([[16, 0], ...zeros(94), 1, ...zeros(158), 1, 0])).toBeUndefined()
    // Seven letters and the end, of three bits each.
    const seven = own(257, 1, [...zeros(97), 3, [16, 3], ...zeros(152), 3, 0])
    expect(both(seven.code(1, 3).code(6, 3).code(7, 3))).toEqual([98, 103])
    // Zeros three to ten at a time, or the zero before them again.
    const by17 = [...Array(9).fill([17, 7]), [17, 4], 1] as [number, number][]
    expect(a([...by17, ...zeros(158), 1, 0])).toEqual([97, 97])
    expect(a([0, [16, 3], [16, 0], ...zeros(87), 1, ...zeros(158), 1, 0])).toEqual([97, 97])
    // The end and both distances by one repetition, over the border of the two codes.
    expect(a([...zeros(97), 1, ...zeros(158), 1, 1, 1], 2)).toEqual([97, 97])
    expect(a([...zeros(97), 1, ...zeros(158), 1, [17, 0]], 3)).toEqual([97, 97])
    expect(a([...zeros(97), 1, ...zeros(158), 1, [17, 0]], 2)).toBeUndefined()
    expect(a([...zeros(97), 1, ...zeros(158), 1, [16, 0]], 2)).toBeUndefined()
    expect(a([...zeros(97), 1, ...zeros(158), 1, [18, 0]], 10)).toBeUndefined()
    expect(a([...zeros(97), 1, ...zeros(158), 1, [18, 0]], 11)).toEqual([97, 97])
  })

  test('are themselves told by a complete code', () => {
    const told = (codeLengths: number[]) => both(end(own(257, 1, [...A_AND_END, 0], codeLengths)))
    expect(told(CODE_LENGTHS)).toEqual([97, 97])
    expect(told(CODE_LENGTHS.with(15, 0))).toBeUndefined()
    expect(told(CODE_LENGTHS.with(15, 4))).toBeUndefined()
    // Without its last symbol all others keep their codes.
    const sevens = (count: number): [number, number][] =>
      count > 10 ? [[17, 7], ...sevens(count - 10)] : [[17, count - 3]]
    const by17 = [...sevens(97), 1, ...sevens(158), 1, 0]
    expect(both(end(own(257, 1, by17)))).toEqual([97, 97])
    expect(both(end(own(257, 1, by17, CODE_LENGTHS.with(18, 0))))).toBeUndefined()
  })

  test('of a first kind are of all lengths up to fifteen', () => {
    // Symbols 0 to 13 of one to fourteen bits, the last literal and the end of fifteen.
    const lengths = [...Array.from({ length: 14 }, (_, at) => at + 1), 15, ...zeros(241), 15, 0]
    const bits = own(257, 1, lengths)
    for (let symbol = 0; symbol < 14; symbol++) bits.code(2 ** (symbol + 1) - 2, symbol + 1)
    expect(both(bits.code(2 ** 15 - 2, 15).code(2 ** 15 - 1, 15))).toEqual(
      Array.from({ length: 15 }, (_, at) => at),
    )
  })
})
