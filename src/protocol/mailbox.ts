/**
 * A relay's side of /kartoteka/mailbox: one session with one device. It decides who is a member and what each
 * message asks for; the store and the other sessions are reached by effects.
 *
 * [B1] Only a current member by the relay's own verified roster, by the key that the connection proved,
 *      deposits, collects, acknowledges, checks, asks, leaves and opens windows. Everybody else hears what is
 *      heard of a practice that isn't known here, and has 10 s for one CHAIN that shows that it belongs.
 * [B2] A deposit is answered when it is durable. The same id again unites recipients, keeps the stored
 *      envelope and counts once; a new recipient of a known id gets a new sequence.
 * [B3] Recipients are current members, at least one, and not the depositor alone; an envelope has at most
 *      MAX_ENVELOPE_BYTES.
 * [B4] What a deposit replaces goes with it in one step: only rows of the same depositor's mail, and only
 *      those of recipients that the new envelope names. Unknown ids are passed over.
 * [B5] Mail is collected in the order in which it became durable. Each COLLECT grants one BATCH, of at least
 *      one whole mail; with nothing to send an empty one says so once, and the grant waits for the next mail.
 * [B6] An acknowledgement releases the recipient's own rows only; an unknown id succeeds; the envelope goes
 *      with its last row.
 * [B7] A device has one notice. A new one is durable together with what the same ACK releases, and goes to
 *      all members: the whole set after the greeting, later what changed.
 * [B8] A roster is taken over where it extends the held one or wins over it, by compare-and-set. Members
 *      hear of it; a removed device loses mail, notice and session at once. Who belongs only in one that has
 *      lost is shown the held one before it is refused.
 * [B9] LEAVE drops a device's mail and notice and takes it off the collectors, which it joined with its first
 *      COLLECT. With the last collector everything of the practice goes, unless mail waits for others: then
 *      when that expires. It is a session's last request: what comes behind it does not undo it. A practice that
 *      no member has visited for as long as mail is kept, and for which nothing waits, goes too.
 * [B10] WELCOME names the relay's incarnation and the highest sequence so far that is durable.
 * [B11] INVENTORY is exactly what is held: rows, bytes and age for each recipient; an envelope counts once in
 *      the total.
 * [B12] A slow or silent peer costs a bounded amount: deadlines, unanswered requests, queued bytes, rates.
 */
import { EMPTY, equalBytes } from './bytes.js'
import type { Deposit, Greet } from './mailbox.gen.js'
import {
  DEVICE_KEY_BYTES,
  GREET_TIMEOUT_MS,
  MAIL_ID_BYTES,
  MAILBOX_VERSION,
  MAX_ENVELOPE_BYTES,
  MAX_IDS,
  MAX_NOTICE_BYTES,
  MAX_RECIPIENTS,
  MAX_REPLACES,
  MAX_UNANSWERED,
  MAX_UNANSWERED_BYTES,
  OLDEST_MAILBOX_VERSION,
  PRACTICE_ID_BYTES,
  SILENCE_TIMEOUT_MS,
} from './mailbox-limits.js'
import { betterRoster } from './mailbox-roster.js'
import type { AdoptOutcome, DoneError, MailboxEffect, MailboxEvent, RefuseCode } from './mailbox-types.js'
import type { MailFrameKind } from './mailbox-wire.js'
import type { Natives } from './natives.js'
import { isMember, type Roster } from './roster.js'
import { hasLost } from './roster-fork.js'

/** `greeting` → `loading` → `member`, or `proving` → `adopting` → `member`; a member adopts as well. */
type State = 'greeting' | 'loading' | 'proving' | 'member' | 'closed'

export interface MailboxSessionOptions {
  natives: Natives
  /** The Ed25519 key that the connection proved. */
  device: Uint8Array
  now: number
}

