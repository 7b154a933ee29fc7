/** What goes on while a device's store is busy: connections that break and come back, pruning, typing. */
import { afterEach, expect, it } from 'vitest'
import { createUpdate } from '../../src/cases/create.js'
import { setFields } from '../../src/cases/edit.js'
import { nodeNatives } from '../../src/node/natives.js'
import { fromHex, toHex } from '../../src/protocol/bytes.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import { cutLog, narrowFork, settleDoubts, sweepDoubts } from '../../src/store/healing.js'
import { keys } from '../../src/store/keyspace.js'
import { prune } from '../../src/store/pruning.js'
import { DoubtRow } from '../../src/store/records.gen.js'
import { seeded } from '../support/random.js'
import { type SimDevice, World } from '../support/world.js'

/** How the keys of changes begin. */
const CHANGE_ROW = 0x6c

let world: World
afterEach(() => world.stop())

const beginning = (caseId: string) => ({
  caseId,
  kind: KIND_UPDATE,
  update: createUpdate({ id: caseId, patient: { lastName: 'Nowak' } }, nodeNatives.sha256),
})

async function importCases(device: SimDevice, count: number): Promise<void> {
  const changes = Array.from({ length: count }, (_, at) => beginning(`case-${at}`))
  expect(await device.replica.append(changes)).toEqual({ ok: true })
}

const rename = (device: SimDevice, id: string, lastName: string) =>
  device.edit(id, (doc) => setFields(doc, [['patient.lastName', lastName]]))

/** Nothing that needs the store alone goes on until the one who asked for it says so. */
function busy({ replica }: SimDevice): () => Promise<void> {
  let end = () => {}
  const alone = replica.exclusive(() => new Promise<void>((resolve) => (end = resolve)))
  return () => {
    end()
    return alone
  }
}

const checksOf = async ({ replica }: SimDevice, log: string) => {
  const { seq } = replica.logs.get(log)!
  const each = Array.from({ length: seq }, (_, at) => replica.logs.checkAt(log, at + 1))
  return (await Promise.all(each)).map((check) => check && toHex(check))
}

it('what came of a transfer that broke off is taken in before another one begins, which has the same rows', async () => {
  world = new World(1)
  const a = await world.add('a')
  await importCases(a, 10)
  for (let at = 0; at < 60; at++) await rename(a, `case-${at % 10}`, `Kowal ${at}`)
  await prune(a.replica, () => [], 0)
  const [b, c] = [await world.add('b'), await world.add('c')]
  const first = world.connect(a, b)
  while (!b.driver.isReceiving) {
    world.deliver(first, true)
    world.deliver(first, false)
    await world.settle()
  }
  const free = busy(b)
  await world.quiesce()
  world.cut(first)
  // What the giver has taken in meanwhile is only in the list of the second one.
  for (let at = 0; at < 6; at++) await c.replica.append([beginning(`new-${at}`)])
  world.connect(a, c)
  await world.quiesce()
  world.connect(a, b)
  await world.quiesce()
  await free()
  await world.quiesce()
  expect(await b.lines()).toEqual(await a.lines())
  for (const { log } of a.replica.logs.all()) expect(await checksOf(b, log)).toEqual(await checksOf(a, log))
})

/** A device with changes of its own, and from when on its disk takes its time. */
async function slowDevice(seed: number, count = 12) {
  world = new World(seed)
  const random = seeded(seed)
  let isSlow = false
  world.pace = () => (isSlow ? random.int(0, 6) : 0)
  const a = await world.add('a')
  await world.add('b')
  await importCases(a, 2)
  for (let at = 0; at < count; at++) await rename(a, `case-${at % 2}`, `Kowal ${at}`)
  return { a, log: a.replica.currentLog!, random, slow: () => (isSlow = true) }
}

it('the checks of changes that are pruned while they are read are all told', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const { a, log, random, slow } = await slowDevice(seed)
    const before = await checksOf(a, log)
    expect(before).not.toContain(undefined)
    slow()
    let isOver = false
    const pruned = prune(a.replica, () => [], random.int(0, 4)).then(() => (isOver = true))
    while (!isOver) {
      expect(toHex(await a.replica.logs.checks(log, 0, before.length))).toBe(before.join(''))
      expect(await checksOf(a, log)).toEqual(before)
    }
    await pruned
    await world.stop()
  }
})

/** Two devices that hold the same, and have both written. */
async function synced(seed: number) {
  world = new World(seed)
  const [a, b] = [await world.add('a'), await world.add('b')]
  await importCases(a, 1)
  const first = world.connect(a, b)
  await world.quiesce()
  await rename(b, 'case-0', 'Kowal')
  await world.quiesce()
  return { a, b, first }
}

