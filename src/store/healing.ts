/**
 * The one healing tool for every kind of damage: cut and restate. Every holder can heal; none needs the author.
 *
 *  [F2] cuts only fall;
 *  [H1] cut(log, k): from now on that log ends at k, everywhere;
 *  [H2] restate(case): the case's whole state, appended to my own log;
 *  [H3] what a case holds beyond my frontier is restated before "in sync" is reported.
 */
import { equalBytes, toHex } from '../protocol/bytes.js'
import { compareFork, type ForkPoint, forkSeqs } from '../protocol/fork.js'
import type { LogClaim } from '../protocol/frontier.js'
import { CHECK_BYTES, MAX_CLAIMS, MAX_FORK_POINTS } from '../protocol/limits.js'
import { type LogId, type LogOpening, logIdOf } from '../protocol/log.js'
import type { LogCut } from '../protocol/wire.js'
import { CaseDraft, UNKNOWN_LOG } from './case-content.js'
import type { CaseState } from './case-state.js'
import { isDamage } from './case-table.js'
import { type Doubt, doubtsAfterCut, readDoubts } from './doubts.js'
import { CHECKS_PER_BLOCK, keys, rangeOf } from './keyspace.js'
import { logWrite, type StoredLog } from './logs.js'
import { casesFrom } from './reading.js'
import { MetaRow } from './records.gen.js'
import type { Replica } from './replica.js'
import { type Restatement, restatement } from './restatement.js'
import type { Write } from './sealed-db.js'

/** Doubts that the frontier has overtaken: confirmed ones go, contradicted ones are returned for a cut. */
export const settleDoubts = (replica: Replica): Promise<Doubt[]> =>
  replica.exclusive(() => settleDoubtsNow(replica))

async function settleDoubtsNow(replica: Replica): Promise<Doubt[]> {
  const contradicted: Doubt[] = []
  const gone: Write[] = []
  for (const doubt of await readDoubts(replica)) {
    const log = replica.logs.get(doubt.log)
    if (!log || log.seq < doubt.seq) continue
    const check = await replica.logs.checkAt(doubt.log, doubt.seq)
    if (check?.every((byte, at) => byte === doubt.check[at])) gone.push({ key: doubt.key, value: undefined })
    else contradicted.push(doubt)
  }
  if (gone.length > 0) await replica.db.write(gone)
  return contradicted
}

/**
 * [H1] Ends a log at `seq` with `check` there (8 bytes; anything for seq 0). Cases that hold more of it are
 * restated first; then the claim falls. Repeating it, or a later cut, changes nothing.
 */
export function cutLog(
  replica: Replica,
  id: LogId,
  seq: number,
  check: Uint8Array,
  opening?: LogOpening,
): Promise<boolean> {
  return replica.exclusive(async () => {
    const log = replica.logs.get(id) ?? (opening && replica.freshLogs([opening]).get(id))
    if (!log || (log.cut && log.cut.seq <= seq)) return false
    // A cut of a branch that isn't mine would make me claim it. The claims differ then, and FORK finds the common part.
    if (seq > 0 && seq <= log.seq) {
      const mine = await replica.logs.checkAt(id, seq)
      if (!mine || !equalBytes(mine, check)) return false
    }
    return cutNow(replica, log, seq, check)
  })
}

/** The same of a log that isn't cut there or before; the caller runs alone. */
async function cutNow(replica: Replica, log: StoredLog, seq: number, check: Uint8Array): Promise<boolean> {
  const id = log.log
  const cut = { seq, check: seq === 0 ? new Uint8Array(CHECK_BYTES) : check }
  if (id === replica.currentLog) replica.leaveLog()
  const gone = await replica.logs.letGo([{ log, from: seq, to: log.seq }])
  await restateBeyond(replica, id, seq)
  const writes = [...(await forgettingWrites(replica, id, cut)), ...gone]
  // Nothing held, nothing to prove: the same value on every device.
  let next: StoredLog = { ...log, cut, check: log.seq === 0 ? cut.check : log.check }
  if (log.seq > seq) {
    writes.push(...(await trimChecks(replica, log, seq)))
    const retainedFrom = Math.min(log.retainedFrom, seq)
    next = {
      ...next,
      seq,
      check: cut.check,
      head: new Uint8Array(0),
      signature: new Uint8Array(0),
      retainedFrom,
    }
  }
  // Content of an abandoned transfer may lie beyond the frontier: a scan finds it. [H3]
  const meta = { ...replica.meta, unclaimed: true }
  writes.push(logWrite(next), { key: keys.meta(), value: MetaRow.encode(meta).finish() })
  await replica.db.write(writes)
  replica.meta = meta
  replica.logs.set(next)
  replica.cuts++
  replica.doubtsGone++
  replica.events.healed?.('fork')
  return true
}

