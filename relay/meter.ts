/** What a relay counts. Never a practice, a device or an address. */
import type { DoneError, RefuseCode } from '../src/protocol/mailbox-types.js'

export interface RelayMeter {
  /** A deposit was answered; `ms` from its arrival. */
  deposit(error: DoneError, ms: number, bytes: number): void
  collected(mails: number): void
  acknowledged(mails: number): void
  refused(code: RefuseCode): void
  /** A question for a practice code. */
  asked(outcome: 'found' | 'nothing' | 'too-often'): void
}

export const noMeter: RelayMeter = {
  deposit() {},
  collected() {},
  acknowledged() {},
  refused() {},
  asked() {},
}
