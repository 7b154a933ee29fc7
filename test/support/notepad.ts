/** A notepad in memory (store/jottings.ts), and devices of the simulator that have one. */
import type { Notepad } from '../../src/store/jottings.js'
import type { ReplicaOptions } from '../../src/store/replica.js'
import { SimDevice } from './world.js'

export class MemoryNotepad implements Notepad {
  bytes: Uint8Array = new Uint8Array(0)
  clears = 0
  refuses = false
  refusesReading = false

  append(bytes: Uint8Array): void {
    if (this.refuses) throw new Error('EIO')
    this.bytes = Uint8Array.from([...this.bytes, ...bytes])
  }
  read(): Uint8Array {
    if (this.refusesReading) throw new Error('EIO')
    return this.bytes
  }
  clear(): void {
    this.clears++
    this.bytes = new Uint8Array(0)
  }
}

export class NotepadDevice extends SimDevice {
  notepad = new MemoryNotepad()

  protected override replicaExtras(): Partial<ReplicaOptions> {
    const { notepad } = this
    return { notepad, isAwaited: () => (this.driver?.sessions.size ?? 0) > 0 }
  }

  /** What is there at the next start: as it is after a kill, or what a power cut or a copy has left of it. */
  replaceNotepad(bytes = this.notepad.bytes): void {
    this.notepad = Object.assign(new MemoryNotepad(), { bytes })
  }
}
