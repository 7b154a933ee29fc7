/**
 * The logs a device holds: one small row each in memory, retained changes and checks on disk.
 * Checks (8 bytes of every head) stay after payloads are pruned: without them forks hide.
 */
import { concat, equalBytes, readU32 } from '../protocol/bytes.js'
import { encoded } from '../protocol/encode.js'
import type { HeldLog } from '../protocol/frontier.js'
import { CHECK_BYTES } from '../protocol/limits.js'
import type { LogId, LogOpening } from '../protocol/log.js'
import { checkOf, logIdOf, openingHead } from '../protocol/log.js'
import type { Natives } from '../protocol/natives.js'
import { CHECKS_PER_BLOCK, keys, rangeOf } from './keyspace.js'
import { ChangeRow, LogRow } from './records.gen.js'
import { DamagedError, type SealedDb, type Write } from './sealed-db.js'

/** A held log with what only its holder needs. Immutable: a change makes a new value. */
export interface StoredLog extends HeldLog {
  /** Full head at seq; empty after a cut below what was held. */
  head: Uint8Array
  signature: Uint8Array
  retainedFrom: number
}

/** A change as retained, with the author's signature if a run ended here. */
export interface RetainedChange {
  log: LogId
  seq: number
  row: ChangeRow
}

/** Changes (from..to] of a log. */
interface Stretch {
  log: StoredLog
  from: number
  to: number
}

export class LogTable {
  private readonly logs = new Map<LogId, StoredLog>()
  /** The block that was written last: while a lone device types, the next one continues it. */
  private lastBlock: { log: LogId; block: number; value: Uint8Array } | undefined

  /** Up to where changes of a log are on their way into the blocks, in a batch that memory has not followed yet. */
  private readonly moving = new Map<LogId, number>()

  constructor(
    private readonly db: SealedDb,
    private readonly natives: Natives,
    /** Keeps what only these changes may still hold of a case that is damaged here, in the case itself. */
    private readonly keep: (changes: () => AsyncIterable<RetainedChange>) => Promise<void>,
  ) {}

  async load(): Promise<void> {
    for await (const { value } of this.db.rows(rangeOf('f'))) {
      const log = rowToLog(this.natives, LogRow.decode(value))
      this.logs.set(log.log, log)
    }
  }

  get(id: LogId): StoredLog | undefined {
    return this.logs.get(id)
  }

  all(): IterableIterator<StoredLog> {
    return this.logs.values()
  }

  /** Takes over a log's new value, after the batch that holds its row was written. */
  set(log: StoredLog): void {
    this.logs.set(log.log, log)
    this.moving.delete(log.log)
  }

  /** A log nobody has told me of yet, with nothing held. */
  fresh(opening: LogOpening): StoredLog {
    const head = openingHead(this.natives, opening)
    return {
      ...opening,
      log: logIdOf(this.natives, opening),
      seq: 0,
      check: checkOf(head),
      head,
      signature: new Uint8Array(0),
      cut: undefined,
      retainedFrom: 0,
    }
  }

  /** The check of change `seq`, 1 ≤ seq ≤ held; undefined if it isn't known. */
  async checkAt(log: LogId, seq: number): Promise<Uint8Array | undefined> {
    const held = this.logs.get(log)
    if (!held || seq < 1 || seq > held.seq) return undefined
    if (seq === held.seq) return held.check
    if (seq > held.retainedFrom) {
      const row = await this.sound(keys.change(log, seq))
      if (row) return ChangeRow.decode(row).check
      if (seq > this.inBlocks(log)) return undefined
    }
    const block = await this.sound(keys.checks(log, blockOf(seq)))
    const at = offsetOf(seq)
    const check = block?.subarray(at, at + CHECK_BYTES)
    return check?.length === CHECK_BYTES && check.some((byte) => byte !== 0) ? check : undefined
  }

