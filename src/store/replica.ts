/**
 * The durable half of a device: logs, cases, frontier. One writer at a time; every change to what is held is
 * one atomic batch, and memory follows only after the batch was written.
 *
 *  [S3] applying is atomic: content, list row, touched, frontier in one batch;
 *  [S4] a durable `running` mark precedes the first append of a start; a start that finds one opens a new log.
 */
import type { Doc } from 'yjs'
import { concat, fromHex, readU32, toHex } from '../protocol/bytes.js'
import { type ChangeRun, judgeRun } from '../protocol/door.js'
import {
  claimsDigest,
  type HeldLog,
  judgeClaim,
  type LogClaim,
  splitLogs,
  type Verdict,
} from '../protocol/frontier.js'
import {
  CASE_KEY_BYTES,
  LOG_RANDOM_BYTES,
  MAX_CASE_BYTES,
  MAX_CHANGE_BYTES,
  MAX_RUN_BYTES,
  MAX_RUN_CHANGES,
  MAX_STATE_BYTES,
} from '../protocol/limits.js'
import {
  checkOf,
  KIND_STATE,
  type LogChange,
  type LogId,
  type LogOpening,
  logIdOf,
  nextHead,
  signedHeadBytes,
} from '../protocol/log.js'
import type { Natives } from '../protocol/natives.js'
import { encodePayload } from '../protocol/payload.js'
import { CaseDraft, type CaseState, decodeCase, emptyCase, MissingPartError } from './case-content.js'
import { caseKeyOf } from './case-key.js'
import { projectCaseRow, type RowCounts, rowCounts } from './case-row.js'
import { Documents } from './documents.js'
import { keys, partRange } from './keyspace.js'
import { LogTable, logWrite, type StoredLog } from './logs.js'
import { noteDamaged } from './reading.js'
import { ChangeRow, MetaRow } from './records.gen.js'
import { DamagedError, type SealedDb, type Write } from './sealed-db.js'

export interface ReplicaOptions {
  db: SealedDb
  natives: Natives
  random: (bytes: number) => Uint8Array
  /** Milliseconds, for display only. */
  now: () => number
  /** A fresh Yjs client id for every opened document. */
  newClientId: () => number
  practice: Uint8Array
  indexKey: Uint8Array
  device: { ed: Uint8Array; secret: Uint8Array }
  /** May this device write? Asked for every log that is not known yet. */
  isMember: (ed: Uint8Array) => boolean
  /** False while this device is the only one: payloads are then not retained for anybody. */
  hasOthers: () => boolean
  /** Machine, path and inode of the folder; another one means a copy, and a new log. */
  binding: string
}

/** One change to append to my own log. `update` is a raw Yjs update, empty for a tombstone. */
export interface LocalChange {
  caseId: string
  kind: number
  update: Uint8Array
  /** Of a tombstone; otherwise the case's own. */
  generation?: number
}

export type AppendOutcome = { ok: true } | { ok: false; code: 'too-large' | 'case-full'; caseId: string }

/** Runs that were just taken in, from me or from another device. */
export interface Growth {
  runs: { run: ChangeRun; opening: LogOpening }[]
  caseKeys: Uint8Array[]
  /** The device that handed them over; undefined for my own. */
  from: Uint8Array | undefined
}

export interface ReplicaEvents {
  grown?: (growth: Growth) => void
  /** Rows changed; undefined ids mean many. */
  cases?: (ids: string[]) => void
  /** A sentence worth keeping in the device's log. */
  healed?: (what: 'old-copy' | 'fork') => void
}

export interface AdmitOutcome {
  /** Logs that now reach further. */
  advanced: LogId[]
  gaps: { log: LogId; from: number }[]
  /** Branches that can't be brought together without a cut. */
  forks: LogId[]
  refused: string[]
}

