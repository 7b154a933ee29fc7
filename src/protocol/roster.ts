/**
 * The roster: the signed chain of who belongs to a practice. Everything here can be checked without any
 * secret, so devices and relays run the same code. What is sealed in it: roster-open.ts; writing entries:
 * roster-write.ts; two branches: roster-fork.ts.
 *
 * [R1] GENESIS enrols its author; its hash is the practice id.
 * [R2] Every other entry names practice, height and previous entry, and is signed by a member at that point
 *      or by the recovery key in force.
 * [R3] Enrolled keys are torsion-free and usable, sign their own enrolment, and are never enrolled twice:
 *      a removed device never comes back.
 * [R4] Every epoch is one above the last and names exactly the devices that stay, and the recovery key
 *      where one is registered.
 * [R5] Nobody removes the author of the removal or the last device; only the recovery key orders a wipe.
 * [R6] Only the recovery key replaces the recovery key; generations rise.
 */
import { concat, equalBytes, isZero, utf8 } from './bytes.js'
import { isEnrollableKey } from './ed25519.js'
import { isUsableXKey } from './hpke.js'
import { LABEL_ENROLMENT } from './labels.js'
import type { Natives } from './natives.js'
import type { Entry, EntryBody, EpochPart, LogCut } from './roster-format.js'
import { decodeEntry, MAX_MEMBERS, signedEntryBytes } from './roster-format.js'

/** Entries of a practice's life; a chain of this length checks in about a second. */
export const MAX_ROSTER_ENTRIES = 4096

export interface Member {
  ed: Uint8Array
  x: Uint8Array
  /** Height of the entry that enrolled it; enrolled earlier is lower. */
  addedAt: number
  /** Height of the entry that removed it. */
  removedAt?: number
}

export interface Recovery {
  generation: number
  rs: Uint8Array
  rk: Uint8Array
  /** Hash of all record headers at the relays. */
  records: Uint8Array
  /** Height of the entry that registered it. */
  at: number
}

/** A verified chain and what follows from it. Immutable: applying gives a new one. */
export interface Roster {
  practiceId: Uint8Array
  /** Hash of the newest entry. */
  head: Uint8Array
  /** Height of the newest entry; GENESIS is 0. */
  height: number
  entries: readonly Uint8Array[]
  hashes: readonly Uint8Array[]
  /** In the order of enrolment, removed ones included. */
  members: readonly Member[]
  /** Number of the newest epoch; the first is 1. */
  epoch: number
  /** Key id of epoch n at n - 1. */
  keyIds: readonly Uint8Array[]
  cuts: readonly LogCut[]
  /** Devices told to wipe themselves, by the recovery key. */
  wiped: readonly Uint8Array[]
  recovery?: Recovery
}

export type RosterError =
  | 'malformed'
  | 'other-practice'
  | 'gap'
  | 'fork'
  | 'bad-signature'
  | 'not-a-member'
  | 'bad-key'
  | 'already-enrolled'
  | 'unknown-device'
  | 'bad-epoch'
  | 'bad-removal'
  | 'bad-recovery'
  | 'too-many'

type Step = { roster: Roster } | { error: RosterError }

/** What a device signs to be enrolled: label ‖ practice ‖ Ed25519 key ‖ X25519 key. */
export function enrolmentBytes(practiceId: Uint8Array, ed: Uint8Array, x: Uint8Array): Uint8Array {
  return concat([utf8(LABEL_ENROLMENT), practiceId, ed, x])
}

/** A current or former member. */
export function memberByEd(roster: Roster, ed: Uint8Array): Member | undefined {
  return roster.members.find((member) => equalBytes(member.ed, ed))
}

export function isMember(roster: Roster, ed: Uint8Array): boolean {
  const member = memberByEd(roster, ed)
  return member !== undefined && member.removedAt === undefined
}

export function currentMembers(roster: Roster): Member[] {
  return roster.members.filter((member) => member.removedAt === undefined)
}

/** How long a chain is in all. */
export const chainBytes = (entries: readonly Uint8Array[]): number =>
  entries.reduce((sum, entry) => sum + entry.length, 0)

/** The entries of a verified roster. */
export function decodedEntries(natives: Natives, roster: Roster): Entry[] {
  return roster.entries.map((bytes) => decodeEntry(natives, bytes)!)
}

/**
 * The roster after `entries`, each fully verified. Entries that it already holds are passed over, so a
 * whole chain may be given. On an error nothing is applied; 'fork' means an entry of another branch (verify
 * that branch as a whole and see roster-fork.ts), 'gap' that entries in between are missing.
 */
export function applyEntries(
  natives: Natives,
  roster: Roster | undefined,
  entries: readonly Uint8Array[],
): Step {
  let current = roster
  for (const bytes of entries) {
    const step = applyEntry(natives, current, bytes)
    if ('error' in step) return step
    current = step.roster
  }
  return current ? { roster: current } : { error: 'gap' }
}

function applyEntry(natives: Natives, roster: Roster | undefined, bytes: Uint8Array): Step {
  const entry = decodeEntry(natives, bytes)
  if (!entry) return { error: 'malformed' }
  if (!roster) return begin(natives, entry, bytes)
  if (entry.body.kind === 'genesis') {
    return equalBytes(entry.hash, roster.practiceId) ? { roster } : { error: 'other-practice' }
  }
  if (!equalBytes(entry.practice, roster.practiceId)) return { error: 'other-practice' }
  const held = roster.hashes[entry.height]
  if (held) return equalBytes(held, entry.hash) ? { roster } : { error: 'fork' }
  if (entry.height !== roster.height + 1) return { error: 'gap' }
  if (!equalBytes(entry.prev, roster.head)) return { error: 'fork' }
  return extend(natives, roster, entry, bytes)
}

