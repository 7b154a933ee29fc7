/** The receiving half of a transfer of whole states (rules [T1]–[T4] in protocol/transfer.ts). */
import { inspectUpdate, STATE_LIMITS } from '../cases/inspect.js'
import { equalBytes, fromHex, fromUtf8, toHex } from '../protocol/bytes.js'
import { fits } from '../protocol/content.js'
import type { LogClaim } from '../protocol/frontier.js'
import {
  CASE_KEY_BYTES,
  CHECK_BYTES,
  LOG_ID_BYTES,
  MAX_CASE_ID_UNITS,
  MAX_STATE_BYTES,
} from '../protocol/limits.js'
import { checkOf, type LogId, type LogOpening, signedHeadBytes } from '../protocol/log.js'
import { decodePayload } from '../protocol/payload.js'
import type { Item } from '../protocol/sync.gen.js'
import { resumedTarget, type TargetLog, targetCheck } from '../protocol/transfer.js'
import { type CaseDraft, UNKNOWN_LOG } from './case-content.js'
import { parseRow } from './case-row.js'
import { type Doubt, readDoubts } from './healing.js'
import { keys } from './keyspace.js'
import { logWrite, type StoredLog } from './logs.js'
import { DoubtRow, MetaRow, TransferRow } from './records.gen.js'
import type { Replica } from './replica.js'
import type { Write } from './sealed-db.js'

export interface Transfer {
  target: TargetLog[]
  cursor: Uint8Array
}

/** The unfinished transfer, if there is one. */
export async function readTransfer(replica: Replica): Promise<Transfer | undefined> {
  const value = await replica.db.get(keys.transfer())
  if (!value) return undefined
  const row = TransferRow.decode(value)
  return { target: row.target.map((log) => ({ ...log, log: toHex(log.log) })), cursor: row.cursor }
}

function transferWrite(transfer: Transfer): Write {
  const target = transfer.target.map((log) => ({ ...log, log: fromHex(log.log) }))
  const value = TransferRow.encode({ target, cursor: transfer.cursor, missing: [] }).finish()
  return { key: keys.transfer(), value }
}

/** A transfer being received. Lives as long as its session; what it has reached is on disk. */
export class IncomingTransfer {
  /** Content beyond the target arrived, or stems from an earlier attempt: a scan decides at the end. */
  private beyond: boolean
  private readonly cuts: number
  private readonly loose: number

  private constructor(
    private readonly replica: Replica,
    private transfer: Transfer,
    private readonly openings: Map<LogId, StoredLog>,
    resumed: boolean,
  ) {
    this.beyond = resumed || replica.meta.unclaimed
    this.cuts = replica.cuts
    this.loose = replica.loose
  }

  /** Starts or resumes. Target logs that can't be proven, or are my own current one, are left out. */
  static begin(
    replica: Replica,
    offered: TargetLog[],
    openings: LogOpening[],
    after?: Uint8Array,
  ): Promise<IncomingTransfer> {
    return replica.exclusive(async () => {
      const fresh = replica.freshLogs(openings)
      const proven = offered.filter((log) => isProven(replica, fresh, log))
      const stored = await readTransfer(replica)
      const resumed = stored !== undefined && stored.cursor.length > 0
      // A cut since TAKE dropped what the cursor stood for: cases are skipped that nothing claims any more.
      const isStale = after !== undefined && !equalBytes(after, stored?.cursor ?? new Uint8Array(0))
      const transfer: Transfer = {
        target: isStale ? [] : resumed ? resumedTarget(stored.target, proven) : proven,
        cursor: stored?.cursor ?? new Uint8Array(0),
      }
      const incoming = new IncomingTransfer(replica, transfer, fresh, resumed)
      const meta = { ...replica.meta, unclaimed: true }
      const metaRow = { key: keys.meta(), value: MetaRow.encode(meta).finish() }
      await replica.db.write([
        transferWrite(transfer),
        metaRow,
        ...doubtWrites(replica, proven, await readDoubts(replica)),
      ])
      replica.meta = { ...replica.meta, unclaimed: true }
      return incoming
    })
  }

  /** [T1] Merges cases and moves the cursor in one batch. Early cases don't move it. */
  take(items: Item[], early: boolean, claims: LogClaim[] = []): Promise<void> {
    return this.replica.exclusive(async () => {
      const drafts = new Map<string, CaseDraft>()
      const target = new Map(this.transfer.target.map((log) => [log.log, log.seq]))
      await this.replica.cases.prefetch(items.map((item) => item.key))
      for (const item of items) {
        const draft = await takeItem(this.replica, item)
        if (!draft) continue
        drafts.set(draft.state.caseId, draft)
        for (const [log, seq] of draft.state.touched) {
          if (seq > Math.max(target.get(log) ?? 0, this.replica.logs.get(log)?.seq ?? 0)) this.beyond = true
        }
      }
      const writes: Write[] = claimWrites(this.replica, claims)
      const last = items[items.length - 1]
      const moved =
        !early && last && !this.isOvertaken ? { ...this.transfer, cursor: last.key } : this.transfer
      if (moved !== this.transfer) writes.push(transferWrite(moved))
      await this.replica.commitCases(drafts.values(), writes, this.replica.meta)
      this.transfer = moved
    })
  }