export class MailboxSession {
  /** Known from the greeting on. */
  practice: Uint8Array = EMPTY
  private state: State = 'greeting'
  private roster: Roster | undefined
  /** A chain that waits for the store. */
  private adopting: Uint8Array[] | undefined
  private unanswered = 0
  private unansweredBytes = 0
  /** Asked for and not used up: the sequence after which mail is wanted. */
  private grant: number | undefined
  /** The empty BATCH of this grant has gone out. */
  private saidEnd = false
  /** Where the reading that is under way begins. */
  private readingAfter: number | undefined
  private mailCame = false
  private hasLeft = false
  /** None once it is clear that the device belongs. */
  private deadline: number
  private lastHeard: number

  constructor(private readonly options: MailboxSessionOptions) {
    this.deadline = options.now + GREET_TIMEOUT_MS
    this.lastHeard = options.now
  }

  /** [B12] Whether the next frame may come: not while too much is unanswered, nor before it is clear who asks. */
  get ready(): boolean {
    if (this.state === 'loading' || this.adopting) return false
    return this.unanswered < MAX_UNANSWERED && this.unansweredBytes < MAX_UNANSWERED_BYTES
  }

  get isMember(): boolean {
    return this.state === 'member'
  }

  get isClosed(): boolean {
    return this.state === 'closed'
  }

  step(event: MailboxEvent): MailboxEffect[] {
    if (this.state === 'closed') return []
    switch (event.kind) {
      case 'frame':
        this.lastHeard = event.now
        return event.frame ? this.onFrame(event.frame, event.now) : this.refuse('malformed')
      case 'loaded':
        return this.onLoaded(event)
      case 'roster':
        return this.onRoster(event.roster)
      case 'adopted':
        return this.onAdopted(event.outcome)
      case 'notices':
        return [live({ $case: 'notices', value: { notices: event.notices } })]
      case 'mail':
        return this.onMail()
      case 'batch':
        return this.onBatch(event)
      case 'done':
        return this.onDone(event)
      case 'missing':
        this.unanswered--
        return [live({ $case: 'missing', value: { number: event.number, ids: event.ids } })]
      case 'inventory': {
        this.unanswered--
        const { number, waiting, bytes, quota } = event
        return [live({ $case: 'inventory', value: { number, waiting, bytes, quota } })]
      }
      case 'end':
        return this.refuse(event.code)
      case 'tick':
        return this.onTick(event.now)
    }
  }

  private onFrame(frame: MailFrameKind, now: number): MailboxEffect[] {
    if (frame.$case === 'alive') return frame.value.answer ? [] : [alive(frame.value.number)]
    switch (this.state) {
      case 'greeting':
        return frame.$case === 'greet' ? this.onGreet(frame.value, now) : this.refuse('malformed')
      case 'proving':
        return frame.$case === 'chain' ? this.onChain(frame.value.entries) : this.refuse('refused')
      case 'member':
        return this.onRequest(frame)
      default:
        return this.refuse('malformed')
    }
  }

  private onGreet(greet: Greet, now: number): MailboxEffect[] {
    if (greet.oldest > MAILBOX_VERSION) return this.refuse('peer-too-new')
    if (greet.newest < OLDEST_MAILBOX_VERSION) return this.refuse('peer-too-old')
    if (greet.practice.length !== PRACTICE_ID_BYTES) return this.refuse('malformed')
    this.practice = Uint8Array.from(greet.practice)
    this.state = 'loading'
    // For the CHAIN of a stranger, from now on.
    this.deadline = now + GREET_TIMEOUT_MS
    return [{ kind: 'load', practice: this.practice }]
  }

  /** [B1] [B10] */
  private onLoaded(event: Extract<MailboxEvent, { kind: 'loaded' }>): MailboxEffect[] {
    this.roster = event.roster
    const belongs = this.belongs()
    const welcome: MailFrameKind = {
      $case: 'welcome',
      value: {
        version: MAILBOX_VERSION,
        incarnation: event.incarnation,
        rosterHead: belongs ? event.roster!.head : EMPTY,
        sequence: belongs ? event.sequence : 0,
        maxEnvelopeBytes: MAX_ENVELOPE_BYTES,
      },
    }
    if (belongs) return [live(welcome), ...this.enter()]
    this.state = 'proving'
    return [live(welcome)]
  }

