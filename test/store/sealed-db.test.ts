import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { Notes } from '../../src/node/device/notes.js'
import { nodeNatives } from '../../src/node/natives.js'
import { keys } from '../../src/store/keyspace.js'
import { type Database, ReadOnlyError, SealedDb } from '../../src/store/sealed-db.js'
import { seeded } from '../support/random.js'

const random = seeded(4)
const put = (name: number) => ({ key: keys.note(Uint8Array.of(name)), value: Uint8Array.of(name) })

function open() {
  const level = new MemoryLevel<Uint8Array, Uint8Array>({ keyEncoding: 'view', valueEncoding: 'view' })
  const db = level as unknown as Database
  return new SealedDb({
    db,
    natives: nodeNatives,
    dataKey: new Uint8Array(32).fill(1),
    random: (bytes) => random.bytes(bytes),
  })
}

test('what is written lightly is there, and asks for no flush; everything else does', async () => {
  const db = open()
  await db.writeLightly([put(1)])
  expect(db.isDirty).toBe(false)
  expect(await db.get(put(1).key)).toEqual(Uint8Array.of(1))
  await db.write([put(2)])
  expect(db.isDirty).toBe(true)
  await db.writeLightly([put(3)])
  expect(db.isDirty).toBe(true)
  await db.flush()
  expect(db.isDirty).toBe(false)
})

test('a store of a newer version is written neither way, nor flushed', async () => {
  const db = open()
  db.newerVersion = 9
  await expect(db.write([put(1)])).rejects.toThrow(ReadOnlyError)
  await expect(db.writeLightly([put(1)])).rejects.toThrow(ReadOnlyError)
  expect(db.isDirty).toBe(false)
})

test('where a device was last met is kept, and the next meeting waits for no flush of it', async () => {
  const db = open()
  const notes = new Notes(db, () => 0)
  notes.peers.set('ab', { addresses: ['/ip4/192.0.2.1/tcp/1'], lastSeen: 7 })
  await notes.savePeersLightly()
  expect(db.isDirty).toBe(false)
  const again = new Notes(db, () => 0)
  await again.load()
  expect(again.peers).toEqual(notes.peers)
})
