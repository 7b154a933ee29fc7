/** The receiving half of a transfer of whole states (rules [T1]–[T4] in protocol/transfer.ts). */
import { equalBytes, fromHex, toHex } from '../protocol/bytes.js'
import type { LogClaim } from '../protocol/frontier.js'
import { CASE_KEY_BYTES, CHECKS_PER_STRETCH, MAX_DAMAGED } from '../protocol/limits.js'
import type { LogId, LogOpening } from '../protocol/log.js'
import type { Item } from '../protocol/sync.gen.js'
import {
  boundedTarget,
  type CheckStretch,
  isConfirmed,
  meetingsOf,
  stretchNumber,
  type TargetLog,
} from '../protocol/transfer.js'
import { adoptTarget, isAdoptable } from './adopting.js'
import { unaskedWrites } from './asked.js'
import type { CaseDraft } from './case-content.js'
import { besideWrites, claimWrites, doubtWrites, partedLogs, readDoubts, type SaidClaims } from './doubts.js'
import { beginnings, ForeignLogs, foreignOfCases, heldBefore, reachOf } from './foreign.js'
import { keys } from './keyspace.js'
import type { StoredLog } from './logs.js'
import { MetaRow, TransferRow } from './records.gen.js'
import type { Replica } from './replica.js'
import type { Write } from './sealed-db.js'
import { isBeyond, takeItem } from './taking.js'
import { TargetChecks } from './target-checks.js'

export interface Transfer {
  target: TargetLog[]
  cursor: Uint8Array
  /** Where the target's checks lie. */
  slot: number
  /** Cases up to the cursor that who gave them could not read: they count as damaged once the target is adopted. */
  missing: Uint8Array[]
}

/** The unfinished transfer, if there is one. */
export async function readTransfer(replica: Replica): Promise<Transfer | undefined> {
  const value = await replica.db.get(keys.transfer())
  if (!value) return undefined
  const { target, ...rest } = TransferRow.decode(value)
  return { target: target.map((log) => ({ ...log, log: toHex(log.log) })), ...rest }
}

function transferWrite({ target, ...rest }: Transfer): Write {
  const logs = target.map((log) => ({ ...log, log: fromHex(log.log) }))
  const value = TransferRow.encode({ target: logs, ...rest }).finish()
  return { key: keys.transfer(), value }
}

/** What the sender offers: its target, and how much of the checks has come. */
interface Offered {
  logs: Map<LogId, TargetLog>
  /** Stretches of each log that have come. */
  stretches: Map<LogId, number>
  checks: TargetChecks
}

/** A transfer being received. Lives as long as its session; what it has reached is on disk. */
export class IncomingTransfer {
  /** Content beyond the target arrived, or stems from an earlier attempt: a scan decides at the end. */
  private beyond: boolean
  private readonly cuts: number
  private readonly loose: number
  /** What the sender offers; it becomes the target before the first case is taken. */
  private readonly offered: Offered
  private isSettled = false
  private readonly foreign: ForeignLogs
  /** When what is offered was noted as doubted: `Replica.doubtsGone` then. */
  private notedAt = -1
  /** Some of it could not be taken, because the disk or what lies on it failed: the cursor stays, nothing is adopted. */
  private isBroken = false

  private constructor(
    private readonly replica: Replica,
    private transfer: Transfer,
    offered: TargetLog[],
    private readonly openings: Map<LogId, StoredLog>,
    /** A cut since TAKE dropped what the cursor stood for: cases are skipped that nothing claims any more. */
    private readonly isStale: boolean,
    private readonly said: SaidClaims,
    private readonly claims: LogClaim[],
    private readonly before: LogClaim[],
  ) {
    this.beyond = this.isResumed || replica.meta.unclaimed
    this.cuts = replica.cuts
    this.loose = replica.loose
    this.foreign = new ForeignLogs(replica, claims)
    const checks = new TargetChecks(replica.db, 1 - transfer.slot)
    this.offered = { logs: new Map(offered.map((log) => [log.log, log])), stretches: new Map(), checks }
  }

  /**
   * Starts or resumes. Target logs that can't be proven, or are my own current one, are left out. The checks follow;
   * until all are here, what was stored of an earlier attempt stands.
   *
   * @param after the cursor that TAKE named.
   * @param said what this session's early cases came on; cases outside a transfer belong to it, too.
   * @param claims what the giver holds besides, and what it doubts.
   */
  static begin(
    replica: Replica,
    offered: TargetLog[],
    openings: LogOpening[],
    after?: Uint8Array,
    said: SaidClaims = new Map(),
    claims: LogClaim[] = [],
  ): Promise<IncomingTransfer> {
    return replica.exclusive(async () => {
      const fresh = replica.freshLogs(openings)
      const proven = boundedTarget(offered.filter((log) => isAdoptable(replica, fresh, log)))
      const beside = [...claims, ...beginnings(proven)]
      const stored = await readTransfer(replica)
      const isStale = after !== undefined && !equalBytes(after, stored?.cursor ?? new Uint8Array(0))
      const transfer = stored ?? { target: [], cursor: new Uint8Array(0), slot: 1, missing: [] }
      const before = heldBefore(proven, claims)
      const incoming = new IncomingTransfer(replica, transfer, proven, fresh, isStale, said, beside, before)
      await incoming.offered.checks.clear()
      const meta = { ...replica.meta, unclaimed: true }
      const metaRow = { key: keys.meta(), value: MetaRow.encode(meta).finish() }
      await replica.db.write([transferWrite(transfer), metaRow])
      replica.meta = meta
      return incoming
    })
  }

