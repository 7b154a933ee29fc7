import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BackWriter } from '../../src/protocol/back-writer.js'
import { equalBytes, fromHex, toHex } from '../../src/protocol/bytes.js'
import { type CaseState, decodeCase, encodeCase } from '../../src/store/case-state.js'
import { CaseRow } from '../../src/store/records.gen.js'

const U32 = fc.oneof(fc.constantFrom(0, 1, 127, 128, 16_383, 16_384, 0xffff_ffff), fc.nat())
const CLOCK = fc.oneof(U32, fc.maxSafeNat())
const bytes = (maxLength: number) => fc.uint8Array({ maxLength })
const listOf = <T>(arbitrary: fc.Arbitrary<T>) => fc.array(arbitrary, { maxLength: 4 })

test('a case as it is stored has the bytes of the generated codec', () => {
  const id = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(toHex)
  const states: fc.Arbitrary<CaseState> = fc.record({
    key: fc.constant(new Uint8Array(16)),
    caseId: fc.string({ unit: 'grapheme' }),
    generation: U32,
    erased: U32,
    touched: listOf(fc.tuple(id, U32)).map((entries) => new Map(entries)),
    parts: listOf(fc.record({ number: U32, bytes: U32 })),
    nextPart: U32,
    clocks: listOf(fc.tuple(CLOCK, CLOCK)).map((entries) => new Map(entries)),
    parked: listOf(fc.record({ log: id, seq: U32, payload: bytes(200) })),
    row: fc.string({ unit: 'grapheme' }),
    unchecked: fc.boolean(),
    rowUnproven: fc.boolean(),
  })
  fc.assert(
    fc.property(states, (state) => {
      const touched = [...state.touched].map(([log, seq]) => ({ log: fromHex(log), seq }))
      const clocks = [...state.clocks].map(([client, clock]) => ({ client, clock }))
      const parked = state.parked.map((each) => ({ ...each, log: fromHex(each.log) }))
      const { key: _, ...rest } = state
      const row = CaseRow.encode({ ...rest, touched, clocks, parked }).finish()
      expect(encodeCase(state)).toEqual(row)
      expect(decodeCase(state.key, encodeCase(state))).toEqual(state)
    }),
  )
})

const roomOf = (writer: BackWriter) => (writer as unknown as { bytes: Uint8Array }).bytes

test('wherever its room ends, nothing is lost and nothing is in the wrong place', () => {
  const { length } = roomOf(new BackWriter())
  for (let left = 0; left < 20; left++) {
    const content = new Uint8Array(length - left).fill(left)
    const writer = new BackWriter()
    writer.field(2, content)
    writer.number(1, Number.MAX_SAFE_INTEGER)
    const forward = new BinaryWriter().tag(1, WireType.Varint).uint64(Number.MAX_SAFE_INTEGER)
    forward.tag(2, WireType.LengthDelimited).bytes(content)
    expect(writer.take()).toEqual(forward.finish())
  }
})

test('what is short takes no other room', () => {
  const writer = new BackWriter()
  const room = roomOf(writer)
  for (let round = 0; round < 100; round++) {
    writer.field(1, new Uint8Array(room.length - 16))
    expect(writer.take().length).toBe(room.length - 13)
  }
  expect(roomOf(writer)).toBe(room)
})

test('what is large is written whole, and its room is given back', () => {
  const writer = new BackWriter()
  const large = new Uint8Array(3_000_000).fill(7)
  for (let round = 0; round < 2; round++) {
    writer.field(1, large)
    const whole = writer.take()
    expect(whole.length).toBe(5 + large.length)
    expect(equalBytes(whole.subarray(5), large)).toBe(true)
    expect(writer.length).toBe(0)
  }
  expect(roomOf(writer).length).toBeLessThan(100_000)
})

test('nothing is left of a message that an error broke off', () => {
  const state = decodeCase(new Uint8Array(16), CaseRow.encode(CaseRow.decode(new Uint8Array(0))).finish())
  const touched = new Map([['ab'.repeat(16), 1]])
  const row = encodeCase({ ...state, touched })
  expect(() =>
    encodeCase({ ...state, rowUnproven: true, caseId: 'broken', touched: [null] as never }),
  ).toThrow()
  expect(encodeCase({ ...state, touched })).toEqual(row)
})
