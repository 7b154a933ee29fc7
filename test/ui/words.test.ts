import { expect, test } from 'vitest'
import { PIN_FAULT_SENTENCES } from '../../src/protocol/pin.js'
import { readableDate, remaining, timeAgo } from '../../ui/lib/dates.js'
import { pinFaultSentence, refusalSentence } from '../../ui/words/refusals.js'
import { type CountedKey, createWords, type PlainKey, tables } from '../../ui/words/words.js'

const keys = Object.keys(tables.en) as (PlainKey | CountedKey)[]
const formsOf = (value: string | object): string[] =>
  typeof value === 'string' ? [value] : Object.values(value)
const placeholders = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort()

test('both tables have the same keys, none of them empty', () => {
  expect(Object.keys(tables.pl).sort()).toEqual([...keys].sort())
  for (const language of ['en', 'pl'] as const)
    for (const key of keys)
      for (const form of formsOf(tables[language][key])) expect(form.trim(), key).not.toBe('')
})

test('each form takes the same values in both languages', () => {
  for (const key of keys) {
    const expected = placeholders(formsOf(tables.en[key])[0]!)
    for (const form of [...formsOf(tables.en[key]), ...formsOf(tables.pl[key])])
      expect(placeholders(form), key).toEqual(expected)
  }
})

test('Polish counts one, few, many and fractions', () => {
  const t = createWords('pl')
  const count = (n: number) => t.count('caseCount', n)
  expect([1, 2, 4, 22, 24].map(count)).toEqual(['1 sprawa', '2 sprawy', '4 sprawy', '22 sprawy', '24 sprawy'])
  expect([0, 5, 12, 21, 25].map(count)).toEqual(['0 spraw', '5 spraw', '12 spraw', '21 spraw', '25 spraw'])
  expect(count(1.5)).toBe('1,5 sprawy')
  expect([1, 3, 5].map((n) => t.count('triesLeft', n))).toEqual([
    'Pozostała 1 próba',
    'Pozostały 3 próby',
    'Pozostało 5 prób',
  ])
})

test('English counts one and other', () => {
  const t = createWords('en')
  expect([1, 2, 0].map((n) => t.count('caseCount', n))).toEqual(['1 case', '2 cases', '0 cases'])
})

test('no word of the machinery reaches the window', () => {
  for (const language of ['en', 'pl'] as const)
    for (const key of keys)
      for (const form of formsOf(tables[language][key])) {
        expect(form).not.toMatch(/\b(envelope|epoch|frontier|roster|peer|node|CRDT)\b/i)
        expect(form).not.toMatch(/poczt/i)
      }
})

test('values are put in as they are, also ones that look like placeholders', () => {
  expect(createWords('en')('noMatch', { text: '{text} $1' })).toBe('No case matches “{text} $1”.')
})

test('dates and times read well in both languages', () => {
  const [en, pl] = [createWords('en'), createWords('pl')]
  expect(readableDate('1980-05-24', 'en')).toBe('24 May 1980')
  expect(readableDate('1980-05-24', 'pl')).toBe('24 maj 1980')
  expect(readableDate('1980', 'pl')).toBe('1980')
  expect(timeAgo(0, 5 * 60_000, en)).toBe('5 minutes ago')
  expect(timeAgo(0, 22 * 3_600_000, pl)).toBe('22 godziny temu')
  expect(remaining(90_000, pl)).toBe('2 minuty')
  expect(remaining(900, en)).toBe('1 second')
})

test('a wrong PIN says in Polish how many tries are left; an unknown reason stays as the device gave it', () => {
  const pl = createWords('pl')
  const sentence = 'The PIN doesn’t match, or that isn’t your device. 3 tries left.'
  expect(refusalSentence(pl, { code: 'wrong-pin', sentence })).toBe(
    'PIN się nie zgadza albo to nie jest Twoje urządzenie. Pozostały 3 próby.',
  )
  expect(refusalSentence(pl, { code: 'odd', sentence: 'Odd.' })).toBe('Odd.')
  expect(refusalSentence(createWords('en'), { code: 'wrong-pin', sentence })).toBe(sentence)
  for (const fault of Object.values(PIN_FAULT_SENTENCES)) expect(pinFaultSentence(pl, fault)).not.toBe(fault)
})
