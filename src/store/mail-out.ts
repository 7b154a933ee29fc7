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
import { casesFrom, missingBeyond, readChanges, readItems } from './reading.js'
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

/** A transfer of whole states to be left at a relay: its target is fixed when it begins. Flush before it is told. */
export class StatesWriter {
  private after: Uint8Array = new Uint8Array(0)
  private isRead = false
  private messages: Item[][] = []
  /** What is claimed beside the cases of these messages. */
  private claims: LogClaim[] = []
  private checks: CheckRange[][] | undefined

  private constructor(
    private readonly replica: Replica,
    readonly set: Uint8Array,
    private readonly base: Map<LogId, number>,
    private readonly opened: Awaited<ReturnType<typeof openStates>>,
    readonly bytes: number,
  ) {}

  /** undefined while cases are damaged here that the recipient may lack something of: another holder gives them whole. */
  static async open(
    replica: Replica,
    set: Uint8Array,
    base: Map<LogId, number>,
  ): Promise<StatesWriter | undefined> {
    if ((await missingBeyond(replica, base)).length > 0) return undefined
    const opened = await openStates(replica, base)
    await replica.flush()
    let bytes = 0
    for await (const state of casesFrom(replica, new Uint8Array(0))) {
      if (![...state.touched].some(([log, seq]) => seq > (base.get(log) ?? 0))) continue
      bytes += 64 + state.row.length + state.parts.reduce((sum, part) => sum + part.bytes, 0)
    }
    return new StatesWriter(replica, set, base, opened, bytes)
  }

  get ranges(): { log: LogId; from: number; to: number }[] {
    return this.opened.target.map(({ log, from, seq }) => ({ log, from, to: seq }))
  }

  /**
   * The next part: the target, then its checks, then the cases, with claims of what I have taken in since part 0.
   * undefined: one of them is damaged here after all, or may hold something of a branch that I have come to doubt since.
   */
  async next(index: number): Promise<States | undefined> {
    const { set, opened } = this
    const part: States = {
      set,
      index,
      last: false,
      target: [],
      openings: [],
      items: [],
      stretches: [],
      claims: [],
    }
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
      if (read.missing.length > 0 || heldAndDoubted(read.claims).doubted.length > 0) return undefined
      this.after = read.after
      this.claims = read.claims
      this.isRead = read.done
      this.messages = itemMessages(read.items)
    }
    const items = this.messages.shift() ?? []
    const claims = this.claims.map(claimToWire)
    return { ...part, items, claims, last: this.isRead && this.messages.length === 0 }
  }
}

/**
 * Some of a log's checks, wider apart the further back: enough to find about where another branch leaves it.
 *
 * @param places where a check is wanted besides.
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
  for (const place of places) if (place > 0 && place <= held.seq) seqs.add(place)
  const rungs: { seq: number; check: Uint8Array }[] = []
  for (const seq of [...seqs].sort((a, b) => b - a)) {
    const check = await replica.logs.checkAt(log, seq)
    if (check) rungs.push({ seq, check })
  }
  return rungs
}
