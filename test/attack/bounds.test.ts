/** What is larger, longer or more than expected: refused or carried, never lost in silence and never in the way. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import * as Y from 'yjs'
import { nodeNatives } from '../../src/node/natives.js'
import { concat } from '../../src/protocol/bytes.js'
import { encodePoints } from '../../src/protocol/fork.js'
import { MAX_MESSAGE_BYTES } from '../../src/protocol/framing.js'
import { ItemAssembly, itemMessages } from '../../src/protocol/items.js'
import { CHUNK_BYTES } from '../../src/protocol/limits.js'
import { KIND_UPDATE, signedHeadBytes } from '../../src/protocol/log.js'
import { encodePayload } from '../../src/protocol/payload.js'
import type { Item } from '../../src/protocol/sync.gen.js'
import { stretchesOf } from '../../src/protocol/transfer.js'
import { decodeFrame, encodeFrame, stretchToWire, targetToWire } from '../../src/protocol/wire.js'
import { cutLog, forkPoints, learnCuts, narrowFork } from '../../src/store/healing.js'
import { logWrite } from '../../src/store/logs.js'
import { openStates, readChecks } from '../../src/store/outgoing.js'
import { readItems } from '../../src/store/reading.js'
import { IncomingTransfer, takeLoose } from '../../src/store/transfers.js'
import { Bench, type Device } from '../suites/store/bench.js'
import { memoryDb } from '../support/databases.js'
import { TestLog } from '../support/logs.js'
import { type SimDevice, World } from '../support/world.js'

let bench: Bench
let world: World | undefined
beforeEach(() => {
  bench = new Bench(memoryDb, 78)
})
afterEach(async () => {
  await bench.stop()
  await world?.stop()
  world = undefined
})

const START = new Uint8Array(0)

/** A message that is nothing but empty runs: two bytes each. */
function emptyRuns(count: number): Uint8Array {
  const one = encodeFrame({
    $case: 'changes',
    value: { openings: [], runs: [{ log: START, from: 0, changes: [], signature: START }] },
  })
  const length: number[] = []
  for (let rest = 2 * count; ; rest >>>= 7) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest)
    if (rest <= 127) break
  }
  const bytes = new Uint8Array(1 + length.length + 2 * count)
  bytes.set([one[0]!, ...length])
  for (let at = 1 + length.length; at < bytes.length; at += 2) bytes[at] = one[2]!
  return bytes
}

test('a message of nothing but empty elements is refused before it becomes objects', () => {
  const before = process.memoryUsage().heapUsed
  const frame = decodeFrame(emptyRuns(300_000))
  const grown = process.memoryUsage().heapUsed - before
  expect(frame).toBeUndefined()
  expect(grown).toBeLessThan(64 * 1024 * 1024)
})

test('cuts are matched with their openings without hashing every opening for every cut', async () => {
  let hashed = 0
  const sha256 = (bytes: Uint8Array) => {
    hashed++
    return nodeNatives.sha256(bytes)
  }
  const a = await bench.device({ natives: { ...nodeNatives, sha256 } })
  const openings = Array.from({ length: 500 }, () => ({
    device: bench.random.bytes(32),
    random: bench.random.bytes(16),
    predecessor: START,
  }))
  const cuts = openings.map(() => ({ log: '00'.repeat(16), seq: 1, check: new Uint8Array(8) }))
  hashed = 0
  await learnCuts(a.replica, cuts, openings)
  expect(hashed).toBeLessThan(10 * openings.length)
})

/** A log of so many changes that only its checks are left of, as after some years of typing. */
async function longLog(device: Device, length: number): Promise<TestLog> {
  const log = new TestLog(bench.practice, bench.member(), bench.random)
  const checks = bench.random.bytes(8 * length)
  const head = bench.random.bytes(32)
  const check = head.slice(0, 8)
  checks.set(check, checks.length - 8)
  const signed = signedHeadBytes(bench.practice, Buffer.from(log.id, 'hex'), length, head)
  const signature = nodeNatives.sign(log.keys.secret, signed)
  const fresh = device.replica.logs.fresh(log.opening)
  const stored = { ...fresh, seq: length, check, head, signature, retainedFrom: length }
  await device.sealed.write([...(await device.replica.logs.checkWrites(log.id, 0, checks)), logWrite(stored)])
  device.replica.logs.set(stored)
  return log
}

