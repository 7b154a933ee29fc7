/**
 * Cases whose stored bytes are damaged, while they hold what nobody claims: what can be read of them is told to
 * everybody, and so is what comes in the place of the rest.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { nodeNatives } from '../../src/node/natives.js'
import { toHex } from '../../src/protocol/bytes.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import { encodePayload } from '../../src/protocol/payload.js'
import { noteAsked } from '../../src/store/asked.js'
import { docOf } from '../../src/store/case-content.js'
import { cutLog, restateUnclaimed } from '../../src/store/healing.js'
import { keys } from '../../src/store/keyspace.js'
import { openStates } from '../../src/store/outgoing.js'
import { readCases, readChanges, readItems } from '../../src/store/reading.js'
import { takeLoose } from '../../src/store/transfers.js'
import { Bench, type Device, keystrokes } from '../suites/store/bench.js'
import { memoryDb } from '../support/databases.js'
import { change, TestLog } from '../support/logs.js'

let bench: Bench
/** Wrote the case. */
let a: Device
/** Has it as two parts of a state, of no log that it holds: what a has typed, and a letter that a hasn't. */
let b: Device
beforeEach(async () => {
  bench = new Bench(memoryDb, 43)
  a = await bench.device()
  b = await bench.device()
  await a.type('one', 'theirs ')
  const [item] = await readCases(a.replica, [a.key('one')])
  const letter = encodePayload(nodeNatives, keystrokes(7, 'm')[0]!)
  for (const parts of [item!.parts, [letter]]) await takeLoose(b.replica, [{ ...item!, parts }])
  expect(await partsOf(b)).toHaveLength(2)
})
afterEach(() => bench.stop())

async function partsOf(device: Device): Promise<Uint8Array[]> {
  const all = await device.rawKeys('p')
  return all.filter((key) => toHex(key.subarray(1, 17)) === toHex(device.key('one')))
}

/** What whoever hears of nothing but b's own log holds of the case. */
async function told(): Promise<string> {
  const d = await bench.device()
  const { openings, runs } = await readChanges(b.replica, new Map([[b.log, 0]]), 1e9)
  await d.replica.admit(openings, runs, b.keys.ed)
  const { one } = (await d.contents()) as { one?: { text: string } }
  return one?.text ?? ''
}

/** What a session does: ask another device, and take what it has. */
const heal = async () =>
  takeLoose(b.replica, await readCases(a.replica, [...b.replica.damaged.values()]), [
    a.replica.logs.get(a.log)!,
  ])

const first = async () => (await partsOf(b))[0]!

test('what can be read of it is told, and once', async () => {
  await b.damage(await first())
  expect(await restateUnclaimed(b.replica)).toBe(1)
  expect(await told()).toBe('m')
  b.replica.meta = { ...b.replica.meta, unclaimed: true }
  expect(await restateUnclaimed(b.replica)).toBe(0)
  expect(b.replica.damaged.size).toBe(1)
})

test.each([
  ['restated', () => restateUnclaimed(b.replica)],
  ['cut', () => cutLog(b.replica, a.log, 0, new Uint8Array(8), a.replica.logs.get(a.log))],
])('what comes back of it is told once it has come, though it was %s before', async (_, lower) => {
  await b.damage(await first())
  await lower()
  await restateUnclaimed(b.replica)
  // By then all that its numbers say is claimed.
  await a.giveTo(b)
  await b.reopen()
  await heal()
  expect(b.replica.damaged.size).toBe(0)
  expect(await restateUnclaimed(b.replica)).toBe(1)
  expect(await restateUnclaimed(b.replica)).toBe(0)
  expect(await told()).toMatch(/^(mtheirs |theirs m)$/)
})

