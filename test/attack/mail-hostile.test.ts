/** Relays and members that mean ill, and mail that comes in an order nobody meant. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { States } from '../../src/protocol/envelope.gen.js'
import { encodeMailFrame } from '../../src/protocol/mailbox-wire.js'
import { StatesWriter } from '../../src/store/mail-out.js'
import { takeStates } from '../../src/store/mail-sets.js'
import { create, MailBench, phone } from '../support/mail-bench.js'
import type { MailDevice, SimRelay } from '../support/mail-world.js'

let world: MailBench
let relay: SimRelay
let a: MailDevice
let b: MailDevice
beforeEach(async () => {
  world = new MailBench(13)
  relay = await world.addRelay()
  a = await world.add('a')
  b = await world.add('b')
})
afterEach(() => world.stop())

/** All parts of a transfer of everything that a holds. */
async function partsOf(device: MailDevice): Promise<States[]> {
  const writer = (await StatesWriter.open(device.replica, world.random.bytes(16), new Map()))!
  const parts: States[] = []
  do parts.push((await writer.next(parts.length))!)
  while (!parts.at(-1)!.last)
  return parts
}

const noise = (length: number) => Buffer.from(world.random.bytes(length)).toString('base64')

test('a batch of very many empty mails ends nothing but the conversation', async () => {
  const wire = await world.connectMail(b, relay)
  await world.pass(1_500)
  const mail = { sequence: 1, id: new Uint8Array(16), depositor: a.ed, envelope: new Uint8Array(40) }
  const mails = Array.from({ length: 150_000 }, () => mail)
  const bytes = encodeMailFrame({ $case: 'batch', value: { mails, end: true } })
  await b.mail.receive(wire.session, bytes)
  await world.pass(1_500)
  expect(b.failures).toEqual([])
}, 60_000)

test('parts of a transfer in any order, each of them twice, give everything and leave nothing behind', async () => {
  for (let at = 0; at < 60; at++) await create(a, [`case-${at}`], noise(30_000))
  const parts = await partsOf(a)
  expect(parts.length).toBeGreaterThan(3)
  const waiting = [...parts, ...parts].sort(() => world.random() - 0.5)
  for (let round = 0; waiting.length > 0 && round < 50; round++) {
    for (const part of waiting.splice(0))
      if ((await takeStates(b.replica, part)).kind === 'waits') waiting.push(part)
  }
  expect(waiting).toEqual([])
  expect(await b.lines()).toEqual(await a.lines())
  expect(b.replica.digest()).toEqual(a.replica.digest())
  expect(b.replica.meta.unclaimed).toBe(false)
})

test('the last piece of a case alone is not taken for the case', async () => {
  await create(a, ['one', 'two'])
  const parts = await partsOf(a)
  const last = parts.at(-1)!
  const [first, second] = [last.items[0]!, last.items[0]!]
  const bare = { ...second, touched: [], parts: [], row: new Uint8Array(0), clocks: [] }
  const begin = {
    ...last,
    index: 1,
    last: false,
    items: [{ ...first, parts: [], more: true }],
    stretches: last.stretches,
  }
  const end = { ...last, index: 2, items: [{ ...bare, parts: first.parts }, ...last.items.slice(1)] }
  const stretches = parts.slice(1).flatMap((part) => part.stretches)
  await takeStates(b.replica, parts[0]!)
  expect(await takeStates(b.replica, end)).toEqual({ kind: 'waits' })
  expect(await takeStates(b.replica, { ...begin, stretches })).toEqual({ kind: 'waits' })
  expect(await takeStates(b.replica, end)).toMatchObject({ kind: 'taken' })
  expect(await takeStates(b.replica, { ...begin, stretches })).toMatchObject({ kind: 'taken' })
  expect(await b.lines()).toEqual(await a.lines())
})

test('pieces of a case that never ends are let go beyond the size of the largest case', async () => {
  await create(a, ['one'])
  const parts = await partsOf(a)
  const item = { ...parts.at(-1)!.items[0]!, parts: [new Uint8Array(16 * 1024 * 1024)], more: true }
  await takeStates(b.replica, parts[0]!)
  let kind = ''
  let index = 1
  for (; index < 40 && kind !== 'useless'; index++)
    kind = (
      await takeStates(b.replica, { ...parts.at(-1)!, index, last: false, items: [item], stretches: [] })
    ).kind
  expect(index).toBeLessThan(13)
}, 60_000)

test('what a device left while its branch of the roster was the relay’s is taken in after another branch has won', async () => {
  await create(a, ['one'])
  await world.online(relay, [a])
  b.knowsHeads = false
  await world.online(relay, [b], 90_000, 1_000)
  expect(b.failures).toEqual([])
  expect(await b.lines()).toEqual(await a.lines())
  expect(await world.waitingFor(relay, b, a)).toBe(0)
})

test('a letter is still being left: its beginning is not given up before the rest can come', async () => {
  await create(a, ['one'])
  for (let at = 0; at < 5; at++) await phone(a, 'one', `${at}`)
  // The first of two mails is late: another relay's, or still on its way.
  const wire = await world.connectMail(a, relay)
  await world.pass(900)
  await phone(a, 'one', 'x')
  await world.pass(900)
  world.cutMail(wire)
  let late: Parameters<NonNullable<SimRelay['meddle']>>[0] | undefined
  relay.meddle = (frame, toDevice) => {
    if (!toDevice || frame.$case !== 'batch' || late || frame.value.mails.length < 2) return undefined
    const [first, ...rest] = frame.value.mails
    late = { $case: 'batch', value: { mails: [first!], end: true } }
    return [{ $case: 'batch', value: { mails: rest, end: true } }]
  }
  const at = await world.connectMail(b, relay)
  await world.pass(3_000)
  world.answer(at, late!)
  await world.pass(6_000)
  world.cutMail(at)
  expect(await b.lines()).toEqual(await a.lines())
  expect(b.statements.of(b.ed)!.unusable).toEqual([])
})
