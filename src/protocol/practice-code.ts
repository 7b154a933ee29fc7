/**
 * The practice code: eighteen characters by which a practice is found at a relay or recognised on a
 * network. It follows from the practice id and is no secret: it opens nothing.
 *
 * Sixteen Crockford base32 characters (80 bits) and two check characters, a Reed-Solomon code over GF(32):
 * any two codes differ in at least three places, so one or two wrong characters, hence every exchange of
 * two neighbours, are noticed. I, L and O are read as 1, 1 and 0; there is no U.
 */
import { concat, utf8 } from './bytes.js'
import { LABEL_PRACTICE_CODE } from './labels.js'
import type { Natives } from './natives.js'

export const CODE_CHARACTERS = 18
/** 80 bits: what the sixteen information characters carry. */
export const CODE_BYTES = 10

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const GROUP = 6
const DATA_CHARACTERS = 16
const LOOKALIKES: Record<string, string> = { I: '1', L: '1', O: '0' }

/** x^5 + x^2 + 1, primitive over GF(2). */
const FIELD_POLYNOMIAL = 0b100101

/** Multiplication by α, the field's generator. */
function timesAlpha(value: number): number {
  const doubled = value << 1
  return doubled & 32 ? doubled ^ FIELD_POLYNOMIAL : doubled
}

/** The codeword's value at `point` given as repeated multiplication by α: 0 times for α^0, once for α. */
function evaluate(symbols: readonly number[], power: 0 | 1): number {
  return symbols.reduce((sum, symbol) => (power === 1 ? timesAlpha(sum) : sum) ^ symbol, 0)
}

/** The two symbols that make the codeword vanish at 1 and at α. */
function checkSymbols(data: readonly number[]): [number, number] {
  for (let first = 0; first < 32; first++) {
    const second = evaluate([...data, first], 0)
    if (evaluate([...data, first, second], 1) === 0) return [first, second]
  }
  throw new Error('unreachable: 1 + α has an inverse')
}

function format(symbols: readonly number[]): string {
  const text = symbols.map((symbol) => ALPHABET[symbol]).join('')
  return [0, 1, 2].map((group) => text.slice(group * GROUP, (group + 1) * GROUP)).join('-')
}

/** Five bits each, most significant first. */
function bytesToSymbols(bytes: Uint8Array): number[] {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('')
  return Array.from({ length: DATA_CHARACTERS }, (_, i) => Number.parseInt(bits.slice(5 * i, 5 * i + 5), 2))
}

/** The code of a practice, in the form it is shown: XXXXXX-XXXXXX-XXXXXX. */
export function practiceCode(natives: Natives, practiceId: Uint8Array): string {
  const digest = natives.sha256(concat([utf8(LABEL_PRACTICE_CODE), practiceId]))
  const data = bytesToSymbols(digest.subarray(0, CODE_BYTES))
  return format([...data, ...checkSymbols(data)])
}

/** The code in its shown form from what a person typed, whatever the case, hyphens and spaces. */
export function parsePracticeCode(text: string): { code: string } | { error: 'not-a-code' | 'mistyped' } {
  const characters = [...text.toUpperCase().replace(/[\s-]/g, '')].map((c) => LOOKALIKES[c] ?? c)
  if (characters.length !== CODE_CHARACTERS) return { error: 'not-a-code' }
  const symbols = characters.map((character) => ALPHABET.indexOf(character))
  if (symbols.includes(-1)) return { error: 'not-a-code' }
  if (evaluate(symbols, 0) !== 0 || evaluate(symbols, 1) !== 0) return { error: 'mistyped' }
  return { code: format(symbols) }
}
