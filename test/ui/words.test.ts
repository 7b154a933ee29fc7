import { expect, test } from 'vitest'
import { pairingErrorFromWire, pairingSentence } from '../../src/protocol/pairing-errors.js'
import { PIN_FAULT_SENTENCES } from '../../src/protocol/pin.js'
import { shortAddress } from '../../ui/lib/addresses.js'
import { age, ageInYears, moment, readableDate, remaining, timeAgo } from '../../ui/lib/dates.js'
import { readableSize } from '../../ui/lib/sizes.js'
import { happeningSentence } from '../../ui/words/happenings.js'
import { pinFaultSentence, refusalSentence, relaySentence, testSentence } from '../../ui/words/refusals.js'
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
        expect(form).not.toMatch(/\b(envelopes?|epoch|frontier|roster|logs?|peers?|nodes?|CRDT)\b/i)
        expect(form).not.toMatch(/poczt|wiadomo(ść|ści)|\bmessages?\b/i)
        // Never "mailbox" alone, but for the two phrases that are settled.
        expect(form.replace(/cloud mailbox|by mailbox|mailbox offline/gi, ''), key).not.toMatch(/mailbox/i)
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
  expect(readableDate('1980-02-31', 'en')).toBe('1980-02-31')
  expect(ageInYears('1980-02-31', new Date(2026, 0, 1))).toBe(null)
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

test('what waits at the relay is counted in Polish as it is said', () => {
  const t = createWords('pl')
  expect([1, 3, 12, 22].map((n) => t.count('heldCount', n))).toEqual([
    '1 przesyłka',
    '3 przesyłki',
    '12 przesyłek',
    '22 przesyłki',
  ])
  expect([1, 2, 5].map((n) => t.count('carryInDone', n))).toEqual([
    'Gotowe: 1 nowa zmiana.',
    'Gotowe: 2 nowe zmiany.',
    'Gotowe: 5 nowych zmian.',
  ])
  const hour = 3_600_000
  expect([1000, hour, 2 * hour, 5 * hour, 24 * hour].map((ms) => age(ms, t))).toEqual([
    'do 1 minuty',
    '1 godzina',
    '2 godziny',
    '5 godzin',
    '1 dzień',
  ])
})

test('every problem that the status can name has a Polish sentence', () => {
  const pl = createWords('pl')
  const codes =
    'disk-full store-damaged store-rotten store-repaired newer-store left-out fork-healed removed contested relay-unreachable relay-changed relay-withholding mailbox-full pin-guesses safety-copy-stale peer-too-old peer-too-new'
  for (const code of codes.split(' ')) {
    const sentence = 'English about "Laptop".'
    expect(refusalSentence(pl, { code, sentence }), code).not.toContain('English')
    expect(refusalSentence(createWords('en'), { code, sentence })).toBe('English about “Laptop”.')
  }
  expect(refusalSentence(pl, { code: 'peer-too-new', sentence: '"Dom" has a newer version.' })).toContain(
    '„Dom”',
  )
  // Without the name the template would have a hole: then the device's sentence stands.
  expect(refusalSentence(pl, { code: 'peer-too-new', sentence: 'It has a newer version.' })).toBe(
    'It has a newer version.',
  )
})

test('every way in which joining can end has a Polish sentence, and so has every refusal of an edit', () => {
  const pl = createWords('pl')
  const isPolish = (code: string, sentence: string) =>
    expect(refusalSentence(pl, { code, sentence }), code).not.toBe(sentence)
  for (let wire = 1; wire <= 14; wire++) {
    const code = pairingErrorFromWire(wire)
    isPolish(code, pairingSentence(code))
  }
  for (const code of [
    'not-accepted',
    'too-large',
    'case-full',
    'no-case',
    'carry-newer',
    'nobody-asks',
    'no-device',
  ])
    isPolish(code, 'English.')
  isPolish('too-many-relays', 'A practice has at most 8 relay addresses.')
})

test('what happened and what a relay answers is said in the language of the window', () => {
  const [en, pl] = [createWords('en'), createWords('pl')]
  const added = { code: 'device-added', text: '"Laptop" was added.' }
  expect(happeningSentence(pl, added)).toBe('Dodano urządzenie „Laptop”.')
  expect(happeningSentence(en, added)).toBe('“Laptop” was added.')
  expect(happeningSentence(pl, { code: 'odd', text: 'Odd.' })).toBe('Odd.')
  const changed = 'A different relay answers at this address. Nothing was sent. Ask its operator.'
  expect(testSentence(en, changed)).toBe(changed)
  expect(testSentence(pl, changed)).toBe(
    'Pod tym adresem odpowiada inny przekaźnik. Nic nie zostało wysłane. Zapytaj operatora.',
  )
  const silent = 'The cloud mailbox can’t be reached. Everything is saved here and will be sent by itself.'
  expect(testSentence(en, silent)).toBe('Nothing answers at this address.')
  expect(relaySentence(en, silent)).toBe(silent)
  expect(relaySentence(pl, silent)).toContain('zostanie wysłane automatycznie')
})

test('sizes, moments and addresses are short and exact enough', () => {
  const [en, pl] = [createWords('en'), createWords('pl')]
  expect([512, 24_576, 999_960, 1_250_000].map((bytes) => readableSize(bytes, en))).toEqual([
    '512\u00a0B',
    '24.6\u00a0kB',
    '1\u00a0MB',
    '1.3\u00a0MB',
  ])
  expect(readableSize(24_576, pl)).toBe('24,6\u00a0kB')
  const noon = new Date(2026, 4, 3, 12, 5).getTime()
  expect(moment(noon, noon + 60_000, en)).toBe('12:05')
  expect(moment(noon, noon + 86_400_000, pl)).toMatch(/^3 maj.*12:05$/)
  const key = '12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo'
  expect(shortAddress(`/dns4/relay.example.org/tcp/4001/p2p/${key}`)).toBe(
    '/dns4/relay.example.org/tcp/4001 … CVe2Xo',
  )
  expect(shortAddress('/ip4/10.0.0.1/tcp/4001')).toBe('/ip4/10.0.0.1/tcp/4001')
})
