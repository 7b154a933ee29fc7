/**
 * The cases of a store by key: their states as stored, the last ones kept in memory, and which are damaged.
 * Changes to a case are drafts; `commitCases` (commit.ts) writes them.
 */
import { compareBytes, concat, readU32, toHex } from '../protocol/bytes.js'
import { CASE_KEY_BYTES } from '../protocol/limits.js'
import type { Natives } from '../protocol/natives.js'
import { CaseDraft, MissingPartError, UNKNOWN_LOG } from './case-content.js'
import { type CaseState, decodeCase, emptyCase, type Part } from './case-state.js'
import { keys, partRange } from './keyspace.js'
import { DamagedError, type SealedDb, type Write } from './sealed-db.js'

const RECENT_CASES = 512
/** Whole cases that are in memory at a time, only to be read. */
const READ_AT_ONCE = 32
/** So many of the cases that ended with less are remembered: that something is missing there is said of the newest. */
const KEPT_ENDED = 4_096
const LAST_KEY = new Uint8Array(CASE_KEY_BYTES).fill(0xff)

export class CaseTable {
  /** Keys of cases whose stored bytes failed their check; never served. Each marking is another object. */
  readonly damaged = new Map<string, Uint8Array>()
  /** How often one of them came to count as whole. */
  mended = 0
  /** Of damaged ones, in hex, those of which more has rotted since somebody was asked. */
  readonly toAskAgain = new Set<string>()
  /** Keys, by hex, of those that were forgotten, or count as whole, maybe without what nobody could give. */
  private readonly ended = new Map<string, Uint8Array>()
  /** A case was marked, or marked anew. */
  whenMarked: (() => void) | undefined
  /** How often a row was stored that came from a peer and is not proven. */
  unprovenRows = 0
  private readonly recent = new Map<string, CaseState>()
  /** Keys that the last prefetch found nothing under; good only within the work that asked. */
  private readonly absent = new Set<string>()
  /** Keys from `from` on, and before `to` if there is an end: none of them is held. */
  private gap: { from: Uint8Array; to: Uint8Array | undefined } | undefined

  constructor(
    private readonly db: SealedDb,
    private readonly natives: Natives,
  ) {}

  /** Which cases were known to be damaged when the store was last written. */
  async load(): Promise<void> {
    for (const key of keysIn(await this.db.get(keys.damaged()))) this.noteDamaged(key)
    const ended = await this.db.get(keys.ended()).catch((error: unknown) => {
      if (!(error instanceof DamagedError)) throw error
      return undefined
    })
    for (const key of keysIn(ended)) this.ended.set(toHex(key), key)
  }

  /** Did it end, maybe with less than there was of it? */
  hasEnded(key: Uint8Array): boolean {
    return this.ended.size > 0 && this.ended.has(toHex(key))
  }

  /** From here on `hasEnded` says so. */
  endedWrite(key: Uint8Array): Write {
    this.ended.delete(toHex(key))
    this.ended.set(toHex(key), key)
    for (const hex of [...this.ended.keys()].slice(0, -KEPT_ENDED)) this.ended.delete(hex)
    return { key: keys.ended(), value: concat([...this.ended.values()]) }
  }

  noteDamaged(key: Uint8Array): void {
    if (!this.damaged.has(toHex(key))) this.markAnew(key)
  }

  /** Somebody who gave whole states names it, be it that it is marked already: who was asked before may know more now. */
  markAnew(key: Uint8Array): void {
    this.damaged.set(toHex(key), Uint8Array.from(key))
    this.whenMarked?.()
  }

  /** More of a damaged one has rotted since somebody was asked: everybody is, again. */
  askAgain(key: Uint8Array): void {
    this.toAskAgain.add(toHex(key))
    this.markAnew(key)
  }

  noteWhole(key: Uint8Array): void {
    if (this.damaged.delete(toHex(key))) this.mended++
    this.toAskAgain.delete(toHex(key))
  }

  /** The stored state of a case, or undefined. Throws DamagedError. */
  async state(key: Uint8Array): Promise<CaseState | undefined> {
    if (this.isInGap(key)) return undefined
    const hex = toHex(key)
    const cached = this.recent.get(hex)
    if (cached || this.absent.has(hex)) return cached
    let value: Uint8Array | undefined
    try {
      value = await this.db.get(keys.case(key))
    } catch (error) {
      if (error instanceof DamagedError) this.noteDamaged(key)
      throw error
    }
    return value && decodeCase(key, value)
  }

  /** The state, if it is one of those in memory. */
  recentState(key: Uint8Array): CaseState | undefined {
    return this.recent.get(toHex(key))
  }

