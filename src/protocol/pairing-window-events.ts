/** What the existing device's side of pairing hears and wants; the machine is pairing-window.ts. */
import type { PairingError } from './pairing-errors.js'
import type { FrameKind } from './pairing-rules.js'
import type { Roster } from './roster.js'
import type { NewDevice } from './roster-write.js'

/** The driver's name for one connection that speaks /kartoteka/pair/1. */
export type PairSession = number

export type WindowEvent =
  | { kind: 'open' }
  | { kind: 'frame'; session: PairSession; remote: Uint8Array; roster: Roster; frame: FrameKind | undefined }
  /** The count asked for by `count-try` is durable. `roster` is the newest. */
  | { kind: 'counted'; session: PairSession; roster: Roster }
  | { kind: 'answered'; session: PairSession; add: boolean }
  /** The device is in the durable roster. */
  | { kind: 'enrolled'; session: PairSession; roster: Roster }
  /** What `enrol` (or `count-try`) asked for couldn't be done. */
  | { kind: 'store-failed'; session: PairSession }
  | { kind: 'timeout'; session?: PairSession }
  | { kind: 'lost'; session: PairSession }
  /** A person closes the window. */
  | { kind: 'close' }

export type WindowEffect =
  | { kind: 'send'; session: PairSession; frame: FrameKind }
  /** No further frame is expected: flush and close this stream. */
  | { kind: 'hang-up'; session: PairSession }
  /** A timer of the session, or of the window where none is named; arming replaces it. */
  | { kind: 'arm'; session?: PairSession; afterMs: number }
  /** Write the number of counted tries durably, then say `counted`. */
  | { kind: 'count-try'; session: PairSession; window: Uint8Array; used: number }
  /** Write the number of counted tries; nothing waits for it. */
  | { kind: 'refund-try'; window: Uint8Array; used: number }
  | { kind: 'ask'; session: PairSession; name: string; ed: Uint8Array }
  /** The question is void: the device went away, or time ran out. */
  | { kind: 'withdraw'; session: PairSession }
  /** `addDevice` on the newest roster, durably; `enrolled` or `store-failed` must follow. */
  | { kind: 'enrol'; session: PairSession; device: NewDevice }
  /** The device is in the roster; it may not know yet. */
  | { kind: 'paired'; ed: Uint8Array; name: string; addresses: string[] }
  | { kind: 'failed'; error: PairingError; triesLeft: number }
  | { kind: 'closed'; reason: CloseReason }

/** Why a window closed; 'closed' is a person's wish. */
export type CloseReason = 'paired' | 'used-up' | 'not-mine' | 'timed-out' | 'closed'
