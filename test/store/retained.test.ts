/** Damaged cases are put together with what is retained of them, and for many of them all of that is read once. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { toHex } from '../../src/protocol/bytes.js'
import { noteAsked } from '../../src/store/asked.js'
import { prune } from '../../src/store/pruning.js'
import { readCases, readClaimed } from '../../src/store/reading.js'
import { takeLoose } from '../../src/store/transfers.js'
import { Bench, type Device } from '../suites/store/bench.js'
import { memoryDb } from '../support/databases.js'

const MANY = Array.from({ length: 16 }, (_, at) => `case ${at}`)
const CHANGES = 100

let bench: Bench
let a: Device
let b: Device
/** Retained changes of a that were read. */
let read: number
beforeEach(async () => {
  bench = new Bench(memoryDb, 47)
  a = await bench.device()
  b = await bench.device()
  await a.create(...MANY)
  await a.giveTo(b)
  for (let at = 0; at < CHANGES; at++) await a.type(at % 2 ? 'busy' : MANY[at % 16]!, `${at};`)
  await a.giveTo(b)
  read = 0
  const { logs } = a.replica
  const readable = logs.readable.bind(logs)
  logs.readable = async function* (...range) {
    for await (const change of readable(...range)) {
      read++
      yield change
    }
  }
})
afterEach(() => bench.stop())

const keysOf = () => MANY.map((id) => a.key(id))
const markAll = () => {
  for (const key of keysOf()) a.replica.cases.noteDamaged(key)
}
const contentsOf = async (ids: string[]) => {
  const contents = await a.contents()
  return ids.map((id) => contents[id])
}
/** Once all of it, and what the cases have of it once more. */
const once = () => expect(read).toBeLessThan(2 * (CHANGES + MANY.length))

test('a WANT for many, answered', async () => {
  markAll()
  for (const key of keysOf()) expect((await readClaimed(a.replica, [key], true)).items).toHaveLength(1)
  once()
})

test('many come back', async () => {
  const before = await contentsOf(MANY)
  markAll()
  const held = a.frontier()
  for (const item of await readCases(b.replica, keysOf()))
    await takeLoose(a.replica, [item], [], new Map(), () => held)
  expect(a.replica.damaged.size).toBe(0)
  expect(await contentsOf(MANY)).toEqual(before)
  once()
})

test('all members were asked for many in vain', async () => {
  const before = await contentsOf(MANY)
  markAll()
  await noteAsked(a.replica, keysOf(), b.keys.ed, [b.keys.ed])
  expect(a.replica.damaged.size).toBe(0)
  expect(await contentsOf(MANY)).toEqual(before)
  once()
})

test('what has come since they were looked for is found, and so are those that rot later', async () => {
  const [one, two] = MANY as [string, string]
  const lose = async (id: string) => {
    for (const kind of 'cp')
      for (const key of await a.rawKeys(kind))
        if (toHex(key.subarray(1, 17)) === toHex(a.key(id))) await a.damage(key)
    a.replica.cases.noteDamaged(a.key(id))
  }
  const textOf = async (id: string) => ((await a.contents())[id] as { text: string }).text
  const [before, other] = [await textOf(one), await textOf(two)]
  await a.type(two, 'early ')
  await lose(one)
  await readClaimed(a.replica, [a.key(one)], true)
  await a.type('busy', 'more')
  await b.type(one, 'late ')
  await b.giveTo(a)
  await a.reopen()
  await lose(one)
  await readClaimed(a.replica, [a.key(one)], true)
  await b.type(one, 'later ')
  await b.giveTo(a)
  await lose(one)
  await lose(two)
  await noteAsked(a.replica, [a.key(one), a.key(two)], b.keys.ed, [b.keys.ed])
  expect(await textOf(one)).toContain('later late ')
  expect((await textOf(one)).length).toBe(before.length + 'later late '.length)
  expect(await textOf(two)).toBe(`early ${other}`)
})

test('what is pruned after it was looked for is in the case by then', async () => {
  const [one] = MANY as [string]
  const before = await contentsOf([one])
  markAll()
  await readClaimed(a.replica, [a.key(one)], true)
  await prune(a.replica, () => [], 0)
  await noteAsked(a.replica, [a.key(one)], b.keys.ed, [b.keys.ed])
  expect(a.replica.damaged.has(toHex(a.key(one)))).toBe(false)
  expect(await contentsOf([one])).toEqual(before)
})
