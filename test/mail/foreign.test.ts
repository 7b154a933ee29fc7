/**
 * Cases that come from somebody who holds another branch of a log than the receiver does, for the sake of other logs:
 * what they hold of that branch is told to everybody, though its numbers are such as all have. And nothing else is
 * restated for it.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { setFields } from '../../src/cases/edit.js'
import type { States } from '../../src/protocol/envelope.gen.js'
import { readDoubts } from '../../src/store/doubts.js'
import { restateUnclaimed, settleDoubts } from '../../src/store/healing.js'
import { StatesWriter } from '../../src/store/mail-out.js'
import { takeStates } from '../../src/store/mail-sets.js'
import { claimsOfCases, openStates, readChecks } from '../../src/store/outgoing.js'
import { readCases, readChanges, readItems } from '../../src/store/reading.js'
import { IncomingTransfer, takeLoose } from '../../src/store/transfers.js'
import type { MailDevice } from '../support/mail-world.js'
import { MailBench } from './mail-bench.js'

const MANY = 40
let bench: MailBench
/** Its folder is put back, and it goes on in its log. */
let a: MailDevice
/** Has what a wrote before that, from the fourth change on. */
let b: MailDevice
/** Has all of b's log, and none of a's. */
let c: MailDevice
let log: string
afterEach(() => bench.stop())

/** @param lost how many changes a makes before its folder is put back, and `after` that. */
async function begin(lost: number, after: string[]): Promise<void> {
  const begun = await MailBench.begin(41, 'a', 'b', 'c')
  bench = begun.bench
  ;[a, b, c] = begun.devices
  await bench.create(a, 'one', 'two', 'three')
  log = a.replica.currentLog!
  const before = await bench.stopDevice(a)
  await a.boot()
  await bench.phone(a, 'two', 'lost 4')
  for (let at = 1; at < lost; at++) await bench.phone(a, 'three', `lost ${4 + at}`)
  await bench.meet(a, b)
  await name(b, 'two')
  await name(b, 'three')
  await give(b.replica.currentLog!, b, c)
  await bench.restart(a, before)
  await bench.create(a, ...after)
}

const name = (device: MailDevice, id: string) =>
  device.edit(id, (doc) => setFields(doc, [['patient.firstName', `of ${device.name}`]]))

const seqOf = (device: MailDevice, id = log) => device.replica.logs.get(id)?.seq ?? 0

async function give(id: string, from: MailDevice, to: MailDevice, bytes = 1e9): Promise<void> {
  const read = await readChanges(from.replica, new Map([[id, seqOf(to, id)]]), bytes)
  await to.replica.admit(read.openings, read.runs, from.ed)
}

async function take(device: MailDevice, parts: States[]): Promise<void> {
  for (const part of parts) await takeStates(device.replica, part)
}

async function transfer(from: MailDevice, to: MailDevice, frontier: Map<string, number>, ends = true) {
  const { target, openings, claims } = await openStates(from.replica, frontier)
  const incoming = await IncomingTransfer.begin(to.replica, target, openings, undefined, new Map(), claims)
  const ranges = target.map(({ seq, ...each }) => ({ ...each, to: seq }))
  await incoming.takeChecks(await readChecks(from.replica, ranges))
  await incoming.take((await readItems(from.replica, new Uint8Array(0), frontier, 1e9)).items, false)
  if (ends) await incoming.end([])
}

async function askedFor(from: MailDevice, to: MailDevice, id: string): Promise<void> {
  const items = await readCases(from.replica, [from.replica.keyOf(id)])
  await takeLoose(to.replica, items, (await claimsOfCases(from.replica, items)).claims)
}

const frontierOf = ({ replica }: MailDevice) =>
  new Map([...replica.logs.all()].map(({ log, seq }) => [log, seq]))

