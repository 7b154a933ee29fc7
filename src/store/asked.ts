/**
 * Damaged cases that others could not give whole, either. What all of them lack, or nobody can read, is not to be had:
 * such a case would count as damaged for ever, though each of them may hold all that there ever was of it.
 *
 *  [H5] a case that every other member was asked for, and counts as damaged, too, is whole with what can be read of it
 *
 * What was answered went into what is held here. So where something of that doesn't open any more, nobody counts as asked,
 * and everybody is asked again; what only grows is no reason to.
 *
 * Nothing is lost by it: each of them tells all that it has of the case when it comes to count as whole there, also
 * where that came back after it had said so.
 */
import { concat, equalBytes, toHex } from '../protocol/bytes.js'
import { encoded } from '../protocol/encode.js'
import { UNKNOWN_LOG } from './case-content.js'
import { LOST_ROW, rowCounts } from './case-row.js'
import { keys, partRange } from './keyspace.js'
import { MetaRow } from './records.gen.js'
import type { Replica } from './replica.js'
import { restatement } from './restatement.js'
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

/** These damaged cases were asked for, and are not whole here, either. */
export const toldWrites = (missing: Uint8Array[]): Write[] =>
  missing.map((key) => ({ key: keys.told(key), value: new Uint8Array(0) }))

/** Who was told that the case isn't whole here may count it as whole by now, with less than has come back. */
export const wasTold = (replica: Replica, key: Uint8Array): Promise<boolean> =>
  replica.db.get(keys.told(key)).then(
    (value) => value !== undefined,
    (error: unknown) => {
      if (error instanceof DamagedError) return true
      throw error
    },
  )

/** Is there, or was there, another device that doesn't have the damaged case whole, either? */
export const isLackedElsewhere = async (replica: Replica, key: Uint8Array): Promise<boolean> =>
  ((await askedFor(replica, key))?.length ?? 0) > 0 || (await wasTold(replica, key))

/** It is damaged no more. */
export const wholeWrites = (key: Uint8Array): Write[] =>
  [keys.asked(key), keys.told(key)].map((each) => ({ key: each, value: undefined }))

/** A giver could not read these: whoever was asked for one before may have more of it by now. */
export const unaskedWrites = (missing: Uint8Array[]): Write[] =>
  missing.map((key) => ({ key: keys.asked(key), value: new Uint8Array(0) }))

/**
 * A device that holds all that I hold does not have these damaged cases whole.
 *
 * @param others all other members.
 */
export function noteAsked(
  replica: Replica,
  wanted: Uint8Array[],
  device: Uint8Array,
  others: readonly Uint8Array[],
): Promise<void> {
  return replica.exclusive(async () => {
    for (const key of wanted) {
      if (!replica.damaged.has(toHex(key))) continue
      const isAsBefore = await standTogether(replica, key)
      if (!replica.damaged.has(toHex(key))) continue
      if (!isAsBefore) {
        await replica.db.write(unaskedWrites([key]))
        replica.cases.askAgain(key)
        continue
      }
      const asked = (await askedFor(replica, key)) ?? []
      const isAsked = (other: Uint8Array) => [...asked, device].some((each) => equalBytes(each, other))
      if (others.every(isAsked)) await settle(replica, key)
      if (replica.damaged.has(toHex(key)) && !asked.some((each) => equalBytes(each, device)))
        await replica.db.write([{ key: keys.asked(key), value: concat([...asked, device]) }])
    }
  })
}

/** Before these damaged cases are asked for: what has rotted of them by now is no reason to ask again. */
export function standBeforeAsking(replica: Replica, wanted: Uint8Array[]): Promise<void> {
  return replica.exclusive(async () => {
    for (const key of wanted) {
      if (!replica.damaged.has(toHex(key))) continue
      const asked = await askedFor(replica, key)
      const isAsBefore = await standTogether(replica, key)
      if (!isAsBefore && asked?.length && replica.damaged.has(toHex(key))) replica.cases.askAgain(key)
    }
  })
}

/**
 * What can be read of a damaged case stands together from here on, with what is retained of it, and nothing that can't be
 * read stands beside it: what doesn't open later has rotted since.
 *
 * @returns false if something had rotted since it was written last: nobody counts as asked any more.
 */
async function standTogether(replica: Replica, key: Uint8Array): Promise<boolean> {
  const { cases, db } = replica
  const caseId = await readableId(replica, key)
  if (caseId === undefined) {
    const rotten = await cases.rottenRows(key)
    if (rotten.length === 0) return true
    // First: were only the other one left after a power cut, nothing would show it.
    await db.write(unaskedWrites([key]))
    await db.writeUnreadable(rotten)
    return false
  }
  const draft = await cases.draftOrRest(key, caseId)
  await putRetained(replica, draft)
  await draft.unite(db)
  await replica.commitCases([draft], [], replica.meta)
  return !draft.hasRotted
}

/** [H5] */
async function settle(replica: Replica, key: Uint8Array): Promise<void> {
  const { cases } = replica
  const caseId = await readableId(replica, key)
  if (caseId === undefined)
    return (await cases.hasReadableParts(key)) ? rename(replica, key) : forget(replica, key)
  const draft = await cases.draftOrRest(key, caseId)
  draft.dropParts(draft.gaps)
  draft.heals = true
  draft.touch(UNKNOWN_LOG, 1)
  await replica.commitCases([draft], [cases.endedWrite(key)], { ...replica.meta, unclaimed: true })
  replica.loose++
  const { parts, parked, generation } = draft.state
  // Of one that was erased nothing is lost.
  const hadContent = draft.base.row !== '' || generation === 0
  if (parked.length > 0) replica.events.ended?.('waiting')
  else if (hadContent && parts.length === 0) replica.events.ended?.('lost')
}

/** Its parts can be read, but nobody knows which case that was: a case of another id has them, the same on any device. */
async function rename(replica: Replica, key: Uint8Array): Promise<void> {
  const rest = await replica.cases.draftOrRest(key, `found-${toHex(key)}`)
  await rest.check(replica.db)
  const { changes } = await restatement(replica, rest)
  // Were that one erased since, what others find of it is erased, too.
  const outcome = await replica.appendNow(changes.map((change) => ({ ...change, generation: 0 })))
  if (!outcome.ok) throw new Error('what was found of a case was refused')
  await remove(replica, key)
  replica.events.ended?.(changes.length > 0 ? 'renamed' : 'lost')
}

/** Nothing of it can be read. Others may have named it, and nothing was ever here. */
async function forget(replica: Replica, key: Uint8Array): Promise<void> {
  if (await remove(replica, key)) replica.events.ended?.('lost')
}

/** True if it was there, and not erased: then there are parts of it, readable or not. */
async function remove(replica: Replica, key: Uint8Array): Promise<boolean> {
  const { cases, db } = replica
  const parts = await db.keysIn(partRange(key))
  const isThere =
    parts.length > 0 && (await db.keysIn({ gte: keys.case(key), lte: keys.case(key) })).length > 0
  const gone = [keys.case(key), ...parts]
  const meta = { ...replica.meta }
  if (isThere) rowCounts(meta, LOST_ROW, -1)
  await db.write([
    cases.damagedWrite([key]),
    cases.endedWrite(key),
    ...wholeWrites(key),
    { key: keys.meta(), value: encoded(MetaRow, meta) },
    ...gone.map((each) => ({ key: Uint8Array.from(each), value: undefined })),
  ])
  replica.meta = meta
  cases.noteWhole(key)
  return isThere
}
