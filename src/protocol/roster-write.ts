/**
 * Writing roster entries. Every builder gives the entry and the roster with it applied, through the same
 * checks as an entry from elsewhere; none of them changes the roster it is handed.
 */
import { compareBytes, equalBytes, utf8 } from './bytes.js'
import { epochKeyId, isName, rosterSealKey, sealEpochKey, sealLadder, sealText } from './epoch-keys.js'
import { LABEL_DEVICE_NAME, LABEL_PRACTICE_NAME, LABEL_SETTINGS } from './labels.js'
import type { Natives, Random } from './natives.js'
import type { Member, Roster, RosterError } from './roster.js'
import { applyEntries, currentMembers, enrolmentBytes } from './roster.js'
import type { EntryBody, EpochPart, LogCut } from './roster-format.js'
import { EPOCH_KEY_BYTES, HASH_BYTES, MAX_SEALED_SETTINGS_BYTES, signEntry } from './roster-format.js'
import type { SettingsChange } from './roster-open.js'
import { textPlace } from './roster-open.js'

export type WriteError = RosterError | 'bad-name' | 'wrong-epoch-key' | 'too-large'
export type Written = { entry: Uint8Array; roster: Roster } | { error: WriteError }
/** An entry that began an epoch, with the new epoch's key. */
export type WrittenEpoch = { entry: Uint8Array; roster: Roster; epochKey: Uint8Array } | { error: WriteError }

/** Who writes: a member's key pair, or the recovery key's. */
export interface Author {
  ed: Uint8Array
  edSecret: Uint8Array
}

/** What writing takes besides the content. */
export interface WriteContext {
  natives: Natives
  random: Random
  roster: Roster
  author: Author
  /** The key of the roster's newest epoch. */
  epochKey: Uint8Array
}

/** A device that asks to be enrolled. */
export interface NewDevice {
  ed: Uint8Array
  x: Uint8Array
  /** By its own key over `enrolmentBytes`. */
  selfSignature: Uint8Array
  name: string
}

/** A new practice: GENESIS, which enrols this device. */
export function createGenesis(input: {
  natives: Natives
  random: Random
  device: Author & { x: Uint8Array; name: string }
  practiceName: string
}): WrittenEpoch {
  const { natives, random, device, practiceName } = input
  if (!isName(device.name) || !isName(practiceName)) return { error: 'bad-name' }
  const none = new Uint8Array(HASH_BYTES)
  const epochKey = random(EPOCH_KEY_BYTES)
  const keyId = epochKeyId(1, epochKey)
  const place = { practice: none, height: 0, prev: none }
  const sealedKey = sealEpochKey(random, { ...place, number: 1, keyId }, device.x, epochKey)
  if (!sealedKey) return { error: 'bad-key' }
  const sealKey = rosterSealKey(1, epochKey)
  const seal = (label: string, text: string): Uint8Array =>
    sealText(natives, random, sealKey, textPlace(place, label, device.ed), text, 'name')
  const body: EntryBody = {
    kind: 'genesis',
    seed: random(HASH_BYTES),
    x: device.x,
    keyId,
    sealedKey,
    sealedName: seal(LABEL_DEVICE_NAME, device.name),
    sealedPracticeName: seal(LABEL_PRACTICE_NAME, practiceName),
  }
  const entry = signEntry(natives, { ...place, author: device.ed, body }, device.edSecret)
  const applied = applyEntries(natives, undefined, [entry])
  return 'error' in applied ? applied : { entry, roster: applied.roster, epochKey }
}

/** What a device signs with its own key to be enrolled by another one. */
export function signEnrolment(
  natives: Natives,
  practiceId: Uint8Array,
  device: Author & { x: Uint8Array },
): Uint8Array {
  return natives.sign(device.edSecret, enrolmentBytes(practiceId, device.ed, device.x))
}

interface Place {
  practice: Uint8Array
  height: number
  prev: Uint8Array
}

function nextPlace(roster: Roster): Place {
  return { practice: roster.practiceId, height: roster.height + 1, prev: roster.head }
}

function holdsEpochKey({ roster, epochKey }: WriteContext): boolean {
  return equalBytes(epochKeyId(roster.epoch, epochKey), roster.keyIds[roster.epoch - 1]!)
}

function append(context: WriteContext, body: EntryBody): Written {
  const { natives, roster, author } = context
  const entry = signEntry(natives, { ...nextPlace(roster), author: author.ed, body }, author.edSecret)
  const applied = applyEntries(natives, roster, [entry])
  return 'error' in applied ? applied : { entry, roster: applied.roster }
}