test('it opens nowhere as if it were whole, whatever was restated and came since', async () => {
  await b.damage(await first())
  await restateUnclaimed(b.replica)
  await expect(b.replica.openDoc('one')).rejects.toThrow()
  await a.giveTo(b)
  await expect(b.replica.openDoc('one')).rejects.toThrow()
  expect(await readCases(b.replica, [b.key('one')])).toEqual([])
  expect(b.replica.meta.total).toBe(1)
  await heal()
  expect(b.replica.meta.total).toBe(1)
  expect((await b.replica.openDoc('one')).getText('t').toString()).toContain('theirs ')
})

test('it is all of it that counts once what can be read is one part', async () => {
  b.replica.cases.noteDamaged(b.key('one'))
  const draft = await b.replica.cases.draftOrRest(b.key('one'), 'one')
  const update = keystrokes(8, 'n')[0]!
  const payload = encodePayload(nodeNatives, update)
  draft.apply(a.log, 2, { caseId: 'one', generation: 0, at: 0, kind: KIND_UPDATE, payload })
  await draft.unite(b.sealed)
  expect(draft.state.parts).toHaveLength(1)
  expect(
    [
      ...docOf(await draft.updates(b.sealed))
        .getText('t')
        .toString(),
    ]
      .sort()
      .join(''),
  ).toBe([...'theirs mn'].sort().join(''))
})

test('what has come whole and builds on what comes behind it, or on what is missing, waits in one that is put together', async () => {
  const [item] = await readCases(a.replica, [a.key('one')])
  const [first, second] = keystrokes(7, 'mn').map((update) => encodePayload(nodeNatives, update))
  const waiting = encodePayload(nodeNatives, keystrokes(8, 'op')[1]!)
  const d = await bench.device()
  // Somebody named it, and nothing of it was ever here.
  d.replica.cases.noteDamaged(d.key('one'))
  await takeLoose(d.replica, [{ ...item!, parts: [second!, ...item!.parts, waiting, first!], clocks: [] }])
  const { one } = (await d.contents()) as { one: { text: string; parked: number } }
  expect([...one.text].sort().join('')).toBe([...'theirs mn'].sort().join(''))
  expect(one.parked).toBe(1)
})

test('a copy of an older generation does not make it whole', async () => {
  const [item] = await readCases(a.replica, [a.key('one')])
  await takeLoose(b.replica, [{ ...item!, generation: 2 }])
  await b.damage(await first())
  await readItems(b.replica, new Uint8Array(0), new Map(), 1e9)
  await heal()
  expect(b.replica.damaged.size).toBe(1)
  await takeLoose(b.replica, [{ ...item!, generation: 2 }])
  expect(b.replica.damaged.size).toBe(0)
  expect(await b.contents()).toMatchObject({ one: { text: 'theirs ', generation: 2 } })
})

test('a case that never came is counted when it does', async () => {
  const d = await bench.device()
  const incoming = await a.begin(d, await openStates(a.replica, new Map()))
  await incoming.take([], false)
  await incoming.end([a.key('one')])
  await takeLoose(d.replica, await readCases(a.replica, [...d.replica.damaged.values()]))
  expect(d.replica.meta.total).toBe(1)
})

test('a case whose row can’t be read is told when it has come back', async () => {
  await b.damage(keys.case(b.key('one')))
  await restateUnclaimed(b.replica)
  await a.giveTo(b)
  expect(b.replica.meta.unclaimed).toBe(false)
  await heal()
  expect(await restateUnclaimed(b.replica)).toBe(1)
})

test('a case that only its giver could not read keeps what only this device has, and is not doubled', async () => {
  const incoming = await a.begin(b, await openStates(a.replica, b.frontier()))
  await incoming.take([], false)
  await incoming.end([a.key('one')])
  expect(b.replica.damaged.size).toBe(1)
  await heal()
  expect(await partsOf(b)).toHaveLength(1)
  expect(await b.contents()).toMatchObject({ one: { text: expect.stringMatching(/^(mtheirs |theirs m)$/) } })
})

