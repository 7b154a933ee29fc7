/**
 * Statements: a device's signed, numbered word on what it durably holds. The newest wins, not the largest, so
 * that a restored device is served again. They are gossiped, and they are what pruning and ticks rest on.
 */
import { compareBytes, concat, fromHex, toHex, u32, utf8 } from '../protocol/bytes.js'
import { MAX_CLAIMS } from '../protocol/limits.js'
import type { LogId } from '../protocol/log.js'
import type { Statement } from '../protocol/sync.gen.js'
import { keys, rangeOf } from './keyspace.js'
import { StatementRow } from './records.gen.js'
import type { Replica } from './replica.js'
import type { Write } from './sealed-db.js'

const NO_CHECK = new Uint8Array(0)
const DOMAIN = utf8('kartoteka/1 statement')

/** A device's word as kept: how far it durably holds each log. */
export interface HeldStatement {
  device: Uint8Array
  counter: number
  frontier: Map<LogId, number>
  row: StatementRow
}

export class Statements {
  private readonly byDevice = new Map<string, HeldStatement>()

  constructor(private readonly replica: Replica) {}

  async load(): Promise<void> {
    for await (const { value } of this.replica.db.rows(rangeOf('s'), () => {}))
      this.keep(StatementRow.decode(value))
  }

  of(device: Uint8Array): HeldStatement | undefined {
    return this.byDevice.get(toHex(device))
  }

  /** All that is kept, as a message carries them. */
  wire(): Statement[] {
    return [...this.byDevice.values()].map(({ row }) => ({
      ...row,
      frontier: row.frontier.map(({ log, seq }) => ({ log, seq, check: NO_CHECK })),
    }))
  }

  /** 16 bytes over (device, counter) of all that is kept. */
  digest(): Uint8Array {
    const rows = [...this.byDevice.values()].map(({ device, counter }) => concat([device, u32(counter)]))
    return this.replica.natives.sha256(concat(rows.sort(compareBytes))).subarray(0, 16)
  }

  /** My own word on what is held now; call only after a flush. No new one if nothing changed. */
  state(): Promise<boolean> {
    return this.replica.exclusive(() => this.stateNow())
  }

  private async stateNow(): Promise<boolean> {
    const { replica } = this
    const { device, practice } = replica.options
    const frontier = [...replica.logs.all()]
      .filter((log) => log.seq > 0)
      .map(({ log, seq }) => ({ log: fromHex(log), seq }))
      .sort((a, b) => compareBytes(a.log, b.log))
    const old = this.of(device.ed)
    if (old && sameFrontier(old.row.frontier, frontier)) return false
    const counter = Math.max(replica.meta.statementCounter, old?.counter ?? 0) + 1
    const row: StatementRow = {
      device: device.ed,
      log: replica.currentLog ? fromHex(replica.currentLog) : new Uint8Array(0),
      counter,
      frontier,
      signature: new Uint8Array(0),
    }
    row.signature = replica.natives.sign(device.secret, signedBytes(practice, row))
    replica.meta = { ...replica.meta, statementCounter: counter }
    await replica.db.write([statementWrite(row), replica.metaWrite()])
    await replica.db.flush()
    this.keep(row)
    return true
  }

  /** Takes over newer words of members; says whether any was. */
  async admit(statements: Statement[]): Promise<boolean> {
    const { natives, options, db } = this.replica
    const writes: Write[] = []
    const taken: StatementRow[] = []
    for (const statement of statements) {
      if (statement.device.length !== 32 || statement.frontier.length > MAX_CLAIMS) continue
      const row: StatementRow = {
        ...statement,
        frontier: statement.frontier.map(({ log, seq }) => ({ log, seq })),
      }
      const old = this.of(row.device)
      if (row.frontier.some(({ log }) => log.length !== 16) || (old && old.counter >= row.counter)) continue
      if (!options.isMember(row.device)) continue
      if (!natives.verify(row.device, signedBytes(options.practice, row), row.signature)) continue
      taken.push(row)
      writes.push(statementWrite(row))
    }
    await db.write(writes)
    for (const row of taken) this.keep(row)
    return writes.length > 0
  }

  private keep(row: StatementRow): void {
    const frontier = new Map(row.frontier.map(({ log, seq }) => [toHex(log), seq]))
    this.byDevice.set(toHex(row.device), { device: row.device, counter: row.counter, frontier, row })
  }
}

function signedBytes(practice: Uint8Array, row: StatementRow): Uint8Array {
  const claims = row.frontier.map(({ log, seq }) => concat([log, u32(seq)]))
  return concat([
    DOMAIN,
    practice,
    row.device,
    Uint8Array.of(row.log.length),
    row.log,
    u32(row.counter),
    ...claims,
  ])
}

function statementWrite(row: StatementRow): Write {
  return { key: keys.statement(row.device), value: StatementRow.encode(row).finish() }
}

function sameFrontier(a: { log: Uint8Array; seq: number }[], b: { log: Uint8Array; seq: number }[]): boolean {
  return (
    a.length === b.length &&
    a.every((claim, at) => claim.seq === b[at]!.seq && compareBytes(claim.log, b[at]!.log) === 0)
  )
}
