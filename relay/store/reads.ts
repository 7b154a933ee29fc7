/** What is read: of one practice, where each question is one range of keys, and the relay's age. */
import { toHex } from '../../src/protocol/bytes.js'
import type { Natives } from '../../src/protocol/natives.js'
import { type Database, VIEW } from './database.js'
import { ageIn, deviceIn, expiringIn, keys, type Range, rangeOf, rowIn } from './keys.js'
import type { StoredNotice, Waiting } from './mail-store.js'
import { checked, decodeAge, decodeMail, decodeWaiting } from './rows.js'
import { type PracticeState, type Reading, rowsOf } from './state.js'

/** The first rows of a range, within the limits; at least one where there is one. */
export async function rowsWithin(
  reading: Reading,
  range: Range,
  limits: { bytes: number; mails: number },
): Promise<{ rows: Uint8Array[]; end: boolean }> {
  const rows: Uint8Array[] = []
  let bytes = 0
  for await (const { key, value } of rowsOf(reading, range)) {
    // One whose size is damaged goes alone: several of the largest fit no message.
    bytes += (value && decodeWaiting(value)?.bytes) ?? limits.bytes + 1
    if (rows.length > 0 && (rows.length >= limits.mails || bytes > limits.bytes)) return { rows, end: false }
    rows.push(key)
  }
  return { rows, end: true }
}

/** Of one moment: nothing comes or goes between its parts. */
export async function readInventory(
  reading: Reading,
  practice: Uint8Array,
): Promise<{ waiting: Waiting[]; bytes: number }> {
  const snapshot = reading.db.snapshot()
  try {
    const byRecipient = new Map<string, Waiting>()
    for await (const { key, value } of rowsOf(reading, { ...rangeOf('w', practice), snapshot })) {
      const { recipient } = rowIn(key)
      const row = value && decodeWaiting(value)
      if (!row) continue
      const name = toHex(recipient)
      const sum = byRecipient.get(name) ?? { recipient, count: 0, bytes: 0, oldest: row.at }
      const oldest = Math.min(sum.oldest, row.at)
      byRecipient.set(name, { recipient, count: sum.count + 1, bytes: sum.bytes + row.bytes, oldest })
    }
    let bytes = 0
    for await (const { value } of rowsOf(reading, { ...rangeOf('m', practice), snapshot }))
      bytes += (value && decodeMail(value)?.bytes) ?? 0
    return { waiting: [...byRecipient.values()], bytes }
  } finally {
    await snapshot.close()
  }
}

export async function readNotices(reading: Reading, practice: Uint8Array): Promise<StoredNotice[]> {
  const notices: StoredNotice[] = []
  for await (const { key, value } of rowsOf(reading, rangeOf('n', practice)))
    if (value) notices.push({ device: deviceIn(key), sealed: value })
  return notices
}

/** Who has anything here and is no member. */
export async function strangersOf(
  reading: Reading,
  state: PracticeState,
  members: Map<string, Uint8Array>,
): Promise<Uint8Array[]> {
  const found = new Map<string, Uint8Array>()
  const note = (device: Uint8Array) => {
    if (!members.has(toHex(device))) found.set(toHex(device), device)
  }
  for (const device of state.members.values()) note(device)
  for (const letter of ['k', 'n', 'w'])
    for (const device of await devicesUnder(reading, letter, state.practice)) note(device)
  return [...found.values()]
}

/** For whom mail waits. */
export function waitingFor(reading: Reading, practice: Uint8Array): Promise<Uint8Array[]> {
  return devicesUnder(reading, 'w', practice)
}

/** The devices that have rows of a kind, without reading all of these. */
async function devicesUnder({ db }: Reading, letter: string, practice: Uint8Array): Promise<Uint8Array[]> {
  const found: Uint8Array[] = []
  const iterator = db.keys({ ...rangeOf(letter, practice), keyEncoding: 'view' })
  try {
    for (let key = await iterator.next(); key !== undefined; key = await iterator.next()) {
      const device = deviceIn(key as Uint8Array)
      found.push(device)
      iterator.seek(rangeOf(letter, practice, device).lt)
    }
  } finally {
    await iterator.close()
  }
  return found
}

/** What was written down, or the age of the newest mail where that is more, as after a crash. */
export async function readAge({ db, natives }: Pick<Reading, 'db' | 'natives'>): Promise<number> {
  const stored = (await db.get(keys.age(), VIEW)) as Uint8Array | undefined
  const value = stored && checked(natives, keys.age(), stored)
  return Math.max((value && decodeAge(value)) ?? 0, await newestMail(db, natives))
}

/** At which age the newest mail came. An expiry row without its mail may be damaged, and says nothing. */
async function newestMail(db: Database, natives: Natives): Promise<number> {
  for await (const row of db.keys({ ...rangeOf('e'), reverse: true, keyEncoding: 'view' })) {
    const { practice, id } = expiringIn(row as unknown as Uint8Array)
    const key = keys.mail(practice, id)
    const stored = (await db.get(key, VIEW)) as Uint8Array | undefined
    const value = stored && checked(natives, key, stored)
    if (value && decodeMail(value)?.at === ageIn(row as unknown as Uint8Array)) return decodeMail(value)!.at
  }
  return 0
}