  private enter(): MailboxEffect[] {
    this.state = 'member'
    this.deadline = Number.POSITIVE_INFINITY
    return [{ kind: 'join' }]
  }

  private belongs(): boolean {
    return this.roster !== undefined && isMember(this.roster, this.options.device)
  }

  /** [B8] Who isn't a member shows a chain that makes it one, or goes. */
  private onChain(entries: Uint8Array[]): MailboxEffect[] {
    if (this.isMember && entries.length === 0) {
      return [this.chain()]
    }
    const { natives, device } = this.options
    const better = betterRoster(natives, this.practice, this.roster, entries)
    if (this.state === 'proving' && !(better && isMember(better, device))) {
      const isOutdone = !better && this.roster && hasLost(natives, this.roster, entries, device)
      return [...(isOutdone ? [this.chain()] : []), ...this.refuse('refused')]
    }
    if (!better) return [this.head()]
    this.adopting = entries
    return [{ kind: 'adopt', expected: this.roster?.head ?? EMPTY, roster: better }]
  }

  private onAdopted(outcome: AdoptOutcome): MailboxEffect[] {
    const entries = this.adopting!
    this.adopting = undefined
    if (outcome === 'conflict') {
      // Somebody was faster: what is held now has come, and decides anew.
      if (this.state === 'proving' && this.belongs()) return [this.head(), ...this.enter()]
      return this.onChain(entries)
    }
    if (outcome !== 'ok') return this.refuse(outcome)
    if (!this.belongs()) return this.refuse('refused')
    return this.isMember ? [this.head()] : [this.head(), ...this.enter()]
  }

  /** [B8] The others hear of a roster that one of them brought. */
  private onRoster(roster: Roster | undefined): MailboxEffect[] {
    const before = this.roster
    this.roster = roster
    if (!this.isMember) return []
    if (!this.belongs()) return this.refuse('refused')
    const isKnown = this.adopting !== undefined || (before && equalBytes(before.head, roster!.head))
    return isKnown ? [] : [this.chain()]
  }

  private chain(): MailboxEffect {
    return live({ $case: 'chain', value: { entries: [...this.roster!.entries] } })
  }

  private head(): MailboxEffect {
    return live({ $case: 'head', value: { head: this.roster!.head } })
  }

  private onRequest(frame: MailFrameKind): MailboxEffect[] {
    // [B9] Sent before its sender knew; a COLLECT would make it a collector again, for good.
    if (this.hasLeft) return []
    switch (frame.$case) {
      case 'chain':
        return this.onChain(frame.value.entries)
      case 'deposit':
        return this.onDeposit(frame.value)
      case 'collect':
        return this.onCollect(frame.value.after)
      case 'ack': {
        const { number, ids, notice } = frame.value
        if (ids.length > MAX_IDS || !ids.every(isMailId)) return [done(number, 'malformed')]
        if (notice.length > MAX_NOTICE_BYTES) return [done(number, 'too-large')]
        return this.ask({ kind: 'ack', number, ids, notice }, notice.length)
      }
      case 'check': {
        const { number, recipient, ids } = frame.value
        const sound = recipient.length === DEVICE_KEY_BYTES && ids.length <= MAX_IDS && ids.every(isMailId)
        return sound ? this.ask({ kind: 'check', number, recipient, ids }) : this.refuse('malformed')
      }
      case 'ask':
        return this.ask({ kind: 'ask', number: frame.value.number })
      case 'leave':
        this.hasLeft = true
        this.grant = undefined
        return this.ask({ kind: 'leave', number: frame.value.number })
      case 'window':
        return [{ kind: 'window', open: frame.value.open }]
      default:
        return this.refuse('malformed')
    }
  }

  /** A request that the store answers. */
  private ask(effect: MailboxEffect, bytes = 0): MailboxEffect[] {
    this.unanswered++
    this.unansweredBytes += bytes
    return [effect]
  }

