/**
 * Statements: a device's signed, numbered word on what it durably holds. The newest wins, not the largest, so
 * that a restored device is served again. They are gossiped, and they are what pruning and ticks rest on.
 */
import { compareBytes, concat, equalBytes, fromHex, toHex, u32, utf8 } from '../protocol/bytes.js'
import { encoded } from '../protocol/encode.js'
import { CHECK_BYTES, LOG_ID_BYTES, MAX_CLAIMS } from '../protocol/limits.js'
import type { LogId } from '../protocol/log.js'
import type { Statement } from '../protocol/sync.gen.js'
import { keys, rangeOf } from './keyspace.js'
import { type ClaimRow, StatementRow } from './records.gen.js'
import type { Replica } from './replica.js'
import type { Write } from './sealed-db.js'

/** Envelopes of no use that a statement still names: a sender looks at it long before so many followed. */
const KEPT_UNUSABLE = 64
const ENVELOPE_ID_BYTES = 16
const DOMAIN = utf8('kartoteka/1 statement')

/** A device's word as kept: how far it durably holds each log. */
export interface HeldStatement {
  device: Uint8Array
  counter: number
  frontier: Map<LogId, number>
  /** Ids of envelopes that it couldn't use, the newest last. */
  unusable: Uint8Array[]
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
    return [...this.byDevice.values()].map(({ row }) => row)
  }

  /** 16 bytes over (device, counter) of all that is kept. */
  digest(): Uint8Array {
    const rows = [...this.byDevice.values()].map(({ device, counter }) => concat([device, u32(counter)]))
    return this.replica.natives.sha256(concat(rows.sort(compareBytes))).subarray(0, 16)
  }

  /** My own word on what is held now; call only after a flush. No new one if nothing changed, unless `anew`. */
  state(anew = false): Promise<boolean> {
    return this.replica.exclusive(() => this.stateNow(anew))
  }

  /** Mail that was of no use here: the next statement says so, until so many others have followed. */
  noteUnusable(ids: readonly Uint8Array[]): void {
    const known = new Set(this.unusable.map(toHex))
    this.unusable = [...this.unusable, ...ids.filter((id) => !known.has(toHex(id)))].slice(-KEPT_UNUSABLE)
  }
  private unusable: Uint8Array[] = []
  /** Two words of mine with one number are about: whichever is held now, the next one must have another number. */
  private isContested = false

  private async stateNow(anew: boolean): Promise<boolean> {
    const { replica } = this
    const { device, practice } = replica.options
    const frontier = [...replica.logs.all()]
      .filter((log) => log.seq > 0)
      .sort((a, b) => (a.log < b.log ? -1 : 1))
      .map(({ log, seq, check }) => ({ log: fromHex(log), seq, check }))
    const old = this.of(device.ed)
    const { unusable } = this
    const isSame = old && sameFrontier(old.row.frontier, frontier) && sameIds(old.row.unusable, unusable)
    if (isSame && !anew && !this.isContested) return false
    const counter = Math.max(replica.meta.statementCounter, old?.counter ?? 0) + 1
    const row: StatementRow = {
      device: device.ed,
      log: replica.currentLog ? fromHex(replica.currentLog) : new Uint8Array(0),
      counter,
      frontier,
      signature: new Uint8Array(0),
      unusable,
    }
    row.signature = replica.natives.sign(device.secret, signedBytes(practice, row))
    replica.meta = { ...replica.meta, statementCounter: counter }
    await replica.db.write([statementWrite(row), replica.metaWrite()])
    await replica.db.flush()
    this.keep(row)
    this.isContested = false
    return true
  }

  /** Takes over newer words of members; says whether any was. */
  async admit(statements: Statement[]): Promise<boolean> {
    return (await this.admitEach(statements)).length > 0
  }

  /** As `admit`; gives the devices whose word is new. */
  async admitEach(statements: Statement[]): Promise<Uint8Array[]> {
    const { natives, options, db } = this.replica
    const writes: Write[] = []
    const taken: StatementRow[] = []
    for (const statement of statements) {
      if (statement.device.length !== 32 || statement.frontier.length > MAX_CLAIMS) continue
      const row: StatementRow = { ...statement }
      const old = this.of(row.device)
      if (!isSound(row) || (old && !this.isNewer(row, old))) continue
      if (!options.isMember(row.device)) continue
      if (!natives.verify(row.device, signedBytes(options.practice, row), row.signature)) continue
      if (old?.counter === row.counter) this.isContested = true
      taken.push(row)
      writes.push(statementWrite(row))
    }
    await db.write(writes)
    for (const row of taken) this.keep(row)
    return taken.map(({ device }) => device)
  }

  /** A word of mine with the number of my newest but of other content was said before I was restored. */
  private isNewer({ device, counter, signature }: StatementRow, old: HeldStatement): boolean {
    if (counter !== old.counter) return counter > old.counter
    if (this.isContested || !equalBytes(device, this.replica.options.device.ed)) return false
    return !equalBytes(signature, old.row.signature)
  }

  private keep(row: StatementRow): void {
    const frontier = new Map(row.frontier.map(({ log, seq }) => [toHex(log), seq]))
    const { device, counter, unusable } = row
    this.byDevice.set(toHex(device), { device, counter, frontier, unusable, row })
    // What I said before a restart, or before I was restored, still stands.
    if (equalBytes(device, this.replica.options.device.ed) && this.unusable.length === 0)
      this.unusable = unusable
  }
}

function signedBytes(practice: Uint8Array, row: StatementRow): Uint8Array {
  return concat([
    DOMAIN,
    practice,
    row.device,
    Uint8Array.of(row.log.length),
    row.log,
    u32(row.counter),
    u32(row.frontier.length),
    ...row.frontier.flatMap(({ log, seq, check }) => [log, u32(seq), check]),
    ...row.unusable,
  ])
}

function isSound({ frontier, unusable }: StatementRow): boolean {
  const isClaim = ({ log, check }: { log: Uint8Array; check: Uint8Array }) =>
    log.length === LOG_ID_BYTES && check.length === CHECK_BYTES
  return (
    frontier.every(isClaim) &&
    unusable.length <= KEPT_UNUSABLE &&
    unusable.every((id) => id.length === ENVELOPE_ID_BYTES)
  )
}

function statementWrite(row: StatementRow): Write {
  return { key: keys.statement(row.device), value: encoded(StatementRow, row) }
}

function sameFrontier(a: ClaimRow[], b: ClaimRow[]): boolean {
  const isSame = (x: ClaimRow, y: ClaimRow) =>
    x.seq === y.seq && equalBytes(x.log, y.log) && equalBytes(x.check, y.check)
  return a.length === b.length && a.every((claim, at) => isSame(claim, b[at]!))
}

const sameIds = (a: Uint8Array[], b: Uint8Array[]) =>
  a.length === b.length && a.every((id, at) => equalBytes(id, b[at]!))
