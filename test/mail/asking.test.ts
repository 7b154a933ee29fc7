/** Who is asked for a damaged case, and what counts as the answer. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { setFields } from '../../src/cases/edit.js'
import { encodeFrame } from '../../src/protocol/wire.js'
import { readItems } from '../../src/store/reading.js'
import { toKey } from '../support/light-level.js'
import type { MailDevice } from '../support/mail-world.js'
import type { Wire } from '../support/world.js'
import { MailBench } from './mail-bench.js'

let bench: MailBench
let a: MailDevice
let b: MailDevice
let c: MailDevice
beforeEach(async () => {
  const begun = await MailBench.begin(61, 'a', 'b', 'c')
  bench = begun.bench
  ;[a, b, c] = begun.devices
  await bench.create(a, 'one', 'two')
})
afterEach(() => bench.stop())

/** A bit of each row of one kind turns over under a device that runs, and that is noticed. */
async function rot(device: MailDevice, kind: string): Promise<void> {
  const name = toKey(device.replica.keyOf('one'))
  const rows = [...(await device.disk.snapshot())].filter(([key]) => key[0] === kind && key.includes(name))
  expect(rows).not.toEqual([])
  for (const [, value] of rows) value[30]! ^= 4
  await readItems(device.replica, new Uint8Array(0), new Map(), 1e9)
  expect(device.replica.damaged.size).toBe(1)
}

async function expectSentence(): Promise<void> {
  await bench.meetAll([a, b, c])
  for (const device of [a, b, c]) {
    expect(device.replica.damaged.size).toBe(0)
    expect((await device.lines()).join()).toContain('a sentence')
  }
}

/** What is live comes to one side, and bulk, too, if `all`. */
function bring(wire: Wire, toA: boolean, all = false): void {
  const queue = toA ? wire.toA : wire.toB
  const [side, session] = toA ? [wire.a, wire.sessionA] : [wire.b, wire.sessionB]
  for (let index = 0; index < queue.length; ) {
    if (queue[index]!.lane === 'bulk' && !all) index++
    else void side.driver.receive(session, queue.splice(index, 1)[0]!.bytes)
  }
}

test('a case that is found to be damaged while connected comes back, though its giver has typed since', async () => {
  await bench.meet(a, b)
  bench.connect(a, b)
  await bench.pass(5_000)
  await bench.phone(a, 'two', 'typed while connected')
  await bench.pass(5_000)
  await rot(b, 'p')
  for (let at = 0; at < 3; at++) {
    await bench.phone(a, 'two', `more ${at}`)
    await bench.phone(b, 'two', `more ${at}`)
    await bench.pass(10_000)
  }
  expect(b.replica.damaged.size).toBe(0)
})

test.each(['part', 'row'])(
  'an early case that was on its way when its giver was asked is no answer (a %s has rotted)',
  async (what) => {
    await bench.meet(a, c)
    await bench.phone(a, 'one', 'a sentence')
    await bench.forget(a)
    await bench.meet(a, b)
    // c has more than b, and only as whole states.
    for (let at = 0; at < 3; at++) await bench.create(c, `more ${at}`)
    await bench.forget(c)
    await bench.restart(b)
    await rot(b, what === 'part' ? 'p' : 'c')
    const wire = bench.connect(b, c)
    // c's network is slow: what waits to be sent holds up what is read.
    let isLow!: () => void
    const low = new Promise<void>((resolve) => {
      isLow = resolve
    })
    wire.sessionB.link.whenBulkLow = () => low
    for (let at = 0; at < 20; at++) {
      bring(wire, true)
      bring(wire, false)
      await bench.settle()
    }
    await c.edit('one', (doc) => setFields(doc, [['patient.firstName', 'of c']]))
    bench.clock.pass(300)
    await bench.settle()
    for (let at = 0; at < 20; at++) {
      bring(wire, false, true)
      await bench.settle()
    }
    // c has all of b's by now, and says so, behind the case as it was before.
    bring(wire, true)
    await bench.settle()
    expect(b.replica.damaged.size).toBe(1)
    isLow()
    await bench.quiesce()
    await bench.pass(6_000)
    bench.cut(wire)
    await expectSentence()
  },
)

test('what a device said before it was put back makes its older copy no whole one', async () => {
  const d = await bench.add('d')
  await bench.meet(a, c)
  await bench.meet(a, d)
  const old = await bench.stopDevice(c)
  await c.disk.restore(old)
  await c.boot()
  await bench.phone(a, 'one', 'a sentence')
  await bench.meet(a, c)
  await bench.forget(a)
  await bench.meet(a, b)
  await bench.meet(b, c)
  await bench.restart(c, old)
  // It has not heard of the sentence.
  await bench.phone(d, 'two', 'of d')
  await rot(b, 'p')
  // b's disk takes its time, so that c acknowledges what d gives before both words are compared.
  await b.replica.db.write([b.replica.metaWrite()])
  b.disk.held = true
  const wires = [bench.connect(b, c), bench.connect(c, d)]
  await bench.quiesce()
  b.disk.held = false
  b.disk.release()
  await bench.quiesce()
  await bench.pass(10_000)
  for (const wire of wires) bench.cut(wire)
  await expectSentence()
})

test('an answer that waits when its session ends makes nothing whole once more is claimed', async () => {
  const d = await bench.add('d')
  for (const device of [b, c, d]) await bench.meet(a, device)
  await bench.phone(a, 'one', 'a sentence')
  await bench.meet(a, d)
  await bench.forget(d)
  for (const device of [d, b]) {
    await bench.restart(device)
    for (const kind of 'cp') await rot(device, kind)
  }
  const wire = bench.connect(b, c)
  while (wire.sessionA.wanted.size === 0) {
    while (bench.deliver(wire, true) || bench.deliver(wire, false));
    await bench.settle()
  }
  // The roster that c shows next takes long here, and what follows waits.
  let isDone!: (changed: boolean) => void
  const done = new Promise<boolean>((resolve) => {
    isDone = resolve
  })
  const { roster } = (b.driver as unknown as { options: { roster: { apply: () => Promise<boolean> } } })
    .options
  const { apply } = roster
  roster.apply = () => done
  void b.driver.receive(wire.sessionA, encodeFrame({ $case: 'roster', value: { entries: [] } }))
  await bench.quiesce()
  bench.cut(wire)
  roster.apply = apply
  const other = bench.connect(b, d)
  await bench.quiesce()
  bench.cut(other)
  isDone(false)
  await bench.quiesce()
  expect(b.replica.damaged.size).toBe(1)
  await expectSentence()
})