/** Cases that hold more of a log than `seq` are restated, and claim no more of it. */
async function restateBeyond(replica: Replica, id: LogId, seq: number): Promise<void> {
  await restateWhere(
    replica,
    (state) => (state.touched.get(id) ?? 0) > seq,
    (state) => {
      if ((state.touched.get(id) ?? 0) > seq) state.touched.set(id, seq)
      state.touched.delete(UNKNOWN_LOG)
    },
  )
}

const BEGINNING = { seq: 0, check: new Uint8Array(CHECK_BYTES) }

/** Unfinished transfers go with a cut: their cursors and targets counted on what the log claimed. */
async function forgettingWrites(
  replica: Replica,
  id: LogId,
  cut: Pick<LogCut, 'seq' | 'check'>,
): Promise<Write[]> {
  const writes = await doubtsAfterCut(replica, id, cut)
  writes.push({ key: keys.transfer(), value: undefined })
  for await (const { key } of replica.db.rows(rangeOf('y'), () => {})) writes.push({ key, value: undefined })
  return writes
}

/**
 * Content was taken on a claim that a peer contradicts, and nothing of the log itself is held: there is nothing to cut.
 * What the cases hold of it is restated, and counts as none of that log's any more.
 */
function giveUpDoubt(replica: Replica, id: LogId, said: ReadonlyMap<number, Uint8Array>): Promise<boolean> {
  return replica.exclusive(async () => {
    const doubts = (await readDoubts(replica)).filter((doubt) => doubt.log === id)
    const isContradicted = doubts.some(
      ({ seq, check }) => said.has(seq) && !equalBytes(check, said.get(seq)!),
    )
    if (!isContradicted || replica.logs.get(id)) return false
    await restateBeyond(replica, id, 0)
    // Content of an abandoned transfer may lie beyond the frontier: a scan finds it. [H3]
    const meta = { ...replica.meta, unclaimed: true }
    const writes = await forgettingWrites(replica, id, BEGINNING)
    await replica.db.write([...writes, { key: keys.meta(), value: MetaRow.encode(meta).finish() }])
    replica.meta = meta
    replica.cuts++
    replica.doubtsGone++
    return true
  })
}

/**
 * Cuts that a peer told of.
 *
 * @param claims what it holds of all logs that it has cut, if that is known.
 * @returns true if any was new here.
 */
export async function learnCuts(
  replica: Replica,
  cuts: LogCut[],
  openings: LogOpening[],
  claims?: LogClaim[],
): Promise<boolean> {
  let changed = false
  const held = claims && new Map(claims.map((claim) => [claim.log, claim]))
  const byLog = new Map(
    openings.slice(0, MAX_CLAIMS).map((opening) => [logIdOf(replica.natives, opening), opening]),
  )
  for (const cut of cuts) {
    const { log, seq, check } = cut
    if (await cutLog(replica, log, seq, check, byLog.get(log))) changed = true
    else if (held && (await cutBefore(replica, cut, held.get(log)))) changed = true
  }
  return changed
}

/**
 * A cut of a branch that isn't mine, told by somebody who holds less of it than that. Maybe nobody does any more: then
 * no comparison finds where the branches part, and neither side can take what the other one gives. They part before
 * that cut, so a cut of mine just before it is right, and everybody can follow it.
 */
async function cutBefore(
  replica: Replica,
  { log: id, seq, check }: LogCut,
  told: LogClaim | undefined,
): Promise<boolean> {
  const log = replica.logs.get(id)
  if (!log || (told && told.seq >= seq)) return false
  const mine = log.cut?.seq === seq ? log.cut.check : await replica.logs.checkAt(id, seq)
  if (!mine || equalBytes(mine, check)) return false
  if (told && told.seq > 0) {
    // What the teller holds is another branch, too, or more than I hold: comparing shows which.
    const common = await replica.logs.checkAt(id, told.seq)
    if (!common || !equalBytes(common, told.check)) return false
  }
  return cutAt(replica, id, Math.min(seq - 1, log.seq))
}

