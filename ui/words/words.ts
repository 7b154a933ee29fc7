/** The window's words: one typed table a language, counted words by Intl.PluralRules. */
import { en } from './en.js'
import { pl } from './pl.js'

/** The forms a counted Polish word needs: 1 · 2–4 · 5–21 · fractions. */
export interface PolishForms {
  one: string
  few: string
  many: string
  other: string
}

/** A table with the keys of the English one; each counted word has the forms of its language. */
export type WordsLike<Forms> = { [K in keyof typeof en]: (typeof en)[K] extends string ? string : Forms }

export type Language = 'en' | 'pl'
export type PlainKey = { [K in keyof typeof en]: (typeof en)[K] extends string ? K : never }[keyof typeof en]
export type CountedKey = Exclude<keyof typeof en, PlainKey>
type Values = Readonly<Record<string, string | number>>

export const tables = { en, pl } as const
const rules = { en: new Intl.PluralRules('en'), pl: new Intl.PluralRules('pl') }
const numbers = { en: new Intl.NumberFormat('en'), pl: new Intl.NumberFormat('pl') }

/** `t('cases')`, `t('born', { year })`, `t.count('caseCount', 5)`. */
export interface Words {
  (key: PlainKey, values?: Values): string
  count(key: CountedKey, n: number, values?: Values): string
  number(n: number): string
  language: Language
}

export function createWords(language: Language): Words {
  const t = (key: PlainKey, values?: Values) => fill(tables[language][key], values)
  return Object.assign(t, {
    count: (key: CountedKey, n: number, values?: Values) =>
      fill(countedForm(language, key, n), { ...values, n: numbers[language].format(n) }),
    number: (n: number) => numbers[language].format(n),
    language,
  })
}

export function isLanguage(value: unknown): value is Language {
  return value === 'en' || value === 'pl'
}

function countedForm(language: Language, key: CountedKey, n: number): string {
  const forms: Partial<Record<Intl.LDMLPluralRule, string>> = tables[language][key]
  return forms[rules[language].select(n)] ?? forms.other ?? ''
}

function fill(template: string, values: Values | undefined): string {
  if (!values) return template
  return template.replace(/\{(\w+)\}/g, (whole, name: string) =>
    Object.hasOwn(values, name) ? String(values[name]) : whole,
  )
}