/** [R1] */
function begin(natives: Natives, entry: Entry, bytes: Uint8Array): Step {
  const { body, author } = entry
  if (body.kind !== 'genesis') return { error: 'gap' }
  if (entry.height !== 0 || !isZero(entry.practice) || !isZero(entry.prev)) return { error: 'malformed' }
  if (!isEnrollableKey(author) || !isUsableXKey(body.x)) return { error: 'bad-key' }
  if (!natives.verify(author, signedEntryBytes(entry.hash), entry.signature))
    return { error: 'bad-signature' }
  return {
    roster: {
      practiceId: entry.hash,
      head: entry.hash,
      height: 0,
      entries: [Uint8Array.from(bytes)],
      hashes: [entry.hash],
      members: [{ ed: author, x: body.x, addedAt: 0 }],
      epoch: 1,
      keyIds: [body.keyId],
      cuts: [],
      wiped: [],
    },
  }
}

/** [R2] */
function extend(natives: Natives, roster: Roster, entry: Entry, bytes: Uint8Array): Step {
  if (roster.entries.length >= MAX_ROSTER_ENTRIES) return { error: 'too-many' }
  const byRecovery = roster.recovery !== undefined && equalBytes(roster.recovery.rs, entry.author)
  if (!byRecovery && !isMember(roster, entry.author)) return { error: 'not-a-member' }
  if (!natives.verify(entry.author, signedEntryBytes(entry.hash), entry.signature)) {
    return { error: 'bad-signature' }
  }
  const next: Roster = {
    ...roster,
    head: entry.hash,
    height: entry.height,
    entries: [...roster.entries, Uint8Array.from(bytes)],
    hashes: [...roster.hashes, entry.hash],
  }
  const { body } = entry
  switch (body.kind) {
    case 'add':
      return add(natives, next, body)
    case 'remove':
      return remove(next, body, entry.author, byRecovery)
    case 'rotate':
      return advanceEpoch(next, body.epoch)
    case 'recovery':
      return recover(next, body, byRecovery)
    case 'settings':
      return { roster: next }
    case 'genesis':
      return { error: 'malformed' }
  }
}

/** [R3] */
function add(natives: Natives, roster: Roster, body: EntryBody & { kind: 'add' }): Step {
  const { ed, x } = body
  if (currentMembers(roster).length >= MAX_MEMBERS) return { error: 'too-many' }
  if (roster.members.some((member) => equalBytes(member.ed, ed) || equalBytes(member.x, x))) {
    return { error: 'already-enrolled' }
  }
  if (roster.recovery && equalBytes(roster.recovery.rs, ed)) return { error: 'bad-key' }
  if (!isEnrollableKey(ed) || !isUsableXKey(x)) return { error: 'bad-key' }
  if (!natives.verify(ed, enrolmentBytes(roster.practiceId, ed, x), body.selfSignature)) {
    return { error: 'bad-signature' }
  }
  return { roster: { ...roster, members: [...roster.members, { ed, x, addedAt: roster.height }] } }
}

/** [R5] */
function remove(
  roster: Roster,
  body: EntryBody & { kind: 'remove' },
  author: Uint8Array,
  byRecovery: boolean,
): Step {
  if (body.ids.some((id) => !isMember(roster, id))) return { error: 'unknown-device' }
  if (body.ids.some((id) => equalBytes(id, author)) || (body.wipe && !byRecovery)) {
    return { error: 'bad-removal' }
  }
  if (body.ids.length === currentMembers(roster).length) return { error: 'bad-removal' }
  const members = roster.members.map((member) =>
    body.ids.some((id) => equalBytes(id, member.ed)) ? { ...member, removedAt: roster.height } : member,
  )
  const cuts = [...roster.cuts, ...body.cuts]
  const wiped = body.wipe ? [...roster.wiped, ...body.ids] : roster.wiped
  return advanceEpoch({ ...roster, members, cuts, wiped }, body.epoch)
}

/** [R6] */
function recover(roster: Roster, body: EntryBody & { kind: 'recovery' }, byRecovery: boolean): Step {
  const { generation, rs, rk, records } = body
  if (roster.recovery && (!byRecovery || generation <= roster.recovery.generation)) {
    return { error: 'bad-recovery' }
  }
  if (generation === 0 || memberByEd(roster, rs)) return { error: 'bad-recovery' }
  if (!isEnrollableKey(rs) || !isUsableXKey(rk)) return { error: 'bad-key' }
  const recovery = { generation, rs, rk, records, at: roster.height }
  return advanceEpoch({ ...roster, recovery }, body.epoch)
}

/** [R4] */
function advanceEpoch(roster: Roster, epoch: EpochPart): Step {
  const staying = currentMembers(roster)
  const complete =
    epoch.parts.length === staying.length && epoch.parts.every((part) => isMember(roster, part.ed))
  if (epoch.number !== roster.epoch + 1 || !complete) return { error: 'bad-epoch' }
  if ((epoch.recovery !== undefined) !== (roster.recovery !== undefined)) return { error: 'bad-epoch' }
  if (roster.keyIds.some((keyId) => equalBytes(keyId, epoch.keyId))) return { error: 'bad-epoch' }
  return { roster: { ...roster, epoch: epoch.number, keyIds: [...roster.keyIds, epoch.keyId] } }
}
