/** What comes into a relay's session with one device, and what it asks of its surroundings. */
import type { Lane } from './framing.js'
import type { Mail, Notice, Waiting } from './mailbox.gen.js'
import type { MailFrameKind } from './mailbox-wire.js'
import type { Roster } from './roster.js'

/** Why a relay ends a session; the device's sentence for each is in its own words. */
export type RefuseCode =
  | 'refused'
  | 'peer-too-old'
  | 'peer-too-new'
  | 'malformed'
  | 'busy'
  | 'silent'
  | 'failed'
  | 'stopping'
  | 'replaced'

/** Why nothing was changed by a request; empty when everything is durable. */
export type DoneError = '' | 'full' | 'too-large' | 'not-member' | 'malformed' | 'failed'

/** What became of a roster: stored, overtaken by another, or not taken for one of the reasons to end. */
export type AdoptOutcome = 'ok' | 'conflict' | 'refused' | 'busy' | 'failed'

export interface MailDeposit {
  id: Uint8Array
  /** Current members, each once. */
  recipients: Uint8Array[]
  replaces: Uint8Array[]
  envelope: Uint8Array
}

/** `now` is in milliseconds of a clock that only goes forward; it serves deadlines, and nothing else. */
export type MailboxEvent =
  /** A message of this device; undefined where it couldn't be read. Only while the session is `ready`. */
  | { kind: 'frame'; frame: MailFrameKind | undefined; now: number }
  /** Outcome of `load`: what the relay holds of the practice. */
  | { kind: 'loaded'; roster: Roster | undefined; sequence: number; incarnation: Uint8Array }
  /** Outcome of `adopt`; the roster that is held now came before as `roster`, also after a conflict. */
  | { kind: 'adopted'; outcome: AdoptOutcome }
  /** The practice's roster as held from now on; undefined when the practice is gone. */
  | { kind: 'roster'; roster: Roster | undefined }
  /** All notices after `join`, later those that changed. */
  | { kind: 'notices'; notices: Notice[] }
  /** Mail for this device has become durable. */
  | { kind: 'mail' }
  /** Outcome of `collect`. */
  | { kind: 'batch'; mails: Mail[]; end: boolean }
  /** Outcome of `deposit`, `ack` and `leave`. */
  | { kind: 'done'; number: number; error: DoneError; sequence: number; bytes: number }
  /** Outcome of `check`. */
  | { kind: 'missing'; number: number; ids: Uint8Array[] }
  /** Outcome of `ask`. */
  | { kind: 'inventory'; number: number; waiting: Waiting[]; bytes: number; quota: number }
  /** The store couldn't answer, or the relay has a reason of its own to end this. */
  | { kind: 'end'; code: RefuseCode }
  | { kind: 'tick'; now: number }

export type MailboxEffect =
  | { kind: 'send'; lane: Lane; frame: MailFrameKind }
  /** After what was sent. Nothing comes after it. */
  | { kind: 'close' }
  | { kind: 'load'; practice: Uint8Array }
  /** This device is a member: it hears of notices, mail and rosters from now on. Answered by all notices. */
  | { kind: 'join' }
  /** Store this roster if the held one still ends with `expected` (empty: none is held). */
  | { kind: 'adopt'; expected: Uint8Array; roster: Roster }
  | { kind: 'deposit'; number: number; deposit: MailDeposit }
  | { kind: 'collect'; after: number }
  /** An empty notice leaves the present one. */
  | { kind: 'ack'; number: number; ids: Uint8Array[]; notice: Uint8Array }
  | { kind: 'check'; number: number; recipient: Uint8Array; ids: Uint8Array[] }
  | { kind: 'ask'; number: number }
  | { kind: 'leave'; number: number }
  | { kind: 'window'; open: boolean }
