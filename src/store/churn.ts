/**
 * Which stretches of the store were written over and over. LevelDB keeps what a write replaces until it happens to
 * merge the files that hold it, which for a case under a busy pen is a hundred times what is left.
 */
import type { Write } from './sealed-db.js'

/** One letter and an id: a case's parts, a log's checks. Longer keys share their stretch with their siblings. */
const STRETCH_BYTES = 17
/** Places for what was written once. Two stretches that share one hide each other, which costs room and no more. */
const SEEN_PLACES = 4096
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
  /** Hashes of stretches: most are written once, as in a first sync, and are watched from the second time on. */
  private readonly seen = new Int32Array(SEEN_PLACES)
  /** Bytes written to worn stretches: about what merging would give back. */
  wornBytes = 0

  note(writes: Write[]): void {
    for (const { key, value } of writes) {
      const hash = hashOf(key)
      const place = (hash >>> 0) % SEEN_PLACES
      if (this.seen[place] !== hash) {
        this.seen[place] = hash
        continue
      }
      const name = nameOf(key)
      const stretch = this.stretches.get(name) ?? { key: key.slice(0, STRETCH_BYTES), writes: 0, bytes: 0 }
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

/** A stretch as maps know it. Made for every value that is written, and a view of a small array would cost most of it. */
function nameOf(key: Uint8Array): string {
  if (key.length < STRETCH_BYTES) return String.fromCharCode(...key)
  for (let at = 0; at < STRETCH_BYTES; at++) codes[at] = key[at]!
  return String.fromCharCode.apply(null, codes)
}

const codes: number[] = new Array(STRETCH_BYTES).fill(0)

/** Behind every key that begins with this one, however long. */
function endOf(key: Uint8Array): Uint8Array {
  const end = new Uint8Array(key.length + 8).fill(0xff)
  end.set(key)
  return end
}

/** FNV-1a of a key's stretch. */
function hashOf(key: Uint8Array): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < STRETCH_BYTES && at < key.length; at++) hash = Math.imul(hash ^ key[at]!, 0x01000193)
  return hash
}
