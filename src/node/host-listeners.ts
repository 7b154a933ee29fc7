/** Those who want to hear of one thing. What one of them throws is its own: inside an event target it would end the process. */
import type { HostLog } from './host.js'

export type Unsubscribe = () => void

export class Listeners<T extends unknown[]> {
  readonly #log: HostLog
  readonly #callbacks = new Set<(...values: T) => void>()

  constructor(log: HostLog) {
    this.#log = log
  }

  add(callback: (...values: T) => void): Unsubscribe {
    this.#callbacks.add(callback)
    return () => {
      this.#callbacks.delete(callback)
    }
  }

  tell(...values: T): void {
    for (const callback of this.#callbacks) {
      try {
        callback(...values)
      } catch (error) {
        this.#log('warn', `a listener of the host failed: ${String(error)}`)
      }
    }
  }
}
