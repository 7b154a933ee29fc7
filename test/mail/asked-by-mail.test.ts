/** A case that has rotted comes back by mail, where two devices never meet. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { MailAsking } from '../../src/node/mail-asking.js'
import type { States } from '../../src/protocol/envelope.gen.js'
import { MAX_DAMAGED } from '../../src/protocol/limits.js'
import { decodeMailFrame } from '../../src/protocol/mailbox-wire.js'
import { askedFor } from '../../src/store/asked.js'
import { keys } from '../../src/store/keyspace.js'
import { AnswerWriter, type TakenAnswer } from '../../src/store/mail-answers.js'
import { type PartsWriter, StatesWriter } from '../../src/store/mail-out.js'
import { takeStates } from '../../src/store/mail-sets.js'
import { toKey } from '../support/light-level.js'
import type { MailDevice } from '../support/mail-world.js'
import { MailBench } from './mail-bench.js'

let bench: MailBench
let a: MailDevice
let b: MailDevice
let c: MailDevice

async function begin(...names: string[]): Promise<void> {
  const begun = await MailBench.begin(67, ...names)
  bench = begun.bench
  ;[a, b, c] = begun.devices
}
afterEach(() => bench.stop())

/** Each is alone with the relay for a while, one after the other. */
async function rounds(count: number, devices: MailDevice[], ms = 24_000): Promise<void> {
  for (let round = 0; round < count; round++) for (const device of devices) await bench.online(device, ms)
}

const marked = (device: MailDevice) => device.replica.damaged.size
const text = async (device: MailDevice) => (await device.lines()).join()

/** How many envelopes each device has left, from now on. */
function countDeposits(): Map<string, number> {
  const left = new Map<string, number>()
  bench.onMail = ({ name }, bytes) => {
    if (decodeMailFrame(bytes)?.$case === 'deposit') left.set(name, (left.get(name) ?? 0) + 1)
  }
  return left
}

describe('a case that has rotted', () => {
  beforeEach(async () => {
    await begin('a', 'b')
    await bench.create(a, 'one', 'two')
    await bench.phone(a, 'one', 'a sentence')
    await rounds(2, [a, b])
    await bench.forget(a)
    await bench.forget(b)
  })

  test.each([
    ['row', 'c'],
    ['part', 'p'],
    ['row and part', 'cp'],
  ])('its %s: is fetched by mail', async (_what, kinds) => {
    await bench.rot(b, 'one', kinds)
    await rounds(2, [b, a])
    expect(marked(b)).toBe(0)
    expect(await text(b)).toContain('a sentence')
    await rounds(2, [a, b])
    await bench.expectSettled([a, b])
    expect(a.replica.digest()).toEqual(b.replica.digest())
  })

  test('is answered once, however often its giver and who asks come by', async () => {
    await bench.rot(b, 'one', 'p')
    await bench.online(b)
    const left = countDeposits()
    await rounds(3, [a])
    const once = left.get('a')
    await bench.restart(a)
    await rounds(3, [a])
    expect(left.get('a')).toBe(once)
    await rounds(3, [b, a])
    expect(left.get('a')).toBe(once)
    expect(marked(b)).toBe(0)
  })

  test('is answered again where the answer got lost', async () => {
    await bench.rot(b, 'one', 'p')
    await bench.online(b)
    await bench.online(a)
    await bench.relay.expire()
    await rounds(3, [a, b])
    expect(marked(b)).toBe(0)
    expect(await text(b)).toContain('a sentence')
  })

  test('is fetched behind what both go on writing', async () => {
    await bench.rot(b, 'one', 'p')
    for (let day = 0; day < 3; day++) {
      await bench.phone(a, 'two', `day ${day}`)
      await bench.online(a)
      await b.edit('two', (doc) => doc.getText(`b${day}`).insert(0, 'b'))
      await bench.online(b)
    }
    await rounds(2, [a, b])
    expect(marked(b)).toBe(0)
    await bench.expectSettled([a, b])
    expect(await text(b)).toContain('a sentence')
  })

  test('[H5] at both devices is as whole as it gets, and both are told the same of it', async () => {
    await bench.rot(a, 'one', 'p')
    await bench.rot(b, 'one', 'c')
    await rounds(4, [a, b])
    expect([marked(a), marked(b)]).toEqual([0, 0])
    await bench.expectSettled([a, b])
    expect(await text(a)).toContain('a sentence')
  })

  test('[H5] that nobody can read any more ends with a word on each device', async () => {
    const told: string[] = []
    for (const device of [a, b]) {
      await bench.rot(device, 'one', 'p')
      device.replica.events.ended = (how) => told.push(`${device.name} ${how}`)
    }
    await rounds(4, [a, b])
    expect([marked(a), marked(b)]).toEqual([0, 0])
    // The other one takes what that one made do with.
    expect(told).toEqual(['a lost'])
    await bench.expectSettled([a, b])
  })
})

