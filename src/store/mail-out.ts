/** What goes into letters: retained changes with the ends of their ranges, and whole states part by part. */

import type { ChangeRun } from '../protocol/door.js'
import type { States } from '../protocol/envelope.gen.js'
import type { LetterBody, LogRange } from '../protocol/envelope.js'
import type { LogClaim } from '../protocol/frontier.js'
import { itemMessages } from '../protocol/items.js'
import { CHECK_BYTES } from '../protocol/limits.js'
import type { LogId } from '../protocol/log.js'
import type { Item } from '../protocol/sync.gen.js'
import { type CheckRange, stretchesOf } from '../protocol/transfer.js'
import { claimToWire, openingToWire, runToWire, stretchToWire, targetToWire } from '../protocol/wire.js'
import { heldAndDoubted } from './foreign.js'
import { openStates, readChecks } from './outgoing.js'
import { casesFrom, missingBeyond, readChanges, readItems, touchedBeyond } from './reading.js'
import type { Replica } from './replica.js'

/** About so much in one letter: a lost connection repeats no more, and a relay holds it in memory without care. */
export const LETTER_BYTES = 512 * 1024
/** Stretches of checks in one part: as much as a letter. */
const STRETCHES_PER_PART = 8

export interface ChangesLetter {
  body: LetterBody
  ranges: LogRange[]
  /** Logs whose changes from there on are not retained any more. */
  pruned: LogId[]
}

/** Changes after `from`, about LETTER_BYTES of them. */
export async function changesLetter(replica: Replica, from: Map<LogId, number>): Promise<ChangesLetter> {
  const { runs: single, openings, reached, pruned } = await readChanges(replica, from, LETTER_BYTES)
  const runs = joined(single)
  const ranges: LogRange[] = []
  for (const [log, to] of reached) {
    const start = from.get(log) ?? 0
    ranges.push({
      log,
      from: start,
      fromCheck: await checkAt(replica, log, start),
      to,
      toCheck: await checkAt(replica, log, to),
    })
  }
  const value = { openings: openings.map(openingToWire), runs: runs.map(runToWire) }
  return { body: { $case: 'changes', value }, ranges, pruned }
}

/** Neighbouring runs of one log as one: the last signature covers them all, and a letter has one signature for many. */
function joined(runs: ChangeRun[]): ChangeRun[] {
  const out: ChangeRun[] = []
  for (const run of runs) {
    const last = out[out.length - 1]
    const follows = last?.log === run.log && last.from + last.changes.length === run.from
    if (last && follows && run.signature.length > 0 && last.changes.length + run.changes.length <= MAX_JOINED)
      out[out.length - 1] = { ...last, changes: [...last.changes, ...run.changes], signature: run.signature }
    else out.push(run)
  }
  return out
}

/** Changes under one signature in a letter: far below what a door accepts. */
const MAX_JOINED = 512

async function checkAt(replica: Replica, log: LogId, seq: number): Promise<Uint8Array> {
  const held = replica.logs.get(log)
  if (held && held.seq === seq) return held.check
  const check = seq === 0 ? undefined : await replica.logs.checkAt(log, seq)
  return check ?? new Uint8Array(CHECK_BYTES)
}

/** What is left at a relay part by part. */
export interface PartsWriter {
  /** What its reader holds after it, if it held `from` before. */
  readonly ranges: { log: LogId; from: number; to: number }[]
  /** About how many bytes all of it has. */
  readonly bytes: number
  /** undefined where it can't be ended: its content is offered anew. */
  next(index: number): Promise<States | undefined>
}

/** A part that says nothing yet. */
export const emptyPart = (set: Uint8Array, index: number): States => ({
  set,
  index,
  last: false,
  target: [],
  openings: [],
  items: [],
  stretches: [],
  claims: [],
  missing: [],
  answers: new Uint8Array(0),
})

/** A transfer of whole states to be left at a relay: its target is fixed when it begins. Flush before it is told. */
export class StatesWriter implements PartsWriter {
  private after: Uint8Array = new Uint8Array(0)
  private isRead = false
  private messages: Item[][] = []
  /** What is claimed beside the cases of these messages. */
  private claims: LogClaim[] = []
  private missing: Uint8Array[] = []
  private checks: CheckRange[][] | undefined