export function addDevice(context: WriteContext, device: NewDevice): Written {
  const { natives, random, roster, epochKey } = context
  if (!holdsEpochKey(context)) return { error: 'wrong-epoch-key' }
  if (!isName(device.name)) return { error: 'bad-name' }
  const place = nextPlace(roster)
  const keyId = roster.keyIds[roster.epoch - 1]!
  const sealedKey = sealEpochKey(random, { ...place, number: roster.epoch, keyId }, device.x, epochKey)
  if (!sealedKey) return { error: 'bad-key' }
  const sealKey = rosterSealKey(roster.epoch, epochKey)
  const namePlace = textPlace(place, LABEL_DEVICE_NAME, device.ed)
  return append(context, {
    kind: 'add',
    ed: device.ed,
    x: device.x,
    selfSignature: device.selfSignature,
    sealedKey,
    sealedName: sealText(natives, random, sealKey, namePlace, device.name, 'name'),
  })
}

/** Renames, relay addresses and the like: sealed for members. */
export function changeSettings(context: WriteContext, change: SettingsChange): Written {
  const { natives, random, roster, epochKey, author } = context
  if (!holdsEpochKey(context)) return { error: 'wrong-epoch-key' }
  const names = [...Object.values(change.deviceNames ?? {}), change.practiceName ?? 'unchanged']
  if (!names.every(isName)) return { error: 'bad-name' }
  const sealKey = rosterSealKey(roster.epoch, epochKey)
  const place = textPlace(nextPlace(roster), LABEL_SETTINGS, author.ed)
  const text = JSON.stringify(change)
  if (utf8(text).length > MAX_SEALED_SETTINGS_BYTES - 512) return { error: 'too-large' }
  return append(context, {
    kind: 'settings',
    sealed: sealText(natives, random, sealKey, place, text, 'settings'),
  })
}

/** A fresh epoch sealed to `staying` and to the recovery key `rk`, if there is one. */
function newEpoch(
  context: WriteContext,
  staying: readonly Member[],
  rk: Uint8Array | undefined,
): { epoch: EpochPart; epochKey: Uint8Array } | { error: WriteError } {
  const { natives, random, roster } = context
  if (!holdsEpochKey(context)) return { error: 'wrong-epoch-key' }
  const epochKey = random(EPOCH_KEY_BYTES)
  const number = roster.epoch + 1
  const keyId = epochKeyId(number, epochKey)
  const place = { ...nextPlace(roster), number, keyId }
  // Keys in a roster are usable: it was checked when they entered.
  const parts = staying
    .map((member) => ({ ed: member.ed, sealed: sealEpochKey(random, place, member.x, epochKey)! }))
    .sort((a, b) => compareBytes(a.ed, b.ed))
  const recovery = rk && sealEpochKey(random, place, rk, epochKey)
  if (rk && !recovery) return { error: 'bad-key' }
  const ladder = sealLadder(natives, { practice: roster.practiceId, number, key: epochKey }, context.epochKey)
  return { epoch: { number, keyId, parts, ladder, ...(recovery ? { recovery } : {}) }, epochKey }
}

function appendEpoch(
  context: WriteContext,
  staying: readonly Member[],
  rk: Uint8Array | undefined,
  body: (epoch: EpochPart) => EntryBody,
): WrittenEpoch {
  const fresh = newEpoch(context, staying, rk)
  if ('error' in fresh) return fresh
  const written = append(context, body(fresh.epoch))
  return 'error' in written ? written : { ...written, epochKey: fresh.epochKey }
}

export function rotateEpoch(context: WriteContext): WrittenEpoch {
  const { roster } = context
  return appendEpoch(context, currentMembers(roster), roster.recovery?.rk, (epoch) => ({
    kind: 'rotate',
    epoch,
  }))
}

/** `cuts` close the logs of the removed devices; `wipe` only counts, and only passes, with the recovery key. */
export function removeDevices(
  context: WriteContext,
  removal: { ids: readonly Uint8Array[]; cuts: readonly LogCut[]; wipe?: boolean },
): WrittenEpoch {
  const { roster } = context
  const staying = currentMembers(roster).filter(
    (member) => !removal.ids.some((id) => equalBytes(id, member.ed)),
  )
  return appendEpoch(context, staying, roster.recovery?.rk, (epoch) => ({
    kind: 'remove',
    ids: [...removal.ids].sort(compareBytes),
    cuts: [...removal.cuts].sort((a, b) => compareBytes(a.log, b.log)),
    wipe: removal.wipe ?? false,
    epoch,
  }))
}

/** The first registration is signed by a member, later ones by the recovery key in force. */
export function registerRecovery(
  context: WriteContext,
  recovery: { generation: number; rs: Uint8Array; rk: Uint8Array; records: Uint8Array },
): WrittenEpoch {
  return appendEpoch(context, currentMembers(context.roster), recovery.rk, (epoch) => ({
    kind: 'recovery',
    ...recovery,
    epoch,
  }))
}
