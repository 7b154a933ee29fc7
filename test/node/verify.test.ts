/** What `verify` says of cases that can't be read, over real stores. */
import { MemoryLevel } from 'memory-level'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Practice } from '../../src/node/device/practice-state.js'
import { verifyDevices } from '../../src/node/device/verify.js'
import { toHex } from '../../src/protocol/bytes.js'
import { fingerprintPairs } from '../../src/store/fingerprints.js'
import { keys } from '../../src/store/keyspace.js'
import type { Database } from '../../src/store/sealed-db.js'
import { Bench, type Device } from '../suites/store/bench.js'

let bench: Bench
let a: Device
let b: Device
beforeEach(async () => {
  bench = new Bench(() => new MemoryLevel({ storeEncoding: 'view' }) as unknown as Database, 8)
  a = await bench.device()
  b = await bench.device()
  await a.create('one', 'two')
  await a.giveTo(b)
})
afterEach(() => bench.stop())

const pairsOf = async (device: Device) => {
  const found: Uint8Array[] = []
  for await (const { pairs } of fingerprintPairs(device.replica)) found.push(pairs)
  return found
}

/** a verifies, with b as its only other device. */
const verified = () =>
  verifyDevices({
    replica: () => a.replica,
    options: { keeper: { others: () => [b.keys.ed] } },
    peers: { dialAll: () => {}, sessionOf: () => ({}) },
    driver: { fingerprints: () => pairsOf(b) },
  } as unknown as Practice)

it('a case that can be read on neither device is not proved identical', async () => {
  expect(await verified()).toMatchObject({ identical: true })
  for (const device of [a, b]) await device.damage(keys.part(device.key('one'), 0))
  expect(await verified()).toMatchObject({ identical: false, devices: [{ differs: ['one'] }] })
})

it('nor is one whose row can be read on neither', async () => {
  for (const device of [a, b]) {
    await device.damage(keys.case(device.key('one')))
    await device.reopen()
  }
  const hex = toHex(a.key('one'))
  expect(await verified()).toMatchObject({ identical: false, devices: [{ differs: [hex] }] })
})
