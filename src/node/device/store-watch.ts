/** Looks at the files under the store while it is open: LevelDB reads tables that have rotted without a word. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Practice } from './practice-state.js'
import type { RosterKeeper } from './roster-keeper.js'
import { rottenTables, tablesIn } from './store-files.js'

/** A start has better things to do at first. */
const FIRST_LOOK_MS = 30_000
/** Between two tables of 2 MB, a few milliseconds each. */
const PAUSE_MS = 200
/** A table is written within seconds. */
const UNFINISHED_MS = 60_000

export const ROTTEN = 'Some stored data is damaged. Start Kartoteka again: it is put in order then.'

/** What the person is told after a damaged store was put in order. */
export function damageSentence(keeper: RosterKeeper): string {
  return keeper.others().length > 0
    ? 'Some stored data was damaged. Everything is fetched again from your other devices.'
    : 'Some stored data was damaged, and no other device has a copy. Everything that can be read is here.'
}

export class StoreWatch {
  private timer: NodeJS.Timeout | undefined
  private isStopped = false
  private telling: Promise<void> | undefined
  private readonly store: string
  /** Tables of earlier starts: whatever they lack, nobody is writing them. */
  private readonly finished: ReadonlySet<string>
  /** Tables without an end, and when they were first seen. */
  private readonly endless = new Map<string, number>()

  constructor(
    folder: string,
    private readonly practice: Practice,
    /** Durable when it returns. */
    private readonly doubtAtNextStart: () => Promise<void>,
  ) {
    this.store = join(folder, 'store')
    this.finished = new Set(tablesIn(this.store))
  }

  /** One look at everything, after a while and without haste. */
  start(): void {
    this.timer = setTimeout(
      () => void this.look(() => sleep(PAUSE_MS, undefined, { ref: false })),
      FIRST_LOOK_MS,
    )
    this.timer.unref()
  }

  stop(): void {
    this.isStopped = true
    clearTimeout(this.timer)
  }

  /** True if a table has rotted. */
  async look(pause?: () => Promise<void>): Promise<boolean> {
    if (this.practice.isRotten) return true
    const rotten = await rottenTables(this.store, (path) => this.mayBeUnfinished(path), pause)
    if (rotten.length > 0 && !this.isStopped) await this.rotten()
    return rotten.length > 0
  }

  private mayBeUnfinished(path: string): boolean {
    if (this.finished.has(path)) return false
    const since = this.endless.get(path) ?? performance.now()
    this.endless.set(path, since)
    return performance.now() - since < UNFINISHED_MS
  }

  /** The person is told, and the next start puts the store in order. */
  rotten(): Promise<void> {
    this.telling ??= this.tell()
    return this.telling
  }

  private async tell(): Promise<void> {
    // First: whoever reads that a new start helps may start anew at once.
    await this.doubtAtNextStart().catch(() => {})
    this.practice.isRotten = true
    this.practice.options.emit({ type: 'status' })
    await this.practice.options.notes.say('store-damaged', ROTTEN)
  }
}
