/** Real devices that were paired at a real relay, and what lies in a relay's folder, read past the relay. */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { Level } from 'level'
import { expect } from 'vitest'
import type { MailboxReport, Status } from '../../src/node/contract.js'
import { publicKeyToPeerId } from '../../src/node/peer-id.js'
import { DEVICE_KEY_BYTES, PRACTICE_ID_BYTES } from '../../src/protocol/mailbox-limits.js'
import { exported, imported, pinFile, startDevice, synced, type TestDevice, tempFolder } from './processes.js'
import { RelayProcess } from './relay-process.js'
import { workloadLines } from './workload.js'

export interface MailPair {
  relay: RelayProcess
  /** Of the relay, as the devices know it. */
  address: string
  desk: TestDevice
  laptop: TestDevice
}

export interface PairOptions {
  relayArgs?: string[]
  /** From the relay's own address to the one that devices are told. */
  via?: (address: string) => Promise<string>
  pin?: string
  names?: { practice: string; desk: string; laptop: string }
}

const NAMES = { practice: 'Gabinet', desk: 'Desk', laptop: 'Laptop' }

/** Both run, use the mailbox and hold the same: the second one was told the code and the relay, and nothing else. */
export async function startMailPair(options: PairOptions = {}): Promise<MailPair> {
  const { relayArgs = [], via = async (address) => address, names = NAMES } = options
  const relay = await new RelayProcess(relayArgs).start()
  const address = await via(relay.addresses[0]!)
  const [desk, laptop] = await Promise.all([startDevice(), startDevice()])
  const pin = pinFile(options.pin)
  await desk.ok('practice', 'create', '--name', names.practice, '--device', names.desk, '--pin-file', pin)
  await desk.ok('mailbox', 'on', address)
  const { code } = await desk.ok<{ code: string }>('device', 'invite', '--pin-file', pin, '--yes')
  await laptop.ok(
    ...['practice', 'join', code, '--relay', address],
    ...['--device', names.laptop, '--pin-file', pin],
  )
  await laptop.ok('mailbox', 'on')
  await synced(laptop)
  await synced(desk)
  return { relay, address, desk, laptop }
}

/** Imports so many full cases; what they are is a matter of the seed. */
export async function importFull(device: TestDevice, count: number, seed = 42): Promise<void> {
  expect(await imported(device, workloadLines(count, seed, 'full'))).toMatchObject({ added: count })
}

export async function show(device: TestDevice): Promise<MailboxReport> {
  return device.isElsewhere ? device.ok('mailbox', 'show') : (await device.link()).mailbox.show()
}

export async function statusOf(device: TestDevice): Promise<Status> {
  return device.isElsewhere ? device.ok('status') : look(device)
}

/** By the running device's own link: without a process for each look. */
export async function look(device: TestDevice): Promise<Status> {
  return (await device.link()).status()
}

export function problemCodes({ problems }: Status): string[] {
  return problems.map(({ code }) => code)
}

export async function expectSameCases(one: TestDevice, other: TestDevice, total?: number): Promise<string> {
  const [first, second] = [await exported(one), await exported(other)]
  expect(first === second).toBe(true)
  if (total !== undefined) expect(first.trimEnd().split('\n')).toHaveLength(total)
  return first
}

export interface Held {
  /** Whose roster the relay has. */
  practices: number
  /** By recipient's id. */
  waiting: Map<string, { count: number; bytes: number }>
  envelopes: number
}

const ROW_RECIPIENT = 1 + PRACTICE_ID_BYTES
const ROW_ID = ROW_RECIPIENT + DEVICE_KEY_BYTES + 8
const CHECKSUM_BYTES = 8

/** What a relay's database holds, from a copy of its folder: as a thief would count it, not as the relay does. */
export async function heldBy(folder: string): Promise<Held> {
  const copy = join(tempFolder(), 'relay')
  cpSync(folder, copy, { recursive: true })
  const encoding = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const
  const db = new Level<Buffer, Buffer>(join(copy, 'mail'), encoding)
  await db.open()
  try {
    const held: Held = { practices: 0, waiting: new Map(), envelopes: 0 }
    const bodies = new Map<string, number>()
    const rows: Buffer[] = []
    for await (const [key, value] of db.iterator()) {
      const letter = String.fromCharCode(key[0]!)
      if (letter === 'p') held.practices++
      if (letter === 'w') rows.push(key)
      if (letter === 'b') bodies.set(key.toString('hex', ROW_RECIPIENT), value.length - CHECKSUM_BYTES)
    }
    held.envelopes = bodies.size
    for (const key of rows) {
      const recipient = publicKeyToPeerId(
        Uint8Array.from(key.subarray(ROW_RECIPIENT, ROW_RECIPIENT + DEVICE_KEY_BYTES)),
      )
      const sum = held.waiting.get(recipient) ?? { count: 0, bytes: 0 }
      held.waiting.set(recipient, {
        count: sum.count + 1,
        bytes: sum.bytes + bodies.get(key.toString('hex', ROW_ID))!,
      })
    }
    return held
  } finally {
    await db.close()
  }
}