  /** [B3] */
  private onDeposit({ number, id, recipients, replaces, envelope }: Deposit): MailboxEffect[] {
    const error = this.judgeDeposit({ id, recipients, replaces, envelope })
    if (error !== '') return [done(number, error)]
    const deposit = { id, recipients: distinct(recipients), replaces, envelope }
    return this.ask({ kind: 'deposit', number, deposit }, envelope.length)
  }

  private judgeDeposit({ id, recipients, replaces, envelope }: Omit<Deposit, 'number'>): DoneError {
    if (!isMailId(id) || !replaces.every(isMailId) || replaces.length > MAX_REPLACES) return 'malformed'
    if (recipients.length > MAX_RECIPIENTS || envelope.length === 0) return 'malformed'
    if (!recipients.every((recipient) => recipient.length === DEVICE_KEY_BYTES)) return 'malformed'
    if (recipients.every((recipient) => equalBytes(recipient, this.options.device))) return 'malformed'
    if (envelope.length > MAX_ENVELOPE_BYTES) return 'too-large'
    return recipients.every((recipient) => isMember(this.roster!, recipient)) ? '' : 'not-member'
  }

  /** [B5] */
  private onCollect(after: number): MailboxEffect[] {
    if (!Number.isSafeInteger(after)) return this.refuse('malformed')
    this.grant = after
    this.saidEnd = false
    return this.read()
  }

  /** One reading at a time; what comes meanwhile is looked at after it. */
  private read(): MailboxEffect[] {
    if (this.grant === undefined) return []
    if (this.readingAfter !== undefined) {
      this.mailCame = true
      return []
    }
    this.readingAfter = this.grant
    this.mailCame = false
    return [{ kind: 'collect', after: this.grant }]
  }

  private onMail(): MailboxEffect[] {
    return this.isMember ? this.read() : []
  }

  private onBatch({ mails, end }: { mails: MailFrameMails; end: boolean }): MailboxEffect[] {
    const isFromGrant = this.readingAfter === this.grant
    this.readingAfter = undefined
    if (this.grant === undefined) return []
    // Asked for again from elsewhere, or mail came, while this was read.
    if (!isFromGrant || (mails.length === 0 && this.mailCame)) return this.read()
    if (mails.length === 0) {
      if (this.saidEnd) return []
      this.saidEnd = true
      return [batch([], true)]
    }
    this.grant = undefined
    return [batch(mails, end && !this.mailCame)]
  }

  private onDone(event: Extract<MailboxEvent, { kind: 'done' }>): MailboxEffect[] {
    this.unanswered--
    this.unansweredBytes -= event.bytes
    return [done(event.number, event.error, event.sequence)]
  }

  /** [B12] */
  private onTick(now: number): MailboxEffect[] {
    if (now >= this.deadline) return this.refuse('refused')
    return now - this.lastHeard >= SILENCE_TIMEOUT_MS ? this.refuse('silent') : []
  }

  private refuse(code: RefuseCode): MailboxEffect[] {
    this.state = 'closed'
    return [live({ $case: 'refuse', value: { code } }), { kind: 'close' }]
  }
}

type MailFrameMails = Extract<MailFrameKind, { $case: 'batch' }>['value']['mails']

const isMailId = (id: Uint8Array) => id.length === MAIL_ID_BYTES

const live = (frame: MailFrameKind): MailboxEffect => ({ kind: 'send', lane: 'live', frame })

const batch = (mails: MailFrameMails, end: boolean): MailboxEffect => ({
  kind: 'send',
  lane: 'bulk',
  frame: { $case: 'batch', value: { mails, end } },
})

const done = (number: number, error: DoneError, sequence = 0): MailboxEffect =>
  live({ $case: 'done', value: { number, error, sequence } })

const alive = (number: number): MailboxEffect => live({ $case: 'alive', value: { number, answer: true } })

function distinct(keys: readonly Uint8Array[]): Uint8Array[] {
  return keys.filter((key, at) => keys.findIndex((other) => equalBytes(other, key)) === at)
}