test('the beginning of a transfer fits into small messages, however many changes there were', {
  timeout: 120_000,
}, async () => {
  const [a, b] = [await bench.device(), await bench.device()]
  // Three and a half million keystrokes: a busy practice's year or two.
  const logs: TestLog[] = []
  for (let each = 0; each < 7; each++) logs.push(await longLog(a, 500_000))
  const { target, openings } = await openStates(a.replica, new Map())
  const value = { transfer: 1, openings, target: target.map(targetToWire), claims: [], cases: 0 }
  expect(encodeFrame({ $case: 'begin', value }).length).toBeLessThan(10_000)
  const incoming = await IncomingTransfer.begin(b.replica, target, openings)
  for (const ranges of stretchesOf(target)) {
    const stretches = await readChecks(a.replica, ranges)
    const frame = encodeFrame({
      $case: 'checks',
      value: { transfer: 1, stretches: stretches.map(stretchToWire) },
    })
    expect(frame.length).toBeLessThan(CHUNK_BYTES + 4096)
    await incoming.takeChecks(stretches)
  }
  await incoming.end([])
  expect(b.replica.digest()).toEqual(a.replica.digest())
  for (const { id } of logs) {
    for (const [from, to] of [
      [0, 1000],
      [262_000, 263_000],
      [499_000, 500_000],
    ] as const)
      expect(await b.replica.logs.checks(id, from, to)).toEqual(await a.replica.logs.checks(id, from, to))
  }
  expect((await b.rawKeys('u')).length).toBe(0)
})

test('where two branches of a very long log part is found in a few small messages', async () => {
  const [a, b] = [await bench.device(), await bench.device()]
  const log = await longLog(a, 500_000)
  const shared = await a.replica.logs.checks(log.id, 0, 345_678)
  const other = bench.random.bytes(8 * (450_000 - 345_678))
  const stored = {
    ...b.replica.logs.fresh(log.opening),
    seq: 450_000,
    check: other.slice(-8),
    retainedFrom: 450_000,
  }
  await b.sealed.write(await b.replica.logs.checkWrites(log.id, 0, concat([shared, other])))
  b.replica.logs.set(stored)
  let points = await forkPoints(a.replica, log.id, 0, 500_000, 450_000)
  for (let turn = 1; turn < 6; turn++) {
    expect(
      encodeFrame({ $case: 'fork', value: { log: START, points: encodePoints(points) } }).length,
    ).toBeLessThan(32_000)
    const { cut, answer } = await narrowFork((turn % 2 ? b : a).replica, log.id, points)
    if (cut) break
    points = answer!
  }
  const [cutA, cutB] = [a, b].map((device) => device.replica.logs.get(log.id)!.cut)
  expect((cutA ?? cutB)!.seq).toBe(345_678)
})

/** Text that doesn't compress, so many bytes of it. */
const noise = (bytes: number) => Buffer.from(bench.random.bytes(bytes)).toString('base64')

/** The messages in which one device gives all its cases, each within the bounds. */
async function messagesOf(device: Device): Promise<Item[][]> {
  const read = await readItems(device.replica, START, new Map(), 64 * 1024)
  const messages = itemMessages(read.items)
  for (const items of messages) {
    const value = { transfer: 1, early: false, items, claims: [], openings: [], missing: [] }
    expect(encodeFrame({ $case: 'items', value }).length).toBeLessThan(MAX_MESSAGE_BYTES)
  }
  return messages
}

test('what waits for its base counts when cases are gathered into a message', {
  timeout: 60_000,
}, async () => {
  const [a, b] = [await bench.device(), await bench.device()]
  const log = new TestLog(bench.practice, bench.member(), bench.random)
  for (let at = 0; at < 3; at++) {
    // Behind a change that never comes.
    const doc = Object.assign(new Y.Doc(), { clientID: 10 + at })
    doc.getText('t').insert(0, 'a')
    const known = Y.encodeStateVector(doc)
    doc.getText('t').insert(1, noise(9_000_000))
    const payload = encodePayload(nodeNatives, Y.encodeStateAsUpdate(doc, known))
    log.add({ caseId: 'one', generation: 0, at: 1, kind: KIND_UPDATE, payload })
    await a.replica.admit([log.opening], [log.run(at, at + 1)], log.keys.ed)
  }
  const assembly = new ItemAssembly()
  const messages = await messagesOf(a)
  expect(messages.length).toBeGreaterThan(1)
  for (const items of messages) await takeLoose(b.replica, assembly.add(items)!)
  expect(await b.contents()).toEqual(await a.contents())
  expect(await b.contents()).toMatchObject({ one: { parked: 3 } })
})

