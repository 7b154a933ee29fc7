/** What tests of mail do again and again: make cases, go online for a while, look at what waits. */
import { createUpdate } from '../../src/cases/create.js'
import { setFields } from '../../src/cases/edit.js'
import { nodeNatives } from '../../src/node/natives.js'
import { equalBytes } from '../../src/protocol/bytes.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import type { Deposit } from '../../src/protocol/mailbox.gen.js'
import { decodeMailFrame } from '../../src/protocol/mailbox-wire.js'
import { type MailDevice, type MailWire, MailWorld, type SimRelay } from './mail-world.js'

export class MailBench extends MailWorld {
  /** Every deposit that reached a relay. */
  readonly deposits: Deposit[] = []

  override deliverMail(wire: MailWire, toDevice: boolean): boolean {
    const [message] = toDevice ? [] : wire.toRelay
    const frame = message && decodeMailFrame(message.bytes)
    if (frame?.$case === 'deposit') this.deposits.push(frame.value)
    return super.deliverMail(wire, toDevice)
  }

  /** These devices, alone with the relay, for a while. */
  async online(relay: SimRelay, devices: MailDevice[], ms = 6_000, stepMs = 300): Promise<void> {
    const wires: MailWire[] = []
    for (const device of devices) wires.push(await this.connectMail(device, relay))
    await this.pass(ms, stepMs)
    for (const wire of wires) this.cutMail(wire)
    await this.quiesce()
  }

  /** How many mails wait for a device. */
  async waitingFor(relay: SimRelay, device: MailDevice, asker: MailDevice): Promise<number> {
    const wire = await this.connectMail(asker, relay)
    await this.quiesce()
    const inventory = await relay.waiting(asker)
    this.cutMail(wire)
    return inventory?.waiting.find(({ recipient }) => equalBytes(recipient, device.ed))?.count ?? 0
  }

  /** A clean stop, and the folder as it is then. */
  async copy(device: MailDevice) {
    await this.leave(device)
    await device.driver.stop()
    await device.replica.close()
    const rows = device.disk.snapshot()
    await device.disk.crash(0)
    await device.boot()
    return rows
  }

  async restore(device: MailDevice, rows: Awaited<ReturnType<MailBench['copy']>>): Promise<void> {
    await this.leave(device)
    await device.driver.stop()
    await device.disk.restore(rows)
    await device.boot()
  }

  /** It is gone for good. */
  async die(device: MailDevice): Promise<void> {
    await this.leave(device)
    await device.driver.stop()
    device.alive = false
  }

  private async leave(device: MailDevice): Promise<void> {
    for (const wire of [...this.wires]) if (wire.a === device || wire.b === device) this.cut(wire)
    for (const wire of [...this.mailWires]) if (wire.device === device) this.cutMail(wire)
    await device.mail.stop()
  }
}

export async function create(device: MailDevice, ids: string[], text = ''): Promise<void> {
  for (const id of ids) {
    const json = { id, patient: { lastName: id }, consultations: [{ id: 'c', text }] }
    const update = createUpdate(json, nodeNatives.sha256)
    await device.replica.append([{ caseId: id, kind: KIND_UPDATE, update }])
  }
}

export const phone = (device: MailDevice, id: string, text: string) =>
  device.edit(id, (doc) => setFields(doc, [['patient.phone', text]]))
