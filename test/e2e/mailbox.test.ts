/** Devices that are never online together hold the same cases, by the mail that a relay keeps in between. */
import { expect, it } from 'vitest'
import type { MailboxReport, Status } from '../../src/node/contract.js'
import { folderBytes } from '../support/folders.js'
import { expectSameCases, heldBy, importFull, show, startMailPair, statusOf } from '../support/mail-pair.js'
import {
  createPractice,
  exported,
  joinPractice,
  startDevice,
  startPair,
  synced,
  type TestDevice,
  tempFile,
  tempFolder,
  until,
} from '../support/processes.js'
import { fullCase } from '../support/workload.js'

const CASES = 300
const SEED = 42
/** What the relay knows besides mail grows a little: words of devices, marks of the database. */
const FLOOR_SLACK_BYTES = 50_000

const idOf = (at: number) => fullCase(at, SEED).id

interface Interchange {
  id: string
  archived: boolean
  patient: { phone: string }
  consultations: { id: string; text: string }[]
}

/** Edits of every kind by one device: fields, records and letters in ten cases, then three archived, three deleted. */
async function editAll(device: TestDevice, from: number, phone: string): Promise<void> {
  const { cases } = await device.link()
  for (let at = from; at < from + 10; at++) {
    const id = idOf(at)
    await cases.set({ id, fields: [['patient.phone', phone]] })
    await cases.add({ id, kind: 'consultation', json: JSON.stringify({ id: phone, date: '2026-01-02' }) })
    await cases.type({ id, consultation: phone, at: 0, erase: 0, text: `Notes of ${phone} for ${id}` })
  }
  await device.ok('case', 'archive', idOf(from + 10), idOf(from + 11), idOf(from + 12))
  await device.ok('case', 'delete', idOf(from + 13), idOf(from + 14), idOf(from + 15))
}

function expectEdited(lines: string, from: number, phone: string): void {
  const all = lines
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Interchange)
  const byId = new Map(all.map((each) => [each.id, each]))
  for (let at = from; at < from + 10; at++) {
    const found = byId.get(idOf(at))!
    expect(found.patient.phone).toBe(phone)
    expect(found.consultations.find(({ id }) => id === phone)?.text).toBe(`Notes of ${phone} for ${idOf(at)}`)
  }
  for (const at of [10, 11, 12]) expect(byId.get(idOf(from + at))?.archived).toBe(true)
  for (const at of [13, 14, 15]) expect(byId.has(idOf(from + at))).toBe(false)
}

it('brings 300 full cases, edits, archived and deleted ones both ways, and leaves nothing at the relay', async () => {
  const { relay, desk, laptop } = await startMailPair()
  expect((await show(desk)).pendingTotal).toBe(0)
  const floor = folderBytes(relay.folder)
  await laptop.stop()

  await importFull(desk, CASES, SEED)
  await synced(desk)
  // Exactly what the relay holds, and no more or less.
  const shown = await desk.ok<MailboxReport>('mailbox', 'show')
  const held = await heldBy(relay.folder)
  expect(shown.relays).toMatchObject([{ address: relay.addresses[0], connected: true }])
  const { pending } = shown.relays[0]!
  expect(pending).toMatchObject([{ recipient: laptop.id, name: 'Laptop' }])
  expect([...held.waiting]).toEqual(
    pending.map(({ recipient, count, bytes }) => [recipient, { count, bytes }]),
  )
  expect(shown.pendingTotal).toBe(pending[0]!.count)
  expect(pending[0]!.bytes).toBeGreaterThan(100_000)
  expect(folderBytes(relay.folder)).toBeGreaterThan(floor + pending[0]!.bytes)
  await desk.stop()

  await laptop.start()
  await synced(laptop)
  await expectSameCases(laptop, desk, CASES)
  expect((await show(laptop)).pendingTotal).toBe(0)
  await editAll(laptop, 0, '111')
  await synced(laptop)
  await laptop.stop()

  await desk.start()
  await synced(desk)
  expectEdited(await exported(desk), 0, '111')
  await editAll(desk, 20, '222')
  const { cases } = await desk.link()
  await cases.set({ id: idOf(0), fields: [['patient.email', 'both@example.pl']] })
  await cases.restore({ ids: [idOf(15)] })
  await synced(desk)
  expect((await heldBy(relay.folder)).waiting.size).toBe(1)
  await desk.stop()

  await laptop.start()
  await synced(laptop)
  const lines = await expectSameCases(laptop, desk)
  expectEdited(lines, 20, '222')
  const left = new Set(
    lines
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as Interchange).id),
  )
  expect([13, 14, 15].map((at) => left.has(idOf(at)))).toEqual([false, false, true])
  await laptop.stop()

  // The first one hears that everything has arrived, by the other's word at the relay.
  await desk.start()
  await synced(desk)
  const status = await statusOf(desk)
  expect(status.devices.find(({ id }) => id === laptop.id)).toMatchObject({ upToDate: true, behind: 0 })
  expect(status).toMatchObject({ problems: [], mailbox: { pendingOut: 0, pendingIn: 0 } })
  expect(await show(desk)).toMatchObject({ relays: [{ pending: [] }], pendingTotal: 0 })
  expect(await heldBy(relay.folder)).toMatchObject({ practices: 1, envelopes: 0, waiting: new Map() })
  await until(() => folderBytes(relay.folder) < floor + FLOOR_SLACK_BYTES)
})