  /**
   * Up to where a check whose row isn't there is in the blocks: who asks doesn't always run alone, and what was retained
   * may have been pruned since. Beyond that, blocks may hold what was never adopted.
   */
  private inBlocks(log: LogId): number {
    return Math.max(this.logs.get(log)?.retainedFrom ?? 0, this.moving.get(log) ?? 0)
  }

  /** A row, or undefined if its bits have rotted: what can't be read is unknown, and stands in nobody's way. */
  private async sound(key: Uint8Array): Promise<Uint8Array | undefined> {
    try {
      return await this.db.get(key)
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error
      return undefined
    }
  }

  /** Checks of (from..to], 8 bytes each, zeros where unknown. */
  async checks(log: LogId, from: number, to: number): Promise<Uint8Array> {
    const out = new Uint8Array(Math.max(0, to - from) * CHECK_BYTES)
    const held = this.logs.get(log)
    if (!held) return out
    const put = (seq: number, check: Uint8Array) => {
      if (seq > from && seq <= to) out.set(check, (seq - from - 1) * CHECK_BYTES)
    }
    const read = new Set<number>()
    for await (const { seq, row } of this.readable(log, Math.max(from, held.retainedFrom), to)) {
      put(seq, row.check)
      read.add(seq)
    }
    const lastInBlocks = Math.min(to, Math.max(held.retainedFrom, this.inBlocks(log)))
    for (let block = blockOf(from + 1); block <= blockOf(lastInBlocks) && lastInBlocks > from; block++) {
      const row = await this.sound(keys.checks(log, block))
      if (!row) continue
      for (let at = 0; at + CHECK_BYTES <= row.length; at += CHECK_BYTES) {
        const seq = block * CHECKS_PER_BLOCK + at / CHECK_BYTES + 1
        if (seq <= lastInBlocks && !read.has(seq)) put(seq, row.subarray(at, at + CHECK_BYTES))
      }
    }
    put(held.seq, held.check)
    return out
  }

  /** Retained changes of (from..to] in order, up to the first that is gone or has rotted. */
  async *retained(log: LogId, from: number, to: number): AsyncGenerator<RetainedChange> {
    let next = from + 1
    for await (const change of this.readable(log, from, to)) {
      // One is gone: nothing behind it may be given under another number.
      if (change.seq !== next++) return
      yield change
    }
  }

  /** Every retained change of (from..to] that can be read, in order. */
  async *readable(log: LogId, from: number, to: number): AsyncGenerator<RetainedChange> {
    if (to <= from) return
    const range = { gte: keys.change(log, from + 1), lt: keys.change(log, to + 1) }
    for await (const { key, value } of this.db.rows(range, () => {})) {
      yield { log, seq: readU32(key, key.length - 4), row: ChangeRow.decode(value) }
    }
  }

  private async *readableOf(stretches: Stretch[]): AsyncGenerator<RetainedChange> {
    for (const { log, from, to } of stretches) yield* this.readable(log.log, from, to)
  }

  /** Writes that put `checks` of (from..] into the blocks, reading what shares a block with them. */
  async checkWrites(log: LogId, from: number, checks: Uint8Array): Promise<Write[]> {
    const writes: Write[] = []
    const to = from + checks.length / CHECK_BYTES
    for (let block = blockOf(from + 1); block <= blockOf(to) && to > from; block++) {
      const first = block * CHECKS_PER_BLOCK + 1
      const key = keys.checks(log, block)
      const old = first <= from ? await this.blockUpTo(log, block, from) : new Uint8Array(0)
      const last = Math.min(to, first + CHECKS_PER_BLOCK - 1)
      const value = new Uint8Array((last - first + 1) * CHECK_BYTES)
      value.set(old.subarray(0, Math.min(old.length, Math.max(0, from - first + 1) * CHECK_BYTES)))
      const start = Math.max(first, from + 1)
      value.set(
        checks.subarray((start - from - 1) * CHECK_BYTES, (last - from) * CHECK_BYTES),
        (start - first) * CHECK_BYTES,
      )
      writes.push({ key, value })
      this.lastBlock = { log, block, value }
    }
    return writes
  }