/** My checks of a log at some places of (low..high], to be held against a peer's; `also` is one of the places. */
export async function forkPoints(
  replica: Replica,
  id: LogId,
  low: number,
  high: number,
  also = 0,
): Promise<ForkPoint[]> {
  const isAlso = also > 0 && also <= high
  const seqs = new Set(forkSeqs(low, high, MAX_FORK_POINTS - (isAlso ? 1 : 0)))
  if (isAlso) seqs.add(also)
  const points: ForkPoint[] = []
  for (const seq of [...seqs].sort((a, b) => a - b)) {
    points.push({ seq, check: (await replica.logs.checkAt(id, seq)) ?? new Uint8Array(CHECK_BYTES) })
  }
  return points
}

/**
 * A peer's checks of a log that it found contradicted. Cuts where both last agree; gives my own points to be held
 * against the peer's if that isn't known yet.
 */
export async function narrowFork(
  replica: Replica,
  id: LogId,
  theirs: ForkPoint[],
): Promise<{ cut: boolean; answer?: ForkPoint[] }> {
  const log = replica.logs.get(id)
  const said = new Map(theirs.map(({ seq, check }) => [seq, check]))
  if (!log) return { cut: await giveUpDoubt(replica, id, said) }
  const mine = new Map<number, Uint8Array | undefined>()
  for (const { seq } of theirs) mine.set(seq, await replica.logs.checkAt(id, seq))
  const outcome = compareFork(theirs, log.seq, (seq) => mine.get(seq))
  const doubts = (await readDoubts(replica)).filter((doubt) => doubt.log === id)
  if (outcome.kind !== 'parted') {
    // The other side may hold all that I hold, and so never find what only a doubt of mine contradicts: that is cut
    // first. Where the branches part before it, the next comparison shows that.
    const unlike = doubts.filter(({ seq, check }) => said.has(seq) && !equalBytes(check, said.get(seq)!))
    const base = Math.min(log.seq, ...unlike.map((doubt) => doubt.base))
    if (unlike.length > 0 && (await cutAt(replica, id, base))) return { cut: true }
    if (outcome.kind === 'same') return { cut: false }
    return { cut: false, answer: await forkPoints(replica, id, outcome.low, outcome.high) }
  }
  // What was taken on a claim that can't be confirmed any more may be of either branch.
  const unproven = doubts.filter(({ seq, check }) => !equalBytes(check, said.get(seq) ?? new Uint8Array(0)))
  return { cut: await cutAt(replica, id, Math.min(outcome.seq, ...unproven.map(({ base }) => base))) }
}

/** Cuts where my own check proves what both hold; before the first change if it is unknown. */
function cutAt(replica: Replica, id: LogId, seq: number): Promise<boolean> {
  return replica.exclusive(async () => {
    // Another cut may have come before this one: what is gone by it is not unknown.
    const log = replica.logs.get(id)
    if (!log || log.seq < seq || log.cut?.seq === seq) return false
    const check = seq === 0 ? undefined : await replica.logs.checkAt(id, seq)
    return cutNow(replica, log, check ? seq : 0, check ?? new Uint8Array(CHECK_BYTES))
  })
}

/** Content was taken on a claim that the frontier now contradicts: cut where that claim began. */
export async function sweepDoubts(replica: Replica, doubts: Doubt[]): Promise<boolean> {
  let changed = false
  // The lowest first: the others of its log end nothing more then.
  for (const { log, base } of [...doubts].sort((a, b) => a.base - b.base)) {
    if (await cutAt(replica, log, base)) changed = true
  }
  return changed
}

