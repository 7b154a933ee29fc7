/**
 * The durable half of a device: logs, cases, frontier. One writer at a time; every change to what is held is
 * one atomic batch, and memory follows only after the batch was written. The work itself is in functions
 * beside it: my own changes (appending.ts), others' (admitting.ts), writing (commit.ts).
 *
 *  [S4] a durable `running` mark precedes the first append of a start; a start that finds one opens a new log.
 */

import type { Doc } from 'yjs'
import { equalBytes, toHex } from '../protocol/bytes.js'
import type { ChangeRun } from '../protocol/door.js'
import { encoded } from '../protocol/encode.js'
import {
  claimsDigest,
  type HeldLog,
  judgeClaim,
  type LogClaim,
  splitLogs,
  type Verdict,
} from '../protocol/frontier.js'
import type { LogId, LogOpening } from '../protocol/log.js'
import type { Natives } from '../protocol/natives.js'
import { admitEach, freshLogs, type Given } from './admitting.js'
import { appendChanges, openLog } from './appending.js'
import type { CaseDraft } from './case-content.js'
import { caseKeysOf } from './case-key.js'
import type { CaseState } from './case-state.js'
import { CaseTable } from './case-table.js'
import { commitCases } from './commit.js'
import { Documents } from './documents.js'
import { takeUpJottings } from './jottings.js'
import { keys } from './keyspace.js'
import { LogTable, type StoredLog } from './logs.js'
import { ProjectedDocuments } from './projected.js'
import { MetaRow } from './records.gen.js'
import type {
  AdmitOutcome,
  AppendOutcome,
  LocalChange,
  ReplicaEvents,
  ReplicaOptions,
} from './replica-types.js'
import { keepOfDamaged, type RetainedPlaces } from './retained.js'
import type { SealedDb, Write } from './sealed-db.js'

export type {
  AdmitOutcome,
  AppendOutcome,
  Growth,
  LocalChange,
  ReplicaEvents,
  ReplicaOptions,
} from './replica-types.js'

/** On-disk version; a store of a newer one is not written. */
export const STORE_VERSION = 1

/** What is given back at a stop: little enough to be worth a moment. */
const TIDY_AT_STOP_BYTES = 128 * 1024

export class Replica {
  readonly logs: LogTable
  readonly cases: CaseTable
  readonly docs: Documents
  readonly projected = new ProjectedDocuments()
  readonly natives: Natives
  readonly db: SealedDb
  /** The key of a case by its id. */
  readonly keyOf: (caseId: string) => Uint8Array
  events: ReplicaEvents = {}
  meta: MetaRow = MetaRow.decode(new Uint8Array(0))
  /** The meta row that the last batch left on the disk: while `meta` is this very object, nothing of it is to be written. */
  storedMeta: MetaRow | undefined
  /** How many cuts were made since this start: a transfer that one overtakes concludes nothing. */
  cuts = 0
  /** How often doubts were given up that nothing had confirmed: a transfer that goes on notes its own once more. */
  doubtsGone = 0
  /** How often content beyond the frontier came outside a transfer. */
  loose = 0
  /** Looked up while a case is damaged. */
  places: RetainedPlaces | undefined
  /** Some of what the last start had jotted down could not be read. */
  lostJottings = false
  private needsNewLog = false
  /** The folder is elsewhere than when it was written last: moved, or copied. */
  isMoved = false
  /** The `running` mark is durable. */
  isMarked = false
  /** It closes, or has closed: what goes on in portions ends. */
  isClosing = false
  private queue: Promise<unknown> = Promise.resolve()

  private constructor(readonly options: ReplicaOptions) {
    this.natives = options.natives
    this.keyOf = caseKeysOf(options.natives, options.indexKey)
    this.db = options.db
    this.logs = new LogTable(options.db, options.natives, (changes) => keepOfDamaged(this, changes))
    this.cases = new CaseTable(options.db, options.natives)
    this.docs = new Documents(this)
  }

  static async open(options: ReplicaOptions): Promise<Replica> {
    const replica = new Replica(options)
    const meta = await options.db.get(keys.meta())
    if (meta) replica.meta = MetaRow.decode(meta)
    else replica.meta = { ...replica.meta, version: STORE_VERSION }
    await replica.cases.load()
    replica.isMoved = meta !== undefined && replica.meta.binding !== options.binding
    await replica.logs.load()
    replica.needsNewLog = replica.meta.running || replica.isMoved || !replica.isCurrentLogMine
    if (options.db.newerVersion === undefined) replica.lostJottings = !(await takeUpJottings(replica))
    return replica
  }

  /** Runs `work` alone: no other write and no other decision happens in between. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const run = this.queue.then(work, work)
    this.queue = run.catch(() => undefined)
    return run
  }

  /** The log that this device wrote last. */
  get currentLog(): LogId | undefined {
    return this.meta.currentLog === '' ? undefined : this.meta.currentLog
  }

  /** Not so where the folder was copied, and this device goes on under keys of its own. */
  get isCurrentLogMine(): boolean {
    const log = this.currentLog ? this.logs.get(this.currentLog) : undefined
    return !log || equalBytes(log.device, this.options.device.ed)
  }

  /** The log that this device will go on writing; undefined once it has left its last one. */
  get liveLog(): LogId | undefined {
    return this.needsNewLog ? undefined : this.currentLog
  }

