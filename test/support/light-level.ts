/**
 * A database in memory for many short lives: what the store and the relay use of abstract-level, over a sorted list of
 * keys, without its encodings and queues. Every call ends within the turn of the event loop in which it began.
 */
import type { Operation, Rows } from './disk.js'

export interface Range {
  gt?: Uint8Array
  gte?: Uint8Array
  lt?: Uint8Array
  lte?: Uint8Array
  limit?: number
  /** From the end of the range. */
  reverse?: boolean
  snapshot?: Snapshot
}

const { latin1Slice } = Buffer.prototype
/** Bytes as a string of as many characters: it orders as they do. Without a Buffer, which would cost more than this. */
export const toKey = (bytes: Uint8Array): string => latin1Slice.call(bytes, 0, bytes.length)
const fromKey = (key: string): Uint8Array => {
  const bytes = new Uint8Array(key.length)
  for (let at = 0; at < key.length; at++) bytes[at] = key.charCodeAt(at)
  return bytes
}

class Table {
  constructor(
    readonly rows: Rows,
    readonly order: string[],
  ) {}

  /** Index of the first key that is not below `key`, or with `after` the first above it. */
  place(key: string, after: boolean): number {
    const { order } = this
    let low = 0
    let high = order.length
    while (low < high) {
      const middle = (low + high) >> 1
      const isBefore = order[middle]! < key || (after && order[middle] === key)
      if (isBefore) low = middle + 1
      else high = middle
    }
    return low
  }

  apply(operations: readonly Operation[]): void {
    for (const operation of operations) {
      const { type, key, value } = operation
      const name = toKey(key)
      operation.name = name
      if (type === 'put') {
        if (!this.rows.has(name)) this.order.splice(this.place(name, false), 0, name)
        this.rows.set(name, value!)
      } else if (this.rows.delete(name)) this.order.splice(this.place(name, false), 1)
    }
  }

  entries({ gt, gte, lt, lte, limit = -1, reverse }: Range): [string, Uint8Array][] {
    const from = gt ? this.place(toKey(gt), true) : gte ? this.place(toKey(gte), false) : 0
    const to = lt ? this.place(toKey(lt), false) : lte ? this.place(toKey(lte), true) : this.order.length
    const most = limit < 0 ? to - from : Math.min(limit, to - from)
    const found: [string, Uint8Array][] = []
    for (let at = 0; at < most; at++) {
      const key = this.order[reverse ? to - 1 - at : from + at]!
      found.push([key, this.rows.get(key)!])
    }
    return found
  }
}

class Snapshot {
  constructor(readonly table: Table) {}
  async close(): Promise<void> {}
}

/** What a range held when it was asked for. */
export class Cursor<T> {
  private at = 0

  constructor(
    private readonly entries: [string, Uint8Array][],
    private readonly shape: (key: Uint8Array, value: Uint8Array) => T,
  ) {}

  async next(): Promise<T | undefined> {
    return this.take(1)[0]
  }

  async nextv(count: number): Promise<T[]> {
    return this.take(count)
  }

  async all(): Promise<T[]> {
    return this.take(this.entries.length)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (const each of this.take(this.entries.length)) yield each
  }

  seek(target: Uint8Array): void {
    const key = toKey(target)
    this.at = this.entries.findIndex(([each]) => each >= key)
    if (this.at < 0) this.at = this.entries.length
  }

  async close(): Promise<void> {}

  private take(count: number): T[] {
    const taken: T[] = []
    for (const end = Math.min(this.at + count, this.entries.length); this.at < end; this.at++) {
      const [key, value] = this.entries[this.at]!
      taken.push(this.shape(fromKey(key), value))
    }
    return taken
  }
}

export class LightLevel {
  private readonly table: Table

  constructor(rows: Rows = new Map()) {
    this.table = new Table(new Map(rows), [...rows.keys()].sort())
  }

  async open(): Promise<void> {}
  async close(): Promise<void> {}

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.table.rows.get(toKey(key))
  }

  async getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return keys.map((key) => this.table.rows.get(toKey(key)))
  }

  async batch(operations: readonly Operation[], _options?: unknown): Promise<void> {
    this.table.apply(operations)
  }

  get rows(): ReadonlyMap<string, Uint8Array> {
    return this.table.rows
  }

  /** Puts other bytes in a row's place, or takes it away, as no program would. */
  put(name: string, value: Uint8Array | undefined): void {
    const key = fromKey(name)
    this.table.apply([value ? { type: 'put', key, value } : { type: 'del', key }])
  }

  iterator(range: Range): Cursor<[Uint8Array, Uint8Array]> {
    return new Cursor(this.within(range), (key, value) => [key, value])
  }

  keys(range: Range): Cursor<Uint8Array> {
    return new Cursor(this.within(range), (key) => key)
  }

  snapshot(): Snapshot {
    return new Snapshot(new Table(new Map(this.table.rows), [...this.table.order]))
  }

  private within(range: Range): [string, Uint8Array][] {
    return (range.snapshot?.table ?? this.table).entries(range)
  }
}
