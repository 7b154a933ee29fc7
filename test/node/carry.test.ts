/** Carrying by file between devices that never meet but once, to be paired. */
import { cpSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Device } from '../../src/node/api.js'
import type { CarryReport } from '../../src/node/contract.js'
import { createDevice } from '../../src/node/device.js'
import { envelopeHeader } from '../../src/protocol/envelope.js'

const PIN = '482913'
const LISTEN = ['/ip4/127.0.0.1/tcp/0']
const root = mkdtempSync(join(tmpdir(), 'kartoteka-carry-'))
const open = new Set<Device>()
let count = 0

/** A device of its own folder; without a network unless it says where it listens. */
async function start(folder: string, online = false): Promise<Device> {
  const device = await createDevice({ folder, ...(online ? { listen: LISTEN } : { network: false }) })
  open.add(device)
  return device
}
async function stop(...devices: Device[]): Promise<void> {
  for (const device of devices) {
    await device.close()
    open.delete(device)
  }
}
const newFolder = () => join(root, `${count++}`)

async function found(folder: string, name = 'Praxis'): Promise<void> {
  const device = await start(folder)
  await device.practice.create({ name, device: 'Desk', pin: PIN })
  await stop(device)
}

/** Two folders become devices of one practice; both are closed afterwards. */
async function pair(from: string, to: string): Promise<void> {
  const [window, joining] = [await start(from, true), await start(to, true)]
  await window.device.invite({ pin: PIN, minutes: 1, yes: true })
  const addresses = window.addresses()
  await joining.practice.join({ code: undefined, relays: [], addresses, device: 'Travel', pin: PIN })
  await stop(window, joining)
}

const create = (device: Device, id: string, phone = '1') =>
  device.cases.create({ json: JSON.stringify({ id, patient: { lastName: id, phone } }) })

async function carryOut(device: Device): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const { data } of await device.carry.out()) pieces.push(Buffer.from(data, 'base64'))
  return Buffer.concat(pieces)
}

async function carryIn(device: Device, file: Buffer, pieceBytes = 100_000): Promise<CarryReport> {
  const name = `file ${count++}`
  for (let at = 0; ; at += pieceBytes) {
    const last = at + pieceBytes >= file.length
    const data = file.subarray(at, at + pieceBytes).toString('base64')
    const report = await device.carry.in({ file: name, data, last })
    if (last) return report
  }
}

const lines = async (device: Device) => (await device.cases.export({})).lines

let folders: [string, string]
beforeAll(async () => {
  folders = [newFolder(), newFolder()]
  await found(folders[0])
  await pair(...folders)
})
afterEach(() => stop(...open))
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** Both devices, offline for ever. */
const both = async () => [await start(folders[0]), await start(folders[1])] as [Device, Device]

/** Where each record of a file begins, with its type. */
function records(file: Buffer): { type: number; at: number; bytes: Buffer }[] {
  const found: { type: number; at: number; bytes: Buffer }[] = []
  for (let at = 18 + 32; at < file.length; ) {
    const type = file[at]!
    const length = type === 0 ? 0 : file.readUInt32BE(at + 1)
    found.push({ type, at, bytes: file.subarray(at + 5, at + 5 + length) })
    at += 5 + length
  }
  return found
}

test('what one wrote is on the other after a file was carried, and back, and ticks turn by it', async () => {
  const [a, b] = await both()
  await create(a, 'one')
  const file = await carryOut(a)
  expect(file.toString('latin1')).not.toContain('"one"')
  const report = await carryIn(b, file, 77)
  expect(report).toMatchObject({ taken: report.envelopes, received: 1 })
  expect(await lines(b)).toEqual(await lines(a))
  await b.cases.set({ id: 'one', fields: [['patient.phone', '22']] })
  await carryIn(a, await carryOut(b))
  expect(await lines(a)).toEqual(await lines(b))
  const status = (await a.device.list()).find(({ self }) => !self)
  expect(status).toMatchObject({ upToDate: true, behind: 0 })
  // What both are known to hold is not carried again: roster and word remain.
  expect(records(await carryOut(a)).filter(({ type }) => type === 2)).toHaveLength(1)
})

test('[V3] the same file twice changes nothing the second time, and a later one holds what is missing', async () => {
  const [a, b] = await both()
  await create(a, 'twice')
  const file = await carryOut(a)
  expect((await carryIn(b, file)).received).toBe(1)
  const before = await lines(b)
  expect(await carryIn(b, file)).toMatchObject({ received: 0 })
  await create(a, 'later')
  // An older file after a newer one does no harm either.
  await carryIn(b, await carryOut(a))
  await carryIn(b, file)
  expect(await lines(b)).toEqual(await lines(a))
  expect(await lines(b)).toHaveLength(before.length + 1)
})

test('a file that is cut off anywhere is refused with a sentence, what was read stays, the rest comes later', async () => {
  const [a, b] = await both()
  await create(a, 'cut')
  const file = await carryOut(a)
  const ends = [...records(file).flatMap(({ at }) => [at, at + 1, at + 7]), file.length - 1]
  for (const end of ends.filter((each) => each < file.length))
    await expect(carryIn(b, file.subarray(0, end))).rejects.toMatchObject({ code: 'carry-damaged' })
  expect(await lines(b)).toEqual(await lines(a))
  for (const end of [0, 5, 17]) await expect(carryIn(b, file.subarray(0, end))).rejects.toThrow(/file/)
  expect(await carryIn(b, file)).toMatchObject({ received: 0 })
})

