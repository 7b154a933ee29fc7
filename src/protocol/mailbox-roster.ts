/** What a relay makes of a chain that a device shows: the roster to hold from now on, or the one it holds. */
import { equalBytes } from './bytes.js'
import { MAX_CHAIN_BYTES } from './mailbox-limits.js'
import type { Natives } from './natives.js'
import { applyEntries, chainBytes, type Roster } from './roster.js'
import { resolveFork } from './roster-fork.js'

/**
 * The roster that `entries` prove to be better than the held one, by the rules of devices; undefined where
 * there is none: another practice, unreadable, known, behind, losing or contested.
 */
export function betterRoster(
  natives: Natives,
  practice: Uint8Array,
  held: Roster | undefined,
  entries: readonly Uint8Array[],
): Roster | undefined {
  if (chainBytes(entries) > MAX_CHAIN_BYTES) return undefined
  const grown = applyEntries(natives, held, entries)
  if ('roster' in grown) {
    const { roster } = grown
    const isNew = !held || !equalBytes(roster.head, held.head)
    return isNew && equalBytes(roster.practiceId, practice) ? roster : undefined
  }
  if (grown.error !== 'fork' || !held) return undefined
  const branch = applyEntries(natives, undefined, entries)
  if (!('roster' in branch)) return undefined
  return resolveFork(natives, held, branch.roster) === 'theirs' ? branch.roster : undefined
}
