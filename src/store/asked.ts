/**
 * Damaged cases that others could not give whole, either. What all of them lack, or nobody can read, is not to be had:
 * such a case would count as damaged for ever, though each of them may hold all that there ever was of it.
 *
 *  [H5] a case that every other member was asked for, and counts as damaged, too, is whole with what can be read of it
 *
 * Nothing is lost by it: each of them tells all that it has of the case when it comes to count as whole there.
 */
import { concat, equalBytes, toHex } from '../protocol/bytes.js'
import { UNKNOWN_LOG } from './case-content.js'
import { keys, partRange } from './keyspace.js'
import type { Replica } from './replica.js'
import { putRetained, readableId } from './retained.js'
import { DamagedError, type Write } from './sealed-db.js'

const DEVICE_BYTES = 32

/**
 * Who was asked since the case was marked; undefined if it rotted here, and nobody was. Else it isn't known what is
 * claimed of the case.
 */
export async function askedFor(replica: Replica, key: Uint8Array): Promise<Uint8Array[] | undefined> {
  let value: Uint8Array | undefined
  try {
    value = await replica.db.get(keys.asked(key))
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error
    return []
  }
  if (!value) return undefined
  const count = Math.floor(value.length / DEVICE_BYTES)
  return Array.from({ length: count }, (_, at) => value.slice(at * DEVICE_BYTES, (at + 1) * DEVICE_BYTES))
}

/** A giver could not read these: whoever was asked for one before may have more of it by now. */
export const unaskedWrites = (missing: Uint8Array[]): Write[] =>
  missing.map((key) => ({ key: keys.asked(key), value: new Uint8Array(0) }))

/**
 * A device that holds all that I hold does not have these damaged cases whole.
 *
 * @param others all other members.
 * @returns true if any of them counts as whole now.
 */
export function noteAsked(
  replica: Replica,
  wanted: Uint8Array[],
  device: Uint8Array,
  others: readonly Uint8Array[],
): Promise<boolean> {
  return replica.exclusive(async () => {
    let isAnyWhole = false
    for (const key of wanted) {
      if (!replica.damaged.has(toHex(key))) continue
      const asked = (await askedFor(replica, key)) ?? []
      const isAsked = (other: Uint8Array) => [...asked, device].some((each) => equalBytes(each, other))
      if (others.every(isAsked) && (await settle(replica, key))) isAnyWhole = true
      else if (!asked.some((each) => equalBytes(each, device)))
        await replica.db.write([{ key: keys.asked(key), value: concat([...asked, device]) }])
    }
    return isAnyWhole
  })
}

/** [H5] Not a case of which parts can be read, but its id can't be found: they stay, and it is named. */
async function settle(replica: Replica, key: Uint8Array): Promise<boolean> {
  const { cases } = replica
  const caseId = await readableId(replica, key)
  if (caseId === undefined) return await forget(replica, key)
  const draft = await cases.draftOrRest(key, caseId)
  draft.dropParts(draft.gaps)
  await draft.check(replica.db)
  await putRetained(replica, draft)
  draft.heals = true
  draft.touch(UNKNOWN_LOG, 1)
  await replica.commitCases([draft], [], { ...replica.meta, unclaimed: true })
  replica.loose++
  return true
}

/** Nothing of it can be read anywhere. */
async function forget(replica: Replica, key: Uint8Array): Promise<boolean> {
  const { cases } = replica
  if (await cases.hasReadableParts(key)) return false
  const gone = [keys.asked(key), keys.case(key), ...(await replica.db.keysIn(partRange(key)))]
  await replica.db.write([
    cases.damagedWrite([key]),
    ...gone.map((each) => ({ key: Uint8Array.from(each), value: undefined })),
  ])
  replica.damaged.delete(toHex(key))
  return true
}
