/** What goes wrong between a device and its relay: one sentence each, and nothing is lost. */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { Status } from '../../src/node/contract.js'
import { folderHolds } from '../support/folders.js'
import {
  expectSameCases,
  heldBy,
  importFull,
  look,
  problemCodes,
  show,
  startMailPair,
  statusOf,
} from '../support/mail-pair.js'
import { synced, tempFolder, until } from '../support/processes.js'
import { RelayProcess } from '../support/relay-process.js'
import { fullCase } from '../support/workload.js'

const KILLS = 3

it('keeps edits while the relay is away or another one answers, refuses malformed addresses, and delivers later', async () => {
  const { relay, desk, laptop } = await startMailPair()
  await laptop.stop()
  await relay.stop()
  await until(async () => (await look(desk)).state === 'offline')
  await importFull(desk, 30)
  const timeout = await desk.run('status', '--wait', 'synced', '--timeout', '2')
  expect(timeout.code).toBe(1)
  expect(timeout.json).toMatchObject({
    state: 'offline',
    cases: { total: 30 },
    mailbox: { configured: true, connected: false },
    problems: [
      {
        code: 'relay-unreachable',
        sentence: "The cloud mailbox can't be reached. Everything is saved here and will be sent by itself.",
      },
    ],
  })
  expect((timeout.json as Status).mailbox.pendingOut).toBeGreaterThan(0)

  const before = await statusOf(desk)
  for (const address of [
    'nonsense',
    '/ip4/127.0.0.1/tcp/1',
    '/ip4/127.0.0.1/udp/1/p2p/12D3',
    'https://a.example',
  ])
    expect(await desk.refused('mailbox', 'on', address)).toMatchObject({
      code: 'bad-address',
      sentence: expect.stringContaining(`"${address}"`),
    })
  expect((await statusOf(desk)).mailbox.relays).toEqual(before.mailbox.relays)

  // Another relay at the same address: this practice never appears there.
  const other = new RelayProcess()
  other.addresses = relay.addresses
  await other.start()
  await until(async () => problemCodes(await look(desk)).includes('relay-changed'))
  expect((await statusOf(desk)).problems).toEqual([
    {
      code: 'relay-changed',
      sentence: 'A different relay answers at this address. Nothing was sent. Ask its operator.',
    },
  ])
  expect(await show(desk)).toMatchObject({ relays: [{ connected: false, pending: [] }], pendingTotal: 0 })
  const practice = Buffer.from(before.practice!.id, 'hex')
  await other.stop()
  expect(await heldBy(other.folder)).toMatchObject({ practices: 0, envelopes: 0 })
  expect(folderHolds(other.folder, practice)).toBe(false)
  expect(folderHolds(relay.folder, practice)).toBe(true)

  await relay.start()
  await synced(desk)
  expect((await statusOf(desk)).problems).toEqual([])
  await desk.stop()
  await laptop.start()
  await synced(laptop)
  await expectSameCases(laptop, desk, 30)
})

it('says that the mailbox is full, and goes on syncing directly', async () => {
  const { desk, laptop } = await startMailPair({ relayArgs: ['--quota-mb', '1'] })
  await laptop.stop()
  await importFull(desk, 400)
  await until(async () => problemCodes(await look(desk)).includes('mailbox-full'))
  const timeout = await desk.run('status', '--wait', 'synced', '--timeout', '2')
  expect(timeout.code).toBe(1)
  expect((timeout.json as Status).problems).toEqual([
    {
      code: 'mailbox-full',
      sentence: 'The cloud mailbox is full. Everything is saved here; direct sync goes on.',
    },
  ])
  await laptop.start()
  await synced(desk)
  await expectSameCases(laptop, desk, 400)
  await until(async () => (await show(desk)).pendingTotal === 0)
  // There is room again, and it is used.
  await laptop.stop()
  const { cases } = await desk.link()
  await cases.set({ id: fullCase(3).id, fields: [['patient.phone', 'room again']] })
  await synced(desk)
  expect((await statusOf(desk)).problems).toEqual([])
  expect((await show(desk)).pendingTotal).toBe(1)
})