  /** Reads the states of many cases at once, so that `state` has them. */
  prefetch(wanted: Uint8Array[]): Promise<void> {
    this.absent.clear()
    return this.read(this.unread(wanted))
  }

  /** The same for cases that follow each other. In a first sync none of them is held, and one look tells it of many. */
  async prefetchStretch(wanted: Uint8Array[]): Promise<void> {
    this.absent.clear()
    const [first] = this.unread(wanted)
    if (!first) return
    const held = await this.db
      .keysIn({ gte: keys.case(first), lte: keys.case(LAST_KEY), limit: 1 })
      .catch(() => undefined)
    if (held) this.gap = { from: first, to: held[0]?.slice(1) }
    await this.read(this.unread(wanted))
  }

  private unread(wanted: Uint8Array[]): Uint8Array[] {
    return wanted.filter(
      (key) => key.length === CASE_KEY_BYTES && !this.isInGap(key) && !this.recent.has(toHex(key)),
    )
  }

  private isInGap(key: Uint8Array): boolean {
    const { gap } = this
    if (!gap || compareBytes(gap.from, key) > 0) return false
    return !gap.to || compareBytes(key, gap.to) < 0
  }

  private async read(missing: Uint8Array[]): Promise<void> {
    if (missing.length === 0) return
    let values: (Uint8Array | undefined)[]
    try {
      values = await this.db.getMany(missing.map((key) => keys.case(key)))
    } catch {
      // A damaged one among them: each is read alone, and noted.
      return
    }
    values.forEach((value, at) => {
      const key = missing[at]!
      if (value) this.remember(decodeCase(key, value))
      else this.absent.add(toHex(key))
    })
  }

  /** A case about to be changed; its parts are looked at first if that is still to be done. */
  async draft(key: Uint8Array, caseId: string): Promise<CaseDraft> {
    const draft = await this.uncheckedDraft(key, caseId)
    await draft.check(this.db)
    return draft
  }

  private async uncheckedDraft(key: Uint8Array, caseId: string): Promise<CaseDraft> {
    return new CaseDraft((await this.state(key)) ?? emptyCase(key, caseId), this.natives)
  }

  /** A draft of a case that is known not to be held. */
  newDraft(key: Uint8Array, caseId: string): CaseDraft | undefined {
    return this.isInGap(key) ? new CaseDraft(emptyCase(key, caseId), this.natives) : undefined
  }

  /** As `draft`, unchecked; of a case whose stored bytes are damaged, what can be read, and where the rest was. */
  async draftOrRest(key: Uint8Array, caseId: string): Promise<CaseDraft> {
    if (this.damaged.size === 0 || !this.damaged.has(toHex(key))) {
      try {
        return await this.uncheckedDraft(key, caseId)
      } catch (error) {
        if (!(error instanceof DamagedError)) throw error
      }
    }
    this.recent.delete(toHex(key))
    const numbers = (await this.db.keysIn(partRange(key))).map((part) => readU32(part, part.length - 4))
    let state: CaseState | undefined
    let isRowLost = false
    let hasRotted = false
    try {
      state = await this.state(key)
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error
      isRowLost = true
      hasRotted = !error.isStandIn
    }
    // What it held that nobody claims isn't known: what is left, and comes in its place, is told to everybody.
    const isUnknown = isRowLost || (!state && numbers.length > 0)
    const whole = state ?? emptyCase(key, caseId)
    if (isUnknown) {
      whole.touched.set(UNKNOWN_LOG, 1)
      whole.parts = numbers.map((number) => ({ number, bytes: 0 }))
    }
    const parts: Part[] = []
    const gaps: Part[] = []
    for (const part of whole.parts) {
      const bytes = await this.readableBytes(keys.part(key, part.number))
      if (typeof bytes === 'number') parts.push({ ...part, bytes })
      else gaps.push(part)
      hasRotted ||= bytes === 'rotten'
    }
    if (gaps.length === 0 && !isUnknown && parts.length === numbers.length)
      return new CaseDraft(whole, this.natives)
    const draft = new CaseDraft({ ...whole, parts, unchecked: true }, this.natives)
    draft.isRowLost = isRowLost
    draft.hasRotted = hasRotted
    draft.hadParts = numbers.length > 0
    // Numbers are not used again, and what is left of the damaged copy goes.
    draft.replaceParts(numbers)
    await draft.check(this.db)
    if (!isUnknown) draft.noteGaps(gaps)
    return draft
  }

