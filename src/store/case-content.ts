/**
 * A case as stored: its parts (coded Yjs updates; the first is usually the merged state), what it has seen
 * of each log (touched), what waits for its base (parked), and its list row. Works on raw updates: a Y.Doc
 * is built only to project a row of a case that nobody has open, and to compact.
 *
 *  [S1] touched(case, log) ≥ every sequence of that log whose content the case contains;
 *  [S2] the same set of changes gives the same content, whatever the order (void, parked, erased included).
 */
import * as Y from 'yjs'
import { inspectUpdate, STATE_LIMITS } from '../cases/inspect.js'
import { equalBytes, U32_MAX } from '../protocol/bytes.js'
import { advance, type Clocks, fits, type UpdateContents } from '../protocol/content.js'
import {
  COMPACT_PARTS,
  COMPACT_TAIL_BYTES,
  LARGE_PART_BYTES,
  MAX_CHANGE_BYTES,
  MAX_PAYLOAD_BYTES,
  MAX_STATE_BYTES,
} from '../protocol/limits.js'
import { KIND_STATE, KIND_TOMBSTONE, KIND_UPDATE, type LogChange, type LogId } from '../protocol/log.js'
import type { Natives } from '../protocol/natives.js'
import { decodePayload, encodePayload } from '../protocol/payload.js'
import { type CaseState, encodeCase, type Part } from './case-state.js'
import { keys } from './keyspace.js'
import type { SealedDb, Write } from './sealed-db.js'

/** What became of a change's content. */
export type Fate = 'merged' | 'parked' | 'void' | 'erased'

/** Content whose change isn't known: it came as a part of a state, or is of another branch. Nobody ever holds this log. */
export const UNKNOWN_LOG: LogId = '00'.repeat(16)

/** A case being changed within one batch: the new state, and the parts' bytes that come and go with it. */
export class CaseDraft {
  readonly state: CaseState
  private readonly added = new Map<number, Uint8Array>()
  private readonly removed: number[] = []
  /** Raw updates merged by this draft, for a document that is open. */
  readonly merged: Uint8Array[] = []
  /** The whole content was dropped (erased, or a newer generation began). */
  dropped = false
  /** A change has erased what was held, or begun a newer generation. */
  isBegunAnew = false
  /** The row is as it should be, or came with the content: it need not be projected now. */
  rowGiven = false
  /** Parts that are stored were put together with what it adds. */
  private isUnited = false
  /** Numbers of parts that can't be read. */
  gaps: ReadonlySet<number> = new Set()
  /** Its row was there, but can't be read. */
  isRowLost = false
  /** Something of it has rotted since what could be read of it was written last. */
  hasRotted = false
  /** There were parts of it, so that row was counted: one that was erased has none. */
  hadParts = false
  /** It brings a damaged case back whole. */
  heals = false
  /** Others changed it, and will often go on: the document that its row is projected from may be of use again. */
  isOthers = false
  /** That document, if nobody has the case open. */
  projected: Y.Doc | undefined

  constructor(
    /** The case as it was before. */
    readonly base: CaseState,
    private readonly natives: Natives,
  ) {
    this.state = {
      ...base,
      touched: new Map(base.touched),
      parts: [...base.parts],
      clocks: new Map(base.clocks),
      parked: [...base.parked],
    }
  }

  /** Parts with these numbers go, and new ones are numbered behind them. */
  replaceParts(numbers: number[]): void {
    for (const number of numbers) {
      this.removed.push(number)
      this.state.nextPart = Math.max(this.state.nextPart, number + 1)
    }
  }

  /** Parts that can't be read stay named: without them the case is not whole, and opens nowhere as if it were. */
  noteGaps(gaps: Part[]): void {
    this.gaps = new Set(gaps.map(({ number }) => number))
    this.state.parts.push(...gaps)
  }

  touch(log: LogId, seq: number): void {
    if (seq > (this.state.touched.get(log) ?? 0)) this.state.touched.set(log, seq)
  }

  /** [S2] Takes one authentic change in. */
  apply(log: LogId, seq: number, change: LogChange): Fate {
    this.touch(log, seq)
    if (change.kind === KIND_TOMBSTONE) {
      this.erase(Math.min(change.generation + 1, U32_MAX))
      this.isBegunAnew ||= this.dropped
      return 'erased'
    }
    if (change.kind !== KIND_UPDATE && change.kind !== KIND_STATE) return 'void'
    if (!this.enterGeneration(change.generation)) return 'erased'
    this.isBegunAnew ||= this.dropped
    return this.takePayload(log, seq, change.payload, change.kind === KIND_STATE)
  }

