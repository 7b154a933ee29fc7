/** Adopting what a transfer targeted: which of its logs may be, and what its end makes of each. [T3] [T4] in protocol/transfer.ts. */
import { concat, equalBytes, fromHex } from '../protocol/bytes.js'
import { checkOf, type LogId, signedHeadBytes } from '../protocol/log.js'
import type { TargetLog } from '../protocol/transfer.js'
import { confirms, readDoubts } from './doubts.js'
import { CHECKS_PER_BLOCK } from './keyspace.js'
import { logWrite, type StoredLog } from './logs.js'
import type { Replica } from './replica.js'
import type { Write } from './sealed-db.js'
import type { TargetChecks } from './target-checks.js'

/** May be adopted: proven, and not my own current log. [T4] */
export function isAdoptable(replica: Replica, fresh: Map<LogId, StoredLog>, target: TargetLog): boolean {
  return target.log !== replica.liveLog && isProven(replica, fresh, target)
}

/** A target log names its device's signature over its last head; a cut one ends at the cut everybody knows. */
export function isProven(replica: Replica, fresh: Map<LogId, StoredLog>, target: TargetLog): boolean {
  const { seq, head, check } = target
  const log = replica.logs.get(target.log) ?? fresh.get(target.log)
  if (!log || seq <= target.from) return false
  if (head.length === 0) return log.cut?.seq === seq && equalBytes(log.cut.check, check)
  const signed = signedHeadBytes(replica.options.practice, fromHex(target.log), seq, head)
  return equalBytes(checkOf(head), check) && replica.natives.verify(log.device, signed, target.signature)
}

/** What adopting a target writes. `isShort`: some of it can't be adopted, so its content stays unclaimed. */
export async function adoptTarget(
  replica: Replica,
  targets: readonly TargetLog[],
  openings: ReadonlyMap<LogId, StoredLog>,
  checks: TargetChecks,
): Promise<{ writes: Write[]; adopted: StoredLog[]; isShort: boolean }> {
  const writes: Write[] = []
  const adopted: StoredLog[] = []
  let isShort = false
  const doubts = await readDoubts(replica)
  for (const target of targets) {
    const held = replica.logs.get(target.log) ?? openings.get(target.log)
    if (!held || target.log === replica.liveLog) continue
    const log = await adoptedLog(held, target, checks)
    // A cut that is known already ends the log before the target, and the cases that came may hold what is behind it.
    if (target.seq > (log ?? held).seq) isShort = true
    if (!log) continue
    writes.push(...(await writeChecks(replica, held, log, target, checks)), logWrite(log))
    for (const doubt of doubts)
      if (doubt.log === log.log && doubt.seq <= log.seq && (await confirms(target, checks, doubt)))
        writes.push({ key: doubt.key, value: undefined })
    adopted.push(log)
  }
  return { writes, adopted, isShort }
}

/** A log after adopting a target; undefined if the target adds nothing, or isn't shown to go on what is held. */
async function adoptedLog(
  held: StoredLog,
  target: TargetLog,
  checks: TargetChecks,
): Promise<StoredLog | undefined> {
  const seq = held.cut ? Math.min(target.seq, held.cut.seq) : target.seq
  if (seq <= held.seq) return undefined
  if (held.seq < target.from) return undefined
  // What is held may be another branch, of a folder that was put back.
  const its = held.seq === target.from ? target.fromCheck : await checks.at(target, held.seq)
  if (held.seq > 0 && (!its || !equalBytes(its, held.check))) return undefined
  const check = await checks.at(target, seq)
  if (!check) return undefined
  if (held.cut && seq === held.cut.seq && !equalBytes(check, held.cut.check)) return undefined
  const whole = seq === target.seq
  return {
    ...held,
    seq,
    check,
    head: whole ? target.head : new Uint8Array(0),
    signature: whole ? target.signature : new Uint8Array(0),
    retainedFrom: seq,
  }
}

/**
 * Puts the checks of (held..adopted] to those that stay for ever. Most are written at once, in bounded batches: beyond
 * the frontier nobody looks at them. What shares a block with held ones is returned, to be written with the frontier.
 */
async function writeChecks(
  replica: Replica,
  held: StoredLog,
  adopted: StoredLog,
  target: TargetLog,
  checks: TargetChecks,
): Promise<Write[]> {
  const boundary = Math.min(adopted.seq, Math.ceil(held.seq / CHECKS_PER_BLOCK) * CHECKS_PER_BLOCK)
  for await (const piece of checks.pieces(target, boundary, adopted.seq)) {
    await replica.db.write(await replica.logs.checkWrites(held.log, piece.from, piece.checks))
  }
  const shared: Uint8Array[] = []
  for await (const piece of checks.pieces(target, held.seq, boundary)) shared.push(piece.checks)
  return replica.logs.extendWrites(held, concat(shared))
}