  private constructor(
    private readonly replica: Replica,
    readonly set: Uint8Array,
    private readonly base: Map<LogId, number>,
    private readonly opened: Awaited<ReturnType<typeof openStates>>,
    readonly bytes: number,
    private readonly mayLack: boolean,
    /** All of it can be read, as it is stored where that was looked at: what was broken off before may go. */
    readonly isSound: boolean,
  ) {}

  /**
   * @param mayLack its reader counts what is named as missing as damaged. For any other one it is undefined while cases
   *   are damaged here that it may lack something of: another holder gives them whole.
   * @param isAnew some of it was left before: each case is looked at as it is stored, for that may be its last copy.
   */
  static async open(
    replica: Replica,
    set: Uint8Array,
    base: Map<LogId, number>,
    mayLack = false,
    isAnew = false,
  ): Promise<StatesWriter | undefined> {
    if (isAnew) await lookBeyond(replica, base)
    const isSound = (await missingBeyond(replica, base)).length === 0
    if (!mayLack && !isSound) return undefined
    const opened = await openStates(replica, base)
    await replica.flush()
    let bytes = 0
    for await (const state of casesFrom(replica, new Uint8Array(0))) {
      if (!touchedBeyond(state, base)) continue
      bytes += 64 + state.row.length + state.parts.reduce((sum, part) => sum + part.bytes, 0)
    }
    return new StatesWriter(replica, set, base, opened, bytes, mayLack, isSound)
  }

  get ranges(): { log: LogId; from: number; to: number }[] {
    return this.opened.target.map(({ log, from, seq }) => ({ log, from, to: seq }))
  }

  /**
   * The next part: the target, then its checks, then the cases, with claims of what I have taken in since part 0.
   * undefined: one of them is damaged here after all, and may not be missing, or it may hold something of a branch that I
   * have come to doubt since.
   */
  async next(index: number): Promise<States | undefined> {
    const { set, opened } = this
    const part = emptyPart(set, index)
    if (!this.checks) {
      this.checks = [...stretchesOf(opened.target)]
      return {
        ...part,
        target: opened.target.map(targetToWire),
        openings: opened.openings.map(openingToWire),
        claims: opened.claims.map(claimToWire),
      }
    }
    const ranges = this.checks.splice(0, STRETCHES_PER_PART).flat()
    if (ranges.length > 0)
      return { ...part, stretches: (await readChecks(this.replica, ranges)).map(stretchToWire) }
    while (this.messages.length === 0 && !this.isRead) {
      const read = await readItems(this.replica, this.after, this.base, LETTER_BYTES, opened.told)
      if (read.missing.length > 0 && !this.mayLack) return undefined
      if (heldAndDoubted(read.claims).doubted.length > 0) return undefined
      this.after = read.after
      this.claims = read.claims
      this.isRead = read.done
      this.missing.push(...read.missing)
      this.messages = itemMessages(read.items)
    }
    const items = this.messages.shift() ?? []
    const claims = this.claims.map(claimToWire)
    const last = this.isRead && this.messages.length === 0
    return { ...part, items, claims, last, missing: last ? this.missing : [] }
  }
}

/** Marks what of the cases beyond this frontier has rotted unnoticed. */
async function lookBeyond(replica: Replica, base: Map<LogId, number>): Promise<void> {
  for await (const state of casesFrom(replica, new Uint8Array(0)))
    if (touchedBeyond(state, base)) await replica.exclusive(() => replica.cases.unreadable([state.key]))
}

/**
 * Some of a log's checks, wider apart the further back: enough to find about where another branch leaves it.
 *
 * @param places where a check is wanted besides; zeros say that it isn't known any more.
 */
export async function ladderOf(
  replica: Replica,
  log: LogId,
  places: Iterable<number> = [],
): Promise<{ seq: number; check: Uint8Array }[]> {
  const held = replica.logs.get(log)
  if (!held) return []
  const seqs = new Set<number>()
  for (let step = 1, seq = held.seq; seq > 0; seq -= step, step *= 2) seqs.add(seq)
  const asked = new Set([...places].filter((place) => place > 0 && place <= held.seq))
  const rungs: { seq: number; check: Uint8Array }[] = []
  for (const seq of [...new Set([...seqs, ...asked])].sort((a, b) => b - a)) {
    const check = await replica.logs.checkAt(log, seq)
    if (check || asked.has(seq)) rungs.push({ seq, check: check ?? new Uint8Array(CHECK_BYTES) })
  }
  return rungs
}