  /** Keys of what is stored of a case and has rotted since that was noted last. */
  async rottenRows(key: Uint8Array): Promise<Uint8Array[]> {
    const rotten: Uint8Array[] = []
    for (const row of [keys.case(key), ...(await this.db.keysIn(partRange(key)))].map((each) => each.slice()))
      if ((await this.readableBytes(row)) === 'rotten') rotten.push(row)
    return rotten
  }

  async hasReadableParts(key: Uint8Array): Promise<boolean> {
    for (const part of await this.db.keysIn(partRange(key)))
      if (typeof (await this.readableBytes(Uint8Array.from(part))) === 'number') return true
    return false
  }

  /** How long a value is, or why it can't be read: it is gone, or noted as lost, or has rotted since. */
  private async readableBytes(key: Uint8Array): Promise<number | 'lost' | 'rotten'> {
    return this.db.get(key).then(
      (value) => value?.length ?? 'lost',
      (error: unknown) => {
        if (!(error instanceof DamagedError)) throw error
        return error.isStandIn ? 'lost' : 'rotten'
      },
    )
  }

  /** Of these cases those that can't be read as they are stored, whatever is in memory: they are noted as damaged. */
  async unreadable(wanted: Uint8Array[]): Promise<Uint8Array[]> {
    const found = wanted.filter((key) => this.damaged.has(toHex(key)))
    const others = wanted.filter((key) => !this.damaged.has(toHex(key)))
    for (let at = 0; at < others.length; at += READ_AT_ONCE) {
      const some = others.slice(at, at + READ_AT_ONCE)
      if (await this.opens(some)) continue
      for (const key of some) {
        if (await this.opens([key])) continue
        this.noteDamaged(key)
        found.push(key)
      }
    }
    return found
  }

  private async opens(wanted: Uint8Array[]): Promise<boolean> {
    try {
      const rows = await this.db.getMany(wanted.map(keys.case))
      if (rows.includes(undefined)) return false
      const parts = rows.flatMap((row, at) =>
        decodeCase(wanted[at]!, row!).parts.map(({ number }) => keys.part(wanted[at]!, number)),
      )
      return !(await this.db.getMany(parts)).includes(undefined)
    } catch (error) {
      if (!isDamage(error)) throw error
      return false
    }
  }

  /** As `draft`, for changes of others: of a case that turns out to be damaged, what can be read. */
  async receivingDraft(key: Uint8Array, caseId: string): Promise<CaseDraft> {
    const draft = await this.draftOrRest(key, caseId)
    try {
      await draft.check(this.db)
      return draft
    } catch (error) {
      if (!isDamage(error)) throw error
      this.noteDamaged(key)
      return this.draftOrRest(key, caseId)
    }
  }

  /** After drafts were written: memory follows. */
  committed(drafts: CaseDraft[]): void {
    this.absent.clear()
    for (const draft of drafts) {
      // What came whole, as in a first sync, is not asked for soon; kept, all of it would outlive the young heap.
      if (draft.rowGiven && draft.base.nextPart === 0) this.recent.delete(toHex(draft.state.key))
      else this.remember(draft.state)
      // What lies before it is looked for again; the next of a first sync lie behind.
      if (this.gap && this.isInGap(draft.state.key)) this.gap = { ...this.gap, from: behind(draft.state.key) }
      if (draft.state.rowUnproven) this.unprovenRows++
      if (draft.heals) this.noteWhole(draft.state.key)
    }
  }

  private remember(state: CaseState): void {
    const hex = toHex(state.key)
    this.recent.delete(hex)
    this.recent.set(hex, state)
    if (this.recent.size > RECENT_CASES) this.recent.delete(this.recent.keys().next().value!)
  }

  /** Remembers which cases are damaged; `without` are whole again. */
  damagedWrite(without: Uint8Array[] = []): Write {
    const gone = new Set(without.map(toHex))
    const rest = [...this.damaged].filter(([hex]) => !gone.has(hex)).map(([, key]) => key)
    return { key: keys.damaged(), value: rest.length === 0 ? undefined : concat(rest) }
  }
}

function keysIn(value: Uint8Array | undefined): Uint8Array[] {
  const count = Math.floor((value?.length ?? 0) / CASE_KEY_BYTES)
  return Array.from({ length: count }, (_, at) =>
    value!.slice(at * CASE_KEY_BYTES, (at + 1) * CASE_KEY_BYTES),
  )
}

/** The least key that is greater. */
const behind = (key: Uint8Array) => concat([key, Uint8Array.of(0)])

export const isDamage = (error: unknown) => error instanceof DamagedError || error instanceof MissingPartError
