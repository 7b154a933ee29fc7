/** Whole states by mail: in parts, in any order, more than once, with starts in between. */
import { afterEach, expect, test } from 'vitest'
import { setFields } from '../../src/cases/edit.js'
import type { States } from '../../src/protocol/envelope.gen.js'
import type { SaidClaims } from '../../src/store/doubts.js'
import { readDoubts } from '../../src/store/doubts.js'
import { cutLog, restateUnclaimed, settleDoubts, sweepDoubts } from '../../src/store/healing.js'
import type { StoredLog } from '../../src/store/logs.js'
import { StatesWriter } from '../../src/store/mail-out.js'
import { type TakenStates, takeStates } from '../../src/store/mail-sets.js'
import { casesFrom, readCases } from '../../src/store/reading.js'
import { takeLoose } from '../../src/store/transfers.js'
import type { Rows } from '../support/disk.js'
import type { MailDevice } from '../support/mail-world.js'
import { seeded } from '../support/random.js'
import { MailBench } from './mail-bench.js'

let bench: MailBench
afterEach(() => bench.stop())

async function begin(seed: number, ...names: string[]) {
  const begun = await MailBench.begin(seed, ...names)
  bench = begun.bench
  return begun.devices
}

test('a device that comes when changes are retained no longer gets whole states, and the rest as changes', async () => {
  const [a, b] = await begin(30, 'a', 'b')
  await bench.create(a, 'one', 'two')
  await bench.phone(a, 'one', '1')
  expect(await bench.forget(a)).toBe(1)
  await bench.online(a)
  await bench.phone(a, 'two', '2')
  await bench.online(a)
  await bench.online(b)
  expect(await b.lines()).toEqual(await a.lines())
  await bench.online(a)
  expect(bench.ticks(a, b)).toBe(true)
  await bench.expectSettled([a, b])
})

/** All parts of a transfer of what `device` holds beyond `base`. */
async function partsOf(device: MailDevice, base = new Map<string, number>()): Promise<States[]> {
  const writer = (await StatesWriter.open(device.replica, bench.random.bytes(16), base))!
  const parts: States[] = []
  while (!parts.at(-1)?.last) parts.push((await writer.next(parts.length))!)
  return parts
}

/** As mail is taken in: what waits is tried again as long as something fits. */
async function takeAll(device: MailDevice, parts: States[]): Promise<TakenStates['kind'][]> {
  let waiting = parts
  const kinds: TakenStates['kind'][] = []
  for (let again = true; again; ) {
    again = false
    const rest: States[] = []
    for (const part of waiting) {
      const { kind } = await takeStates(device.replica, part)
      if (kind === 'waits') rest.push(part)
      else {
        kinds.push(kind)
        again = true
      }
    }
    waiting = rest
  }
  return [...kinds, ...waiting.map(() => 'waits' as const)]
}

function permutations<T>(of: T[]): T[][] {
  if (of.length < 2) return [of]
  return of.flatMap((first, at) =>
    permutations([...of.slice(0, at), ...of.slice(at + 1)]).map((rest) => [first, ...rest]),
  )
}

/** A case of about this many bytes, which hardly compress. */
async function large(device: MailDevice, id: string, bytes: number, fields = 1): Promise<void> {
  const random = seeded(bytes)
  await bench.create(device, id)
  for (let at = 0; at < fields; at++) {
    const text = Buffer.from(random.bytes(bytes / fields)).toString('base64')
    await device.edit(id, (doc) => setFields(doc, [[FIELDS[at]!, text]]))
  }
}
const FIELDS = ['patient.phone', 'patient.email', 'patient.address'] as const

