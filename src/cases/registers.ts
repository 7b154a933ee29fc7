/**
 * Multi-value registers on a Y.Map: key `<path>#<uid>`, one entry for each value that stands.
 *
 * A plain Y.Map would drop one of two offline writes by client id. Here each writing session (one Yjs client id)
 * has its own key, so concurrent writes lie side by side until someone, having seen them, writes again. Within one
 * session writes are ordered, hence the client id alone is a sufficient uid: a second write replaces the entry by a
 * new item, which a concurrent removal of the old item doesn't touch. Where somebody writes through this session who has
 * not seen what it wrote before, that stays, and the new value gets a key with a number behind the client id.
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

/** Has the writer seen this value? */
export type IsSeen = (value: Json) => boolean
const all: IsSeen = () => true

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

  /**
   * Makes `value` the only value, except that those stay beside it which its writer hasn't seen. Writes nothing when it
   * already is so.
   */
  set(path: string, value: Json, isSeen: IsSeen = all): void {
    const isValue = (one: Json) => canonicalJson(one) === canonicalJson(value)
    const values = this.values(path)
    if (values.some(isValue) && !values.some((one) => !isValue(one) && isSeen(one))) return
    const kept = this.#unseen(path, (one) => isValue(one) || isSeen(one))
    const own = `${path}#${this.client().toString(36)}`
    let key = own
    for (let number = 1; kept.has(key); number++) key = `${own}.${number}`
    for (const old of this.#byPath.get(path)?.keys() ?? [])
      if (old !== key && !kept.has(old)) this.map.delete(old)
    const stored = toStored(value)
    this.map.set(key, stored)
    this.#byPath.set(path, kept.set(key, stored))
  }

  #unseen(path: string, isSeen: IsSeen): Map<string, unknown> {
    const entries = [...(this.#byPath.get(path) ?? [])]
    return new Map(
      entries.filter(([, stored]) => {
        const value = fromStored(stored)
        return value !== undefined && !isSeen(value)
      }),
    )
  }

  /** Like `set`, but leaves a conflict alone in which `value` already stands. */
  merge(path: string, value: Json): void {
    const standing = this.get(path)
    if (standing === undefined || canonicalJson(standing) !== canonicalJson(value)) this.set(path, value)
  }

  /** Removes every value now visible, but for those not seen; one written elsewhere meanwhile stays. */
  clear(path: string, isSeen: IsSeen = all): void {
    const kept = this.#unseen(path, isSeen)
    for (const key of this.#byPath.get(path)?.keys() ?? []) if (!kept.has(key)) this.map.delete(key)
    if (kept.size > 0) this.#byPath.set(path, kept)
    else this.#byPath.delete(path)
  }
}
