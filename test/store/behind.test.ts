/** A case of which it isn't known what was held of it becomes whole only with a copy of who has all that I claim. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { toHex } from '../../src/protocol/bytes.js'
import { noteAsked } from '../../src/store/asked.js'
import { cutLog } from '../../src/store/healing.js'
import { keys } from '../../src/store/keyspace.js'
import { StatesWriter } from '../../src/store/mail-out.js'
import { takeStates } from '../../src/store/mail-sets.js'
import { claimsOfCases, openStates } from '../../src/store/outgoing.js'
import { readCases, readItems } from '../../src/store/reading.js'
import { IncomingTransfer, takeLoose } from '../../src/store/transfers.js'
import { Bench, type Device } from '../suites/store/bench.js'
import { memoryDb } from '../support/databases.js'

const START = new Uint8Array(0)

let bench: Bench
/** Wrote the case. */
let a: Device
/** Holds all of it, and nothing of it as changes. */
let b: Device
/** Is behind by one sentence, and has written in the case itself. */
let c: Device
beforeEach(async () => {
  bench = new Bench(memoryDb, 44)
  a = await bench.device()
  b = await bench.device()
  c = await bench.device()
  await a.type('one', 'first ')
  await a.giveTo(c)
  await a.type('one', 'second ')
  await a.transferTo(b)
  await c.type('one', 'third ')
})
afterEach(() => bench.stop())

/** All of it rots, and that is noticed. */
async function rot(device: Device): Promise<void> {
  const name = toHex(device.key('one'))
  for (const letter of 'cp')
    for (const key of await device.rawKeys(letter)) if (toHex(key).includes(name)) await device.damage(key)
  await device.reopen()
  await readItems(device.replica, START, new Map(), 1e9)
  expect(device.replica.damaged.size).toBe(1)
}

const textOf = async ({ replica }: Device) => (await replica.openDoc('one')).getText('t').toString()

async function inTransfer(from: Device, to: Device): Promise<void> {
  const frontier = to.frontier()
  const { target, openings, claims } = await openStates(from.replica, frontier)
  const incoming = await IncomingTransfer.begin(to.replica, target, openings, undefined, new Map(), claims)
  await incoming.take((await readItems(from.replica, START, frontier, 1e9)).items, false)
}

async function byMail(from: Device, to: Device): Promise<void> {
  const writer = await StatesWriter.open(from.replica, bench.random.bytes(16), to.frontier())
  for (let index = 0, isLast = false; !isLast; index++) {
    const part = (await writer!.next(index))!
    await takeStates(to.replica, part)
    isLast = part.last
  }
}

async function early(from: Device, to: Device): Promise<void> {
  const items = await readCases(from.replica, [to.key('one')])
  await takeLoose(to.replica, items, (await claimsOfCases(from.replica, items)).claims)
}

const ways: [string, (from: Device, to: Device) => Promise<void>][] = [
  ['in a transfer', inTransfer],
  ['by mail', byMail],
  ['as an early case', early],
]

test.each(ways)('%s: not with the copy of who is behind, but with that of who is not', async (_, give) => {
  await rot(b)
  await give(c, b)
  expect(b.replica.damaged.size).toBe(1)
  expect(await textOf(b)).toBe('third first ')
  await c.giveTo(a)
  await a.type('one', 'more ')
  await give(a, b)
  expect(b.replica.damaged.size).toBe(0)
  expect(await textOf(b)).toMatch(/second /)
  expect(await textOf(b)).toMatch(/third /)
})

test('what I retain may make up for what its giver lacks, unless it has rotted, too', async () => {
  const d = await bench.device()
  await a.giveTo(d)
  await rot(d)
  const last = keys.change(a.log, a.seq())
  const value = await d.rawGet(last)
  await d.damage(last)
  await early(c, d)
  expect(d.replica.damaged.size).toBe(1)
  await d.rawPut(last, value)
  await early(c, d)
  expect(d.replica.damaged.size).toBe(0)
  expect(await textOf(d)).toMatch(/second /)
})

test('a giver that only doubts a log holds nothing of it', async () => {
  const d = await bench.device()
  await a.create('another')
  const incoming = await a.begin(d, await openStates(a.replica, new Map()))
  // The transfer has not come to the case yet.
  await incoming.take(await readCases(a.replica, [a.key('another')]), false)
  await d.type('one', 'third ')
  await a.giveTo(b)
  await rot(b)
  await inTransfer(d, b)
  expect(b.replica.damaged.size).toBe(1)
})

describe('what is retained of a damaged case is kept', () => {
  let d: Device
  beforeEach(async () => {
    d = await bench.device()
    await a.giveTo(d)
    for (const part of await d.rawKeys('p')) await d.damage(part)
    await d.reopen()
    await readItems(d.replica, START, new Map(), 1e9)
    expect(d.replica.damaged.size).toBe(1)
  })

  /** Nobody else can read it, either. */
  async function expectKept(): Promise<void> {
    await noteAsked(d.replica, [a.key('one')], a.keys.ed, [a.keys.ed])
    expect(d.replica.damaged.size).toBe(0)
    expect(await textOf(d)).toBe('second first ')
  }

  test('when a target lets go of it', async () => {
    await a.create('another')
    const incoming = await a.begin(d, await openStates(a.replica, d.frontier()))
    await incoming.end([a.key('one')])
    expect(d.replica.logs.get(a.log)).toMatchObject({ seq: a.seq(), retainedFrom: a.seq() })
    await expectKept()
  })

  test('when its log is cut', async () => {
    const check = await d.replica.logs.checkAt(a.log, 1)
    expect(await cutLog(d.replica, a.log, 1, check!)).toBe(true)
    await expectKept()
  })
})