  /** The next append opens a new log, and so does a later start. */
  get mustLeaveLog(): boolean {
    return this.needsNewLog
  }

  /** The next append opens a new log: my old one is cut, or others know more of it than I do. */
  leaveLog(): void {
    if (!this.needsNewLog && this.currentLog) {
      this.needsNewLog = true
      // Any later start must leave it too. What is being written just now may bring its own word of it.
      const mark = () => {
        this.meta = { ...this.meta, running: true }
        return this.metaWrite()
      }
      mark()
      void this.exclusive(() => this.db.write([mark()])).catch(() => {})
      this.events.healed?.('old-copy')
    }
  }

  /** Keys of cases whose stored bytes failed their check; never served. */
  get damaged(): Map<string, Uint8Array> {
    return this.cases.damaged
  }

  /** The stored state of a case, or undefined. Throws DamagedError. */
  caseState(key: Uint8Array): Promise<CaseState | undefined> {
    return this.cases.state(key)
  }

  // ---- what comes in

  /** Appends to my log, in order. Written when it returns; durable after `flush`. */
  append(changes: LocalChange[]): Promise<AppendOutcome> {
    return this.exclusive(() => this.appendNow(changes))
  }

  /** As `append`, for work that already runs alone. */
  appendNow(changes: LocalChange[]): Promise<AppendOutcome> {
    return appendChanges(this, changes, () => this.myLog())
  }

  /** My log to append to; opens a new one where the old must not be continued. [S4] */
  private async myLog(): Promise<StoredLog> {
    const current = this.currentLog ? this.logs.get(this.currentLog) : undefined
    if (!this.isMarked) {
      this.meta = { ...this.meta, running: true, binding: this.options.binding, version: STORE_VERSION }
      await this.db.write([this.metaWrite()])
      await this.flush()
      this.isMarked = true
    }
    if (current && !current.cut && !this.needsNewLog) return current
    const opened = openLog(this)
    this.meta = { ...this.meta, currentLog: opened.log }
    this.needsNewLog = false
    this.logs.set(opened)
    return opened
  }

  /** Takes runs in, from wherever they came. The driver acknowledges after `flush`. */
  async admit(
    openings: LogOpening[],
    runs: ChangeRun[],
    from: Uint8Array | undefined,
  ): Promise<AdmitOutcome> {
    const [outcome] = await this.admitEach([{ openings, runs }], from)
    return outcome!
  }

  /** What one giver gave in several pieces, one after the other: an outcome for each, all of it written together. */
  admitEach(given: Given[], from: Uint8Array | undefined): Promise<AdmitOutcome[]> {
    return this.exclusive(() => admitEach(this, given, from))
  }

  /** Openings of logs that I don't know yet and whose device belongs to the practice. */
  freshLogs(openings: LogOpening[]): Map<LogId, StoredLog> {
    return freshLogs(this, openings)
  }

  /** [S3] Writes drafts and `writes` in one batch; for work that already runs alone. */
  commitCases(drafts: Iterable<CaseDraft>, writes: Write[], meta: MetaRow): Promise<void> {
    return commitCases(this, drafts, writes, meta)
  }

  // ---- claims

  /** Everything held so far survives a power cut once this returns. */
  flush(): Promise<void> {
    return this.db.flush()
  }

  metaWrite(): Write {
    return { key: keys.meta(), value: encoded(MetaRow, this.meta) }
  }

  /** Open and closed logs as held now, with the digests of both. */
  claims(): { open: StoredLog[]; closed: StoredLog[]; closedDigest: Uint8Array } {
    const { open, closed } = splitLogs(this.logs.all(), toHex)
    return { open, closed, closedDigest: claimsDigest(this.natives, closed) }
  }

  /** Digest of the whole frontier with its cuts. */
  digest(): Uint8Array {
    return claimsDigest(
      this.natives,
      [...this.logs.all()].filter((log) => log.seq > 0 || log.cut) as HeldLog[],
    )
  }

  /** Each claim judged by what is held. */
  async judge(claims: LogClaim[]): Promise<{ claim: LogClaim; verdict: Verdict }[]> {
    const out: { claim: LogClaim; verdict: Verdict }[] = []
    for (const claim of claims) {
      const mine = this.logs.get(claim.log)
      const check =
        mine && claim.seq > 0 && claim.seq < mine.seq
          ? await this.logs.checkAt(claim.log, claim.seq)
          : undefined
      out.push({ claim, verdict: judgeClaim(claim, mine, () => check) })
    }
    return out
  }

  /** Clean stop: everything durable, and the mark that the current log may be continued. */
  async close(): Promise<void> {
    this.isClosing = true
    await this.docs.settle()
    await this.exclusive(async () => {
      if (this.db.failed || this.db.newerVersion !== undefined) return
      if (this.meta.running) {
        await this.flush()
        this.meta = { ...this.meta, running: this.needsNewLog }
        await this.db.write([this.metaWrite()])
      }
      await this.flush()
      this.isMarked = false
      await this.db.tidy(TIDY_AT_STOP_BYTES)
    })
  }

  /** A document open for editing; see Documents. */
  openDoc(caseId: string): Promise<Doc> {
    return this.docs.open(caseId)
  }
}
