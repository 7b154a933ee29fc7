/** What a device asks for by mail: which of its damaged cases, and how often anew. */
import { beforeEach, expect, test, vi } from 'vitest'
import { isSoundAsking, MailAsking } from '../../src/node/mail-asking.js'
import type { MailDriverOptions } from '../../src/node/mail-driver-session.js'
import { toHex } from '../../src/protocol/bytes.js'
import { MAX_WANTED } from '../../src/protocol/limits.js'

vi.mock('../../src/store/asked.js', () => ({ noteAsked: vi.fn(), standBeforeAsking: vi.fn() }))

const key = (n: number) => new Uint8Array(16).fill(n)
const OTHER = new Uint8Array(32).fill(2)

let now: number
let head: Uint8Array
let drawn: number
let damaged: Map<string, Uint8Array>
let waiting: { at: number; run: () => void }[]
let stated: number
let asking: MailAsking

/** As `CaseTable` marks a case: each marking is another object. */
function mark(...numbers: number[]): void {
  for (const n of numbers) damaged.set(toHex(key(n)), key(n))
}
function whole(...numbers: number[]): void {
  for (const n of numbers) damaged.delete(toHex(key(n)))
}
const wanted = async () => (await asking.current()).wanted.map(([first]) => first!)
const idNow = async () => toHex((await asking.current()).id)
const heard = async () => (await asking.current()).heard
const answer = async (missing: Uint8Array[] = []) =>
  asking.answered(OTHER, { asking: (await asking.current()).id, missing, isAsFar: true })

beforeEach(() => {
  now = 0
  head = key(1)
  drawn = 0
  damaged = new Map()
  waiting = []
  stated = 0
  const options = {
    replica: { damaged, cases: {}, exclusive: (work: () => unknown) => work() },
    roster: { head: () => head, others: () => [OTHER, key(3)], collectors: () => [OTHER] },
    random: (length: number) => new Uint8Array(length).fill(++drawn),
    now: () => now,
    timers: {
      after: (ms: number, run: () => void) => {
        waiting.push({ at: now + ms, run })
        return () => {}
      },
    },
  } as unknown as MailDriverOptions
  asking = new MailAsking(options, () => stated++)
})

test('one asking stands while the cases that it names come back', async () => {
  mark(1, 2, 3)
  expect(await wanted()).toEqual([1, 2, 3])
  const id = await idNow()
  whole(2)
  expect(await wanted()).toEqual([1, 3])
  now = 10 * 24 * 3_600_000
  expect(await idNow()).toBe(id)
})

test('cases that come to be damaged meanwhile are asked for a minute after it began, with those that are left', async () => {
  mark(1)
  const id = await idNow()
  now = 20_000
  mark(2)
  expect(await wanted()).toEqual([1])
  expect(waiting.map(({ at }) => at)).toEqual([60_000])
  now = 60_000
  expect((await wanted()).sort()).toEqual([1, 2])
  expect(await idNow()).not.toBe(id)
})

test('at once where nothing is asked for', async () => {
  mark(1)
  const id = await idNow()
  whole(1)
  expect(await wanted()).toEqual([])
  mark(2)
  expect(await wanted()).toEqual([2])
  expect(await idNow()).not.toBe(id)
})

test('one that was whole in between, or is named once more, is another marking, and is asked for anew', async () => {
  mark(1)
  const id = await idNow()
  mark(1)
  now = 60_000
  expect(await wanted()).toEqual([1])
  expect(await idNow()).not.toBe(id)
})

test('with another roster everything is asked for anew, for there may be others', async () => {
  mark(1)
  const id = await idNow()
  head = key(2)
  expect(await wanted()).toEqual([1])
  expect(await idNow()).not.toBe(id)
  expect(await idNow()).toBe(await idNow())
})

test('who has answered is named until the next asking', async () => {
  mark(1)
  expect(await heard()).toEqual([])
  await answer()
  expect(await heard()).toEqual([OTHER])
  mark(2)
  now = 60_000
  expect(await heard()).toEqual([])
})

test('who is not as far, or answers an earlier asking, has not answered', async () => {
  mark(1)
  const { id } = await asking.current()
  await asking.answered(OTHER, { asking: id, missing: [], isAsFar: false })
  await asking.answered(OTHER, { asking: key(77), missing: [], isAsFar: true })
  expect(await heard()).toEqual([])
})

test('more than one asking may name take turns: when all have answered, or after a day', async () => {
  const count = 2 * MAX_WANTED + 10
  mark(...Array.from({ length: count }, (_, at) => at + 1))
  const seen = new Set(await wanted())
  expect(seen.size).toBe(MAX_WANTED)
  now = 3_600_000
  for (const each of await wanted()) seen.add(each)
  expect(seen.size).toBe(MAX_WANTED)
  await answer()
  for (const each of await wanted()) seen.add(each)
  expect(seen.size).toBe(2 * MAX_WANTED)
  now += 24 * 3_600_000
  for (const each of await wanted()) seen.add(each)
  expect(seen.size).toBe(count)
  // All were named: the next turn comes after a day, whoever has answered.
  const id = await idNow()
  const last = await wanted()
  now += 3_600_000
  await answer()
  expect(await idNow()).toBe(id)
  now += 24 * 3_600_000
  expect((await wanted()).filter((each) => last.includes(each))).toEqual([])
})

test.each([
  [true, {}],
  [false, { id: new Uint8Array(0) }],
  [false, { wanted: [key(1), new Uint8Array(15)] }],
  [false, { heard: [new Uint8Array(31)] }],
])('an asking of a wrong shape is passed over (%s)', (isSound, wrong) => {
  expect(isSoundAsking({ id: key(1), wanted: [key(2)], heard: [OTHER], ...wrong })).toBe(isSound)
})

test('a timer says that more is asked for by now', async () => {
  mark(1)
  await wanted()
  mark(2)
  await wanted()
  waiting[0]!.run()
  expect(stated).toBe(1)
})
