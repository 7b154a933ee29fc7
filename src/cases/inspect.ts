/**
 * What a Yjs update (V1) contains and needs, told from its bytes alone.
 *
 * Yjs applies much that it should not: a deletion far beyond known clocks erases future edits, a bad byte throws half
 * way through. So every foreign update is read here first. The reader builds no document and is bounded by the length
 * of its input; the verdict depends on the bytes only and is therefore the same on every device.
 */
import { Malformed, UpdateCursor } from './update-cursor.js'

/** Bounds of one update; a state of a long-lived case must fit as well as a single change. */
export type InspectionLimits = { bytes: number; structs: number; deletions: number }
export const INSPECTION_LIMITS: InspectionLimits = {
  /** Beyond the largest change (16 MB) by what a long history adds. */
  bytes: 64 * 1024 * 1024,
  structs: 1_000_000,
  /** Scattered deletions cost Yjs quadratic time where they hit large texts. */
  deletions: 50_000,
}

/** A whole state may carry a long history: only its bytes are bounded closely. */
export const STATE_LIMITS: InspectionLimits = {
  bytes: 64 * 1024 * 1024,
  structs: 20_000_000,
  deletions: 5_000_000,
}

export type Inspection = {
  /** Runs of operations in the update, `to` exclusive; a client has several where the update has gaps. */
  clients: { client: number; from: number; to: number }[]
  /**
   * What must be known before the update can be applied whole: client → clock, exclusive end. From origins, right
   * origins, parents, and the beginnings of runs; what the update itself brings is left out.
   */
  needs: Map<number, number>
  /** Where deletions reach: client → clock, exclusive end. May exceed anything that exists. */
  deletes: Map<number, number>
  /** Number of structs, those for garbage and gaps included. */
  structs: number
  /** Number of deleted ranges. */
  deletions: number
}

type Run = { from: number; to: number }
type Id = { client: number; clock: number }

const GC = 0
const SKIP = 10
const HAS_ORIGIN = 0x80
const HAS_RIGHT_ORIGIN = 0x40
const HAS_PARENT_SUB = 0x20
const XML_ELEMENT = 3
const XML_HOOK = 5
const LAST_TYPE = 6

/** Inspects an update. Never throws; `error` is one sentence. */
export function inspectUpdate(
  update: Uint8Array,
  limits: InspectionLimits = INSPECTION_LIMITS,
): Inspection | { error: string } {
  if (update.length > limits.bytes) return { error: 'The update is too large.' }
  try {
    return new Inspector(new UpdateCursor(update), limits).run()
  } catch (error) {
    if (error instanceof Malformed) return { error: error.message }
    throw error
  }
}

class Inspector {
  readonly #runs = new Map<number, Run[]>()
  readonly #references: Id[] = []
  readonly #deletes = new Map<number, number>()
  #structs = 0
  #deletions = 0

  constructor(
    private readonly cursor: UpdateCursor,
    private readonly limits: InspectionLimits,
  ) {}

