/** A device that stands still for long, as in a closed notebook, in the midst of syncing and of typing. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import {
  exported,
  imported,
  startPair,
  synced,
  type TestDevice,
  tempFile,
  until,
} from '../support/processes.js'
import { workloadLines } from '../support/workload.js'

/** In every run; KARTOTEKA_STANDSTILL=90 is longer than any of the connection's own timeouts. */
const STANDSTILL_MS = Number(process.env.KARTOTEKA_STANDSTILL ?? 20) * 1000
const CAUGHT_UP_MS = 30_000
const CASES = 600
const CASE = 'shared'

/** Types until told otherwise; says what was certainly stored. */
async function typing(device: TestDevice, consultation: string, isOver: () => boolean): Promise<string[]> {
  const client = await device.link()
  const stored: string[] = []
  for (let number = 0; !isOver(); number++) {
    const mark = `(${consultation} ${number})`
    await client.cases.type({ id: CASE, consultation, at: 0, erase: 0, text: mark })
    await client.flush()
    stored.push(mark)
    await sleep(20)
  }
  return stored
}

async function standStill(isReceiver: boolean): Promise<void> {
  const [desk, laptop] = await startPair()
  const consultations = ['c0', 'c1'].map((id) => ({ id, date: '2025-01-01', text: '.' }))
  await desk.ok(
    'case',
    'new',
    '--json-file',
    tempFile('case.json', JSON.stringify({ id: CASE, consultations })),
  )
  await synced(desk)
  let isOver = false
  const typed = [typing(desk, 'c0', () => isOver), typing(laptop, 'c1', () => isOver)]
  const importing = imported(desk, workloadLines(CASES))
  const receiver = await laptop.link()
  const received = async () => (await receiver.status()).cases.total
  // Some have come, and others are on the way.
  await until(async () => (await received()) > 1)
  const still = isReceiver ? laptop : desk
  const other = isReceiver ? desk : laptop
  process.kill(still.pid, 'SIGSTOP')
  const others = await other.link()
  await sleep(STANDSTILL_MS)
  // The one that runs goes on meanwhile.
  await others.cases.create({ json: JSON.stringify({ id: 'meanwhile' }) })
  await others.flush()
  process.kill(still.pid, 'SIGCONT')
  const began = performance.now()
  isOver = true
  const marks = (await Promise.all(typed)).flat()
  await importing
  // What each has is known to the other to be stored.
  await Promise.all([desk, laptop].map((device) => synced(device)))
  expect(performance.now() - began).toBeLessThan(CAUGHT_UP_MS)
  const [text, same] = await Promise.all([desk, laptop].map((device) => exported(device)))
  expect(same === text).toBe(true)
  expect(marks.filter((mark) => text!.split(mark).length !== 2)).toEqual([])
  expect(text!.trimEnd().split('\n').length).toBe(CASES + 2)
  for (const device of [desk, laptop])
    expect(await device.ok<{ problems: unknown[] }>('status')).toMatchObject({ problems: [] })
}

it.each([
  ['receives', true],
  ['gives', false],
])('is synced again within 30 s where the one that %s stood still', (_, isReceiver) => standStill(isReceiver))
