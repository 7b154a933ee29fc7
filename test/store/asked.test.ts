/** [H5] Who counts as asked for a damaged case, while more of it rots or comes. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { toHex } from '../../src/protocol/bytes.js'
import { askedFor, noteAsked } from '../../src/store/asked.js'
import { keys } from '../../src/store/keyspace.js'
import { Bench, type Device, keystrokes, update } from '../suites/store/bench.js'
import { memoryDb } from '../support/databases.js'
import type { Keys } from '../support/logs.js'

let bench: Bench
let a: Device
let b: Device
let c: Keys
let key: Uint8Array

/** a has lost the first part of a case, and holds the second one. */
beforeEach(async () => {
  bench = new Bench(memoryDb, 48)
  a = await bench.device({ hasOthers: () => false })
  b = await bench.device()
  c = bench.member()
  key = a.key('one')
  await a.create('one')
  await a.type('one', 'held ')
  const [first] = await rows('p')
  await a.damage(first!)
  a.replica.cases.noteDamaged(key)
})
afterEach(() => bench.stop())

const rows = async (kind: string) =>
  (await a.rawKeys(kind)).filter((each) => toHex(each.subarray(1, 17)) === toHex(key))
const isAskedOf = (device: Keys) => noteAsked(a.replica, [key], device.ed, [b.keys.ed, c.ed])
const asked = async () => (await askedFor(a.replica, key))?.length
const rotAll = async (kind: string) => {
  for (const each of await rows(kind)) await a.damage(each)
  // As after a restart: nothing is in memory.
  await a.reopen()
  a.replica.cases.noteDamaged(key)
}

test('what has rotted before it was looked at has everybody asked once more', async () => {
  await isAskedOf(b.keys)
  expect(await asked()).toBe(0)
  expect([...a.replica.cases.toAskAgain]).toEqual([toHex(key)])
  await isAskedOf(b.keys)
  expect(await asked()).toBe(1)
  await isAskedOf(c)
  expect(a.replica.damaged.size).toBe(0)
  expect(a.replica.cases.toAskAgain.size).toBe(0)
})

describe('b was asked', () => {
  beforeEach(async () => {
    for (let at = 0; at < 2; at++) await isAskedOf(b.keys)
    a.replica.cases.toAskAgain.clear()
  })

  test('and all that was done since is that more has come: it counts', async () => {
    await b.create('two', 'one')
    await b.type('one', 'came ')
    await b.giveTo(a)
    await isAskedOf(c)
    expect(a.replica.damaged.size).toBe(0)
  })

  test.each(['p', 'c', 'pc'])(
    'and more has rotted since (%s): nobody counts, c neither, for once',
    async (kinds) => {
      for (const kind of kinds) await rotAll(kind)
      await isAskedOf(c)
      expect([a.replica.damaged.size, await asked()]).toEqual([1, 0])
      expect([...a.replica.cases.toAskAgain]).toEqual([toHex(key)])
      await isAskedOf(c)
      expect(await asked()).toBe(1)
      await isAskedOf(b.keys)
      expect(a.replica.damaged.size).toBe(0)
    },
  )

  test.each(['p', 'c'])('and a change that comes shows that more has rotted since (%s)', async (kind) => {
    await rotAll(kind)
    await b.create('one')
    await b.giveTo(a)
    expect(await asked()).toBe(0)
    expect([...a.replica.cases.toAskAgain]).toEqual([toHex(key)])
    await isAskedOf(c)
    expect(await asked()).toBe(1)
  })

  test('where nobody knows which case it is, that goes first, before what has rotted is noted as lost', async () => {
    await rotAll('c')
    a.sealed.writeUnreadable = () => Promise.reject(new Error('a power cut'))
    await expect(isAskedOf(c)).rejects.toThrow('a power cut')
    expect(await asked()).toBe(0)
  })
})

test('[H5] what waits is told of at the end; that row rotten, the store opens, and knows nothing of it', async () => {
  const told: string[] = []
  a.replica.events.ended = (how) => told.push(how)
  await a.add(update('one', keystrokes(7, 'ab')[1]!))
  for (let at = 0; at < 2; at++) await isAskedOf(b.keys)
  await isAskedOf(c)
  expect(told).toEqual(['waiting'])
  await a.reopen()
  expect(a.replica.cases.hasEnded(key)).toBe(true)
  await a.damage(keys.ended())
  await a.reopen()
  expect(a.replica.cases.hasEnded(key)).toBe(false)
})