describe('of three devices', () => {
  /** a's sentence came to b with whole cases, so b retains no change that holds it; c has not heard of it. */
  beforeEach(async () => {
    await begin('a', 'b', 'c')
    await bench.create(a, 'one', 'two')
    await rounds(2, [a, b, c])
    c.collects = false
    await bench.phone(a, 'one', 'a sentence')
    await bench.forget(a)
    await rounds(2, [a, b])
    await bench.forget(b)
    await bench.rot(b, 'one', 'p')
    c.collects = true
  })

  test('one that is behind makes nobody whole, and one that isn’t does', async () => {
    await bench.phone(c, 'one', 'of c')
    await rounds(3, [b, c])
    // c has come to claim what b could not give it.
    expect([marked(b), marked(c)]).toEqual([1, 1])
    await rounds(3, [a, b, c])
    expect([a, b, c].map(marked)).toEqual([0, 0, 0])
    for (const device of [a, b, c]) expect(await text(device)).toMatch(/a sentence|of c/)
    await bench.expectSettled([a, b, c])
  })

  test('[H5] it ends where the third can’t read it, either, and not before that was asked', async () => {
    await rounds(3, [b, c])
    expect([marked(b), marked(c)]).toEqual([1, 1])
    await bench.rot(a, 'one', 'p')
    await rounds(4, [a, b, c])
    expect([a, b, c].map(marked)).toEqual([0, 0, 0])
    await bench.expectSettled([a, b, c])
  })
})

test('a case that its giver can’t read is named in whole states by mail, and both come to an end with it', async () => {
  await begin('a', 'b')
  await bench.create(a, 'one', 'two')
  await rounds(2, [a, b])
  await bench.phone(a, 'one', 'a sentence')
  await bench.phone(a, 'two', 'another one')
  await bench.forget(a)
  await bench.rot(a, 'one', 'p')
  await rounds(1, [a, b])
  expect(marked(b)).toBe(1)
  expect(await text(b)).toContain('another one')
  await rounds(3, [a, b])
  expect([marked(a), marked(b)]).toEqual([0, 0])
  await bench.expectSettled([a, b])
  expect(a.replica.digest()).toEqual(b.replica.digest())
})

async function partsOf(writer: PartsWriter | undefined): Promise<States[]> {
  const parts: States[] = []
  while (!parts.at(-1)?.last) parts.push((await writer!.next(parts.length))!)
  return parts
}

describe('an answer', () => {
  beforeEach(async () => {
    await begin('a', 'b', 'c')
    await bench.create(a, 'one', 'two')
    await bench.phone(a, 'one', 'a sentence')
    await rounds(2, [a, b, c])
    await bench.forget(b)
  })

  const frontierOf = ({ replica }: MailDevice) =>
    new Map([...replica.logs.all()].map(({ log, seq }) => [log, seq]))

  /** What a has for b, who asks for it now. */
  async function answerParts(frontier = frontierOf(b)): Promise<States[]> {
    const asked = { id: new Uint8Array(16).fill(1), wanted: [b.replica.keyOf('one')], frontier }
    return partsOf(await AnswerWriter.open(a.replica, bench.random.bytes(16), asked))
  }
  async function take(parts: States[]): Promise<TakenAnswer | undefined> {
    let answer: TakenAnswer | undefined
    for (const part of parts) {
      const taken = await takeStates(b.replica, part)
      expect(taken.kind).toBe('taken')
      if (taken.kind === 'taken') answer = taken.answer
    }
    return answer
  }

  test('makes a case whole, and a repeated one does nothing', async () => {
    await bench.rot(b, 'one', 'c')
    const parts = await answerParts()
    expect(await take(parts)).toMatchObject({ missing: [], isAsFar: true })
    expect(marked(b)).toBe(0)
    expect(await take(parts)).toBeUndefined()
    expect(await text(b)).toContain('a sentence')
  })

  test('that comes late counts with what is retained here since it was asked for', async () => {
    await bench.rot(b, 'one', 'c')
    const parts = await answerParts()
    await bench.phone(c, 'one', 'of c')
    await bench.meet(b, c)
    expect(await take(parts)).toMatchObject({ isAsFar: true })
    expect(marked(b)).toBe(0)
    expect(await text(b)).toMatch(/a sentence|of c/)
  })

  test.each(['c', 'p'])('and does not where that is retained no more (%s)', async (kinds) => {
    await bench.rot(b, 'one', kinds)
    const parts = await answerParts()
    await bench.phone(c, 'one', 'of c')
    await bench.rot(c, 'one', 'p')
    await bench.meet(b, c)
    await bench.forget(b)
    expect(await take(parts)).toMatchObject({ isAsFar: false })
    expect(marked(b)).toBe(1)
  })

  test('names what isn’t whole at its giver, either, and gives what can be read of it', async () => {
    await bench.rot(a, 'one', 'p')
    await bench.rot(b, 'one', 'p')
    const answer = await take(await answerParts())
    expect(answer).toMatchObject({ missing: [b.replica.keyOf('one')], isAsFar: true })
    expect(marked(b)).toBe(1)
  })

  test('of whoever holds another branch than was stated counts for nothing', async () => {
    await bench.rot(b, 'one', 'p')
    const parts = await answerParts()
    for (const claim of parts[0]!.claims) claim.check = new Uint8Array(8).fill(9)
    expect(await take(parts)).toMatchObject({ isAsFar: false })
    expect(marked(b)).toBe(1)
  })
})

