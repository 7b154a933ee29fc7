import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { nodeNatives } from '../../src/node/natives.js'
import { emptyCase, encodeCase } from '../../src/store/case-state.js'
import { CaseTable } from '../../src/store/case-table.js'
import { keys } from '../../src/store/keyspace.js'
import { type Database, SealedDb } from '../../src/store/sealed-db.js'
import { seeded } from '../support/random.js'

const random = seeded(11)
const keyOf = (number: number) => new Uint8Array(16).fill(number)

/** Counts the keys that are looked up. */
class Counting extends SealedDb {
  lookedUp = 0
  looks = 0
  override get(key: Uint8Array) {
    this.lookedUp++
    return super.get(key)
  }
  override getMany(wanted: Uint8Array[]) {
    this.lookedUp += wanted.length
    return super.getMany(wanted)
  }
  override keysIn(range: { gte: Uint8Array; lte: Uint8Array; limit?: number }) {
    this.looks++
    return super.keysIn(range)
  }
}

/** A store that holds these cases, and a table that has none of them in memory. */
async function holding(numbers: number[]) {
  const level: unknown = new MemoryLevel({ keyEncoding: 'view', valueEncoding: 'view' })
  const db = new Counting({
    db: level as Database,
    natives: nodeNatives,
    dataKey: new Uint8Array(32).fill(1),
    random: (bytes) => random.bytes(bytes),
  })
  await db.write(
    numbers.map((number) => ({
      key: keys.case(keyOf(number)),
      value: encodeCase(emptyCase(keyOf(number), `case ${number}`)),
    })),
  )
  return { db, table: new CaseTable(db, nodeNatives) }
}

const idsOf = async (table: CaseTable, numbers: number[]) => {
  const ids: (string | undefined)[] = []
  for (const number of numbers) ids.push((await table.state(keyOf(number)))?.caseId)
  return ids
}

test('where none is held, one look tells of all that come, and of what has come since', async () => {
  const { db, table } = await holding([50])
  const store = async (numbers: number[]) => {
    const drafts = await Promise.all(numbers.map((number) => table.draft(keyOf(number), `case ${number}`)))
    await db.write(drafts.flatMap((draft) => draft.writes()))
    table.committed(drafts)
  }
  for (const numbers of [
    [1, 2, 3],
    [5, 6],
    [7, 9],
  ]) {
    await table.prefetchStretch(numbers.map(keyOf))
    expect(await idsOf(table, numbers)).toEqual(numbers.map(() => undefined))
    expect(numbers.map((number) => table.newDraft(keyOf(number), 'x') !== undefined)).not.toContain(false)
    await store(numbers)
    expect(await idsOf(table, numbers)).toEqual(numbers.map((number) => `case ${number}`))
    expect(table.newDraft(keyOf(numbers[0]!), 'x')).toBeUndefined()
  }
  expect([db.looks, db.lookedUp]).toEqual([1, 0])
  // One comes early, and those before it are looked for again.
  await store([20])
  await table.prefetchStretch([10, 11, 20].map(keyOf))
  expect(await idsOf(table, [10, 11, 20])).toEqual([undefined, undefined, 'case 20'])
  expect(table.newDraft(keyOf(20), 'x')).toBeUndefined()
  await table.prefetchStretch([49, 50, 51].map(keyOf))
  expect(await idsOf(table, [49, 50, 51])).toEqual([undefined, 'case 50', undefined])
})

test.each([
  ['with many others between them', [1, 2, 3, 4, 5, 6, 7, 8, 9], [2, 8]],
  ['out of order', [1, 2, 5, 7, 8], [7, 2, 9, 5]],
  ['the first before the last, others outside', [1, 2, 5, 7, 8], [3, 1, 8, 5]],
  ['some twice', [4, 6], [3, 3, 4, 4, 5, 6, 6]],
  ['one alone', [4], [4]],
  ['none', [4], []],
])('%s, each is found all the same', async (_, held, wanted) => {
  const { table } = await holding(held)
  await table.prefetchStretch(wanted.map(keyOf))
  const expected = wanted.map((number) => (held.includes(number) ? `case ${number}` : undefined))
  expect(await idsOf(table, wanted)).toEqual(expected)
})
