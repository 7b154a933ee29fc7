/** Words that say too much, too little or too late: what the others left, what is held, and by which branch. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { leftToWire } from '../../src/node/mail-office.js'
import { toHex } from '../../src/protocol/bytes.js'
import { MAX_NOTICE_BYTES } from '../../src/protocol/mailbox-limits.js'
import { cutLog } from '../../src/store/healing.js'
import { prune } from '../../src/store/pruning.js'
import { create, MailBench, phone } from '../support/mail-bench.js'
import type { MailDevice, SimRelay } from '../support/mail-world.js'

let world: MailBench
let relay: SimRelay
let a: MailDevice
let b: MailDevice
beforeEach(async () => {
  world = new MailBench(12)
  relay = await world.addRelay()
  a = await world.add('a')
  b = await world.add('b')
})
afterEach(async () => {
  vi.restoreAllMocks()
  await world.stop()
})

/** They meet directly, with the mailbox out of reach. */
async function meet(x: MailDevice, y: MailDevice): Promise<void> {
  const wire = world.connect(x, y)
  await world.quiesce()
  await world.pass(3_000)
  world.cut(wire)
  await world.quiesce()
}

test('what a device that is gone had left counts no more once its recipient came and found nothing', async () => {
  const c = await world.add('c')
  await create(a, ['one'])
  for (const device of [a, b, c, a, b, c]) await world.online(relay, [device])
  // c leaves a change for b; the relay says that it holds it, and holds nothing. a has it directly.
  await phone(c, 'one', '123')
  await meet(a, c)
  relay.meddle = (frame, toDevice) => {
    if (toDevice || frame.$case !== 'deposit') return undefined
    const wire = world.mailWires.find((each) => each.device === c)!
    world.answer(wire, { $case: 'done', value: { number: frame.value.number, error: '', sequence: 1 } })
    return []
  }
  await world.online(relay, [c])
  relay.meddle = undefined
  await world.die(c)
  for (let round = 0; round < 3; round++) {
    await world.online(relay, [b], 30_000, 1_000)
    await world.online(relay, [a], 30_000, 1_000)
  }
  expect((await a.lines()).join()).toContain('123')
  expect((await b.lines()).join()).toContain('123')
})

test('a device that went back to an older copy is served again though the relay knows its newest word no more', async () => {
  await create(a, ['one', 'two'])
  await world.online(relay, [a])
  await world.online(relay, [b])
  const old = await world.copy(b)
  for (let at = 0; at < 5; at++) {
    await phone(a, 'one', `1${at}`)
    await world.online(relay, [a])
    await world.online(relay, [b])
  }
  await world.online(relay, [a])
  // It switches its mailbox off, so that the relay forgets its word, and is restored; then it comes again.
  const wire = await world.connectMail(b, relay)
  await world.quiesce()
  void b.mail.leave(wire.session)
  await world.quiesce()
  world.cutMail(wire)
  await world.restore(b, old)
  for (let round = 0; round < 3; round++) {
    await world.online(relay, [b])
    await world.online(relay, [a])
  }
  expect(await b.lines()).toEqual(await a.lines())
})

test('a word that grows too large for a relay is shortened, and says what it holds', async () => {
  await create(a, ['one'])
  const reach = new Map([[a.replica.liveLog!, 1]])
  const left = Array.from({ length: 20_000 }, () => leftToWire(toHex(world.random.bytes(32)), reach, 1))
  const word = (await a.mail.office.writeWord(left, new Uint8Array(16)))!
  expect(word.length).toBeLessThanOrEqual(MAX_NOTICE_BYTES)
  expect((await b.mail.office.hearNotice(a.ed, word))?.fresh).toBe(true)
})

/** Two branches of a log of c, which is gone: a holds the shorter one, b the longer, and retains nothing of it. */
async function branch(): Promise<string> {
  const c = await world.add('c')
  await create(c, ['one'])
  await phone(c, 'one', '1')
  const log = c.replica.liveLog!
  const old = await world.copy(c)
  await phone(c, 'one', '2')
  await meet(c, a)
  await world.restore(c, old)
  for (const text of ['3', '4', '5']) await phone(c, 'one', text)
  await meet(c, b)
  await world.die(c)
  await prune(b.replica, () => [], 0)
  return log
}

test('two branches of a log whose author is gone are healed by mail', async () => {
  await branch()
  for (let round = 0; round < 6; round++)
    for (const device of [a, b]) await world.online(relay, [device], 20_000, 500)
  expect([...a.failures, ...b.failures]).toEqual([])
  expect(await b.lines()).toEqual(await a.lines())
  expect(b.replica.digest()).toEqual(a.replica.digest())
})

test('a ladder cuts a branch that is longer than the one held here', async () => {
  const log = await branch()
  const tell = async (from: MailDevice, to: MailDevice) =>
    to.mail.office.hearNotice(from.ed, (await from.mail.office.writeWord([], new Uint8Array(16)))!)
  expect(await tell(a, b)).toMatchObject({ isDisputed: true, healed: false })
  expect(await tell(b, a)).toMatchObject({ healed: true })
  expect(await tell(a, b)).toMatchObject({ healed: true })
  expect(a.replica.logs.get(log)!.cut).toEqual(b.replica.logs.get(log)!.cut)
  expect(a.replica.logs.get(log)!.cut!.seq).toBe(2)
})

test('two cuts of one log on different branches are settled by a ladder', async () => {
  const log = await branch()
  for (const [device, seq] of [
    [a, 3],
    [b, 4],
  ] as const)
    await cutLog(device.replica, log, seq, (await device.replica.logs.checkAt(log, seq))!)
  for (let round = 0; round < 3; round++) {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const)
      await to.mail.office.hearNotice(from.ed, (await from.mail.office.writeWord([], new Uint8Array(16)))!)
  }
  expect(a.replica.logs.get(log)!.cut!.seq).toBeLessThanOrEqual(2)
  expect(b.replica.logs.get(log)!.cut).toEqual(a.replica.logs.get(log)!.cut)
})

test('words in dispute answer each other only while they bring something new', async () => {
  await create(a, ['one'])
  await world.online(relay, [a])
  await world.online(relay, [b])
  // Both hold a contradiction that nothing settles.
  for (const device of [a, b]) {
    const { replica } = device
    const judge = replica.judge.bind(replica)
    vi.spyOn(replica, 'judge').mockImplementation(async (claims) =>
      (await judge(claims)).map(({ claim }) => ({ claim, verdict: 'fork' as const })),
    )
  }
  const words = [a, b].map((device) => vi.spyOn(device.mail.office, 'writeWord'))
  await world.online(relay, [a, b], 60_000, 500)
  for (const spy of words) expect(spy.mock.calls.length).toBeLessThan(15)
})
