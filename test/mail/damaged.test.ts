/** A case that has rotted comes back from whoever has all of it, and from nobody who is behind. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { setFields } from '../../src/cases/edit.js'
import { takeStates } from '../../src/store/mail-sets.js'
import type { MailDevice } from '../support/mail-world.js'
import { MailBench } from './mail-bench.js'

let bench: MailBench
let a: MailDevice
let b: MailDevice
let c: MailDevice

async function expectSentence(): Promise<void> {
  await bench.meetAll([a, b, c])
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
  await bench.rot(b, 'one', 'p')
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

describe('[H5] a case that only one device can’t read', () => {
  /** Which devices count a case as damaged, and which open it. */
  const seen = (devices: MailDevice[]) =>
    Promise.all(
      devices.map(async ({ replica }) => {
        const opens = await replica.openDoc('one').then(
          () => true,
          () => false,
        )
        return `${replica.damaged.size} ${opens}`
      }),
    )

  async function begin(...names: string[]): Promise<void> {
    await bench.stop()
    const begun = await MailBench.begin(63, ...names)
    bench = begun.bench
    ;[a, b, c] = begun.devices
    await bench.create(a, 'one')
    await bench.meet(a, b)
  }

  test.each([
    ['row', 'c'],
    ['part', 'p'],
  ])('its %s: is marked by two devices, and by neither for long', async (_what, kind) => {
    await begin('a', 'b')
    await bench.create(b, 'of b')
    await bench.forget(b)
    await bench.rot(b, 'one', kind)
    for (let round = 0; round < 2; round++) await bench.meet(a, b)
    expect(await seen([a, b])).toEqual(['0 true', '0 true'])
    expect(await a.lines()).toEqual(await b.lines())
    expect(a.replica.digest()).toEqual(b.replica.digest())
  })

  test('and that everybody was told of is whole once each has asked all others', async () => {
    await begin('a', 'b', 'c')
    await bench.create(c, 'of c')
    await bench.forget(c)
    await bench.meet(c, b)
    await bench.rot(b, 'one', 'c')
    await bench.create(b, 'of b')
    await bench.forget(b)
    await bench.meet(b, c)
    expect(await seen([b, c])).toEqual(['1 true', '1 true'])
    // It is remembered that c has been asked.
    await bench.restart(b)
    for (let round = 0; round < 2; round++) await bench.meet(a, b)
    expect(await seen([a, b])).toEqual(['0 true', '0 true'])
    await bench.meet(a, c)
    expect(await seen([a, b, c])).toEqual(['0 true', '0 true', '0 true'])
    expect(await a.lines()).toEqual(await b.lines())
    expect(await a.lines()).toEqual(await c.lines())
  })

  test('stays marked until that one is met which may have written in it', async () => {
    await begin('a', 'b', 'c')
    await bench.meet(a, c)
    await bench.phone(c, 'one', 'a sentence')
    await bench.forget(c)
    await bench.meet(c, b)
    await bench.rot(b, 'one', 'c')
    await bench.rot(b, 'one', 'p')
    for (let round = 0; round < 3; round++) await bench.meet(a, b)
    expect(await seen([a, b])).toEqual(['1 true', '1 true'])
    await bench.meet(a, c)
    await bench.meet(a, b)
    expect(await seen([a, b, c])).toEqual(['0 true', '0 true', '0 true'])
    for (const device of [a, b, c]) expect((await device.lines()).join()).toContain('a sentence')
  })

  test('is made of what is retained where nobody can read it', async () => {
    await begin('a', 'b', 'c')
    // c is away, so that what is typed now is retained.
    await bench.phone(a, 'one', 'a sentence')
    await bench.meet(a, b)
    for (const device of [a, b]) await bench.rot(device, 'one', 'p')
    await expectSentence()
  })

  test('and of which another one can’t read something else either keeps what each can read', async () => {
    await begin('a', 'b')
    await bench.phone(a, 'one', 'a sentence')
    await bench.meet(a, b)
    await bench.forget(a)
    await bench.forget(b)
    await bench.rot(a, 'one', 'p')
    await bench.rot(b, 'one', 'c')
    for (let round = 0; round < 3; round++) await bench.meet(a, b)
    expect(await seen([a, b])).toEqual(['0 true', '0 true'])
    for (const device of [a, b]) expect((await device.lines()).join()).toContain('a sentence')
  })
})