it('a peer that lost what it gave in an earlier session, and that waited here, is given it back', async () => {
  const { a, b, first } = await synced(2)
  const free = busy(a)
  b.disk.held = true
  await b.replica.append([beginning('new')])
  await world.quiesce()
  world.cut(first)
  b.disk.held = false
  await b.disk.crash(0)
  await b.boot()
  world.connect(a, b)
  await world.quiesce()
  expect((await b.lines()).length).toBe(1)
  await free()
  await world.quiesce()
  expect(await b.lines()).toEqual(await a.lines())
})

it('a folder that was put back, and is written to in the moment that it hears so, is compared again', async () => {
  const { a, b, first } = await synced(3)
  world.cut(first)
  // Copied after a clean stop: its log is gone on with.
  await b.driver.stop()
  await b.replica.close()
  const rows = b.disk.snapshot()
  await b.disk.restore(rows)
  await b.boot()
  await rename(b, 'case-0', 'Lis')
  const before = world.connect(a, b)
  await world.quiesce()
  world.cut(before)
  await b.disk.restore(rows)
  await b.boot()
  const log = b.replica.currentLog!
  const { db } = b.replica
  const write = db.write.bind(db)
  let goOn = () => {}
  db.write = async (writes) => {
    if (writes.some(({ key }) => key[0] === CHANGE_ROW))
      await new Promise<void>((resolve) => (goOn = resolve))
    await write(writes)
  }
  const typed = rename(b, 'case-0', 'Wilk')
  world.connect(a, b)
  await world.quiesce()
  db.write = write
  goOn()
  await typed
  expect(b.replica.logs.get(log)!.seq).toBe(a.replica.logs.get(log)!.seq)
  await world.quiesce()
  world.clock.pass(3_000)
  await world.quiesce()
  expect(toHex(b.replica.digest())).toBe(toHex(a.replica.digest()))
  expect(await b.lines()).toEqual(await a.lines())
})

it('a cut that another one has overtaken, further down, ends nothing more', async () => {
  const { a, log } = await slowDevice(1)
  const { logs, db } = a.replica
  const parting = async (seq: number) => [
    { seq, check: (await logs.checkAt(log, seq))! },
    { seq: seq + 1, check: new Uint8Array(8).fill(7) },
  ]
  const [low, high] = [await parting(3), await parting(8)]
  const { rows } = db
  let goOn = () => {}
  const held = new Promise<void>((resolve) => (goOn = resolve))
  db.rows = async function* (...range) {
    db.rows = rows
    await held
    yield* db.rows(...range)
  }
  // It has compared, and looks what is in doubt.
  const overtaken = narrowFork(a.replica, log, high)
  await world.settle()
  expect(await narrowFork(a.replica, log, low)).toEqual({ cut: true })
  goOn()
  expect(await overtaken).toEqual({ cut: false })
  expect(logs.get(log)!.cut!.seq).toBe(3)
})

it('of several contradicted doubts about a log the one that begins first says where it is cut', async () => {
  const { a, log } = await slowDevice(1)
  const doubt = (base: number) => ({ key: keys.meta(), log, base, seq: 15, check: new Uint8Array(8) })
  expect(await sweepDoubts(a.replica, [doubt(9), doubt(5), doubt(7)])).toBe(true)
  expect(a.replica.logs.get(log)!.cut!.seq).toBe(5)
})

it('a doubt that is confirmed is not taken for contradicted while its log is cut', async () => {
  const { a, log } = await slowDevice(1)
  const { logs, db } = a.replica
  const [cut, end] = [(await logs.checkAt(log, 7))!, (await logs.checkAt(log, 12))!]
  const row = DoubtRow.encode({ log: fromHex(log), base: 3, seq: 12, check: end }).finish()
  await db.write([{ key: keys.doubt(log, end), value: row }])
  const write = db.write.bind(db)
  let goOn = () => {}
  const written = new Promise<void>((resolve) => {
    db.write = async (writes) => {
      await write(writes)
      if (!writes.some(({ key, value }) => key[0] === CHANGE_ROW && !value)) return
      db.write = write
      resolve()
      // Memory follows only then.
      await new Promise<void>((resolve) => (goOn = resolve))
    }
  })
  const cutting = cutLog(a.replica, log, 7, cut)
  await written
  const settled = settleDoubts(a.replica)
  await world.settle()
  goOn()
  await cutting
  expect(await settled).toEqual([])
})

it('a check that has rotted is unknown, whatever a transfer that broke off has left in its place', async () => {
  const { a, log } = await slowDevice(1, 40)
  const { logs, db } = a.replica
  const { seq } = logs.get(log)!
  const before = toHex(await logs.checks(log, 0, seq))
  await db.write(await logs.checkWrites(log, 10, new Uint8Array(20 * 8).fill(9)))
  await db.writeUnreadable([keys.change(log, 15)])
  const unknown = `${before.slice(0, 14 * 16)}${'0'.repeat(16)}${before.slice(15 * 16)}`
  expect(toHex(await logs.checks(log, 0, seq))).toBe(unknown)
  expect(await logs.checkAt(log, 15)).toBeUndefined()
})
