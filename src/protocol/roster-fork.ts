/**
 * Two branches of one roster, made while devices were apart: which one stands. Both sides compute the same
 * answer from the two verified chains alone.
 *
 * [F1] A branch with more of the recovery key in it wins (higher generation, then more entries signed by
 *      it), where that key was registered before the branches part: it may void what members wrote. A key
 *      registered inside a branch outranks nothing, or a removed device could register its own.
 * [F2] A branch begun by a device that also signed in the other branch is back-dated and loses.
 * [F3] Else the first entries decide: REMOVE, RECOVERY, ROTATE, ADD, SETTINGS; then the author enrolled
 *      earlier; then the lower hash.
 * [F4] Where the branch that would win by [F3] was begun by a device that the other branch has removed, the
 *      roster is contested: neither side adopts, and the recovery key or people decide.
 */
import { compareBytes, equalBytes } from './bytes.js'
import { MAX_CHAIN_BYTES } from './mailbox-limits.js'
import type { Natives } from './natives.js'
import type { Roster } from './roster.js'
import { applyEntries, chainBytes, decodedEntries, isMember, memberByEd } from './roster.js'
import type { Entry, EntryKind } from './roster-format.js'

/**
 * 'extends': theirs continues mine, take it. 'behind': mine continues theirs. 'mine' and 'theirs' name the
 * branch that stands; the loser's authors write theirs again (roster-reissue.ts).
 */
export type ForkVerdict = 'same' | 'extends' | 'behind' | 'mine' | 'theirs' | 'contested' | 'unrelated'

const KIND_RANK: Record<EntryKind, number> = {
  genesis: 0,
  remove: 0,
  recovery: 1,
  rotate: 2,
  add: 3,
  settings: 4,
}

/** Height of the first entry in which two chains of one practice differ. */
export function forkHeight(a: Roster, b: Roster): number {
  let height = 0
  while (height < a.hashes.length && height < b.hashes.length) {
    if (!equalBytes(a.hashes[height]!, b.hashes[height]!)) break
    height++
  }
  return height
}

interface Branch {
  roster: Roster
  entries: Entry[]
  /** The first entry that the other branch doesn't have. */
  first: Entry
}

/** Entries signed by a recovery key, anywhere in the chain. */
function signedByRecovery({ entries }: Branch): number {
  let rs: Uint8Array | undefined
  let count = 0
  for (const { author, body } of entries) {
    if (rs && equalBytes(rs, author)) count++
    if (body.kind === 'recovery') rs = body.rs
  }
  return count
}

/** [F1] Negative: a stands; positive: b stands; zero: the recovery key doesn't decide. */
function compareRecovery(a: Branch, b: Branch, height: number): number {
  if (!a.entries.slice(0, height).some(isRecovery)) return 0
  const generations = (b.roster.recovery?.generation ?? 0) - (a.roster.recovery?.generation ?? 0)
  return generations || signedByRecovery(b) - signedByRecovery(a)
}

function isRecovery(entry: Entry): boolean {
  return entry.body.kind === 'recovery'
}

/** [F2] */
function isBackDated(branch: Branch, other: Branch, height: number): boolean {
  return other.entries.slice(height).some((entry) => equalBytes(entry.author, branch.first.author))
}

/** [F3] The recovery key comes before every member. */
function compareFirst(a: Branch, b: Branch): number {
  const enrolled = ({ roster, first }: Branch): number => memberByEd(roster, first.author)?.addedAt ?? -1
  return (
    KIND_RANK[a.first.body.kind] - KIND_RANK[b.first.body.kind] ||
    enrolled(a) - enrolled(b) ||
    compareBytes(a.first.hash, b.first.hash)
  )
}

/** [F4] Whether `loser` removed the device that began `winner`: since they parted, or it could have begun nothing. */
function isContested(winner: Branch, loser: Branch): boolean {
  return memberByEd(loser.roster, winner.first.author)?.removedAt !== undefined
}

/** Which of two verified chains stands. */
export function resolveFork(natives: Natives, mine: Roster, theirs: Roster): ForkVerdict {
  if (!equalBytes(mine.practiceId, theirs.practiceId)) return 'unrelated'
  const height = forkHeight(mine, theirs)
  if (height === mine.hashes.length) return height === theirs.hashes.length ? 'same' : 'extends'
  if (height === theirs.hashes.length) return 'behind'
  const branch = (roster: Roster): Branch => {
    const entries = decodedEntries(natives, roster)
    return { roster, entries, first: entries[height]! }
  }
  const [a, b] = [branch(mine), branch(theirs)]
  const byRecovery = compareRecovery(a, b, height)
  if (byRecovery !== 0) return byRecovery < 0 ? 'mine' : 'theirs'
  const backDated = Number(isBackDated(a, b, height)) - Number(isBackDated(b, a, height))
  const order = backDated || compareFirst(a, b)
  const [winner, loser] = order < 0 ? [a, b] : [b, a]
  if (isContested(winner, loser)) return 'contested'
  return order < 0 ? 'mine' : 'theirs'
}

/**
 * Whether a device belongs in this chain alone, which has lost against `standing`. It shall learn of the one that
 * stands, to be enrolled there; not so who was removed from that one, nor whom somebody has added who is no member.
 */
export function hasLost(
  natives: Natives,
  standing: Roster,
  entries: readonly Uint8Array[],
  ed: Uint8Array,
): boolean {
  if (memberByEd(standing, ed) || chainBytes(entries) > MAX_CHAIN_BYTES) return false
  // Of another practice, or of no branch, nothing is verified: that is much work for whoever comes.
  const grown = applyEntries(natives, standing, entries)
  if (!('error' in grown) || grown.error !== 'fork') return false
  const applied = applyEntries(natives, undefined, entries)
  if (!('roster' in applied)) return false
  const added = decodedEntries(natives, applied.roster).find(
    ({ body }) => body.kind === 'add' && equalBytes(body.ed, ed),
  )
  if (!added || !isMember(applied.roster, ed) || !isMember(standing, added.author)) return false
  return resolveFork(natives, standing, applied.roster) === 'mine'
}
