/**
 * A database whose every value is sealed under the device's data key, with its level key as associated
 * data: a value that was changed, moved or swapped doesn't open, so no flipped bit passes silently.
 */
import type { AbstractLevel } from 'abstract-level'
import type { Natives } from '../protocol/natives.js'
import { Churn } from './churn.js'

export type Database = AbstractLevel<string | Buffer | Uint8Array, Uint8Array, Uint8Array>

export type Write = { key: Uint8Array; value: Uint8Array } | { key: Uint8Array; value: undefined }

/** A value that is there but doesn't open. */
export class DamagedError extends Error {
  override readonly name = 'DamagedError'
  constructor(
    readonly key: Uint8Array,
    /** It was put in the place of what was lost (`writeUnreadable`): nothing has rotted since. */
    readonly isStandIn = false,
  ) {
    super('a stored value is damaged')
  }
}

/** The disk refused; nothing of the batch may be relied on. `full` when it is out of space. */
export class WriteFailedError extends Error {
  override readonly name = 'WriteFailedError'
  readonly full: boolean
  constructor(override readonly cause: unknown) {
    super('the store could not be written')
    const text = `${cause} ${(cause as { cause?: unknown })?.cause ?? ''}`
    this.full = /ENOSPC|No space left|EDQUOT|Disk quota/i.test(text)
  }
}

/** The store was saved by a newer version: it may be read, not written. */
export class ReadOnlyError extends Error {
  override readonly name = 'ReadOnlyError'
  constructor(readonly version: number) {
    super('the store is of a newer version')
  }
}

const isCorruption = (error: unknown) => {
  const { code, cause } = error as { code?: string; cause?: { code?: string } }
  return code === 'LEVEL_CORRUPTION' || cause?.code === 'LEVEL_CORRUPTION'
}

const NONCE_BYTES = 24
/** A synced write carries everything before it to the disk; this one leaves nothing behind. */
const FLUSH_MARK: Write = { key: Uint8Array.of(0x7a), value: undefined }
const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const

export interface SealedDbOptions {
  db: Database
  natives: Natives
  dataKey: Uint8Array
  random: (bytes: number) => Uint8Array
  /** The database could not read its own files: reading again won't help, and the next start must put it in order. */
  onCorrupt?: () => void
  /** Merges what the database has stored between two keys; undefined where it needs no such thing. */
  compact?: (from: Uint8Array, to: Uint8Array) => Promise<void>
  /** Looks at a key, in vain or not; undefined where what was read is not held in memory anyway. */
  glance?: (key: Uint8Array) => void
}

export class SealedDb {
  /** Something was written since the last flush. */
  private dirty = false
  private flushing: Promise<void> | undefined
  private failure: WriteFailedError | undefined
  private readonly churn = new Churn()
  /** The newer version that saved this store, if one did. */
  newerVersion: number | undefined

  constructor(private readonly options: SealedDbOptions) {}

  /** Set after a failed write: a failed batch may come back at the next opening, so nothing more is written. */
  get failed(): WriteFailedError | undefined {
    return this.failure
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const stored = await this.reading(
      key,
      () => this.options.db.get(key, VIEW) as Promise<Uint8Array | undefined>,
    )
    return stored === undefined ? undefined : this.unseal(key, stored)
  }

