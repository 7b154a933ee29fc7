/** What a person does to a case. Every function writes one transaction, or nothing and says why. */
import type * as Y from 'yjs'
import { checkRecord } from './interchange.js'
import {
  type CaseJson,
  canonicalJson,
  flawOf,
  isWellFormed,
  type Json,
  own,
  put,
  splitsPair,
} from './json.js'
import { setArchived } from './lifecycle.js'
import type { IsSeen } from './registers.js'
import { type Place, resolve } from './resolve.js'
import { below, CONTAINERS, GIVEN, isRecordList, pathOf, TEXT_PREFIX } from './schema.js'
import { CaseView } from './view.js'
import { CaseWriter, isParted } from './write.js'
import { setRich, spliceText } from './ytext.js'

export { restore, setArchived, setDeleted } from './lifecycle.js'

export type EditResult = { ok: true } | { ok: false; reason: string }

const done: EditResult = { ok: true }
const refuse = (reason: string): { ok: false; reason: string } => ({ ok: false, reason })

const LIST_OF = {
  consultation: 'consultations',
  prescription: 'prescriptions',
  analysis: 'analyses',
} as const

/**
 * Sets fields by dotted interchange path (`patient.phone`, `prescriptions.ID.dose`, `drawer`); an empty value
 * clears. `tags` takes a comma-separated list or a JSON list, `tags.NAME` adds or, cleared, removes one tag,
 * `archived` takes true or false, rubrics a JSON list. A field that nobody knows is refused unless the case has it
 * already. All or nothing.
 *
 * @param seen what of a field its writer has seen, as texts: any other value stays beside the new one. All of a field that
 * isn't named.
 */
export function setFields(
  doc: Y.Doc,
  fields: readonly [path: string, value: string][],
  seen: readonly [path: string, texts: readonly string[]][] = [],
): EditResult {
  const seenOf = new Map(seen)
  const view = new CaseView(doc)
  const writes: (() => void)[] = []
  for (const [dotted, value] of fields) {
    if (!isWellFormed(dotted) || !isWellFormed(value))
      return refuse('A value holds half of a surrogate pair.')
    const resolved = resolve(view, dotted)
    if (!resolved.ok) return resolved
    const write = writeOf(view, resolved.place, dotted, value, seenIn(seenOf.get(dotted)))
    if (typeof write === 'string') return refuse(write)
    writes.push(write)
  }
  doc.transact(() => {
    for (const write of writes) write()
  })
  return done
}

function seenIn(texts: readonly string[] | undefined): IsSeen | undefined {
  if (!texts) return undefined
  const textOf = (value: Json) =>
    typeof value === 'string' ? value : value === null ? '' : canonicalJson(value)
  return (value) => texts.includes(textOf(value))
}

