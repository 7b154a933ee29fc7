/** What is read of one practice: each question is one range of keys. */
import { toHex } from '../../src/protocol/bytes.js'
import { deviceIn, type Range, rangeOf, rowIn } from './keys.js'
import type { StoredNotice, Waiting } from './mail-store.js'
import { decodeMail, decodeWaiting } from './rows.js'
import { type Reading, rowsOf } from './state.js'

/** The first rows of a range, within the limits; at least one where there is one. */
export async function rowsWithin(
  reading: Reading,
  range: Range,
  limits: { bytes: number; mails: number },
): Promise<{ rows: Uint8Array[]; end: boolean }> {
  const rows: Uint8Array[] = []
  let bytes = 0
  for await (const { key, value } of rowsOf(reading, range)) {
    bytes += (value && decodeWaiting(value)?.bytes) ?? 0
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

/** The devices that have rows of a kind, without reading all of these. */
export async function devicesUnder(
  { db }: Reading,
  letter: string,
  practice: Uint8Array,
): Promise<Uint8Array[]> {
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
