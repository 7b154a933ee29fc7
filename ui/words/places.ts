/** Where in a case something stands, in the words of its fields on the screen. */
import type { PlainKey, Words } from './words.js'

const FIELDS = [
  'firstName',
  'lastName',
  'birthDate',
  'sex',
  'phone',
  'email',
  'address',
  'drawer',
  'date',
] as const
const OF_RECORDS = ['kind', 'remedy', 'potency', 'dose', 'note'] as const
const WORDS: readonly string[] = [...FIELDS, ...OF_RECORDS] satisfies readonly PlainKey[]
const LISTS: readonly string[] = ['consultations', 'prescriptions'] satisfies readonly PlainKey[]

/** `place`: a dotted one. What the window shows no field for is named as it is stored. */
export function placeName(t: Words, place: string): string {
  const head = place.split('.')[0]!
  const name = place.slice(place.lastIndexOf('.') + 1)
  const list = LISTS.includes(head) ? t(head as PlainKey) : ''
  if (list !== '' && name === 'text') return list
  if (!WORDS.includes(name) || (list === '' && head !== 'patient' && head !== name)) return place
  const word = t(name as PlainKey)
  return list === '' ? word : `${list}, ${word}`
}
