/**
 * How a case lies in its Y.Doc. Root types only, so that two devices that create the same thing offline never
 * collide:
 *
 *   fields     map  `<path>#<uid>` → value      one value of a field; several entries are a conflict
 *   members    map  `+<path>#<uid>` → position  a record or tag exists;  `-<path>#<uid>` → true: it was removed
 *   given      map  `<path>#<letters>` → true   what was given though it may be empty (see Given)
 *   lifecycle  map  `archived#<uid>`, `deleted#<uid>`
 *   text:<path>     one flat Y.Text
 *
 * A path is the place in the interchange form: segments with ~ and / written ~0 and ~1, joined by '/'; records
 * stand under their id, never under an index.
 */

export const ROOTS = { fields: 'fields', members: 'members', given: 'given', lifecycle: 'lifecycle' } as const
export const TEXT_PREFIX = 'text:'

/** Lists of records with an id, at the top of a case. */
export const RECORD_LISTS = ['consultations', 'prescriptions', 'analyses', 'attachments'] as const
export type RecordList = (typeof RECORD_LISTS)[number]

/** Lists that have one canonical order, (date, id). All others keep the order in which they were given. */
export const DATED_LISTS: readonly string[] = ['consultations', 'prescriptions']

/** Objects whose fields merge one by one. */
export const CONTAINERS: readonly string[] = ['patient', 'consent', 'description']

/** Letters of a `given` entry: the container or list itself, its text, its marks, its blocks. */
export const GIVEN = { self: 'g', text: 't', marks: 'm', blocks: 'b' } as const

/** Plain text fields per place; strings in the interchange form. */
export const TEXT_FIELDS: Readonly<Record<string, readonly string[]>> = {
  case: ['drawer', 'followUp', 'createdAt', 'updatedAt'],
  patient: ['firstName', 'lastName', 'birthDate', 'sex', 'phone', 'email', 'address'],
  consent: ['date', 'note'],
  consultations: ['date', 'kind'],
  prescriptions: ['date', 'remedy', 'potency', 'dose', 'note'],
  analyses: ['date', 'title'],
  symptoms: [],
  description: [],
  attachments: [],
}

export const isRecordList = (name: string): name is RecordList =>
  (RECORD_LISTS as readonly string[]).includes(name)

const escapeSegment = (segment: string): string => segment.replaceAll('~', '~0').replaceAll('/', '~1')
const unescapeSegment = (segment: string): string => segment.replaceAll('~1', '/').replaceAll('~0', '~')

export const pathOf = (...segments: string[]): string => segments.map(escapeSegment).join('/')
/** The path of something below a place that already is a path. */
export const below = (parent: string, segment: string): string => `${parent}/${escapeSegment(segment)}`

/** Splits a path into its parent ('' at the top) and its own, unescaped name. */
export function splitPath(path: string): { parent: string; name: string } {
  const slash = path.lastIndexOf('/')
  return {
    parent: slash < 0 ? '' : path.slice(0, slash),
    name: unescapeSegment(path.slice(slash + 1)),
  }
}

/** A path as people and scripts write it. */
export const dottedOf = (path: string): string => path.split('/').map(unescapeSegment).join('.')
