import { describe, expect, it } from 'vitest'
import { encoded } from '../../src/protocol/encode.js'
import { Frame } from '../../src/protocol/sync.gen.js'
import { ChangeRow } from '../../src/store/records.gen.js'

const row = (payload: Uint8Array, order = 1): ChangeRow => ({
  ...ChangeRow.decode(new Uint8Array(0)),
  caseId: 'k1',
  payload,
  order,
})
const alone = (message: ChangeRow) => ChangeRow.encode(message).finish()

describe('messages by one writer', () => {
  it('have the bytes that each would have alone, short behind long and the other way round', () => {
    for (const length of [0, 3, 200_000, 1, 127, 128, 70_000, 0, 5]) {
      const message = row(new Uint8Array(length).fill(length % 251))
      expect(encoded(ChangeRow, message)).toEqual(alone(message))
    }
  })

  it('keep their bytes when others are written', () => {
    const first = encoded(ChangeRow, row(Uint8Array.of(1, 2, 3)))
    const before = Uint8Array.from(first)
    encoded(ChangeRow, row(new Uint8Array(500).fill(9)))
    encoded(Frame, { kind: { $case: 'statements', value: { statements: [] } } })
    expect(first).toEqual(before)
  })

  it('leave nothing behind where one can’t be written', () => {
    expect(() => encoded(ChangeRow, row(new Uint8Array(40), -1))).toThrow()
    const next = row(Uint8Array.of(7))
    expect(encoded(ChangeRow, next)).toEqual(alone(next))
  })
})