/** Drops checks above `seq` from the blocks. */
async function trimChecks(replica: Replica, log: StoredLog, seq: number): Promise<Write[]> {
  const writes: Write[] = []
  const first = Math.floor(seq / CHECKS_PER_BLOCK)
  for (let block = first; block <= Math.floor(log.retainedFrom / CHECKS_PER_BLOCK); block++) {
    const key = keys.checks(log.log, block)
    const row = await replica.db.get(key)
    if (!row) continue
    const keep = Math.max(0, seq - block * CHECKS_PER_BLOCK) * CHECK_BYTES
    if (keep < row.length)
      writes.push(keep === 0 ? { key, value: undefined } : { key, value: row.slice(0, keep) })
  }
  return writes
}

/**
 * [H3] When nobody has more to give: whatever is held beyond the frontier is put into my own log.
 * Returns how many cases were restated.
 */
export function restateUnclaimed(replica: Replica): Promise<number> {
  return replica.exclusive(async () => {
    if (!replica.meta.unclaimed) return 0
    // What the frontier confirms by now is claimed.
    await settleDoubtsNow(replica)
    const doubts = await readDoubts(replica)
    const doubted = (state: CaseState) => doubts.some(({ log, base }) => (state.touched.get(log) ?? 0) > base)
    const beyond = (state: CaseState) =>
      doubted(state) || [...state.touched].some(([log, seq]) => seq > (replica.logs.get(log)?.seq ?? 0))
    const count = await restateWhere(replica, beyond, (state) => {
      state.touched.delete(UNKNOWN_LOG)
      for (const [log, seq] of state.touched) {
        const held = replica.logs.get(log)?.seq ?? 0
        if (seq > held) state.touched.set(log, held)
      }
    })
    const writes: Write[] = [{ key: keys.transfer(), value: undefined }]
    for (const { key } of doubts) writes.push({ key, value: undefined })
    const meta = { ...replica.meta, unclaimed: false }
    writes.push({ key: keys.meta(), value: MetaRow.encode(meta).finish() })
    await replica.db.write(writes)
    replica.meta = meta
    replica.doubtsGone++
    return count
  })
}

/** [H2] Restates the cases that match, then lets `lower` take back what their touched vectors claimed. */
async function restateWhere(
  replica: Replica,
  match: (state: CaseState) => boolean,
  lower: (state: CaseState) => void,
): Promise<number> {
  const found: Pick<CaseState, 'key' | 'caseId'>[] = []
  for await (const state of casesFrom(replica, new Uint8Array(0))) {
    // What could be read of a damaged one is restated once, and all of it when the rest has come back.
    const isMarked = replica.damaged.size > 0 && replica.damaged.has(toHex(state.key))
    const claimed = () => new Map([...state.touched].filter(([log]) => log !== UNKNOWN_LOG))
    if (match(isMarked ? { ...state, touched: claimed() } : state))
      found.push({ key: state.key, caseId: state.caseId })
  }
  for (const { key, caseId } of found) {
    const { changes, parts } = await restatementOf(replica, key, caseId)
    const outcome = changes.length > 0 ? await replica.appendNow(changes) : { ok: true }
    // Nothing in it is larger than what was taken in before. Were it so, nobody may come to take it for told.
    if (!outcome.ok) throw new Error('a restatement was refused')
    const state = await replica.caseState(key)
    if (!state) continue
    const draft = new CaseDraft(state, replica.natives)
    lower(draft.state)
    if (replica.damaged.has(toHex(key))) draft.touch(UNKNOWN_LOG, 1)
    // What was restated is held twice now, unless it was compacted meanwhile.
    const fresh = state.parts.filter(({ number }) => !parts.old.has(number)).length
    if (parts.restated > 0 && fresh === parts.restated) draft.dropParts(parts.old)
    draft.rowGiven = true
    await replica.commitCases([draft], [], replica.meta)
  }
  return found.length
}

/** The restatement of a case as stored; of one that turns out to be damaged, of what can be read, which is kept. */
async function restatementOf(replica: Replica, key: Uint8Array, caseId: string): Promise<Restatement> {
  const { cases } = replica
  try {
    return await restatement(replica, await cases.draft(key, caseId))
  } catch (error) {
    if (!isDamage(error)) throw error
    cases.noteDamaged(key)
    const rest = await cases.draftOrRest(key, caseId)
    await replica.commitCases([rest], [], replica.meta)
    const readable = await cases.draftOrRest(key, caseId)
    readable.dropParts(readable.gaps)
    return restatement(replica, readable)
  }
}
