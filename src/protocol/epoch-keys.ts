/**
 * Epoch keys: what is derived from one, how it is sealed to devices, how each seals the one before it, and
 * how names and settings are sealed into the roster under it.
 *
 * Key id and roster seal key depend on the epoch key and its number only, because GENESIS needs them before
 * there is a practice id; everything else is bound to the practice.
 */
import { concat, EMPTY, equalBytes, fromUtf8, readU16, u16, u32, utf8 } from './bytes.js'
import { hkdf } from './hkdf.js'
import { hpkeOpen, hpkeSeal } from './hpke.js'
import {
  LABEL_ENVELOPE_ID_KEY,
  LABEL_ENVELOPE_KEY,
  LABEL_EPOCH_HPKE,
  LABEL_EPOCH_KEY_ID,
  LABEL_EPOCH_LADDER,
  LABEL_EPOCH_ROSTER,
  LABEL_INDEX_KEY,
  LABEL_LADDER,
} from './labels.js'
import type { Natives, Random } from './natives.js'
import { EPOCH_KEY_BYTES, KEY_ID_BYTES } from './roster-format.js'

const NONCE_BYTES = 24
const ZERO_NONCE = new Uint8Array(NONCE_BYTES)
/** The longest name in UTF-8: a person's screen, not a store. */
export const MAX_NAME_BYTES = 128

/** Control characters, other ends of lines, and what turns round the direction of all that follows. */
const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/

/** A name is there, short enough, and of visible characters and inner spaces. */
export function isName(name: string): boolean {
  // No character takes less than a byte: nothing long is encoded.
  if (name.length === 0 || name.length > MAX_NAME_BYTES || utf8(name).length > MAX_NAME_BYTES) return false
  return name.trim() === name && !INVISIBLE.test(name)
}
/** Sealed names tell their length only roughly. */
const NAME_PADDING_BYTES = 64
const SETTINGS_PADDING_BYTES = 256

/** What the keys of an epoch are derived from. */
export interface EpochKey {
  practice: Uint8Array
  number: number
  key: Uint8Array
}

function unbound(label: string, number: number, key: Uint8Array, lengthBytes: number): Uint8Array {
  return hkdf(key, EMPTY, concat([utf8(label), u32(number)]), lengthBytes)
}

function bound(label: string, epoch: EpochKey): Uint8Array {
  return hkdf(epoch.key, epoch.practice, concat([utf8(label), u32(epoch.number)]), 32)
}

export function epochKeyId(number: number, key: Uint8Array): Uint8Array {
  return unbound(LABEL_EPOCH_KEY_ID, number, key, KEY_ID_BYTES)
}

export function rosterSealKey(number: number, key: Uint8Array): Uint8Array {
  return unbound(LABEL_EPOCH_ROSTER, number, key, 32)
}

/** The key of a practice's store entries: from the first epoch key, so that no rotation moves them. */
export function indexKeyOf(practice: Uint8Array, firstEpochKey: Uint8Array): Uint8Array {
  return hkdf(firstEpochKey, practice, utf8(LABEL_INDEX_KEY), 32)
}

/** What an epoch gives to envelopes. */
export interface EnvelopeKeys {
  /** 16 bytes, public. */
  keyId: Uint8Array
  sealKey: Uint8Array
  idKey: Uint8Array
}

export function envelopeKeys(epoch: EpochKey): EnvelopeKeys {
  return {
    keyId: epochKeyId(epoch.number, epoch.key),
    sealKey: bound(LABEL_ENVELOPE_KEY, epoch),
    idKey: bound(LABEL_ENVELOPE_ID_KEY, epoch),
  }
}

/** Where in the roster an epoch key is sealed: nothing opens in another entry or for another device. */
export interface EpochPlace {
  practice: Uint8Array
  height: number
  prev: Uint8Array
  number: number
  keyId: Uint8Array
}