  async getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const stored = await this.reading(
      keys[0],
      () => this.options.db.getMany(keys, VIEW) as Promise<(Uint8Array | undefined)[]>,
    )
    return stored.map((value, at) => (value === undefined ? undefined : this.unseal(keys[at]!, value)))
  }

  /** Rows in key order, in batches. A damaged row is reported to `onDamaged` and left out; without it, thrown. */
  async *rows(
    range: { gte?: Uint8Array; gt?: Uint8Array; lt: Uint8Array; limit?: number },
    onDamaged?: (key: Uint8Array) => void,
  ): AsyncGenerator<{ key: Uint8Array; value: Uint8Array }> {
    const iterator = this.options.db.iterator({ ...VIEW, ...range })
    try {
      for (;;) {
        const entries = await this.reading(
          range.gte ?? range.gt,
          () => iterator.nextv(100) as Promise<[Uint8Array, Uint8Array][]>,
        )
        if (entries.length === 0) return
        for (const [key, stored] of entries) {
          let value: Uint8Array
          try {
            value = this.unseal(key, stored)
          } catch (error) {
            if (!onDamaged || !(error instanceof DamagedError)) throw error
            onDamaged(key)
            continue
          }
          yield { key, value }
        }
      }
    } finally {
      await iterator.close()
    }
  }

  /** The keys of a range, values unread. */
  async keysIn(range: { gte: Uint8Array; lte: Uint8Array; limit?: number }): Promise<Uint8Array[]> {
    return this.reading(
      range.gte,
      () => this.options.db.keys({ ...range, keyEncoding: 'view' }).all() as Promise<Uint8Array[]>,
    )
  }

  /** What the database can't read in its own files is damaged like a value that doesn't open. */
  private async reading<T>(key: Uint8Array | undefined, read: () => Promise<T>): Promise<T> {
    try {
      return await read()
    } catch (error) {
      if (!isCorruption(error)) throw error
      this.options.onCorrupt?.()
      throw new DamagedError(key ?? new Uint8Array(0))
    }
  }

  /** One atomic batch. Not durable until `flush`. */
  async write(writes: Write[]): Promise<void> {
    if (writes.length === 0) return
    this.checkWritable()
    this.dirty = true
    await this.writeLightly(writes)
    // A flush that began before this batch was done may not have reached it.
    this.dirty = true
  }

  /** The same for what is never announced and may be lost: the next flush takes it along, but there is none for it. */
  async writeLightly(writes: Write[]): Promise<void> {
    this.checkWritable()
    await this.attempt(() => this.options.db.batch(this.sealAll(writes), VIEW))
    if (this.options.compact) this.churn.note(writes)
  }

  /** Values that don't open, in the place of what has been lost. Not durable until `flush`. */
  async writeUnreadable(keys: Uint8Array[]): Promise<void> {
    this.checkWritable()
    this.dirty = true
    const nothing = new Uint8Array(0)
    await this.attempt(() =>
      this.options.db.batch(
        keys.map((key) => ({ type: 'put' as const, key, value: nothing })),
        VIEW,
      ),
    )
    this.dirty = true
  }

  private checkWritable(): void {
    if (this.newerVersion !== undefined) throw new ReadOnlyError(this.newerVersion)
    if (this.failure) throw this.failure
  }

  /**
   * For who reads very much, one key after the other. LevelDB keeps the last 64 tables that it has read mapped into
   * memory, each of them read to its end by then. One look somewhere else opens another table in the place of the
   * oldest, and hardly anything of it is read.
   */
  glance(elsewhere: Uint8Array): void {
    this.options.glance?.(elsewhere)
  }

  /** Gives the room of replaced values back, if that is more than `worthBytes`. */
  async tidy(worthBytes: number): Promise<void> {
    const { compact } = this.options
    if (!compact || this.failure || this.churn.wornBytes < worthBytes) return
    for (const { from, to } of this.churn.take()) await compact(from, to)
  }

  /** Everything written so far survives a power cut once this returns. Concurrent calls share one flush. */
  async flush(): Promise<void> {
    while (this.flushing) await this.flushing
    if (this.failure) throw this.failure
    if (!this.dirty) return
    this.dirty = false
    this.flushing = this.attempt(() =>
      this.options.db.batch(this.sealAll([FLUSH_MARK]), { ...VIEW, sync: true } as object),
    )
    try {
      await this.flushing
    } finally {
      this.flushing = undefined
    }
  }

  get isDirty(): boolean {
    return this.dirty || this.flushing !== undefined
  }

  private async attempt(run: () => Promise<void>): Promise<void> {
    try {
      await run()
    } catch (error) {
      if (isCorruption(error)) this.options.onCorrupt?.()
      this.failure = new WriteFailedError(error)
      throw this.failure
    }
  }

  private sealAll(writes: Write[]) {
    return writes.map(({ key, value }) =>
      value === undefined
        ? { type: 'del' as const, key }
        : { type: 'put' as const, key, value: this.sealed(key, value) },
    )
  }

  /** A value as it is stored under this key, behind `room` bytes for the caller to fill. */
  sealed(key: Uint8Array, value: Uint8Array, room = 0): Uint8Array {
    const { natives, dataKey, random } = this.options
    const nonce = random(NONCE_BYTES)
    const stored = natives.seal(dataKey, nonce, value, key, room + NONCE_BYTES)
    stored.set(nonce, room)
    return stored
  }

  /** What was sealed under this key, or undefined. */
  opened(key: Uint8Array, stored: Uint8Array): Uint8Array | undefined {
    if (stored.length < NONCE_BYTES) return undefined
    const { natives, dataKey } = this.options
    return natives.open(dataKey, stored.subarray(0, NONCE_BYTES), stored.subarray(NONCE_BYTES), key)
  }

  private unseal(key: Uint8Array, stored: Uint8Array): Uint8Array {
    const value = this.opened(key, stored)
    if (!value) throw new DamagedError(key, stored.length === 0)
    return value
  }
}
