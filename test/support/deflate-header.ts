/** Tells the beginning of a deflate stream with codes of its own (RFC 1951, 3.2.7) from other bytes. */

const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
const MAX_LITERALS = 286
const MAX_DISTANCES = 30
const END_OF_BLOCK = 256

/** Whether a block begins at this byte whose three codes are what a compressor makes: almost nothing else is. */
export function deflateHeaderFits(bytes: Uint8Array, at: number): boolean {
  const literals = (bytes[at]! >> 3) + 257
  const distances = (bytes[at + 1]! & 31) + 1
  if (literals > MAX_LITERALS || distances > MAX_DISTANCES) return false
  const reader = new Bits(bytes, at * 8 + 13)
  const count = reader.take(4) + 4
  const lengths = new Uint8Array(19)
  let left = 128
  for (let index = 0; index < count; index++) {
    const length = reader.take(3)
    lengths[ORDER[index]!] = length
    if (length > 0) left -= 128 >> length
  }
  return left === 0 && codesFit(reader, lengths, literals, distances)
}

function codesFit(reader: Bits, lengths: Uint8Array, literals: number, distances: number): boolean {
  const symbols = codeOf(lengths)
  const all: number[] = []
  while (all.length < literals + distances) {
    const symbol = reader.symbol(symbols)
    if (symbol === undefined) return false
    if (symbol < 16) all.push(symbol)
    else {
      if (symbol === 16 && all.length === 0) return false
      const [bits, least] = symbol === 16 ? [2, 3] : symbol === 17 ? [3, 3] : [7, 11]
      const value = symbol === 16 ? all.at(-1)! : 0
      for (let times = reader.take(bits) + least; times > 0; times--) all.push(value)
    }
  }
  if (all.length > literals + distances || all[END_OF_BLOCK] === 0) return false
  const room = all.slice(0, literals).reduce((sum, length) => sum - (length > 0 ? 2 ** -length : 0), 1)
  return room === 0
}

/** From a code, with its length as a leading one, to its symbol. */
function codeOf(lengths: Uint8Array): Map<number, number> {
  const codes = new Map<number, number>()
  let code = 0
  for (let length = 1; length <= 7; length++) {
    for (let symbol = 0; symbol < lengths.length; symbol++)
      if (lengths[symbol] === length) codes.set((1 << length) | code++, symbol)
    code <<= 1
  }
  return codes
}

class Bits {
  constructor(
    private readonly bytes: Uint8Array,
    private at: number,
  ) {}

  take(count: number): number {
    let value = 0
    for (let bit = 0; bit < count; bit++) value |= this.next() << bit
    return value
  }

  symbol(codes: Map<number, number>): number | undefined {
    let code = 1
    for (let length = 1; length <= 7; length++) {
      code = (code << 1) | this.next()
      const symbol = codes.get(code)
      if (symbol !== undefined) return symbol
    }
    return undefined
  }

  private next(): number {
    const bit = ((this.bytes[this.at >> 3] ?? 0) >> (this.at & 7)) & 1
    this.at++
    return bit
  }
}
