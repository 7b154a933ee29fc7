/**
 * A disk that forgets: a database in memory with a journal of what was not flushed. A crash keeps everything up to the
 * last flush and some beginning of what came after it, as LevelDB's log does. While `held`, a flush waits. With a pace,
 * each call takes its time: what is read is what was there when it was asked for, and writes follow each other.
 */
import { setImmediate } from 'node:timers/promises'
import type { Database } from '../../src/store/sealed-db.js'
import { type Cursor, LightLevel, type Range, toKey } from './light-level.js'

export type Rows = Map<string, Uint8Array>
/** `name`: the key as the rows know it, once the database has applied it. */
export type Operation = { type: 'put' | 'del'; key: Uint8Array; value?: Uint8Array; name?: string }

/** How many turns of the event loop the next call takes, before and after it is carried out. */
export type Pace = () => number

/** What a process that was killed waits for. */
const never = () => new Promise<never>(() => {})

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
  private pace: Pace | undefined
  private quick = 0
  /** Calls that have not ended, but for flushes that are held. */
  private underWay = 0
  private lastBatch: Promise<void> = Promise.resolve()

  constructor() {
    this.db = this.open(this.rows)
  }

  /** From now on calls take their time. */
  slow(pace: Pace): void {
    this.pace = pace
    this.db = this.open(this.rows)
  }

  get isIdle(): boolean {
    return this.underWay === 0
  }

  /** What is asked for meanwhile comes at once: for who looks at the disk from outside. */
  async quickly<T>(work: () => Promise<T>): Promise<T> {
    this.quick++
    try {
      return await work()
    } finally {
      this.quick--
    }
  }

  private open(rows: Rows): Database {
    const generation = ++this.generation
    const level = new LightLevel(rows)
    this.level = level
    if (this.pace) this.slowDown(level, generation)
    const apply = level.batch.bind(level)
    level.batch = async (operations: Operation[], options?: { sync?: boolean }) => {
      // A process that was killed writes no more.
      if (generation !== this.generation) return never()
      if (this.pace) await this.inTurn(generation)
      if (generation !== this.generation) return never()
      await apply(operations)
      if (generation !== this.generation) return never()
      this.journal.push(operations)
      this.pushed++
      if (options?.sync) {
        const upTo = this.pushed
        if (this.pace) await this.take(generation)
        if (this.held) await new Promise<void>((resolve) => this.waiting.push(resolve))
        if (generation !== this.generation) return never()
        this.settle(upTo - (this.pushed - this.journal.length))
      }
      if (this.pace) await this.take(generation)
    }
    return level as unknown as Database
  }

  /** A call of that process takes its time. */
  private async take(generation: number): Promise<void> {
    if (generation !== this.generation) return never()
    if (this.quick > 0) return
    this.underWay++
    for (let left = this.pace!(); left > 0; left--) await setImmediate()
    if (generation !== this.generation) return never()
    this.underWay--
  }

  /** One batch is written after the other. */
  private inTurn(generation: number): Promise<void> {
    const before = this.lastBatch
    this.lastBatch = before.then(() => this.take(generation))
    return this.lastBatch
  }

  private slowDown(level: LightLevel, generation: number): void {
    this.underWay = 0
    // What is read is read at once, and told later.
    const slowly = <In extends unknown[], Out>(read: (...given: In) => Promise<Out>) => {
      return async (...given: In) => {
        const found = await read(...given)
        await this.take(generation)
        return found
      }
    }
    level.get = slowly(level.get.bind(level))
    level.getMany = slowly(level.getMany.bind(level))
    level.iterator = slowSteps(level.iterator.bind(level), slowly)
    level.keys = slowSteps(level.keys.bind(level), slowly)
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
    this.lastBatch = Promise.resolve()
    this.db = this.open(this.rows)
    this.journal = []
  }
}

type Slowly = <In extends unknown[], Out>(
  read: (...given: In) => Promise<Out>,
) => (...given: In) => Promise<Out>

function slowSteps<Row>(begin: (range: Range) => Cursor<Row>, slowly: Slowly): (range: Range) => Cursor<Row> {
  return (range) => {
    const cursor = begin(range)
    cursor.next = slowly(cursor.next.bind(cursor))
    cursor.nextv = slowly(cursor.nextv.bind(cursor))
    cursor.all = slowly(cursor.all.bind(cursor))
    return cursor
  }
}

function applyTo(rows: Rows, operations: Operation[]): void {
  for (const { type, key, value, name = toKey(key) } of operations) {
    if (type === 'put') rows.set(name, value!)
    else rows.delete(name)
  }
}
