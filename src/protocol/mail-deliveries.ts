/**
 * What becomes of what was left at the relay: forgotten when its recipient says so, offered again when it got lost.
 *
 *  [L4] a sender forgets only what the recipient's own newest word covers, never on the relay's word;
 *  [L5] what is neither covered nor waiting any more is offered again, under another id.
 */
import { fromHex } from './bytes.js'
import { answerTo } from './mail-answering.js'
import type { MailLedger } from './mail-ledger.js'
import type { MailOutbox } from './mail-outbox.js'
import type { Rests } from './mail-rests.js'
import type { Heard } from './mail-types.js'
import { MAX_IDS } from './mailbox-limits.js'

/** Mail that the relay holds no more may have been taken: the recipient's word is on its way. */
const SUSPECT_MS = 2_000
/** While somebody waits: at worst what waits is left a second time. */
const HURRIED_SUSPECT_MS = 500

export class Deliveries {
  /** Recipients whose mail was asked after, by the number of the question. */
  private readonly checks = new Map<number, string>()
  /** By recipient. Those that became suspect since the last look wait for one more. */
  private suspects = new Map<string, Uint8Array[]>()
  private freshSuspects = new Map<string, Uint8Array[]>()
  private suspectMs = SUSPECT_MS

  constructor(
    private readonly out: MailOutbox,
    private readonly ledger: MailLedger,
    private readonly rests: Rests,
  ) {}

  /** [L5] Whether all that was left still waits is not known yet. */
  get isChecking(): boolean {
    const all = [...this.suspects, ...this.freshSuspects]
    return this.checks.size > 0 || all.some(([recipient, ids]) => this.ledger.isWaiting(recipient, ids))
  }

  /** Somebody waits: until it is known. */
  hasten(): void {
    if (!this.isChecking || this.suspectMs === HURRIED_SUSPECT_MS) return
    this.suspectMs = HURRIED_SUSPECT_MS
    if (this.out.isArmed('suspect')) this.out.arm('suspect', this.suspectMs)
  }

  /** [L4] Returns the ids that the recipient's newest word doesn't cover. */
  heard({ device, known, unusable, asking }: Heard): Uint8Array[] {
    if (asking?.isOver) {
      this.ledger.isOver(device, asking.id)
      this.rests.succeeded(answerTo(device))
    }
    const before = this.ledger.row(device)
    const open = this.ledger.heard(device, known, unusable)
    const { attempt, answer } = this.ledger.row(device)
    if (before.answer && !answer) this.rests.inVain(answerTo(device))
    if (attempt > before.attempt) this.rests.inVain(device)
    else if (attempt === 0) this.rests.succeeded(device)
    this.out.put({ type: 'keepLedger' })
    return open
  }

  /** [L5] Asks whether all that I have left still waits there. */
  checkAll(): void {
    for (const recipient of this.ledger.state.rows.keys())
      this.check(recipient, this.ledger.waiting(recipient))
  }

  check(recipient: string, ids: Uint8Array[]): void {
    for (let at = 0; at < ids.length; at += MAX_IDS) {
      const number = this.out.next()
      this.checks.set(number, recipient)
      const value = { number, recipient: fromHex(recipient), ids: ids.slice(at, at + MAX_IDS) }
      this.out.send({ $case: 'check', value })
    }
  }

  /** [L5] The relay doesn't hold them; but the word that covers them may just be on its way. */
  onMissing(number: number, ids: Uint8Array[]): void {
    const recipient = this.checks.get(number)
    this.checks.delete(number)
    if (recipient === undefined || ids.length === 0) return this.slowDown()
    this.freshSuspects.set(recipient, [...(this.freshSuspects.get(recipient) ?? []), ...ids])
    this.out.armOnce('suspect', this.suspectMs)
  }

  onTimer(): void {
    for (const [recipient, ids] of this.suspects) {
      const { answer } = this.ledger.row(recipient)
      const before = this.ledger.row(recipient).attempt
      if (!this.ledger.lost(recipient, ids)) continue
      const row = this.ledger.row(recipient)
      if (row.attempt > before) this.rests.inVain(recipient)
      if (answer && !row.answer) this.rests.inVain(answerTo(recipient))
      this.out.put({ type: 'keepLedger' })
    }
    this.suspects = this.freshSuspects
    this.freshSuspects = new Map()
    if (this.suspects.size > 0) this.out.arm('suspect', this.suspectMs)
    this.slowDown()
  }

  private slowDown(): void {
    if (!this.isChecking) this.suspectMs = SUSPECT_MS
  }
}
