/** What the end of a transfer makes of one log: [T3] in protocol/transfer.ts. */
import { concat, equalBytes } from '../protocol/bytes.js'
import type { TargetLog } from '../protocol/transfer.js'
import { CHECKS_PER_BLOCK } from './keyspace.js'
import type { StoredLog } from './logs.js'
import type { Replica } from './replica.js'
import type { Write } from './sealed-db.js'
import type { TargetChecks } from './target-checks.js'

/** A log after adopting a target; undefined if the target adds nothing, or isn't shown to go on what is held. */
export async function adoptedLog(
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
export async function writeChecks(
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