test('parts are taken in every order, with starts in between and each of them twice', async () => {
  const [a] = await begin(31, 'a')
  for (const id of ['one', 'two', 'three']) await large(a, id, 530_000)
  await bench.forget(a)
  const parts = await partsOf(a)
  expect(parts.length).toBe(5)
  const orders = permutations(parts)
  for (const [at, order] of orders.entries()) {
    if (at % 10 > 0) continue
    const b = await bench.add(`b${at}`)
    for (const part of order) {
      await takeAll(b, [part])
      if (at % 20 === 0) await bench.restart(b)
    }
    expect(await takeAll(b, [...order, ...order])).not.toContain('useless')
    expect(b.replica.logs.get([...a.replica.logs.all()][0]!.log)?.seq).toBe([...a.replica.logs.all()][0]!.seq)
    expect(await b.lines()).toEqual(await a.lines())
  }
})

test('a case that is too large for one part comes in pieces, and is whole or not there', async () => {
  const [a, b] = await begin(32, 'a', 'b')
  await large(a, 'one', 18_000_000, 3)
  await bench.forget(a)
  const parts = await partsOf(a)
  expect(parts.filter(({ items }) => items.some(({ more }) => more)).length).toBeGreaterThan(0)
  const pieces = parts.filter(({ items }) => items.length > 0)
  await takeAll(
    b,
    parts.filter(({ items }) => items.length === 0),
  )
  await takeAll(b, pieces.slice(1))
  expect(await b.lines()).toEqual([])
  await takeAll(b, [pieces[0]!, ...pieces.slice(1)])
  expect(await b.lines()).toEqual(await a.lines())
})

test('a target is adopted only where this device holds each log as far as the transfer begins', async () => {
  const [a, b] = await begin(33, 'a', 'b')
  await bench.create(a, 'one', 'two')
  const [log] = [...a.replica.logs.all()].map((held) => held.log) as [string]
  await bench.forget(a)
  const parts = await partsOf(a, new Map([[log, 1]]))
  await takeAll(b, parts)
  expect(b.replica.logs.get(log)?.seq ?? 0).toBe(0)
  expect(b.replica.meta.unclaimed).toBe(true)
  await takeAll(b, await partsOf(a))
  expect(b.replica.logs.get(log)?.seq).toBe(2)
  expect(await b.lines()).toEqual(await a.lines())
})

test('a target is adopted only on the branch that it goes on: a folder that was put back may have written another', async () => {
  const [a, b] = await begin(37, 'a', 'b')
  await bench.create(a, 'one')
  const before = await bench.stopDevice(a)
  await bench.restart(a, before)
  await bench.create(a, 'two')
  const [{ log }] = [...a.replica.logs.all()] as [StoredLog]
  expect(a.replica.logs.get(log)?.seq).toBe(2)
  const written = await bench.stopDevice(a)
  await bench.restart(a, before)
  await bench.create(a, 'three')
  expect(a.replica.logs.get(log)?.seq).toBe(2)
  await takeAll(b, await partsOf(a))
  expect(b.replica.logs.get(log)?.seq).toBe(2)
  const its = b.replica.logs.get(log)!.check

  // Whoever remembers that b had two changes of the first branch gives what lies behind them.
  await bench.restart(a, written)
  await bench.create(a, 'four')
  await bench.forget(a)
  await takeAll(b, await partsOf(a, new Map([[log, 2]])))
  expect(b.replica.logs.get(log)).toMatchObject({ seq: 2, check: its })
  expect(b.replica.meta.unclaimed).toBe(true)
})

test('what a transfer holds behind a cut that is known already stays unclaimed, and is restated', async () => {
  const [a, b] = await begin(36, 'a', 'b')
  await bench.create(a, 'one', 'two')
  const [held] = [...a.replica.logs.all()] as [StoredLog]
  const check = (await a.replica.logs.checkAt(held.log, 1))!
  await bench.forget(a)
  const parts = await partsOf(a)
  const { device: author, random, predecessor } = held
  const opening = { device: author, random, predecessor }
  expect(await cutLog(b.replica, held.log, 1, check, opening)).toBe(true)
  expect(await restateUnclaimed(b.replica)).toBe(0)
  await takeAll(b, parts)
  expect(b.replica.logs.get(held.log)?.seq).toBe(1)
  expect(b.replica.meta.unclaimed).toBe(true)
  expect(await restateUnclaimed(b.replica)).toBeGreaterThan(0)
  expect(await readDoubts(b.replica)).toEqual([])
  for await (const { touched } of casesFrom(b.replica, new Uint8Array(0)))
    expect(touched.get(held.log) ?? 0).toBeLessThanOrEqual(1)
  expect(await b.lines()).toEqual(await a.lines())
})

