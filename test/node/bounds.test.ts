/** What a person changes here is bound as what comes from elsewhere: else it would be void, and said to be stored. */
import { MemoryLevel } from 'memory-level'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { casesApi } from '../../src/node/device/cases.js'
import type { Database } from '../../src/store/sealed-db.js'
import { Bench, type Device } from '../suites/store/bench.js'

let bench: Bench
let device: Device
beforeEach(async () => {
  bench = new Bench(() => new MemoryLevel({ storeEncoding: 'view' }) as unknown as Database, 5)
  device = await bench.device()
})
afterEach(() => bench.stop())

it('an import that takes away more than one change may is refused, not said to be merged', async () => {
  const { cases } = casesApi({ replica: () => device.replica, newId: () => 'new', heldBy: () => [] })
  const text = 'ab'.repeat(26_000)
  const marks = Array.from({ length: 26_000 }, (_, at) => [2 * at, 2 * at + 1, 'bold'])
  const take = (notes: object) => {
    const line = JSON.stringify({ id: 'one', consultations: [{ id: 'c', ...notes }] })
    return cases.import({ lines: [{ line: 7, text: line }], preview: false })
  }
  expect(await take({ text, marks })).toMatchObject({ added: 1 })
  const before = (await cases.export({})).lines
  expect(await take({ text: `${text} A new sentence.`, marks: [] })).toMatchObject({
    merged: 0,
    errors: [{ line: 7, reason: expect.stringContaining('50,000 deletions') }],
  })
  expect((await cases.export({})).lines).toEqual(before)
  // What is given next builds on what is stored.
  expect(await take({ text: `${text} A new sentence.` })).toMatchObject({ merged: 1 })
  expect((await cases.export({})).lines[0]).toContain(' A new sentence.')
})
