/** A case as text for people. It reads the interchange form leniently: what it doesn't know it leaves out. */
import { printable } from './text.js'

type Thing = Record<string, unknown>

export function caseText(json: string): string {
  const shown = asThing(JSON.parse(json))
  const patient = asThing(shown.patient)
  const name = [patient.firstName, patient.lastName]
    .filter(isText)
    .map((part) => printable(part))
    .join(' ')
  return [
    name || '(no name)',
    ...fields(shown, ['id', 'drawer', 'followUp', 'archived', 'deleted', 'lateEdits']),
    ...asList(shown.conflicts).map(
      ({ field, others }) => `! ${inline(field)}, other value: ${values(others)}`,
    ),
    ...fields(patient, ['birthDate', 'sex', 'phone', 'email', 'address']),
    ...fields(shown, ['tags']),
    ...description(asThing(shown.description).text),
    ...records(shown.consultations, ['date', 'kind'], 'text'),
    ...records(shown.prescriptions, ['date', 'remedy', 'potency', 'dose'], 'note'),
    ...asList(shown.analyses).flatMap((analysis) => [
      ...records([analysis], ['date', 'title'], ''),
      ...asList(analysis.symptoms).map((symptom) => `  - ${inline(symptom.text)}`),
    ]),
  ].join('\n')
}

function fields(thing: Thing, names: string[]): string[] {
  return names.flatMap((name) => {
    const value = inline(thing[name])
    return value === '' || value === 'false' ? [] : [`${name}: ${value}`]
  })
}

function records(list: unknown, head: string[], body: string): string[] {
  return asList(list).flatMap((record) =>
    notes(
      head
        .map((name) => inline(record[name]))
        .filter(Boolean)
        .join(' · '),
      record[body],
    ),
  )
}

function description(text: unknown): string[] {
  return isText(text) ? notes('Description', text) : []
}

function notes(title: string, text: unknown): string[] {
  if (title === '' && !isText(text)) return []
  const body = isText(text) ? printable(text, true).split('\n') : []
  return ['', title, ...body.map((line) => `  ${line}`)]
}

function inline(value: unknown): string {
  if (Array.isArray(value)) return value.map(inline).join(', ')
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return isText(value) ? printable(value) : ''
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function values(list: unknown): string {
  if (!Array.isArray(list)) return ''
  return list.map((one) => (isText(one) ? printable(one) : JSON.stringify(one))).join(', ')
}

function asThing(value: unknown): Thing {
  return typeof value === 'object' && value !== null ? (value as Thing) : {}
}

function asList(value: unknown): Thing[] {
  return Array.isArray(value) ? value.map(asThing) : []
}
