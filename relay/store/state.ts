/**
 * What a relay remembers of each practice between requests, read once when the store is opened. Opening looks at
 * every row but the envelopes and mends what damage has left behind, so that rows and mails always fit together.
 */
import { equalBytes, toHex } from '../../src/protocol/bytes.js'
import { PRACTICE_ID_BYTES } from '../../src/protocol/mailbox-limits.js'
import type { Natives } from '../../src/protocol/natives.js'
import { type Database, VIEW, type Write } from './database.js'
import { deviceIn, keys, mailIn, practiceIn, type Range, rangeOf, rowIn } from './keys.js'
import {
  checked,
  decodeAge,
  decodeMail,
  decodePractice,
  decodeSequence,
  decodeWaiting,
  encodeMail,
  encodeSequence,
  encodeWaiting,
  type MailRow,
  withChecksum,
} from './rows.js'

export interface PracticeState {
  practice: Uint8Array
  /** One object for all writes of the sequence: of one group the last counts. */
  sequenceKey: Uint8Array
  /** Of the held roster; empty while there is none. */
  head: Uint8Array
  /** Current members, by hex of their key. */
  members: Map<string, Uint8Array>
  collectors: Set<string>
  /** The relay's age when a member was last here, about; undefined while that is not known. */
  visitedAt: number | undefined
  /** The highest that was given, and the highest that is durable. */
  sequence: number
  durableSequence: number
  /** Mails, envelopes once each, and pending rows. */
  mails: number
  bytes: number
  rows: number
}

export function emptyState(practice: Uint8Array): PracticeState {
  return {
    practice,
    sequenceKey: keys.sequence(practice),
    head: new Uint8Array(0),
    members: new Map(),
    collectors: new Set(),
    visitedAt: undefined,
    sequence: 0,
    durableSequence: 0,
    mails: 0,
    bytes: 0,
    rows: 0,
  }
}

export type States = Map<string, PracticeState>

/** Repairs are written in portions. */
const REPAIR_WRITES = 1000
const ROWS_AT_A_TIME = 500

export interface Reading {
  natives: Natives
  db: Database
  log: (line: string) => void
}

type Snapshot = ReturnType<Database['snapshot']>

/** Rows of a range, in order, now or as they were in a snapshot; `value` is undefined where it is damaged. */
export async function* rowsOf(
  { db, natives }: Reading,
  range: Range & { snapshot?: Snapshot },
): AsyncGenerator<{ key: Uint8Array; value: Uint8Array | undefined }> {
  const iterator = db.iterator({ ...VIEW, ...range })
  try {
    for (;;) {
      const entries = (await iterator.nextv(ROWS_AT_A_TIME)) as [Uint8Array, Uint8Array][]
      if (entries.length === 0) return
      for (const [key, stored] of entries) yield { key, value: checked(natives, key, stored) }
    }
  } finally {
    await iterator.close()
  }
}

/** Everything remembered, and a sound store. */
export async function readStates(reading: Reading): Promise<States> {
  const states: States = new Map()
  const stateOf = (practice: Uint8Array): PracticeState => {
    const name = toHex(practice)
    const state = states.get(name) ?? emptyState(practice)
    states.set(name, state)
    return state
  }
  for (const letter of ['p', 'n', 'm', 'w']) {
    for (const practice of await practicesUnder(reading.db, letter)) stateOf(practice)
  }
  for await (const { key, value } of rowsOf(reading, rangeOf('s'))) {
    const state = stateOf(practiceIn(key))
    state.sequence = (value && decodeSequence(value)) ?? 0
  }
  for await (const { key } of rowsOf(reading, rangeOf('k'))) {
    stateOf(practiceIn(key)).collectors.add(toHex(deviceIn(key)))
  }
  for await (const { key, value } of rowsOf(reading, rangeOf('v'))) {
    stateOf(practiceIn(key)).visitedAt = value && decodeAge(value)
  }
  for (const state of states.values()) await readState(reading, state)
  return states
}

async function readState(reading: Reading, state: PracticeState): Promise<void> {
  const { db, natives, log } = reading
  const found = await db.getMany([keys.practice(state.practice)], VIEW)
  const key = keys.practice(state.practice)
  const value = found[0] && checked(natives, key, found[0] as Uint8Array)
  const row = value && decodePractice(value)
  if (found[0] && !row)
    log(`The roster of practice ${short(state.practice)} is damaged; its devices bring it again.`)
  if (row) {
    state.head = row.head
    for (const member of row.members) state.members.set(toHex(member), member)
  }
  const repairs = new Repairs(reading)
  const mails = await readMails(reading, state, repairs)
  await readRows(reading, state, mails, repairs)
  await repairs.finish()
  if (repairs.count > 0) log(`Mended ${repairs.count} rows of practice ${short(state.practice)}.`)
  state.durableSequence = state.sequence
}

