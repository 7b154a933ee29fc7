/**
 * Envelopes: the only form in which case data leaves for a relay or a file.
 *
 *   envelope  = version u8 ‖ kind u8 ‖ key id 16 ‖ id 16 ‖ nonce 24 ‖ XChaCha20-Poly1305(envelope key, plaintext)
 *   plaintext = u32 length ‖ coded letter ‖ signature 64 ‖ zeros, of a Padmé size
 *   coded     = 00 ‖ letter, or 01 ‖ the letter deflated where that is shorter
 *
 * A relay must never reach this module: a test holds that.
 *
 *  [V1] an envelope opens only whole, unchanged, and in the practice, kind and id that it was sealed for;
 *  [V2] its letter is believed only with the signature of the sender that it names;
 *  [V3] the same content for the same epoch and attempt has the same id, whoever seals it;
 *  [V4] its size tells the size of its content only roughly: nothing below 512 bytes, and above at most one part in
 *       eight is padding;
 *  [V5] what is deflated inflates to a limit, and only after the epoch's key has opened it.
 */
import { concat, equalBytes, fromHex, isZero, readU32, u8, u32, utf8 } from './bytes.js'
import { Letter } from './envelope.gen.js'
import type { EnvelopeKeys } from './epoch-keys.js'
import { hmacSha256 } from './hkdf.js'
import { LABEL_ENVELOPE, LABEL_LETTER } from './labels.js'
import type { LogId } from './log.js'
import { MAX_ENVELOPE_BYTES } from './mailbox-limits.js'
import { hasSoundCounts, type Nested } from './message-guard.js'
import type { Natives, Random } from './natives.js'
import { encodePayload } from './payload.js'

/** The newest version of envelopes this program writes; it opens no other. */
export const ENVELOPE_VERSION = 1
export const ENVELOPE_ID_BYTES = 16
const KEY_ID_BYTES = 16
const NONCE_BYTES = 24
const SIGNATURE_BYTES = 64
const TAG_BYTES = 16
const HEADER_BYTES = 2 + KEY_ID_BYTES + ENVELOPE_ID_BYTES
/** Below this everything looks alike, in the first letter of a log too: a keystroke, a date, a sentence. */
export const MIN_PLAINTEXT_BYTES = 512

/** A letter as it is: what an envelope holds without being deflated. */
const MAX_LETTER_BYTES = MAX_ENVELOPE_BYTES

export type EnvelopeKind = 'changes' | 'states' | 'word'
const KIND_CODES: Record<EnvelopeKind, number> = { changes: 1, states: 2, word: 3 }

/** What an envelope shows to everybody. */
export interface EnvelopeHeader {
  kind: EnvelopeKind
  keyId: Uint8Array
  id: Uint8Array
}

export interface LetterSender {
  ed: Uint8Array
  /** The 32-byte Ed25519 seed. */
  secret: Uint8Array
}

/** A letter without what every letter has. */
export type LetterBody = NonNullable<Letter['body']>

export interface SealInput {
  natives: Natives
  random: Random
  practice: Uint8Array
  keys: EnvelopeKeys
  id: Uint8Array
  sender: LetterSender
  rosterHead: Uint8Array
  body: LetterBody
}

export function sealEnvelope(input: SealInput): Uint8Array {
  const { natives, random, practice, keys, id, sender, rosterHead, body } = input
  const letter = codeLetter(natives, Letter.encode({ sender: sender.ed, rosterHead, body }).finish())
  const header = concat([u8(ENVELOPE_VERSION), u8(KIND_CODES[body.$case]), keys.keyId, id])
  const signature = natives.sign(sender.secret, signedBytes(natives, practice, header, letter))
  const used = 4 + letter.length + SIGNATURE_BYTES
  const padding = new Uint8Array(padmeBytes(used) - used)
  const plaintext = concat([u32(letter.length), letter, signature, padding])
  const nonce = random(NONCE_BYTES)
  return concat([header, nonce, natives.seal(keys.sealKey, nonce, plaintext, sealedFor(practice, header))])
}

/** Many changes of one day have much in common that each by itself hasn't. What fits the smallest size stays as it is. */
function codeLetter(natives: Natives, letter: Uint8Array): Uint8Array {
  const isMiddling = letter.length > MIN_PLAINTEXT_BYTES && letter.length <= MAX_LETTER_BYTES
  return isMiddling ? encodePayload(natives, letter) : concat([u8(0), letter])
}

/** [V5] undefined for another form, a broken stream, and for more than the limit. */
function plainLetter(natives: Natives, coded: Uint8Array): Uint8Array | undefined {
  if (coded[0] === 0) return coded.subarray(1)
  return coded[0] === 1 ? natives.inflate(coded.subarray(1), MAX_LETTER_BYTES) : undefined
}