it('forwards by mail what a device without a mailbox edits next to one that has it', async () => {
  const { relay, desk, laptop } = await startMailPair()
  await importFull(desk, 20)
  await synced(desk)
  await synced(laptop)
  await laptop.stop()
  const third = await startDevice()
  await joinPractice(third, desk, 'Third')
  await synced(third)
  const before = await third.ok<Status>('status')
  expect(before).toMatchObject({ state: 'off', mailbox: { configured: false, connected: false } })
  expect(before.devices.find(({ id }) => id === desk.id)).toMatchObject({ path: 'lan' })
  await editAll(third, 0, '333')
  await synced(third)
  await third.stop()
  await synced(desk)
  // It waits for the one that is away, and never for the one that collects none.
  expect((await show(desk)).relays[0]!.pending.map(({ recipient }) => recipient)).toEqual([laptop.id])
  await desk.stop()

  await laptop.start()
  await synced(laptop)
  expectEdited(await expectSameCases(laptop, third), 0, '333')
  await expectSameCases(laptop, desk)
  const devices = await laptop.ok<{ name: string; collectsMail: boolean }[]>('device', 'list')
  const collects = new Map(devices.map(({ name, collectsMail }) => [name, collectsMail]))
  expect(Object.fromEntries(collects)).toEqual({ Desk: true, Laptop: true, Third: false })
  expect((await show(laptop)).pendingTotal).toBe(0)
  expect(relay.stderr).not.toMatch(/error/i)
})

it('carries everything by file between devices that never meet again, both ways, and refuses a bad file', async () => {
  const [desk, laptop] = await startPair()
  await desk.stop()
  await laptop.stop()
  const file = `${tempFolder()}/cases.kartoteka`
  await importFull(desk, 60)
  await desk.ok('carry', 'out', file)
  const { readFileSync } = await import('node:fs')
  const bytes = readFileSync(file)

  // Cut off, bent, not such a file, another practice's: a sentence, and the whole file afterwards.
  const cut = tempFile('cut', bytes.subarray(0, bytes.length - 7))
  expect((await laptop.refused('carry', 'in', cut)).code).toBe('carry-damaged')
  const bent = Buffer.from(bytes)
  bent[bytes.length >> 1]! ^= 1
  await laptop.run('carry', 'in', tempFile('bent', bent))
  expect((await laptop.refused('carry', 'in', tempFile('text', 'not a file'))).code).toBe('carry-not-a-file')
  const stranger = await startDevice()
  await createPractice(stranger)
  expect((await stranger.refused('carry', 'in', file)).code).toBe('carry-other-practice')
  expect(await stranger.ok('case', 'list')).toEqual([])

  await laptop.ok('carry', 'in', file)
  await expectSameCases(laptop, desk, 60)
  expect(await laptop.ok('carry', 'in', file)).toMatchObject({ received: 0 })
  await laptop.start()
  await editAll(laptop, 0, '444')
  await laptop.stop()
  const back = `${tempFolder()}/back.kartoteka`
  await laptop.ok('carry', 'out', back)
  await desk.ok('carry', 'in', back)
  expectEdited(await expectSameCases(desk, laptop), 0, '444')
})
