/**
 * What a member reads in its roster: the epoch keys sealed to it, the older ones by the ladder, names and
 * settings. A device for which a key is missing or bad says so (`missing`); any other member then rotates.
 */
import { equalBytes, toHex } from './bytes.js'
import type { SealPlace } from './epoch-keys.js'
import { indexKeyOf, isName, openEpochKey, openLadder, openText, rosterSealKey } from './epoch-keys.js'
import { xPublicKey } from './hpke.js'
import { LABEL_DEVICE_NAME, LABEL_PRACTICE_NAME, LABEL_SETTINGS } from './labels.js'
import type { Natives } from './natives.js'
import type { Roster } from './roster.js'
import { decodedEntries } from './roster.js'
import type { Entry, EpochPart } from './roster-format.js'

/** Who opens: a member's device, or someone who holds the recovery key. */
export type RosterOpener = { ed: Uint8Array; xSecret: Uint8Array } | { recoverySecret: Uint8Array }

/** One change of settings: what it names is replaced, the rest stays. Unknown names are kept for later. */
export interface SettingsChange {
  /** Hex of a device's Ed25519 key → its new name. */
  deviceNames?: Record<string, string>
  practiceName?: string
  /** Addresses of the practice's relays. */
  relays?: string[]
  /** Hex of a device's Ed25519 key → whether it collects mail. What isn't named stays as it is. */
  collectsMail?: Record<string, boolean>
  [other: string]: unknown
}

export interface OpenedRoster {
  /** By epoch number. */
  epochKeys: ReadonlyMap<number, Uint8Array>
  /** Epochs whose key this opener lacks; empty when all is well. */
  missing: readonly number[]
  /** undefined while the first epoch's key is missing. */
  indexKey: Uint8Array | undefined
  practiceName: string
  /** Hex of Ed25519 key → name, former members included. */
  deviceNames: ReadonlyMap<string, string>
  /** Every other setting by its name; values are as someone wrote them: check before use. */
  settings: ReadonlyMap<string, unknown>
}

export function epochPartOf(entry: Entry): EpochPart | undefined {
  return 'epoch' in entry.body ? entry.body.epoch : undefined
}

/** The epoch in force after each entry. */
function epochNumbers(entries: readonly Entry[]): number[] {
  let number = 1
  return entries.map((entry) => {
    number = epochPartOf(entry)?.number ?? number
    return number
  })
}

/** The epoch key that an entry seals to this opener, if it does and if it opens. */
function ownKey(roster: Roster, entry: Entry, number: number, opener: RosterOpener): Uint8Array | undefined {
  const { practice, height, prev, body } = entry
  const place = { practice, height, prev, number, keyId: roster.keyIds[number - 1]! }
  const part = epochPartOf(entry)
  if ('recoverySecret' in opener) {
    if (!part?.recovery) return undefined
    return openEpochKey(place, xPublicKey(opener.recoverySecret), opener.recoverySecret, part.recovery)
  }
  let sealed: Uint8Array | undefined
  if (part) sealed = part.parts.find((one) => equalBytes(one.ed, opener.ed))?.sealed
  else if (body.kind === 'add' && equalBytes(body.ed, opener.ed)) sealed = body.sealedKey
  else if (body.kind === 'genesis' && equalBytes(entry.author, opener.ed)) sealed = body.sealedKey
  return sealed && openEpochKey(place, xPublicKey(opener.xSecret), opener.xSecret, sealed)
}

/** From the newest epoch down: by the ladder while it holds, else by what was sealed to this opener. */
function openEpochKeys(
  natives: Natives,
  roster: Roster,
  entries: readonly Entry[],
  opener: RosterOpener,
): Map<number, Uint8Array> {
  const numbers = epochNumbers(entries)
  const parts = new Map(
    entries.flatMap((entry) => epochPartOf(entry) ?? []).map((part) => [part.number, part]),
  )
  const keys = new Map<number, Uint8Array>()
  for (let number = roster.epoch; number >= 1; number--) {
    const above = keys.get(number + 1)
    const rung = parts.get(number + 1)
    const practice = roster.practiceId
    let key =
      above && rung
        ? openLadder(
            natives,
            { practice, number: number + 1, key: above },
            rung.ladder,
            roster.keyIds[number - 1]!,
          )
        : undefined
    for (let i = 0; i < entries.length && !key; i++) {
      if (numbers[i] === number) key = ownKey(roster, entries[i]!, number, opener)
    }
    if (key) keys.set(number, key)
  }
  return keys
}