/** One after the other the branches of a log: `write` writes each, from the same folder. Its last folder stays. */
async function branches(a: MailDevice, writes: (() => Promise<unknown>)[]): Promise<Rows[]> {
  const before = await bench.stopDevice(a)
  const folders: Rows[] = []
  for (const write of writes) {
    await bench.restart(a, before)
    await write()
    folders.push(await bench.stopDevice(a))
  }
  return folders
}

/** Cases as a peer gives them early, on its claim of the log. */
async function giveEarly(a: MailDevice, b: MailDevice, ids: string[], said?: SaidClaims): Promise<void> {
  const items = await readCases(
    a.replica,
    ids.map((id) => a.replica.keyOf(id)),
  )
  await takeLoose(b.replica, items, [...a.replica.logs.all()], said)
}

test('what a session gives later is doubted from where it gave first; of another session it is a doubt of its own', async () => {
  const [a, b] = await begin(37, 'a', 'b')
  await bench.create(a, 'one', 'two')
  const [{ log }] = [...a.replica.logs.all()] as [StoredLog]
  const claim = (seq: number) => ({ log, seq, check: new Uint8Array(8).fill(seq) })
  const said: SaidClaims = new Map()
  await takeLoose(b.replica, [], [claim(5)], said)
  await bench.forget(a)
  await takeAll(b, await partsOf(a))
  expect(b.replica.logs.get(log)?.seq).toBe(2)
  await takeLoose(b.replica, [], [claim(6)], said)
  const places = async () => (await readDoubts(b.replica)).map(({ base, seq }) => [base, seq])
  expect(await places()).toEqual([[0, 6]])
  await takeLoose(b.replica, [], [claim(7)])
  await takeLoose(b.replica, [], [claim(6)])
  expect(await places()).toEqual([
    [0, 6],
    [2, 7],
  ])
  for (let seq = 8; seq < 15; seq++) await takeLoose(b.replica, [], [claim(seq)])
  expect(await places()).toEqual([...[8, 9, 10, 11, 12, 13, 14].map((seq) => [2, seq]), [0, 7]])
})

test('what came on one branch of a log is restated, though the frontier follows another one that content came on as well', async () => {
  const [a, b] = await begin(38, 'a', 'b')
  await bench.create(a, 'one', 'two')
  const [first, second] = (await branches(a, [
    () => bench.phone(a, 'two', 'bee'),
    () => bench.create(a, 'three', 'four'),
  ])) as [Rows, Rows]
  await bench.restart(a, first)
  await giveEarly(a, b, ['two'])
  // That folder is gone for good. From now on nobody but b has what was typed in it.
  await bench.restart(a, second)
  await giveEarly(a, b, ['three'])
  await takeAll(b, await partsOf(a))
  const [{ log }] = [...a.replica.logs.all()] as [StoredLog]
  expect(b.replica.logs.get(log)?.seq).toBe(4)
  const contradicted = await settleDoubts(b.replica)
  expect(contradicted).toMatchObject([{ log, base: 0, seq: 3 }])
  expect(await sweepDoubts(b.replica, contradicted)).toBe(true)
  const { state } = await b.replica.cases.draft(b.replica.keyOf('two'), 'two')
  expect(state.touched.get(log)).toBe(0)
  expect(state.touched.get(b.replica.currentLog!)).toBeGreaterThan(0)
  expect(await readDoubts(b.replica)).toEqual([])
})