async function expectAll(): Promise<void> {
  await bench.meet(a, c)
  await bench.meet(a, c)
  expect(await c.lines()).toEqual(await a.lines())
  expect((await c.lines()).join()).toContain('lost 4')
}

describe('a receiver that holds as much of another branch', () => {
  const base = () => new Map([[log, 5]])

  test('by mail', async () => {
    await begin(1, ['four', 'five'])
    await take(a, await bench.statesFrom(b, base()))
    expect(seqOf(a, b.replica.currentLog!)).toBe(2)
    await expectAll()
  })

  test('by mail, where the first part can’t be stored at once', async () => {
    await begin(1, ['four', 'five'])
    const parts = await bench.statesFrom(b, base())
    vi.spyOn(c.replica, 'commitCases').mockRejectedValueOnce(new Error('the disk'))
    await expect(takeStates(c.replica, parts[0])).rejects.toThrow('the disk')
    await take(c, parts)
    await give(log, a, c)
    await restateUnclaimed(c.replica)
    await expectAll()
  })

  test('in a transfer', async () => {
    await begin(1, ['four', 'five'])
    await transfer(b, a, base())
    await expectAll()
  })

  test('as a case that was asked for or is under a busy pen', async () => {
    await begin(1, ['four', 'five'])
    const items = await readCases(b.replica, [b.replica.keyOf('two')])
    const [ofA, ofB] = [b.replica.logs.get(log)!, b.replica.logs.get(b.replica.currentLog!)!]
    await give(ofB.log, b, a)
    await takeLoose(a.replica, items, [ofA, ofB])
    await expectAll()
  })

  test('as an early case, from somebody who only doubts it', async () => {
    await begin(1, ['four', 'five'])
    const d = await bench.add('d')
    await transfer(b, d, new Map(), false)
    await bench.create(d, 'of d')
    await give(log, a, c)
    const { target, openings, claims } = await openStates(d.replica, frontierOf(c))
    const incoming = await IncomingTransfer.begin(c.replica, target, openings, undefined, new Map(), claims)
    await incoming.take(await readCases(d.replica, [d.replica.keyOf('two')]), true, [])
    await incoming.end([])
    await restateUnclaimed(c.replica)
    await expectAll()
  })

  test('as a case that was asked for, from somebody who only doubts it', async () => {
    await begin(1, ['four', 'five'])
    const d = await bench.add('d')
    await transfer(b, d, new Map(), false)
    await give(log, a, c)
    await askedFor(d, c, 'two')
    await restateUnclaimed(c.replica)
    await expectAll()
  })

  test('what it restates is what came, and only once', async () => {
    await begin(1, ['four', 'five'])
    await take(a, await bench.statesFrom(b, base()))
    expect(await restateUnclaimed(a.replica)).toBe(2)
    expect(a.replica.meta.unclaimed).toBe(false)
    expect(await restateUnclaimed(a.replica)).toBe(0)
  })

  test.each([1, 2, 3])(
    'a log of the target begins on another branch than its %i last changes',
    async (own) => {
      await begin(4, ['four', 'five', 'six'].slice(0, own))
      a.replica.leaveLog()
      await give(log, a, c)
      await take(a, await bench.statesFrom(b, base()))
      await restateUnclaimed(a.replica)
      await expectAll()
    },
  )

  test('a log of the target is the one that it goes on in', async () => {
    await begin(4, ['four', 'five'])
    await give(log, a, c)
    await take(a, await bench.statesFrom(b, base()))
    await bench.create(a, 'six', 'seven')
    await restateUnclaimed(a.replica)
    await expectAll()
  })
})