describe('[L11] whole states', () => {
  beforeEach(async () => {
    await begin('a', 'b')
    await bench.create(a, 'one', 'two')
    await bench.rot(a, 'one', 'p')
  })
  const set = new Uint8Array(16).fill(3)

  test('are not written for who doesn’t know of cases that are named, while one is damaged', async () => {
    expect(await StatesWriter.open(a.replica, set, new Map())).toBeUndefined()
    expect((await partsOf(await StatesWriter.open(a.replica, set, new Map(), true))).at(-1)).toMatchObject({
      missing: [a.replica.keyOf('one')],
    })
  })

  test('mark what they name together with what they make the reader claim', async () => {
    const parts = await partsOf(await StatesWriter.open(a.replica, set, new Map(), true))
    for (const part of parts.slice(0, -1)) await takeStates(b.replica, part)
    expect(marked(b)).toBe(0)
    await takeStates(b.replica, parts.at(-1)!)
    expect(marked(b)).toBe(1)
    expect(b.replica.digest()).toEqual(a.replica.digest())
    await bench.restart(b)
    expect(marked(b)).toBe(1)
  })

  test('that name more than a device can have lost are of no use', async () => {
    const parts = await partsOf(await StatesWriter.open(a.replica, set, new Map(), true))
    const names = Array.from({ length: MAX_DAMAGED + 1 }, (_, at) => {
      const key = new Uint8Array(16)
      new DataView(key.buffer).setUint32(0, at)
      return key
    })
    for (const part of parts.slice(0, -1)) await takeStates(b.replica, part)
    expect(await takeStates(b.replica, { ...parts.at(-1)!, missing: names })).toEqual({ kind: 'useless' })
    expect(marked(b)).toBe(0)
    expect(b.replica.digest()).not.toEqual(a.replica.digest())
  })
})

test('where a giver’s check has rotted, and nothing shows where who is behind stands, the log is cut and gone on with', async () => {
  await begin('a', 'b', 'c')
  c.collects = false
  await bench.create(a, 'one')
  await bench.phone(a, 'one', 'first')
  await rounds(2, [a, b])
  const { log, seq } = [...a.replica.logs.all()][0]!
  const rows = await bench.stopDevice(a)
  const name = toKey(keys.change(log, seq))
  const rotten = Uint8Array.from(rows.get(name)!)
  rotten[30]! ^= 4
  await a.disk.restore(rows.set(name, rotten))
  await a.boot()
  await bench.phone(a, 'one', 'a sentence')
  await bench.forget(a)
  expect(await a.replica.logs.checkAt(log, seq)).toBeUndefined()
  c.collects = true
  await rounds(4, [a, b, c])
  for (const device of [a, b, c]) expect(await text(device)).toContain('a sentence')
  await bench.expectSettled([a, b, c])
  expect(a.replica.digest()).toEqual(b.replica.digest())
})

/** A bit turns over in each row of these kinds that belongs to the case, and nobody has noticed yet. */
async function rotUnnoticed(device: MailDevice, id: string, kinds: string): Promise<void> {
  const key = toKey(device.replica.keyOf(id))
  const rows = await bench.stopDevice(device)
  for (const [name, value] of rows) {
    if (!kinds.includes(name[0]!) || !name.includes(key)) continue
    const rotten = Uint8Array.from(value)
    rotten[30]! ^= 4
    rows.set(name, rotten)
  }
  await device.disk.restore(rows)
  await device.boot()
}

