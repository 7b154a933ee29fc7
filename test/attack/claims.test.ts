/** Claims that outrun content: a frontier may never say more than the cases hold. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { nodeNatives } from '../../src/node/natives.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import { encodePayload } from '../../src/protocol/payload.js'
import { cutLog, restateUnclaimed } from '../../src/store/healing.js'
import { openStates } from '../../src/store/outgoing.js'
import { readCases, readItems } from '../../src/store/reading.js'
import { sweepRows } from '../../src/store/rows.js'
import { readTransfer, takeLoose } from '../../src/store/transfers.js'
import { Bench, type Device, keystrokes } from '../suites/store/bench.js'
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

describe('a list row that does not fit the content it came with', () => {
  /** What b shows of a case that came with this row, and what a shows. */
  async function shown(change: (row: Record<string, unknown>) => unknown) {
    const [a, b] = [await bench.device(), await bench.device()]
    await a.create('one')
    const [item] = await readCases(a.replica, [a.key('one')])
    const row = JSON.parse(new TextDecoder().decode(item!.row))
    const given = new TextEncoder().encode(JSON.stringify(change({ ...row })))
    await takeLoose(b.replica, [{ ...item!, row: given }])
    const now = async () => JSON.parse((await b.replica.caseState(b.key('one')))!.row)
    return { b, row, now }
  }
  const sweep = async (device: Device) => {
    for (let place = await sweepRows(device.replica); place; ) place = await sweepRows(device.replica, place)
  }
  const counts = ({ replica }: Device) => {
    const { total, archived, deleted } = replica.meta
    return { total, archived, deleted }
  }

  test.each<[string, (row: Record<string, unknown>) => unknown]>([
    ['values that are none', (row) => ({ ...row, drawer: { toString: 1 }, conflicts: 'many' })],
    ['a value too few', ({ name: _, ...rest }) => rest],
    ['a list', () => []],
    ['a number beyond all numbers', (row) => ({ ...row, conflicts: -1, birthYear: 1e300 })],
  ])('is not taken at all: %s', async (_name, change) => {
    const { b, row, now } = await shown(change)
    expect(await now()).toEqual(row)
    expect(b.replica.meta.rowsUnproven).toBe(false)
  })

  test('brings nothing else along', async () => {
    const { row, now } = await shown((given) => ({ ...given, more: { '"deleted":true': 1 } }))
    expect(await now()).toEqual(row)
  })

  test.each([
    ['another name', { name: 'Somebody Else' }],
    ['deleted', { deleted: true }],
    ['archived', { archived: true, drawer: 'Elsewhere' }],
  ])('is put right when there is time, after a restart too: %s', async (_name, wrong) => {
    const { b, row, now } = await shown((given) => ({ ...given, ...wrong }))
    expect(await now()).toEqual({ ...row, ...wrong })
    await b.reopen()
    const told: string[] = []
    b.replica.events.cases = (ids) => told.push(...ids)
    await sweep(b)
    expect(await now()).toEqual(row)
    expect(told).toEqual(['one'])
    expect(counts(b)).toEqual({ total: 1, archived: 0, deleted: 0 })
    expect(b.replica.meta.rowsUnproven).toBe(false)
    await b.reopen()
    expect(await now()).toEqual(row)
  })

  test('is put right before the case is first opened', async () => {
    const { b, row, now } = await shown((given) => ({ ...given, name: 'Somebody Else' }))
    await b.replica.openDoc('one')
    expect(await now()).toEqual(row)
  })

  test('is put right with the first change', async () => {
    const { b, row, now } = await shown((given) => ({ ...given, deleted: true }))
    await b.type('one', 'x')
    expect(await now()).toEqual(row)
    expect(counts(b)).toEqual({ total: 1, archived: 0, deleted: 0 })
  })

  test('is found among many: a sweep proves every row once, those that come meanwhile included', async () => {
    const [a, b] = [await bench.device(), await bench.device()]
    await a.create(...Array.from({ length: 40 }, (_, at) => `case-${at}`))
    const items = await readCases(
      a.replica,
      Array.from({ length: 40 }, (_, at) => a.key(`case-${at}`)),
    )
    const wrong = items.map((item) => {
      const row = { ...JSON.parse(new TextDecoder().decode(item.row)), name: 'Somebody Else' }
      return { ...item, row: new TextEncoder().encode(JSON.stringify(row)) }
    })
    await takeLoose(b.replica, wrong.slice(0, 20))
    const begun = await sweepRows(b.replica)
    await takeLoose(b.replica, wrong.slice(20))
    for (let place = begun; place; ) place = await sweepRows(b.replica, place)
    for (const { key } of items) {
      const [mine, theirs] = await Promise.all([a, b].map(({ replica }) => replica.caseState(key)))
      expect(theirs!.row).toBe(mine!.row)
      expect(theirs!.rowUnproven).toBe(false)
    }
    expect(b.replica.meta.rowsUnproven).toBe(false)
  })
})
