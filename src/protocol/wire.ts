/** Between messages and the core's own values. Shapes are checked here once; a wrong one is `undefined`. */
import { fromHex, toHex } from './bytes.js'
import type { ChangeRun } from './door.js'
import { encoded } from './encode.js'
import type { HeldLog, LogClaim } from './frontier.js'
import { CHECK_BYTES, LOG_ID_BYTES, MAX_CLAIMS } from './limits.js'
import type { LogOpening } from './log.js'
import { hasSoundCounts, type Nested } from './message-guard.js'
import { type Changes, type Claim, type Cut, Frame, type Run, type Stretch, type Target } from './sync.gen.js'
import type { CheckStretch, TargetLog } from './transfer.js'
import { encodeItems } from './wire-items.js'

export type FrameKind = NonNullable<Frame['kind']>

/** A message's bytes → its kind; undefined for anything malformed or unknown. Never throws. */
export function decodeFrame(bytes: Uint8Array): FrameKind | undefined {
  if (!hasSoundCounts(bytes, NESTED)) return undefined
  try {
    return Frame.decode(bytes).kind
  } catch {
    return undefined
  }
}

/** Which fields hold messages, from the frame down. */
const LEAF: Nested = {}
const NESTED: Nested = {
  1: { 7: LEAF, 9: LEAF },
  2: { 1: LEAF, 2: LEAF, 3: LEAF },
  3: LEAF,
  4: { 1: { 4: LEAF } },
  5: { 1: LEAF, 2: { 3: LEAF } },
  7: { 3: LEAF },
  8: { 2: LEAF, 3: LEAF },
  9: { 3: { 5: LEAF, 7: LEAF, 9: LEAF }, 4: LEAF, 5: LEAF },
  11: { 1: LEAF },
  10: LEAF,
  13: LEAF,
  17: LEAF,
  21: { 2: LEAF },
}

export function encodeFrame(kind: FrameKind): Uint8Array {
  return kind.$case === 'items' ? encodeItems(kind.value) : encoded(Frame, { kind })
}

const isLogId = (bytes: Uint8Array) => bytes.length === LOG_ID_BYTES
const isClaim = ({ log, check }: Claim) => isLogId(log) && check.length === CHECK_BYTES

export function claimsFromWire(claims: Claim[]): LogClaim[] | undefined {
  if (claims.length > MAX_CLAIMS || !claims.every(isClaim)) return undefined
  return claims.map(({ log, seq, check }) => ({ log: toHex(log), seq, check }))
}

export const claimToWire = ({ log, seq, check }: LogClaim): Claim => ({ log: fromHex(log), seq, check })

/** A cut as learned from a peer. */
export interface LogCut {
  log: string
  seq: number
  check: Uint8Array
}

export const cutsFromWire = (cuts: Cut[]): LogCut[] | undefined => claimsFromWire(cuts)

export const cutToWire = (log: HeldLog): Cut => ({
  log: fromHex(log.log),
  seq: log.cut?.seq ?? log.seq,
  check: log.cut?.check ?? log.check,
})

export const openingToWire = ({ device, random, predecessor }: LogOpening): LogOpening => ({
  device,
  random,
  predecessor,
})

export function runsFromWire(changes: Changes): ChangeRun[] | undefined {
  if (!changes.runs.every((run) => isLogId(run.log))) return undefined
  return changes.runs.map((run) => ({ ...run, log: toHex(run.log) }))
}

export const runToWire = (run: ChangeRun): Run => ({ ...run, log: fromHex(run.log) })

const isTarget = (target: Target): boolean =>
  isClaim(target) && (target.fromCheck.length === 0 || target.fromCheck.length === CHECK_BYTES)

export function targetsFromWire(targets: Target[]): TargetLog[] | undefined {
  if (targets.length > MAX_CLAIMS || !targets.every(isTarget)) return undefined
  return targets.map((target) => ({ ...target, log: toHex(target.log) }))
}

export const targetToWire = (target: TargetLog): Target => ({ ...target, log: fromHex(target.log) })

export function stretchesFromWire(stretches: Stretch[]): CheckStretch[] | undefined {
  if (stretches.length > MAX_CLAIMS || !stretches.every(({ log }) => isLogId(log))) return undefined
  return stretches.map((stretch) => ({ ...stretch, log: toHex(stretch.log) }))
}

export const stretchToWire = (stretch: CheckStretch): Stretch => ({ ...stretch, log: fromHex(stretch.log) })
