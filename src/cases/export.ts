/** From a document to the interchange form, and the conflicts met on the way. */
import { compareText, type Json, type JsonObject, own, put } from './json.js'
import { CONTAINERS, DATED_LISTS, GIVEN, pathOf, RECORD_LISTS } from './schema.js'
import type { CaseView, Member } from './view.js'
import { readRich } from './ytext.js'

/** Several values written without knowledge of each other; `value` stands until a person chooses. */
export type Conflict = { field: string; value: Json; others: Json[] }

export type Content = {
  /** The case without `id`, `archived` and lifecycle. */
  content: JsonObject
  conflicts: Conflict[]
}

/** Order of records with a date: (date, id) in UTF-16 order; no date counts as ''. */
export function byDate(a: Json, b: Json): number {
  return compareText(textOf(a, 'date'), textOf(b, 'date')) || compareText(textOf(a, 'id'), textOf(b, 'id'))
}

const textOf = (record: Json, key: string): string => {
  const value = typeof record === 'object' && record && !Array.isArray(record) ? own(record, key) : undefined
  return typeof value === 'string' ? value : ''
}

/** Everything visible in a case, in canonical order. */
export function readContent(view: CaseView): Content {
  const reader = new Reader(view)
  return { content: reader.case(), conflicts: reader.conflicts.sort((a, b) => compareText(a.field, b.field)) }
}

class Reader {
  readonly conflicts: Conflict[] = []

  constructor(private readonly view: CaseView) {}

  case(): JsonObject {
    const { view } = this
    const content: JsonObject = {}
    for (const name of CONTAINERS) {
      const container = this.container(name)
      if (!container || this.isReplaced(name, Object.keys(container).length)) continue
      content[name] = container
      this.beside(name, container)
    }
    for (const name of RECORD_LISTS) {
      if (!view.hasList(name) || this.isReplaced(name, view.list(name).length)) continue
      const records = view.list(name).map((member) => this.record(name, member, `${name}.${member.id}`))
      content[name] = DATED_LISTS.includes(name) ? records.sort(byDate) : records
      this.beside(name, content[name])
    }
    if (view.hasList('tags')) content.tags = view.list('tags').map((tag) => tag.id)
    for (const [name, path] of view.children('')) {
      if (!Object.hasOwn(content, name)) this.field(content, name, path, name)
    }
    return content
  }

  /** Nothing stands inside it any more, and a value of another kind was given in its place. */
  private isReplaced(name: string, size: number): boolean {
    return size === 0 && this.view.fields.has(pathOf(name))
  }

  /** What another device gave as a whole while this one was given in parts: it would be seen nowhere. */
  private beside(name: string, value: Json): void {
    const others = this.view.fields.values(pathOf(name))
    if (others.length > 0) this.conflicts.push({ field: name, value, others })
  }

  private field(into: JsonObject, name: string, path: string, dotted: string): void {
    const [value, ...others] = this.view.fields.values(path)
    if (value === undefined) return
    put(into, name, value)
    if (others.length > 0) this.conflicts.push({ field: dotted, value, others })
  }

  private fieldsBelow(into: JsonObject, path: string, dotted: string): void {
    for (const [name, child] of this.view.children(path)) {
      if (!Object.hasOwn(into, name)) this.field(into, name, child, `${dotted}.${name}`)
    }
  }

  private container(name: string): JsonObject | null {
    const container: JsonObject = {}
    if (name === 'description') this.rich(container, name, true)
    this.fieldsBelow(container, name, name)
    const stands = this.view.given(name, GIVEN.self) || Object.keys(container).length > 0
    return stands ? container : null
  }

  private record(list: string, member: Member, dotted: string): JsonObject {
    const { view } = this
    const record: JsonObject = { id: member.id }
    if (list === 'consultations') this.rich(record, member.path, true)
    if (list === 'symptoms') this.rich(record, member.path, false)
    const symptoms = `${member.path}/symptoms`
    if (list === 'analyses' && view.hasList(symptoms)) {
      record.symptoms = view
        .list(symptoms)
        .map((symptom) => this.record('symptoms', symptom, `${dotted}.symptoms.${symptom.id}`))
    }
    this.fieldsBelow(record, member.path, dotted)
    return record
  }

  private rich(into: JsonObject, path: string, formatted: boolean): void {
    const { view } = this
    const { text, marks, blocks } = readRich(view.text(path))
    if (text !== '' || view.given(path, GIVEN.text)) into.text = text
    if (!formatted) return
    if (marks.length > 0 || view.given(path, GIVEN.marks)) into.marks = marks as Json
    if (blocks.length > 0 || view.given(path, GIVEN.blocks)) into.blocks = blocks as Json
  }
}
