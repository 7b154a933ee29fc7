/**
 * kill −9 of a relay at random moments while eight devices deposit: every mail that was acknowledged is there
 * after each start, once, and in order. KARTOTEKA_RELAY_KILLS says how many kills there are.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { Host } from '../../src/node/host.js'
import { toHex } from '../../src/protocol/bytes.js'
import type { TestDevice } from '../protocol/roster-helpers.js'
import { seeded } from '../support/random.js'
import { makePractice } from '../support/relay.js'
import { MailClient, RelayProcess } from '../support/relay-process.js'

const KILLS = Number(process.env.KARTOTEKA_RELAY_KILLS ?? (process.env.CI ? 30 : 10))
const DEPOSITORS = 8
/** Deposits of one device that are under way at a time. */
const AT_ONCE = 4
/** A kill comes within this long after the first answer of a start. */
const MOMENT_MS = 300
/** So many of what was acknowledged are acknowledged by the recipient as well, and must be gone. */
const RELEASED = 200

const random = seeded(Number(process.env.KARTOTEKA_SEED ?? 301))
const practice = makePractice(random, DEPOSITORS + 1)
const recipient = practice.devices[DEPOSITORS]!

it(`loses nothing that was acknowledged in ${KILLS} kills`, async () => {
  const relay = await new RelayProcess().start()
  /** What must be there, and what may be: sent, and the answer never came. */
  const acknowledged = new Map<string, Uint8Array>()
  const unknown = new Set<string>()
  const released = new Set<string>()

  const hosts: Host[] = []
  const join = async (device: TestDevice, at: number): Promise<MailClient> => {
    const client = await MailClient.join(device, practice.roster, relay, hosts[at])
    hosts[at] = client.host
    return client
  }

  const depositUntilItDies = async (client: MailClient) => {
    for (;;) {
      const id = random.bytes(16)
      const name = toHex(id)
      unknown.add(name)
      const envelope = random.bytes(random.int(200, 1500))
      const done = await client.deposit({ id, recipients: [recipient.ed], envelope }).catch(() => undefined)
      if (!done) return
      if (done.error !== '') throw new Error(`a deposit failed: ${done.error}`)
      unknown.delete(name)
      acknowledged.set(name, envelope)
    }
  }

  for (let kill = 0; kill < KILLS; kill++) {
    const clients = await Promise.all(
      practice.devices.slice(0, DEPOSITORS).map((device, at) => join(device, at)),
    )
    const before = acknowledged.size
    const work = clients.flatMap((client) =>
      Array.from({ length: AT_ONCE }, () => depositUntilItDies(client)),
    )
    while (acknowledged.size === before) await sleep(1)
    await sleep(random() * MOMENT_MS)
    await relay.kill()
    await Promise.all(work)
    await relay.start()

    const reader = await join(recipient, DEPOSITORS)
    const { ids } = await reader.collectAll()
    const there = new Set(ids.map(toHex))
    expect(there.size).toBe(ids.length)
    expect([...acknowledged.keys()].filter((name) => !there.has(name))).toEqual([])
    for (const name of there) expect(acknowledged.has(name) || unknown.has(name)).toBe(true)
    for (const name of released) expect(there.has(name)).toBe(false)
    const gone = ids.slice(0, RELEASED)
    expect(await reader.ack(gone)).toMatchObject({ error: '' })
    for (const id of gone) {
      acknowledged.delete(toHex(id))
      released.add(toHex(id))
    }
    const held = await reader.inventory()
    expect(held.waiting[0]?.count ?? 0).toBe(ids.length - gone.length)
    await reader.hangUp()
  }
  expect(released.size + acknowledged.size).toBeGreaterThan(KILLS)
})
