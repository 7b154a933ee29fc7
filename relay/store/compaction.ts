/**
 * Giving the disk back. LevelDB keeps what was deleted until it happens to rewrite that part; acknowledged mail
 * must not lie around for so long. So a practice's part is rewritten when it has been quiet for a while, and
 * everything when nothing is left at all.
 */
import { toHex } from '../../src/protocol/bytes.js'
import { type Database, VIEW } from './database.js'
import { rangeOf } from './keys.js'

/** Calls of `step` without a deletion in that practice. */
const QUIET_STEPS = 3
/** So much garbage is not waited for. */
const MUCH_BYTES = 64 * 1024 * 1024
/** What the database may hold beyond its mail before a start begins with tidying. */
const FLOOR_BYTES = 256 * 1024

interface Garbage {
  practice: Uint8Array
  bytes: number
  quiet: number
}

export class Compaction {
  idle: Promise<void> = Promise.resolve()
  private readonly garbage = new Map<string, Garbage>()
  /** A part was given back; the rows beside it are still there. */
  private isWholeDue = false

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

  /** About once a second; `isEmpty`: no mail is held at all. */
  async step(isEmpty: boolean): Promise<void> {
    await this.idle
    if (this.db().compactRange === undefined) return this.garbage.clear()
    this.idle = this.work(isEmpty)
    await this.idle
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
      return this.rewrite(new Uint8Array(0), Uint8Array.of(0xff))
    }
    if (!due) return
    this.garbage.delete(toHex(due.practice))
    for (const letter of ['b', 'm', 'w']) {
      const { gte, lt } = rangeOf(letter, due.practice)
      await this.rewrite(gte, lt)
    }
  }

  /**
   * Twice: the first call may move what is in memory to the deepest level as it is, deleted values included. A
   * pair of rows around the range makes the second one merge that level again.
   */
  private async rewrite(from: Uint8Array, to: Uint8Array): Promise<void> {
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
