/**
 * The embedded store of a relay: a MailStore on one LevelDB. What changes something goes through the committer,
 * which answers after a flush; what only reads looks at what is durable.
 */
import { equalBytes, toHex } from '../../src/protocol/bytes.js'
import type { Natives } from '../../src/protocol/natives.js'
import { Committer, type Decision } from './committer.js'
import { Compaction } from './compaction.js'
import { type Database, VIEW, type Write } from './database.js'
import { type Deposited, decideDeposit, depositKeys, mailOf } from './deposits.js'
import { EXPIRE_AT_A_TIME, FORGET_AT_A_TIME, Going, VISIT_INTERVAL_MS } from './going.js'
import { keys, rowIn, rowsAfter } from './keys.js'
import type {
  Failed,
  MailStore,
  NewRoster,
  StoredDeposit,
  StoredMail,
  StoredNotice,
  Totals,
  Waiting,
} from './mail-store.js'
import { type MarkFile, settleIncarnation } from './marks.js'
import { readAge, readInventory, readNotices, rowsWithin, strangersOf } from './reads.js'
import { decodeMail, decodeRoster, encodeAge, encodePractice, encodeRoster } from './rows.js'
import {
  emptyState,
  letGo,
  type PracticeState,
  type Reading,
  readStates,
  type States,
  short,
} from './state.js'

const READ_ATTEMPTS = 2

export interface LevelStoreOptions {
  /** Keys and values as views; it is opened if it isn't. */
  db: Database
  /** After a failed write. Without it the same database is closed and opened. */
  reopen?: (db: Database) => Promise<Database>
  marks: MarkFile
  natives: Natives
  random: (length: number) => Uint8Array
  log?: (line: string) => void
  onFlush?: (ms: number, tasks: number) => void
}

/** Reads everything but the envelopes. Throws where the database can't be opened or read. */
export async function openLevelStore(options: LevelStoreOptions): Promise<MailStore> {
  const { db, natives, log = () => {} } = options
  await db.open()
  const { incarnation, isNew } = await settleIncarnation(options)
  if (isNew) log('This relay begins a new incarnation: devices check what they have left here.')
  const age = await readAge(options)
  const store = new LevelStore(options, incarnation, age, await readStates({ db, natives, log }))
  await store.begin()
  return store
}

async function closeAndOpen(db: Database): Promise<Database> {
  await db.close()
  await db.open()
  return db
}

class LevelStore implements MailStore {
  private readonly committer: Committer
  private readonly compaction: Compaction
  private readonly going: Going
  private readonly log: (line: string) => void

  constructor(
    private readonly options: LevelStoreOptions,
    readonly incarnation: Uint8Array,
    readonly age: number,
    private states: States,
  ) {
    const { db, natives, reopen = closeAndOpen, log = () => {}, onFlush } = options
    this.log = log
    this.committer = new Committer({
      natives,
      db,
      reopen,
      log,
      onFlush,
      onReopened: async () => {
        this.states = await readStates(this.reading())
      },
    })
    this.compaction = new Compaction(() => this.committer.db)
    this.going = new Going({
      reading: () => this.reading(),
      getMany: (keys) => this.committer.getMany(keys),
      states: () => this.states.values(),
      state: (practice) => this.state(practice),
      forget: (practice) => this.states.delete(toHex(practice)),
      note: (practice, bytes) => this.compaction.note(practice, bytes),
    })
  }

  async begin(): Promise<void> {
    await this.compaction.begin(this.totals().bytes)
    // Of those that an earlier version has taken, or whose row is damaged, it counts from now on.
    const unknown = [...this.states.values()].filter(({ visitedAt }) => visitedAt === undefined)
    await Promise.all(unknown.map(({ practice }) => this.visited(practice, this.age)))
  }

  *practices() {
    for (const { practice, head, members } of this.states.values())
      if (head.length > 0) yield { practice, members: [...members.values()] }
  }

  async roster(practice: Uint8Array): Promise<Uint8Array[] | undefined | Failed> {
    if (!this.find(practice)?.head.length) return undefined
    return this.read(async () => {
      const [value] = await this.committer.getMany([keys.roster(practice)])
      return value && decodeRoster(value)
    })
  }

  async adopt(practice: Uint8Array, expected: Uint8Array, roster: NewRoster) {
    const outcome = await this.committer.alone(async (): Promise<Decision<'ok' | 'conflict'>> => {
      const state = this.state(practice)
      // A head whose entries are damaged is as good as none.
      const isHeld = state.head.length > 0 && Array.isArray(await this.roster(practice))
      if (!equalBytes(isHeld ? state.head : new Uint8Array(0), expected))
        return { writes: [], value: 'conflict' }
      const members = new Map(roster.members.map((member) => [toHex(member), member]))
      const writes: Write[] = [
        { key: keys.practice(practice), value: encodePractice(roster) },
        { key: keys.roster(practice), value: encodeRoster(roster.entries) },
      ]
      writes.push(...(await this.going.drop(state, await strangersOf(this.reading(), state, members))))
      state.head = roster.head
      state.members = members
      return { writes, value: 'ok' }
    })
    return 'value' in outcome ? outcome.value : outcome.failed
  }

