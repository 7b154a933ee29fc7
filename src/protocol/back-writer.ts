/**
 * Protobuf from a message's last byte to its first: what is nested is written before its length has to stand before it,
 * so nothing is measured, moved or made for it. For the few messages that are written thousands of times in a row;
 * the generated codec gives the same bytes, and takes several times as long, above all before it is compiled.
 */
import { U32_MAX, utf8 } from './bytes.js'

const VARINT = 0
const LENGTH_DELIMITED = 2
const LEAST_BYTES = 4096
/** Room for something large is not kept for the next. */
const MOST_KEPT_BYTES = 64 * 1024
/** Of any safe integer. */
const MAX_VARINT_BYTES = 8

export class BackWriter {
  private bytes = new Uint8Array(LEAST_BYTES)
  private at = LEAST_BYTES

  /** Bytes written since the last `take`: a nested message is as long as this has grown. */
  get length(): number {
    return this.bytes.length - this.at
  }

  /** A new message; what was left of one that was broken off by an error is gone. */
  begin(): void {
    this.at = this.bytes.length
  }

  /** An unsigned number; 0 is left out, as everywhere in protobuf. */
  number(field: number, value: number): void {
    if (value === 0) return
    this.varint(value)
    this.varint(field * 8 + VARINT)
  }

  flag(field: number, value: boolean): void {
    if (value) this.number(field, 1)
  }

  /** Bytes; where there are none the field is left out. */
  field(field: number, value: Uint8Array): void {
    if (value.length === 0) return
    this.put(value)
    this.heading(field, value.length)
  }

  text(field: number, value: string): void {
    this.field(field, utf8(value))
  }

  /** Ends the nested message that began when `length` was `before`. */
  nested(field: number, before: number): void {
    this.heading(field, this.length - before)
  }

  /** What was written, and room for the next. */
  take(): Uint8Array {
    const whole = this.bytes.slice(this.at)
    if (this.bytes.length > MOST_KEPT_BYTES) this.bytes = new Uint8Array(LEAST_BYTES)
    this.at = this.bytes.length
    return whole
  }

  private heading(field: number, length: number): void {
    this.varint(length)
    this.varint(field * 8 + LENGTH_DELIMITED)
  }

  private put(value: Uint8Array): void {
    if (value.length > this.at) this.grow(value.length)
    this.at -= value.length
    this.bytes.set(value, this.at)
  }

  private varint(value: number): void {
    if (this.at < MAX_VARINT_BYTES) this.grow(MAX_VARINT_BYTES)
    if (value < 0x80) {
      this.bytes[--this.at] = value
      return
    }
    let size = 1
    for (let rest = value; rest >= 0x80; rest = shifted(rest)) size++
    this.at -= size
    let rest = value
    for (let i = this.at; i < this.at + size - 1; i++, rest = shifted(rest))
      this.bytes[i] = (rest & 0x7f) | 0x80
    this.bytes[this.at + size - 1] = rest
  }

  private grow(needed: number): void {
    const { length } = this
    const grown = new Uint8Array(2 * (length + needed))
    grown.set(this.bytes.subarray(this.at), grown.length - length)
    this.at = grown.length - length
    this.bytes = grown
  }
}

/** Without the lowest seven bits. Client ids have 32 of them: whole numbers, not fractions, nearly always. */
const shifted = (value: number) => (value <= U32_MAX ? value >>> 7 : Math.floor(value / 128))
