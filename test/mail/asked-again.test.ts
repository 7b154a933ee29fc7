/** [H5] More of a damaged case rots after somebody was asked for it: what was answered counts no longer. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { askedFor } from '../../src/store/asked.js'
import { toKey } from '../support/light-level.js'
import type { MailDevice } from '../support/mail-world.js'
import { MailBench } from './mail-bench.js'

let bench: MailBench
let a: MailDevice
let b: MailDevice
let c: MailDevice

/** All hold a case whose first part has rotted at a, and which has rotted as a whole at the others. */
beforeEach(async () => {
  const begun = await MailBench.begin(67, 'a', 'b', 'c')
  bench = begun.bench
  ;[a, b, c] = begun.devices
  await bench.create(a, 'one', 'two')
  await bench.meetAll([a, b, c])
  await bench.phone(a, 'one', 'a sentence')
  await bench.meetAll([a, b, c])
  for (const device of [a, b, c]) await bench.forget(device)
  await bench.rot(c, 'one', 'cp')
  await bench.rot(b, 'one', 'p')
  await rotNow(a, 'p', 1)
  a.replica.cases.noteDamaged(a.replica.keyOf('one'))
  await bench.meet(a, b)
  expect(await countOf(b)).toEqual({ damaged: 1, asked: 1 })
})
afterEach(() => bench.stop())

/** A bit turns over in the first rows of one kind of the case, under a device that runs and doesn't notice. */
async function rotNow({ disk, replica }: MailDevice, kind: string, rows = 99): Promise<void> {
  await replica.flush()
  const name = toKey(replica.keyOf('one'))
  const hit = [...disk.snapshot().keys()].filter((key) => key[0] === kind && key.includes(name)).sort()
  expect(hit).not.toEqual([])
  for (const each of hit.slice(0, rows)) {
    const rotten = Uint8Array.from(disk.snapshot().get(each)!)
    rotten[30]! ^= 4
    expect(disk.rot(each, rotten)).toBe(true)
  }
}

const countOf = async ({ replica }: MailDevice) => ({
  damaged: replica.damaged.size,
  asked: (await askedFor(replica, replica.keyOf('one')))?.length,
})

async function expectSentence(...devices: MailDevice[]): Promise<void> {
  for (const device of devices) {
    expect(device.replica.damaged.size).toBe(0)
    const lines = (await device.lines()).join()
    expect(lines).toContain('a sentence')
    expect(lines).not.toContain('found-')
  }
}

test('without that, b has the sentence once c was asked, too', async () => {
  await bench.meet(b, c)
  await expectSentence(b)
})

describe.each([
  ['its part', 'p'],
  ['its row', 'c'],
  ['all of it', 'cp'],
])('%s', (_what, kinds) => {
  const rotAll = async () => {
    for (const kind of kinds) await rotNow(b, kind)
  }

  test('b does not make do with less than a can give, and asks a again', async () => {
    await rotAll()
    await bench.meet(b, c)
    // Who was in the case that was read before by memory has lost nothing.
    if (b.replica.damaged.size === 0) await expectSentence(b)
    else expect((await countOf(b)).asked).toBeLessThan(2)
    await bench.meet(a, b)
    await expectSentence(a, b)
  })

  test('nor after a restart', async () => {
    await rotAll()
    await bench.restart(b)
    await bench.meet(b, c)
    expect(await countOf(b)).toEqual({ damaged: 1, asked: 1 })
    await bench.meet(a, b)
    await expectSentence(a, b)
    await bench.meetAll([a, b, c])
    await expectSentence(a, b, c)
  })

  test('a that is connected all the while is asked again at once', async () => {
    const wire = bench.connect(a, b)
    await bench.quiesce()
    await rotAll()
    const other = bench.connect(b, c)
    await bench.quiesce()
    await bench.pass(5_000)
    await expectSentence(a, b)
    for (const each of [wire, other]) bench.cut(each)
  })
})
