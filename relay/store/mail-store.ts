/**
 * What a relay keeps, whatever keeps it. Everything that changes something resolves when it is durable, or
 * says why nothing was changed; `test/suites/mailbox.ts` holds what any implementation must do.
 *
 * Sequences rise by practice, in the order in which deposits become durable. Times are milliseconds for
 * which the relay has run, off times left out: for display and for expiry. No clock of the machine has a say.
 */

/** The disk refused, or there is no way to it. Nothing was changed; the next call may succeed again. */
export type Failed = 'failed'

export interface StoredDeposit {
  id: Uint8Array
  depositor: Uint8Array
  /** Each once. */
  recipients: readonly Uint8Array[]
  replaces: readonly Uint8Array[]
  envelope: Uint8Array
  at: number
}

export interface StoredMail {
  sequence: number
  id: Uint8Array
  depositor: Uint8Array
  envelope: Uint8Array
}

export interface StoredNotice {
  device: Uint8Array
  sealed: Uint8Array
}

export interface Waiting {
  recipient: Uint8Array
  count: number
  bytes: number
  /** When the oldest was deposited. */
  oldest: number
}

export interface NewRoster {
  head: Uint8Array
  entries: readonly Uint8Array[]
  /** Current members; whoever isn't among them loses mail, notice and collecting. */
  members: readonly Uint8Array[]
}

export interface Totals {
  practices: number
  /** Pending rows: one for each recipient of each mail. */
  rows: number
  /** Envelopes, each once. */
  bytes: number
}

export interface MailStore {
  /** 16 random bytes: another value means that what was acknowledged before may be missing. */
  readonly incarnation: Uint8Array
  /** How long the relay had run when it was opened: no less than at the newest mail. */
  readonly age: number

  /** Every practice with its current members. */
  practices(): Iterable<{ practice: Uint8Array; members: readonly Uint8Array[] }>
  /** The roster's entries; undefined for a practice that isn't known. */
  roster(practice: Uint8Array): Promise<Uint8Array[] | undefined | Failed>
  /** Takes the roster over if the held one ends with `expected`, or if none is held and `expected` is empty. */
  adopt(
    practice: Uint8Array,
    expected: Uint8Array,
    roster: NewRoster,
  ): Promise<'ok' | 'conflict' | 'full' | Failed>

  /** The highest sequence that is durable; 0 before the first deposit. */
  sequence(practice: Uint8Array): number
  /** `fresh`: recipients for whom this is new, and has this sequence. */
  deposit(
    practice: Uint8Array,
    deposit: StoredDeposit,
    quotaBytes: number,
  ): Promise<{ sequence: number; fresh: Uint8Array[] } | { error: 'full' | 'not-member' | Failed }>
  /** In order, from behind `after`, until the next would exceed a limit; at least one if there is one. */
  collect(
    practice: Uint8Array,
    recipient: Uint8Array,
    after: number,
    limits: { bytes: number; mails: number },
  ): Promise<{ mails: StoredMail[]; end: boolean } | Failed>
  /** Makes a member a collector. */
  beginCollecting(practice: Uint8Array, device: Uint8Array): Promise<'ok' | Failed>
  /** Releases this recipient's rows; a notice that isn't empty replaces its present one in the same step. */
  acknowledge(
    practice: Uint8Array,
    recipient: Uint8Array,
    ids: readonly Uint8Array[],
    notice: Uint8Array,
  ): Promise<'ok' | 'full' | Failed>
  /** Those of the ids that don't wait for the recipient. */
  missing(
    practice: Uint8Array,
    recipient: Uint8Array,
    ids: readonly Uint8Array[],
  ): Promise<Uint8Array[] | Failed>
  inventory(practice: Uint8Array): Promise<{ waiting: Waiting[]; bytes: number } | Failed>
  notices(practice: Uint8Array): Promise<StoredNotice[] | Failed>
  /** 'gone': this was the last collector, no mail waits for anybody else, and nothing of the practice is left. */
  leave(practice: Uint8Array, device: Uint8Array): Promise<'ok' | 'gone' | Failed>

  /** A member is here: practices that nobody has visited for long go by `expire`. Written down about once a day. */
  visited(practice: Uint8Array, age: number): Promise<'ok' | Failed>
  /**
   * Drops what was deposited at an age below `before`, then practices for which nothing waits, and for which nobody
   * collects or that no member has visited since: each is told as soon as it is durably gone, whatever becomes of the rest. `mails` have gone for good, also where the
   * disk refused before all had.
   */
  expire(before: number, onGone?: (practice: Uint8Array) => void): Promise<{ mails: number; failed: boolean }>
  /** Writes down how long the relay has run, for the next start. */
  keepAge(age: number): Promise<'ok' | Failed>
  totals(): Totals
  /** To be called about once a second: gives the disk back what was acknowledged. */
  tidy(): Promise<void>
  close(): Promise<void>
}
