/**
 * Group commit: what comes while a flush is under way shares the next one. One writer, so each decision sees
 * everything that was decided before it; nothing is answered before its batch is on the disk.
 */
import type { Natives } from '../../src/protocol/natives.js'
import { type Database, isFull, VIEW, type Write } from './database.js'
import { checked, withChecksum } from './rows.js'

/** Envelopes in one batch: what waits behind it waits a few tens of milliseconds. */
const MAX_GROUP_BYTES = 8 * 1024 * 1024
const MAX_GROUP_TASKS = 2048
/** Readers try to open the database again no sooner: many wait where the disk goes on refusing. */
const TRY_AGAIN_MS = 1_000

export type Outcome<T> = { value: T } | { failed: 'full' | 'failed' }

/** Rows as they will be once everything before is written; undefined for none, or one that is damaged. */
export type View = (key: Uint8Array) => Uint8Array | undefined

export interface Decision<T> {
  writes: Write[]
  value: T
  /** Called once the writes are durable. */
  durable?: () => void
}

interface Task {
  keys: readonly Uint8Array[]
  bytes: number
  /** Reads for itself, so it has a batch of its own. */
  isAlone: boolean
  decide(view: View): Decision<unknown> | Promise<Decision<unknown>>
  settle(outcome: Outcome<unknown>): void
}

export interface CommitterOptions {
  natives: Natives
  db: Database
  reopen: (db: Database) => Promise<Database>
  /** The database has been opened anew: whatever was remembered of it is void. */
  onReopened: () => Promise<void>
  log: (line: string) => void
  /** How long each flush took, in milliseconds, and how many requests shared it. */
  onFlush?: ((ms: number, tasks: number) => void) | undefined
}

export class Committer {
  db: Database
  private queue: Task[] = []
  private running: Promise<void> | undefined
  private isDown = false
  /** While the database is being opened anew. */
  private recovery: Promise<boolean> | undefined
  private triedAt = 0
  private isClosed = false

  constructor(private readonly options: CommitterOptions) {
    this.db = options.db
  }

  /** `decide` may look at `keys` through the view, and must not wait. */
  commit<T>(
    keys: readonly Uint8Array[],
    decide: (view: View) => Decision<T>,
    bytes = 0,
  ): Promise<Outcome<T>> {
    return this.enqueue({ keys, bytes, isAlone: false, decide })
  }

  /** `decide` reads the database itself; nothing else is written meanwhile. */
  alone<T>(decide: () => Promise<Decision<T>>): Promise<Outcome<T>> {
    return this.enqueue({ keys: [], bytes: 0, isAlone: true, decide })
  }

  private enqueue<T>(task: Omit<Task, 'settle'>): Promise<Outcome<T>> {
    if (this.isClosed) return Promise.resolve({ failed: 'failed' })
    return new Promise((resolve) => {
      this.queue.push({ ...task, settle: (outcome) => resolve(outcome as Outcome<T>) })
      this.running ??= this.run()
    })
  }

  private async run(): Promise<void> {
    // What else is asked for in this turn belongs to the same group.
    await undefined
    while (this.queue.length > 0) await this.commitGroup(this.nextGroup())
    this.running = undefined
  }

  private nextGroup(): Task[] {
    if (this.queue[0]!.isAlone) return this.queue.splice(0, 1)
    let count = 0
    for (let bytes = 0; count < Math.min(this.queue.length, MAX_GROUP_TASKS); count++) {
      const task = this.queue[count]!
      bytes += task.bytes
      if (task.isAlone || (count > 0 && bytes > MAX_GROUP_BYTES)) break
    }
    return this.queue.splice(0, count)
  }

  private async commitGroup(group: Task[]): Promise<void> {
    if (this.isDown && !(await this.recover())) return fail(group, 'failed')
    let decisions: Decision<unknown>[]
    try {
      decisions = await this.decideAll(group)
      await this.write(
        decisions.flatMap(({ writes }) => writes),
        group.length,
      )
    } catch (error) {
      // Decisions were made on what is now void.
      this.isDown = true
      const reason = isFull(error) ? 'full' : 'failed'
      this.options.log(`The store couldn't be written: ${reasonOf(error)}`)
      await this.recover()
      return fail(group, reason)
    }
    group.forEach((task, at) => {
      decisions[at]!.durable?.()
      task.settle({ value: decisions[at]!.value })
    })
  }

  private async decideAll(group: Task[]): Promise<Decision<unknown>[]> {
    const rows = new Map<string, Uint8Array | undefined>()
    const wanted = group.flatMap(({ keys }) => keys)
    const stored = wanted.length === 0 ? [] : await this.getMany(wanted)
    wanted.forEach((key, at) => {
      rows.set(nameOf(key), stored[at])
    })
    const view: View = (key) => {
      const name = nameOf(key)
      if (!rows.has(name)) throw new Error('a row is used that was not asked for')
      return rows.get(name)
    }
    const decisions: Decision<unknown>[] = []
    for (const task of group) {
      const decision = await task.decide(view)
      for (const { key, value } of decision.writes) if (group.length > 1) rows.set(nameOf(key), value)
      decisions.push(decision)
    }
    return decisions
  }

  /** Checked values; undefined for none and for damaged ones. Throws where the database can't be read. */
  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const stored = (await this.db.getMany([...keys], VIEW)) as (Uint8Array | undefined)[]
    return stored.map((value, at) => value && checked(this.options.natives, keys[at]!, value))
  }

  private async write(decided: Write[], tasks: number): Promise<void> {
    if (decided.length === 0) return
    const { natives } = this.options
    const operations = newest(decided).map(({ key, value }) =>
      value === undefined
        ? { type: 'del' as const, key }
        : { type: 'put' as const, key, value: withChecksum(natives, key, value) },
    )
    const began = performance.now()
    await this.db.batch(operations, { ...VIEW, sync: true } as object)
    this.options.onFlush?.(performance.now() - began, tasks)
  }

  /** Readers wait here while the database is opened anew; where that failed they try it again: maybe nobody writes. */
  async whenOpen(): Promise<void> {
    if (this.recovery) await this.recovery
    else if (this.isDown && !this.isClosed && performance.now() - this.triedAt >= TRY_AGAIN_MS)
      await this.recover()
  }

  /** After a failed write LevelDB refuses all others until it is opened anew. */
  private recover(): Promise<boolean> {
    this.recovery ??= this.openAgain().finally(() => {
      this.recovery = undefined
    })
    return this.recovery
  }

  private async openAgain(): Promise<boolean> {
    this.triedAt = performance.now()
    try {
      this.db = await this.options.reopen(this.db)
      await this.options.onReopened()
      this.isDown = false
      return true
    } catch (error) {
      this.options.log(`The store can't be opened again yet: ${reasonOf(error)}`)
      return false
    }
  }

  /** What is under way is finished first. */
  async close(): Promise<void> {
    this.isClosed = true
    await this.running
    await this.recovery
  }
}

/** Without what a later decision of the group writes under the very same key, which is one object then. */
function newest(writes: Write[]): Write[] {
  const last = new Map(writes.map((write) => [write.key, write]))
  return last.size === writes.length ? writes : writes.filter((write) => last.get(write.key) === write)
}

/** A key as a map's key; shorter and quicker than hex. */
const nameOf = (key: Uint8Array) => Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')

function fail(group: Task[], failed: 'full' | 'failed'): void {
  for (const task of group) task.settle({ failed })
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { message?: string } }
  return `${cause?.message ?? message ?? error}`
}
