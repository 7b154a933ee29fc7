/**
 * Byte strings: joining, comparing, hex, UTF-8, big-endian integers, and a bounded reader and writer for
 * canonical encodings. Knows nothing of what the bytes mean.
 */

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
const HEX_VALUES = Int8Array.from({ length: 128 }, (_, code) =>
  '0123456789abcdef'.indexOf(String.fromCharCode(code)),
)

export const EMPTY = new Uint8Array(0)

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const joined = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.length
  }
  return joined
}

/** Equality without an early exit: the time taken tells the lengths only, so it serves for tags as well. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!
  return difference === 0
}

/** Lexicographic order of unsigned bytes, a prefix first: negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length)
  for (let i = 0; i < shorter; i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!
  }
  return a.length - b.length
}

export function isZero(bytes: Uint8Array): boolean {
  let seen = 0
  for (const byte of bytes) seen |= byte
  return seen === 0
}

export function toHex(bytes: Uint8Array): string {
  if (bytes.length <= MAX_ID_BYTES) return idToHex(bytes)
  let hex = ''
  for (const byte of bytes) hex += HEX[byte]
  return hex
}

/** Ids are made into hex all the time, to be keys of maps: made at once, not as a chain of pieces to be joined later. */
const MAX_ID_BYTES = 64
const HEX_CODES = Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0))
/** Room for the digits of ids of each length. */
const digits: number[][] = []

function idToHex(bytes: Uint8Array): string {
  digits[bytes.length] ??= new Array(2 * bytes.length).fill(0)
  const codes = digits[bytes.length]!
  for (let i = 0, at = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    codes[at++] = HEX_CODES[byte >> 4]!
    codes[at++] = HEX_CODES[byte & 0xf]!
  }
  return String.fromCharCode.apply(null, codes)
}

/** The inverse of toHex, lower case only. Throws on anything else: hex here is always our own. */
export function fromHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length >> 1)
  let wrong = hex.length % 2
  for (let i = 0; i < bytes.length; i++) {
    const high = HEX_VALUES[hex.charCodeAt(2 * i)] ?? -1
    const low = HEX_VALUES[hex.charCodeAt(2 * i + 1)] ?? -1
    if (high < 0 || low < 0) wrong = 1
    bytes[i] = (high << 4) | low
  }
  if (wrong) throw new Error('not a hex string')
  return bytes
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Lone surrogates become U+FFFD, as everywhere in the platform. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text)
}

/** undefined for bytes that aren't UTF-8. */
export function fromUtf8(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

export const U16_MAX = 0xffff
export const U32_MAX = 0xffff_ffff
export const U48_MAX = 0xffff_ffff_ffff

function unsigned(value: number, width: number, max: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0 || value > max) throw new Error(`${value} is out of range`)
  const bytes = new Uint8Array(width)
  let rest = value
  for (let i = width - 1; i >= 0; i--) {
    bytes[i] = rest % 256
    rest = Math.floor(rest / 256)
  }
  return bytes
}

export function u8(value: number): Uint8Array {
  return unsigned(value, 1, 0xff)
}

export function u16(value: number): Uint8Array {
  return unsigned(value, 2, U16_MAX)
}

export function u32(value: number): Uint8Array {
  return unsigned(value, 4, U32_MAX)
}

export function u48(value: number): Uint8Array {
  return unsigned(value, 6, U48_MAX)
}

/** Up to 2^53 - 1, in eight bytes. */
export function u64(value: number): Uint8Array {
  return unsigned(value, 8, Number.MAX_SAFE_INTEGER)
}

function readUnsigned(bytes: Uint8Array, offset: number, width: number): number {
  if (offset < 0 || offset + width > bytes.length) throw new Error('read past the end')
  let value = 0
  for (let i = 0; i < width; i++) value = value * 256 + bytes[offset + i]!
  return value
}

export function readU16(bytes: Uint8Array, offset = 0): number {
  return readUnsigned(bytes, offset, 2)
}

export function readU32(bytes: Uint8Array, offset = 0): number {
  return readUnsigned(bytes, offset, 4)
}

/** undefined beyond 2^53 - 1, which nothing of ours writes. */
export function readU64(bytes: Uint8Array, offset = 0): number | undefined {
  const value = readUnsigned(bytes, offset, 8)
  return Number.isSafeInteger(value) ? value : undefined
}

/** Length-value join: every part behind its length in four bytes, so that no two lists join alike. */
export function lv(parts: readonly Uint8Array[]): Uint8Array {
  return concat(parts.flatMap((part) => [u32(part.length), part]))
}

/** Builds one canonical encoding. Throws where a value doesn't fit: writing is our own doing. */
export class Writer {
  private readonly parts: Uint8Array[] = []

  u8(value: number): this {
    return this.fixed(u8(value))
  }

  u16(value: number): this {
    return this.fixed(u16(value))
  }

  u32(value: number): this {
    return this.fixed(u32(value))
  }

  /** Bytes whose length the format fixes. */
  fixed(bytes: Uint8Array): this {
    this.parts.push(bytes)
    return this
  }

  /** Bytes behind their length in two bytes. */
  short(bytes: Uint8Array): this {
    return this.u16(bytes.length).fixed(bytes)
  }

  /** Bytes behind their length in four bytes. */
  long(bytes: Uint8Array): this {
    return this.u32(bytes.length).fixed(bytes)
  }

  finish(): Uint8Array {
    return concat(this.parts)
  }
}

/**
 * Reads a canonical encoding without ever throwing: after the first short read or broken bound `failed`
 * stays set and every read gives zero or nothing. Check `complete()` before using what was read.
 */
export class Reader {
  failed = false
  private offset = 0

  constructor(private readonly bytes: Uint8Array) {}

  get remaining(): number {
    return this.bytes.length - this.offset
  }

  /** Read to the last byte, and nothing was wrong. */
  complete(): boolean {
    return !this.failed && this.remaining === 0
  }

  fail(): void {
    this.failed = true
  }

  u8(): number {
    return this.integer(1)
  }

  u16(): number {
    return this.integer(2)
  }

  u32(): number {
    return this.integer(4)
  }

  /** A copy of the next `length` bytes, a plain Uint8Array even where the input is a Buffer. */
  fixed(length: number): Uint8Array {
    if (this.failed || length > this.remaining) {
      this.failed = true
      return EMPTY
    }
    const start = this.offset
    this.offset += length
    return new Uint8Array(this.bytes.subarray(start, this.offset))
  }

  short(maxBytes: number): Uint8Array {
    return this.bounded(this.u16(), maxBytes)
  }

  long(maxBytes: number): Uint8Array {
    return this.bounded(this.u32(), maxBytes)
  }

  rest(): Uint8Array {
    return this.fixed(this.remaining)
  }

  private bounded(length: number, maxBytes: number): Uint8Array {
    if (length > maxBytes) this.failed = true
    return this.fixed(length)
  }

  private integer(width: number): number {
    const bytes = this.fixed(width)
    return bytes.length === width ? readUnsigned(bytes, 0, width) : 0
  }
}
