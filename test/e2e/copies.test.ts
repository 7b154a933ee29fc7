/**
 * A data folder that exists twice, or comes back from an older day: whoever writes on opens a log of its own, and
 * nothing that was stored in either copy is lost.
 */
import { cpSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Status } from '../../src/node/contract.js'
import { peerIdToPublicKey } from '../../src/node/peer-id.js'
import { toHex } from '../../src/protocol/bytes.js'
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
import { readLogs, withStore } from './stores.js'

const CASE = 'shared'
const ROUNDS = 5

/** Stored when it resolves. */
async function type(device: TestDevice, consultation: string, mark: string): Promise<string> {
  const client = await device.link()
  await client.cases.type({ id: CASE, consultation, at: 0, erase: 0, text: mark })
  await client.flush()
  return mark
}

/** A case with a consultation for every writer, so that a mark is never typed into the midst of another. */
async function startWithCase(): Promise<[TestDevice, TestDevice]> {
  const pair = await startPair()
  const consultations = ['c0', 'c1', 'c2'].map((id) => ({ id, date: '2025-01-01', text: '.' }))
  await pair[0].ok(
    'case',
    'new',
    '--json-file',
    tempFile('case.json', JSON.stringify({ id: CASE, consultations })),
  )
  await synced(pair[0])
  return pair
}

async function expectAllEqual(devices: TestDevice[], marks: string[]): Promise<void> {
  // The copies can't dial each other: what one of them wrote reaches the other by way of the third device.
  for (let turn = 0; turn < 2; turn++) for (const device of devices) await synced(device)
  const texts = await Promise.all(devices.map((device) => exported(device)))
  for (const text of texts) {
    expect(marks.filter((mark) => text.split(mark).length !== 2)).toEqual([])
    expect(text === texts[0]).toBe(true)
  }
}

/** How many logs the device's key has written to, as a stopped device knows them. */
async function ownLogs(stopped: TestDevice, id: string): Promise<number> {
  const key = toHex(peerIdToPublicKey(id)!)
  const logs = await withStore(stopped.folder, readLogs)
  return logs.filter(({ device, seq }) => device === key && seq > 0).length
}

async function expectDevices(device: TestDevice, names: Record<string, string>): Promise<void> {
  const { devices } = await device.ok<Status>('status')
  expect(Object.fromEntries(devices.map(({ id, name }) => [id, name]))).toEqual(names)
}

for (const wasKilled of [false, true])
  it(`loses nothing where a folder and its copy both run${wasKilled ? ', copied after a kill' : ''}`, async () => {
    const [desk, laptop] = await startWithCase()
    const marks = [await type(desk, 'c0', '(before)')]
    if (wasKilled) await desk.kill()
    else await desk.stop()
    const folder = join(tempFolder(), 'data')
    cpSync(desk.folder, folder, { recursive: true })
    const [, copy] = await Promise.all([desk.start(), startDevice({ folder })])
    expect(copy.id).toBe(desk.id)
    const devices = [desk, laptop, copy]
    for (let round = 0; round < ROUNDS; round++)
      marks.push(
        ...(await Promise.all(devices.map((device, at) => type(device, `c${at}`, `(${round} of ${at})`)))),
      )
    await expectAllEqual(devices, marks)
    for (const device of devices)
      expect(await device.ok<{ problems: unknown[] }>('status')).toMatchObject({ problems: [] })
    // The third one meets both, and says so: the one whose folder is elsewhere becomes a device of its own.
    const id = await ownId(copy, desk.id)
    marks.push(...(await Promise.all(devices.map((device, at) => type(device, `c${at}`, `(${at}, known)`)))))
    await expectAllEqual(devices, marks)
    await expectDevices(desk, { [desk.id]: 'Desk', [laptop.id]: 'Laptop', [id]: 'Desk (2)' })
    await Promise.all(devices.map((device) => device.stop()))
    // The one before, and one more for each that didn't go on where it stopped.
    expect(await ownLogs(laptop, desk.id)).toBe(wasKilled ? 3 : 2)
    expect(await ownLogs(laptop, id)).toBe(1)
  })