test('a case that several devices made larger than a message goes to new devices, live ones, and into a restatement', {
  timeout: 240_000,
}, async () => {
  world = new World(79)
  const [a, b] = [await world.add('a'), await world.add('b')]
  const meet = async (...devices: SimDevice[]) => {
    for (let attempt = 0; attempt < 2; attempt++) {
      for (let at = 1; at < devices.length; at++) {
        const [one, two] = [devices[at - 1]!, devices[at]!]
        if (!world!.wires.some((wire) => wire.a === one && wire.b === two)) world!.connect(one, two)
      }
      await world!.quiesce()
      world!.clock.pass(3000)
      await world!.quiesce()
    }
    for (const wire of [...world!.wires]) world!.cut(wire)
  }
  const text = (doc: Y.Doc) => doc.getText('text:notes')
  await a.edit('one', (doc) => text(doc).insert(0, 'both '))
  await a.edit('two', (doc) => text(doc).insert(0, 'after it '))
  await meet(a, b)
  // Apart, each may write twelve megabytes into it.
  for (const device of [a, b]) await device.edit('one', (doc) => text(doc).insert(0, noise(9_000_000)))
  await meet(a, b)
  const lengths = async (device: SimDevice) => {
    const doc = await device.replica.openDoc('one')
    const { length } = text(doc)
    device.replica.docs.release('one')
    return length
  }
  expect(await lengths(b)).toBe(await lengths(a))
  // A new device takes whole states.
  const c = await world.add('c')
  await meet(a, c)
  expect(c.replica.digest()).toEqual(a.replica.digest())
  expect(await lengths(c)).toBe(await lengths(a))
  // A cut restates it, and the restatement travels as changes.
  const log = a.replica.logs.get(a.replica.currentLog!)!
  await cutLog(b.replica, log.log, 0, new Uint8Array(8))
  await meet(a, b, c)
  for (const device of [a, b, c]) expect(device.failures).toEqual([])
  expect(await c.lines()).toEqual(await b.lines())
  expect(await lengths(c)).toBe(await lengths(a))
  for (const device of [b, c]) expect(device.replica.digest()).toEqual(a.replica.digest())
})

test('a case with a long history of replaced values reaches a new device whole', async () => {
  const [a, b] = [await bench.device(), await bench.device()]
  await a.type('one', 'kept ')
  await a.replica.openDoc('one')
  for (let edit = 0; edit < 2; edit++) {
    const { outcome } = await a.replica.docs.edit('one', (doc) => {
      const [values, list] = [doc.getMap('m'), doc.getArray('l')]
      for (let at = 0; at < 26_000; at++) {
        values.set('value', at)
        list.push([at])
      }
    })
    expect(outcome).toEqual({ ok: true })
  }
  // Until compaction brings it all into one part.
  for (let at = 0; at < 31; at++) await a.type('one', 'y')
  await a.transferTo(b)
  expect(b.seq(a.log)).toBe(a.seq())
  const text = async (device: Device) => ((await device.contents()).one as { text: string } | undefined)?.text
  expect({ a: await text(a), b: await text(b) }).toEqual({
    a: `${'y'.repeat(31)}kept `,
    b: `${'y'.repeat(31)}kept `,
  })
})

test('an edit that was made on top of a refused one is refused too, and not kept where nobody sees it', async () => {
  const a = await bench.device()
  await a.type('one', 'short ')
  const doc = await a.replica.openDoc('one')
  const huge = a.replica.docs.edit('one', (doc) => doc.getText('t').insert(0, 'x'.repeat(17 * 1024 * 1024)))
  // The writer has taken the first up; the second waits behind it.
  for (let turn = 0; turn < 3; turn++) await Promise.resolve()
  const after = a.replica.docs.edit('one', (doc) => doc.getText('t').insert(0, 'kept? '))
  const outcomes = [(await huge).outcome, (await after).outcome]
  expect(doc).toBeDefined()
  expect(outcomes[0]!.ok).toBe(false)
  const seen = ((await a.contents()).one as { text: string }).text
  expect({ said: outcomes[1]!.ok, seen: seen.startsWith('kept?') }).not.toEqual({ said: true, seen: false })
})
