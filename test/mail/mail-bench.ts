/** Devices and relays that are online when a test says so: what they type, hold and have waiting. */
import { expect } from 'vitest'
import { createUpdate } from '../../src/cases/create.js'
import { setFields } from '../../src/cases/edit.js'
import { nodeNatives } from '../../src/node/natives.js'
import { equalBytes } from '../../src/protocol/bytes.js'
import type { States } from '../../src/protocol/envelope.gen.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import { StatesWriter } from '../../src/store/mail-out.js'
import { prune } from '../../src/store/pruning.js'
import { readItems } from '../../src/store/reading.js'
import type { Rows } from '../support/disk.js'
import { toKey } from '../support/light-level.js'
import { type MailDevice, MailWorld, type SimRelay } from '../support/mail-world.js'

export interface Held {
  count: number
  bytes: number
  /** All envelopes of the practice, each once. */
  total: number
}

export class MailBench extends MailWorld {
  relay!: SimRelay

  static async begin(seed: number, ...names: string[]) {
    const bench = new MailBench(seed)
    bench.relay = await bench.addRelay()
    const devices: MailDevice[] = []
    for (const name of names) devices.push(await bench.add(name))
    return { bench, devices: devices as [MailDevice, MailDevice, MailDevice] }
  }

  async create(device: MailDevice, ...ids: string[]): Promise<void> {
    for (const id of ids) {
      const update = createUpdate({ id, patient: { lastName: id } }, nodeNatives.sha256)
      await device.replica.append([{ caseId: id, kind: KIND_UPDATE, update }])
    }
  }

  /** They are connected until neither has more to say. */
  async meet(one: MailDevice, other: MailDevice): Promise<void> {
    const wire = this.connect(one, other)
    for (let at = 0; at < 4; at++) {
      await this.quiesce()
      this.clock.pass(3_000)
    }
    await this.quiesce()
    this.cut(wire)
  }

  /** Each meets each of the others, three times. */
  async meetAll(devices: MailDevice[]): Promise<void> {
    for (let round = 0; round < 3; round++)
      for (const [at, one] of devices.entries())
        for (const other of devices.slice(at + 1)) await this.meet(one, other)
  }

  /** While the device is off, a bit turns over in each row of these kinds that belongs to the case; then it notices. */
  async rot(device: MailDevice, id: string, kinds: string): Promise<void> {
    await this.rotUnnoticed(device, id, kinds)
    // As giving whole cases notices it.
    await readItems(device.replica, new Uint8Array(0), new Map(), 1e9)
    expect(device.replica.damaged.size).toBe(1)
  }

  /** The same before anybody has read it. */
  async rotUnnoticed(device: MailDevice, id: string, kinds: string): Promise<void> {
    const key = toKey(device.replica.keyOf(id))
    const rows = await this.stopDevice(device)
    const hit = [...rows].filter(([name]) => kinds.includes(name[0]!) && name.includes(key))
    expect(hit).not.toEqual([])
    for (const [name, value] of hit) {
      const rotten = Uint8Array.from(value)
      rotten[30]! ^= 4
      rows.set(name, rotten)
    }
    await device.disk.restore(rows)
    await device.boot()
  }

  /** The parts of what the giver leaves by mail for whoever holds so much. */
  async statesFrom({ replica }: MailDevice, base: Map<string, number>): Promise<[...States[], States]> {
    const writer = (await StatesWriter.open(replica, this.random.bytes(16), base))!
    const parts: States[] = []
    while (!parts.at(-1)?.last) parts.push((await writer.next(parts.length))!)
    return parts as [...States[], States]
  }

  phone(device: MailDevice, id: string, text: string): Promise<unknown> {
    return device.edit(id, (doc) => setFields(doc, [['patient.phone', text]]))
  }

  /** One device alone with relays for a while. */
  async online(device: MailDevice, ms = 6_000, relays = [this.relay]): Promise<void> {
    const wires = []
    for (const relay of relays) wires.push(await this.connectMail(device, relay))
    await this.pass(ms)
    for (const wire of wires) this.cutMail(wire)
    await this.quiesce()
  }

  /** What waits for a device, as another one is told; asking changes nothing. */
  async held(recipient: MailDevice, asking: MailDevice, relay = this.relay): Promise<Held> {
    const open = this.mailWires.find((wire) => wire.device === asking && wire.relay === relay)
    const wire = open ?? (await this.connectMail(asking, relay))
    await this.quiesce()
    const inventory = (await relay.waiting(asking))!
    if (!open) this.cutMail(wire)
    await this.quiesce()
    const row = inventory.waiting.find((each) => equalBytes(each.recipient, recipient.ed))
    return { count: row?.count ?? 0, bytes: row?.bytes ?? 0, total: inventory.bytes }
  }

  /** Everything was delivered: the same content everywhere, nothing waits, nothing failed. */
  async expectSettled(devices: MailDevice[], relays = [this.relay]): Promise<void> {
    const lines = await devices[0]!.lines()
    for (const device of devices) {
      expect(await device.lines()).toEqual(lines)
      expect(device.failures).toEqual([])
    }
    for (const relay of relays)
      for (const device of devices) expect((await this.held(device, devices[0]!, relay)).count).toBe(0)
  }

  /** A clean stop; the folder as it is then. */
  async stopDevice(device: MailDevice): Promise<Rows> {
    for (const wire of [...this.mailWires]) if (wire.device === device) this.cutMail(wire)
    for (const wire of [...this.wires]) if (wire.a === device || wire.b === device) this.cut(wire)
    await device.mail.stop()
    await device.driver.stop()
    await device.replica.close()
    return device.disk.snapshot()
  }

  async restart(device: MailDevice, rows?: Rows): Promise<void> {
    const stopped = await this.stopDevice(device)
    await device.disk.restore(rows ?? stopped)
    await device.boot()
  }

  /** Changes are retained no longer, whoever lacks them. */
  forget(device: MailDevice): Promise<number> {
    return prune(device.replica, () => [], 0)
  }

  /** How far one device knows that another one holds its logs: what a delivery tick rests on. */
  ticks(device: MailDevice, other: MailDevice): boolean {
    const known = device.driver.frontierOf(other.ed)
    return [...device.replica.logs.all()].every(({ log, seq }) => (known?.get(log) ?? 0) >= seq)
  }
}
