/** [H5] A folder of before holds a case that everybody else has given up: that something is typed there is not unseen. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Rows } from '../support/disk.js'
import type { MailDevice } from '../support/mail-world.js'
import { MailBench } from './mail-bench.js'

let bench: MailBench
let devices: MailDevice[]
let a: MailDevice
let b: MailDevice
let c: MailDevice
/** c's folder as it was before a case rotted everywhere. */
let before: Rows
let told: string[]
beforeEach(async () => {
  const begun = await MailBench.begin(61, 'a', 'b', 'c')
  bench = begun.bench
  devices = begun.devices
  ;[a, b, c] = begun.devices
  await bench.create(a, 'one', 'two')
  await bench.phone(a, 'one', 'a sentence')
  await bench.meetAll(devices)
})
afterEach(() => bench.stop())

/** Each of these loses these kinds of rows of the case. */
async function rot(kinds: string, ...losers: MailDevice[]): Promise<void> {
  before = await bench.stopDevice(c)
  await bench.restart(c, before)
  for (const device of losers) {
    await bench.forget(device)
    await bench.rot(device, 'one', kinds)
  }
  await bench.meetAll(devices)
  for (const { replica } of devices) expect(replica.damaged.size).toBe(0)
  for (const device of [a, b]) await bench.restart(device)
  told = []
  for (const { name, replica } of [a, b]) replica.events.ended = (how) => told.push(`${name} ${how}`)
}

describe.each([
  ['its parts have', 'p'],
  ['its row has', 'c'],
  ['all of it has', 'cp'],
])('%s rotted everywhere', (_what, kinds) => {
  test('the others say once that there is something that they can’t show', async () => {
    await rot(kinds, a, b, c)
    await bench.restart(c, before)
    for (let at = 0; at < 3; at++) await bench.phone(c, 'one', `typed later ${at}`)
    await bench.meetAll(devices)
    expect(told.sort()).toEqual(['a waiting', 'b waiting'])
    expect((await c.lines()).join()).toContain('typed later 2')
    for (const { replica } of devices) expect(replica.damaged.size).toBe(0)
    expect(a.replica.digest()).toEqual(c.replica.digest())
  })
})

test('of a case that one device lost, and another one gave back, nothing is said where a change is overtaken', async () => {
  await rot('p', a)
  await b.edit('one', (doc) => doc.getText('n').insert(0, 'base'))
  await bench.meet(b, c)
  await c.edit('one', (doc) => doc.getText('n').insert(4, ' built on it'))
  await bench.online(c)
  await bench.online(a)
  expect((await a.replica.caseState(a.replica.keyOf('one')))?.parked).toHaveLength(1)
  expect(told).toEqual([])
  expect(a.replica.damaged.size).toBe(0)
})
