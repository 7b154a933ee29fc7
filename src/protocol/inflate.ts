/**
 * Raw inflate, RFC 1951, strict and bounded, after the structure of Mark Adler's puff.c (zlib).
 *
 * fflate's own inflate takes streams that zlib refuses (stored lengths, over-subscribed codes) and finishes
 * a bomb before it can be stopped. Whether a change is void must not depend on the device, so portable code
 * accepts exactly what zlib accepts, and nothing behind the final block.
 */

const LENGTH_BASE = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
  227, 258,
]
const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
  6145, 8193, 12289, 16385, 24577,
]
const DISTANCE_EXTRA = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
]
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
const MAX_CODE_BITS = 15
const END_OF_BLOCK = 256
const FIRST_OUTPUT_BYTES = 1024

/** Stops the decoding; never leaves this file. */
class Broken extends Error {}

/** A canonical Huffman code: how many codes of each length, and the symbols in order of their codes. */
interface Code {
  counts: Uint16Array
  symbols: Uint16Array
  /** Codes left unused: 0 is complete, below 0 over-subscribed. */
  left: number
  /** No code is longer than one bit. */
  single: boolean
}

function buildCode(lengths: Uint8Array): Code {
  const counts = new Uint16Array(MAX_CODE_BITS + 1)
  for (const length of lengths) counts[length]!++
  const single = counts[0]! + counts[1]! === lengths.length
  const symbols = new Uint16Array(lengths.length)
  if (counts[0] === lengths.length) return { counts, symbols, left: 0, single }
  let left = 1
  for (let bits = 1; bits <= MAX_CODE_BITS; bits++) left = left * 2 - counts[bits]!
  const offsets = new Uint16Array(MAX_CODE_BITS + 1)
  for (let bits = 1; bits < MAX_CODE_BITS; bits++) offsets[bits + 1] = offsets[bits]! + counts[bits]!
  lengths.forEach((length, symbol) => {
    if (length !== 0) symbols[offsets[length]!++] = symbol
  })
  return { counts, symbols, left, single }
}

function fixedCodes(): { literals: Code; distances: Code } {
  const lengths = new Uint8Array(288)
  lengths.fill(8, 0, 144).fill(9, 144, 256).fill(7, 256, 280).fill(8, 280, 288)
  return { literals: buildCode(lengths), distances: buildCode(new Uint8Array(30).fill(5)) }
}

const FIXED = fixedCodes()

class Inflater {
  private position = 0
  private bitBuffer = 0
  private bitCount = 0
  private output: Uint8Array
  private length = 0

  constructor(
    private readonly input: Uint8Array,
    private readonly limitBytes: number,
  ) {
    this.output = new Uint8Array(Math.min(limitBytes, Math.max(FIRST_OUTPUT_BYTES, 3 * input.length)))
  }

  run(): Uint8Array {
    let last = false
    while (!last) {
      last = this.bits(1) === 1
      const type = this.bits(2)
      if (type === 0) this.stored()
      else if (type === 1) this.block(FIXED.literals, FIXED.distances)
      else if (type === 2) this.dynamic()
      else throw new Broken()
    }
    if (this.position !== this.input.length) throw new Broken()
    return this.output.slice(0, this.length)
  }

  private bits(need: number): number {
    let value = this.bitBuffer
    while (this.bitCount < need) {
      if (this.position === this.input.length) throw new Broken()
      value |= this.input[this.position++]! << this.bitCount
      this.bitCount += 8
    }
    this.bitBuffer = value >>> need
    this.bitCount -= need
    return value & ((1 << need) - 1)
  }

  private symbol(code: Code): number {
    let value = 0
    let first = 0
    let index = 0
    for (let bits = 1; bits <= MAX_CODE_BITS; bits++) {
      if (this.bitCount === 0) {
        if (this.position === this.input.length) throw new Broken()
        this.bitBuffer = this.input[this.position++]!
        this.bitCount = 8
      }
      value |= this.bitBuffer & 1
      this.bitBuffer >>>= 1
      this.bitCount--
      const count = code.counts[bits]!
      if (value - count < first) return code.symbols[index + (value - first)]!
      index += count
      first = (first + count) << 1
      value <<= 1
    }
    throw new Broken()
  }

