/** Writes interchange JSON into a case's document, field by field. Create, merge and edit are built on it. */
import { getState } from 'yjs'
import {
  canonicalJson,
  isObject,
  type Json,
  type JsonObject,
  own,
  type Sha256,
  sortedEntries,
  utf8,
} from './json.js'
import { type Block, type Mark, normaliseBlocks, normaliseMarks, type RichText } from './richtext.js'
import { below, CONTAINERS, dottedOf, GIVEN, isRecordList, pathOf } from './schema.js'
import type { CaseView } from './view.js'
import { fillText, historyOf, isPristine, says, setRich } from './ytext.js'

/**
 * Part of every derived client id. Change it whenever the same line no longer gives the same bytes, in a new case or in
 * a text that changes: else two versions would write different things under one client id, and diverge for ever.
 */
export const FORMAT = 'kartoteka case 1'

/** A Yjs client id that only this content has: 53 bits of a hash of the format and the parts. */
export function derivedClient(sha256: Sha256, ...parts: Json[]): number {
  const digest = sha256(utf8(canonicalJson([FORMAT, ...parts])))
  let client = digest[0]! & 0x1f
  for (const byte of digest.subarray(1, 7)) client = client * 256 + byte
  return client
}

/** A list that can merge by id: every element an object with its own, non-empty string id. */
function isKeyedList(value: Json): value is (JsonObject & { id: string })[] {
  if (!Array.isArray(value)) return false
  const ids = value.map((item) => (isObject(item) ? own(item, 'id') : undefined))
  return ids.every((id) => typeof id === 'string' && id !== '') && new Set(ids).size === ids.length
}

/** Does this value of a field at the top of a case merge in parts, and not as a whole? */
export const isParted = (name: string, value: Json): boolean =>
  (CONTAINERS.includes(name) && isObject(value)) || (isRecordList(name) && isKeyedList(value))

/** What a person may have written, and stands no more; `field` is its dotted place. Of a text, only what was erased. */
export type Replaced = { field: string; was: Json }

/** Times of the file, not of a person. */
const UNWRITTEN = ['createdAt', 'updatedAt']

type Keyed = JsonObject & { id: string }
type RichParts = { text?: string; marks?: Mark[]; blocks?: Block[] }
const RICH = ['text', 'marks', 'blocks']

/**
 * Writes through one view of a document; to be used inside one transaction. Without `sha256` new texts are written
 * as the document's own client: right for what a person adds here, wrong for what several devices may import.
 */
export class CaseWriter {
  readonly replaced: Replaced[] = []
  readonly #nextPosition = new Map<string, number>()

  constructor(
    readonly view: CaseView,
    private readonly sha256: Sha256 | null,
  ) {}

  /** Writes what `json` (checked interchange) gives and differs; never removes what it lacks. */
  case(json: JsonObject): void {
    for (const [name, value] of sortedEntries(json)) {
      if (name === 'id') continue
      if (name === 'archived') this.#archived(value)
      else if (name === 'tags' && Array.isArray(value)) this.#tags(value)
      else if (isParted(name, value)) this.#parts(name, value)
      else {
        this.#field(pathOf(name), value)
        // Consent in one text, say, takes the place of one in fields.
        if (CONTAINERS.includes(name) || isRecordList(name)) this.#emptyInside(name)
      }
    }
  }

