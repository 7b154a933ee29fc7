/** What the store throws, as the refusal that a person reads. */
import { isDamage } from '../../store/case-table.js'
import type { AppendOutcome } from '../../store/replica.js'
import { ReadOnlyError, WriteFailedError } from '../../store/sealed-db.js'
import { Refused } from '../api.js'

/** Of a case that can't be read. */
export const DAMAGED_CASE = 'store-damaged'

/** Failures of the store as sentences. */
export async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof WriteFailedError) throw writeRefusal(error)
    if (error instanceof ReadOnlyError) throw newerStore(error.version)
    if (isDamage(error)) {
      throw new Refused(
        DAMAGED_CASE,
        'The stored data of this case is damaged. Another device can bring it back.',
      )
    }
    throw error
  }
}

export function newerStore(version: number): Refused {
  return new Refused(
    'newer-store',
    `Saved by a newer version (store ${version}). Read only until you update.`,
  )
}

export function writeRefusal(error: WriteFailedError): Refused {
  return error.full
    ? new Refused('disk-full', 'The disk is full. Everything so far is safe; editing is paused.')
    : new Refused('disk-failed', 'The disk refused to store. Everything so far is safe; editing is paused.')
}

/** Of a change that is not taken. */
export function sentenceOf(code: Exclude<AppendOutcome, { ok: true }>['code'] | 'unfit'): string {
  return code === 'too-large'
    ? 'A single change may hold up to 16 MB and 50,000 deletions. Nothing was changed.'
    : 'This case is full: a case may hold up to 20 MB. Nothing was changed.'
}

/** Undefined where a case can't be read: that holds up no other one. */
export async function unlessDamaged<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await guarded(work)
  } catch (error) {
    if (error instanceof Refused && error.code === DAMAGED_CASE) return undefined
    throw error
  }
}
