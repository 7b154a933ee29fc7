/** A case as its screen shows it, read from the JSON of `cases.show`. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
type JsonObject = { [key: string]: Json }

/** Values written on other devices at the same time; `value` stands until a person chooses. */
export interface Conflict {
  field: string
  value: Json
  others: Json[]
}

/** A consultation or prescription: its text fields, and for a consultation how its notes begin. */
export interface CaseRecord {
  id: string
  fields: Readonly<Record<string, string>>
  preview: string
}

export interface CaseView {
  id: string
  patient: Readonly<Record<string, string>>
  drawer: string
  archived: boolean
  deleted: boolean
  lateEdits: boolean
  conflicts: readonly Conflict[]
  /** Ids of the devices known to hold all of it; null if the device doesn't say. */
  heldBy: readonly string[] | null
  consultations: readonly CaseRecord[]
  prescriptions: readonly CaseRecord[]
}

/** Enough of the notes for one line of the list of consultations. */
const previewLength = 140

export function readCase(json: string): CaseView {
  const parsed = JSON.parse(json) as Json
  const shown = isObject(parsed) ? parsed : {}
  const heldBy = own(shown, 'heldBy')
  const conflicts = own(shown, 'conflicts')
  return {
    id: textOf(shown, 'id'),
    patient: textFields(own(shown, 'patient')),
    drawer: textOf(shown, 'drawer'),
    archived: own(shown, 'archived') === true,
    deleted: own(shown, 'deleted') === true,
    lateEdits: own(shown, 'lateEdits') === true,
    conflicts: Array.isArray(conflicts) ? conflicts.filter(isConflict) : [],
    heldBy: Array.isArray(heldBy) ? heldBy.map(deviceId) : null,
    consultations: records(own(shown, 'consultations')),
    prescriptions: records(own(shown, 'prescriptions')),
  }
}

/** The same case with one field changed, for showing what was typed before the device answers. */
export function withField(view: CaseView, field: string, value: string): CaseView {
  if (field === 'drawer') return { ...view, drawer: value }
  const [place = '', ...rest] = field.split('.')
  const name = rest.at(-1) ?? ''
  if (place === 'patient') return { ...view, patient: { ...view.patient, [name]: value } }
  if (place !== 'consultations' && place !== 'prescriptions') return view
  const id = rest.slice(0, -1).join('.')
  const change = (record: CaseRecord) =>
    record.id === id ? { ...record, fields: { ...record.fields, [name]: value } } : record
  return { ...view, [place]: view[place].map(change) }
}

/**
 * What was written in this window stays in its field, whichever value stands; that is beside it. So nothing changes under
 * the hand of who writes, until a person chooses.
 */
export function withOwn(view: CaseView, own: ReadonlyMap<string, string>): CaseView {
  let shown = view
  for (const conflict of view.conflicts) {
    const mine = own.get(conflict.field)
    if (mine === undefined || !conflict.others.includes(mine)) continue
    const others = [conflict.value, ...conflict.others.filter((other) => other !== mine)]
    const turned = { ...conflict, value: mine, others }
    const conflicts = shown.conflicts.map((one) => (one === conflict ? turned : one))
    shown = { ...withField(shown, conflict.field, mine), conflicts }
  }
  return shown
}

/** Newest first; those without a date stand on top, because they were just begun. */
export function newestFirst(list: readonly CaseRecord[]): CaseRecord[] {
  const date = (record: CaseRecord) => record.fields.date || '9999'
  return [...list].sort(
    (a, b) =>
      (date(a) < date(b) ? 1 : date(a) > date(b) ? -1 : 0) || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0),
  )
}

/** A value of a conflict as a person reads it. */
export function readableValue(value: Json): string {
  return typeof value === 'string' ? value : value === null ? '' : JSON.stringify(value)
}

function records(list: Json | undefined): CaseRecord[] {
  if (!Array.isArray(list)) return []
  return list.filter(isObject).map((record) => ({
    id: textOf(record, 'id'),
    fields: textFields(record),
    preview: textOf(record, 'text').slice(0, previewLength).replace(/\s+/g, ' ').trim(),
  }))
}

function textFields(value: Json | undefined): Record<string, string> {
  if (value === undefined || !isObject(value)) return {}
  const texts = Object.entries(value).filter(([name, field]) => typeof field === 'string' && name !== 'text')
  return Object.fromEntries(texts) as Record<string, string>
}

function deviceId(value: Json): string {
  return isObject(value) ? textOf(value, 'id') : readableValue(value)
}

function isConflict(value: Json): value is Json & Conflict {
  return isObject(value) && typeof own(value, 'field') === 'string' && Array.isArray(own(value, 'others'))
}

function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function own(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined
}

function textOf(object: JsonObject, key: string): string {
  const value = own(object, key)
  return typeof value === 'string' ? value : ''
}
