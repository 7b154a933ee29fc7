/** A case that has rotted comes back from whoever has all of it, and from nobody who is behind. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { setFields } from '../../src/cases/edit.js'
import { takeStates } from '../../src/store/mail-sets.js'
import { readItems } from '../../src/store/reading.js'
import { toKey } from '../support/light-level.js'
import type { MailDevice } from '../support/mail-world.js'
import { MailBench } from './mail-bench.js'

let bench: MailBench
let a: MailDevice
let b: MailDevice
let c: MailDevice

/** While the device is off, a bit of each part of a case turns over. */
async function rot(device: MailDevice, id: string): Promise<void> {
  const key = toKey(device.replica.keyOf(id))
  const rows = await bench.stopDevice(device)
  const parts = [...rows].filter(([name]) => name.startsWith('p') && name.includes(key))
  expect(parts).not.toEqual([])
  for (const [name, value] of parts)
    rows.set(
      name,
      Uint8Array.from(value, (byte, at) => (at === 30 ? byte ^ 4 : byte)),
    )
  await device.disk.restore(rows)
  await device.boot()
  // As giving whole cases notices it.
  await readItems(device.replica, new Uint8Array(0), new Map(), 1e9)
  expect(device.replica.damaged.size).toBe(1)
}

async function expectSentence(): Promise<void> {
  for (let round = 0; round < 3; round++)
    for (const [one, other] of [
      [a, b],
      [a, c],
      [b, c],
    ] as const)
      await bench.meet(one, other)
  for (const device of [a, b, c]) {
    expect((await device.lines()).join()).toContain('a sentence')
    expect(device.replica.damaged.size).toBe(0)
  }
}

/** a's sentence came to b with whole cases, so b retains no change that holds it; c has not heard of it. */
beforeEach(async () => {
  const begun = await MailBench.begin(61, 'a', 'b', 'c')
  bench = begun.bench
  ;[a, b, c] = begun.devices
  await bench.create(a, 'one', 'two')
  await bench.meet(a, c)
  await bench.phone(a, 'one', 'a sentence')
  await bench.forget(a)
  await bench.meet(a, b)
  await rot(b, 'one')
})
afterEach(() => bench.stop())

test('is not taken for whole with the copy of a device that is behind', async () => {
  await bench.meet(c, b)
  await expectSentence()
})

test('nor where that copy comes by mail, and everybody takes the case for damaged then', async () => {
  await c.edit('one', (doc) => setFields(doc, [['patient.firstName', 'of c']]))
  for (const part of await bench.statesFrom(c, new Map())) await takeStates(b.replica, part)
  await expectSentence()
})