  sequence(practice: Uint8Array): number {
    return this.find(practice)?.durableSequence ?? 0
  }

  async deposit(practice: Uint8Array, deposit: StoredDeposit, quotaBytes: number) {
    const outcome = await this.committer.commit<Deposited>(
      depositKeys(practice, deposit),
      (view) => decideDeposit(this.state(practice), deposit, quotaBytes, view),
      deposit.envelope.length,
    )
    if ('failed' in outcome) return { error: outcome.failed }
    // What it replaced is garbage now.
    if (deposit.replaces.length > 0) this.compaction.note(practice, deposit.envelope.length)
    return outcome.value
  }

  collect(
    practice: Uint8Array,
    recipient: Uint8Array,
    after: number,
    limits: { bytes: number; mails: number },
  ): Promise<{ mails: StoredMail[]; end: boolean } | Failed> {
    return this.read(async () => {
      // From a time that this relay doesn't remember: everything counts.
      let from = after > this.sequence(practice) ? 0 : after
      for (;;) {
        const { rows, end } = await rowsWithin(this.reading(), rowsAfter(practice, recipient, from), limits)
        const mails = await this.mailsAt(practice, rows)
        if (mails.length > 0 || end) return { mails, end }
        // All of them were damaged.
        from = rowIn(rows.at(-1)!).sequence
      }
    })
  }

  private async mailsAt(practice: Uint8Array, rows: readonly Uint8Array[]): Promise<StoredMail[]> {
    const ids = rows.map((row) => rowIn(row).id)
    const values = await this.committer.getMany(ids.map((id) => keys.mail(practice, id)))
    const envelopes = await this.committer.getMany(ids.map((id) => keys.body(practice, id)))
    const mails: StoredMail[] = []
    for (const [at, row] of rows.entries()) {
      const { sequence, id } = rowIn(row)
      const mail = values[at] && decodeMail(values[at])
      const envelope = envelopes[at]
      if (mail && envelope) mails.push({ sequence, id, depositor: mail.depositor, envelope })
      else await this.mend(practice, row)
    }
    return mails
  }

  /** A row whose mail or envelope isn't there: acknowledged meanwhile, or damaged. Then all of the mail goes. */
  private async mend(practice: Uint8Array, row: Uint8Array): Promise<void> {
    const { id } = rowIn(row)
    await this.committer.alone(async (): Promise<Decision<void>> => {
      const [waiting] = (await this.committer.db.getMany([row], VIEW)) as (Uint8Array | undefined)[]
      const [value, envelope] = await this.committer.getMany([
        keys.mail(practice, id),
        keys.body(practice, id),
      ])
      const mail = value && decodeMail(value)
      if (!waiting || (mail && envelope)) return { writes: [], value: undefined }
      this.log(
        `A mail of practice ${short(practice)} is damaged and was dropped; its sender offers it again.`,
      )
      if (!mail) return { writes: [{ key: row }, { key: keys.body(practice, id) }], value: undefined }
      const { writes } = letGo(this.state(practice), id, mail, () => true)
      return { writes: [{ key: row }, ...writes], value: undefined }
    })
  }

  async beginCollecting(practice: Uint8Array, device: Uint8Array): Promise<'ok' | Failed> {
    const name = toHex(device)
    if (this.find(practice)?.collectors.has(name)) return 'ok'
    const outcome = await this.committer.commit([], (): Decision<void> => {
      const state = this.state(practice)
      if (!state.members.has(name)) return { writes: [], value: undefined }
      const durable = () => {
        state.collectors.add(name)
      }
      const writes = [{ key: keys.collector(practice, device), value: new Uint8Array(0) }]
      return { writes, value: undefined, durable }
    })
    return 'value' in outcome ? 'ok' : 'failed'
  }

  async acknowledge(
    practice: Uint8Array,
    recipient: Uint8Array,
    ids: readonly Uint8Array[],
    notice: Uint8Array,
  ): Promise<'ok' | 'full' | Failed> {
    let freed = 0
    const wanted = [...new Map(ids.map((id) => [toHex(id), id])).values()]
    const outcome = await this.committer.commit(
      wanted.map((id) => keys.mail(practice, id)),
      (view): Decision<void> => {
        const state = this.state(practice)
        const writes: Write[] = []
        if (notice.length > 0 && state.members.has(toHex(recipient)))
          writes.push({ key: keys.notice(practice, recipient), value: notice })
        for (const id of wanted) {
          const mail = mailOf(view, practice, id)
          if (!mail) continue
          const { left, writes: own } = letGo(state, id, mail, (each) => equalBytes(each, recipient))
          writes.push(...own)
          if (!left) freed += mail.bytes
        }
        return { writes, value: undefined }
      },
      notice.length,
    )
    if ('failed' in outcome) return outcome.failed
    if (freed > 0) this.compaction.note(practice, freed)
    return 'ok'
  }