  get cursor(): Uint8Array {
    return this.transfer.cursor
  }

  /** A cut fell since this began: what it targeted may not be what is held. */
  private get isOvertaken(): boolean {
    return this.cuts !== this.replica.cuts
  }

  /** [T3] The frontier becomes the maximum of my own and the target. Cases the sender could not read are marked. */
  end(missing: Uint8Array[]): Promise<LogId[]> {
    return this.replica.exclusive(async () => {
      const { replica } = this
      // The cut marked everything as unclaimed; comparing again decides what is still to be had.
      if (this.isOvertaken) return []
      for (const key of missing) if (key.length === CASE_KEY_BYTES) replica.damaged.set(toHex(key), key)
      const writes: Write[] = []
      const adopted: StoredLog[] = []
      const doubts = new Map((await readDoubts(replica)).map((doubt) => [doubt.log, doubt]))
      for (const target of this.transfer.target) {
        const held = replica.logs.get(target.log) ?? this.openings.get(target.log)
        if (!held || target.log === replica.liveLog) continue
        const log = adoptedLog(held, target)
        if (!log) {
          if (target.seq > held.seq) this.beyond = true
          continue
        }
        const from = held.seq
        const checks = target.checks.subarray(
          (from - target.from) * CHECK_BYTES,
          (log.seq - target.from) * CHECK_BYTES,
        )
        writes.push(...(await replica.logs.extendWrites(held, checks)), logWrite(log))
        const doubt = doubts.get(log.log)
        const confirmed = doubt && targetCheck(target, doubt.seq)
        if (confirmed && doubt.seq <= log.seq && equalBytes(confirmed, doubt.check)) {
          writes.push({ key: keys.doubt(log.log), value: undefined })
        }
        adopted.push(log)
      }
      const meta = { ...replica.meta, unclaimed: this.beyond || this.loose !== replica.loose }
      if (missing.length > 0) writes.push(replica.cases.damagedWrite())
      writes.push(
        { key: keys.transfer(), value: undefined },
        { key: keys.meta(), value: MetaRow.encode(meta).finish() },
      )
      await replica.db.write(writes)
      replica.meta = meta
      for (const log of adopted) replica.logs.set(log)
      return adopted.map((log) => log.log)
    })
  }
}

/** Content beyond the frontier came on these claims: a fork there must be seen. */
function claimWrites(replica: Replica, claims: LogClaim[]): Write[] {
  return claims.flatMap(({ log, seq, check }) => {
    const base = replica.logs.get(log)?.seq ?? 0
    if (seq <= base) return []
    return { key: keys.doubt(log), value: DoubtRow.encode({ log: fromHex(log), base, seq, check }).finish() }
  })
}

/** Cases that came outside a transfer, because they were asked for. What they hold beyond is unclaimed. */
export function takeLoose(replica: Replica, items: Item[], claims: LogClaim[] = []): Promise<void> {
  return replica.exclusive(async () => {
    const drafts: CaseDraft[] = []
    let beyond = false
    for (const item of items) {
      const draft = await takeItem(replica, item)
      if (!draft) continue
      drafts.push(draft)
      for (const [log, seq] of draft.state.touched) if (seq > (replica.logs.get(log)?.seq ?? 0)) beyond = true
    }
    const meta = { ...replica.meta, unclaimed: replica.meta.unclaimed || beyond }
    await replica.commitCases(drafts, claimWrites(replica, claims), meta)
    if (beyond) replica.loose++
  })
}

/** A log after adopting a target; undefined if the target adds nothing or contradicts what is held. */
function adoptedLog(held: StoredLog, target: TargetLog): StoredLog | undefined {
  const seq = held.cut ? Math.min(target.seq, held.cut.seq) : target.seq
  if (seq <= held.seq) return undefined
  if (held.seq > target.from) {
    const mine = targetCheck(target, held.seq)
    if (!mine || !equalBytes(mine, held.check)) return undefined
  } else if (held.seq < target.from) return undefined
  const check = targetCheck(target, seq)
  if (!check) return undefined
  if (held.cut && seq === held.cut.seq && !equalBytes(check, held.cut.check)) return undefined
  const whole = seq === target.seq
  return {
    ...held,
    seq,
    check,
    head: whole ? target.head : new Uint8Array(0),
    signature: whole ? target.signature : new Uint8Array(0),
    retainedFrom: seq,
  }
}

/** A target log names its device's signature over its last head; a cut one ends at the cut everybody knows. */
function isProven(replica: Replica, fresh: Map<LogId, StoredLog>, target: TargetLog): boolean {
  const log = replica.logs.get(target.log) ?? fresh.get(target.log)
  if (!log || target.log === replica.liveLog) return false
  if (target.seq <= target.from || target.checks.length !== (target.seq - target.from) * CHECK_BYTES)
    return false
  const last = targetCheck(target, target.seq)!
  if (target.head.length === 0) {
    return log.cut?.seq === target.seq && equalBytes(log.cut.check, last)
  }
  const signed = signedHeadBytes(replica.options.practice, fromHex(target.log), target.seq, target.head)
  return (
    equalBytes(checkOf(target.head), last) && replica.natives.verify(log.device, signed, target.signature)
  )
}

