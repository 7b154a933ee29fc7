/** What a device serves to others: retained changes in the order of their integration, and whole cases. */
import { compareBytes, equalBytes, fromHex, toHex, utf8 } from '../protocol/bytes.js'
import type { ChangeRun } from '../protocol/door.js'
import type { LogClaim } from '../protocol/frontier.js'
import {
  CASE_KEY_BYTES,
  MAX_CASE_STATE_BYTES,
  MAX_ITEM_CLOCKS,
  MAX_ROW_BYTES,
  MAX_RUN_BYTES,
  MAX_RUN_CHANGES,
} from '../protocol/limits.js'
import type { LogId, LogOpening } from '../protocol/log.js'
import type { Item } from '../protocol/sync.gen.js'
import { askedFor, toldWrites } from './asked.js'
import { UNKNOWN_LOG } from './case-content.js'
import { type CaseState, decodeCase } from './case-state.js'
import { isDamage } from './case-table.js'
import { keys } from './keyspace.js'
import type { RetainedChange, StoredLog } from './logs.js'
import { claimsOfCases, type Told, toldApart } from './outgoing.js'
import type { Replica } from './replica.js'
import { restOf } from './retained.js'

export interface ReadChanges {
  runs: ChangeRun[]
  openings: LogOpening[]
  /** Where each log stands after these runs. */
  reached: Map<LogId, number>
  /** Nothing was left out for size. */
  done: boolean
  /** Logs whose changes from there on are no longer retained: the reader needs whole states. */
  pruned: LogId[]
}

/** Changes after `from`, in order of integration, about `limitBytes` of them. Runs that follow each other are joined. */
export async function readChanges(
  replica: Replica,
  from: Map<LogId, number>,
  limitBytes: number,
): Promise<ReadChanges> {
  const out: ReadChanges = { runs: [], openings: [], reached: new Map(), done: true, pruned: [] }
  const readers: RunReader[] = []
  for (const [id, seq] of from) {
    const log = replica.logs.get(id)
    if (!log || seq >= log.seq) continue
    if (seq < log.retainedFrom) out.pruned.push(id)
    else readers.push(await RunReader.open(replica, log, seq))
  }
  let bytes = 0
  for (let reader = earliest(readers); reader; reader = earliest(readers)) {
    if (bytes >= limitBytes) {
      out.done = false
      break
    }
    const run = await reader.read()
    if (!run) continue
    bytes += run.changes.reduce((sum, { payload }) => sum + payload.length + 64, 0)
    const last = out.runs.at(-1)
    if (last && follows(last, run)) out.runs[out.runs.length - 1] = joined(last, run)
    else out.runs.push(run)
    if (!out.reached.has(run.log)) out.openings.push(reader.log)
    out.reached.set(run.log, run.from + run.changes.length)
  }
  for (const reader of readers) {
    // Changes behind a lost one can't be proven any more: their reader needs whole states.
    if (reader.isBroken) out.pruned.push(reader.log.log)
    await reader.close()
  }
  return out
}

/**
 * One after the other, and no more together than an author signs at once. The later signature proves what is before
 * it, so of a hundred letters that were signed one by one two signatures travel and are checked.
 */
function follows(last: ChangeRun, run: ChangeRun): boolean {
  // Without a signature it ends at a cut, which the reader may not know yet.
  if (run.signature.length === 0) return false
  if (last.log !== run.log || last.from + last.changes.length !== run.from) return false
  const changes = [...last.changes, ...run.changes]
  return changes.length <= MAX_RUN_CHANGES && bytesOf(changes) <= MAX_RUN_BYTES
}

const joined = (last: ChangeRun, run: ChangeRun): ChangeRun => ({
  ...run,
  from: last.from,
  changes: [...last.changes, ...run.changes],
})

const bytesOf = (changes: ChangeRun['changes']) =>
  changes.reduce((sum, { payload }) => sum + payload.length, 0)

/** The retained changes of one log, run by run. */
class RunReader {
  /** The change that the next run begins with. */
  next: RetainedChange | undefined
  /** A change is gone, or has rotted, before the end of the log. */
  isBroken = false

  private constructor(
    readonly log: StoredLog,
    private readonly rows: AsyncGenerator<RetainedChange>,
  ) {}

  static async open(replica: Replica, log: StoredLog, seq: number): Promise<RunReader> {
    const reader = new RunReader(log, replica.logs.retained(log.log, seq, log.seq))
    await reader.advance(seq)
    return reader
  }

  private async advance(seq: number): Promise<void> {
    this.next = (await this.rows.next()).value ?? undefined
    if (!this.next && seq < this.log.seq) this.isBroken = true
  }