  /** False if content of this generation is erased or superseded; a newer one replaces what was there. */
  enterGeneration(generation: number): boolean {
    if (generation < this.state.erased || generation < this.state.generation) return false
    if (generation > this.state.generation) {
      this.dropContent()
      this.state.generation = generation
    }
    return true
  }

  erase(below: number): void {
    if (below <= this.state.erased) return
    this.state.erased = below
    if (this.state.generation < below) {
      this.dropContent()
      this.state.generation = below
    }
  }

  /** Content of the current generation: merged, or parked until its base is here, or void. */
  takePayload(log: LogId, seq: number, payload: Uint8Array, isState: boolean): Fate {
    const fate = this.tryMerge(payload, isState)
    if (fate === 'parked') {
      const held = this.state.parked.some((parked) => equalBytes(parked.payload, payload))
      if (!held) this.state.parked.push({ log, seq, payload })
    } else if (fate === 'merged') this.retryParked()
    return fate
  }

  /** What waited may fit now. */
  retryParked(): void {
    for (let again = this.state.parked.length > 0; again; ) {
      again = false
      this.state.parked = this.state.parked.filter(({ payload }) => {
        if (this.tryMerge(payload, true) === 'parked') return true
        again = true
        return false
      })
    }
  }

  private tryMerge(payload: Uint8Array, isState: boolean): Fate {
    const update = decodePayload(this.natives, payload, isState ? MAX_STATE_BYTES : MAX_CHANGE_BYTES)
    if (!update) return 'void'
    const contents = isState ? inspectUpdate(update, STATE_LIMITS) : inspectUpdate(update)
    if ('error' in contents) return 'void'
    if (!fits(contents, this.state.clocks)) return 'parked'
    if (contents.clients.length === 0 && contents.deletes.size === 0) return 'merged'
    this.addPart(payload)
    this.noteClocks(contents)
    this.merged.push(update)
    return 'merged'
  }

  /** Looks at parts that came whole from a peer: void ones go, what doesn't fit waits, clocks are counted anew. */
  async check(db: SealedDb): Promise<void> {
    if (!this.state.unchecked) return
    const parts = await this.parts(db)
    for (const { number } of this.state.parts) this.dropPart(number)
    this.state.parts = []
    this.state.clocks = new Map()
    this.state.unchecked = false
    for (const part of parts) this.takePayload(UNKNOWN_LOG, 0, part, true)
    // They were content before: an open document has them.
    this.merged.length = 0
  }

  noteClocks(contents: UpdateContents): void {
    advance(contents, this.state.clocks)
  }

  addPart(payload: Uint8Array): void {
    const number = this.state.nextPart++
    this.state.parts.push({ number, bytes: payload.length })
    this.added.set(number, payload)
  }

  private dropContent(): void {
    this.dropped = true
    for (const { number } of this.state.parts) this.dropPart(number)
    this.state.parts = []
    this.state.clocks = new Map()
    this.state.parked = []
    this.state.row = ''
    this.merged.length = 0
  }

  private dropPart(number: number): void {
    if (!this.added.delete(number)) this.removed.push(number)
  }

  /** All parts' coded bytes, those of this draft included. */
  async parts(db: SealedDb): Promise<Uint8Array[]> {
    const stored = this.state.parts.filter(({ number }) => !this.added.has(number))
    const values = await this.stored(db, stored)
    const byNumber = new Map<number, Uint8Array>(this.added)
    stored.forEach(({ number }, at) => void byNumber.set(number, values[at]!))
    return this.state.parts.map(({ number }) => byNumber.get(number)!)
  }

  /** `merged` is exactly what this draft adds to the parts that are stored. */
  get addsOnlyMerged(): boolean {
    if (this.isUnited || this.dropped || this.base.unchecked) return false
    return this.merged.length === this.added.size
  }

  /** All raw updates of the case, those of this draft as they came. */
  async updates(db: SealedDb): Promise<Uint8Array[]> {
    if (!this.addsOnlyMerged) return decodeParts(this.natives, await this.parts(db), this.state.unchecked)
    const stored = this.state.parts.filter(({ number }) => !this.added.has(number))
    return [...decodeParts(this.natives, await this.stored(db, stored)), ...this.merged]
  }

  private async stored(db: SealedDb, parts: Part[]): Promise<Uint8Array[]> {
    const values = await db.getMany(parts.map(({ number }) => keys.part(this.state.key, number)))
    if (values.includes(undefined)) throw new MissingPartError(this.state.key)
    return values as Uint8Array[]
  }