  /** Room for `more` bytes, or the end: output never grows beyond the limit. */
  private reserve(more: number): void {
    const needed = this.length + more
    if (needed > this.limitBytes) throw new Broken()
    if (needed <= this.output.length) return
    const grown = new Uint8Array(Math.min(this.limitBytes, Math.max(needed, 2 * this.output.length)))
    grown.set(this.output.subarray(0, this.length))
    this.output = grown
  }

  private stored(): void {
    this.bitBuffer = 0
    this.bitCount = 0
    if (this.position + 4 > this.input.length) throw new Broken()
    const length = this.input[this.position]! | (this.input[this.position + 1]! << 8)
    const inverse = this.input[this.position + 2]! | (this.input[this.position + 3]! << 8)
    this.position += 4
    if (length !== (~inverse & 0xffff) || this.position + length > this.input.length) throw new Broken()
    this.reserve(length)
    this.output.set(this.input.subarray(this.position, this.position + length), this.length)
    this.position += length
    this.length += length
  }

  private dynamic(): void {
    const literalCount = this.bits(5) + 257
    const distanceCount = this.bits(5) + 1
    const lengthCount = this.bits(4) + 4
    if (literalCount > 286 || distanceCount > 30) throw new Broken()
    const codeLengths = new Uint8Array(19)
    for (let i = 0; i < lengthCount; i++) codeLengths[CODE_LENGTH_ORDER[i]!] = this.bits(3)
    const lengthCode = buildCode(codeLengths)
    if (lengthCode.left !== 0) throw new Broken()

    const lengths = this.codeLengths(lengthCode, literalCount + distanceCount)
    if (lengths[END_OF_BLOCK] === 0) throw new Broken()
    const literals = buildCode(lengths.subarray(0, literalCount))
    const distances = buildCode(lengths.subarray(literalCount))
    for (const code of [literals, distances]) {
      if (code.left < 0 || (code.left > 0 && !code.single)) throw new Broken()
    }
    this.block(literals, distances)
  }

  private codeLengths(code: Code, total: number): Uint8Array {
    const lengths = new Uint8Array(total)
    let index = 0
    while (index < total) {
      const symbol = this.symbol(code)
      if (symbol < 16) {
        lengths[index++] = symbol
        continue
      }
      if (symbol === 16 && index === 0) throw new Broken()
      const value = symbol === 16 ? lengths[index - 1]! : 0
      const repeat = symbol === 16 ? 3 + this.bits(2) : symbol === 17 ? 3 + this.bits(3) : 11 + this.bits(7)
      if (index + repeat > total) throw new Broken()
      lengths.fill(value, index, index + repeat)
      index += repeat
    }
    return lengths
  }

  private block(literals: Code, distances: Code): void {
    for (;;) {
      const symbol = this.symbol(literals)
      if (symbol === END_OF_BLOCK) return
      if (symbol < END_OF_BLOCK) {
        this.reserve(1)
        this.output[this.length++] = symbol
      } else {
        this.copy(symbol - 257, distances)
      }
    }
  }

  private copy(lengthSymbol: number, distances: Code): void {
    if (lengthSymbol >= LENGTH_BASE.length) throw new Broken()
    const length = LENGTH_BASE[lengthSymbol]! + this.bits(LENGTH_EXTRA[lengthSymbol]!)
    const symbol = this.symbol(distances)
    if (symbol >= DISTANCE_BASE.length) throw new Broken()
    const distance = DISTANCE_BASE[symbol]! + this.bits(DISTANCE_EXTRA[symbol]!)
    if (distance > this.length) throw new Broken()
    this.reserve(length)
    for (let i = 0; i < length; i++) {
      this.output[this.length] = this.output[this.length - distance]!
      this.length++
    }
  }
}

/** undefined for anything that isn't exactly one raw deflate stream of at most `limitBytes` of output. */
export function inflate(bytes: Uint8Array, limitBytes: number): Uint8Array | undefined {
  try {
    return new Inflater(bytes, limitBytes).run()
  } catch (error) {
    if (error instanceof Broken) return undefined
    throw error
  }
}