  /** One run up to its signature; undefined if it has lost its end. */
  async read(): Promise<ChangeRun | undefined> {
    const changes: ChangeRun['changes'] = []
    const from = this.next ? this.next.seq - 1 : this.log.seq
    while (this.next) {
      const { seq, row } = this.next
      changes.push(row)
      await this.advance(seq)
      const isEnd = row.signature.length > 0 || (this.log.cut !== undefined && seq === this.log.seq)
      if (isEnd) return { log: this.log.log, from, changes, signature: row.signature }
    }
    return undefined
  }

  async close(): Promise<void> {
    await this.rows.return(undefined)
  }
}

/** The reader whose next run was integrated first. */
function earliest(readers: RunReader[]): RunReader | undefined {
  let first: RunReader | undefined
  for (const reader of readers) {
    if (reader.next && (!first?.next || reader.next.row.order < first.next.row.order)) first = reader
  }
  return first
}

/** The key range behind `after` (empty: from the beginning). */
function casesAfter(after: Uint8Array): { gt: Uint8Array; lt: Uint8Array } {
  return { gt: after.length === 0 ? Uint8Array.of(0x63) : keys.case(after), lt: Uint8Array.of(0x64) }
}

/** All cases behind `after` in key order; a damaged row is noted and left out. */
export async function* casesFrom(replica: Replica, after: Uint8Array): AsyncGenerator<CaseState> {
  const onDamaged = (key: Uint8Array) => replica.cases.noteDamaged(key.slice(1))
  for await (const { key, value } of replica.db.rows(casesAfter(after), onDamaged)) {
    yield decodeCase(key.slice(1, 1 + CASE_KEY_BYTES), value)
  }
}

/** Has the case seen anything of any log that lies beyond this frontier? */
export function touchedBeyond(state: CaseState, frontier: Map<LogId, number>): boolean {
  for (const [log, seq] of state.touched) if (seq > (frontier.get(log) ?? 0)) return true
  return false
}

export interface ReadItems {
  items: Item[]
  /** Key of the last case looked at; the next call goes on behind it. */
  after: Uint8Array
  done: boolean
  /** Cases in this stretch that are damaged here: the receiver must not count them as held. */
  missing: Uint8Array[]
  /** Of logs of which these cases may hold something that their giver has not told of when it began. */
  claims: LogClaim[]
}

/** Cases behind `after` that lie beyond `frontier`, each with its parts as stored, about `limitBytes` of them. */
export async function readItems(
  replica: Replica,
  after: Uint8Array,
  frontier: Map<LogId, number>,
  limitBytes: number,
  told?: Told,
): Promise<ReadItems> {
  // Alone with the writer, so that each case's touched vector and parts belong together.
  return replica.exclusive(async () => {
    const out: ReadItems = { items: [], after, done: true, missing: [], claims: [] }
    const wanted: CaseState[] = []
    let bytes = 0
    for await (const state of casesFrom(replica, after)) {
      if (bytes >= limitBytes) {
        out.done = false
        break
      }
      out.after = state.key
      if (!touchedBeyond(state, frontier)) continue
      if (isServable(state)) wanted.push(state)
      else out.missing.push(state.key)
      bytes += 64 + state.row.length + stateBytes(state)
    }
    out.items = await itemsOf(replica, wanted)
    if (told) await nameLater(replica, out, told)
    // Keys are random: turned round, one lies anywhere.
    replica.db.glance(keys.part(out.after.toReversed(), 0))
    // Those whose own row can't be read included: the reader may go on from here with somebody else.
    const isRead = (key: Uint8Array) => compareBytes(key, after) > 0 && compareBytes(key, out.after) <= 0
    out.missing.push(...(await missingBeyond(replica, frontier, out.done ? undefined : isRead)))
    return out
  })
}

/** Damaged cases of which there may be anything beyond this frontier: of most, the row says what there is. */
export async function missingBeyond(
  replica: Replica,
  frontier: Map<LogId, number>,
  among: (key: Uint8Array) => boolean = () => true,
): Promise<Uint8Array[]> {
  const missing: Uint8Array[] = []
  for (const key of [...replica.damaged.values()].filter(among)) {
    const state = await replica.caseState(key).catch(() => undefined)
    const isKnown = state && (await askedFor(replica, key)) === undefined
    if (!isKnown || touchedBeyond(state, frontier)) missing.push(key)
  }
  return missing
}

/** Cases that hold what came later go by themselves: else all that come with them would seem to hold some of it. */
async function nameLater(replica: Replica, out: ReadItems, told: Told): Promise<void> {
  const { items, claims } = await toldApart(replica, out.items, told)
  const last = items.at(-1)
  if (last && items.length < out.items.length) {
    out.after = last.key
    out.done = false
    out.missing = out.missing.filter((key) => compareBytes(key, last.key) < 0)
  }
  out.items = items
  out.claims = claims
}

/**
 * Of cases that were asked for, those that can't be given whole: `missing` count as damaged here, too, or nothing is
 * held of them; `kept` are held, and too large.
 */