it(`loses nothing when the relay is killed in mid-deposit and in mid-collect, ${KILLS} times each`, async () => {
  const { relay, desk, laptop } = await startMailPair()
  await laptop.stop()
  for (let kill = 0; kill < KILLS; kill++) {
    // It answers nothing while deposits come in, then for a moment.
    process.kill(relay.pid, 'SIGSTOP')
    await importFull(desk, 100, kill)
    expect((await look(desk)).mailbox.pendingOut).toBeGreaterThan(0)
    process.kill(relay.pid, 'SIGCONT')
    await sleep(3 ** (kill + 1))
    await relay.kill()
    await relay.start()
  }
  await synced(desk)
  await desk.stop()

  const total = 100 * KILLS
  await relay.kill()
  await laptop.start()
  const seen: number[] = []
  for (let kill = 0; kill < KILLS; kill++) {
    await relay.start()
    const at = seen.at(-1) ?? 0
    await until(async () => (await look(laptop)).cases.total > at || at === total, 60_000, 1)
    await relay.kill()
    seen.push((await look(laptop)).cases.total)
  }
  await relay.start()
  await synced(laptop)
  await expectSameCases(laptop, desk, total)
  expect((await show(laptop)).pendingTotal).toBe(0)
  // On a fast machine some come too late.
  expect(seen[0]).toBeGreaterThan(0)
})

it('offers again what an older copy of the relay does not hold, and takes nothing twice', async () => {
  const { relay, desk, laptop } = await startMailPair()
  await laptop.stop()
  await importFull(desk, 20, 1)
  await synced(desk)
  await relay.stop()
  const copy = join(tempFolder(), 'copy')
  cpSync(relay.folder, copy, { recursive: true })
  await relay.start()
  await importFull(desk, 20, 2)
  await synced(desk)
  await relay.kill()
  rmSync(relay.folder, { recursive: true })
  cpSync(copy, relay.folder, { recursive: true })
  await relay.start()
  await synced(desk)
  await desk.stop()
  await laptop.start()
  await synced(laptop)
  const lines = await expectSameCases(laptop, desk, 40)
  // What was collected comes once more.
  await relay.kill()
  rmSync(relay.folder, { recursive: true })
  cpSync(copy, relay.folder, { recursive: true })
  await relay.start()
  await synced(laptop)
  expect(await expectSameCases(laptop, desk, 40)).toBe(lines)
  expect((await show(laptop)).pendingTotal).toBe(0)
})

it('drops a device’s mail when it leaves, and everything of the practice when the last one does', async () => {
  const { relay, address, desk, laptop } = await startMailPair()
  await laptop.stop()
  await importFull(desk, 20)
  await synced(desk)
  expect((await show(desk)).pendingTotal).toBeGreaterThan(0)
  // By a command alone, without a running device.
  await laptop.ok('mailbox', 'off')
  expect(await show(desk)).toMatchObject({ relays: [{ pending: [] }], pendingTotal: 0 })
  expect(await heldBy(relay.folder)).toMatchObject({ practices: 1, envelopes: 0 })
  const left = await laptop.ok<Status>('status')
  expect(left).toMatchObject({ state: 'off', mailbox: { configured: false, pendingOut: 0 }, problems: [] })
  // It may be the last copy: what waited was taken in first.
  expect(left.cases.total).toBe(20)

  // The last one leaves while the relay is away, and says so as soon as it is back.
  await relay.stop()
  await desk.ok('mailbox', 'off')
  expect((await statusOf(desk)).state).toBe('off')
  await relay.start()
  await until(async () => (await heldBy(relay.folder)).practices === 0, 60_000, 500)

  // And again: what there is now waits for whoever collects.
  await desk.ok('mailbox', 'on', address)
  await laptop.ok('mailbox', 'on')
  await synced(desk)
  await desk.stop()
  await laptop.start()
  await synced(laptop)
  await expectSameCases(laptop, desk, 20)
})

it('goes on while a recipient stands still and never acknowledges', async () => {
  const { desk, laptop } = await startMailPair()
  process.kill(laptop.pid, 'SIGSTOP')
  await importFull(desk, 30)
  await synced(desk)
  expect(await statusOf(desk)).toMatchObject({ problems: [] })
  const waiting = (await show(desk)).pendingTotal
  expect(waiting).toBeGreaterThan(0)
  const { cases } = await desk.link()
  await cases.set({ id: fullCase(1).id, fields: [['patient.phone', 'later']] })
  await synced(desk)
  process.kill(laptop.pid, 'SIGCONT')
  await synced(laptop)
  await expectSameCases(laptop, desk, 30)
  await until(async () => (await show(desk)).pendingTotal === 0)
})
