/**
 * The checks of a transfer's target: on disk from when they come until the transfer ends, one row for each stretch.
 * Two slots, because a transfer that goes on with another sender holds the new list against the old one.
 */
import { toHex } from '../protocol/bytes.js'
import { CHECK_BYTES, CHECKS_PER_STRETCH } from '../protocol/limits.js'
import type { LogId } from '../protocol/log.js'
import type { CheckStretch, TargetLog } from '../protocol/transfer.js'
import { keys, rangeOf, targetRange } from './keyspace.js'
import { MailSetRow, TransferRow } from './records.gen.js'
import { DamagedError, type SealedDb, type Write } from './sealed-db.js'

export class TargetChecks {
  constructor(
    private readonly db: SealedDb,
    readonly slot: number,
  ) {}

  /** Drops what lies in this slot. */
  async clear(): Promise<void> {
    const rows = await this.db.keysIn(targetRange(this.slot))
    await this.db.write(rows.map((key) => ({ key: Uint8Array.from(key), value: undefined })))
  }

  /** The write that stores stretch `number` of a log. */
  write({ log, checks }: CheckStretch, number: number): Write {
    return { key: keys.targetChecks(this.slot, log, number), value: checks }
  }

  /** Undefined also for a row that has rotted: its checks are unknown, and stand in nobody's way. */
  private async row(log: LogId, number: number): Promise<Uint8Array | undefined> {
    return this.db.get(keys.targetChecks(this.slot, log, number)).catch((error: unknown) => {
      if (error instanceof DamagedError) return undefined
      throw error
    })
  }

  /** The check of change `seq`, if this target carries it. */
  async at(target: TargetLog, seq: number): Promise<Uint8Array | undefined> {
    if (seq === target.seq) return target.check
    if (seq <= target.from || seq > target.seq) return undefined
    const offset = seq - target.from - 1
    const number = Math.floor(offset / CHECKS_PER_STRETCH)
    const row = await this.row(target.log, number)
    const at = (offset % CHECKS_PER_STRETCH) * CHECK_BYTES
    const check = row?.subarray(at, at + CHECK_BYTES)
    return check?.length === CHECK_BYTES ? check : undefined
  }

  /** The checks of (from..to], in pieces of at most a stretch. */
  async *pieces(target: TargetLog, from: number, to: number): AsyncGenerator<CheckStretch> {
    for (let seq = from; seq < to; ) {
      const number = Math.floor((seq - target.from) / CHECKS_PER_STRETCH)
      const begin = target.from + number * CHECKS_PER_STRETCH
      const end = Math.min(begin + CHECKS_PER_STRETCH, to)
      const row = await this.row(target.log, number)
      const checks = new Uint8Array((end - seq) * CHECK_BYTES)
      checks.set(row?.subarray((seq - begin) * CHECK_BYTES, (end - begin) * CHECK_BYTES) ?? [])
      yield { log: target.log, from: seq, checks }
      seq = end
    }
  }
}

/** What unfinished transfers target, direct ones and those by mail, and what lists its checks. */
export async function storedTargets(db: SealedDb): Promise<{ target: TargetLog; checks: TargetChecks }[]> {
  const direct = await db.get(keys.transfer())
  const rows: { target: TransferRow['target']; slot: number }[] = direct ? [TransferRow.decode(direct)] : []
  for await (const { value } of db.rows(rangeOf('y'), () => {})) rows.push(MailSetRow.decode(value))
  return rows.flatMap(({ target, slot }) => {
    const checks = new TargetChecks(db, slot)
    return target.map((log) => ({ target: { ...log, log: toHex(log.log) }, checks }))
  })
}
