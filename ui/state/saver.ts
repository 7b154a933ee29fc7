/**
 * Saves fields as they are typed: a moment after the last keystroke, on leaving the field, and on
 * leaving the window. What the device hasn't confirmed is kept and sent again; nothing waits in a
 * screen, so closing one loses nothing.
 */
import type { Refusal } from '../../src/node/contract.js'
import { type DeviceLink, onEachConnection, refusalOf } from './client.js'
import { createStore, type Store } from './store.js'

/** A pause in typing after which a field is saved. */
export const saveAfterMs = 300
/** A refused value is offered again after this. */
const retryMs = 5000

interface Pending {
  values: ReadonlyMap<string, string>
  problem: Refusal | null
}
export type PendingCases = ReadonlyMap<string, Pending>

export class FieldSaver {
  /** What is typed and not yet confirmed, by case and field. */
  readonly pending: Store<PendingCases> = createStore<PendingCases>(new Map())
  readonly #link: DeviceLink
  readonly #saved: (id: string, fields: ReadonlyMap<string, string>) => void
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>()
  readonly #sending = new Set<string>()

  constructor(link: DeviceLink, saved: (id: string, fields: ReadonlyMap<string, string>) => void) {
    this.#link = link
    this.#saved = saved
    onEachConnection(link, () => this.flushAll())
  }

  type(id: string, field: string, value: string): void {
    const before = this.pending.get().get(id)
    this.#put(id, { values: new Map(before?.values).set(field, value), problem: before?.problem ?? null })
    this.#later(id, saveAfterMs)
  }

  unsaved(): boolean {
    return this.pending.get().size > 0
  }

  flushAll(): void {
    for (const id of this.pending.get().keys()) void this.flush(id)
  }

  async flush(id: string): Promise<void> {
    clearTimeout(this.#timers.get(id))
    const client = this.#link.client()
    const entry = this.pending.get().get(id)
    if (!client || !entry || entry.values.size === 0 || this.#sending.has(id)) return
    this.#sending.add(id)
    try {
      await client.cases.set({ id, fields: [...entry.values] })
      this.#sending.delete(id)
      this.#confirm(id, entry.values)
    } catch (error) {
      this.#sending.delete(id)
      const problem = refusalOf(error)
      const now = this.pending.get().get(id)
      if (now) this.#put(id, { ...now, problem })
      if (this.#link.client()) this.#later(id, retryMs)
    }
  }

  #confirm(id: string, sent: ReadonlyMap<string, string>): void {
    this.#saved(id, sent)
    const now = this.pending.get().get(id)
    const left = new Map([...(now?.values ?? [])].filter(([field, value]) => sent.get(field) !== value))
    this.#put(id, { values: left, problem: null })
    if (left.size > 0) this.#later(id, saveAfterMs)
  }

  #later(id: string, delayMs: number): void {
    clearTimeout(this.#timers.get(id))
    this.#timers.set(
      id,
      setTimeout(() => void this.flush(id), delayMs),
    )
  }

  #put(id: string, entry: Pending): void {
    const next = new Map(this.pending.get())
    if (entry.values.size > 0) next.set(id, entry)
    else next.delete(id)
    this.pending.set(next)
  }
}
