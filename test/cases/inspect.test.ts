import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { createUpdate } from '../../src/cases/create.js'
import { typeText } from '../../src/cases/edit.js'
import { INSPECTION_LIMITS, type Inspection, inspectUpdate } from '../../src/cases/inspect.js'
import { checked, docOf, plainCase, sampleCase, sha256 } from './samples.js'

function good(update: Uint8Array): Inspection {
  const inspection = inspectUpdate(update)
  if ('error' in inspection) throw new Error(inspection.error)
  return inspection
}

const varint = (value: number): number[] => {
  const bytes: number[] = []
  for (; value > 127; value = Math.floor(value / 128)) bytes.push(128 | (value % 128))
  return [...bytes, value]
}
const root = [1, 1, 97] // parent: the root type "a"
/** One client (7) with one struct at a clock, no deletions. */
const single = (clock: number, struct: number[]) =>
  Uint8Array.from([[1, 1, 7], varint(clock), struct, [0]].flat())

describe('inspecting an update', () => {
  it('agrees with Yjs on clients, clocks and deletions', () => {
    for (let i = 0; i < 20; i++) {
      const update = createUpdate(checked(sampleCase(i)), sha256)
      const { clients, needs, deletes } = good(update)
      const meta = Y.parseUpdateMeta(update)
      expect(new Map(clients.map((run) => [run.client, run.from]))).toEqual(meta.from)
      expect(new Map(clients.map((run) => [run.client, run.to]))).toEqual(meta.to)
      expect(needs.size + deletes.size).toBe(0)
    }
  })

  it('tells what an edit needs and deletes', () => {
    const doc = docOf(plainCase())
    const text = doc.getText('text:consultations/c0')
    const author = text._start!.id.client
    let update: Uint8Array = new Uint8Array()
    doc.on('update', (bytes: Uint8Array) => {
      update = bytes
    })
    typeText(doc, 'c0', 3, 2, 'xyz')
    const first = good(update)
    expect(first.clients).toEqual([{ client: doc.clientID, from: 0, to: 3 }])
    expect(first.needs).toEqual(new Map([[author, 6]]))
    expect(first.deletes).toEqual(new Map([[author, 5]]))
    typeText(doc, 'c0', 6, 0, '!')
    expect(good(update).needs.get(doc.clientID)).toBe(3)
  })

  it('handles gaps and garbage', () => {
    const doc = new Y.Doc()
    const updates: Uint8Array[] = []
    doc.on('update', (bytes: Uint8Array) => updates.push(bytes))
    const text = doc.getText('t')
    for (const letter of ['a', 'b', 'c']) text.insert(0, letter)
    const gap = good(Y.mergeUpdates([updates[0]!, updates[2]!]))
    expect(gap.clients.map(({ from, to }) => [from, to])).toEqual([
      [0, 1],
      [2, 3],
    ])
    expect(gap.needs).toEqual(new Map([[doc.clientID, 2]]))
    doc.getMap('m').set('nested', new Y.Text('garbage'))
    doc.getMap('m').delete('nested')
    const { deletions } = good(Y.encodeStateAsUpdate(doc))
    expect(deletions).toBe(1)
  })

  it('shows a deletion of the far future', () => {
    const update = Uint8Array.from([0, 1, 7, 1, 0, ...varint(2 ** 40)])
    expect(good(update).deletes).toEqual(new Map([[7, 2 ** 40]]))
  })

  it('reads every kind of content', () => {
    const doc = new Y.Doc()
    const array = doc.getArray<unknown>('a')
    array.insert(0, [1, -5, 1.5, 1e300, 'x', true, false, null, { a: [{}, 2n ** 60n, undefined] }])
    array.insert(0, [new Uint8Array([1, 2]), new Y.XmlElement('p'), new Y.XmlHook('h'), new Y.Map()])
    doc.getText('t').insertEmbed(0, { image: 'x' }, { bold: true })
    expect(good(Y.encodeStateAsUpdate(doc)).structs).toBeGreaterThan(5)
  })

  const nested = (depth: number) => [...Array.from({ length: depth }, () => [117, 1]).flat(), 126]
  const json = (text: string) => [...varint(text.length), ...new TextEncoder().encode(text)]
  const hostile: [string, Uint8Array][] = [
    ['nothing', new Uint8Array()],
    ['trailing bytes', Uint8Array.from([0, 0, 0])],
    ['a number beyond 2^53', Uint8Array.from([0, 1, ...Array(8).fill(255), 1])],
    ['a deletion beyond 2^53', Uint8Array.from([0, 1, 7, 1, ...varint(2 ** 52), ...varint(2 ** 53 - 1)])],
    ['an empty operation', single(0, [4, ...root, 0])],
    ['an unknown content', single(0, [11, ...root, 0])],
    ['an unknown type', single(0, [7, ...root, 9])],
    ['an unknown value', single(0, [8, ...root, 1, 5])],
    ['a text that is no UTF-8', single(0, [4, ...root, 1, 255])],
    ['a value nested too deep', single(0, [8, ...root, 1, ...nested(33)])],
    ['a value nested far too deep', single(0, [8, ...root, 1, ...nested(100_000)])],
    ['JSON nested too deep', single(0, [5, ...root, ...json('['.repeat(100_000))])],
    ['broken JSON', single(0, [5, ...root, ...json('{')])],
    ['a reference to its own future', single(5, [0x84, 7, 5, 1, 97])],
    ['a gap with flags', single(0, [0x8a, 2])],
    ['garbage with flags', single(0, [0x40, 2])],
    ['an empty deletion', Uint8Array.from([0, 1, 7, 1, 0, 0])],
    ['a document of its own', single(0, [9, ...root, 1, 103, 118, 0])],
    ['a document of its own without options', single(0, [9, ...root, 1, 103, 126])],
    ['a client twice', Uint8Array.from([2, 0, 7, 0, 0, 7, 0, 0])],
  ]
  it.each(hostile)('refuses %s', (_, update) => {
    expect(inspectUpdate(update)).toEqual({ error: expect.stringMatching(/^The update .*\.$/) })
  })

  it('refuses more than its limits', () => {
    const update = createUpdate(checked(plainCase()), sha256)
    expect(inspectUpdate(update, { ...INSPECTION_LIMITS, bytes: 10 })).toHaveProperty('error')
    expect(inspectUpdate(update, { ...INSPECTION_LIMITS, structs: 3 })).toHaveProperty('error')
    const deletions = Uint8Array.from([0, 1, 7, 2, 0, 1, 2, 1])
    expect(inspectUpdate(deletions, { ...INSPECTION_LIMITS, deletions: 1 })).toHaveProperty('error')
  })

  it('never throws: every truncation is refused, and what passes a bit flip Yjs can decode', () => {
    const update = createUpdate(checked(plainCase()), sha256)
    for (let end = 0; end < update.length; end++) {
      expect(inspectUpdate(update.subarray(0, end))).toHaveProperty('error')
    }
    for (let bit = 0; bit < update.length * 8; bit++) {
      const flipped = update.slice()
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      if (!('error' in inspectUpdate(flipped))) Y.decodeUpdate(flipped)
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void inspectUpdate(bytes)))
  })
})