/** undefined for anything that isn't an envelope of a version and kind that is known here. */
export function envelopeHeader(envelope: Uint8Array): EnvelopeHeader | undefined {
  if (envelope.length < HEADER_BYTES + NONCE_BYTES + TAG_BYTES + MIN_PLAINTEXT_BYTES) return undefined
  const kind = (Object.keys(KIND_CODES) as EnvelopeKind[]).find((name) => KIND_CODES[name] === envelope[1])
  if (envelope[0] !== ENVELOPE_VERSION || !kind) return undefined
  return {
    kind,
    keyId: envelope.slice(2, 2 + KEY_ID_BYTES),
    id: envelope.slice(2 + KEY_ID_BYTES, HEADER_BYTES),
  }
}

export interface OpenedLetter {
  id: Uint8Array
  sender: Uint8Array
  rosterHead: Uint8Array
  body: LetterBody
}

/** [V1] [V2] undefined when it doesn't open with these keys, or is not signed by whom it names. Never throws. */
export function openEnvelope(
  natives: Natives,
  practice: Uint8Array,
  keys: EnvelopeKeys,
  envelope: Uint8Array,
): OpenedLetter | undefined {
  const shown = envelopeHeader(envelope)
  if (!shown || !equalBytes(shown.keyId, keys.keyId)) return undefined
  const header = envelope.slice(0, HEADER_BYTES)
  const nonce = envelope.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES)
  const sealed = envelope.subarray(HEADER_BYTES + NONCE_BYTES)
  const plaintext = natives.open(keys.sealKey, nonce, sealed, sealedFor(practice, header))
  if (!plaintext) return undefined
  const end = 4 + readU32(plaintext)
  if (end + SIGNATURE_BYTES > plaintext.length || !isZero(plaintext.subarray(end + SIGNATURE_BYTES)))
    return undefined
  const coded = plaintext.subarray(4, end)
  const bytes = plainLetter(natives, coded)
  const letter = bytes && decodeLetter(bytes)
  if (letter?.body?.$case !== shown.kind || letter.sender.length !== 32) return undefined
  const signature = plaintext.subarray(end, end + SIGNATURE_BYTES)
  if (!natives.verify(letter.sender, signedBytes(natives, practice, header, coded), signature))
    return undefined
  return { id: shown.id, sender: letter.sender, rosterHead: letter.rosterHead, body: letter.body }
}

function sealedFor(practice: Uint8Array, header: Uint8Array): Uint8Array {
  return concat([utf8(LABEL_ENVELOPE), practice, header])
}

function signedBytes(
  natives: Natives,
  practice: Uint8Array,
  header: Uint8Array,
  letter: Uint8Array,
): Uint8Array {
  return concat([utf8(LABEL_LETTER), practice, header, natives.sha256(letter)])
}

/** Fields that hold messages, from the letter down. */
const CHANGES: Nested = { 1: {}, 2: { 3: {} } }
const NESTED: Nested = {
  3: CHANGES,
  4: { 4: {}, 5: {}, 6: { 5: {}, 7: {}, 9: {} }, 7: {} },
  5: { 1: { 4: {} }, 2: {}, 3: {}, 4: {}, 5: { 2: {} }, 7: { 4: {} }, 8: {} },
}

function decodeLetter(bytes: Uint8Array): Letter | undefined {
  if (!hasSoundCounts(bytes, NESTED)) return undefined
  try {
    return Letter.decode(bytes)
  } catch {
    return undefined
  }
}

/** A contiguous piece of a log: changes (from..to], with the checks at both ends (zeros at 0). */
export interface LogRange {
  log: LogId
  from: number
  fromCheck: Uint8Array
  to: number
  toCheck: Uint8Array
}

/** [V3] The id of an envelope of changes. Ranges in any order. */
export function changesId(keys: EnvelopeKeys, ranges: readonly LogRange[], attempt: number): Uint8Array {
  const rows = [...ranges]
    .sort((a, b) => (a.log < b.log ? -1 : a.log > b.log ? 1 : a.from - b.from))
    .map(({ log, from, fromCheck, to, toCheck }) =>
      concat([fromHex(log), u32(from), fromCheck, u32(to), toCheck]),
    )
  return envelopeId(keys, 'changes', [...rows, u32(attempt)])
}

/** The id of one part of a transfer of whole states; `set` is random. */
export function statesId(keys: EnvelopeKeys, set: Uint8Array, index: number): Uint8Array {
  return envelopeId(keys, 'states', [set, u32(index)])
}

export function wordId(keys: EnvelopeKeys, device: Uint8Array): Uint8Array {
  return envelopeId(keys, 'word', [device])
}

function envelopeId(keys: EnvelopeKeys, kind: EnvelopeKind, parts: readonly Uint8Array[]): Uint8Array {
  return hmacSha256(keys.idKey, concat([u8(KIND_CODES[kind]), ...parts])).slice(0, ENVELOPE_ID_BYTES)
}

/**
 * [V4] Padmé (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", 2019):
 * lengths of which only the leading bits differ, so about log log of the length is told.
 */
export function padmeBytes(length: number): number {
  if (length <= MIN_PLAINTEXT_BYTES) return MIN_PLAINTEXT_BYTES
  const exponent = Math.floor(Math.log2(length))
  const step = 2 ** (exponent - (Math.floor(Math.log2(exponent)) + 1))
  return Math.ceil(length / step) * step
}
