/**
 * Saves fields as they are typed: a moment after the last keystroke, on leaving the field, and on
 * leaving the window. What the device hasn't confirmed is kept and sent again; nothing waits in a
 * screen, so closing one loses nothing. With each value goes what its field showed: any other, as what
 * came from elsewhere while it was typed, stays beside it until a person chooses.
 */
import type { Refusal } from '../../src/node/contract.js'
import { type Client, type DeviceLink, onEachConnection, refusalOf } from './client.js'
import { createStore, type Store } from './store.js'

/** A pause in typing after which a field is saved. */
export const saveAfterMs = 300
/** A refused value is offered again after this. */
const retryMs = 5000

type Values = ReadonlyMap<string, string>

interface Pending {
  values: Values
  /** What each of these fields showed when it was begun, and what of it was sent since. */
  seen: ReadonlyMap<string, readonly string[]>
  problem: Refusal | null
}
export type PendingCases = ReadonlyMap<string, Pending>

export class FieldSaver {
  /** What is typed and not yet confirmed, by case and field. */
  readonly pending: Store<PendingCases> = createStore<PendingCases>(new Map())
  readonly #link: DeviceLink
  readonly #saved: (id: string, fields: Values) => void
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>()
  readonly #sending = new Set<string>()

  constructor(link: DeviceLink, saved: (id: string, fields: Values) => void) {
    this.#link = link
    this.#saved = saved
    onEachConnection(link, () => this.flushAll())
  }

  /** `shown`: what the field showed as stored. */
  type(id: string, field: string, value: string, shown: string): void {
    const before = this.pending.get().get(id)
    const values = new Map(before?.values).set(field, value)
    const seen = new Map(before?.seen)
    if (!before?.values.has(field)) seen.set(field, [shown])
    this.#put(id, { values, seen, problem: before?.problem ?? null })
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
    const taken = new Map<string, string>()
    try {
      await sendAll(client, id, entry, taken)
      this.#sending.delete(id)
      this.#confirm(id, taken, null)
    } catch (error) {
      this.#sending.delete(id)
      this.#sent(id, entry.values)
      this.#confirm(id, taken, refusalOf(error))
      if (this.#link.client()) this.#later(id, retryMs)
    }
  }

  /** It isn't known whether the device has these: it may show them by now. */
  #sent(id: string, values: Values): void {
    const now = this.pending.get().get(id)
    if (!now) return
    const seen = new Map(now.seen)
    for (const [field, value] of values) seen.set(field, [...new Set([...(seen.get(field) ?? []), value])])
    this.#put(id, { ...now, seen })
  }

  #confirm(id: string, taken: Values, problem: Refusal | null): void {
    if (taken.size > 0) this.#saved(id, taken)
    const now = this.pending.get().get(id)
    if (!now) return
    const left = new Map([...now.values].filter(([field, value]) => taken.get(field) !== value))
    const seen = new Map([...now.seen].filter(([field]) => left.has(field)))
    for (const [field, value] of taken) if (left.has(field)) seen.set(field, [value])
    this.#put(id, { values: left, seen, problem })
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

/** All together; where one of them isn't accepted, as its record is gone, each by itself. What is taken is noted. */
async function sendAll(
  client: Client,
  id: string,
  entry: Pending,
  taken: Map<string, string>,
): Promise<void> {
  const send = async (fields: [string, string][]) => {
    const seen = fields.map(([field]): [string, string[]] => [field, [...(entry.seen.get(field) ?? [])]])
    await client.cases.set({ id, fields, seen })
    for (const [field, value] of fields) taken.set(field, value)
  }
  const fields = [...entry.values]
  try {
    await send(fields)
  } catch (error) {
    if (fields.length === 1 || refusalOf(error)?.code !== 'not-accepted') throw error
    let refused: unknown
    for (const field of fields)
      await send([field]).catch((reason: unknown) => {
        if (!refusalOf(reason)) throw reason
        refused = reason
      })
    if (refused) throw refused
  }
}
