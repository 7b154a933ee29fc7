/** JSON values of cases: the types, a canonical text, and copies that survive hostile keys. */

export type Json = null | boolean | number | string | Json[] | { [k: string]: Json }
export type JsonObject = { [k: string]: Json }
/** A case in the interchange form; `id` is a string. */
export type CaseJson = { [k: string]: Json }
/** SHA-256, handed in so that this folder needs no cryptography of its own. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array

/** Deeper values are refused at import and unreadable when they arrive: recursion stays bounded. */
export const MAX_NESTING = 64

/** UTF-16 order, the one order of this folder; never a locale's. */
export const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Sets an own property even when the key is `__proto__`, which plain assignment would lose. */
export function put(object: JsonObject, key: string, value: Json): void {
  Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true })
}

/** Reads an own property; never one of the prototype. */
export const own = (object: JsonObject, key: string): Json | undefined =>
  Object.hasOwn(object, key) ? object[key] : undefined

/** Entries in UTF-16 order of the keys. */
export const sortedEntries = (object: JsonObject): [string, Json][] =>
  Object.entries(object).sort((a, b) => compareText(a[0], b[0]))

/** True unless the string holds half of a surrogate pair, which UTF-8 can't carry. */
export const isWellFormed = (text: string): boolean => !/\p{Surrogate}/u.test(text)

/** True when an offset would cut a surrogate pair in two. */
export function splitsPair(text: string, at: number): boolean {
  const before = text.charCodeAt(at - 1)
  const after = text.charCodeAt(at)
  return before >= 0xd800 && before < 0xdc00 && after >= 0xdc00 && after < 0xe000
}

/** The one JSON text of a value: keys in UTF-16 order, no spaces; minus zero stays minus zero. */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (isObject(value)) {
    return `{${sortedEntries(value)
      .map(([key, inner]) => `${JSON.stringify(key)}:${canonicalJson(inner)}`)
      .join(',')}}`
  }
  return Object.is(value, -0) ? '-0' : JSON.stringify(value)
}

/** Why a parsed value can't be kept exactly, as the end of a sentence; null when it can. */
export function flawOf(value: Json, depth = 0): string | null {
  if (typeof value === 'string') return isWellFormed(value) ? null : 'holds half of a surrogate pair'
  if (typeof value === 'number') return Number.isFinite(value) ? null : 'holds a number out of range'
  if (typeof value !== 'object' || value === null) return null
  if (depth >= MAX_NESTING) return `is nested deeper than ${MAX_NESTING} levels`
  if (Array.isArray(value)) {
    for (const inner of value) {
      const flaw = flawOf(inner, depth + 1)
      if (flaw) return flaw
    }
    return null
  }
  for (const [key, inner] of Object.entries(value)) {
    const flaw = flawOf(key) ?? flawOf(inner, depth + 1)
    if (flaw) return flaw
  }
  return null
}

/** Does JSON text hold a whole number that a double can't keep, as the ids of other programs are? */
export function roundsNumber(text: string): boolean {
  if (!/\d{16}/.test(text)) return false
  for (let at = 0; ; ) {
    const quote = text.indexOf('"', at)
    const outside = text.slice(at, quote < 0 ? text.length : quote)
    for (const [token] of outside.matchAll(/[-+.\dEe]+/g)) if (isRounded(token)) return true
    if (quote < 0) return false
    at = endOfString(text, quote + 1)
  }
}

/** Does JSON text give a name twice in one object? `value`, what was parsed of it, keeps the last one only. */
export function repeatsName(text: string, value: Json): boolean {
  let names = 0
  for (let at = 0; ; ) {
    const quote = text.indexOf('"', at)
    const end = quote < 0 ? text.length : quote
    for (; at < end; at++) if (text[at] === ':') names++
    if (quote < 0) return names > namesIn(value)
    at = endOfString(text, quote + 1)
  }
}

function namesIn(value: Json): number {
  let names = 0
  const rest = [value]
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    if (typeof next !== 'object' || next === null) continue
    const inner = Object.values(next)
    if (!Array.isArray(next)) names += inner.length
    for (const each of inner) rest.push(each)
  }
  return names
}

function isRounded(token: string): boolean {
  if (!/^-?\d{16,}$/.test(token)) return false
  const kept = Number(token)
  return Number.isFinite(kept) && String(kept) !== token && BigInt(kept) !== BigInt(token)
}

/** The offset behind the quote that ends a string. */
function endOfString(text: string, from: number): number {
  for (let quote = text.indexOf('"', from); quote >= 0; quote = text.indexOf('"', quote + 1)) {
    let first = quote
    while (first > from && text[first - 1] === '\\') first--
    if ((quote - first) % 2 === 0) return quote + 1
  }
  return text.length
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