/** Where a text of this entry is sealed; names of GENESIS come before there is a practice id. */
export function textPlace(
  entry: Pick<Entry, 'practice' | 'prev'>,
  label: string,
  device: Uint8Array,
): SealPlace {
  return { label, practice: entry.practice, device, prev: entry.prev }
}

/** A settings entry's content; undefined where it doesn't open or isn't a JSON object. */
export function openSettings(
  natives: Natives,
  entry: Entry,
  sealKey: Uint8Array,
): SettingsChange | undefined {
  if (entry.body.kind !== 'settings') return undefined
  const place = textPlace(entry, LABEL_SETTINGS, entry.author)
  const text = openText(natives, sealKey, place, entry.body.sealed)
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}

const asObject = (value: unknown): object =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}

/** What members see. A name that nobody may write, as only a hostile member's device would, is none. */
class View {
  practiceName = ''
  readonly deviceNames = new Map<string, string>()
  readonly settings = new Map<string, unknown>()

  constructor(
    private readonly natives: Natives,
    private readonly roster: Roster,
  ) {}

  read(entry: Entry, sealKey: Uint8Array): void {
    const { body, author } = entry
    if (body.kind === 'genesis') {
      this.name(entry, author, body.sealedName, sealKey)
      const place = textPlace(entry, LABEL_PRACTICE_NAME, author)
      const name = openText(this.natives, sealKey, place, body.sealedPracticeName) ?? ''
      this.practiceName = isName(name) ? name : ''
    } else if (body.kind === 'add') {
      this.name(entry, body.ed, body.sealedName, sealKey)
    } else if (body.kind === 'settings') {
      this.change(openSettings(this.natives, entry, sealKey) ?? {})
    }
  }

  private name(entry: Entry, device: Uint8Array, sealed: Uint8Array, sealKey: Uint8Array): void {
    const name = openText(this.natives, sealKey, textPlace(entry, LABEL_DEVICE_NAME, device), sealed)
    if (name !== undefined && isName(name)) this.deviceNames.set(toHex(device), name)
  }

  private change(change: SettingsChange): void {
    for (const [name, value] of Object.entries(change)) {
      if (name === 'practiceName') {
        if (typeof value === 'string' && isName(value)) this.practiceName = value
      } else if (name === 'deviceNames') {
        if (typeof value === 'object' && value !== null) this.rename(value)
      } else if (name === 'collectsMail') {
        const before = this.settings.get(name)
        this.settings.set(name, { ...asObject(before), ...asObject(value) })
      } else {
        this.settings.set(name, value)
      }
    }
  }

  private rename(names: object): void {
    const known = new Set(this.roster.members.map((member) => toHex(member.ed)))
    for (const [device, name] of Object.entries(names)) {
      if (known.has(device) && typeof name === 'string' && isName(name)) this.deviceNames.set(device, name)
    }
  }
}

export function openRoster(natives: Natives, roster: Roster, opener: RosterOpener): OpenedRoster {
  const entries = decodedEntries(natives, roster)
  const epochKeys = openEpochKeys(natives, roster, entries, opener)
  const numbers = epochNumbers(entries)
  const view = new View(natives, roster)
  entries.forEach((entry, i) => {
    const key = epochKeys.get(numbers[i]!)
    if (key) view.read(entry, rosterSealKey(numbers[i]!, key))
  })
  const first = epochKeys.get(1)
  const all = Array.from({ length: roster.epoch }, (_, i) => i + 1)
  return {
    epochKeys,
    missing: all.filter((number) => !epochKeys.has(number)),
    indexKey: first && indexKeyOf(roster.practiceId, first),
    practiceName: view.practiceName,
    deviceNames: view.deviceNames,
    settings: view.settings,
  }
}
