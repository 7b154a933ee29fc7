/**
 * What a device has left at one relay, for whom: only what its next decision needs. How far a recipient holds each
 * log is its own newest word and never stands here; so mail for a device that went back to an older copy is sent
 * again without any rule of its own.
 */
import { equalBytes, toHex } from './bytes.js'
import type { LogId } from './log.js'
import { MAX_REPLACES } from './mailbox-limits.js'

/** How far each log is held. */
export type Reach = ReadonlyMap<LogId, number>

/** One delivery that waits at the relay: one envelope, or all parts of a transfer of whole states. */
export interface LiveMail {
  ids: Uint8Array[]
  /** What its recipient holds after it, if it held `from` before. Empty while parts are still missing. */
  ranges: { log: LogId; from: number; to: number }[]
  bytes: number
  /** Whole states that lack something [L11]: others shall give what they have whole. */
  lacks?: boolean
}

/** What was left for a recipient that asks for damaged cases. */
export interface LeftAnswer {
  /** The asking's id; empty while parts are still missing. */
  asking: Uint8Array
  /** What waits, or may; empty once the recipient has said that it has come. */
  ids: Uint8Array[]
  /** Of the cases those that weren't whole here, either. */
  missing: Uint8Array[]
}

export interface LedgerRow {
  live: LiveMail[]
  /** Raised when something was lost or of no use: the next envelope of the same content has another id. */
  attempt: number
  answer?: LeftAnswer | undefined
}

/** Everything of one relay, as it is kept. */
export interface LedgerState {
  /** The relay's incarnation that the rows are about. */
  incarnation: Uint8Array
  /** The highest sequence that the relay has answered a deposit with. */
  sequence: number
  /** By hex of the recipient's key. */
  rows: Map<string, LedgerRow>
}

export class MailLedger {
  constructor(readonly state: LedgerState) {}

  /** A relay that is not the one we know, or has gone back, holds nothing of what was left there. */
  greet(incarnation: Uint8Array, sequence: number): void {
    if (equalBytes(this.state.incarnation, incarnation) && sequence >= this.state.sequence) return
    this.state.incarnation = incarnation
    this.state.sequence = sequence
    this.state.rows.clear()
  }

  row(recipient: string): LedgerRow {
    return this.state.rows.get(recipient) ?? { live: [], attempt: 0 }
  }

  private keep(recipient: string, row: LedgerRow): void {
    if (row.live.length === 0 && row.attempt === 0 && !row.answer) this.state.rows.delete(recipient)
    else this.state.rows.set(recipient, row)
  }

  /** How far the recipient will hold each log when it has taken what waits for it, this and what others have left. */
  reach(recipient: string, known: Reach, claimed?: Reach): Map<LogId, number> {
    const base = new Map(known)
    for (const [log, seq] of claimed ?? []) if (seq > (base.get(log) ?? 0)) base.set(log, seq)
    return reachWith(base, this.row(recipient).live)
  }

  /** The same without what lacks something, for others to count on. */
  told(recipient: string, known: Reach): Map<LogId, number> {
    return reachWith(
      known,
      this.row(recipient).live.filter(({ lacks }) => !lacks),
    )
  }

  /** Something was left; `replaced` waits no more. */
  add(recipient: string, mail: LiveMail, replaced: readonly Uint8Array[]): void {
    const row = this.row(recipient)
    const gone = new Set(replaced.map(toHex))
    const own = new Set(mail.ids.map(toHex))
    // The same content left once more is the same mail.
    const isOld = ({ ids }: LiveMail) => ids.every((id) => own.has(toHex(id)) || gone.has(toHex(id)))
    const live = row.live.filter((old) => old !== mail && !isOld(old))
    this.keep(recipient, { ...row, live: [...live, mail] })
  }

