/** From a dotted interchange path, as people and scripts write it, to the place in a case's document. */
import { below, CONTAINERS, isRecordList, pathOf, TEXT_FIELDS } from './schema.js'
import type { CaseView, Member } from './view.js'

/** What a dotted path names. `known`: a text field of the interchange form, not one that someone invented. */
export type Place =
  | { kind: 'field'; path: string; known: boolean }
  | { kind: 'text'; path: string; consultation: boolean }
  | { kind: 'tag'; tag: string }
  | { kind: 'tags' }
  | { kind: 'archived' }

export type Resolved = { ok: true; place: Place } | { ok: false; reason: string }

const refuse = (reason: string): Resolved => ({ ok: false, reason })
const field = (path: string, known: boolean): Resolved => ({
  ok: true,
  place: { kind: 'field', path, known },
})

/**
 * Resolves against the records that stand in the case, because ids and unknown field names may hold dots: the
 * longest id that fits is meant.
 */
export function resolve(view: CaseView, dotted: string): Resolved {
  const dot = dotted.indexOf('.')
  const head = dot < 0 ? dotted : dotted.slice(0, dot)
  const rest = dot < 0 ? null : dotted.slice(dot + 1)
  if (dotted === 'id') return refuse("A case's id can't be changed.")
  if (dotted === 'archived') return { ok: true, place: { kind: 'archived' } }
  if (head === 'tags') {
    return { ok: true, place: rest === null ? { kind: 'tags' } : { kind: 'tag', tag: rest } }
  }
  if (isRecordList(head)) {
    if (rest !== null) return inRecord(view, head, head, rest)
    // A list that isn't one of records is kept, and merges, as a whole.
    if (view.fields.has(pathOf(head))) return field(pathOf(head), false)
    return refuse(`"${head}" is a list; name one of its fields, as in ${head}.ID.date.`)
  }
  if (CONTAINERS.includes(head) && rest !== null) {
    if (head === 'description' && rest === 'text') {
      return { ok: true, place: { kind: 'text', path: head, consultation: false } }
    }
    return inObject(head, head, rest)
  }
  if (CONTAINERS.includes(head) && !view.fields.has(pathOf(head))) {
    return refuse(`"${head}" holds several fields; name one of them, as in ${head}.${exampleOf(head)}.`)
  }
  return field(pathOf(dotted), TEXT_FIELDS.case!.includes(dotted))
}

const exampleOf = (head: string): string => TEXT_FIELDS[head]?.[0] ?? 'text'

function inObject(parent: string, kind: string, name: string): Resolved {
  if (name === 'id') return refuse("An id can't be changed.")
  const formatted = kind === 'description' || kind === 'consultations'
  if (formatted && (name === 'marks' || name === 'blocks')) {
    return refuse(`"${name}" can't be set; the formatting follows its text.`)
  }
  return field(below(parent, name), TEXT_FIELDS[kind]?.includes(name) ?? false)
}

function inRecord(view: CaseView, list: string, kind: string, rest: string): Resolved {
  const found = longestMatch(view.list(list), rest)
  if (!found) return refuse(`There is no record in "${kind}" that "${rest}" could name.`)
  const { member, name } = found
  if (name === null) return refuse(`"${rest}" names a whole record; name one of its fields.`)
  if (kind === 'analyses' && (name === 'symptoms' || name.startsWith('symptoms.'))) {
    const symptom = name.slice('symptoms.'.length)
    return symptom
      ? inRecord(view, below(member.path, 'symptoms'), 'symptoms', symptom)
      : refuse('"symptoms" is a list; name one of its fields, as in symptoms.ID.text.')
  }
  if (name === 'text' && (kind === 'consultations' || kind === 'symptoms')) {
    return { ok: true, place: { kind: 'text', path: member.path, consultation: kind === 'consultations' } }
  }
  return inObject(member.path, kind, name)
}

function longestMatch(
  members: readonly Member[],
  rest: string,
): { member: Member; name: string | null } | null {
  let best: Member | null = null
  for (const member of members) {
    const fits = rest === member.id || rest.startsWith(`${member.id}.`)
    if (fits && member.id.length > (best?.id.length ?? -1)) best = member
  }
  if (!best) return null
  return { member: best, name: rest === best.id ? null : rest.slice(best.id.length + 1) }
}
