/**
 * kill −9 of either side in the middle of a first sync: it goes on where it was, and ends with the same cases.
 * KARTOTEKA_KILLS says how many kills there are in each test.
 */
import { expect, it } from 'vitest'
import type { Status } from '../../src/node/contract.js'
import {
  exported,
  joinPractice,
  startDevice,
  startPair,
  synced,
  type TestDevice,
  tempFile,
  until,
} from '../support/processes.js'
import { workloadLines } from '../support/workload.js'
import { readLogs, withStore } from './stores.js'

const CASES = 2000
const KILLS = Number(process.env.KARTOTEKA_KILLS ?? (process.env.CI ? 10 : 3))

/** What a device that receives says of itself, undefined while it can't be asked. */
async function ask(device: TestDevice): Promise<Status | undefined> {
  try {
    return await (await device.link()).status()
  } catch {
    return undefined
  }
}

/** Kills one after the other of both, spread over the sync that `reached` measures, and starts it again. */
async function killAround(
  kills: number,
  [receiver, sender]: [TestDevice, TestDevice],
  reached: (status: Status) => number,
  seen: (status: Status) => void = () => {},
): Promise<number> {
  let done = 0
  for (let next = 1; next <= kills; next++) {
    let at = 0
    await until(
      async () => {
        const status = await ask(receiver)
        if (status) {
          seen(status)
          at = reached(status)
        }
        return at >= (CASES * next) / (kills + 1)
      },
      120_000,
      1,
    )
    if (at >= CASES) break
    const victim = next % 2 === 1 ? receiver : sender
    await victim.kill()
    await victim.start()
    done++
    // What was there before is there afterwards.
    const after = await ask(receiver)
    if (after)
      expect(after.cases.total).toBeGreaterThanOrEqual(Math.min(at, after.cases.total === 0 ? 1 : at))
  }
  return done
}

it(`resumes a first sync of ${CASES} cases by changes after each of ${KILLS} kills`, async () => {
  const [desk, laptop] = await startPair()
  // A device that holds something gets what it lacks as changes; an empty one gets whole states.
  await desk.ok('case', 'import', tempFile('case.jsonl', workloadLines(1)))
  await synced(desk)
  await laptop.stop()
  await desk.ok('case', 'import', tempFile('cases.jsonl', workloadLines(CASES)))
  await laptop.start()
  const kills = await killAround(KILLS, [laptop, desk], ({ cases }) => cases.total)
  // On a fast machine some of them come too late.
  expect(kills).toBeGreaterThan(KILLS >> 1)
  await synced(laptop)
  await expectSame([desk, laptop])
  expect((await laptop.ok<Status>('status')).transfer).toBeNull()
  // Every change came once: as many as there are cases.
  await laptop.stop()
  const logs = await withStore(laptop.folder, readLogs)
  expect(logs.reduce((sum, { seq }) => sum + seq, 0)).toBe(CASES)
})

it(`resumes a first sync of ${CASES} cases by whole states, from pruned logs, after each of ${KILLS} kills`, async () => {
  const [desk, laptop] = await startPair()
  await synced(desk)
  await laptop.stop()
  await desk.ok('case', 'import', tempFile('cases.jsonl', workloadLines(CASES)))
  await laptop.start()
  await synced(laptop)
  // Both have said what they hold; nobody needs the changes any more.
  await until(async () => (await desk.ok<Status>('status')).devices.every(({ upToDate }) => upToDate))
  await laptop.stop()
  await desk.stop()
  // Changes can't carry it any more: nobody who runs from here on has one of these.
  const [log] = await withStore(desk.folder, readLogs)
  expect(log).toMatchObject({ seq: CASES, retainedFrom: CASES })
  await desk.start()

  const third = await startDevice()
  const parts: { done: number; bytes: number }[] = []
  let last: { done: number; bytes: number } | undefined
  /** A transfer that went on is a further part. */
  const seen = ({ transfer }: Status) => {
    if (last && (!transfer || transfer.bytes < last.bytes)) parts.push(last)
    last = transfer ?? undefined
  }
  await joinPractice(third, desk, 'Third')
  const did = await killAround(KILLS, [third, desk], ({ cases }) => cases.total, seen)
  expect(did).toBeGreaterThan(KILLS >> 1)
  await synced(third)
  seen((await ask(third))!)
  // Nothing was left to send if the last kill came that late.
  parts.push(last ?? { done: 0, bytes: 0 })

  // The same cases once more, undisturbed: what they cost on the wire.
  const fourth = await startDevice()
  await joinPractice(fourth, desk, 'Fourth')
  // A later one, of what little came meanwhile, takes the place of the first: the greatest counts.
  let whole = { done: 0, of: 0, bytes: 0 }
  await until(async () => {
    const status = await ask(fourth)
    if (status?.transfer && status.transfer.bytes > whole.bytes) whole = status.transfer
    return whole.done >= CASES
  })
  await synced(fourth)
  expect(whole).toMatchObject({ done: CASES, of: CASES })
  expect(parts.length).toBeGreaterThan(did >> 1)
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0)
  const cases = parts.reduce((sum, part) => sum + part.done, 0)
  expect(bytes).toBeLessThanOrEqual(1.1 * whole.bytes)
  const before = bytes - parts.at(-1)!.bytes
  expect(parts.at(-1)!.bytes).toBeLessThanOrEqual(1.1 * (whole.bytes - before))
  // Cases came as states; those taken in between the last look and a kill were not seen.
  expect(cases).toBeGreaterThan(CASES / 4)
  expect(cases).toBeLessThanOrEqual(1.02 * CASES)

  await laptop.start()
  for (const device of [third, fourth, laptop]) await synced(device)
  await expectSame([desk, laptop, third, fourth])
})

async function expectSame(devices: TestDevice[]): Promise<void> {
  const [first, ...others] = await Promise.all(devices.map((device) => exported(device)))
  for (const other of others) expect(other === first).toBe(true)
  for (const device of devices) {
    expect((await device.ok<Status>('status')).cases).toMatchObject({ total: CASES, deleted: 0 })
  }
  // Everybody has joined from the first, which therefore reaches all of them.
  expect((await devices[0]!.ok<{ identical: boolean }>('verify')).identical).toBe(true)
}