  missing(practice: Uint8Array, recipient: Uint8Array, ids: readonly Uint8Array[]) {
    return this.read(async () => {
      const mails = await this.committer.getMany(ids.map((id) => keys.mail(practice, id)))
      return ids.filter((_id, at) => {
        const mail = mails[at] && decodeMail(mails[at])
        return !mail?.pending.some((each) => equalBytes(each.recipient, recipient))
      })
    })
  }

  inventory(practice: Uint8Array): Promise<{ waiting: Waiting[]; bytes: number } | Failed> {
    return this.read(() => readInventory(this.reading(), practice))
  }

  notices(practice: Uint8Array): Promise<StoredNotice[] | Failed> {
    return this.read(() => readNotices(this.reading(), practice))
  }

  async leave(practice: Uint8Array, device: Uint8Array): Promise<'ok' | 'gone' | Failed> {
    const outcome = await this.committer.alone(() => this.going.leave(this.state(practice), device))
    if ('failed' in outcome) return 'failed'
    this.compaction.note(practice, 1)
    return outcome.value
  }

  async expire(before: number, onGone: (practice: Uint8Array) => void = () => {}) {
    let mails = 0
    for (let seen = EXPIRE_AT_A_TIME; seen >= EXPIRE_AT_A_TIME; ) {
      const outcome = await this.committer.alone(() => this.going.expireSome(before, onGone))
      if ('failed' in outcome) return { mails, failed: true }
      mails += outcome.value.mails
      seen = outcome.value.seen
    }
    for (let gone = FORGET_AT_A_TIME; gone >= FORGET_AT_A_TIME; ) {
      const outcome = await this.committer.alone(() => this.going.forgetSome(before, onGone))
      if ('failed' in outcome) return { mails, failed: true }
      gone = outcome.value
    }
    return { mails, failed: false }
  }

  async visited(practice: Uint8Array, age: number): Promise<'ok' | Failed> {
    const isKnown = ({ visitedAt }: PracticeState) =>
      visitedAt !== undefined && age - visitedAt < VISIT_INTERVAL_MS
    const held = this.find(practice)
    if (!held || isKnown(held)) return 'ok'
    const outcome = await this.committer.commit([], (): Decision<'ok'> => {
      const state = this.find(practice)
      if (!state?.head.length || isKnown(state)) return { writes: [], value: 'ok' }
      state.visitedAt = age
      return { writes: [{ key: keys.visit(practice), value: encodeAge(age) }], value: 'ok' }
    })
    return 'value' in outcome ? outcome.value : 'failed'
  }

  async keepAge(age: number): Promise<'ok' | Failed> {
    const write = { key: keys.age(), value: encodeAge(age) }
    const outcome = await this.committer.commit([], () => ({ writes: [write], value: 'ok' as const }))
    return 'value' in outcome ? outcome.value : 'failed'
  }

  totals(): Totals {
    const totals = { practices: 0, rows: 0, bytes: 0 }
    for (const { head, rows, bytes } of this.states.values()) {
      totals.practices += head.length > 0 ? 1 : 0
      totals.rows += rows
      totals.bytes += bytes
    }
    return totals
  }

  async tidy(): Promise<void> {
    const { rows, practices } = this.totals()
    await this.compaction.step(rows === 0 || practices === 0).catch((error: unknown) => {
      this.log(`The disk couldn't be tidied: ${error}`)
    })
  }

  async close(): Promise<void> {
    await this.committer.close()
    await this.compaction.idle
    await this.committer.db.close()
  }

  private find(practice: Uint8Array): PracticeState | undefined {
    return this.states.get(toHex(practice))
  }

  private state(practice: Uint8Array): PracticeState {
    const name = toHex(practice)
    const state = this.states.get(name) ?? emptyState(practice)
    this.states.set(name, state)
    return state
  }

  private reading(): Reading {
    return { db: this.committer.db, natives: this.options.natives, log: this.log }
  }

  /** Once more where the database was opened anew meanwhile. */
  private async read<T>(work: () => Promise<T>): Promise<T | Failed> {
    for (let attempt = 1; ; attempt++) {
      await this.committer.whenOpen()
      try {
        return await work()
      } catch (error) {
        if (attempt < READ_ATTEMPTS) continue
        this.log(`The store couldn't be read: ${error}`)
        return 'failed'
      }
    }
  }
}
