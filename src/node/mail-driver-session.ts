/** What the mail driver is given, and what it keeps of each relay. */
import { toHex } from '../protocol/bytes.js'
import type { Asking } from '../protocol/envelope.gen.js'
import { type MailOptions, MailSession } from '../protocol/mail.js'
import type { MailLedger } from '../protocol/mail-ledger.js'
import type { RosterView } from '../protocol/mail-opening.js'
import type { MailCloseCode, MailEvent, MailTimer } from '../protocol/mail-types.js'
import type { Inventory } from '../protocol/mailbox.gen.js'
import type { PartsWriter } from '../store/mail-out.js'
import type { Driver } from './driver.js'
import type { Timers } from './driver-session.js'
import type { OfficeOptions, OfficeRoster } from './mail-office.js'

/** One connected relay, as the mail driver needs it. */
export interface MailLink {
  /** Ed25519 key of the relay, proven by the transport. */
  relay: Uint8Array
  send(lane: 'live' | 'bulk', bytes: Uint8Array): void
  close(): void
}

export interface MailDriverOptions extends OfficeOptions {
  driver: Driver
  timers: Timers
  /** Monotonic milliseconds. */
  now: () => number
  roster: OfficeRoster &
    RosterView & {
      apply(entries: Uint8Array[]): Promise<boolean>
      /** Keys of all other members. */
      others(): readonly Uint8Array[]
      /** Keys of the other members that collect mail. */
      collectors(): Uint8Array[]
    }
  events?: MailDriverEvents
}

export interface MailDriverEvents {
  status?: () => void
  closed?: (relay: string, code: MailCloseCode | 'lost' | 'stopped') => void
  failed?: (error: unknown) => void
  /** The relay's roster was taken over. */
  rosterChanged?: () => void
}

/** A relay that is asked for a roster head that another device has named, and can't show it. */
const WITHHOLDING_MS = 60_000
/** [L9] A relay that says that more waits, and gives nothing of use for so long, is waited for no longer. */
const PATIENCE_MS = 60_000

/** [L9] How long one relay has been waited for without anything of use, in one conversation or several. */
export class Patience {
  /** When its last conversation ended. */
  private waitedMs = 0
  private since = 0

  constructor(private readonly now: () => number) {}

  /** A conversation begins: what was waited for in the last one counts. */
  begin(): void {
    this.since = this.now() - this.waitedMs
  }

  /** It gave something of use, or nothing is waited for. */
  renew(): void {
    this.since = this.now()
  }

  /** The conversation is over; `hadAll`: nothing was waited for any more. */
  end(hadAll: boolean): void {
    this.waitedMs = hadAll ? 0 : this.now() - this.since
  }

  get isOver(): boolean {
    return this.now() - this.since > PATIENCE_MS
  }
}

/** One conversation with a relay. */
export class RelaySession {
  readonly relay: string
  readonly machine: MailSession
  work: Promise<void> = Promise.resolve()
  readonly timers = new Map<MailTimer, () => void>()
  readonly questions = new Map<number, (answer: Inventory | boolean | undefined) => void>()
  writer: PartsWriter | undefined
  open = true
  isFull = false
  /** Devices of which this relay shows an older word than the one held here, by hex of their keys. */
  readonly outdated = new Map<string, Uint8Array>()
  /** What each device asks for in its word here, by hex of its key. */
  readonly askings = new Map<string, Asking>()
  private withheldSince: number | undefined

  constructor(
    readonly link: MailLink,
    readonly ledger: MailLedger,
    readonly patience: Patience,
    private readonly options: MailDriverOptions,
    visit: MailOptions['visit'],
  ) {
    this.relay = toHex(link.relay)
    const { replica, roster } = options
    const { natives } = replica
    const { practice } = replica.options
    this.machine = new MailSession({ natives, practice, roster, ledger, visit })
    patience.begin()
  }

  /** Whether mail waits for a roster that the relay doesn't show. */
  noteWithheld(isWithheld: boolean): void {
    this.withheldSince = isWithheld ? (this.withheldSince ?? this.options.now()) : undefined
  }

  /** This relay keeps mail back: it was written under a roster that the relay can't show. */
  get isWithholding(): boolean {
    const { withheldSince, options } = this
    return withheldSince !== undefined && options.now() - withheldSince > WITHHOLDING_MS
  }

  /** Mail that could bring what is missing is still expected of it. */
  get isPending(): boolean {
    return !this.machine.isCollected && !this.isWithholding && !this.patience.isOver
  }
}

/** What the parts of the mail driver see of each other: all sessions, and how to bring an event to them. */
export interface RelaySessions {
  readonly all: ReadonlyMap<string, RelaySession>
  step(session: RelaySession, event: MailEvent): void
  toAll(event: MailEvent): void
}
