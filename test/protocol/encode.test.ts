import type { BinaryWriter } from '@bufbuild/protobuf/wire'
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

  it('share a writer, but not behind one that was large or was broken off', () => {
    const writers: BinaryWriter[] = []
    const codec = {
      encode: (length: number, writer: BinaryWriter) => {
        writers.push(writer)
        if (length < 0) throw new RangeError('broken off')
        return writer.raw(new Uint8Array(length))
      },
    }
    const write = (length: number) => encoded(codec, length)
    write(0)
    write(64 * 1024)
    write(64 * 1024 + 1)
    expect(() => write(-1)).toThrow('broken off')
    write(1)
    write(2)
    const [first, second, large, broken, ...last] = writers
    expect(second).toBe(first)
    expect(large).toBe(first)
    expect(broken).not.toBe(large)
    expect(last[0]).not.toBe(broken)
    expect(last[1]).toBe(last[0])
  })

  it('leave nothing behind where one can’t be written', () => {
    expect(() => encoded(ChangeRow, row(new Uint8Array(40), -1))).toThrow()
    const next = row(Uint8Array.of(7))
    expect(encoded(ChangeRow, next)).toEqual(alone(next))
  })
})