  /** What takes the place of a value that was one whole; beside one, as two devices gave both, it leaves that alone. */
  #parts(name: string, value: Json): void {
    const takesPlace = this.view.fields.has(pathOf(name)) && this.view.isEmptyInside(name)
    if (isObject(value)) this.#container(name, value)
    else this.records(name, name, value as Keyed[])
    if (!takesPlace || this.view.isEmptyInside(name)) return
    this.#note(pathOf(name), this.view.fields.values(pathOf(name)))
    this.view.fields.clear(pathOf(name))
  }

  #field(path: string, value: Json): void {
    const { fields } = this.view
    const before = fields.has(path) ? fields.values(path) : []
    fields.merge(path, value)
    if (before.length > 0) this.#note(path, before, fields.values(path))
  }

  #emptyInside(name: string): void {
    const inside = [...this.view.fields.paths()].filter((path) => path.startsWith(`${name}/`))
    for (const path of inside) this.#note(path, this.view.fields.values(path))
    this.view.emptyInside(name)
  }

  #note(path: string, before: Json[], after: Json[] = []): void {
    if (before.every((was) => after.includes(was))) return
    const kept = [...after, '', null].map(canonicalJson)
    const field = dottedOf(path)
    for (const was of before)
      if (!UNWRITTEN.includes(field) && !kept.includes(canonicalJson(was))) this.replaced.push({ field, was })
  }

  /** Adds a member to a list unless it is there; returns its path. */
  member(list: string, id: string): string {
    const path = below(list, id)
    if (!this.view.members.has(`+${path}`)) {
      const position = this.#nextPosition.get(list) ?? this.#positionAfter(list)
      this.#nextPosition.set(list, position + 1)
      this.view.members.set(`+${path}`, position)
    }
    return path
  }

  /** Writes one record. One that had been removed starts anew: nothing of its former content comes back. */
  record(list: string, kind: string, record: Keyed): void {
    const path = this.member(list, record.id)
    if (this.view.members.has(`-${path}`)) this.view.revive(path)
    const rich = kind === 'consultations' ? RICH : kind === 'symptoms' ? ['text'] : []
    this.#rich(path, '', record, rich)
    for (const [name, value] of sortedEntries(record)) {
      if (name === 'id' || rich.includes(name)) continue
      const place = below(path, name)
      if (kind === 'analyses' && name === 'symptoms' && isKeyedList(value)) {
        this.records(place, 'symptoms', value)
      } else this.#field(place, value)
    }
  }

  #archived(value: Json): void {
    // Of a conflict `false` stands, so importing `false` leaves it to the person.
    if (value === false && this.view.lifecycle.values('archived').includes(false)) return
    this.view.lifecycle.set('archived', value)
  }

  #tags(tags: Json[]): void {
    this.view.give('tags', GIVEN.self)
    for (const tag of tags) if (typeof tag === 'string') this.member('tags', tag)
  }

  #container(name: string, value: JsonObject): void {
    const rich = name === 'description' ? RICH : []
    this.#rich(name, GIVEN.self, value, rich)
    for (const [key, inner] of sortedEntries(value)) {
      if (!rich.includes(key)) this.#field(below(name, key), inner)
    }
  }

  /** Writes records of a list, which from now on stands even when empty. */
  records(list: string, kind: string, records: Keyed[]): void {
    this.view.give(list, GIVEN.self)
    for (const record of records) this.record(list, kind, record)
  }

  /**
   * A text is written under a client id derived from it, and from what it becomes of. So when two devices import it at
   * the same time, be it within lines that differ elsewhere, it merges into one and not into a doubled text.
   */
  #rich(path: string, letters: string, from: JsonObject, names: readonly string[]): void {
    const parts: RichParts = {}
    if (names.includes('text') && typeof from.text === 'string') parts.text = from.text
    const text = parts.text ?? ''
    if (names.includes('marks') && Array.isArray(from.marks)) {
      parts.marks = normaliseMarks(text, from.marks as Mark[])
    }
    if (names.includes('blocks') && Array.isArray(from.blocks)) {
      parts.blocks = normaliseBlocks(from.blocks as Block[])
    }
    this.view.give(
      path,
      letters +
        (parts.text === undefined ? '' : GIVEN.text) +
        (parts.marks ? GIVEN.marks : '') +
        (parts.blocks ? GIVEN.blocks : ''),
    )
    if (names.length === 0) return
    const ytext = this.view.text(path)
    if (isPristine(ytext)) {
      const rich: RichText = { text, marks: parts.marks ?? [], blocks: parts.blocks ?? [] }
      if (text !== '' || rich.blocks.length > 0) this.#asDerived([path, rich], () => fillText(ytext, rich))
    } else if (!says(ytext, parts)) {
      this.#asDerived([path, parts, historyOf(ytext)], () => {
        const was = setRich(ytext, parts)
        if (was !== '') this.replaced.push({ field: `${dottedOf(path)}.text`, was })
      })
    }
  }

  /** Whoever writes under the same parts writes the same operations, to the byte. */
  #asDerived(from: unknown[], write: () => void): void {
    const { doc } = this.view
    const mine = doc.clientID
    const client = this.sha256 ? derivedClient(this.sha256, ...(from as Json[])) : mine
    if (getState(doc.store, client) === 0) doc.clientID = client
    write()
    doc.clientID = mine
  }

  #positionAfter(list: string): number {
    let next = 0
    for (const path of this.view.members.paths()) {
      if (!path.startsWith(`+${list}/`)) continue
      for (const at of this.view.members.values(path))
        if (typeof at === 'number') next = Math.max(next, at + 1)
    }
    return next
  }
}
