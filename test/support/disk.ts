/**
 * A disk that forgets: memory-level with a journal of what was not flushed. A crash keeps everything up to the
 * last flush and any beginning of what came after it, as LevelDB's log does.
 */
import { MemoryLevel } from 'memory-level'
import type { Database } from '../../src/store/sealed-db.js'

type Rows = Map<string, Uint8Array>
type Operation = { type: 'put' | 'del'; key: Uint8Array; value?: Uint8Array }

export class Disk {
  private durable: Rows = new Map()
  private journal: Operation[][] = []
  db: Database
  batches = 0

  constructor() {
    this.db = this.open()
  }

  private open(): Database {
    const level = new MemoryLevel<Uint8Array, Uint8Array>({
      keyEncoding: 'view',
      valueEncoding: 'view',
      storeEncoding: 'view',
    })
    const batch = level.batch.bind(level) as (operations: unknown, options?: unknown) => Promise<void>
    Object.assign(level, {
      batch: async (operations: Operation[], options?: { sync?: boolean }) => {
        this.batches++
        await batch(operations, options)
        this.journal.push(operations)
        if (options?.sync) this.settle()
      },
    })
    return level as unknown as Database
  }

  private settle(): void {
    for (const operations of this.journal.splice(0)) applyTo(this.durable, operations)
  }

  get unflushed(): number {
    return this.journal.length
  }

  /** Power goes: some beginning of the unflushed batches survives. */
  async crash(kept: number): Promise<void> {
    this.journal.length = Math.min(this.journal.length, kept)
    this.settle()
    await this.replace(this.durable)
  }

  snapshot(): Rows {
    return new Map(this.durable)
  }

  async restore(rows: Rows): Promise<void> {
    this.journal = []
    this.durable = new Map(rows)
    await this.replace(this.durable)
  }

  private async replace(rows: Rows): Promise<void> {
    this.db = this.open()
    const operations = [...rows].map(([key, value]) => ({ type: 'put' as const, key: fromKey(key), value }))
    await this.db.batch(operations as never)
    this.journal = []
  }
}

const toKey = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')
const fromKey = (key: string) => Uint8Array.from(Buffer.from(key, 'latin1'))

function applyTo(rows: Rows, operations: Operation[]): void {
  for (const { type, key, value } of operations) {
    if (type === 'put') rows.set(toKey(key), Uint8Array.from(value!))
    else rows.delete(toKey(key))
  }
}
