import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  compareBytes,
  concat,
  equalBytes,
  fromHex,
  fromUtf8,
  isZero,
  lv,
  Reader,
  readU16,
  readU32,
  readU64,
  toHex,
  u16,
  u32,
  u48,
  u64,
  utf8,
  Writer,
} from '../../src/protocol/bytes.js'

const bytes = fc.uint8Array({ maxLength: 40 })

test('hex and UTF-8 come back', () => {
  fc.assert(fc.property(bytes, (value) => equalBytes(fromHex(toHex(value)), value)))
  fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => fromUtf8(utf8(text)) === text))
  expect(fromUtf8(Uint8Array.of(0xff))).toBeUndefined()
  expect(() => fromHex('AB')).toThrow()
  expect(() => fromHex('abc')).toThrow()
})

test('integers are big-endian and come back', () => {
  expect(u32(0x01020304)).toEqual(Uint8Array.of(1, 2, 3, 4))
  fc.assert(
    fc.property(fc.maxSafeNat(), (value) => {
      expect(readU64(u64(value))).toBe(value)
      expect(u48(value % 2 ** 48)).toEqual(u64(value % 2 ** 48).subarray(2))
      expect(readU32(u32(value % 2 ** 32))).toBe(value % 2 ** 32)
      expect(readU16(u16(value % 2 ** 16))).toBe(value % 2 ** 16)
    }),
  )
  expect(() => u32(2 ** 32)).toThrow()
  expect(() => u32(-1)).toThrow()
  expect(readU64(new Uint8Array(8).fill(255))).toBeUndefined()
})

test('comparison is a total order that agrees with equality', () => {
  fc.assert(
    fc.property(bytes, bytes, (a, b) => {
      expect(Math.sign(compareBytes(a, b))).toBe(-Math.sign(compareBytes(b, a)) + 0)
      expect(compareBytes(a, b) === 0).toBe(equalBytes(a, b))
      expect(compareBytes(a, b)).toSatisfy((n: number) => Math.sign(n) === Math.sign(Buffer.compare(a, b)))
    }),
  )
  expect(isZero(new Uint8Array(3))).toBe(true)
  expect(isZero(Uint8Array.of(0, 1))).toBe(false)
})

test('no two lists join alike', () => {
  fc.assert(
    fc.property(fc.array(bytes), fc.array(bytes), (a, b) => {
      const same = a.length === b.length && a.every((part, i) => equalBytes(part, b[i]!))
      expect(equalBytes(lv(a), lv(b))).toBe(same)
    }),
  )
})

test('a reader reads what a writer wrote, and a short or long input is noticed', () => {
  fc.assert(
    fc.property(bytes, bytes, fc.nat(255), (a, b, n) => {
      const written = new Writer().u8(n).short(a).long(b).u16(n).u32(n).finish()
      const reader = new Reader(Buffer.from(written))
      expect([reader.u8(), reader.short(40), reader.long(40), reader.u16(), reader.u32()]).toEqual([
        n,
        a,
        b,
        n,
        n,
      ])
      expect(reader.complete()).toBe(true)
      for (const changed of [written.subarray(0, written.length - 1), concat([written, Uint8Array.of(0)])]) {
        const other = new Reader(changed)
        other.u8()
        other.short(40)
        other.long(40)
        other.u16()
        other.u32()
        expect(other.complete()).toBe(false)
      }
    }),
  )
  const bounded = new Reader(new Writer().short(new Uint8Array(5)).finish())
  bounded.short(4)
  expect(bounded.failed).toBe(true)
})
