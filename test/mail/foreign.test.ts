/**
 * Cases that come from somebody who holds another branch of a log than the receiver does, for the sake of other logs:
 * what they hold of that branch is told to everybody, though its numbers are such as all have. And nothing else is
 * restated for it.
 */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { setFields } from '../../src/cases/edit.js'
import type { States } from '../../src/protocol/envelope.gen.js'
import type { LogClaim } from '../../src/protocol/frontier.js'
import { decodeFrame, encodeFrame } from '../../src/protocol/wire.js'
import { readDoubts } from '../../src/store/doubts.js'
import { restateUnclaimed, settleDoubts } from '../../src/store/healing.js'
import { StatesWriter } from '../../src/store/mail-out.js'
import { takeStates } from '../../src/store/mail-sets.js'
import { openStates, readChecks } from '../../src/store/outgoing.js'
import { readCases, readChanges, readClaimed, readItems } from '../../src/store/reading.js'
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
/** The changes of a's that were lost with it. */
let lost: Awaited<ReturnType<typeof readChanges>>
afterEach(() => bench.stop())

/** @param many how many changes a makes before its folder is put back, and `after` that. */
async function begin(many: number, after: string[]): Promise<void> {
  const begun = await MailBench.begin(41, 'a', 'b', 'c')
  bench = begun.bench
  ;[a, b, c] = begun.devices
  await bench.create(a, 'one', 'two', 'three')
  log = a.replica.currentLog!
  const before = await bench.stopDevice(a)
  await a.boot()
  await bench.phone(a, 'two', 'lost 4')
  for (let at = 1; at < many; at++) await bench.phone(a, 'three', `lost ${4 + at}`)
  lost = await readChanges(a.replica, new Map([[log, 0]]), 1e9)
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

/** @param meanwhile what happens at the giver between BEGIN and its cases. */
async function transfer(
  from: MailDevice,
  to: MailDevice,
  frontier: Map<string, number>,
  ends = true,
  meanwhile?: () => Promise<unknown>,
) {
  const { target, openings, claims, told } = await openStates(from.replica, frontier)
  const incoming = await IncomingTransfer.begin(to.replica, target, openings, undefined, new Map(), claims)
  const ranges = target.map(({ seq, ...each }) => ({ ...each, to: seq }))
  await incoming.takeChecks(await readChecks(from.replica, ranges))
  await meanwhile?.()
  const read = await readItems(from.replica, new Uint8Array(0), frontier, 1e9, told)
  await incoming.take(read.items, false, read.claims)
  if (ends) await incoming.end([])
  return incoming
}

async function askedFor(
  from: MailDevice,
  to: MailDevice,
  id: string,
  before: LogClaim[] = [],
): Promise<void> {
  const { items, claims } = await readClaimed(from.replica, [from.replica.keyOf(id)])
  await takeLoose(to.replica, items, claims, new Map(), undefined, before)
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

  test('as a case that was asked for, whose giver restates all that it doubts in that moment', async () => {
    await begin(1, ['four', 'five'])
    const d = await bench.add('d')
    await transfer(b, d, new Map(), false)
    await give(log, a, c)
    const reading = readClaimed(d.replica, [d.replica.keyOf('two')])
    const [{ items, claims }] = await Promise.all([reading, restateUnclaimed(d.replica)])
    await takeLoose(c.replica, items, claims)
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

  test.each([3, 4, 5])(
    'a log of the target is the one that it goes on in: from %i on, where 3 are the same',
    async (from) => {
      await begin(4, ['four', 'five'])
      await give(log, a, c)
      await take(a, await bench.statesFrom(b, new Map([[log, from]])))
      await bench.create(a, 'six', 'seven')
      await restateUnclaimed(a.replica)
      await expectAll()
    },
  )
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

  /** @param held how much of the log d holds, `many` what the lost branch has, `after` what a has written since. */
  async function beginWith(held: number, many = 1, after = ['four', 'five']): Promise<void> {
    await begin(many, after)
    d = await bench.add('d')
    while (seqOf(d) < held) await give(log, a, d, 1)
    await name(d, 'two')
    await give(log, a, c)
    // Nobody else needs whole states for what d wrote.
    await give(d.replica.currentLog!, d, a)
  }

  async function takeLost(): Promise<void> {
    await d.replica.admit(lost.openings, lost.runs, b.ed)
    expect(seqOf(d)).toBeGreaterThan(3)
  }

  /** A set from d, which is left by mail, and what happens behind its part 0. */
  async function statesFrom(meanwhile: () => Promise<unknown>): Promise<[...States[], States | undefined]> {
    const writer = (await StatesWriter.open(d.replica, bench.random.bytes(16), frontierOf(c)))!
    const parts: States[] = [(await writer.next(0))!]
    await meanwhile()
    for (;;) {
      const part = await writer.next(parts.length)
      if (!part || part.last) return [...parts, part]
      parts.push(part)
    }
  }

  const ways: [string, (meanwhile: () => Promise<unknown>) => Promise<unknown>][] = [
    ['in a transfer', (meanwhile) => transfer(d, c, frontierOf(c), true, meanwhile)],
    ['by mail', async (meanwhile) => take(c, (await statesFrom(meanwhile)) as States[])],
  ]

  test.each(ways)('as ordinary changes, %s', async (_way, gives) => {
    await beginWith(3)
    await gives(takeLost)
    await restateUnclaimed(c.replica)
    await expectAll()
  })

  test('as ordinary changes, in a session that breaks off before both compare again', async () => {
    await beginWith(3)
    // Only what has to do with the transfer arrives.
    const course = ['hello', 'offer', 'take', 'begin', 'checks', 'items', 'end', 'ack']
    const nothing = encodeFrame({ $case: 'addresses', value: { addresses: [] } })
    const sent: string[] = []
    bench.onItsWay = (from, bytes) => {
      const kind = decodeFrame(bytes)!.$case
      if (from === c) return kind === 'offer' || !course.includes(kind) ? nothing : bytes
      if (kind === 'begin') void takeLost()
      const isCourse = course.includes(kind) && !(kind === 'hello' && sent.includes('begin'))
      if (isCourse) sent.push(kind)
      return isCourse ? bytes : nothing
    }
    // Nothing of it is retained: it goes as whole states.
    await bench.forget(d)
    const wire = bench.connect(d, c)
    await bench.quiesce()
    bench.onItsWay = undefined
    bench.cut(wire)
    expect(sent.filter((kind) => ['begin', 'items', 'end'].includes(kind))).toEqual(['begin', 'items', 'end'])
    expect((await c.lines()).join()).toContain('lost 4')
    await expectAll()
  })

  test.each(ways)('as ordinary changes of a log that it held nothing of, %s', async (_way, gives) => {
    await beginWith(0)
    await gives(takeLost)
    await restateUnclaimed(c.replica)
    await expectAll()
  })

  test.each(ways)('as ordinary changes, more than the receiver holds, %s', async (_way, gives) => {
    await beginWith(3, 2, ['four'])
    await gives(takeLost)
    await bench.create(a, 'five')
    await give(log, a, c)
    await settleDoubts(c.replica)
    await restateUnclaimed(c.replica)
    await expectAll()
  })

  async function early(meanwhile: () => Promise<unknown>): Promise<void> {
    const incoming = await transfer(d, c, frontierOf(c), false)
    await meanwhile()
    const { items, claims } = await readClaimed(d.replica, [d.replica.keyOf('two')])
    await incoming.take(items, true, claims)
    await incoming.end([])
  }

  test('as ordinary changes, more than the receiver holds, in an early case', async () => {
    await beginWith(3, 2, ['four'])
    await early(takeLost)
    await bench.create(a, 'five')
    await give(log, a, c)
    await settleDoubts(c.replica)
    await restateUnclaimed(c.replica)
    await expectAll()
  })

  test('as ordinary changes, more than the receiver holds, in a case that was asked for', async () => {
    await beginWith(3, 2, ['four'])
    await takeLost()
    await askedFor(d, c, 'two')
    await bench.create(a, 'five')
    await give(log, a, c)
    await settleDoubts(c.replica)
    await restateUnclaimed(c.replica)
    await expectAll()
  })

  test('on a doubt, in a transfer', async () => {
    await beginWith(3)
    await transfer(d, c, frontierOf(c), true, () => transfer(b, d, new Map(), false))
    await restateUnclaimed(c.replica)
    await expectAll()
  })

  test.each(ways)('restates nothing of what is the same branch, %s', async (_way, gives) => {
    await beginWith(3)
    await gives(async () => {
      await give(log, a, d)
      await name(d, 'one')
      await name(d, 'three')
    })
    await give(d.replica.currentLog!, d, c)
    await settleDoubts(c.replica)
    expect(await restateUnclaimed(c.replica)).toBe(0)
  })

  test('restates nothing of what both held before, in an early case', async () => {
    await beginWith(4, 1, ['four'])
    await bench.create(a, 'five')
    await early(() => give(log, a, d))
    await give(log, a, c)
    await settleDoubts(c.replica)
    expect(await restateUnclaimed(c.replica)).toBe(0)
  })

  test('restates nothing of what both held before by its word, in a case that was asked for', async () => {
    await beginWith(4, 1, ['four'])
    const before = [...d.replica.logs.all()]
    await bench.create(a, 'five')
    await give(log, a, d)
    await askedFor(d, c, 'two', before)
    await give(log, a, c)
    await give(d.replica.currentLog!, d, c)
    await settleDoubts(c.replica)
    expect(await restateUnclaimed(c.replica)).toBe(0)
  })

  test('restates no more than what is typed, while it is given whole states by somebody who types', async () => {
    await beginWith(3)
    await bench.create(a, ...Array.from({ length: MANY }, (_, at) => `case ${at}`))
    const ofD = await transfer(a, d, frontierOf(d), false)
    await transfer(d, c, new Map([[log, 5]]), true, async () => {
      await bench.phone(a, 'one', 'typed')
      const { items, claims } = await readClaimed(a.replica, [a.replica.keyOf('one')])
      await ofD.take(items, true, claims)
    })
    await give(log, a, c)
    await settleDoubts(c.replica)
    expect(await restateUnclaimed(c.replica)).toBeLessThanOrEqual(1)
  })

  test('gives a set up that is left by mail, and the next one names what it doubts', async () => {
    await beginWith(3)
    const parts = await statesFrom(() => transfer(b, d, new Map(), false))
    expect(parts.pop()).toBeUndefined()
    await take(c, parts as States[])
    expect((await c.lines()).join()).not.toContain('lost 4')
    await take(c, await bench.statesFrom(d, frontierOf(c)))
    await restateUnclaimed(c.replica)
    await expectAll()
  })
})