/** By hex of the id; damaged ones go. */
async function readMails(
  reading: Reading,
  state: PracticeState,
  repairs: Repairs,
): Promise<Map<string, MailRow>> {
  const mails = new Map<string, MailRow>()
  for await (const { key, value } of rowsOf(reading, rangeOf('m', state.practice))) {
    const id = mailIn(key)
    const row = value && decodeMail(value)
    if (!row || row.pending.length === 0) {
      await repairs.add({ key }, { key: keys.body(state.practice, id) })
      continue
    }
    mails.set(toHex(id), row)
    state.mails += 1
    state.bytes += row.bytes
    state.rows += row.pending.length
    for (const { sequence } of row.pending) state.sequence = Math.max(state.sequence, sequence)
  }
  return mails
}

/** A row without its mail goes; a mail's missing or damaged row is written again. */
async function readRows(
  reading: Reading,
  state: PracticeState,
  mails: Map<string, MailRow>,
  repairs: Repairs,
): Promise<void> {
  const { practice } = state
  const seen = new Set<string>()
  for await (const { key, value } of rowsOf(reading, rangeOf('w', practice))) {
    const { recipient, sequence, id } = rowIn(key)
    const mail = mails.get(toHex(id))
    const isPending = mail?.pending.some(
      (each) => each.sequence === sequence && equalBytes(each.recipient, recipient),
    )
    if (!mail) await repairs.add({ key }, { key: keys.body(practice, id) })
    else if (!isPending) await repairs.add({ key })
    else if (value && decodeWaiting(value)) seen.add(toHex(key))
  }
  for (const [name, mail] of mails) {
    const id = Uint8Array.from(Buffer.from(name, 'hex'))
    for (const { recipient, sequence } of mail.pending) {
      const key = keys.row(practice, recipient, sequence, id)
      if (!seen.has(toHex(key))) await repairs.add({ key, value: encodeWaiting(mail) })
    }
  }
}

/** Writes that mend, in portions; durable once `finish` returns. */
class Repairs {
  count = 0
  private writes: Write[] = []

  constructor(private readonly reading: Reading) {}

  async add(...writes: Write[]): Promise<void> {
    this.count += writes.length
    this.writes.push(...writes)
    if (this.writes.length >= REPAIR_WRITES) await this.finish()
  }

  async finish(): Promise<void> {
    const { db, natives } = this.reading
    const operations = this.writes
      .splice(0)
      .map(({ key, value }) =>
        value === undefined
          ? { type: 'del' as const, key }
          : { type: 'put' as const, key, value: withChecksum(natives, key, value) },
      )
    if (operations.length > 0) await db.batch(operations, { ...VIEW, sync: true } as object)
  }
}

/** The practices that have rows of a kind, without reading all of these. */
async function practicesUnder(db: Database, letter: string): Promise<Uint8Array[]> {
  const found: Uint8Array[] = []
  const range = rangeOf(letter)
  const iterator = db.keys({ ...range, keyEncoding: 'view' })
  try {
    for (let key = await iterator.next(); key !== undefined; key = await iterator.next()) {
      const practice = practiceIn(key as Uint8Array)
      if (practice.length < PRACTICE_ID_BYTES) continue
      found.push(practice)
      iterator.seek(rangeOf(letter, practice).lt)
    }
  } finally {
    await iterator.close()
  }
  return found
}

/** Enough to tell practices apart in a log, too little to name one elsewhere. */
export function short(practice: Uint8Array): string {
  return toHex(practice.subarray(0, 4))
}

/** The writes that take recipients off a mail; with the last one everything of it goes. */
export function release(
  practice: Uint8Array,
  id: Uint8Array,
  mail: MailRow,
  isReleased: (recipient: Uint8Array) => boolean,
): { writes: Write[]; left: MailRow | undefined; released: number } {
  const gone = mail.pending.filter(({ recipient }) => isReleased(recipient))
  const pending = mail.pending.filter((each) => !gone.includes(each))
  const writes: Write[] = gone.map(({ recipient, sequence }) => ({
    key: keys.row(practice, recipient, sequence, id),
  }))
  if (gone.length === 0) return { writes, left: mail, released: 0 }
  if (pending.length > 0) {
    const left = { ...mail, pending }
    writes.push({ key: keys.mail(practice, id), value: encodeMail(left) })
    return { writes, left, released: gone.length }
  }
  for (const key of [keys.mail(practice, id), keys.body(practice, id), keys.expiry(mail.at, practice, id)])
    writes.push({ key })
  return { writes, left: undefined, released: gone.length }
}

/** Releases, and counts down: the rows, and with the last recipient the mail. */
export function letGo(
  state: PracticeState,
  id: Uint8Array,
  mail: MailRow,
  isReleased: (recipient: Uint8Array) => boolean,
): { writes: Write[]; left: MailRow | undefined } {
  const { writes, left, released } = release(state.practice, id, mail, isReleased)
  state.rows -= released
  if (!left) {
    state.mails -= 1
    state.bytes -= mail.bytes
  }
  return { writes, left }
}

export const sequenceWrite = (state: PracticeState): Write => ({
  key: state.sequenceKey,
  value: encodeSequence(state.sequence),
})
