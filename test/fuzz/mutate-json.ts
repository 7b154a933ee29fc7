/** Mutations of JSON texts that know what they are: values of other types, odd names, depths, lengths, lies. */
import type { Random } from '../support/random.js'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

const NAMES = ['__proto__', 'constructor', 'toString', 'then', 'length', '', '0', 'a\u0000b', '\ud800']
/** Texts of values, since some are none that JSON.stringify would write. */
const ODD = [
  ...['null', 'true', '-1', '0.5', '-0', '1e308', '1e999', '9007199254740993', '[]', '{}', '""', '[[]]'],
  ...[
    '"__proto__"',
    '"\\ud800"',
    '"\\u0000"',
    '" "',
    '"../../x"',
    '"2026-02-30"',
    '"NaN"',
    '[null]',
    '{"a":{}}',
  ],
  ...['{"__proto__":{"a":1}}', '{"constructor":{"prototype":{"a":1}}}', '{"then":"x"}', '{"length":1e9}'],
  ...['{"json":1,"meta":[]}', '{"toJSON":"x"}'],
]
const DEPTHS = [1, 30, 300, 5_000]
const LENGTHS = [0, 1, 255, 256, 5_000, 60_000]

/** Where a value stood, until it is written as text. */
const MARK = '\u0001mark\u0001'

function odd(random: Random): string {
  const way = random()
  if (way < 0.6) return random.pick(ODD)
  const depth = random.pick(DEPTHS)
  if (way < 0.7) return '['.repeat(depth) + ']'.repeat(depth)
  if (way < 0.8) return `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
  const length = random.pick(LENGTHS)
  if (way < 0.9) return JSON.stringify(random.pick(['a', 'ł', '\ud83d\ude00', '\\', '"']).repeat(length))
  return `[${Array<string>(Math.min(length, 10_000)).fill(random.pick(ODD)).join(',')}]`
}

/** One of the places in a value, each as likely, given to a change. */
function atSomePlace(random: Random, value: Json, change: (value: Json) => Json): Json {
  const size = sizeOf(value)
  let left = random.int(0, size - 1)
  const walk = (each: Json): Json => {
    if (left-- === 0) return change(each)
    if (Array.isArray(each)) return each.map(walk)
    if (typeof each !== 'object' || each === null) return each
    return Object.fromEntries(Object.entries(each).map(([key, inner]) => [key, walk(inner)]))
  }
  return walk(value)
}

function sizeOf(value: Json): number {
  if (typeof value !== 'object' || value === null) return 1
  return Object.values(value).reduce((sum: number, each) => sum + sizeOf(each), 1)
}

function restructured(random: Random, value: Json): Json {
  if (Array.isArray(value)) {
    const way = random.int(0, 2)
    if (way === 0) return value.slice(0, -1)
    if (way === 1) return [...value, ...value, ...value]
    return [...value].reverse()
  }
  if (typeof value !== 'object' || value === null) return [value]
  const entries = Object.entries(value)
  const at = random.int(0, Math.max(0, entries.length - 1))
  const way = random.int(0, 2)
  if (way === 0) entries.splice(at, 1)
  if (way === 1 && entries[at]) entries[at] = [random.pick(NAMES), entries[at][1]]
  if (way === 2) entries.push([random.pick(NAMES), value])
  // Not `fromEntries` of an object literal: `__proto__` has to be an own name.
  return Object.fromEntries(entries)
}

/** The text of a value after a few changes of its structure. */
export function mutatedJson(random: Random, value: Json): string {
  let changed = value
  while (random() < 0.3) changed = atSomePlace(random, changed, (each) => restructured(random, each))
  if (random() < 0.1) return JSON.stringify(changed)
  const marked = atSomePlace(random, changed, () => MARK)
  return JSON.stringify(marked).replace(JSON.stringify(MARK), () => odd(random))
}