export class Replica {
  readonly logs: LogTable
  readonly docs: Documents
  readonly natives: Natives
  readonly db: SealedDb
  events: ReplicaEvents = {}
  meta: MetaRow = MetaRow.decode(new Uint8Array(0))
  /** Keys of cases whose stored bytes failed their check; never served. */
  readonly damaged = new Map<string, Uint8Array>()
  /** How many cuts were made since this start: a transfer that one overtakes concludes nothing. */
  cuts = 0
  /** How often content beyond the frontier came outside a transfer. */
  loose = 0
  private needsNewLog = false
  /** The `running` mark is durable. */
  private isMarked = false
  private queue: Promise<unknown> = Promise.resolve()
  private readonly recent = new Map<string, CaseState>()

  private constructor(readonly options: ReplicaOptions) {
    this.natives = options.natives
    this.db = options.db
    this.logs = new LogTable(options.db, options.natives)
    this.docs = new Documents(this)
  }

  static async open(options: ReplicaOptions): Promise<Replica> {
    const replica = new Replica(options)
    const meta = await options.db.get(keys.meta())
    if (meta) replica.meta = MetaRow.decode(meta)
    else replica.meta = { ...replica.meta, version: STORE_VERSION }
    const damaged = await options.db.get(keys.damaged())
    for (let at = 0; damaged && at + CASE_KEY_BYTES <= damaged.length; at += CASE_KEY_BYTES) {
      const key = damaged.slice(at, at + CASE_KEY_BYTES)
      replica.damaged.set(toHex(key), key)
    }
    replica.needsNewLog =
      replica.meta.running || (meta !== undefined && replica.meta.binding !== options.binding)
    await replica.logs.load()
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

  /** The log that this device will go on writing; undefined once it has left its last one. */
  get liveLog(): LogId | undefined {
    return this.needsNewLog ? undefined : this.currentLog
  }

  /** The next append opens a new log: my old one is cut, or others know more of it than I do. */
  leaveLog(): void {
    if (!this.needsNewLog && this.currentLog) {
      this.needsNewLog = true
      // Any later start must leave it too.
      this.meta = { ...this.meta, running: true }
      void this.exclusive(() => this.db.write([this.metaWrite()])).catch(() => {})
      this.events.healed?.('old-copy')
    }
  }

  keyOf(caseId: string): Uint8Array {
    return caseKeyOf(this.options.indexKey, caseId)
  }

  /** The stored state of a case, or undefined. Throws DamagedError. */
  async caseState(key: Uint8Array): Promise<CaseState | undefined> {
    const hex = toHex(key)
    const cached = this.recent.get(hex)
    if (cached || this.absent.has(hex)) return cached
    let value: Uint8Array | undefined
    try {
      value = await this.db.get(keys.case(key))
    } catch (error) {
      if (error instanceof DamagedError) this.damaged.set(hex, key)
      throw error
    }
    return value && decodeCase(key, value)
  }

  /** A case about to be changed; its parts are looked at first if that is still to be done. */
  async draft(key: Uint8Array, caseId: string): Promise<CaseDraft> {
    const draft = await this.uncheckedDraft(key, caseId)
    await draft.check(this.db)
    return draft
  }

  private async uncheckedDraft(key: Uint8Array, caseId: string): Promise<CaseDraft> {
    return new CaseDraft((await this.caseState(key)) ?? emptyCase(key, caseId), this.natives)
  }

  /** Reads the states of many cases at once, so that `caseState` has them. */
  async prefetch(wanted: Uint8Array[]): Promise<void> {
    const missing = wanted.filter((key) => key.length === CASE_KEY_BYTES && !this.recent.has(toHex(key)))
    let values: (Uint8Array | undefined)[]
    try {
      values = await this.db.getMany(missing.map((key) => keys.case(key)))
    } catch {
      // A damaged one among them: each is read alone, and noted.
      return
    }
    this.absent = new Set()
    values.forEach((value, at) => {
      const key = missing[at]!
      if (value) this.remember(decodeCase(key, value))
      else this.absent.add(toHex(key))
    })
  }
  /** Keys that the last prefetch found nothing under; good only within the work that asked. */
  private absent = new Set<string>()

  /** As `draft`; a case whose stored bytes are damaged starts from nothing. */
  async draftOrFresh(key: Uint8Array, caseId: string): Promise<CaseDraft> {
    if (!this.damaged.has(toHex(key))) {
      try {
        return await this.uncheckedDraft(key, caseId)
      } catch (error) {
        if (!(error instanceof DamagedError)) throw error
      }
    }
    this.forget(key)
    const draft = new CaseDraft(emptyCase(key, caseId), this.natives)
    // What is left of the damaged copy goes with it.
    draft.replaceParts((await this.db.keysIn(partRange(key))).map((part) => readU32(part, part.length - 4)))
    return draft
  }

  // ---- my own changes

  /** Appends to my log, in order. Written when it returns; durable after `flush`. */
  append(changes: LocalChange[]): Promise<AppendOutcome> {
    return this.exclusive(() => this.appendNow(changes))
  }

  /** As `append`, for work that already runs alone. */
  async appendNow(changes: LocalChange[]): Promise<AppendOutcome> {
    const coded: { change: LocalChange; payload: Uint8Array }[] = []
    for (const change of changes) {
      const limit = change.kind === KIND_STATE ? MAX_STATE_BYTES : MAX_CHANGE_BYTES
      if (change.update.length > limit) return { ok: false, code: 'too-large', caseId: change.caseId }
      const payload = encodePayload(this.natives, change.update)
      const state = await this.caseState(this.keyOf(change.caseId))
      const stored = state?.parts.reduce((sum, part) => sum + part.bytes, 0) ?? 0
      if (change.kind !== KIND_STATE && stored + payload.length > MAX_CASE_BYTES)
        return { ok: false, code: 'case-full', caseId: change.caseId }
      coded.push({ change, payload })
    }
    for (let at = 0; at < coded.length; ) {
      let bytes = 0
      let end = at
      while (end < coded.length && end - at < MAX_RUN_CHANGES && (end === at || bytes < MAX_RUN_BYTES))
        bytes += coded[end++]!.payload.length
      await this.appendRun(coded.slice(at, end))
      at = end
    }
    return { ok: true }
  }

  private async appendRun(coded: { change: LocalChange; payload: Uint8Array }[]): Promise<void> {
    const log = await this.myLog()
    const drafts = new Map<string, CaseDraft>()
    const changes: LogChange[] = []
    const heads: Uint8Array[] = []
    let head = log.head
    for (const { change, payload } of coded) {
      const draft = await this.draftIn(drafts, change.caseId)
      const logged: LogChange = {
        caseId: change.caseId,
        generation: change.generation ?? draft.state.generation,
        at: this.options.now(),
        kind: change.kind,
        payload,
      }
      const seq = log.seq + heads.length + 1
      head = nextHead(this.natives, head, seq, logged)
      heads.push(head)
      changes.push(logged)
      draft.apply(log.log, seq, logged)
    }
    const run: ChangeRun = {
      log: log.log,
      from: log.seq,
      changes,
      signature: this.natives.sign(
        this.options.device.secret,
        signedHeadBytes(this.options.practice, fromHex(log.log), log.seq + heads.length, head),
      ),
    }
    await this.commitRuns([{ log, run, heads }], drafts, undefined)
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
    const opened = this.logs.fresh({
      device: this.options.device.ed,
      random: this.options.random(LOG_RANDOM_BYTES),
      predecessor: this.currentLog ? fromHex(this.currentLog) : new Uint8Array(0),
    })
    this.meta = { ...this.meta, currentLog: opened.log }
    this.needsNewLog = false
    this.logs.set(opened)
    return opened
  }

  // ---- the door

  /** Takes runs in, from wherever they came. The driver acknowledges after `flush`. */
  admit(openings: LogOpening[], runs: ChangeRun[], from: Uint8Array | undefined): Promise<AdmitOutcome> {
    return this.exclusive(async () => {
      const outcome: AdmitOutcome = { advanced: [], gaps: [], forks: [], refused: [] }
      const fresh = this.freshLogs(openings)
      const drafts = new Map<string, CaseDraft>()
      const accepted: { log: StoredLog; run: ChangeRun; heads: Uint8Array[] }[] = []
      const tips = new Map<LogId, StoredLog>()
      for (const run of runs) {
        const log = tips.get(run.log) ?? this.logs.get(run.log) ?? fresh.get(run.log)
        if (!log) {
          outcome.refused.push(`${run.log}: unknown log`)
          continue
        }
        const verdict = judgeRun(this.natives, this.options.practice, log, run)
        switch (verdict.kind) {
          case 'known':
            break
          case 'gap':
            outcome.gaps.push({ log: run.log, from: verdict.from })
            break
          case 'fork':
            outcome.forks.push(run.log)
            break
          case 'refused':
            outcome.refused.push(`${run.log}: ${verdict.reason}`)
            break
          case 'accept': {
            const taken = { ...run, changes: run.changes.slice(0, verdict.heads.length) }
            for (const [at, change] of taken.changes.entries()) {
              const draft = await this.draftIn(drafts, change.caseId, true)
              draft.apply(run.log, run.from + at + 1, change)
            }
            accepted.push({ log, run: taken, heads: verdict.heads })
            tips.set(run.log, grownLog(log, taken, verdict.heads))
            if (!outcome.advanced.includes(run.log)) outcome.advanced.push(run.log)
            break
          }
        }
      }
      if (accepted.length > 0) await this.commitRuns(accepted, drafts, from)
      return outcome
    })
  }

  /** Openings of logs that I don't know yet and whose device belongs to the practice. */
  freshLogs(openings: LogOpening[]): Map<LogId, StoredLog> {
    const fresh = new Map<LogId, StoredLog>()
    for (const opening of openings) {
      if (opening.device.length !== 32 || opening.random.length !== LOG_RANDOM_BYTES) continue
      if (opening.predecessor.length !== 0 && opening.predecessor.length !== 16) continue
      const id = logIdOf(this.natives, opening)
      if (!this.logs.get(id) && this.options.isMember(opening.device)) fresh.set(id, this.logs.fresh(opening))
    }
    return fresh
  }

  private async receivingDraft(key: Uint8Array, caseId: string): Promise<CaseDraft> {
    const draft = await this.draftOrFresh(key, caseId)
    try {
      await draft.check(this.db)
      return draft
    } catch (error) {
      if (!isDamage(error)) throw error
      noteDamaged(this, key)
      return this.draftOrFresh(key, caseId)
    }
  }

  /** `received`: authentic changes advance even where the case is damaged here; they wait in it. [A4] */
  private async draftIn(
    drafts: Map<string, CaseDraft>,
    caseId: string,
    received = false,
  ): Promise<CaseDraft> {
    let draft = drafts.get(caseId)
    if (!draft) {
      const key = this.keyOf(caseId)
      draft = await (received ? this.receivingDraft(key, caseId) : this.draft(key, caseId))
      drafts.set(caseId, draft)
    }
    return draft
  }

  /** [S3] One batch for runs and the cases they touch. */
  private async commitRuns(
    accepted: { log: StoredLog; run: ChangeRun; heads: Uint8Array[] }[],
    drafts: Map<string, CaseDraft>,
    from: Uint8Array | undefined,
  ): Promise<void> {
    const writes: Write[] = []
    const tips = new Map<LogId, StoredLog>()
    let order = this.meta.order
    for (const { log, run, heads } of accepted) {
      const tip = tips.get(log.log) ?? log
      let grown = grownLog(tip, run, heads)
      if (this.options.hasOthers()) {
        for (const [at, change] of run.changes.entries()) {
          const last = at === run.changes.length - 1
          const row = ChangeRow.encode({
            ...change,
            check: checkOf(heads[at]!),
            signature: last ? run.signature : new Uint8Array(0),
            order: order++,
          }).finish()
          writes.push({ key: keys.change(run.log, run.from + at + 1), value: row })
        }
      } else {
        writes.push(...(await this.logs.extendWrites(tip, concat(heads.map(checkOf)))))
        grown = { ...grown, retainedFrom: grown.seq }
      }
      tips.set(run.log, grown)
    }
    for (const tip of tips.values()) writes.push(logWrite(tip))
    const meta = { ...this.meta, order }
    await this.commitCases(drafts.values(), writes, meta)
    for (const tip of tips.values()) this.logs.set(tip)
    this.events.grown?.({
      runs: accepted.map(({ log, run }) => ({ run, opening: log })),
      caseKeys: [...drafts.values()].map((draft) => draft.state.key),
      from,
    })
  }

  /** Compacts, projects rows, writes everything with `writes` in one batch, then lets memory follow. */
  async commitCases(drafts: Iterable<CaseDraft>, writes: Write[], meta: MetaRow): Promise<void> {
    const list = [...drafts]
    const counts: RowCounts = { total: meta.total, archived: meta.archived, deleted: meta.deleted }
    for (const draft of list) {
      const before = draft.rowBefore
      if (!draft.rowGiven) draft.state.row = await projectCaseRow(this, draft)
      await draft.compact(this.db).catch((error: unknown) => {
        if (!isDamage(error)) throw error
        noteDamaged(this, draft.state.key)
      })
      rowCounts(counts, before, -1)
      rowCounts(counts, draft.state.row, +1)
      writes.push(...draft.writes())
    }
    const next = { ...meta, ...counts, running: meta.running || this.needsNewLog }
    const healed = list.filter((draft) => draft.heals && this.damaged.has(toHex(draft.state.key)))
    // The mark must outlive the damaged bytes that a new row replaces.
    const marked = list.some((draft) => this.damaged.has(toHex(draft.state.key)))
    if (marked) writes.push(this.damagedWrite(healed.map((draft) => draft.state.key)))
    try {
      await this.db.write([...writes, { key: keys.meta(), value: MetaRow.encode(next).finish() }])
    } catch (error) {
      // What could not be stored must not stay on anybody's screen as if it were.
      for (const draft of list) this.docs.forget(draft.state.caseId)
      throw error
    }
    this.meta = next
    this.absent.clear()
    for (const draft of list) {
      this.remember(draft.state)
      if (draft.heals) this.damaged.delete(toHex(draft.state.key))
    }
    this.events.cases?.(list.map((draft) => draft.state.caseId))
  }

  private remember(state: CaseState): void {
    const hex = toHex(state.key)
    this.recent.delete(hex)
    this.recent.set(hex, state)
    if (this.recent.size > RECENT_CASES) this.recent.delete(this.recent.keys().next().value!)
  }

  forget(key: Uint8Array): void {
    this.recent.delete(toHex(key))
  }

  // ---- claims

  /** Everything held so far survives a power cut once this returns. */
  flush(): Promise<void> {
    return this.db.flush()
  }

  /** Remembers which cases are damaged; `without` are whole again. */
  damagedWrite(without: Uint8Array[] = []): Write {
    const gone = new Set(without.map(toHex))
    const rest = [...this.damaged].filter(([hex]) => !gone.has(hex)).map(([, key]) => key)
    return { key: keys.damaged(), value: rest.length === 0 ? undefined : concat(rest) }
  }

  metaWrite(): Write {
    return { key: keys.meta(), value: MetaRow.encode(this.meta).finish() }
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
    })
  }

  /** A document open for editing; see Documents. */
  openDoc(caseId: string): Promise<Doc> {
    return this.docs.open(caseId)
  }
}

/** On-disk version; a store of a newer one is not written. */
export const STORE_VERSION = 1
const RECENT_CASES = 512

const isDamage = (error: unknown) => error instanceof DamagedError || error instanceof MissingPartError

function grownLog(log: StoredLog, run: ChangeRun, heads: Uint8Array[]): StoredLog {
  const head = heads[heads.length - 1]!
  const grown = { ...log, seq: run.from + heads.length, check: checkOf(head) }
  // At its cut a log ends: no head to go on from, and the run's signature is of one further on.
  const ended = log.cut !== undefined && grown.seq >= log.cut.seq
  const none = new Uint8Array(0)
  return ended ? { ...grown, head: none, signature: none } : { ...grown, head, signature: run.signature }
}
