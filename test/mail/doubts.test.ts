/**
 * What came on a branch of a log, whose other holders are gone, reaches everybody: whatever is cut, however far the
 * frontier goes on another branch, and whenever doubts are given up meanwhile.
 */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { setFields } from '../../src/cases/edit.js'
import { toHex } from '../../src/protocol/bytes.js'
import type { States } from '../../src/protocol/envelope.gen.js'
import { readDoubts } from '../../src/store/doubts.js'
import { cutLog, restateUnclaimed } from '../../src/store/healing.js'
import { takeStates } from '../../src/store/mail-sets.js'
import { openStates, readChecks } from '../../src/store/outgoing.js'
import { readChanges, readItems } from '../../src/store/reading.js'
import { IncomingTransfer } from '../../src/store/transfers.js'
import type { Rows } from '../support/disk.js'
import type { MailDevice } from '../support/mail-world.js'
import { MailBench } from './mail-bench.js'

let bench: MailBench
let a: MailDevice
let b: MailDevice
let c: MailDevice
/** a's log. Both branches have three changes; six the one that is lost, eight the one that c holds. */
let log: string
/** a's folder on the branch of which in the end only b has anything. */
let lost: Rows
let changes: Awaited<ReturnType<typeof readChanges>>
beforeEach(async () => {
  const begun = await MailBench.begin(40, 'a', 'b', 'c')
  bench = begun.bench
  ;[a, b, c] = begun.devices
  await bench.create(a, 'one', 'two', 'three')
  log = a.replica.currentLog!
  const before = await bench.stopDevice(a)
  await a.boot()
  await bench.phone(a, 'two', 'lost 4')
  await bench.phone(a, 'three', 'lost 5')
  await bench.phone(a, 'one', 'lost 6')
  lost = await bench.stopDevice(a)
  await bench.restart(a, before)
  await bench.create(a, 'four', 'five')
  await a.edit('two', (doc) => setFields(doc, [['patient.firstName', 'kept']]))
  await bench.create(a, 'seven', 'eight')
  changes = await readChanges(a.replica, new Map([[log, 0]]), 1e9)
  await bench.meet(a, c)
  await bench.restart(a, lost)
})
afterEach(() => bench.stop())

/** What a would leave for whoever holds its log as far as `from`. */
async function partsBehind(from: number): Promise<[...States[], States]> {
  await bench.forget(a)
  return bench.statesFrom(a, new Map([[log, from]]))
}

/** What came of a transfer before its sender was gone: all cases, but no end. */
async function takeUnended(parts: States[]): Promise<void> {
  for (const part of parts) await takeStates(b.replica, { ...part, last: false })
}

/** From now on this device knows of a cut of the branch that c holds. */
async function cut(device: MailDevice, seq: number): Promise<void> {
  const held = c.replica.logs.get(log)!
  await cutLog(device.replica, log, seq, (await c.replica.logs.checkAt(log, seq))!, held)
}

/** A transfer to b that has begun, and all its cases. */
async function beginFrom(giver: MailDevice) {
  const { target, openings } = await openStates(giver.replica, new Map())
  const incoming = await IncomingTransfer.begin(b.replica, target, openings)
  await incoming.takeChecks(
    await readChecks(
      giver.replica,
      target.map(({ seq, ...each }) => ({ ...each, to: seq })),
    ),
  )
  const { items } = await readItems(giver.replica, new Uint8Array(0), new Map(), 1e9)
  return { incoming, items }
}

async function expectAll(...texts: string[]): Promise<void> {
  await bench.meet(b, c)
  await bench.meet(b, c)
  const lines = await c.lines()
  expect(lines).toEqual(await b.lines())
  for (const text of texts) expect(lines.join()).toContain(text)
}

test.each([8, 7, 6, 5, 4, 3, 2])('when the log is cut at %i', async (seq) => {
  await takeUnended(await partsBehind(0))
  await cut(c, seq)
  await expectAll('lost 4', 'lost 5', 'lost 6')
})

test('when another log is cut before the first case of a transfer has come', async () => {
  const { incoming, items } = await beginFrom(a)
  const opening = { device: c.ed, random: bench.random.bytes(16), predecessor: new Uint8Array(0) }
  for (const [other, held] of b.replica.freshLogs([opening]))
    await cutLog(b.replica, other, 0, new Uint8Array(8), held)
  await incoming.take(items, false)
  await expectAll('lost 4', 'lost 5', 'lost 6')
})

test('when all was restated that had come by mail, and more comes', async () => {
  const parts = await partsBehind(0)
  const last = parts.pop()!
  const [first, ...rest] = last.items
  await takeUnended([...parts, { ...last, items: [first!] }])
  expect(await restateUnclaimed(b.replica)).toBe(1)
  await bench.meet(b, c)
  expect(b.replica.logs.get(log)).toMatchObject({ seq: 8 })
  await takeUnended([{ ...last, index: last.index + 1, target: [], stretches: [], items: rest }])
  b.driver.tookMail(false)
  await expectAll('lost 4', 'lost 5', 'lost 6')
})

test.each([0, 3, 4])(
  'when mine has gone on further, and it came from somebody who believed that %i is held',
  async (from) => {
    const d = await bench.add('d')
    await bench.meet(a, d)
    await d.edit('two', (doc) => setFields(doc, [['patient.lastName', 'of d']]))
    await bench.meet(a, d)
    const ofD = await readChanges(d.replica, new Map([[d.replica.currentLog!, 0]]), 1e9)
    for (const device of [b, c]) await device.replica.admit(ofD.openings, ofD.runs, d.ed)
    await b.replica.admit(changes.openings, changes.runs, c.ed)
    await takeUnended(await partsBehind(from))
    b.driver.tookMail(false)
    await expectAll('of d', 'kept', 'lost 4', 'lost 5', 'lost 6')
  },
)

test('when it came from somebody who believed that more is held', async () => {
  const d = await bench.add('d')
  await bench.meet(a, d)
  await d.edit('two', (doc) => setFields(doc, [['patient.firstName', 'of d']]))
  await bench.meet(a, d)
  // Whoever has what d wrote has nothing of what it wrote it to.
  const ofD = await readChanges(d.replica, new Map([[d.replica.currentLog!, 0]]), 1e9)
  await c.replica.admit(ofD.openings, ofD.runs, d.ed)
  await takeUnended(await partsBehind(4))
  await b.replica.admit(changes.openings, changes.runs, c.ed)
  await b.replica.admit(ofD.openings, ofD.runs, d.ed)
  b.driver.tookMail(false)
  await expectAll('of d', 'lost 4', 'lost 5', 'lost 6')
})

test.each([false, true])(
  'a cut that a first sync’s own list confirms restates nothing before it, going on: %s',
  async (goesOn) => {
    const { incoming, items } = await beginFrom(c)
    await incoming.take(items.slice(0, 4), false)
    const places = async () => (await readDoubts(b.replica)).map(({ base, seq }) => [base, seq])
    expect(await places()).toEqual([[0, 8]])
    for (const device of [b, c]) await cut(device, 7)
    expect(await places()).toEqual([[0, 7]])
    if (goesOn) await incoming.take(items.slice(4), false)
    expect(await places()).toEqual([[0, 7]])
    await expectAll()
    expect(await places()).toEqual([])
    const own = [...b.replica.logs.all()].filter(({ device }) => toHex(device) === b.hex)
    expect(own.reduce((sum, { seq }) => sum + seq, 0)).toBeLessThanOrEqual(1)
  },
)
