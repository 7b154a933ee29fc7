/** A practice with several relays: one is added, one is given up, and what waited at it goes the other way. */
import { expect, it } from 'vitest'
import {
  expectSameCases,
  heldBy,
  importFull,
  look,
  show,
  startMailPair,
  statusOf,
} from '../support/mail-pair.js'
import { exported, synced, type TestDevice, until } from '../support/processes.js'
import { RelayProcess } from '../support/relay-process.js'

const MISTYPED = '/ip4/127.0.0.1/tcp/9/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo'

it('takes a mistyped address back, moves to another relay without loss, and keeps the last one', async () => {
  const { relay, address, desk, laptop } = await startMailPair()
  const second = await new RelayProcess().start()
  const next = second.addresses[0]!
  await desk.ok('mailbox', 'on', MISTYPED, next)
  await desk.ok('mailbox', 'forget', MISTYPED)
  const known = async () => (await statusOf(laptop)).mailbox.relays.map((each) => each.address)
  await until(async () => (await known()).join() === [address, next].join())
  expect(await desk.refused('mailbox', 'forget', MISTYPED)).toMatchObject({ code: 'unknown-relay' })

  // It waits at both when the first is given up.
  await until(async () => (await statusOf(laptop)).mailbox.relays.every(({ connected }) => connected))
  await laptop.stop()
  await importFull(desk, 30)
  await synced(desk)
  expect((await show(desk)).relays.map(({ pending }) => pending.length)).toEqual([1, 1])
  await desk.ok('mailbox', 'forget', address)
  expect(await desk.refused('mailbox', 'forget', next)).toMatchObject({ code: 'last-relay' })
  await desk.stop()
  // The desk's own mail is dropped there; the laptop still collects, from both.
  expect(await heldBy(relay.folder)).toMatchObject({ practices: 1 })
  await laptop.start()
  await synced(laptop)
  await expectSameCases(laptop, desk, 30)
  await until(async () => (await known()).join() === next)
  // Whoever leaves last takes the practice along.
  await until(async () => (await heldBy(relay.folder)).practices === 0)
  expect((await show(laptop)).pendingTotal).toBe(0)
})

it('tells a relay that was given up while it stood still, and whoever was away, once they are back', async () => {
  const { relay, desk, laptop, address } = await startMailPair()
  const second = await new RelayProcess().start()
  const next = second.addresses[0]!
  await desk.ok('mailbox', 'on', next)
  const connected = async (device: TestDevice) =>
    (await look(device)).mailbox.relays.map((each) => each.connected)
  await until(async () => (await connected(laptop)).join() === 'true,true')
  await laptop.stop()
  await relay.stop()
  await desk.ok('mailbox', 'forget', address)
  await desk.stop()
  await laptop.start()
  await until(async () => (await connected(laptop)).join() === 'true')
  // Neither has been able to say so: the practice is still there.
  expect(await heldBy(relay.folder)).toMatchObject({ practices: 1 })
  await relay.start()
  await desk.start()
  await until(async () => (await heldBy(relay.folder)).practices === 0)
  expect(await heldBy(second.folder)).toMatchObject({ practices: 1 })
})

it('takes in what waits at a relay that was given up, though nobody else holds it any more', async () => {
  const { relay, desk, laptop, address } = await startMailPair()
  const second = await new RelayProcess().start()
  await second.stop()
  await laptop.stop()
  await importFull(desk, 30)
  await synced(desk)
  await desk.ok('mailbox', 'on', second.addresses[0]!)
  await desk.ok('mailbox', 'forget', address)
  const written = await exported(desk)
  await desk.kill()
  await laptop.start()
  await until(async () => (await look(laptop)).cases.total === 30)
  expect((await exported(laptop)) === written).toBe(true)
  await until(async () => (await heldBy(relay.folder)).practices === 0)
})
