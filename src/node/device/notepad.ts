/** The notepad of a device (store/jottings.ts): a file that is appended to, and emptied many times an hour. */
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import type { Notepad } from '../../store/jottings.js'

/** A notepad that can be closed; the file is made when something is first written. */
export class FileNotepad implements Notepad {
  private fd: number | undefined
  private length = 0

  constructor(private readonly path: string) {}

  append(bytes: Uint8Array): void {
    const fd = this.open()
    const written = writeSync(fd, bytes)
    if (written === bytes.length) {
      this.length += written
      return
    }
    // Half a row would hide what comes behind it.
    ftruncateSync(fd, this.length)
    throw new Error('the notepad took a part only')
  }

  read(): Uint8Array {
    try {
      return readFileSync(this.path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Uint8Array(0)
      throw error
    }
  }

  clear(): void {
    ftruncateSync(this.open(), 0)
    this.length = 0
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd)
    this.fd = undefined
  }

  private open(): number {
    this.fd ??= openSync(this.path, 'a', 0o600)
    return this.fd
  }
}
