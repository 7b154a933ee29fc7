/**
 * A disk that forgets: a database in memory with a journal of what was not flushed. A crash keeps everything up to the
 * last flush and some beginning of what came after it, as LevelDB's log does. While `held`, a flush waits.
 */
import type { Database } from '../../src/store/sealed-db.js'
import { LightLevel, toKey } from './light-level.js'

export type Rows = Map<string, Uint8Array>
/** `name`: the key as the rows know it, once the database has applied it. */
export type Operation = { type: 'put' | 'del'; key: Uint8Array; value?: Uint8Array; name?: string }

export class Disk {
  private rows: Rows = new Map()
  private journal: Operation[][] = []
  private waiting: (() => void)[] = []
  private generation = 0
  private level!: LightLevel
  /** Batches written since this disk began. */
  private pushed = 0
  /** Flushes wait until `release`. */
  held = false
  db: Database

  constructor() {
    this.db = this.open(this.rows)
  }

  private open(rows: Rows): Database {
    const generation = ++this.generation
    const level = new LightLevel(rows)
    this.level = level
    const apply = level.batch.bind(level)
    level.batch = async (operations: Operation[], options?: { sync?: boolean }) => {
      // A process that was killed writes no more.
      if (generation !== this.generation) return new Promise<void>(() => {})
      await apply(operations)
      if (generation !== this.generation) return new Promise<void>(() => {})
      this.journal.push(operations)
      this.pushed++
      if (!options?.sync) return
      const upTo = this.pushed
      if (this.held) await new Promise<void>((resolve) => this.waiting.push(resolve))
      if (generation !== this.generation) return new Promise<void>(() => {})
      this.settle(upTo - (this.pushed - this.journal.length))
    }
    return level as unknown as Database
  }

  private settle(count: number): void {
    for (const operations of this.journal.splice(0, Math.max(0, count))) applyTo(this.rows, operations)
  }

  get unflushed(): number {
    return this.journal.length
  }

  /** Flushes that wait may end. */
  release(): void {
    for (const resolve of this.waiting.splice(0)) resolve()
  }

  /** Power goes: some beginning of the unflushed batches survives. */
  async crash(kept: number): Promise<void> {
    this.settle(Math.min(this.journal.length, kept))
    this.replace()
  }

  /** What a power cut now would leave of one row. */
  durable(key: Uint8Array): Uint8Array | undefined {
    return this.rows.get(toKey(key))
  }

  /** What a power cut now would leave: each row by its key as the rows know it. */
  get durableRows(): ReadonlyMap<string, Uint8Array> {
    return this.rows
  }

  /** The same as who has the database open reads it. */
  get currentRows(): ReadonlyMap<string, Uint8Array> {
    return this.level.rows
  }

  /**
   * A stored row rots: from now on it reads as `value`, or is gone, also for who has the database open. False where it is
   * not there, or is about to be written anew.
   */
  rot(name: string, value: Uint8Array | undefined): boolean {
    const stored = this.rows.get(name)
    if (!stored || this.level.rows.get(name) !== stored) return false
    this.level.put(name, value)
    if (value) this.rows.set(name, value)
    else this.rows.delete(name)
    return true
  }

  /** Is this written in some row, which a power cut now would take back? */
  isAtRisk(bytes: Uint8Array): boolean {
    const written = this.journal
      .flat()
      .filter(({ value }) => value && Buffer.from(value).includes(Buffer.from(bytes)))
    return written.some(({ key }) => !this.rows.has(toKey(key)))
  }

  snapshot(): Rows {
    return new Map(this.rows)
  }

  async restore(rows: Rows): Promise<void> {
    this.rows = new Map(rows)
    this.replace()
  }

  private replace(): void {
    this.waiting = []
    this.db = this.open(this.rows)
    this.journal = []
  }
}

function applyTo(rows: Rows, operations: Operation[]): void {
  for (const { type, key, value, name = toKey(key) } of operations) {
    if (type === 'put') rows.set(name, value!)
    else rows.delete(name)
  }
}
