/** Yjs updates of somebody who means ill: what the guards let through does no harm to a document, or to who reads it. */
import { test } from 'vitest'
import * as Y from 'yjs'
import { createUpdate } from '../../src/cases/create.js'
import { setFields, typeText } from '../../src/cases/edit.js'
import { inspectUpdate } from '../../src/cases/inspect.js'
import { conflictsOf, contentText, exportLine, projectRow, searchText } from '../../src/cases/project.js'
import { nodeNatives } from '../../src/node/natives.js'
import { advance, type Clocks, fits } from '../../src/protocol/content.js'
import { mergeThroughDoc } from '../../src/store/case-content.js'
import { checked, docOf, plainCase, sampleCase, sha256 } from '../cases/samples.js'
import type { Random } from '../support/random.js'
import { expectBoth, fuzz } from './fuzz.js'
import { mutated, varint } from './mutate.js'

/** What is held, and what may come on top of it. */
interface Scene {
  base: Uint8Array
  updates: Uint8Array[]
}

/** Every update that these edits send. */
function scene(doc: Y.Doc, edits: ((doc: Y.Doc) => void)[]): Scene {
  const base = Y.encodeStateAsUpdate(doc)
  const updates: Uint8Array[] = []
  doc.on('update', (update: Uint8Array) => updates.push(update))
  for (const edit of edits) doc.transact(() => edit(doc))
  updates.push(Y.encodeStateAsUpdate(doc))
  return { base, updates }
}

const everything = (doc: Y.Doc): void => {
  const array = doc.getArray<unknown>('a')
  array.insert(0, [1, -5, 1.5, 1e300, 'x', true, null, { a: [{}, 2n ** 60n, undefined], __proto__: 1 }])
  array.insert(0, [new Uint8Array([1, 2]), new Y.XmlElement('p'), new Y.XmlHook('h'), new Y.Map([['k', 1]])])
  array.insert(1, [new Y.XmlText('t'), new Y.XmlFragment(), new Y.Array(), new Y.Text('u')])
  doc.getText('t').insertEmbed(0, { image: 'x' }, { bold: true })
  doc.getText('t').insert(0, 'ół😀', { italic: true, link: 'javascript:alert(1)' })
}
const strange = (doc: Y.Doc): void => {
  for (const root of ['fields', 'members', 'given', 'lifecycle'])
    for (const key of [
      '__proto__#1',
      'patient/lastName#2',
      'constructor/prototype#3',
      '+consultations/__proto__#1',
    ])
      doc.getMap(root).set(key, root === 'fields' ? { json: '{"__proto__":{"a":1}}' } : new Y.Text('x'))
  doc.getText('text:notes').insert(0, 'x\n\ny', { block: 'h2', bold: true })
}

function scenes(): Scene[] {
  const plain = docOf(plainCase())
  const sample = new Y.Doc()
  Y.applyUpdate(sample, createUpdate(checked(sampleCase(3)), sha256))
  const other = Object.assign(new Y.Doc(), { clientID: 7 })
  return [
    scene(plain, [
      (doc) => typeText(doc, 'c0', 3, 2, 'xyz'),
      (doc) => typeText(doc, 'c0', 1, 4, ''),
      (doc) => setFields(doc, [['patient.phone', '1']]),
      (doc) => setFields(doc, [['patient.phone', '2']]),
    ]),
    scene(sample, [(doc) => setFields(doc, [['patient.lastName', 'Ł']]), strange]),
    scene(other, [
      everything,
      strange,
      (doc) => doc.getArray('a').delete(0, 3),
      (doc) => doc.getText('t').delete(0, 2),
    ]),
    { base: Uint8Array.of(0, 0), updates: HOSTILE },
  ]
}

const root = [1, 1, 97]
const one = (clock: number, struct: number[], deleted: number[] = [0]) =>
  Uint8Array.from([1, 1, 7, ...varint(clock), ...struct, ...deleted])
/** The guards' own reasons, by hand. */
const HOSTILE: Uint8Array[] = [
  Uint8Array.from([0, 1, 7, 1, 0, ...varint(2 ** 40)]),
  one(2 ** 40, [4, ...root, 1, 97]),
  one(0, [4, ...root, 1, 97], [1, 9, 2, 0, ...varint(2 ** 40), ...varint(2 ** 41), 5]),
  one(0, [10, ...varint(2 ** 40)]),
  one(0, [0, ...varint(2 ** 40)]),
  one(0, [1, ...root, ...varint(2 ** 40)]),
  one(0, [0x84, 9, ...varint(2 ** 32), 1, 97]),
  one(0, [8, ...root, 1, ...Array.from({ length: 31 }, () => [117, 1]).flat(), 126]),
  one(0, [8, ...root, 1, 118, 1, 9, ...Buffer.from('__proto__'), 118, 1, 1, 97, 125, 1]),
  one(0, [9, ...root, 1, 103, 118, 0]),
  one(0, [7, ...root, 3, 1, 97]),
  one(0, [6, ...root, 1, 98, 2, 34, 34]),
  one(0, [5, ...root, 2, 123, 125]),
  one(0, [2, ...root, 2, 9, ...Buffer.from('undefined'), 1, 49]),
]

const SCENES = scenes()
const ALL = SCENES.flatMap(({ updates }) => updates)

interface Input {
  base: Uint8Array
  update: Uint8Array
  /** Everything is read of it, and it is merged; of the others only what a device shows in a list. */
  isRead: boolean
}
/** Where each base stands. */
const CLOCKS = new Map(
  SCENES.map(({ base }): [Uint8Array, Clocks] => {
    const clocks: Clocks = new Map()
    const held = inspectUpdate(base)
    if ('error' in held) throw new Error(held.error)
    advance(held, clocks)
    return [base, clocks]
  }),
)

function make(random: Random): Input {
  const { base, updates } = random.pick(SCENES)
  return { base, update: mutated(random, random() < 0.9 ? updates : ALL), isRead: random() < 1 / 3 }
}

/** As a device takes it in: read, held against the clocks, merged, compacted, shown. */
function take({ base, update, isRead }: Input): 'value' | 'error' {
  const contents = inspectUpdate(update)
  if ('error' in contents) return 'error'
  const clocks: Clocks = new Map(CLOCKS.get(base))
  if (!fits(contents, clocks)) return 'error'
  advance(contents, clocks)
  const doc = new Y.Doc()
  Y.applyUpdate(doc, base)
  Y.applyUpdate(doc, update)
  const { pendingStructs, pendingDs } = doc.store
  if (pendingStructs || pendingDs) throw new Error('it waits inside the document')
  for (const [client, clock] of clocks)
    if (Y.getState(doc.store, client) !== clock) throw new Error(`client ${client} stands elsewhere`)
  projectRow(doc, nodeNatives.sha256)
  if (Object.keys(Object.prototype).length > 0) throw new Error('every object has changed')
  if (!isRead) return 'value'
  for (const read of [contentText, conflictsOf, searchText]) read(doc)
  exportLine(doc, 'x')
  const again = new Y.Doc()
  // Not that it is the same: whose origins lie the wrong way round, or who writes a tick twice, makes two texts of it.
  Y.applyUpdate(again, mergeThroughDoc([Y.mergeUpdates([base, update])]))
  exportLine(again, 'x')
  if (Object.keys(Object.prototype).length > 0) throw new Error('every object has changed')
  return 'value'
}

test('updates through the guards', async () => {
  const tally = await fuzz({
    name: 'updates',
    make,
    run: take,
    show: ({ base, update }) => [base, update].map((bytes) => Buffer.from(bytes).toString('hex')).join(' '),
  })
  expectBoth(tally)
})