describe('a receiver that holds nothing of the log yet', () => {
  test.each([true, false])('which comes on another branch: after the cases %s', async (after) => {
    await begin(1, ['four', 'five'])
    const [first, ...parts] = await bench.statesFrom(b, new Map([[log, 5]]))
    await takeStates(c.replica, first!)
    if (!after) await give(log, a, c)
    await take(c, parts)
    if (after) await give(log, a, c)
    await restateUnclaimed(c.replica)
    await expectAll()
  })

  test('and gets cases from somebody who only doubts it', async () => {
    await begin(1, ['four', 'five'])
    const d = await bench.add('d')
    await transfer(b, d, new Map(), false)
    await bench.create(d, 'of d')
    await transfer(d, c, frontierOf(c))
    await give(log, a, c)
    await restateUnclaimed(c.replica)
    await expectAll()
  })
})

test.each([0, 3])(
  'a receiver of a case that was asked for holds %i of the log, which its giver doubts on two branches',
  async (before) => {
    await begin(1, ['four', 'five'])
    const d = await bench.add('d')
    await transfer(b, d, new Map(), false)
    await transfer(a, d, new Map(), false)
    while (seqOf(c) < before) await give(log, a, c, 1)
    expect(seqOf(c)).toBe(before)
    await askedFor(d, c, 'two')
    await askedFor(d, c, 'two')
    // Neither branch has taken the other's place, and none is noted as one of the receiver's own.
    expect(await readDoubts(c.replica)).toEqual([])
    await give(log, a, c)
    await settleDoubts(c.replica)
    await restateUnclaimed(c.replica)
    await expectAll()
  },
)

describe('nothing is restated', () => {
  test('of whoever holds the same branch, or less of it', async () => {
    await begin(1, ['four', 'five'])
    await bench.meet(a, c)
    await name(c, 'one')
    await take(a, await bench.statesFrom(c, new Map([[log, 5]])))
    expect(a.replica.meta.unclaimed).toBe(false)
  })

  test('where a letter that the giver counts on is read after its cases', async () => {
    await begin(0, [])
    const ids = Array.from({ length: MANY }, (_, at) => `case ${at}`)
    await bench.create(a, ...ids)
    await bench.meet(a, c)
    const d = await bench.add('d')
    await bench.meet(a, d)
    await bench.create(a, 'one more')
    await give(log, a, d)
    for (const id of ids) await name(d, id)
    await take(c, await bench.statesFrom(d, new Map([[log, seqOf(d)]])))
    await give(log, a, c)
    await settleDoubts(c.replica)
    expect(await restateUnclaimed(c.replica)).toBe(0)
  })

  test('where the giver is itself in the midst of a transfer', async () => {
    await begin(0, [])
    const d = await bench.add('d')
    await bench.meet(a, c)
    await bench.meet(a, d)
    await bench.create(d, 'of d')
    await bench.create(a, ...Array.from({ length: MANY }, (_, at) => `case ${at}`))
    await transfer(a, d, frontierOf(d), false)
    await transfer(d, c, frontierOf(c))
    await give(log, a, c)
    await settleDoubts(c.replica)
    expect(await restateUnclaimed(c.replica)).toBe(0)
  })
})

/** d has written in the case that the lost branch has changed, too. */
describe('a giver that takes another branch on while it gives', () => {
  let d: MailDevice
  beforeEach(async () => {
    await begin(1, ['four', 'five'])
    d = await bench.add('d')
    while (seqOf(d) < 3) await give(log, a, d, 1)
    await name(d, 'two')
    await give(log, a, c)
  })

  test('gives a set up that is left by mail, and the next one names what it doubts', async () => {
    const writer = (await StatesWriter.open(d.replica, bench.random.bytes(16), frontierOf(c)))!
    const parts = [(await writer.next(0))!]
    await transfer(b, d, new Map(), false)
    let part: States | undefined
    do {
      part = await writer.next(parts.length)
      if (part) parts.push(part)
    } while (part && !part.last)
    expect(part).toBeUndefined()
    await take(c, parts)
    expect((await c.lines()).join()).not.toContain('lost 4')
    await take(c, await bench.statesFrom(d, frontierOf(c)))
    await restateUnclaimed(c.replica)
    await expectAll()
  })
})
