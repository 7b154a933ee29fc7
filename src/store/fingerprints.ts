/** Fingerprints of content as it truly is: computed from the stored bytes, never from anything cached. */
import { contentText } from '../cases/project.js'
import { concat, utf8 } from '../protocol/bytes.js'
import { decodeParts, docOf } from './case-content.js'
import { type CaseState, decodeCase } from './case-state.js'
import { keys } from './keyspace.js'
import { casesFrom } from './reading.js'
import type { Replica } from './replica.js'

export const FINGERPRINT_BYTES = 16
/** One case key and its fingerprint. */
export const PAIR_BYTES = 32
const PAIRS_PER_MESSAGE = 1000

export interface FingerprintedCase {
  key: Uint8Array
  caseId: string
  fingerprint: Uint8Array
}

/** All cases in key order. One that can't be read has an empty fingerprint, so it differs from everything. */
export async function* fingerprints(replica: Replica): AsyncGenerator<FingerprintedCase> {
  for await (const state of casesFrom(replica, new Uint8Array(0))) {
    if (state.parts.length === 0) continue
    const { key, caseId } = state
    // Its parts may have been put together since its row was read: then it is looked at alone with the writer.
    const read = () => replica.exclusive(() => storedFingerprint(replica, key))
    try {
      const fingerprint = await fingerprintOf(replica, state).catch(read)
      if (fingerprint) yield { key, caseId, fingerprint }
    } catch {
      replica.cases.noteDamaged(key)
      yield { key, caseId, fingerprint: new Uint8Array(FINGERPRINT_BYTES) }
    }
  }
}

/** Of a case as it is stored by now; undefined if it was erased meanwhile. */
async function storedFingerprint(replica: Replica, key: Uint8Array): Promise<Uint8Array | undefined> {
  const row = await replica.db.get(keys.case(key))
  if (!row) throw new Error('the case is missing')
  const state = decodeCase(key, row)
  return state.parts.length === 0 ? undefined : fingerprintOf(replica, state)
}

async function fingerprintOf(
  { db, natives, docs }: Replica,
  { key, caseId, parts, unchecked }: CaseState,
): Promise<Uint8Array> {
  const values = await db.getMany(parts.map(({ number }) => keys.part(key, number)))
  if (values.some((value) => value === undefined)) throw new Error('a part is missing')
  const stored = decodeParts(natives, values as Uint8Array[], unchecked)
  const doc = docOf([...stored, ...docs.unwritten(caseId)])
  const text = contentText(doc)
  doc.destroy()
  return natives.sha256(utf8(text)).subarray(0, FINGERPRINT_BYTES)
}

/** The same as messages: pairs of key and fingerprint, the last message marked. */
export async function* fingerprintPairs(
  replica: Replica,
): AsyncGenerator<{ pairs: Uint8Array; last: boolean }> {
  let pairs: Uint8Array[] = []
  for await (const { key, fingerprint } of fingerprints(replica)) {
    pairs.push(key, fingerprint)
    if (pairs.length >= 2 * PAIRS_PER_MESSAGE) {
      yield { pairs: concat(pairs), last: false }
      pairs = []
    }
  }
  yield { pairs: concat(pairs), last: true }
}