test('a target that confirms a doubt is doubted from where that began, unless it goes on what is held', async () => {
  const [a, b] = await begin(39, 'a', 'b')
  await bench.create(a, 'one')
  const [first, second] = (await branches(a, [
    () => bench.create(a, 'two', 'three', 'four'),
    () => bench.create(a, 'five'),
  ])) as [Rows, Rows]
  const [{ log }] = [...a.replica.logs.all()] as [StoredLog]
  const from = new Map([[log, 2]])
  const places = async () => (await readDoubts(b.replica)).map(({ base, seq }) => [base, seq])
  await bench.restart(a, first)
  await giveEarly(a, b, ['two', 'three', 'four'])
  await bench.restart(a, second)
  await takeAll(b, await partsOf(a))
  expect([b.replica.logs.get(log)?.seq, await places()]).toEqual([2, [[0, 4]]])
  await bench.restart(a, first)
  await takeAll(b, (await partsOf(a, from)).slice(0, 1))
  expect(await places()).toEqual([[0, 4]])
})

test('without its first part nothing of a transfer is taken, and what is no part is of no use', async () => {
  const [a, b] = await begin(34, 'a', 'b')
  await bench.create(a, 'one')
  const parts = await partsOf(a)
  expect(await takeAll(b, parts.slice(1))).toEqual(parts.slice(1).map(() => 'waits'))
  expect(await b.lines()).toEqual([])
  for (const wrong of [
    { ...parts[0]!, set: new Uint8Array(15) },
    { ...parts[0]!, index: 65_536 },
    { ...parts[0]!, target: [{ ...parts[0]!.target[0]!, log: new Uint8Array(3) }] },
  ])
    expect((await takeStates(b.replica, wrong)).kind).toBe('useless')
})

test('sixteen unfinished transfers are remembered, the oldest makes room, and each can still end', async () => {
  const [a, b] = await begin(35, 'a', 'b')
  await bench.create(a, 'one')
  const sets: States[][] = []
  for (let at = 0; at < 18; at++) sets.push(await partsOf(a))
  for (const parts of sets) await takeAll(b, parts.slice(0, 1))
  expect(await takeAll(b, sets[0]!.slice(1))).toEqual(sets[0]!.slice(1).map(() => 'waits'))
  expect(await takeAll(b, sets[17]!)).not.toContain('waits')
  expect(await b.lines()).toEqual(await a.lines())
})

test.each(['another device', 'the author'] as const)(
  'states of a branch that the log has left are seen as a fork by %s, and what they brought reaches everybody',
  async (taker) => {
    const [a, b, c] = await begin(36, 'a', 'b', 'c')
    await bench.create(a, 'one')
    const [log] = [...a.replica.logs.all()].map((held) => held.log) as [string]
    bench.connect(a, c)
    await bench.quiesce()
    const folder = await bench.stopDevice(a)
    await a.boot()
    await bench.phone(a, 'one', 'left')
    await bench.forget(a)
    const left = await partsOf(a, new Map([[log, 1]]))
    await bench.restart(a, folder)
    await bench.create(a, 'two')
    expect(a.replica.logs.get(log)?.seq).toBe(2)
    const device = taker === 'the author' ? a : b
    if (device === b) {
      bench.connect(a, b)
      await bench.quiesce()
    }
    expect(await takeAll(device, left)).not.toContain('waits')
    device.driver.tookMail(false)
    await bench.pass(6_000)
    for (const wire of [...bench.wires]) bench.cut(wire)
    // Whoever wrote or sent it is not needed.
    bench.connect(device, c)
    await bench.pass(6_000)
    expect(device.replica.logs.get(log)?.cut?.seq).toBe(1)
    expect((await c.lines()).join()).toContain('left')
    expect(await c.lines()).toEqual(await device.lines())
  },
)
