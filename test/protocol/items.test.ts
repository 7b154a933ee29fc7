import { describe, expect, test } from 'vitest'
import { MAX_MESSAGE_BYTES } from '../../src/protocol/framing.js'
import { contentBytes, ItemAssembly, itemMessages, piecesOf } from '../../src/protocol/items.js'
import { MAX_CASE_STATE_BYTES, MAX_PAYLOAD_BYTES } from '../../src/protocol/limits.js'
import { Item } from '../../src/protocol/sync.gen.js'
import { encodeFrame } from '../../src/protocol/wire.js'
import { seeded } from '../support/random.js'

const random = seeded(61)
const none = new Uint8Array(0)

function item(at: number, parts: number[], parked: number[] = []): Item {
  return {
    key: new Uint8Array(16).fill(at),
    caseId: `case-${at}`,
    generation: 2,
    erased: 1,
    touched: [{ log: random.bytes(16), seq: 4 }],
    parts: parts.map((bytes, number) => new Uint8Array(bytes).fill(number)),
    parked: parked.map((bytes, seq) => ({ log: random.bytes(16), seq, payload: new Uint8Array(bytes) })),
    row: random.bytes(40),
    clocks: [{ client: 7, clock: 9 }],
    more: false,
  }
}

const MIB = 1024 * 1024

describe('a case that is too large for one message', () => {
  const large = item(1, [9 * MIB, MAX_PAYLOAD_BYTES, 5 * MIB, 5 * MIB], [3 * MIB, 15 * MIB, 100])

  test('goes in pieces that all fit, the first with what is known of the case', () => {
    const messages = itemMessages([item(0, [100]), large, item(2, [100]), item(3, [100])])
    expect(messages.map((items) => items.map(({ key, more }) => [key[0], more]))).toEqual([
      [[0, false]],
      [[1, true]],
      [[1, true]],
      [[1, true]],
      [[1, false]],
      [
        [2, false],
        [3, false],
      ],
    ])
    for (const items of messages) {
      const value = { transfer: 1, early: false, items, claims: [], openings: [], missing: [] }
      expect(encodeFrame({ $case: 'items', value }).length).toBeLessThan(MAX_MESSAGE_BYTES)
    }
    const [first, second] = piecesOf(large)
    expect(first).toMatchObject({ generation: 2, erased: 1, touched: large.touched, clocks: large.clocks })
    expect(second).toMatchObject({ touched: [], clocks: [], row: none })
  })

  test('is put together from them, and only whole', () => {
    const pieces = piecesOf(large)
    const assembly = new ItemAssembly()
    for (const piece of pieces.slice(0, -1)) expect(assembly.add([piece])).toEqual([])
    const both = assembly.add([pieces[pieces.length - 1]!, item(2, [5])])
    expect(both?.map(({ key }) => key[0])).toEqual([1, 2])
    const whole = new ItemAssembly()
    const [made] = pieces.flatMap((piece) => whole.add([piece])!)
    // A message's bytes, for comparing this much one by one takes minutes.
    expect(Buffer.compare(Item.encode(made!).finish(), Item.encode(large).finish())).toBe(0)
  })

  test('small cases go together, each whole', () => {
    const small = [1, 2, 3].map((at) => item(at, [1000]))
    expect(itemMessages(small)).toEqual([small])
    expect(new ItemAssembly().add(small)).toEqual(small)
    expect(piecesOf(item(9, [], []))).toHaveLength(1)
    expect(itemMessages([])).toEqual([])
  })

  test('a message is filled up to the largest size, and no further', () => {
    const half = (MAX_PAYLOAD_BYTES - 1) / 2
    const sizes = (items: Item[]) => itemMessages(items).map((message) => message.map(contentBytes))
    expect(sizes([item(1, [half]), item(2, [half + 1]), item(3, [1])])).toEqual([[half, half + 1], [1]])
    expect(sizes([item(1, [half]), item(2, [half + 2])])).toEqual([[half], [half + 2]])
    expect(sizes([item(1, [MAX_PAYLOAD_BYTES])])).toEqual([[MAX_PAYLOAD_BYTES]])
    expect(sizes([item(1, [half, half + 1, 1])])).toEqual([[MAX_PAYLOAD_BYTES], [1]])
  })

  test('another case between its pieces, or more than any case may hold, is refused', () => {
    const assembly = new ItemAssembly()
    expect(assembly.add([piecesOf(large)[0]!])).toEqual([])
    expect(assembly.add([item(2, [5])])).toBeUndefined()
    const endless = new ItemAssembly()
    const part = { ...item(1, [MAX_PAYLOAD_BYTES]), more: true }
    let taken = 0
    while (taken < 20 && endless.add([part])) taken++
    expect((taken + 1) * contentBytes(part)).toBeGreaterThan(MAX_CASE_STATE_BYTES)
    expect(taken * contentBytes(part)).toBeLessThanOrEqual(MAX_CASE_STATE_BYTES)
  })

  test('after a reset the next case begins anew', () => {
    const assembly = new ItemAssembly()
    assembly.add([piecesOf(large)[0]!])
    assembly.reset()
    const other = item(2, [5])
    expect(assembly.add([other])).toEqual([other])
  })
})

test('a case of very many small parts is put together', () => {
  const parts = Array.from({ length: 300_000 }, () => Uint8Array.of(0))
  const parked = parts.map((payload, seq) => ({ log: new Uint8Array(16), seq, payload }))
  const whole = new ItemAssembly().add([{ ...item(1, []), parts, parked }])
  expect([whole?.[0]?.parts.length, whole?.[0]?.parked.length]).toEqual([300_000, 300_000])
})
