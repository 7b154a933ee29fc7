import { expect, test } from 'vitest'
import { placeName } from '../../ui/words/places.js'
import { createWords } from '../../ui/words/words.js'

test.each([
  ['patient.lastName', 'Last name', 'Nazwisko'],
  ['drawer', 'Drawer', 'Szuflada'],
  ['consultations.c1.text', 'Consultations', 'Konsultacje'],
  ['prescriptions.an.id.dose', 'Prescriptions, Dose', 'Zalecenia, Dawkowanie'],
  // The window shows no fields of these.
  ['description.text', 'description.text', 'description.text'],
  ['analyses.a.date', 'analyses.a.date', 'analyses.a.date'],
  ['patient.nickname', 'patient.nickname', 'patient.nickname'],
])('%s is named as on the screen', (place, english, polish) => {
  expect(placeName(createWords('en'), place)).toBe(english)
  expect(placeName(createWords('pl'), place)).toBe(polish)
})
