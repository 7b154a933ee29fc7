/** After a lost fork: what I wrote in my branch, written again on the branch that stands. */
import { equalBytes, toHex } from './bytes.js'
import { isName, rosterSealKey } from './epoch-keys.js'
import type { Roster } from './roster.js'
import { decodedEntries, isMember } from './roster.js'
import { forkHeight } from './roster-fork.js'
import type { Entry, EntryKind } from './roster-format.js'
import { epochPartOf, type OpenedRoster, openSettings } from './roster-open.js'
import type { WriteContext, WriteError } from './roster-write.js'
import { addDevice, changeSettings, removeDevices } from './roster-write.js'

export interface Reissued {
  roster: Roster
  /** New entries on top of the winner, in order. */
  entries: Uint8Array[]
  /** The key of the newest epoch: new if a removal was written again. */
  epochKey: Uint8Array
  /** What could not be written again, or need not be (a rotation, a device removed meanwhile). */
  dropped: { kind: EntryKind; reason: WriteError | 'not-needed' }[]
}

type Attempt =
  | { entry: Uint8Array; roster: Roster; epochKey?: Uint8Array }
  | { error: WriteError | 'not-needed' }

/**
 * My ADD, SETTINGS and REMOVE entries of `loser`, on top of `context.roster`, the winner. `opened` is the
 * loser as I could read it. A device enrolled again keeps its own signature; its name comes from `opened`.
 *
 * @param own all keys that I wrote under, where that was not only the present one.
 */
export function reissue(
  context: WriteContext,
  loser: Roster,
  opened: OpenedRoster,
  own: readonly Uint8Array[] = [context.author.ed],
): Reissued {
  const result: Reissued = { roster: context.roster, entries: [], epochKey: context.epochKey, dropped: [] }
  const height = forkHeight(context.roster, loser)
  let epoch = 1
  for (const entry of decodedEntries(context.natives, loser)) {
    epoch = epochPartOf(entry)?.number ?? epoch
    if (entry.height < height || !own.some((ed) => equalBytes(entry.author, ed))) continue
    const now = { ...context, roster: result.roster, epochKey: result.epochKey }
    const attempt = writeAgain(now, entry, epoch, opened)
    if ('error' in attempt) {
      result.dropped.push({ kind: entry.body.kind, reason: attempt.error })
      continue
    }
    result.roster = attempt.roster
    result.entries.push(attempt.entry)
    result.epochKey = attempt.epochKey ?? result.epochKey
  }
  return result
}

function writeAgain(context: WriteContext, entry: Entry, epoch: number, opened: OpenedRoster): Attempt {
  const { body } = entry
  const key = opened.epochKeys.get(epoch)
  switch (body.kind) {
    case 'add': {
      const { ed, x, selfSignature } = body
      // A member may have renamed it to what nobody may write: the device is what counts.
      const name = opened.deviceNames.get(toHex(ed)) ?? ''
      return addDevice(context, { ed, x, selfSignature, name: isName(name) ? name : '?' })
    }
    case 'settings': {
      const change = key && openSettings(context.natives, entry, rosterSealKey(epoch, key))
      return change ? changeSettings(context, change) : { error: 'wrong-epoch-key' }
    }
    case 'remove': {
      const ids = body.ids.filter((id) => isMember(context.roster, id))
      return ids.length > 0 ? removeDevices(context, { ids, cuts: body.cuts }) : { error: 'not-needed' }
    }
    default:
      return { error: 'not-needed' }
  }
}