  /** A block as stored. The one in memory serves if it ends with the check of what is held. */
  private async blockUpTo(log: LogId, block: number, from: number): Promise<Uint8Array> {
    const last = this.lastBlock
    const held = this.logs.get(log)
    if (last?.log === log && last.block === block && held?.seq === from) {
      const isWhole = last.value.length === offsetOf(from) + CHECK_BYTES
      if (isWhole && equalBytes(last.value.subarray(-CHECK_BYTES), held.check)) return last.value
    }
    return (await this.sound(keys.checks(log, block))) ?? new Uint8Array(0)
  }

  /**
   * Writes that drop the payloads of these stretches: nothing else lets go of a retained change. What they hold of damaged
   * cases, maybe the last that anybody can read, is put into these first. So nobody may hold a draft of a case meanwhile.
   * Each case is looked at, so what goes of several logs should go at once.
   */
  async letGo(stretches: Stretch[]): Promise<Write[]> {
    const own = stretches
      .map(({ log, from, to }) => ({ log, from: Math.max(from, log.retainedFrom), to }))
      .filter(({ from, to }) => from < to)
    if (own.length === 0) return []
    await this.keep(() => this.readableOf(own))
    const writes: Write[] = []
    for (const { log, from, to } of own)
      for (let seq = from + 1; seq <= to; seq++)
        writes.push({ key: keys.change(log.log, seq), value: undefined })
    return writes
  }

  /** Writes that drop all payloads and put `checks` behind the ones held: one block may hold both. */
  async extendWrites(log: StoredLog, checks: Uint8Array): Promise<Write[]> {
    const writes = await this.letGo([{ log, from: log.retainedFrom, to: log.seq }])
    const retained = await this.checks(log.log, log.retainedFrom, log.seq)
    this.moving.set(log.log, log.seq)
    writes.push(...(await this.checkWrites(log.log, log.retainedFrom, concat([retained, checks]))))
    return writes
  }

  /** Writes that drop the payloads of these logs up to `to` each, and keep their checks; and the logs' new values. */
  async pruneWrites(stretches: Omit<Stretch, 'from'>[]): Promise<{ writes: Write[]; logs: StoredLog[] }> {
    const own = stretches.map(({ log, to }) => ({ log, from: log.retainedFrom, to: Math.min(to, log.seq) }))
    const writes = await this.letGo(own)
    const logs: StoredLog[] = []
    for (const { log, from, to } of own) {
      if (to <= from) continue
      const pruned = { ...log, retainedFrom: to }
      this.moving.set(log.log, to)
      writes.push(...(await this.checkWrites(log.log, from, await this.checks(log.log, from, to))))
      writes.push(logWrite(pruned))
      logs.push(pruned)
    }
    return { writes, logs }
  }
}

const blockOf = (seq: number) => Math.floor((seq - 1) / CHECKS_PER_BLOCK)
const offsetOf = (seq: number) => ((seq - 1) % CHECKS_PER_BLOCK) * CHECK_BYTES

/** The write that stores a log's row. */
export function logWrite(log: StoredLog): Write {
  const value = encoded(LogRow, {
    device: log.device,
    random: log.random,
    predecessor: log.predecessor,
    seq: log.seq,
    head: log.head,
    check: log.check,
    signature: log.signature,
    cutSeq: log.cut?.seq,
    cutCheck: log.cut?.check ?? new Uint8Array(0),
    retainedFrom: log.retainedFrom,
    number: 0,
  })
  return { key: keys.log(log.log), value }
}

function rowToLog(natives: Natives, row: LogRow): StoredLog {
  return {
    log: logIdOf(natives, row),
    device: row.device,
    random: row.random,
    predecessor: row.predecessor,
    seq: row.seq,
    head: row.head,
    check: row.check,
    signature: row.signature,
    cut: row.cutSeq === undefined ? undefined : { seq: row.cutSeq, check: row.cutCheck },
    retainedFrom: row.retainedFrom,
  }
}