  private get isResumed(): boolean {
    return this.transfer.cursor.length > 0
  }

  /** Checks of the offered target. What doesn't follow what is here is passed over, and its log drops out. */
  takeChecks(stretches: CheckStretch[]): Promise<void> {
    return this.replica.exclusive(async () => {
      const { offered } = this
      if (this.isSettled) return
      const writes: Write[] = []
      for (const stretch of stretches) {
        const log = offered.logs.get(stretch.log)
        const next = offered.stretches.get(stretch.log) ?? 0
        if (!log || stretchNumber(log, stretch) !== next) continue
        const isLast = stretch.from + CHECKS_PER_STRETCH >= log.seq
        if (isLast && !equalBytes(stretch.checks.subarray(-log.check.length), log.check)) continue
        writes.push(offered.checks.write(stretch, next))
        offered.stretches.set(stretch.log, next + 1)
      }
      await this.replica.db.write(writes)
    })
  }

  /**
   * [T2] All checks that will come are here: what is offered becomes the target, as far as an earlier attempt's
   * allows. Until the frontier confirms them, claims that content is taken on are kept as doubts, also where a cut has
   * overtaken this; and once more if doubts were given up since, for what is still to come.
   */
  private async settleTarget(): Promise<void> {
    const { replica, offered } = this
    const writes: Write[] = []
    const { doubtsGone } = replica
    if (this.notedAt !== doubtsGone) {
      const target = [...offered.logs.values()]
      const doubts = await readDoubts(replica)
      writes.push(...(await doubtWrites(replica, target, offered.checks, doubts)))
      const beside = besideWrites(replica, this.claims, doubts)
      writes.push(...beside)
      // Nothing that is adopted confirms these.
      this.beyond ||= beside.length > 0
    }
    const settled = this.isSettled || this.isOvertaken ? undefined : await this.settled()
    if (settled) writes.push(transferWrite(settled))
    if (writes.length > 0) await replica.db.write(writes)
    this.notedAt = doubtsGone
    this.isSettled = true
    if (!settled) return
    await new TargetChecks(replica.db, this.transfer.slot).clear()
    this.transfer = settled
  }

  private async settled(): Promise<Transfer> {
    const { replica, offered } = this
    const complete = [...offered.logs.values()].filter(
      ({ log, from, seq }) => (offered.stretches.get(log) ?? 0) * CHECKS_PER_STRETCH >= seq - from,
    )
    const old = new TargetChecks(replica.db, this.transfer.slot)
    const target: TargetLog[] = this.isResumed || this.isStale ? [] : complete
    if (this.isResumed && !this.isStale) {
      for (const meeting of meetingsOf(this.transfer.target, complete)) {
        const { low, high, isStoredHigher } = meeting
        const check = await (isStoredHigher ? old : offered.checks).at(high, low.seq)
        // Its checks begin where the new list does.
        const { from, fromCheck } = offered.logs.get(low.log) ?? low
        if (isConfirmed(meeting, check) && low.seq > from) target.push({ ...low, from, fromCheck })
      }
    }
    return { ...this.transfer, target, slot: offered.checks.slot }
  }

  /**
   * [T1] Merges cases and moves the cursor in one batch. Early cases don't move it.
   *
   * @param missing cases up to the last one of these that their giver could not read.
   * @param heldAtAsking see `takeLoose`.
   */
  async take(
    items: Item[],
    early: boolean,
    claims: LogClaim[] = [],
    missing: Uint8Array[] = [],
    heldAtAsking: HeldAtAsking = () => undefined,
  ): Promise<void> {
    try {
      await this.takeNow(items, early, claims, missing, heldAtAsking)
    } catch (error) {
      this.isBroken = true
      throw error
    }
  }

  private takeNow(
    items: Item[],
    early: boolean,
    claims: LogClaim[],
    missing: Uint8Array[],
    heldAtAsking: HeldAtAsking,
  ): Promise<void> {
    return this.replica.exclusive(async () => {
      if (!early) await this.settleTarget()
      const drafts = new Map<string, CaseDraft>()
      const { logs, checks } = this.offered
      const parted = await partedLogs(this.replica, logs.values(), checks)
      const target = new Map(this.transfer.target.map((log) => [log.log, log.seq]))
      // Early ones come on claims of their own, too, and so does what their giver took in since it began.
      const { before } = this
      const foreignOf = await foreignOfCases(this.replica, claims, before, await this.foreign.among())
      await this.replica.cases.prefetchStretch(items.map((item) => item.key))
      const reach = reachOf(this.claims, logs.values())
      for (const item of items) {
        const giver = { parted, foreign: foreignOf(item), reach: reachAtAsking(heldAtAsking(item)) ?? reach }
        const draft = await takeItem(this.replica, item, giver)
        if (!draft) continue
        drafts.set(draft.state.caseId, draft)
        this.beyond ||= isBeyond(this.replica, draft, target)
      }
      const writes: Write[] = await claimWrites(this.replica, claims, this.said, before)
      const moved =
        early || this.isOvertaken || this.isBroken
          ? this.transfer
          : movedBy(this.transfer, items.at(-1)?.key, missing)
      if (moved.missing.length > MAX_DAMAGED) await this.giveUp()
      if (moved !== this.transfer) writes.push(transferWrite(moved))
      await this.replica.commitCases(drafts.values(), writes, this.replica.meta)
      this.transfer = moved
    })
  }