/** The write that setting a place means, or the sentence of its refusal. */
function writeOf(
  view: CaseView,
  place: Place,
  dotted: string,
  value: string,
  isSeen: IsSeen | undefined,
): string | (() => void) {
  switch (place.kind) {
    case 'archived':
      if (value === '') return () => view.lifecycle.clear('archived')
      if (value !== 'true' && value !== 'false') return '"archived" must be true or false.'
      return () => setArchived(view.doc, value === 'true')
    case 'tag':
      return () => (value === '' ? removeTag(view.doc, place.tag) : setTag(view.doc, place.tag))
    case 'tags': {
      const tags = tagsOf(value)
      return tags
        ? () => replaceTags(view, tags)
        : '"tags" must be a comma-separated list or a JSON list of texts.'
    }
    case 'text':
      if (place.consultation)
        return `"${dotted}" is a text that merges letter by letter; change it with "case type".`
      return () => setRich(view.text(place.path), { text: value })
    case 'field': {
      if (value === '') return () => view.fields.clear(place.path, isSeen)
      if (place.path.endsWith('/rubrics')) {
        const rubrics = parsed(value)
        return Array.isArray(rubrics) && rubrics.every((rubric) => typeof rubric === 'string')
          ? () => view.fields.set(place.path, rubrics)
          : '"rubrics" must be a JSON list of texts.'
      }
      if (!place.known && !view.fields.has(place.path)) return `A case has no field "${dotted}".`
      return () => view.fields.set(place.path, value, isSeen)
    }
  }
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

function tagsOf(value: string): string[] | null {
  if (!value.trimStart().startsWith('['))
    return value
      .split(',')
      .map((tag) => tag.trim())
      .filter(Boolean)
  const tags = parsed(value)
  return Array.isArray(tags) && tags.every((tag) => typeof tag === 'string' && isWellFormed(tag))
    ? (tags as string[])
    : null
}

function replaceTags({ doc }: CaseView, tags: string[]): void {
  for (const { id } of new CaseView(doc).list('tags')) if (!tags.includes(id)) removeTag(doc, id)
  for (const tag of tags) setTag(doc, tag)
}

/** Adds a tag; concurrent additions of one tag are one. */
export function setTag(doc: Y.Doc, tag: string): EditResult {
  if (tag === '' || !isWellFormed(tag)) return refuse('A tag must be a text and not empty.')
  doc.transact(() => new CaseWriter(new CaseView(doc), null).case({ tags: [tag] }))
  return done
}

/** Removes a tag as far as this device knows of it; one added elsewhere meanwhile stays. */
export function removeTag(doc: Y.Doc, tag: string): EditResult {
  const view = new CaseView(doc)
  const member = `+${below('tags', tag)}`
  if (!view.members.has(member)) return refuse(`The case has no tag ${JSON.stringify(tag)}.`)
  doc.transact(() => view.members.clear(member))
  return done
}

/**
 * Adds a record. Its id is the one in `json`, or `newId`; one that stands already is refused. `json` is checked and
 * brought to normal form here.
 */
export function addRecord(
  doc: Y.Doc,
  kind: keyof typeof LIST_OF,
  json: CaseJson,
  newId: string,
): { ok: true; id: string } | { ok: false; reason: string } {
  const list = LIST_OF[kind]
  const given: CaseJson = { ...json }
  if (own(given, 'id') === undefined) put(given, 'id', newId)
  const record = checkRecord(list, given)
  if (!record.ok) return record
  const { id } = record.value
  if (new CaseView(doc).isLive(pathOf(list, id))) {
    return refuse(`The case already has a ${kind} with the id ${JSON.stringify(id)}.`)
  }
  doc.transact(() => new CaseWriter(new CaseView(doc), null).records(list, list, [record.value]))
  return { ok: true, id }
}

/** Removes a record for good on every device; late edits of it elsewhere stay hidden. */
export function removeRecord(doc: Y.Doc, list: string, id: string): EditResult {
  const view = new CaseView(doc)
  const path = pathOf(list, id)
  if (!isRecordList(list) || !view.isLive(path)) {
    return refuse(`There is no record ${JSON.stringify(id)} in "${list}".`)
  }
  doc.transact(() => view.members.set(`-${path}`, true))
  return done
}

/** The notes of a consultation: the one flat text that editors bind to. Reading it writes nothing. */
export const consultationText = (doc: Y.Doc, id: string): Y.Text =>
  doc.getText(TEXT_PREFIX + pathOf('consultations', id))

/**
 * Erases, then inserts, at UTF-16 offsets of the exported text. Refused when the consultation isn't there, when the
 * place lies outside the text, or when it would cut a surrogate pair.
 */
export function typeText(
  doc: Y.Doc,
  consultationId: string,
  at: number,
  erase: number,
  text: string,
): EditResult {
  const view = new CaseView(doc)
  const path = pathOf('consultations', consultationId)
  if (!view.isLive(path)) return refuse(`There is no consultation ${JSON.stringify(consultationId)}.`)
  const ytext = view.text(path)
  const inRange = Number.isSafeInteger(at) && Number.isSafeInteger(erase) && at >= 0 && erase >= 0
  if (!inRange || at + erase > ytext.length) {
    return refuse(`The text has ${ytext.length} characters; there is nothing to change at that place.`)
  }
  const now = ytext.toString()
  if (splitsPair(now, at) || splitsPair(now, at + erase) || !isWellFormed(text)) {
    return refuse('That would cut a character in two.')
  }
  if (erase === 0 && text === '') return done
  doc.transact(() => {
    view.give(path, GIVEN.text)
    spliceText(ytext, at, erase, text)
  })
  return done
}

/** Settles a conflict, or sets any one field, by dotted path; `value` stands alone afterwards. */
export function chooseValue(doc: Y.Doc, path: string, value: Json): EditResult {
  const view = new CaseView(doc)
  const flaw = flawOf(value)
  if (flaw) return refuse(`The value ${flaw}.`)
  const resolved = resolve(view, path)
  if (!resolved.ok) return resolved
  const { place } = resolved
  if (place.kind === 'archived' && typeof value === 'boolean') {
    doc.transact(() => view.lifecycle.set('archived', value))
    return done
  }
  if (place.kind !== 'field') return refuse(`"${path}" can't be in conflict.`)
  doc.transact(() => {
    if (isParted(path, value)) {
      new CaseWriter(view, null).case({ [path]: value })
      view.fields.clear(place.path)
    } else {
      view.fields.set(place.path, value)
      if (CONTAINERS.includes(path) || isRecordList(path)) view.emptyInside(place.path)
    }
  })
  return done
}
