/** Words that say too much, too little or too late: what the others left, what is held, and by which branch. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { leftToWire } from '../../src/node/mail-office.js'
import { toHex } from '../../src/protocol/bytes.js'
import { MAX_NOTICE_BYTES } from '../../src/protocol/mailbox-limits.js'
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

test('two branches of a log whose author is gone, one of them known only as whole states, are healed by mail', async () => {
  const c = await world.add('c')
  await create(c, ['one'])
  await phone(c, 'one', '1')
  const old = await world.copy(c)
  await phone(c, 'one', '2')
  await meet(c, a)
  await world.restore(c, old)
  await phone(c, 'one', '3')
  await phone(c, 'one', '4')
  await phone(c, 'one', '5')
  await meet(c, b)
  await world.die(c)
  // b retains nothing of it, as after whole states.
  await prune(b.replica, [], 0)
  for (let round = 0; round < 6; round++)
    for (const device of [a, b]) await world.online(relay, [device], 20_000, 500)
  expect(b.failures).toEqual([])
  expect(a.failures).toEqual([])
  expect(await b.lines()).toEqual(await a.lines())
  expect(b.replica.digest()).toEqual(a.replica.digest())
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
