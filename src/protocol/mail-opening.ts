/** How a mail session begins: a version that both speak, then the same roster at both ends, also when it changes later. */
import { equalBytes } from './bytes.js'
import type { MailLedger } from './mail-ledger.js'
import type { MailOutbox } from './mail-outbox.js'
import type { Welcome } from './mailbox.gen.js'
import { GREET_TIMEOUT_MS, MAILBOX_VERSION, OLDEST_MAILBOX_VERSION } from './mailbox-limits.js'
import type { Natives } from './natives.js'
import { decodeEntry } from './roster-format.js'

/** Rosters go to and fro at most so often before the relay is left alone. */
const ROSTER_ROUNDS = 8

/** Why a relay ends a session that it may well take up again soon. */
const PASSING: ReadonlySet<string> = new Set(['busy', 'silent', 'failed', 'replaced'])

/** My roster, as it is now. */
export interface RosterView {
  head(): Uint8Array
  /** A head of my own chain. */
  knows(head: Uint8Array): boolean
  entries(): Uint8Array[]
}

export interface OpeningOptions {
  natives: Natives
  practice: Uint8Array
  roster: RosterView
  ledger: MailLedger
}

export class Opening {
  private phase: 'greeting' | 'roster' | 'ready' = 'greeting'
  private relayHead: Uint8Array = new Uint8Array(0)
  private rounds = 0

  constructor(
    private readonly out: MailOutbox,
    private readonly options: OpeningOptions,
  ) {}

  /** The relay knows this device as a member. */
  get isReady(): boolean {
    return this.phase === 'ready'
  }

  start(): void {
    const { practice, roster } = this.options
    const versions = { oldest: OLDEST_MAILBOX_VERSION, newest: MAILBOX_VERSION }
    this.out.send({ $case: 'greet', value: { ...versions, practice, rosterHead: roster.head() } })
    this.out.arm('greet', GREET_TIMEOUT_MS)
  }

  onTimer(): void {
    if (!this.isReady) this.out.close('silent')
  }

  onRefuse(code: string): void {
    if (code === 'peer-too-old') return this.out.close('relay-too-new')
    if (code === 'peer-too-new') return this.out.close('relay-too-old')
    if (code === 'stopping') return this.out.close('stopping')
    this.out.close(PASSING.has(code) ? 'silent' : 'refused')
  }

  /** True if the relay is ready with it. */
  onWelcome(welcome: Welcome): boolean {
    const code = this.refusalOf(welcome)
    if (code) {
      this.out.close(code)
      return false
    }
    this.options.ledger.greet(welcome.incarnation, welcome.sequence)
    this.out.put({ type: 'keepLedger' })
    this.phase = 'roster'
    return this.onHead(welcome.rosterHead)
  }

  private refusalOf({ version }: Welcome): 'malformed' | 'relay-too-new' | 'relay-too-old' | undefined {
    if (this.phase !== 'greeting') return 'malformed'
    if (version > MAILBOX_VERSION) return 'relay-too-new'
    return version < OLDEST_MAILBOX_VERSION ? 'relay-too-old' : undefined
  }

  onChain(entries: Uint8Array[]): void {
    const last = entries[entries.length - 1]
    const entry = last && decodeEntry(this.options.natives, last)
    if (!entry) return this.out.close('malformed')
    this.relayHead = entry.hash
    this.out.put({ type: 'applyRoster', entries })
  }

  /** True if the relay is ready with it. */
  onHead(head: Uint8Array): boolean {
    this.relayHead = head
    return this.settle()
  }

  /** Until both end with the same entry, each shows the other what it lacks. True if the relay is ready with it. */
  settle(): boolean {
    if (this.phase === 'greeting') return false
    const { roster } = this.options
    if (equalBytes(roster.head(), this.relayHead)) return this.agreed()
    if (++this.rounds > ROSTER_ROUNDS) {
      this.out.close('contested')
      return false
    }
    const isBehind = this.relayHead.length === 0 || roster.knows(this.relayHead)
    this.out.send({ $case: 'chain', value: { entries: isBehind ? roster.entries() : [] } })
    return false
  }

  private agreed(): boolean {
    this.rounds = 0
    if (this.isReady) return false
    this.phase = 'ready'
    this.out.disarm('greet')
    return true
  }
}