  run(): Inspection {
    for (let left = this.cursor.uint(); left > 0; left--) this.#client()
    for (let left = this.cursor.uint(); left > 0; left--) this.#deletedRanges()
    if (!this.cursor.atEnd) throw new Malformed('The update goes on after its end.')
    const clients = [...this.#runs].flatMap(([client, runs]) => runs.map((run) => ({ client, ...run })))
    return {
      clients,
      needs: this.#needs(),
      deletes: this.#deletes,
      structs: this.#structs,
      deletions: this.#deletions,
    }
  }

  #client(): void {
    const count = this.cursor.uint()
    const client = this.cursor.uint()
    if (this.#runs.has(client)) throw new Malformed('The update lists a client twice.')
    const runs: Run[] = []
    this.#runs.set(client, runs)
    let clock = this.cursor.uint()
    for (let left = count; left > 0; left--) {
      if (++this.#structs > this.limits.structs) throw new Malformed('The update holds too many operations.')
      const info = this.cursor.byte()
      const kind = info & 0x1f
      // With flags, parts of Yjs take these for what they are, others for items of no known content.
      if ((kind === GC || kind === SKIP) && info !== kind)
        throw new Malformed('The update holds an operation of unknown type.')
      const length = kind === GC || kind === SKIP ? this.cursor.uint() : this.#item(info, client, clock)
      if (length === 0) throw new Malformed('The update holds an empty operation.')
      const to = safe(clock + length)
      const last = runs.at(-1)
      if (kind !== SKIP) {
        if (last?.to === clock) last.to = to
        else runs.push({ from: clock, to })
      }
      clock = to
    }
  }

  /** Reads one item and returns its length in clock ticks. */
  #item(info: number, client: number, clock: number): number {
    if (info & HAS_ORIGIN) this.#reference(client, clock)
    if (info & HAS_RIGHT_ORIGIN) this.#reference(client, clock)
    if (!(info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN))) {
      if (this.cursor.uint() === 1) this.cursor.string()
      else this.#reference(client, clock)
      if (info & HAS_PARENT_SUB) this.cursor.string()
    }
    return this.#content(info & 0x1f)
  }

  #reference(ofClient: number, ofClock: number): void {
    const client = this.cursor.uint()
    const clock = this.cursor.uint()
    if (client === ofClient && clock >= ofClock) throw new Malformed('The update refers to its own future.')
    this.#references.push({ client, clock })
  }

  #content(kind: number): number {
    const { cursor } = this
    switch (kind) {
      case 1: // deleted
        return cursor.uint()
      case 2: {
        const length = cursor.uint()
        for (let left = length; left > 0; left--) cursor.json(true)
        return length
      }
      case 3: // binary
        cursor.buffer()
        return 1
      case 4:
        return cursor.string().length
      case 5: // embed
        cursor.json()
        return 1
      case 6: // format
        cursor.string()
        cursor.json()
        return 1
      case 7: {
        const type = cursor.uint()
        if (type > LAST_TYPE) throw new Malformed('The update holds an operation of unknown type.')
        if (type === XML_ELEMENT || type === XML_HOOK) cursor.string()
        return 1
      }
      case 8: {
        const length = cursor.uint()
        for (let left = length; left > 0; left--) cursor.any()
        return length
      }
      case 9: // A case is one document; and Yjs chokes on the options of another in it.
        throw new Malformed('The update holds a document of its own.')
      default:
        throw new Malformed('The update holds an operation of unknown type.')
    }
  }

  #deletedRanges(): void {
    const client = this.cursor.uint()
    for (let left = this.cursor.uint(); left > 0; left--) {
      if (++this.#deletions > this.limits.deletions)
        throw new Malformed('The update holds too many deletions.')
      const clock = this.cursor.uint()
      const length = this.cursor.uint()
      // Yjs chokes on it where it does not know the client.
      if (length === 0) throw new Malformed('The update holds an empty deletion.')
      const end = safe(clock + length)
      this.#deletes.set(client, Math.max(this.#deletes.get(client) ?? 0, end))
    }
  }

  #needs(): Map<number, number> {
    const needs = new Map<number, number>()
    const need = (client: number, end: number): void => {
      if (end > (needs.get(client) ?? 0)) needs.set(client, end)
    }
    for (const [client, runs] of this.#runs) for (const run of runs) need(client, run.from)
    for (const { client, clock } of this.#references) {
      if (!brings(this.#runs.get(client), clock)) need(client, safe(clock + 1))
    }
    return needs
  }
}

/** Binary search: is the clock inside one of the ascending runs? */
function brings(runs: readonly Run[] | undefined, clock: number): boolean {
  let low = 0
  let high = (runs?.length ?? 0) - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const run = runs![middle]!
    if (clock < run.from) high = middle - 1
    else if (clock >= run.to) low = middle + 1
    else return true
  }
  return false
}

function safe(clock: number): number {
  if (clock > Number.MAX_SAFE_INTEGER) throw new Malformed('The update holds a number out of range.')
  return clock
}
