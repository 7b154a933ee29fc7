/** A member that has gone mad names ever more cases as damaged: none of it is adopted, kept, or in anybody's way. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { MAX_DAMAGED, MAX_WANTED } from '../../src/protocol/limits.js'
import type { Outbox } from '../../src/protocol/sync-outbox.js'
import { Receiver } from '../../src/protocol/sync-receiving.js'
import type { SyncEffect } from '../../src/protocol/sync-types.js'
import { openStates } from '../../src/store/outgoing.js'
import { readCases } from '../../src/store/reading.js'
import { readTransfer } from '../../src/store/transfers.js'
import { Bench, type Device } from '../suites/store/bench.js'
import { memoryDb } from '../support/databases.js'

let bench: Bench
let a: Device
let b: Device
beforeEach(async () => {
  bench = new Bench(memoryDb, 48)
  a = await bench.device()
  b = await bench.device()
  await a.create('one', 'two')
})
afterEach(() => bench.stop())

function keysFrom(first: number, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, at) => {
    const key = new Uint8Array(16)
    new DataView(key.buffer).setUint32(4, first + at)
    return key
  })
}

const begin = async () => a.begin(b, await openStates(a.replica, b.frontier()))

async function expectNothing(): Promise<void> {
  expect(await readTransfer(b.replica)).toBeUndefined()
  expect(b.seq(a.log)).toBe(0)
  expect(b.replica.meta.unclaimed).toBe(true)
  await b.reopen()
  expect(b.replica.damaged.size).toBe(0)
  // Of who names none everything is taken.
  await a.transferTo(b)
  expect(b.seq(a.log)).toBe(a.seq())
  expect(await b.contents()).toEqual(await a.contents())
}

test('in several messages, and over several sessions', async () => {
  const items = await readCases(a.replica, [a.key('one')])
  await (await begin()).take(items, false, [], keysFrom(0, MAX_DAMAGED))
  expect((await readTransfer(b.replica))!.missing).toHaveLength(MAX_DAMAGED)
  const next = await begin()
  await next.take(await readCases(a.replica, [a.key('two')]), false, [], keysFrom(0, 10))
  await expect(next.take([], false, [], keysFrom(MAX_DAMAGED, 1))).rejects.toThrow()
  expect(await next.end([])).toEqual([])
  await expectNothing()
})

test('at the end', async () => {
  const incoming = await begin()
  await incoming.take(await readCases(a.replica, [a.key('one'), a.key('two')]), false)
  await expect(incoming.end(keysFrom(0, MAX_DAMAGED + 1))).rejects.toThrow()
  await expectNothing()
})

test('in ever new transfers: as many as are believed at all are marked together', async () => {
  for (const key of keysFrom(0, MAX_DAMAGED - 1)) b.replica.cases.noteDamaged(key)
  await (await begin()).end(keysFrom(MAX_DAMAGED - 2, 2))
  expect(b.replica.damaged.size).toBe(MAX_DAMAGED)
  const held = b.seq(a.log)
  expect(held).toBe(a.seq())
  await a.create('three')
  await expect((await begin()).end(keysFrom(MAX_DAMAGED, 1))).rejects.toThrow()
  expect(b.replica.damaged.size).toBe(MAX_DAMAGED)
  expect(b.seq(a.log)).toBe(held)
  // Those that are marked already, and more that have rotted here, are in nobody's way.
  b.replica.cases.noteDamaged(a.key('two'))
  await (await begin()).end(keysFrom(0, 10))
  expect(b.seq(a.log)).toBe(a.seq())
})

test('as an answer to WANT: no more than are asked for count', () => {
  const effects: SyncEffect[] = []
  const receiver = new Receiver({ put: (effect: SyncEffect) => effects.push(effect) } as unknown as Outbox)
  const many = keysFrom(0, 1000)
  receiver.onEnd({ transfer: 0, missing: many, kept: many })
  const some = many.slice(0, MAX_WANTED)
  expect(effects).toEqual([{ type: 'notGiven', missing: some, kept: some }])
})
