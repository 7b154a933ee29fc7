/** Devices that deposit at a relay until it dies, and one that looks what is there afterwards. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Host } from '../../src/node/host.js'
import { toHex } from '../../src/protocol/bytes.js'
import type { TestDevice } from '../protocol/roster-helpers.js'
import type { Random } from './random.js'
import { makePractice } from './relay.js'
import { MailClient, type RelayProcess } from './relay-process.js'

const DEPOSITORS = 4
/** Deposits of one device that are under way at a time. */
const AT_ONCE = 8
/** Of what is there, so many are not acknowledged by the recipient and must be there the next time as well. */
const KEPT = 200

export class RelayLoad {
  /** Deposits that the relay has called durable. */
  readonly acknowledged = new Set<string>()
  /** Those that may be there: sent, and the answer never came. */
  private readonly unknown = new Set<string>()
  private readonly released = new Set<string>()
  private readonly hosts: Host[] = []
  private readonly practice: ReturnType<typeof makePractice>

  constructor(
    private readonly relay: RelayProcess,
    private readonly random: Random,
  ) {
    this.practice = makePractice(random, DEPOSITORS + 1)
  }

  get count(): number {
    return this.acknowledged.size + this.released.size
  }

  /** Deposits without a pause from the first answer until the relay is gone, which `fault` has to bring about. */
  async during(momentMs: number, fault: () => Promise<unknown>): Promise<void> {
    const { acknowledged, practice } = this
    const clients = await Promise.all(practice.devices.slice(0, DEPOSITORS).map((_, at) => this.join(at)))
    const before = acknowledged.size
    const work = clients.flatMap((client) => Array.from({ length: AT_ONCE }, () => this.deposits(client)))
    while (acknowledged.size === before) await sleep(1)
    await sleep(this.random() * momentMs)
    await fault()
    await Promise.all(work)
  }

  private async deposits(client: MailClient): Promise<void> {
    const { random, acknowledged, unknown } = this
    const recipients = [this.recipient.ed]
    for (;;) {
      const id = random.bytes(16)
      const name = toHex(id)
      unknown.add(name)
      const envelope = random.bytes(random.int(200, 1500))
      const done = await client.deposit({ id, recipients, envelope }).catch(() => undefined)
      if (!done) return
      if (done.error !== '') throw new Error(`a deposit failed: ${done.error}`)
      unknown.delete(name)
      acknowledged.add(name)
    }
  }

  /** Acknowledged deposits that aren't there, and released ones that are. Most of those that are there get released. */
  async lost(): Promise<string[]> {
    const { acknowledged, unknown, released } = this
    const reader = await this.join(DEPOSITORS)
    const { ids } = await reader.collectAll()
    const there = new Set(ids.map(toHex))
    expect(there.size).toBe(ids.length)
    const lost = [...acknowledged].filter((name) => !there.has(name))
    const back = [...there].filter((name) => !acknowledged.has(name) && !unknown.has(name))
    if (lost.length + back.length > 0) return [...lost, ...back.map((name) => `${name} is back`)]
    const gone = ids.slice(0, Math.max(1, ids.length - KEPT))
    expect(await reader.ack(gone)).toMatchObject({ error: '' })
    for (const id of gone) {
      acknowledged.delete(toHex(id))
      released.add(toHex(id))
    }
    const held = await reader.inventory()
    expect(held.waiting[0]?.count ?? 0).toBe(ids.length - gone.length)
    await reader.hangUp()
    return lost
  }

  private get recipient(): TestDevice {
    return this.practice.devices[DEPOSITORS]!
  }

  private async join(at: number): Promise<MailClient> {
    const { devices, roster } = this.practice
    const client = await MailClient.join(devices[at]!, roster, this.relay, this.hosts[at])
    this.hosts[at] = client.host
    return client
  }
}