test('[V1] a file with any byte changed gives nothing that was not written', async () => {
  const [a, b] = await both()
  await create(a, 'flipped', '5')
  const file = await carryOut(a)
  const envelope = records(file).find(({ type }) => type === 2)!
  expect(envelopeHeader(envelope.bytes)).toMatchObject({ kind: 'changes' })
  for (let at = envelope.at + 5; at < envelope.at + 5 + envelope.bytes.length; at += 13) {
    const wrong = Buffer.from(file)
    wrong[at]! ^= 1 << (at & 7)
    await carryIn(b, wrong).catch((error) => expect(error.code).toMatch(/^carry-/))
    expect((await lines(b)).join()).not.toContain('flipped')
  }
  const first = records(file)[0]!.at
  for (const at of [first, first + 1, file.length - 1]) {
    const wrong = Buffer.from(file)
    wrong[at]! ^= 0x80
    await expect(carryIn(b, wrong)).rejects.toMatchObject({ code: 'carry-damaged' })
  }
  await carryIn(b, file)
  expect(await lines(b)).toEqual(await lines(a))
})

test('a file of another practice, and one that is none, are refused and change nothing', async () => {
  const [, b] = await both()
  const before = await lines(b)
  const elsewhere = newFolder()
  await found(elsewhere, 'Other')
  const other = await start(elsewhere)
  await create(other, 'foreign')
  await expect(carryIn(b, await carryOut(other))).rejects.toMatchObject({ code: 'carry-other-practice' })
  for (const text of ['{"id":"a1"}\n', '', 'kartoteka carry 2\n'.padEnd(80, 'x')])
    await expect(carryIn(b, Buffer.from(text))).rejects.toMatchObject({
      code: expect.stringMatching(/^carry-/),
    })
  expect(await lines(b)).toEqual(before)
})

test('a file of a device that this one never heard of brings the roster that names it', async () => {
  const third = newFolder()
  await pair(folders[0], third)
  const [, b] = await both()
  const c = await start(third)
  await create(c, 'from-third')
  expect(await b.device.list()).toHaveLength(2)
  const report = await carryIn(b, await carryOut(c))
  expect(report.received).toBeGreaterThan(0)
  expect(await b.device.list()).toHaveLength(3)
  expect((await lines(b)).join()).toContain('from-third')
})

/** A device that has five cases of which its logs retain nothing, and one that has joined since. */
async function lateJoiner(): Promise<[string, string]> {
  const alone = newFolder()
  await found(alone)
  const first = await start(alone)
  for (let at = 0; at < 5; at++) await create(first, `old-${at}`)
  // Nobody else belongs to the practice yet.
  await stop(first)
  const late = newFolder()
  await pair(alone, late)
  return [alone, late]
}

test('what its logs retain no longer is carried as whole cases', async () => {
  const [alone, late] = await lateJoiner()
  const [from, to] = [await start(alone), await start(late)]
  await create(from, 'new')
  const file = await carryOut(from)
  const kinds = records(file).map(({ bytes }) => envelopeHeader(bytes)?.kind)
  expect(kinds).toContain('states')
  await carryIn(to, file)
  expect(await lines(to)).toEqual(await lines(from))
  expect(await lines(to)).toHaveLength(6)
  await carryIn(to, file)
  await create(to, 'newer')
  await carryIn(to, file)
  expect(await lines(to)).toHaveLength(7)
})

/** Changes a bit of one case's content. */
async function spoil(folder: string): Promise<void> {
  const view = { keyEncoding: 'view', valueEncoding: 'view' } as const
  const db = new Level<Uint8Array, Uint8Array>(join(folder, 'store'), view)
  const [[key, value]] = (await db.iterator({ gte: Uint8Array.of(0x70), limit: 1 }).all()) as [
    [Uint8Array, Uint8Array],
  ]
  value[30]! ^= 1
  await db.put(key, value)
  await db.close()
}

test('of whole cases one that is damaged stays behind, and is named; the other device knows that it lacks it', async () => {
  const [alone, late] = await lateJoiner()
  await spoil(alone)
  const from = await start(alone)
  const ids = [0, 1, 2, 3, 4].map((at) => `old-${at}`)
  const opened = await Promise.allSettled(ids.map((id) => from.cases.show({ id })))
  const damaged = ids[opened.findIndex(({ status }) => status === 'rejected')]!
  const pieces: Buffer[] = []
  const named: string[] = []
  for await (const { data, lacks } of await from.carry.out()) {
    pieces.push(Buffer.from(data, 'base64'))
    named.push(...(lacks ?? []))
  }
  expect(named).toEqual([damaged])
  await stop(from)
  const to = await start(late)
  await carryIn(to, Buffer.concat(pieces))
  expect((await to.cases.list({ deleted: false })).map(({ id }) => id)).toEqual(
    ids.filter((id) => id !== damaged),
  )
  expect((await to.doctor()).find(({ check }) => check === 'store')).toMatchObject({ ok: false })
})

test('a device whose folder was restored is told what it lacks, and has it after a file there and back', async () => {
  const [here, there] = [newFolder(), newFolder()]
  await found(here)
  await pair(here, there)
  const copy = newFolder()
  cpSync(there, copy, { recursive: true })
  const [a, b] = [await start(here), await start(there)]
  await create(a, 'before')
  await carryIn(b, await carryOut(a))
  await carryIn(a, await carryOut(b))
  await stop(b)
  rmSync(there, { recursive: true })
  renameSync(copy, there)
  const restored = await start(there)
  await create(a, 'after')
  await expect(carryIn(restored, await carryOut(a))).rejects.toMatchObject({ code: 'carry-gap' })
  await carryIn(a, await carryOut(restored))
  await carryIn(restored, await carryOut(a))
  expect(await lines(restored)).toEqual(await lines(a))
  expect(await lines(restored)).toHaveLength(2)
})