  /** The recipient's newest word: what it covers is forgotten. Returns the ids that it doesn't cover. */
  heard(recipient: string, known: Reach, unusable: readonly Uint8Array[]): Uint8Array[] {
    const row = this.row(recipient)
    const live = row.live.filter(
      ({ ranges }) => ranges.length === 0 || ranges.some(({ log, to }) => (known.get(log) ?? 0) < to),
    )
    // Once it has everything, the next envelope is a first attempt again.
    const isThrough = live.length === 0 && row.live.length > 0
    this.keep(recipient, { ...row, live, attempt: isThrough ? 0 : row.attempt })
    this.lost(recipient, unusable)
    return this.waiting(recipient)
  }

  /**
   * What something written anew from here may take the place of. What a log no longer reaches, be it cut or lost here, may
   * lie nowhere else.
   */
  replaceable(recipient: string, held: Reach): LiveMail[] {
    const isHeld = ({ log, to }: LiveMail['ranges'][number]) => to <= (held.get(log) ?? 0)
    return this.row(recipient).live.filter(({ ranges }) => ranges.every(isHeld))
  }

  /** Parts of whole states that were broken off, as many as one deposit may stand for. */
  brokenOff(recipients: readonly string[]): Uint8Array[] {
    const parts = recipients.flatMap((each) =>
      this.row(each).live.filter(({ ranges }) => ranges.length === 0),
    )
    const ids = new Map(parts.flatMap((mail) => mail.ids.map((id) => [toHex(id), id])))
    return [...ids.values()].slice(0, MAX_REPLACES)
  }

  /** All ids that may wait for the recipient. */
  waiting(recipient: string): Uint8Array[] {
    const { live, answer } = this.row(recipient)
    return [...live.flatMap(({ ids }) => ids), ...(answer?.ids ?? [])]
  }

  /** Some of these may still wait for it, as far as its word tells. */
  isWaiting(recipient: string, ids: readonly Uint8Array[]): boolean {
    const waiting = new Set(this.waiting(recipient).map(toHex))
    return ids.some((id) => waiting.has(toHex(id)))
  }

  /**
   * The recipient is given what it asks for, all or the first parts of it. An earlier answer stays where it is: it may hold
   * what has rotted here since.
   */
  answered(recipient: string, answer: LeftAnswer): void {
    this.keep(recipient, { ...this.row(recipient), answer })
  }

  /** The recipient's newest word says that it waits for no answer to this asking any more. */
  isOver(recipient: string, asking: Uint8Array): void {
    const row = this.row(recipient)
    const { answer } = row
    if (answer && equalBytes(answer.asking, asking))
      this.keep(recipient, { ...row, answer: { ...answer, ids: [] } })
  }

  /** The relay doesn't hold these any more, or the recipient can't use them: they are offered again. */
  lost(recipient: string, ids: readonly Uint8Array[]): boolean {
    const row = this.row(recipient)
    const gone = new Set(ids.map(toHex))
    const live = row.live.filter((mail) => !mail.ids.some((id) => gone.has(toHex(id))))
    const answer = row.answer?.ids.some((id) => gone.has(toHex(id))) ? undefined : row.answer
    const isLost = live.length < row.live.length
    this.keep(recipient, { live, attempt: row.attempt + (isLost ? 1 : 0), answer })
    return isLost || answer !== row.answer
  }

  /** Recipients that collect no more, or are no members any more. */
  retain(recipients: ReadonlySet<string>): void {
    for (const recipient of [...this.state.rows.keys()])
      if (!recipients.has(recipient)) this.state.rows.delete(recipient)
  }
}

/** Follows the ranges from what is known, whatever order they were left in. */
export function reachWith(known: Reach, live: readonly LiveMail[]): Map<LogId, number> {
  const reach = new Map(known)
  const ranges = live.flatMap((mail) => mail.ranges).sort((a, b) => a.from - b.from)
  for (const { log, from, to } of ranges) {
    const at = reach.get(log) ?? 0
    if (from <= at && to > at) reach.set(log, to)
  }
  return reach
}
