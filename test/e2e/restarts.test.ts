/** Devices that are killed while people type: each unclean start begins a new log, and nothing is lost. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { peerIdToPublicKey } from '../../src/node/peer-id.js'
import type { Client } from '../../src/node/router.js'
import { toHex } from '../../src/protocol/bytes.js'
import { KILLS } from '../support/faults.js'
import { exported, startPair, synced, type TestDevice, tempFile } from '../support/processes.js'
import { seeded } from '../support/random.js'
import { readLogs, withStore } from './stores.js'

const ROUNDS = 8
const OWN = ['c0', 'c1'] as const

/** Types until the device is gone; says what was certainly stored. */
async function typeUntilGone(
  client: Client,
  id: string,
  consultation: string,
  marks: () => string,
  limit: number,
): Promise<string[]> {
  const stored: string[] = []
  try {
    for (let count = 0; count < limit; count++) {
      const mark = marks()
      for (const [at, text] of [...mark].entries())
        await client.cases.type({ id, consultation, at, erase: 0, text })
      await client.flush()
      stored.push(mark)
    }
  } catch {
    // It was killed.
  }
  return stored
}

it(`converges and loses nothing over ${ROUNDS} kills of both sides while both type`, async () => {
  const random = seeded(7)
  const devices = await startPair()
  const [desk] = devices
  for (const id of ['shared', 'other']) {
    // Each device types in its own: where a mark stands is then certain.
    const made = { id, consultations: OWN.map((own) => ({ id: own, date: '2025-01-01', text: '.' })) }
    await desk.ok('case', 'new', '--json-file', tempFile('case.json', JSON.stringify(made)))
  }
  await synced(desk)
  const stored: string[] = []
  let number = 0
  const marks = () => `(${++number})`
  /** Starts of each device that found no clean stop; an edit followed each of them. */
  const unclean = [0, 0]
  let kills = 0
  for (let round = 0; round < ROUNDS; round++) {
    const victims = round % 4 === 3 ? [0, 1] : [round % 2]
    const clients = await Promise.all(devices.map((device) => device.link()))
    const typing = clients.map((client, at) => {
      // A survivor stops typing by itself.
      const limit = victims.includes(at) ? 1000 : 6
      return typeUntilGone(client, random.pick(['shared', 'other']), OWN[at]!, marks, limit)
    })
    // Right at the beginning, or in the middle of it.
    await sleep(round % 3 === 0 ? 0 : random.int(20, 400))
    await Promise.all(victims.map((at) => devices[at]!.kill()))
    kills += victims.length
    for (const marked of await Promise.all(typing)) stored.push(...marked)
    await Promise.all(victims.map((at) => devices[at]!.start()))
    // An edit at once after the start, and in every other round a kill at once after the edit.
    for (const at of victims) {
      const mark = marks()
      await type(devices[at]!, OWN[at]!, mark)
      stored.push(mark)
      unclean[at]!++
      if (round % 2 === 0) {
        await devices[at]!.kill()
        kills++
        await devices[at]!.start()
        const again = marks()
        await type(devices[at]!, OWN[at]!, again)
        stored.push(again)
        unclean[at]!++
      }
    }
  }
  expect(kills).toBe(KILLS.restarts)
  for (const device of devices) await synced(device)
  for (const device of devices) await synced(device)
  const [text, same] = await Promise.all(devices.map((device) => exported(device)))
  expect(same === text).toBe(true)
  expect(stored.length).toBeGreaterThan(ROUNDS)
  expect(stored.filter((mark) => !text!.includes(mark))).toEqual([])
  expect((await desk.ok<{ identical: boolean }>('verify')).identical).toBe(true)
  expect(await desk.ok<{ problems: unknown[] }>('status')).toMatchObject({ problems: [] })

  await Promise.all(devices.map((device) => device.stop()))
  const logs = await Promise.all(devices.map((device) => withStore(device.folder, readLogs)))
  const known = (list: (typeof logs)[number]) => list.map(({ log, seq }) => `${log} ${seq}`).sort()
  expect(known(logs[1]!)).toEqual(known(logs[0]!))
  for (const [at, device] of devices.entries()) {
    const key = toHex(peerIdToPublicKey(device.id)!)
    const own = logs[0]!.filter((log) => log.device === key && log.seq > 0)
    // Whoever wrote before the first kill has one log more.
    expect(own.length - unclean[at]!).toBeGreaterThanOrEqual(0)
    expect(own.length - unclean[at]!).toBeLessThanOrEqual(1)
  }

  // After a clean stop the log goes on.
  await desk.start()
  await type(desk, OWN[0], '(end)')
  await desk.stop()
  expect((await withStore(desk.folder, readLogs)).length).toBe(logs[0]!.length)
})

async function type(device: TestDevice, consultation: string, text: string): Promise<void> {
  const client = await device.link()
  await client.cases.type({ id: 'shared', consultation, at: 0, erase: 0, text })
  await client.flush()
}