/** HPKE info: label ‖ practice ‖ height ‖ prev ‖ number ‖ key id ‖ recipient. */
function hpkeInfo(place: EpochPlace, recipient: Uint8Array): Uint8Array {
  const { practice, height, prev, number, keyId } = place
  return concat([utf8(LABEL_EPOCH_HPKE), practice, u32(height), prev, u32(number), keyId, recipient])
}

/** undefined where the recipient's key is unusable. */
export function sealEpochKey(
  random: Random,
  place: EpochPlace,
  recipient: Uint8Array,
  key: Uint8Array,
): Uint8Array | undefined {
  const info = hpkeInfo(place, recipient)
  return hpkeSeal({ recipient, ephemeralSecret: random(32), info, aad: EMPTY, plaintext: key })
}

/** undefined when it isn't for this key, or isn't the key whose id stands in the roster. */
export function openEpochKey(
  place: EpochPlace,
  recipient: Uint8Array,
  secretKey: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  const key = hpkeOpen({ recipient, secretKey, info: hpkeInfo(place, recipient), aad: EMPTY, sealed })
  return key && isEpochKey(place, key) ? key : undefined
}

function isEpochKey(place: { number: number; keyId: Uint8Array }, key: Uint8Array): boolean {
  return key.length === EPOCH_KEY_BYTES && equalBytes(epochKeyId(place.number, key), place.keyId)
}

function ladderData(epoch: EpochKey): Uint8Array {
  return concat([utf8(LABEL_LADDER), epoch.practice, u32(epoch.number)])
}

/** The key before `epoch`, sealed under it. The ladder key seals one value in its life. */
export function sealLadder(natives: Natives, epoch: EpochKey, previousKey: Uint8Array): Uint8Array {
  return natives.seal(bound(LABEL_EPOCH_LADDER, epoch), ZERO_NONCE, previousKey, ladderData(epoch))
}

/** undefined when the rung is broken, or leads to another key than the roster names. */
export function openLadder(
  natives: Natives,
  epoch: EpochKey,
  ladder: Uint8Array,
  previousKeyId: Uint8Array,
): Uint8Array | undefined {
  const key = natives.open(bound(LABEL_EPOCH_LADDER, epoch), ZERO_NONCE, ladder, ladderData(epoch))
  return key && isEpochKey({ number: epoch.number - 1, keyId: previousKeyId }, key) ? key : undefined
}

/** Length in two bytes, the value, zeros: longer values differ in size only every `step` bytes. */
function pad(value: Uint8Array, step: number): Uint8Array {
  const used = 2 + value.length
  return concat([u16(value.length), value, new Uint8Array((step - (used % step)) % step)])
}

function unpad(padded: Uint8Array): Uint8Array | undefined {
  if (padded.length < 2 || readU16(padded) > padded.length - 2) return undefined
  return padded.subarray(2, 2 + readU16(padded))
}

/** What names and settings are bound to: practice (zeros in GENESIS), device or author, previous entry. */
export interface SealPlace {
  label: string
  practice: Uint8Array
  device: Uint8Array
  prev: Uint8Array
}

function sealData(place: SealPlace): Uint8Array {
  return concat([utf8(place.label), place.practice, place.device, place.prev])
}

/** nonce 24 ‖ sealed, under the roster seal key of the epoch that the entry stands in. */
export function sealText(
  natives: Natives,
  random: Random,
  sealKey: Uint8Array,
  place: SealPlace,
  text: string,
  size: 'name' | 'settings',
): Uint8Array {
  const nonce = random(NONCE_BYTES)
  const padded = pad(utf8(text), size === 'name' ? NAME_PADDING_BYTES : SETTINGS_PADDING_BYTES)
  return concat([nonce, natives.seal(sealKey, nonce, padded, sealData(place))])
}

export function openText(
  natives: Natives,
  sealKey: Uint8Array,
  place: SealPlace,
  sealed: Uint8Array,
): string | undefined {
  const nonce = sealed.subarray(0, NONCE_BYTES)
  const padded = natives.open(sealKey, nonce, sealed.subarray(NONCE_BYTES), sealData(place))
  const value = padded && unpad(padded)
  return value && fromUtf8(value)
}
