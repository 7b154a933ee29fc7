/** Fingerprints are taken while people write: a case that changes meanwhile is not damaged. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { COMPACT_PARTS } from '../../src/protocol/limits.js'
import { fingerprints } from '../../src/store/fingerprints.js'
import { Bench, caseUpdate, type Device, keystrokes, update } from '../suites/store/bench.js'
import { memoryDb } from '../support/databases.js'

let bench: Bench
let a: Device
beforeEach(async () => {
  bench = new Bench(memoryDb, 5)
  a = await bench.device()
})
afterEach(() => bench.stop())

test('a case of which parts are put together meanwhile, or that is erased, stays sound', async () => {
  const ids = ['one', 'two', 'three']
  await a.create(...ids)
  const all = fingerprints(a.replica)
  const first = (await all.next()).value!.caseId as string
  const [typed, erased] = ids.filter((id) => id !== first) as [string, string]
  const strokes = keystrokes(7, 'x'.repeat(COMPACT_PARTS + 2), caseUpdate(typed))
  for (const stroke of strokes) await a.add(update(typed, stroke))
  await a.erase(erased)
  const rest: string[] = []
  for await (const { caseId, fingerprint } of all) {
    rest.push(caseId)
    expect(fingerprint.some((byte) => byte !== 0)).toBe(true)
  }
  expect(rest).toEqual([typed])
  expect(a.replica.damaged.size).toBe(0)
})
