/** One reading of a case's document, by path. Reading writes nothing, not even in Yjs' own bookkeeping. */
import type * as Y from 'yjs'
import { compareText, type Json } from './json.js'
import { Registers } from './registers.js'
import { GIVEN, ROOTS, splitPath, TEXT_PREFIX } from './schema.js'

/** A record or tag that stands: its id, its path and its place in the list. */
export type Member = { id: string; path: string; position: number }

export class CaseView {
  readonly fields: Registers
  readonly members: Registers
  readonly lifecycle: Registers
  readonly #given: Y.Map<unknown>
  readonly #letters = new Map<string, string>()
  #children: Map<string, [name: string, path: string][]> | null = null
  #lists: Map<string, Member[]> | null = null

  constructor(readonly doc: Y.Doc) {
    const client = () => doc.clientID
    this.fields = new Registers(doc.getMap(ROOTS.fields), client)
    this.members = new Registers(doc.getMap(ROOTS.members), client)
    this.lifecycle = new Registers(doc.getMap(ROOTS.lifecycle), client)
    this.#given = doc.getMap(ROOTS.given)
    for (const key of this.#given.keys()) {
      const hash = key.lastIndexOf('#')
      const path = key.slice(0, Math.max(0, hash))
      this.#letters.set(path, (this.#letters.get(path) ?? '') + key.slice(hash + 1))
    }
  }

  text(path: string): Y.Text {
    return this.doc.getText(TEXT_PREFIX + path)
  }

  given(path: string, letter: string): boolean {
    return this.#letters.get(path)?.includes(letter) ?? false
  }

  /** Notes that these parts were given. Never taken back, so concurrent notes can't contradict each other. */
  give(path: string, letters: string): void {
    const missing = [...letters].filter((letter) => !this.given(path, letter)).join('')
    if (!missing) return
    this.#given.set(`${path}#${missing}`, true)
    this.#letters.set(path, (this.#letters.get(path) ?? '') + missing)
  }

  /** Takes the removal of a record back, and what is left of its former content away. */
  revive(path: string): void {
    const inside = (place: string): boolean => place.startsWith(`${path}/`)
    this.emptyInside(path)
    for (const key of [...this.#given.keys()]) {
      const place = key.slice(0, Math.max(0, key.lastIndexOf('#')))
      if (place !== path && !inside(place)) continue
      this.#given.delete(key)
      this.#letters.delete(place)
    }
    for (const name of [...this.doc.share.keys()]) {
      const place = name.slice(TEXT_PREFIX.length)
      if (!name.startsWith(TEXT_PREFIX) || (place !== path && !inside(place))) continue
      const text = this.text(place)
      text.delete(0, text.length)
      text.removeAttribute('block')
    }
    this.members.clear(`-${path}`)
  }

  /** Takes fields and records below a place away. */
  emptyInside(path: string): void {
    const inside = (place: string): boolean => place.startsWith(`${path}/`)
    for (const place of [...this.fields.paths()]) if (inside(place)) this.fields.clear(place)
    for (const key of [...this.members.paths()]) if (inside(key.slice(1))) this.members.clear(key)
  }

  /** Neither a field nor a record stands below a place. */
  isEmptyInside(path: string): boolean {
    for (const place of this.fields.paths()) if (place.startsWith(`${path}/`)) return false
    for (const key of this.members.paths())
      if (key.startsWith(`+${path}/`) && this.isLive(key.slice(1))) return false
    return true
  }

  /** A record stands when it was added and not removed; removal wins over everything concurrent. */
  isLive(path: string): boolean {
    return this.members.has(`+${path}`) && !this.members.has(`-${path}`)
  }

  /** Fields directly below a place. The index is built once: use it for reading, before any write. */
  children(parent: string): readonly [name: string, path: string][] {
    if (!this.#children) {
      this.#children = new Map()
      for (const path of this.fields.paths()) {
        const place = splitPath(path)
        const siblings = this.#children.get(place.parent)
        if (siblings) siblings.push([place.name, path])
        else this.#children.set(place.parent, [[place.name, path]])
      }
    }
    return this.#children.get(parent) ?? []
  }

  /** The standing members of a list, by position, then id. For reading, like `children`. */
  list(list: string): readonly Member[] {
    if (!this.#lists) {
      this.#lists = new Map()
      for (const key of this.members.paths()) {
        const path = key.slice(1)
        if (!key.startsWith('+') || !this.isLive(path)) continue
        const { parent, name } = splitPath(path)
        const member = { id: name, path, position: positionOf(this.members.values(key)) }
        const siblings = this.#lists.get(parent)
        if (siblings) siblings.push(member)
        else this.#lists.set(parent, [member])
      }
      for (const members of this.#lists.values()) members.sort(byPosition)
    }
    return this.#lists.get(list) ?? []
  }

  /** True when a list stands in the exported form, be it empty. */
  hasList(list: string): boolean {
    return this.given(list, GIVEN.self) || this.list(list).length > 0
  }
}

const positionOf = (values: Json[]): number =>
  values.reduce<number>((least, v) => (typeof v === 'number' ? Math.min(least, v) : least), Infinity)

const byPosition = (a: Member, b: Member): number =>
  (a.position === b.position ? 0 : a.position - b.position) || compareText(a.id, b.id)
