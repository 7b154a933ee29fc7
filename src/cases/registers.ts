/**
 * Multi-value registers on a Y.Map: key `<path>#<uid>`, one entry for each value that stands.
 *
 * A plain Y.Map would drop one of two offline writes by client id. Here each writing session (one Yjs client id)
 * has its own key, so concurrent writes lie side by side until someone, having seen them, writes again. Within one
 * session writes are ordered, hence the client id alone is a sufficient uid: a second write replaces the entry by a
 * new item, which a concurrent removal of the old item doesn't touch.
 */
import type * as Y from 'yjs'
import { canonicalJson, compareText, flawOf, type Json } from './json.js'

/** Objects and arrays are stored as JSON text: Yjs' own encoding loses or chokes on some keys. */
type Stored = null | boolean | number | string | { json: string }

const toStored = (value: Json): Stored =>
  typeof value === 'object' && value !== null ? { json: canonicalJson(value) } : value

/** The value of an entry; undefined for anything that this schema can't have written. */
function fromStored(stored: unknown): Json | undefined {
  if (stored === null || typeof stored === 'boolean' || typeof stored === 'string') return stored
  if (typeof stored === 'number') return Number.isFinite(stored) ? stored : undefined
  if (typeof stored !== 'object' || !Object.hasOwn(stored, 'json')) return undefined
  const text = (stored as { json: unknown }).json
  if (typeof text !== 'string') return undefined
  try {
    const value = JSON.parse(text) as Json
    return flawOf(value) ? undefined : value
  } catch {
    return undefined
  }
}

/** A reading of one map, kept in step with the writes made through it. Not a live view of other writes. */
export class Registers {
  readonly #byPath = new Map<string, Map<string, unknown>>()

  constructor(
    private readonly map: Y.Map<unknown>,
    private readonly client: () => number,
  ) {
    map.forEach((stored, key) => {
      const path = key.slice(0, Math.max(0, key.lastIndexOf('#')))
      const entries = this.#byPath.get(path)
      if (entries) entries.set(key, stored)
      else this.#byPath.set(path, new Map([[key, stored]]))
    })
  }

  paths(): IterableIterator<string> {
    return this.#byPath.keys()
  }

  has(path: string): boolean {
    return this.#byPath.has(path)
  }

  /** Distinct values, the standing one first: the greatest canonical text, the same on every device. */
  values(path: string): Json[] {
    const byText = new Map<string, Json>()
    for (const stored of this.#byPath.get(path)?.values() ?? []) {
      const value = fromStored(stored)
      if (value !== undefined) byText.set(canonicalJson(value), value)
    }
    return [...byText.entries()].sort((a, b) => compareText(b[0], a[0])).map(([, value]) => value)
  }

  get(path: string): Json | undefined {
    return this.values(path)[0]
  }

  /** Paths with more than one entry; the only ones that can hold a conflict. */
  crowded(): string[] {
    return [...this.#byPath].filter(([, entries]) => entries.size > 1).map(([path]) => path)
  }

  /** Makes `value` the only value. Writes nothing when it already is. */
  set(path: string, value: Json): void {
    const values = this.values(path)
    if (values.length === 1 && canonicalJson(values[0]!) === canonicalJson(value)) return
    const key = `${path}#${this.client().toString(36)}`
    const stored = toStored(value)
    for (const old of this.#byPath.get(path)?.keys() ?? []) if (old !== key) this.map.delete(old)
    this.map.set(key, stored)
    this.#byPath.set(path, new Map([[key, stored]]))
  }

  /** Like `set`, but leaves a conflict alone in which `value` already stands. */
  merge(path: string, value: Json): void {
    const standing = this.get(path)
    if (standing === undefined || canonicalJson(standing) !== canonicalJson(value)) this.set(path, value)
  }

  /** Removes every value now visible; one written elsewhere meanwhile stays. */
  clear(path: string): void {
    for (const key of this.#byPath.get(path)?.keys() ?? []) this.map.delete(key)
    this.#byPath.delete(path)
  }
}
