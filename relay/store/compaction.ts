/**
 * Giving the disk back. LevelDB keeps what was deleted until it happens to rewrite that part; acknowledged mail
 * must not lie around for so long. So a practice's part is rewritten when it has been quiet for a while, and
 * everything when nothing is left at all.
 */
import { toHex } from '../../src/protocol/bytes.js'
import { type Database, VIEW } from './database.js'
import { type Range, rangeOf } from './keys.js'

/** Calls of `step` without a deletion in that practice. */
const QUIET_STEPS = 3
/** So much garbage is not waited for. */
const MUCH_BYTES = 64 * 1024 * 1024
/** Calls of `step` for which a disk that refused is left alone. */
const REST_STEPS = 60
/** What the database may hold beyond its mail before a start begins with tidying. */
const FLOOR_BYTES = 256 * 1024

interface Garbage {
  practice: Uint8Array
  bytes: number
  quiet: number
}

export class Compaction {
  /** Never rejects: what failed holds up neither what follows nor the end. */
  idle: Promise<void> = Promise.resolve()
  private readonly garbage = new Map<string, Garbage>()
  /** A part was given back; the rows beside it are still there. */
  private isWholeDue = false
  private restSteps = 0

  constructor(private readonly db: () => Database) {}

  /** An earlier run may have ended before it had tidied up. */
  async begin(mailBytes: number): Promise<void> {
    const { gte, lt } = rangeOf('b')
    const held = await this.db().approximateSize?.(gte, lt, VIEW)
    this.isWholeDue = held !== undefined && held > 1.25 * mailBytes + FLOOR_BYTES
  }

  note(practice: Uint8Array, bytes: number): void {
    const name = toHex(practice)
    const before = this.garbage.get(name)?.bytes ?? 0
    this.garbage.set(name, { practice, bytes: before + bytes, quiet: 0 })
  }

  /** About once a second; `isEmpty`: no mail is held at all. Rejects where the disk refuses, and tries again later. */
  async step(isEmpty: boolean): Promise<void> {
    await this.idle
    if (this.db().compactRange === undefined) return this.garbage.clear()
    if (this.restSteps > 0) {
      this.restSteps--
      return
    }
    const work = this.work(isEmpty)
    this.idle = work.catch(() => {
      this.restSteps = REST_STEPS
    })
    await work
  }

  private async work(isEmpty: boolean): Promise<void> {
    let due: Garbage | undefined
    for (const each of this.garbage.values()) {
      each.quiet += 1
      if (each.quiet >= QUIET_STEPS || each.bytes >= MUCH_BYTES) due ??= each
    }
    if (due && isEmpty) this.isWholeDue = true
    if (this.isWholeDue && (isEmpty || !due)) {
      this.isWholeDue = false
      this.garbage.clear()
      return this.rewrite([{ gte: new Uint8Array(0), lt: Uint8Array.of(0xff) }], () => {
        this.isWholeDue = true
      })
    }
    if (!due) return
    const { practice, bytes } = due
    this.garbage.delete(toHex(practice))
    await this.rewrite(
      ['b', 'm', 'w'].map((letter) => rangeOf(letter, practice)),
      () => this.note(practice, bytes),
    )
  }

  /** `failed`: before it rejects. */
  private async rewrite(ranges: Range[], failed: () => void): Promise<void> {
    try {
      for (const range of ranges) await this.rewriteOne(range)
    } catch (error) {
      failed()
      throw error
    }
  }

  /**
   * Twice: the first call may move what is in memory to the deepest level as it is, deleted values included. A
   * pair of rows around the range makes the second one merge that level again.
   */
  private async rewriteOne({ gte: from, lt: to }: Range): Promise<void> {
    const db = this.db()
    await db.compactRange?.(from, to, VIEW)
    // Deletions of keys that nothing has: they are rows to LevelDB all the same.
    const edge = Uint8Array.of(...from, 0)
    await db.batch(
      [
        { type: 'del', key: edge },
        { type: 'del', key: to },
      ],
      VIEW,
    )
    await db.compactRange?.(from, to, VIEW)
  }
}
