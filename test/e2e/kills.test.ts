/**
 * kill −9 of either side in the middle of a first sync: it goes on where it was, and ends with the same cases.
 * KARTOTEKA_KILLS says how many kills there are in each test.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { expect, it } from 'vitest'
import type { Status } from '../../src/node/contract.js'
import { KILLS as FAULTS } from '../support/faults.js'
import {
  exported,
  imported,
  joinPractice,
  startDevice,
  startPair,
  synced,
  type TestDevice,
  until,
} from '../support/processes.js'
import { seeded } from '../support/random.js'
import { workloadLines } from '../support/workload.js'
import { readLogs, withStore } from './stores.js'

const CASES = 2000
const KILLS = FAULTS.sync
/** To ask is work for the device as well. */
const LOOK_MS = 25
/** A kill comes within this long after enough has arrived. */
const MOMENT_MS = 10
/** From the beginning of a leg's transfer to a kill. */
const MOST_PATIENCE_MS = 3_000
/** What a kill costs by itself: what is on its way is sent again, and so is the beginning with all its checks. */
const ON_ITS_WAY_BYTES = 64 * 1024
/** Each kill is followed by a start; machines that run tests are busy. */
const TIMEOUT_MS = 30_000 * KILLS

/** What the first device sends goes slowly, so that every kill falls into the sync; until it is told otherwise. */
const SLOW = { NODE_OPTIONS: `--import=${new URL('../support/slow-wire.mjs', import.meta.url).href}` }

const random = seeded(Number(process.env.KARTOTEKA_SEED ?? 204))

/** What a device that receives says of itself, undefined while it can't be asked. */
async function ask(device: TestDevice): Promise<Status | undefined> {
  try {
    return await (await device.link()).status()
  } catch {
    return undefined
  }
}

async function asked(device: TestDevice): Promise<Status> {
  let status: Status | undefined
  await until(async () => {
    status = await ask(device)
    return status !== undefined
  })
  return status!
}

/** What came between two kills: cases held more than before, and what `status.transfer` said of it. */
interface Leg {
  gained: number
  done: number
  bytes: number
}

/** Kills one after the other of both, spread over the sync, and starts it again. Each falls into the sync. */
async function killAround(
  kills: number,
  [receiver, sender]: [TestDevice, TestDevice],
  byStates: boolean,
  env: Record<string, string>,
): Promise<{ legs: Leg[]; rest: Watch }> {
  const legs: Leg[] = []
  let began = await asked(receiver)
  for (let kill = 1; kill <= kills; kill++) {
    const watch = new Watch(began.transfer)
    const held = began.cases.total
    const goal = held + (CASES - held) / (kills - kill + 2)
    let at = held
    // Cases are taken in by the hundred: waiting for some each time would be over before the last kill.
    const patienceMs = random() * MOST_PATIENCE_MS
    let since: number | undefined
    await until(
      async () => {
        const status = await asked(receiver)
        watch.see(status)
        at = status.cases.total
        const isInside = byStates
          ? watch.isSeen
          : status.devices.some(({ connected, self }) => connected && !self)
        if (isInside) since ??= performance.now()
        if (since !== undefined && performance.now() - since > patienceMs) return true
        return at >= goal && at > held && (!byStates || watch.bytes > 0)
      },
      120_000,
      LOOK_MS,
    )
    expect(at).toBeLessThan(CASES)
    expect(byStates && !watch.isSeen).toBe(false)
    // The rest comes at full speed.
    if (kill === kills) delete env.NODE_OPTIONS
    began = kill % 2 === 1 ? await killReceiver(receiver, sender) : await killSender(receiver, sender, watch)
    // What was there before is there afterwards.
    expect(began.cases.total).toBeGreaterThanOrEqual(at)
    legs.push({ gained: began.cases.total - held, done: watch.done, bytes: watch.bytes })
  }
  return { legs, rest: new Watch(began.transfer) }
}

/** In the middle of taking in; what it says when it is back, before anything more comes. */
async function killReceiver(receiver: TestDevice, sender: TestDevice): Promise<Status> {
  await sleep(random() * MOMENT_MS)
  await receiver.kill()
  process.kill(sender.pid, 'SIGSTOP')
  await receiver.start()
  const status = await asked(receiver)
  process.kill(sender.pid, 'SIGCONT')
  return status
}

/** In the middle of giving; what the receiver says when it has taken in what was on its way. */
async function killSender(receiver: TestDevice, sender: TestDevice, watch: Watch): Promise<Status> {
  await sleep(random() * MOMENT_MS)
  await sender.kill()
  let status = await asked(receiver)
  await until(async () => {
    const before = status.cases.total
    await sleep(20)
    status = await asked(receiver)
    return status.cases.total === before && !status.devices.some(({ connected, self }) => connected && !self)
  })
  watch.see(status)
  await sender.start()
  return status
}