  get cursor(): Uint8Array {
    return this.transfer.cursor
  }

  /** Cases that somebody who gave what came could not read. */
  get missing(): Uint8Array[] {
    return this.transfer.missing
  }

  /** A cut fell since this began: what it targeted may not be what is held. */
  private get isOvertaken(): boolean {
    return this.cuts !== this.replica.cuts
  }

  /** More is named than a device can have lost: nothing is adopted, and what came stays unclaimed. Another begins anew. */
  private async giveUp(): Promise<never> {
    this.isBroken = true
    await this.replica.db.write([{ key: keys.transfer(), value: undefined }])
    throw new RangeError('too many cases are said to be damaged')
  }

  /** [T3] The frontier becomes the maximum of my own and the target. Cases the sender could not read are marked. */
  end(named: Uint8Array[]): Promise<LogId[]> {
    return this.replica.exclusive(async () => {
      const { replica } = this
      // What came is marked as unclaimed; comparing again decides what is still to be had.
      if (this.isOvertaken || this.isBroken) return []
      await this.settleTarget()
      const { missing } = movedBy(this.transfer, undefined, named)
      const marked = new Set([...replica.damaged.keys(), ...missing.map(toHex)]).size
      if (marked > MAX_DAMAGED && marked > replica.damaged.size) await this.giveUp()
      for (const key of missing) replica.cases.markAnew(key)
      const checks = new TargetChecks(replica.db, this.transfer.slot)
      const adoption = await adoptTarget(replica, this.transfer.target, this.openings, checks)
      const { writes, adopted } = adoption
      const unclaimed = this.beyond || adoption.isShort || this.loose !== replica.loose
      const meta = { ...replica.meta, unclaimed }
      if (missing.length > 0) writes.push(replica.cases.damagedWrite(), ...unaskedWrites(missing))
      writes.push(
        { key: keys.transfer(), value: undefined },
        { key: keys.meta(), value: MetaRow.encode(meta).finish() },
      )
      await replica.db.write(writes)
      replica.meta = meta
      for (const log of adopted) replica.logs.set(log)
      await checks.clear()
      return adopted.map((log) => log.log)
    })
  }
}

/** The same object if nothing is new. */
function movedBy(transfer: Transfer, last: Uint8Array | undefined, named: Uint8Array[]): Transfer {
  const known = new Set(transfer.missing.map(toHex))
  const fresh = named.filter((key) => key.length === CASE_KEY_BYTES && !known.has(toHex(key)))
  if (!last && fresh.length === 0) return transfer
  return { ...transfer, cursor: last ?? transfer.cursor, missing: [...transfer.missing, ...fresh] }
}

/**
 * What was held when a case was asked for, of somebody who held as much; undefined if it doesn't come as the answer. What
 * was admitted since is in a damaged case, and retained.
 */
export type HeldAtAsking = (item: Item) => ReadonlyMap<LogId, number> | undefined

const reachAtAsking = (held: ReadonlyMap<LogId, number> | undefined) =>
  held && ((log: LogId) => held.get(log) ?? 0)

/**
 * Cases that came outside a transfer. What they hold beyond is unclaimed.
 *
 * @param heldAtAsking which of them were asked for because they are damaged here.
 */
export function takeLoose(
  replica: Replica,
  items: Item[],
  claims: LogClaim[] = [],
  said: SaidClaims = new Map(),
  heldAtAsking: HeldAtAsking = () => undefined,
  before: LogClaim[] = [],
): Promise<void> {
  return replica.exclusive(async () => {
    const drafts: CaseDraft[] = []
    let beyond = false
    const foreignOf = await foreignOfCases(replica, claims, before)
    const reach = reachOf(claims)
    for (const item of items) {
      const giver = {
        parted: new Map(),
        foreign: foreignOf(item),
        reach: reachAtAsking(heldAtAsking(item)) ?? reach,
      }
      const draft = await takeItem(replica, item, giver)
      if (!draft) continue
      drafts.push(draft)
      beyond ||= isBeyond(replica, draft, new Map())
    }
    const meta = { ...replica.meta, unclaimed: replica.meta.unclaimed || beyond }
    await replica.commitCases(drafts, await claimWrites(replica, claims, said, before), meta)
    if (beyond) replica.loose++
  })
}
