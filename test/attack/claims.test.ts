/** Claims that outrun content: a frontier may never say more than the cases hold. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nodeNatives } from '../../src/node/natives.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import { encodePayload } from '../../src/protocol/payload.js'
import { cutLog, restateUnclaimed } from '../../src/store/healing.js'
import { openStates } from '../../src/store/outgoing.js'
import { readCases, readItems } from '../../src/store/reading.js'
import { readTransfer, takeLoose } from '../../src/store/transfers.js'
import { Bench, keystrokes } from '../suites/store/bench.js'
import { memoryDb } from '../support/databases.js'
import { TestLog } from '../support/logs.js'

let bench: Bench
beforeEach(() => {
  bench = new Bench(memoryDb, 77)
})
afterEach(() => bench.stop())

/** A member's log whose every change creates or types into a case of its own choice. */
function typed(client: number, letters: string, caseId: string) {
  return keystrokes(client, letters).map((update) => ({
    caseId,
    generation: 0,
    at: 1,
    kind: KIND_UPDATE,
    payload: encodePayload(nodeNatives, update),
  }))
}

test('a claim that a cut drops between TAKE and BEGIN does not come back for cases that were skipped', async () => {
  const [a, b, c] = [await bench.device(), await bench.device(), await bench.device()]
  await a.create(...Array.from({ length: 12 }, (_, at) => `case-${at}`))
  await c.create('other')
  await c.giveTo(b)
  await a.transferTo(b, 5)
  const first = (await readItems(a.replica, new Uint8Array(0), new Map(), 1)).items[0]!.caseId
  await a.type(first, 'behind the cursor ')
  // TAKE names the stored cursor ...
  const after = (await readTransfer(b.replica))!.cursor
  const frontier = b.frontier()
  const opened = await openStates(a.replica, frontier)
  // ... a cut of quite another log is learned before BEGIN comes ...
  await cutLog(b.replica, c.log, 0, new Uint8Array(8))
  const incoming = await a.begin(b, opened, after)
  // ... and the sender goes on behind what TAKE named.
  await incoming.take((await readItems(a.replica, after, frontier, 1e9)).items, false)
  await incoming.end([])
  // Either it lacks the claim, or it has the content.
  const claimed = b.seq(a.log) === a.seq()
  const text = ((await b.contents())[first] as { text: string }).text
  expect({ claimed, text }).not.toEqual({ claimed: true, text: '' })
})

test('a case that came by itself during a transfer stays unclaimed when the transfer ends', async () => {
  const [a, b, c] = [await bench.device(), await bench.device(), await bench.device()]
  await a.create('one', 'two')
  await c.create('three')
  const opened = await openStates(a.replica, b.frontier())
  const incoming = await a.begin(b, opened)
  await takeLoose(b.replica, await readCases(c.replica, [c.key('three')]))
  await incoming.take((await readItems(a.replica, new Uint8Array(0), new Map(), 1e9)).items, false)
  await incoming.end([])
  expect(b.seq(c.log)).toBe(0)
  expect(b.replica.meta.unclaimed).toBe(true)
})

test('a cut on a branch that is not the one held here never makes that branch pass for held', async () => {
  const [a, b] = [await bench.device(), await bench.device()]
  const keys = bench.member()
  const trunk = new TestLog(bench.practice, keys, bench.random).add(...typed(1, 'ab', 'one'))
  const x = trunk.branch(2).add(...typed(2, 'xyz', 'x'))
  const y = trunk.branch(2).add(...typed(3, 'uvwuvw', 'y'))
  await a.replica.admit([x.opening], [x.run()], keys.ed)
  await b.replica.admit([y.opening], [y.run()], keys.ed)
  // Others found a third branch that leaves x behind 5.
  await cutLog(a.replica, x.id, 5, x.check(5))
  await cutLog(b.replica, x.id, 5, x.check(5))
  const held = b.replica.logs.get(x.id)!
  const saysX5 = held.seq === 5 && Buffer.compare(held.check, x.check(5)) === 0
  expect({ saysX5, hasX: 'x' in (await b.contents()) }).not.toEqual({ saysX5: true, hasX: false })
})

test('content of a branch that an unfinished transfer brought is restated, also below the frontier of the other', async () => {
  const [a, b] = [await bench.device(), await bench.device()]
  const keys = bench.member()
  const trunk = new TestLog(bench.practice, keys, bench.random).add(...typed(1, 'ab', 'one'))
  const x = trunk
    .branch(2)
    .add(...typed(2, 'xyz', 'x'))
    .add(...typed(5, 'later', 'zz'))
  const y = trunk.branch(2).add(...typed(3, 'uvwuv', 'y'))
  await a.replica.admit([x.opening], [x.run()], keys.ed)
  // a gives everything but the end, and is never seen again.
  const opened = await openStates(a.replica, b.frontier())
  const incoming = await a.begin(b, opened)
  await incoming.take(await readCases(a.replica, [a.key('x')]), false)
  // From others comes the other branch; nobody has more to give.
  await b.replica.admit([y.opening], [y.run()], keys.ed)
  await restateUnclaimed(b.replica)
  expect('x' in (await b.contents())).toBe(true)
  const d = await bench.device()
  await b.giveTo(d)
  expect(d.replica.digest()).toEqual(b.replica.digest())
  expect(await d.contents()).toEqual(await b.contents())
})

test('the checks of changes that were held before a transfer are still known after it', async () => {
  const [a, b] = [await bench.device(), await bench.device()]
  await a.create('one', 'two', 'three')
  await a.giveTo(b)
  await a.create('four', 'five')
  await a.transferTo(b)
  expect(await b.replica.logs.checks(a.log, 0, 5)).toEqual(await a.replica.logs.checks(a.log, 0, 5))
  const check = await a.replica.logs.checkAt(a.log, 2)
  expect(await b.replica.judge([{ log: a.log, seq: 2, check: check! }])).toMatchObject([
    { verdict: 'behind' },
  ])
})

test('a hostile touched vector does not keep a case’s content out of a later transfer', async () => {
  const [a, b] = [await bench.device(), await bench.device()]
  await a.create('one', 'two')
  const [item] = await readCases(a.replica, [a.key('one')])
  // A member sends an empty case that has "seen" everything of a's log.
  const touched = item!.touched.map(({ log }) => ({ log, seq: 0xffff_ffff }))
  await takeLoose(b.replica, [{ ...item!, parts: [], row: new Uint8Array(0), clocks: [], touched }])
  await a.transferTo(b)
  expect(b.seq(a.log)).toBe(2)
  expect(await b.contents()).toEqual(await a.contents())
})

test.fails('known, not mended yet: a list row that does not fit the content it came with is not shown', async () => {
  const [a, b] = [await bench.device(), await bench.device()]
  await a.create('one')
  const [item] = await readCases(a.replica, [a.key('one')])
  const row = JSON.parse(new TextDecoder().decode(item!.row))
  for (const wrong of [
    { ...row, name: 'Somebody Else' },
    { ...row, deleted: true },
    { ...row, drawer: { toString: 1 }, conflicts: 'many' },
  ]) {
    await takeLoose(b.replica, [{ ...item!, row: new TextEncoder().encode(JSON.stringify(wrong)) }])
    const state = await b.replica.caseState(b.key('one'))
    expect(JSON.parse(state!.row)).toEqual(row)
  }
})
