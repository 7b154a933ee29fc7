/** What lies beyond the frontier is restated, whatever it is: nothing of it is refused, left out, or held twice. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import * as Y from 'yjs'
import { nodeNatives } from '../../src/node/natives.js'
import { MAX_CASE_BYTES, MAX_CHANGE_BYTES } from '../../src/protocol/limits.js'
import { KIND_STATE, KIND_UPDATE } from '../../src/protocol/log.js'
import { encodePayload } from '../../src/protocol/payload.js'
import type { Item } from '../../src/protocol/sync.gen.js'
import { learnCuts, restateUnclaimed } from '../../src/store/healing.js'
import { casesFrom, readCases } from '../../src/store/reading.js'
import { takeLoose } from '../../src/store/transfers.js'
import { Bench, type Device, keystrokes } from '../suites/store/bench.js'
import { memoryDb } from '../support/databases.js'
import { change, TestLog } from '../support/logs.js'

let bench: Bench
let a: Device
let b: Device
beforeEach(async () => {
  bench = new Bench(memoryDb, 42)
  a = await bench.device()
  b = await bench.device()
  await a.type('one', 'typed ')
})
afterEach(() => bench.stop())

const payloadOf = (update: Uint8Array) => encodePayload(nodeNatives, update)

/** Two updates of which the second builds on the first: a letter, and a text of this length, which deflates well. */
function textBehind(length: number): [Uint8Array, Uint8Array] {
  const doc = Object.assign(new Y.Doc(), { clientID: 7 })
  doc.getText('t').insert(0, 'a')
  const first = Y.encodeStateAsUpdate(doc)
  doc.getText('t').insert(1, 'x'.repeat(length))
  return [first, Y.encodeStateAsUpdate(doc, Y.encodeStateVectorFromUpdate(first))]
}

async function itemWith(parts: Uint8Array[]): Promise<Item> {
  const [item] = await readCases(a.replica, [a.key('one')])
  return { ...item!, parts: [...item!.parts, ...parts] }
}

/** What whoever hears of nothing but b's own log holds of the case. */
async function told(): Promise<Record<string, unknown>> {
  expect(await restateUnclaimed(b.replica)).toBe(1)
  const d = await bench.device()
  await b.giveTo(d)
  return (await d.contents()).one as Record<string, unknown>
}

test('what waits in a case that is full', async () => {
  const log = new TestLog(bench.practice, bench.member(), bench.random)
  const waits = new TestLog(bench.practice, bench.member(), bench.random)
  for (const client of [8, 9]) {
    const doc = Object.assign(new Y.Doc(), { clientID: client })
    doc.getMap('m').set(`${client}`, bench.random.bytes(MAX_CASE_BYTES / 2))
    const payload = payloadOf(Y.encodeStateAsUpdate(doc))
    log.add(change({ caseId: 'one', kind: KIND_STATE, payload }))
  }
  const [, second] = keystrokes(7, 'ab')
  waits.add(change({ caseId: 'one', kind: KIND_UPDATE, payload: payloadOf(second!) }))
  for (const at of [0, 1]) await b.replica.admit([log.opening], [log.run(at, at + 1)], log.keys.ed)
  await b.replica.admit([waits.opening], [waits.run()], waits.keys.ed)
  expect(b.seq(log.id)).toBe(2)
  expect(await b.contents()).toMatchObject({ one: { parked: 1 } })
  const d = await bench.device()
  const cut = { log: waits.id, seq: 0, check: new Uint8Array(8) }
  for (const device of [b, d]) await learnCuts(device.replica, [cut], [waits.opening])
  await b.giveTo(d)
  expect(await d.contents()).toMatchObject({ one: { parked: 1 } })
})

test.each([true, false])(
  'a part of a state that waits, and is more than a change may be; something was held: %s',
  async (isHeld) => {
    const [first, second] = textBehind(MAX_CHANGE_BYTES + 1)
    if (isHeld) await b.type('one', 'mine ')
    await takeLoose(b.replica, [await itemWith([payloadOf(second)])])
    expect(await told()).toMatchObject({ parked: 1 })
    const d = await bench.device()
    await b.giveTo(d)
    await d.add({ caseId: 'one', kind: KIND_UPDATE, update: first })
    const { text, parked } = (await d.contents()).one as { text: string; parked: number }
    expect([text.includes('xx'), parked]).toEqual([true, 0])
  },
)

test('a state that deflates worse here than where it comes from', async () => {
  const deflate = (bytes: Uint8Array) =>
    bytes.length > MAX_CHANGE_BYTES ? new Uint8Array(bytes.length) : nodeNatives.deflate(bytes)
  b = await bench.device({ natives: { ...nodeNatives, deflate } })
  await takeLoose(b.replica, [await itemWith(textBehind(MAX_CHANGE_BYTES + 1).map(payloadOf))])
  const { text } = (await told()) as { text: string }
  expect(text).toHaveLength('typed a'.length + MAX_CHANGE_BYTES + 1)
})

test('a case that came whole is not held twice', async () => {
  await takeLoose(b.replica, [await itemWith(keystrokes(7, 'ab').map(payloadOf))])
  await told()
  for await (const { parts } of casesFrom(b.replica, new Uint8Array(0))) expect(parts).toHaveLength(1)
})

test.each([0, 1])(
  'a generation that began with nothing that can be read, in a case erased below %i',
  async (erased) => {
    await a.giveTo(b)
    if (erased > 0) await b.erase('one', erased - 1)
    const log = new TestLog(bench.practice, bench.member(), bench.random)
    log.add(change({ caseId: 'one', kind: KIND_UPDATE, generation: 3, payload: Uint8Array.of(9) }))
    await b.replica.admit([log.opening], [log.run()], log.keys.ed)
    const cut = { log: log.id, seq: 0, check: new Uint8Array(8) }
    for (const device of [a, b]) await learnCuts(device.replica, [cut], [log.opening])
    await b.giveTo(a)
    expect(await a.contents()).toMatchObject({ one: { text: '', generation: 3 } })
    expect(await b.contents()).toEqual(await a.contents())
  },
)

test('a generation that began with what waits', async () => {
  const [first, second] = keystrokes(7, 'ab')
  const log = new TestLog(bench.practice, bench.member(), bench.random)
  log.add(change({ caseId: 'one', kind: KIND_UPDATE, generation: 3, payload: payloadOf(second!) }))
  await a.giveTo(b)
  await b.replica.admit([log.opening], [log.run()], log.keys.ed)
  const cut = { log: log.id, seq: 0, check: new Uint8Array(8) }
  for (const device of [a, b]) await learnCuts(device.replica, [cut], [log.opening])
  await b.giveTo(a)
  for (const device of [a, b])
    expect(await device.contents()).toMatchObject({ one: { parked: 1, generation: 3 } })
  await a.add({ caseId: 'one', kind: KIND_UPDATE, update: first! })
  await a.giveTo(b)
  for (const device of [a, b])
    expect(await device.contents()).toMatchObject({ one: { text: 'ab', generation: 3, parked: 0 } })
})