/** Adds up what `status.transfer` says: from zero in each process, and after each interruption. */
class Watch {
  private earlier = { done: 0, bytes: 0 }
  private last = { done: 0, bytes: 0 }

  /** Whole states are on their way. */
  isSeen = false

  /** @param old of before, still shown as the last one. */
  constructor(private old: Status['transfer']) {}

  see({ transfer }: Status): void {
    if (!transfer || isDeepStrictEqual(transfer, this.old)) return
    this.old = null
    this.isSeen = true
    if (transfer.bytes < this.last.bytes) this.earlier = { done: this.done, bytes: this.bytes }
    this.last = transfer
  }

  get done(): number {
    return this.earlier.done + this.last.done
  }

  get bytes(): number {
    return this.earlier.bytes + this.last.bytes
  }
}

it(`resumes a first sync of ${CASES} cases by changes after each of ${KILLS} kills`, {
  timeout: TIMEOUT_MS,
}, async () => {
  const env: Record<string, string> = {}
  const [desk, laptop] = await startPair({ env })
  // A device that holds something gets what it lacks as changes; an empty one gets whole states.
  await imported(desk, workloadLines(1))
  await synced(desk)
  await laptop.stop()
  await imported(desk, workloadLines(CASES))
  await desk.stop()
  Object.assign(env, SLOW)
  await desk.start()
  await laptop.start()
  await killAround(KILLS, [laptop, desk], false, env)
  await synced(laptop)
  await expectSame([desk, laptop])
  expect((await laptop.ok<Status>('status')).transfer).toBeNull()
  // Every change came once: as many as there are cases.
  await laptop.stop()
  const logs = await withStore(laptop.folder, readLogs)
  expect(logs.reduce((sum, { seq }) => sum + seq, 0)).toBe(CASES)
})

it(`resumes a first sync of ${CASES} cases by whole states, from pruned logs, after each of ${KILLS} kills`, {
  timeout: TIMEOUT_MS,
}, async () => {
  const env: Record<string, string> = {}
  const [desk, laptop] = await startPair({ env })
  await synced(desk)
  await laptop.stop()
  await imported(desk, workloadLines(CASES))
  await laptop.start()
  await synced(laptop)
  // Both have said what they hold; nobody needs the changes any more.
  await until(async () => (await asked(desk)).devices.every(({ upToDate }) => upToDate))
  await laptop.stop()
  await desk.stop()
  // Changes can't carry it any more: nobody who runs from here on has one of these.
  const [log] = await withStore(desk.folder, readLogs)
  expect(log).toMatchObject({ seq: CASES, retainedFrom: CASES })
  Object.assign(env, SLOW)
  await desk.start()

  const third = await startDevice()
  await joinPractice(third, desk, 'Third')
  const { legs, rest } = await killAround(KILLS, [third, desk], true, env)
  const held = legs.reduce((sum, { gained }) => sum + gained, 0)
  await synced(third)
  rest.see(await asked(third))
  legs.push({ gained: CASES - held, done: rest.done, bytes: rest.bytes })

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
  expect(legs).toHaveLength(KILLS + 1)
  // What was taken in between the last answer and the kill of a receiver was not seen; in cases it is known.
  const mean = whole.bytes / CASES
  const bytes = legs.map((leg) => leg.bytes + Math.max(0, leg.gained - leg.done) * mean)
  for (let kill = 0; kill < KILLS; kill++) {
    const held = sum(legs.slice(0, kill + 1).map(({ gained }) => gained))
    const later = (KILLS - 1 - kill) * ON_ITS_WAY_BYTES
    expect(sum(bytes.slice(kill + 1))).toBeLessThanOrEqual(1.1 * (CASES - held) * mean + later)
  }
  // Nothing came twice.
  for (const leg of legs) expect(leg.done).toBeLessThanOrEqual(leg.gained)

  await laptop.start()
  for (const device of [third, fourth, laptop]) await synced(device)
  await expectSame([desk, laptop, third, fourth])
})

const sum = (numbers: number[]) => numbers.reduce((all, number) => all + number, 0)

async function expectSame(devices: TestDevice[]): Promise<void> {
  const [first, ...others] = await Promise.all(devices.map((device) => exported(device)))
  for (const other of others) expect(other === first).toBe(true)
  for (const device of devices) {
    expect((await device.ok<Status>('status')).cases).toMatchObject({ total: CASES, deleted: 0 })
  }
  // Everybody has joined from the first, which therefore reaches all of them.
  expect((await devices[0]!.ok<{ identical: boolean }>('verify')).identical).toBe(true)
}
