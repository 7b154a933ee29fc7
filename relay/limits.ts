/** What a relay grants, each with its reason. An operator may set the first two. */
import { EXPIRY_DAYS, QUOTA_BYTES } from '../src/protocol/mailbox-limits.js'
import type { Rate } from '../src/protocol/rates.js'

export const DAY_MS = 24 * 60 * 60 * 1000

export interface RelayLimits {
  /** Envelopes of one practice. */
  quotaBytes: number
  expiryMs: number
  /** Mailbox sessions of one network address: a clinic behind one NAT, twice over while it reconnects. */
  sessionsPerAddress: number
  /** Of one device: the present one, and its successor while the relay hasn't noticed that it is gone. */
  sessionsPerDevice: number
  /** What may wait to be sent to one device, beyond one BATCH: notices and answers that it doesn't take. */
  queuedBytes: number
  /** The same of all devices together. */
  queuedBytesInAll: number
  /** Messages taken in and not yet durable, of all sessions together. */
  unansweredBytes: number
  /** Messages that are not whole yet, or wait for room, of all sessions together: some may never be whole. */
  unfinishedBytes: number
  practices: number
  /**
   * Chains are verified on the relay's time: so many of strangers of one address, and in all; and of the members of one
   * practice. A long one counts for several: it takes up to a second, in which nobody else is answered.
   */
  chainRate: Rate
  chainRateInAll: Rate
  memberChainRate: Rate
  /** What is new of a chain counts once for so much of it. */
  chainPieceBytes: number
  /** Circuits to a device with an open window, by strangers: a person types a code a few times. */
  strangerCircuits: Rate
}

export const RELAY_LIMITS: RelayLimits = {
  quotaBytes: QUOTA_BYTES,
  expiryMs: EXPIRY_DAYS * DAY_MS,
  sessionsPerAddress: 256,
  sessionsPerDevice: 2,
  queuedBytes: 48 * 1024 * 1024,
  queuedBytesInAll: 256 * 1024 * 1024,
  unansweredBytes: 256 * 1024 * 1024,
  unfinishedBytes: 256 * 1024 * 1024,
  practices: 100_000,
  chainRate: { burst: 40, perSecond: 1 },
  chainRateInAll: { burst: 100, perSecond: 20 },
  memberChainRate: { burst: 100, perSecond: 4 },
  chainPieceBytes: 16 * 1024,
  strangerCircuits: { burst: 10, perSecond: 0.2 },
}

/** How often the relay's age is written down: what a crash makes its mail younger by. */
export const AGE_INTERVAL_MS = 60 * 1000
/** How often expired mail is looked for. */
export const EXPIRY_INTERVAL_MS = 60 * 60 * 1000
/** Rosters of practices without a connected device that are remembered, verified. */
export const MAX_QUIET_PRACTICES = 256
