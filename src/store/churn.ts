/**
 * Which stretches of the store were written over and over. LevelDB keeps what a write replaces until it happens to
 * merge the files that hold it, which for a case under a busy pen is a hundred times what is left.
 */
import type { Write } from './sealed-db.js'

/** One letter and an id: a case's parts, a log's checks. Longer keys share their stretch with their siblings. */
const STRETCH_BYTES = 17
/** So many stretches are watched; the one that was written longest ago makes room. */
const MAX_STRETCHES = 256
/** Writes to one stretch from which on most of them count as replaced. */
const WORN_WRITES = 64

export interface Stretch {
  from: Uint8Array
  to: Uint8Array
}

export class Churn {
  private stretches = new Map<string, { key: Uint8Array; writes: number; bytes: number }>()
  /** Bytes written to worn stretches: about what merging would give back. */
  wornBytes = 0

  note(writes: Write[]): void {
    for (const { key, value } of writes) {
      const start = key.subarray(0, STRETCH_BYTES)
      const name = String.fromCharCode.apply(null, start as unknown as number[])
      const stretch = this.stretches.get(name) ?? { key: start, writes: 0, bytes: 0 }
      stretch.writes++
      stretch.bytes += key.length + (value?.length ?? 0)
      if (stretch.writes === WORN_WRITES) this.wornBytes += stretch.bytes
      else if (stretch.writes > WORN_WRITES) this.wornBytes += key.length + (value?.length ?? 0)
      this.stretches.delete(name)
      this.stretches.set(name, stretch)
    }
    while (this.stretches.size > MAX_STRETCHES) this.drop(this.stretches.keys().next().value!)
  }

  private drop(name: string): void {
    const { writes, bytes } = this.stretches.get(name)!
    if (writes >= WORN_WRITES) this.wornBytes -= bytes
    this.stretches.delete(name)
  }

  /** The worn stretches, to be merged now; counting begins anew. */
  take(): Stretch[] {
    const worn = [...this.stretches.values()].filter(({ writes }) => writes >= WORN_WRITES)
    this.stretches = new Map()
    this.wornBytes = 0
    return worn.map(({ key }) => ({ from: key, to: endOf(key) }))
  }
}

/** Behind every key that begins with this one, however long. */
function endOf(key: Uint8Array): Uint8Array {
  const end = new Uint8Array(key.length + 8).fill(0xff)
  end.set(key)
  return end
}
