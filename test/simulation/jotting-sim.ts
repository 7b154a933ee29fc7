/**
 * The small simulator with notepads: letters that are only jotted down while nobody is connected, kills of the process
 * at any moment, folders that are copied while they run and come back. What was confirmed before a kill is there after
 * it, and with everybody in the end.
 */
import { typeText } from '../../src/cases/edit.js'
import { edPublicKey } from '../../src/protocol/ed25519.js'
import type { Rows } from '../support/disk.js'
import { NotepadDevice } from '../support/notepad.js'
import { type SimDevice, World } from '../support/world.js'
import { CASES, DEFAULTS, runToEnd, type SimOptions, type SimResult, Simulation, tokensOf } from './sim.js'

class NotepadWorld extends World {
  override async add(name: string): Promise<SimDevice> {
    const secret = this.random.bytes(32)
    return this.enrol(new NotepadDevice(this, name, secret, edPublicKey(secret)))
  }
}

class JottingSimulation extends Simulation {
  /** Tokens of letters that were confirmed to a device, unless a power cut or an older folder has come since. */
  private readonly confirmed = new Map<SimDevice, Set<string>>()
  private readonly copies = new Map<SimDevice, { rows: Rows; notepad: Uint8Array }>()

  protected override makeWorld(seed: number): World {
    return new NotepadWorld(seed)
  }

  protected override async chaos(): Promise<void> {
    const { random } = this.world
    const roll = random()
    const device = random.pick(this.live()) as NotepadDevice
    if (roll < 0.25) return this.scribble(device)
    if (roll < 0.3) return this.killNine(device)
    if (roll < 0.32 && this.options.rollbacks) return this.copyRunning(device)
    if (roll < 0.34) return this.comeBack(device)
    return super.chaos()
  }

  /** Letter by letter, often with nobody there. */
  private async scribble(device: NotepadDevice): Promise<void> {
    const { world } = this
    if (world.random() < 0.7)
      for (const wire of [...world.wires]) if (wire.a === device || wire.b === device) world.cut(wire)
    const id = world.random.pick(CASES)
    const held = await device.replica.caseState(device.replica.keyOf(id))
    if (!held || held.parts.length === 0) return this.edit(device)
    for (let count = world.random.int(1, 5); count > 0; count--) {
      const token = `T${this.tokens++}Z`
      world.typed.set(token, device)
      const jotted = device.replica.docs.jotted
      let isConfirmed = false
      const work = device.replica.docs.edit(id, (doc) => typeText(doc, 'c', 0, 0, `${token} `))
      void work.then(
        ({ outcome }) => {
          isConfirmed = outcome.ok
        },
        () => {},
      )
      await this.written(work)
      if (isConfirmed) this.confirmedOf(device).add(token)
      if (device.replica.docs.jotted > jotted) this.note(`jot ${device.name} ${id} ${token}`)
    }
  }

  private confirmedOf(device: SimDevice): Set<string> {
    const confirmed = this.confirmed.get(device) ?? new Set()
    this.confirmed.set(device, confirmed)
    return confirmed
  }

  /** The process ends; what it has given to the system is there. */
  private async killNine(device: NotepadDevice): Promise<void> {
    this.note(`kill9 ${device.name} ${device.replica.docs.jotted}`)
    await this.kill(device)
    device.replaceNotepad()
    await device.disk.crash(device.disk.unflushed)
    device.disk.held = false
    await device.boot()
    const there = await tokensOf(device)
    const lost = [...this.confirmedOf(device)].filter((token) => !there.has(token))
    if (lost.length > 0) throw new Error(`${device.name} lost by a kill: ${lost}`)
  }

  private async copyRunning(device: NotepadDevice): Promise<void> {
    this.note(`copy ${device.name} ${device.replica.docs.jotted}`)
    this.copies.set(device, { rows: device.disk.snapshot(), notepad: device.notepad.bytes })
  }

  private async comeBack(device: NotepadDevice): Promise<void> {
    const copy = this.copies.get(device)
    if (!copy) return
    this.note(`back ${device.name} ${copy.notepad.length}`)
    await this.kill(device)
    this.forget(device)
    device.disk.held = false
    device.replaceNotepad(copy.notepad)
    await device.disk.restore(copy.rows)
    await device.boot()
  }

  /** Power goes: some beginning of the notepad is left, which needn't fit what is left of the store. */
  protected override async crash(device: SimDevice): Promise<void> {
    const { random } = this.world
    const { notepad } = device as NotepadDevice
    const kept = random() < 0.5 ? notepad.bytes.length : random.int(0, notepad.bytes.length)
    this.confirmed.delete(device)
    const { bytes } = notepad
    notepad.bytes = bytes.slice(0, kept)
    ;(device as NotepadDevice).replaceNotepad()
    await super.crash(device)
  }

  protected override async rollBack(device: SimDevice): Promise<void> {
    if (!this.snapshots.has(device)) return
    this.forget(device)
    ;(device as NotepadDevice).replaceNotepad(new Uint8Array(0))
    await super.rollBack(device)
  }

  private forget(device: SimDevice): void {
    this.confirmed.delete(device)
    this.promised.delete(device)
  }

  protected override async expectedTokens(live: SimDevice[]): Promise<Set<string>> {
    const expected = await super.expectedTokens(live)
    for (const device of live) for (const token of this.confirmedOf(device)) expected.add(token)
    return expected
  }
}

export function simulateJotting(seed: number, options: Partial<SimOptions> = {}): Promise<SimResult> {
  return runToEnd(new JottingSimulation(seed, { ...DEFAULTS, ...options }))
}