/** Until the frontier confirms them, claims that content was taken on are kept: a fork there must be seen. */
function doubtWrites(replica: Replica, target: TargetLog[], doubts: Doubt[]): Write[] {
  const old = new Map(doubts.map((doubt) => [doubt.log, doubt]))
  return target
    .filter((log) => {
      const doubt = old.get(log.log)
      const check = doubt && targetCheck(log, doubt.seq)
      // An older doubt stays unless this target confirms it: its content may be of another branch.
      const replaces = !doubt || (check !== undefined && equalBytes(check, doubt.check))
      return replaces && log.seq > (replica.logs.get(log.log)?.seq ?? 0)
    })
    .map(({ log, seq, from, checks }) => ({
      key: keys.doubt(log),
      value: DoubtRow.encode({
        log: fromHex(log),
        base: from,
        seq,
        check: checks.slice(-CHECK_BYTES),
      }).finish(),
    }))
}

/** Merges one case's whole state into what is held. Undefined if the item is malformed. */
export async function takeItem(replica: Replica, item: Item): Promise<CaseDraft | undefined> {
  const { caseId } = item
  if (caseId.length === 0 || caseId.length > MAX_CASE_ID_UNITS || item.key.length !== CASE_KEY_BYTES)
    return undefined
  if (!equalBytes(replica.keyOf(caseId), item.key)) return undefined
  if (item.touched.some(({ log }) => log.length !== LOG_ID_BYTES)) return undefined
  // A case whose stored bytes are damaged here starts again from what a peer holds.
  const draft = await replica.cases.draftOrFresh(item.key, caseId)
  const held = draft.state.touched
  const known =
    item.touched.length > 0 &&
    item.touched.every(({ log, seq }) => seq <= (replica.logs.get(toHex(log))?.seq ?? 0)) &&
    item.touched.every(({ log, seq }) => seq <= (held.get(toHex(log)) ?? 0))
  const damaged = replica.damaged.has(toHex(item.key))
  if (known && !damaged && item.erased <= draft.state.erased) return draft
  const wasEmpty = draft.state.parts.length === 0 && draft.state.parked.length === 0
  draft.erase(item.erased)
  if (draft.enterGeneration(item.generation)) {
    if (wasEmpty && !replica.docs.isOpen(caseId)) takeWhole(draft, item)
    else {
      await draft.check(replica.db)
      for (const part of item.parts) takePart(replica, draft, part)
    }
    for (const parked of item.parked) draft.takePayload(toHex(parked.log), parked.seq, parked.payload, true)
    draft.retryParked()
  }
  for (const { log, seq } of item.touched) draft.touch(toHex(log), seq)
  if (damaged) await heal(replica, draft, item)
  const row = fromUtf8(item.row) ?? ''
  // The sender's row is of exactly this content if nothing else was here and every part went in.
  if (wasEmpty && !damaged && draft.state.parts.length === item.parts.length && parseRow(row)) {
    draft.state.row = row
    draft.rowGiven = !replica.docs.isOpen(caseId)
  }
  return draft
}

/** What only this device's logs hold of the case is put on top of the copy that replaces the damaged one. */
async function heal(replica: Replica, draft: CaseDraft, item: Item): Promise<void> {
  draft.heals = true
  draft.rowBefore = draft.rowBefore || (fromUtf8(item.row) ?? '')
  const given = new Map(item.touched.map(({ log, seq }) => [toHex(log), seq]))
  for (const log of [...replica.logs.all()]) {
    const from = Math.max(log.retainedFrom, given.get(log.log) ?? 0)
    for await (const { seq, row } of replica.logs.readable(log.log, from, log.seq)) {
      if (row.caseId !== item.caseId) continue
      await draft.check(replica.db)
      draft.apply(log.log, seq, row)
    }
  }
}

/** A case that nothing was held of: its bytes are stored as they came, and looked at before they are first used. */
function takeWhole(draft: CaseDraft, item: Item): void {
  for (const part of item.parts) draft.addPart(part)
  for (const { client, clock } of item.clocks) draft.state.clocks.set(client, clock)
  draft.state.unchecked = item.parts.length > 0
}

/** One part of a state. It fits if the sender was honest; if not, it waits like any other change. */
function takePart(replica: Replica, draft: CaseDraft, part: Uint8Array): void {
  const update = decodePayload(replica.natives, part, MAX_STATE_BYTES)
  if (!update) return
  const contents = inspectUpdate(update, STATE_LIMITS)
  if ('error' in contents) return
  if (!fits(contents, draft.state.clocks)) {
    draft.takePayload(UNKNOWN_LOG, 0, part, true)
    return
  }
  draft.addPart(part)
  draft.noteClocks(contents)
  draft.merged.push(update)
}
