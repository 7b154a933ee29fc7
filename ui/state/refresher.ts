/** Reads something again when asked: one reading at a time, and room between two for everything else. */

/** After a reading that took n ms, the next waits at least this many times n. */
const roomFactor = 3

export class Refresher {
  readonly #read: () => Promise<void>
  readonly #everyMs: number
  #reading = false
  #wanted = false
  #notBefore = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(read: () => Promise<void>, everyMs: number) {
    this.#read = read
    this.#everyMs = everyMs
  }

  soon(): void {
    this.#wanted = true
    if (this.#reading || this.#timer !== undefined) return
    const wait = this.#notBefore - performance.now()
    if (wait <= 0) void this.#run()
    else this.#timer = setTimeout(() => void this.#run(), wait)
  }

  async #run(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#reading = true
    this.#wanted = false
    const began = performance.now()
    try {
      await this.#read()
    } catch {
      // The connection broke: a new one begins with a fresh reading.
    }
    const ended = performance.now()
    this.#notBefore = ended + Math.max(this.#everyMs, roomFactor * (ended - began))
    this.#reading = false
    if (this.#wanted) this.soon()
  }
}