test('changes that I retain are put on a copy that says it holds as many of their log, but of another branch', async () => {
  const log = new TestLog(bench.practice, bench.member(), bench.random)
  const [payload] = keystrokes(8, 'x').map((each) => encodePayload(nodeNatives, each))
  const mine = change({ caseId: 'one', payload: payload! })
  await b.replica.admit([log.opening], [log.add(change(), mine).run()], log.keys.ed)
  for (const part of await partsOf(b)) await b.damage(part)
  await readItems(b.replica, new Uint8Array(0), new Map(), 1e9)
  const [item] = await readCases(a.replica, [a.key('one')])
  const touched = [...item!.touched, { log: Buffer.from(log.id, 'hex'), seq: 2 }]
  await takeLoose(b.replica, [{ ...item!, touched }])
  expect(b.replica.damaged.size).toBe(0)
  expect(await b.contents()).toMatchObject({ one: { text: expect.stringContaining('x') } })
})

test('what only its giver’s log retains is told to who made do with less, and claims it', async () => {
  const c = await bench.device()
  await a.giveTo(c)
  await a.type('one', 'kept ')
  // c is given all but the case, makes do with what it has, and tells that.
  const incoming = await a.begin(c, await openStates(a.replica, c.frontier()))
  await incoming.take([], false)
  await incoming.end([a.key('one')])
  await noteAsked(c.replica, [a.key('one')], a.keys.ed, [a.keys.ed])
  await restateUnclaimed(c.replica)
  expect(await c.contents()).toMatchObject({ one: { text: 'theirs ' } })
  for (const part of await partsOf(a)) await a.damage(part)
  await readItems(a.replica, new Uint8Array(0), new Map(), 1e9)
  await c.giveTo(a)
  const claims = [...c.replica.logs.all()]
  await takeLoose(a.replica, await readCases(c.replica, [a.key('one')]), claims)
  expect(a.replica.damaged.size).toBe(0)
  await restateUnclaimed(a.replica)
  await a.giveTo(c)
  expect(await c.contents()).toMatchObject({ one: { text: 'kept theirs ' } })
  expect(await a.contents()).toMatchObject({ one: { text: 'kept theirs ' } })
})

describe('a case whose row can’t be read, though its parts can', () => {
  beforeEach(() => b.damage(keys.case(b.key('one'))))

  test('keeps them, and tells them when it is whole', async () => {
    await restateUnclaimed(b.replica)
    await a.giveTo(b)
    await heal()
    expect(await restateUnclaimed(b.replica)).toBe(1)
    expect(await b.contents()).toMatchObject({
      one: { text: expect.stringMatching(/^(mtheirs |theirs m)$/) },
    })
    expect(await told()).toMatch(/^(mtheirs |theirs m)$/)
  })

  test('is counted once, whatever comes before it is whole', async () => {
    await a.giveTo(b)
    expect(b.replica.meta.total).toBe(1)
    await heal()
    expect(b.replica.meta.total).toBe(1)
  })

  test('keeps none of them where a case was erased since: theirs may be what was erased', async () => {
    await a.erase('one')
    await a.giveTo(b)
    expect(await partsOf(b)).toEqual([])
    await heal()
    await b.reopen()
    expect(await b.contents()).toMatchObject({ one: { text: '', generation: 1, erased: 1 } })
  })

  test('nor with a copy that is of a later generation', async () => {
    const [item] = await readCases(a.replica, [a.key('one')])
    await readItems(b.replica, new Uint8Array(0), new Map(), 1e9)
    await takeLoose(b.replica, [{ ...item!, generation: 2, erased: 2 }])
    expect(await b.contents()).toMatchObject({ one: { text: 'theirs ', generation: 2 } })
  })

  test('does not grow with copies that are not enough', async () => {
    await readItems(b.replica, new Uint8Array(0), new Map(), 1e9)
    const [item] = await readCases(a.replica, [a.key('one')])
    const items = [{ ...item!, touched: [...item!.touched, { log: new Uint8Array(16), seq: 1 }] }]
    for (let round = 0; round < 3; round++) {
      await takeLoose(b.replica, items)
      expect(b.replica.damaged.size).toBe(1)
      expect(await partsOf(b)).toHaveLength(1)
    }
  })
})