test('a giver that notices only as it answers that the case has rotted says so, and answers again when it is whole', async () => {
  await begin('a', 'b', 'c')
  await bench.create(a, 'one', 'two')
  await bench.phone(a, 'one', 'a sentence')
  await rounds(2, [a, b, c])
  for (const device of [a, b, c]) await bench.forget(device)
  await rotUnnoticed(a, 'one', 'p')
  await bench.rot(b, 'one', 'p')
  c.collects = false
  await rounds(3, [b, a])
  expect([marked(a), marked(b)]).toEqual([1, 1])
  await bench.meet(a, c)
  expect(marked(a)).toBe(0)
  await rounds(4, [a, b])
  expect(marked(b)).toBe(0)
  expect(await text(b)).toContain('a sentence')
})

test('[L7] who takes each answer, and never says that it has come, is answered less and less often', async () => {
  await begin('a', 'b')
  await bench.create(a, 'one', 'two')
  await rounds(2, [a, b])
  await bench.forget(a)
  await bench.rot(b, 'one', 'p')
  const { asking } = b.mail as unknown as { asking: MailAsking }
  const asked = { id: bench.random.bytes(16), wanted: [b.replica.keyOf('one')], heard: [] }
  asking.current = async () => asked
  let answers = 0
  bench.onMail = ({ name, mail }, bytes) => {
    const frame = decodeMailFrame(bytes)
    if (name !== 'a' || frame?.$case !== 'deposit') return
    const body = mail.office.open(frame.value.envelope)?.body
    if (body?.$case === 'states' && body.value.last) answers++
  }
  await bench.connectMail(a, bench.relay)
  await bench.connectMail(b, bench.relay)
  for (let minute = 0; minute < 30; minute++) {
    await b.edit('two', (doc) => doc.getText(`b${minute}`).insert(0, 'b'))
    await bench.pass(60_000, 3_000)
  }
  expect(answers).toBeGreaterThan(4)
  expect(answers).toBeLessThan(13)
}, 60_000)

test('answers that are broken off don’t pile up at the relay', async () => {
  await begin('a', 'b')
  const ids = Array.from({ length: 8 }, (_, at) => `case${at}`)
  await bench.create(a, ...ids)
  await rounds(2, [a, b])
  await bench.forget(a)
  for (const id of ids) b.replica.cases.noteDamaged(b.replica.keyOf(id))
  await bench.online(b)
  const held: number[] = []
  for (let day = 0; day < 6; day++) {
    const wire = await bench.connectMail(a, bench.relay)
    let seen = 0
    bench.onMail = ({ name }, bytes) => {
      const isDeposit = name === 'a' && decodeMailFrame(bytes)?.$case === 'deposit'
      if (isDeposit && ++seen === 6 && wire.open) bench.cutMail(wire)
    }
    await bench.pass(6_000)
    if (wire.open) bench.cutMail(wire)
    await bench.quiesce()
    bench.onMail = undefined
    held.push((await bench.held(b, a)).count)
  }
  expect(Math.max(...held)).toBeLessThan(12)
  await rounds(2, [a, b])
  expect(marked(b)).toBe(0)
})

test('[L11] one that has never spoken keeps nobody from what can be given', async () => {
  await begin('a', 'b')
  await bench.create(a, 'one', 'two')
  await rounds(2, [a, b])
  await bench.forget(b)
  await bench.rot(b, 'one', 'p')
  c = await bench.add('c')
  await bench.add('d')
  await bench.online(c)
  await rounds(3, [b, c], 60_000)
  expect((await c.lines()).join()).toContain('two')
})

test('a case that only rotted here is named to nobody who has all of it, though it was asked for', async () => {
  await begin('a', 'b', 'c')
  await bench.create(a, 'one', 'two')
  await rounds(2, [a, b, c])
  for (const device of [a, b, c]) await bench.forget(device)
  await bench.rot(a, 'one', 'p')
  await bench.online(a)
  expect(await askedFor(a.replica, a.replica.keyOf('one'))).toBeUndefined()
  await bench.phone(a, 'two', 'something new')
  await bench.forget(a)
  await bench.online(a, 20_000)
  await bench.online(c, 20_000)
  expect(marked(c)).toBe(0)
  expect(await text(c)).toContain('something new')
})
