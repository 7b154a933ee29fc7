/** The level keys: one prefix byte, then fixed-width parts, so that ranges are contiguous and ordered. */
import { concat, EMPTY, equalBytes, fromHex } from '../protocol/bytes.js'
import { CASE_KEY_BYTES } from '../protocol/limits.js'
import type { LogId } from '../protocol/log.js'

/** Made for every value that is read or written: one allocation. A number is four bytes behind the rest. */
function prefix(letter: string, id: Uint8Array = EMPTY, number?: number): Uint8Array {
  const key = new Uint8Array(1 + id.length + (number === undefined ? 0 : 4))
  key[0] = letter.charCodeAt(0)
  key.set(id, 1)
  for (let at = key.length - 1, rest = number ?? 0; at > id.length; at--, rest >>>= 8) key[at] = rest
  return key
}

/** How many 8-byte checks share one row: a lone device writes its last row anew with each change. */
export const CHECKS_PER_BLOCK = 64

/** Behind the key of a case. */
const TOLD = Uint8Array.of(1)

export const keys = {
  meta: () => prefix('m'),
  roster: () => prefix('g'),
  /** The same once more: without it a device could not even ask others. */
  rosterCopy: () => prefix('g', Uint8Array.of(1)),
  transfer: () => prefix('x'),
  /** Keys of damaged cases. */
  damaged: () => prefix('b'),
  /** Keys of cases that were damaged, and of which there may be less now than there was. */
  ended: () => prefix('b', Uint8Array.of(1)),
  /** Who could not give a damaged case whole, either. */
  asked: (key: Uint8Array) => prefix('a', key),
  /** Somebody was told that a damaged case isn't whole here. */
  told: (key: Uint8Array) => prefix('a', concat([key, TOLD])),
  /** One stretch of the checks of a transfer's target; there are two slots. */
  targetChecks: (slot: number, log: LogId, number: number) =>
    prefix('u', concat([Uint8Array.of(slot), fromHex(log)]), number),
  log: (log: LogId) => prefix('f', fromHex(log)),
  change: (log: LogId, seq: number) => prefix('l', fromHex(log), seq),
  checks: (log: LogId, block: number) => prefix('h', fromHex(log), block),
  case: (key: Uint8Array) => prefix('c', key),
  part: (key: Uint8Array, number: number) => prefix('p', key, number),
  /** One for each claim: a log's branches are doubted each by itself. */
  doubt: (log: LogId, check: Uint8Array) => prefix('d', concat([fromHex(log), check])),
  /** An unfinished transfer of whole states that comes by mail. */
  mailSet: (set: Uint8Array) => prefix('y', set),
  /** What was left at a relay, by its key. */
  ledger: (relay: Uint8Array) => prefix('o', relay),
  statement: (device: Uint8Array) => prefix('s', device),
  /** Small things a device keeps about itself and its peers, by name. */
  note: (name: Uint8Array) => prefix('n', name),
}

/** Of which case a row says that somebody was told; undefined if it is another row. */
export function caseOfTold(row: Uint8Array): Uint8Array | undefined {
  const key = row.slice(1, 1 + CASE_KEY_BYTES)
  return equalBytes(row, keys.told(key)) ? key : undefined
}

/** All parts of one case. */
export function partRange(key: Uint8Array): { gte: Uint8Array; lte: Uint8Array } {
  return { gte: keys.part(key, 0), lte: keys.part(key, 0xffffffff) }
}

/** All checks in one slot of a transfer's target. */
export function targetRange(slot: number): { gte: Uint8Array; lte: Uint8Array } {
  return {
    gte: keys.targetChecks(slot, '00'.repeat(16), 0),
    lte: keys.targetChecks(slot, 'ff'.repeat(16), 0xffffffff),
  }
}

/** All keys of one kind. */
export function rangeOf(letter: 'f' | 'c' | 'd' | 's' | 'n' | 'y' | 'o'): {
  gte: Uint8Array
  lt: Uint8Array
} {
  const code = letter.charCodeAt(0)
  return { gte: Uint8Array.of(code), lt: Uint8Array.of(code + 1) }
}