for (const isInPlace of [false, true])
  it(`loses nothing where last week's folder is put back${isInPlace ? ' file by file' : ''}`, async () => {
    const [desk, laptop] = await startWithCase()
    const marks = [await type(desk, 'c0', '(last week)')]
    await synced(desk)
    await desk.stop()
    const backup = join(tempFolder(), 'backup')
    cpSync(desk.folder, backup, { recursive: true })
    await desk.start()
    for (let round = 0; round < ROUNDS; round++) marks.push(await type(desk, 'c0', `(week ${round})`))
    await synced(desk)
    await desk.stop()
    marks.push(await type(laptop, 'c1', '(meanwhile)'))
    // The folder itself keeps its inode where only what is in it is replaced.
    if (isInPlace)
      for (const name of readdirSync(desk.folder)) rmSync(join(desk.folder, name), { recursive: true })
    else rmSync(desk.folder, { recursive: true })
    cpSync(backup, desk.folder, { recursive: true })
    await desk.start()
    // At once: it may not have met the other yet.
    marks.push(await type(desk, 'c2', '(restored)'))
    for (let round = 0; round < ROUNDS; round++) marks.push(await type(desk, 'c0', `(after ${round})`))
    await expectAllEqual([desk, laptop], marks)
    expect((await desk.ok<{ identical: boolean }>('verify')).identical).toBe(true)
  })

const KILLS = 2
/** A moment later they are a change: now and then a kill comes too late. */
const MAX_KILLS = 4 * KILLS

it(`loses no letter that was only jotted down when the device was killed, ${KILLS} times, nor does a copy made then`, async () => {
  const [desk, laptop] = await startWithCase()
  const marks = [await type(desk, 'c0', '(before)')]
  await synced(desk)
  await laptop.stop()
  const other = async () => (await (await desk.link()).status()).devices.find(({ self }) => !self)!
  await until(async () => !(await other()).connected)
  expect(await other()).toMatchObject({ upToDate: true })
  const jotted = () => statSync(join(desk.folder, 'jottings'), { throwIfNoEntry: false })?.size ?? 0
  for (let kills = 0, hits = 0; hits < KILLS; kills++) {
    expect(kills).toBeLessThan(MAX_KILLS)
    const client = await desk.link()
    for (let typed = 0; typed < 3 || jotted() === 0; typed++) {
      const mark = `(${marks.length})`
      await client.cases.type({ id: CASE, consultation: 'c0', at: 0, erase: 0, text: mark })
      marks.push(mark)
      if (kills > 0) continue
      // At once: what is only jotted down is held by nobody else.
      expect(
        (JSON.parse((await client.cases.show({ id: CASE })).json) as { heldBy: string[] }).heldBy,
      ).toEqual([desk.id])
      expect((await other()).behind).toBeGreaterThan(0)
    }
    process.kill(desk.pid, 'SIGKILL')
    await desk.kill()
    if (jotted() > 0) hits++
    if (hits < KILLS) await desk.start()
  }
  const folder = join(tempFolder(), 'data')
  cpSync(desk.folder, folder, { recursive: true })
  const [, , copy] = await Promise.all([desk.start(), laptop.start(), startDevice({ folder })])
  await expectAllEqual([desk, laptop, copy], marks)
  for (const device of [desk, laptop, copy])
    expect(await device.ok<{ problems: unknown[] }>('status')).toMatchObject({ problems: [] })
})

/** Waits until the copy is a device of its own; gives its id. */
async function ownId(copy: TestDevice, before: string): Promise<string> {
  let id = before
  await until(async () => {
    // It begins anew meanwhile, and then doesn't answer.
    const { code, json } = await copy.run('status')
    if (code === 0) id = (json as Status).device.id
    return id !== before
  }, 60_000)
  copy.forgetLink()
  return id
}

it('makes a device of its own of a copy that meets the original on the network, and both get the same', async () => {
  const desk = await startDevice({ lan: true })
  await createPractice(desk)
  const consultations = ['c0', 'c1'].map((id) => ({ id, date: '2025-01-01', text: '.' }))
  await desk.ok(
    'case',
    'new',
    '--json-file',
    tempFile('case.json', JSON.stringify({ id: CASE, consultations })),
  )
  const marks = [await type(desk, 'c0', '(before)')]
  await desk.stop()
  const folder = join(tempFolder(), 'data')
  cpSync(desk.folder, folder, { recursive: true })
  // Both write before they meet.
  const copy = await startDevice({ folder })
  marks.push(await type(copy, 'c1', '(of the copy)'))
  await copy.stop()
  await desk.start()
  marks.push(await type(desk, 'c0', '(of the original)'))
  // The copy doesn't know of it: it enrols itself on another branch of the roster, and one of both has lost.
  const phone = await startDevice()
  await joinPractice(phone, desk, 'Phone')
  const again = await startDevice({ folder, lan: true })
  const id = await ownId(again, desk.id)
  await until(async () => (await again.ok<Status>('status')).devices.length === 3, 60_000)
  await expectAllEqual([desk, again, phone], marks)
  await expectDevices(desk, { [desk.id]: 'Desk', [id]: 'Desk (2)', [phone.id]: 'Phone' })
  expect((await again.ok<{ code: string }[]>('log')).map(({ code }) => code)).toContain('copy-enrolled')
})