export function notGiven(
  replica: Replica,
  wanted: Uint8Array[],
): Promise<{ missing: Uint8Array[]; kept: Uint8Array[] }> {
  return replica.exclusive(async () => {
    const missing: Uint8Array[] = []
    const kept: Uint8Array[] = []
    for (const key of wanted) {
      let state: CaseState | undefined
      try {
        state = await replica.caseState(key)
      } catch (error) {
        // What fails for another reason may be whole.
        if (!isDamage(error)) continue
      }
      if (!state || replica.damaged.has(toHex(key))) missing.push(key)
      else if (!isServable(state)) kept.push(key)
    }
    const damaged = missing.filter((key) => replica.damaged.has(toHex(key)))
    if (damaged.length > 0) await replica.db.write(toldWrites(damaged))
    return { missing, kept }
  })
}

/** Whole cases by key. */
export const readCases = (replica: Replica, wanted: Uint8Array[]): Promise<Item[]> =>
  replica.exclusive(() => casesByKey(replica, wanted))

/**
 * The same for a peer that asked or for one that is behind this very case, with what is claimed of them. Who asked is
 * given what can be read of one that counts as damaged here: maybe nobody else knows which case that is.
 */
export function readClaimed(
  replica: Replica,
  wanted: Uint8Array[],
  isAsked = false,
): Promise<{ items: Item[]; claims: LogClaim[]; openings: LogOpening[] }> {
  return replica.exclusive(async () => {
    const whole = await casesByKey(replica, wanted)
    const rests = isAsked ? await restsByKey(replica, wanted) : []
    const items = [...whole.filter(({ key }) => !rests.some((rest) => equalBytes(rest.key, key))), ...rests]
    return { items, ...(await claimsOfCases(replica, items)) }
  })
}

/** What can be read of those that count as damaged here. */
async function restsByKey(replica: Replica, wanted: Uint8Array[]): Promise<Item[]> {
  const rests: Item[] = []
  for (const key of wanted.filter((each) => replica.damaged.has(toHex(each)))) {
    const rest = await restOf(replica, key)
    if (rest && isServable(rest.state)) rests.push(itemOf(rest.state, await rest.parts(replica.db), true))
  }
  return rests
}

async function casesByKey(replica: Replica, wanted: Uint8Array[]): Promise<Item[]> {
  const states: CaseState[] = []
  for (const key of wanted) {
    const state = await replica.caseState(key).catch(() => undefined)
    if (state && isServable(state)) states.push(state)
  }
  return itemsOf(replica, states, true)
}

const stateBytes = ({ parts, parked }: CaseState): number =>
  parked.reduce((sum, { payload }) => sum + payload.length, 0) +
  parts.reduce((sum, part) => sum + part.bytes, 0)

/** Nobody would take a case that is larger than any that honest devices make. */
const isServable = (state: CaseState) => stateBytes(state) <= MAX_CASE_STATE_BYTES

async function itemsOf(replica: Replica, states: CaseState[], evenMarked = false): Promise<Item[]> {
  const partKeys = states.flatMap((state) => state.parts.map(({ number }) => keys.part(state.key, number)))
  const values = await readParts(replica, partKeys)
  const items: Item[] = []
  let at = 0
  for (const state of states) {
    const parts = values.slice(at, at + state.parts.length)
    at += state.parts.length
    const isMarked = replica.damaged.size > 0 && replica.damaged.has(toHex(state.key))
    // What was taken in since does not make a damaged case whole.
    if (isMarked && !evenMarked) continue
    if (parts.some((part) => part === undefined)) {
      replica.cases.noteDamaged(state.key)
      continue
    }
    items.push(itemOf(state, parts as Uint8Array[], isMarked))
  }
  return items
}

/**
 * Of a case of which something may be missing here, its touched vector says so: two devices must not wait for each
 * other's copy.
 */
function itemOf(state: CaseState, parts: Uint8Array[], isMarked: boolean): Item {
  const { key, caseId, generation, erased, parked, clocks } = state
  const touched = isMarked ? new Map([...state.touched, [UNKNOWN_LOG, 1]]) : state.touched
  return {
    key,
    caseId,
    generation,
    erased,
    touched: [...touched].map(([log, seq]) => ({ log: fromHex(log), seq })),
    parts,
    parked: parked.map((each) => ({ ...each, log: fromHex(each.log) })),
    row: rowToWire(state.row),
    clocks: clocks.size > MAX_ITEM_CLOCKS ? [] : [...clocks].map(([client, clock]) => ({ client, clock })),
    more: false,
  }
}

function rowToWire(row: string): Uint8Array {
  const bytes = utf8(row)
  return bytes.length <= MAX_ROW_BYTES ? bytes : new Uint8Array(0)
}

/** Values of parts; a damaged one counts as missing. */
async function readParts(replica: Replica, partKeys: Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
  try {
    return await replica.db.getMany(partKeys)
  } catch {
    return Promise.all(partKeys.map((key) => replica.db.get(key).catch(() => undefined)))
  }
}
