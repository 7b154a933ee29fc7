/**
 * Where two branches of a log part: both sides compare checks at a few places, then at places between the last
 * that agrees and the first that doesn't, until these are neighbours. Nothing is kept between two messages.
 */
import { concat, equalBytes, readU32, u32 } from './bytes.js'
import { CHECK_BYTES, MAX_FORK_POINTS } from './limits.js'

/** A check as one side holds it; zeros where unknown. */
export interface ForkPoint {
  seq: number
  check: Uint8Array
}

/** Evenly spread sequence numbers of [low..high], both included, at most `most`. */
export function forkSeqs(low: number, high: number, most = MAX_FORK_POINTS): number[] {
  const first = Math.max(1, low)
  const steps = Math.min(high - first, most - 1)
  if (steps <= 0) return high < first ? [] : [high]
  return Array.from({ length: steps + 1 }, (_, at) => first + Math.floor((at * (high - first)) / steps))
}

export type ForkOutcome =
  /** As far as both hold it, nothing differs. */
  | { kind: 'same' }
  /** `seq` is the last that both agree on; 0 if there is none. */
  | { kind: 'parted'; seq: number }
  /** The branches part behind `low`, at `high` at the latest. */
  | { kind: 'narrow'; low: number; high: number }

/**
 * Judges the other side's points.
 *
 * @param points ascending.
 * @param mySeq how far I hold the log.
 * @param checkAt my check of a change; undefined if unknown.
 */
export function compareFork(
  points: ForkPoint[],
  mySeq: number,
  checkAt: (seq: number) => Uint8Array | undefined,
): ForkOutcome {
  const shared = points.filter(({ seq }) => seq <= mySeq)
  const agreed = shared.findLast(({ seq, check }) => isKnown(check) && same(checkAt(seq), check))?.seq ?? 0
  const top = Math.min(mySeq, points[points.length - 1]?.seq ?? 0)
  if (agreed >= top) return { kind: 'same' }
  const next = shared.find(({ seq }) => seq > agreed)?.seq
  if (next === agreed + 1) return { kind: 'parted', seq: agreed }
  return { kind: 'narrow', low: agreed, high: next ?? top }
}

const isKnown = (check: Uint8Array) => check.some((byte) => byte !== 0)
const same = (a: Uint8Array | undefined, b: Uint8Array) => a !== undefined && equalBytes(a, b)

const POINT_BYTES = 4 + CHECK_BYTES

export function encodePoints(points: ForkPoint[]): Uint8Array {
  return concat(points.flatMap(({ seq, check }) => [u32(seq), check]))
}

/** Undefined for points that are malformed, too many, or don't ascend from 1. */
export function decodePoints(bytes: Uint8Array): ForkPoint[] | undefined {
  if (bytes.length % POINT_BYTES !== 0 || bytes.length > MAX_FORK_POINTS * POINT_BYTES) return undefined
  const points: ForkPoint[] = []
  let last = 0
  for (let at = 0; at < bytes.length; at += POINT_BYTES) {
    const seq = readU32(bytes, at)
    if (seq <= last) return undefined
    last = seq
    points.push({ seq, check: bytes.slice(at + 4, at + POINT_BYTES) })
  }
  return points
}