  /** Merges parts before they become many: the tail by merging updates, everything through a document. */
  async compact(db: SealedDb): Promise<void> {
    const { parts } = this.state
    // Large parts at the beginning stay as they are: with them, one part would outgrow what a message carries.
    const large = parts.findIndex(({ bytes }) => bytes < LARGE_PART_BYTES)
    const [first, ...tail] = large < 0 ? [] : parts.slice(large)
    if (!first || tail.length < COMPACT_PARTS) return
    const tailBytes = tail.reduce((sum, part) => sum + part.bytes, 0)
    const whole = tailBytes > Math.max(COMPACT_TAIL_BYTES, first.bytes / 2)
    const kept = parts.slice(0, whole ? large : large + 1)
    // Which updates belong to which parts is known only once void ones are out.
    if (this.state.unchecked && kept.length > 0) return
    const all = decodeParts(this.natives, await this.parts(db), this.state.unchecked)
    const updates = all.slice(kept.length)
    this.mergeBehind(kept, kept.length === 0 ? mergeThroughDoc(updates) : Y.mergeUpdates(updates))
  }

  /** One part in the place of all that can be read, where that is not too large: what is in several is held once. */
  async unite(db: SealedDb): Promise<void> {
    const gaps = this.state.parts.filter(({ number }) => this.gaps.has(number))
    this.state.parts = this.state.parts.filter(({ number }) => !this.gaps.has(number))
    this.isUnited = true
    // What doesn't fit would be left out of the one part: it waits.
    await this.check(db)
    if (this.state.parts.length > 1) this.mergeBehind([], mergeThroughDoc(await this.updates(db)))
    this.state.parts.push(...gaps)
  }

  private mergeBehind(kept: Part[], merged: Uint8Array): void {
    // One part must stay readable by everybody; what would outgrow that stays in several.
    if (merged.length > MAX_STATE_BYTES) return
    const payload = encodePayload(this.natives, merged)
    if (payload.length > MAX_PAYLOAD_BYTES) return
    for (const { number } of this.state.parts.slice(kept.length)) this.dropPart(number)
    this.state.parts = kept
    this.addPart(payload)
  }

  /** Drops parts whose whole content is in others, too, or can't be read. */
  dropParts(numbers: ReadonlySet<number>): void {
    for (const { number } of this.state.parts) if (numbers.has(number)) this.dropPart(number)
    this.state.parts = this.state.parts.filter(({ number }) => !numbers.has(number))
  }

  writes(): Write[] {
    const { key } = this.state
    return [
      { key: keys.case(key), value: encodeCase(this.state) },
      ...[...this.added].map(([number, value]) => ({ key: keys.part(key, number), value })),
      ...this.removed.map((number) => ({ key: keys.part(key, number), value: undefined })),
    ]
  }
}

/** A part that a case counts on is gone: the case is damaged. */
export class MissingPartError extends Error {
  override readonly name = 'MissingPartError'
  constructor(readonly key: Uint8Array) {
    super('a part of a case is missing')
  }
}

/**
 * Coded parts → raw updates. Parts that were checked before they were stored must decode; unchecked ones are
 * looked at here, and what is void is left out, on every device alike. [D1]
 */
export function decodeParts(natives: Natives, parts: Uint8Array[], unchecked = false): Uint8Array[] {
  const clocks: Clocks = new Map()
  return parts.flatMap((part) => {
    const update = decodePayload(natives, part, MAX_STATE_BYTES)
    if (!unchecked) {
      if (!update) throw new Error('a stored part does not decode')
      return [update]
    }
    const contents = update && inspectUpdate(update, STATE_LIMITS)
    if (!contents || 'error' in contents || !fits(contents, clocks)) return []
    advance(contents, clocks)
    return [update]
  })
}

/** Nothing asks for the id of a document; to make one takes longer than to read a small case. */
export const UNNAMED = { guid: '' }

/** One update with the content of all; equal content, fewer structs than mergeUpdates. */
export function mergeThroughDoc(updates: Uint8Array[]): Uint8Array {
  const doc = docOf(updates)
  const merged = Y.encodeStateAsUpdate(doc)
  doc.destroy()
  return merged
}

export function docOf(updates: Uint8Array[]): Y.Doc {
  const doc = new Y.Doc(UNNAMED)
  doc.transact(() => {
    for (const update of updates) Y.applyUpdate(doc, update)
  })
  return doc
}
