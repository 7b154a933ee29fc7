/**
 * A device's side of a mailbox, /kartoteka/mailbox/1: a state machine without I/O, clock or randomness. One session
 * is one stream to one relay; what it has left there stands in the ledger, which outlives it.
 *
 *  [L1] nothing is acknowledged to a relay before it is durable here and my own word, which covers it, goes along;
 *  [L2] mail that misses something waits until everything was collected; what still misses it then is of no use;
 *  [L3] nothing is left before the relay holds the same roster, and before the words of the others are known;
 *  [L4] a sender forgets only what the recipient's own newest word covers, never on the relay's word;
 *  [L5] what is neither covered nor waiting any more is offered again, under another id;
 *  [L6] what is gathered for a moment travels together, and a relay sees no rhythm of keystrokes.
 */
import { equalBytes, fromHex, toHex } from './bytes.js'
import { Depositing, type DepositJob, type JobEnd, type Outgoing } from './mail-deposit.js'
import { foldingFor } from './mail-fold.js'
import type { MailLedger, Reach } from './mail-ledger.js'
import { type Lacks, planDeposits, type Survey } from './mail-plan.js'
import type { Heard, MailCloseCode, MailEffect, MailEvent, MailTimer, Taken } from './mail-types.js'
import type { Batch, Mail, Welcome } from './mailbox.gen.js'
import {
  ALIVE_INTERVAL_MS,
  GREET_TIMEOUT_MS,
  MAILBOX_VERSION,
  MAX_IDS,
  OLDEST_MAILBOX_VERSION,
} from './mailbox-limits.js'
import { encodeMailFrame, type MailFrameKind } from './mailbox-wire.js'
import type { Natives } from './natives.js'
import { decodeEntry } from './roster-format.js'

/** [L6] How long changes gather before they are left. */
export const GATHER_MS = 250
/** A word follows what it speaks of after this long, once for all of it. */
const WORD_MS = 1_000
/** Mail that the relay holds no more may have been taken: the recipient's word is on its way. */
const SUSPECT_MS = 2_000
/** After a full or failing relay nothing is left for this long. */
const REFUSED_MS = 60_000
/** What is damaged here may be whole again by then. */
const NOTHING_MS = 10_000
const SILENT_ROUNDS = 3
/** Rosters go to and fro at most so often before the relay is left alone. */
const ROSTER_ROUNDS = 8

/** My roster, as it is now. */
export interface RosterView {
  head(): Uint8Array
  /** A head of my own chain. */
  knows(head: Uint8Array): boolean
  entries(): Uint8Array[]
}

export interface MailOptions {
  natives: Natives
  practice: Uint8Array
  roster: RosterView
  ledger: MailLedger
  /** This device collects no more: it only comes to say so. */
  isLeaving?: boolean
}

export class MailSession {
  private phase: 'greeting' | 'roster' | 'ready' = 'greeting'
  private relayHead: Uint8Array = new Uint8Array(0)
  private rosterRounds = 0
  private after = 0
  private held: Mail[] = []
  private taking = false
  private atEnd = false
  private batches: Batch[] = []
  private lastTry = false
  /** Everything that waited here for me was looked at once. */
  private hasCollected = false
  private job: Depositing | undefined
  private jobInfo: DepositJob | undefined
  private depositNumber = 0
  private surveying = false
  private surveyAgain = false
  /** The relay is full or failing: it is left alone until `again`, or until somebody waits. */
  private resting = false
  private owes = true
  private readonly lacks: Lacks = new Map()
  /** What each device says it left: device → recipient → how far. */
  private readonly left = new Map<string, Map<string, Reach>>()
  private suspects = new Map<string, Uint8Array[]>()
  private checks = new Map<number, string>()
  private readonly questions = new Map<number, number>()
  private acks = 0
  private hurry = false
  private windowOpen = false
  private gathering = false
  private wordArmed = false
  private wantsStates = new Set<string>()
  /** Whole states were weighed for this recipient at so many waiting bytes, and would have been larger. */
  private readonly weighed = new Map<string, number>()
  private silent = 0
  private number = 0
  private out: MailEffect[] = []

  constructor(private readonly options: MailOptions) {}

  start(): MailEffect[] {
    this.out = []
    const { practice, roster } = this.options
    this.send({
      $case: 'greet',
      value: {
        oldest: OLDEST_MAILBOX_VERSION,
        newest: MAILBOX_VERSION,
        practice,
        rosterHead: roster.head(),
      },
    })
    this.arm('greet', GREET_TIMEOUT_MS)
    this.arm('alive', ALIVE_INTERVAL_MS)
    return this.out
  }

  step(event: MailEvent): MailEffect[] {
    this.out = []
    switch (event.type) {
      case 'frame':
        this.silent = 0
        this.onFrame(event.frame)
        break
      case 'malformed':
        this.close('malformed')
        break
      case 'rosterApplied':
      case 'rosterChanged':
        this.settleRoster()
        this.takeHeld()
        break
      case 'taken':
        this.onTaken(event.taken)
        break
      case 'heard':
        this.onHeard(event.heard)
        break
      case 'changed':
        this.planSoon()
        break
      case 'stated':
        this.wordSoon()
        break
      case 'hurry':
        this.hurry = true
        this.resting = false
        this.survey()
        break
      case 'surveyed':
        this.onSurveyed(event.survey)
        break
      case 'written':
        if (this.job) this.go(this.job.onWritten(event.written))
        break
      case 'statesOpened':
        if (this.job) this.go(this.job.onOpened(event.opened))
        break
      case 'part':
        if (this.job) this.go(this.job.onPart(event.part))
        break
      case 'worded':
        this.sendAck([], event.word)
        break
      case 'ask':
        this.question(event.question, (number) => ({ $case: 'ask', value: { number } }))
        break
      case 'leave':
        this.question(event.question, (number) => ({ $case: 'leave', value: { number } }))
        break
      case 'window':
        this.windowOpen = event.open
        if (this.phase === 'ready') this.send({ $case: 'window', value: { open: event.open } })
        break
      case 'timer':
        this.onTimer(event.name)
        break
    }
    return this.out
  }

  /** The relay knows this device as a member. */
  get isReady(): boolean {
    return this.phase === 'ready'
  }

  /** Everything that waited was collected, and nothing is being taken in or acknowledged. */
  get isCollected(): boolean {
    return (
      this.hasCollected &&
      !this.taking &&
      this.batches.length === 0 &&
      this.held.length === 0 &&
      this.acks === 0
    )
  }

  /** Nobody lacks anything that is not left here, as far as the last look tells. */
  get isDelivered(): boolean {
    return this.hasCollected && !this.owes && !this.job && !this.surveying && !this.gathering
  }

  /** Something is being left at the relay. */
  get isGiving(): boolean {
    return this.job !== undefined || this.surveying || this.gathering
  }

  /** How far a recipient will hold each log when it has taken what waits for it here, whoever left it. */
  reach(recipient: string, known: Reach): Map<string, number> {
    return this.options.ledger.reach(recipient, known, this.claimed().get(recipient))
  }

  /** [P4] What the others say they have left, for whom. */
  private claimed(): Map<string, Map<string, number>> {
    const claimed = new Map<string, Map<string, number>>()
    for (const byRecipient of this.left.values()) {
      for (const [recipient, reach] of byRecipient) {
        const most = claimed.get(recipient) ?? new Map<string, number>()
        for (const [log, seq] of reach) most.set(log, Math.max(seq, most.get(log) ?? 0))
        claimed.set(recipient, most)
      }
    }
    return claimed
  }

  /** Envelopes that came and are not worked in yet. */
  get incoming(): number {
    return this.held.length + this.batches.reduce((sum, { mails }) => sum + mails.length, 0)
  }

  // ---- greeting and roster

  private onFrame(frame: MailFrameKind): void {
    switch (frame.$case) {
      case 'welcome':
        return this.onWelcome(frame.value)
      case 'chain':
        return this.onChain(frame.value.entries)
      case 'head':
        this.relayHead = frame.value.head
        return this.settleRoster()
      case 'refuse':
        return this.onRefuse(frame.value.code)
      case 'notices':
        this.out.push({ type: 'hear', notices: frame.value.notices })
        return
      case 'batch':
        this.batches.push(frame.value)
        return this.takeNext()
      case 'done':
        return this.onDone(frame.value.number, frame.value.error, frame.value.sequence)
      case 'missing':
        return this.onMissing(frame.value.number, frame.value.ids)
      case 'inventory': {
        const question = this.questions.get(frame.value.number)
        this.questions.delete(frame.value.number)
        if (question !== undefined) this.out.push({ type: 'inventory', question, inventory: frame.value })
        return
      }
      case 'alive':
        if (!frame.value.answer)
          this.send({ $case: 'alive', value: { number: frame.value.number, answer: true } })
        return
      default:
        return this.close('malformed')
    }
  }

  private onWelcome(welcome: Welcome): void {
    if (this.phase !== 'greeting') return this.close('malformed')
    if (welcome.version < OLDEST_MAILBOX_VERSION || welcome.version > MAILBOX_VERSION)
      return this.close(welcome.version > MAILBOX_VERSION ? 'relay-too-new' : 'relay-too-old')
    this.options.ledger.greet(welcome.incarnation, welcome.sequence)
    this.out.push({ type: 'keepLedger' })
    this.relayHead = welcome.rosterHead
    this.phase = 'roster'
    this.settleRoster()
  }

  private onRefuse(code: string): void {
    if (code === 'peer-too-old') return this.close('relay-too-new')
    if (code === 'peer-too-new') return this.close('relay-too-old')
    this.close(code === 'stopping' ? 'stopping' : 'refused')
  }

  private onChain(entries: Uint8Array[]): void {
    const last = entries[entries.length - 1]
    const entry = last && decodeEntry(this.options.natives, last)
    if (!entry) return this.close('malformed')
    this.relayHead = entry.hash
    this.out.push({ type: 'applyRoster', entries })
  }

  /** [L3] Until both end with the same entry, each shows the other what it lacks. */
  private settleRoster(): void {
    if (this.phase === 'greeting') return
    const { roster } = this.options
    if (equalBytes(roster.head(), this.relayHead)) {
      this.rosterRounds = 0
      return this.becomeReady()
    }
    if (++this.rosterRounds > ROSTER_ROUNDS) return this.close('contested')
    const isBehind = this.relayHead.length === 0 || roster.knows(this.relayHead)
    this.send({ $case: 'chain', value: { entries: isBehind ? roster.entries() : [] } })
  }

  private becomeReady(): void {
    if (this.phase === 'ready') return
    this.phase = 'ready'
    this.out.push({ type: 'disarm', name: 'greet' })
    if (this.options.isLeaving) {
      this.out.push({ type: 'status' })
      return
    }
    if (this.windowOpen) this.send({ $case: 'window', value: { open: true } })
    this.send({ $case: 'collect', value: { after: 0 } })
    for (const [recipient, { live }] of this.options.ledger.state.rows)
      this.check(
        recipient,
        live.flatMap(({ ids }) => ids),
      )
    this.wordSoon()
    this.out.push({ type: 'status' })
  }

  // ---- collecting

  private takeNext(): void {
    if (this.taking) return
    const batch = this.batches.shift()
    if (!batch) return
    this.atEnd = batch.end
    if (batch.mails.length === 0) return this.afterBatch()
    this.after = Math.max(this.after, ...batch.mails.map(({ sequence }) => sequence))
    this.taking = true
    this.lastTry = false
    // What was held back may fit behind what has just come, and before what depends on it.
    this.out.push({ type: 'take', mails: [...this.held, ...batch.mails], final: false })
  }

  private onTaken({ done, held, word }: Taken): void {
    this.taking = false
    this.held = held
    if (done.length > 0) this.sendAck(done, word)
    if (!this.lastTry) this.send({ $case: 'collect', value: { after: this.after } })
    this.afterBatch()
  }

  /** Whom I didn't know wrote some of it, perhaps. */
  private takeHeld(): void {
    if (this.held.length === 0 || this.taking) return
    this.taking = true
    this.lastTry = true
    this.out.push({ type: 'take', mails: this.held, final: this.hasCollected })
  }

  /** [L2] */
  private afterBatch(): void {
    if (this.batches.length > 0) return this.takeNext()
    if (!this.atEnd) return
    if (this.held.length > 0 && !this.lastTry) {
      this.lastTry = true
      this.taking = true
      this.out.push({ type: 'take', mails: this.held, final: true })
      return
    }
    if (!this.hasCollected) {
      this.hasCollected = true
      this.planSoon()
    }
    this.out.push({ type: 'status' })
  }

  /** [L1] */
  private sendAck(ids: Uint8Array[], word: Uint8Array): void {
    if (this.phase !== 'ready') return
    for (let at = 0; at === 0 || at < ids.length; at += MAX_IDS) {
      this.acks++
      const value = {
        number: this.next(),
        ids: ids.slice(at, at + MAX_IDS),
        notice: at === 0 ? word : NOTHING,
      }
      this.questions.set(value.number, ACK)
      this.send({ $case: 'ack', value })
    }
  }

  private wordSoon(): void {
    if (this.wordArmed || this.phase !== 'ready' || this.options.isLeaving) return
    this.wordArmed = true
    this.arm('word', this.hurry ? 0 : WORD_MS)
  }

  // ---- what others say

  /** [L4] */
  private onHeard(heard: Heard): void {
    const { ledger } = this.options
    // [P4] What others said they had left for it counts no more: it has looked since.
    if (heard.fresh) for (const byRecipient of this.left.values()) byRecipient.delete(heard.device)
    if (heard.left && equalBytes(heard.incarnation, ledger.state.incarnation)) {
      const byRecipient = new Map<string, Reach>()
      for (const { recipient, frontier } of heard.left)
        byRecipient.set(toHex(recipient), new Map(frontier.map(({ log, seq }) => [toHex(log), seq])))
      this.left.set(heard.device, byRecipient)
    }
    const open = ledger.heard(heard.device, heard.known, heard.unusable)
    this.out.push({ type: 'keepLedger' })
    if (open.length > 0 && heard.fresh && this.phase === 'ready') {
      this.check(heard.device, open)
      // It speaks, and still lacks it: who else thinks of giving it shall know that it waits here.
      this.wordSoon()
    }
    this.planSoon()
  }

  private check(recipient: string, ids: Uint8Array[]): void {
    for (let at = 0; at < ids.length; at += MAX_IDS) {
      const number = this.next()
      this.checks.set(number, recipient)
      const value = { number, recipient: fromHex(recipient), ids: ids.slice(at, at + MAX_IDS) }
      this.send({ $case: 'check', value })
    }
  }

  /** [L5] The relay doesn't hold them; but the word that covers them may just be on its way. */
  private onMissing(number: number, ids: Uint8Array[]): void {
    const recipient = this.checks.get(number)
    this.checks.delete(number)
    if (recipient === undefined || ids.length === 0) return
    this.suspects.set(recipient, [...(this.suspects.get(recipient) ?? []), ...ids])
    this.arm('suspect', SUSPECT_MS)
  }

  private onSuspects(): void {
    const { ledger } = this.options
    for (const [recipient, ids] of this.suspects)
      if (ledger.lost(recipient, ids)) this.out.push({ type: 'keepLedger' })
    this.suspects = new Map()
    this.planSoon()
  }

  // ---- leaving mail

  private planSoon(): void {
    this.owes = true
    if (this.gathering) return
    this.gathering = true
    this.arm('gather', GATHER_MS)
  }

  private survey(): void {
    if (!this.hasCollected || this.phase !== 'ready' || this.resting) return
    if (this.surveying || this.job) {
      this.surveyAgain = true
      return
    }
    this.surveying = true
    this.surveyAgain = false
    this.out.push({ type: 'survey' })
  }

  private onSurveyed(survey: Survey): void {
    this.surveying = false
    if (this.job) return
    const { natives, ledger } = this.options
    ledger.retain(new Set(survey.recipients.map(({ device }) => device)))
    const claimed = this.claimed()
    const { due, againMs } = planDeposits({
      natives,
      survey,
      ledger,
      claimed,
      lacks: this.lacks,
      hurry: this.hurry,
    })
    const job = this.jobFor(survey, due[0]) ?? foldingFor(survey, ledger, this.weighed, this.wantsStates)
    if (job) return this.begin(job)
    if (this.owes !== (againMs !== undefined)) this.out.push({ type: 'status' })
    this.owes = againMs !== undefined
    if (againMs !== undefined) this.arm('again', Math.max(againMs, GATHER_MS))
    else this.hurry = false
    if (this.surveyAgain) this.survey()
  }

  private jobFor(
    survey: Survey,
    due: { recipients: string[]; from: Map<string, number> } | undefined,
  ): DepositJob | undefined {
    if (!due) return undefined
    const { ledger } = this.options
    const attempt = Math.max(...due.recipients.map((recipient) => ledger.row(recipient).attempt))
    const first = due.recipients.find((recipient) => this.wantsStates.has(recipient))
    if (first === undefined && attempt < STATES_FROM_ATTEMPT)
      return { kind: 'changes', recipients: due.recipients, from: due.from, attempt, replaces: [] }
    // Whole states begin at what the recipients have said themselves, and stand for everything left before.
    const known = knownOf(survey, first ?? due.recipients[0]!)
    const recipients = due.recipients.filter((recipient) => isSame(knownOf(survey, recipient), known))
    const replaces = recipients.flatMap((recipient) => ledger.row(recipient).live.flatMap(({ ids }) => ids))
    return { kind: 'states', recipients, from: new Map(known), attempt, replaces }
  }

  private begin(job: DepositJob): void {
    this.jobInfo = job
    this.job = new Depositing(job, this.options.ledger)
    this.out.push(this.job.start(), { type: 'status' })
  }

  private go(next: MailEffect | Outgoing | JobEnd): void {
    if ('outcome' in next) return this.endJob(next)
    if ('type' in next) {
      this.out.push(next)
      return
    }
    this.depositNumber = this.next()
    const value = {
      number: this.depositNumber,
      id: next.id,
      recipients: next.recipients.map(fromHex),
      replaces: next.replaces,
      envelope: next.envelope,
    }
    this.send({ $case: 'deposit', value }, 'bulk')
  }

  private endJob({ outcome, error }: JobEnd): void {
    const job = this.jobInfo
    this.job = undefined
    this.jobInfo = undefined
    for (const recipient of job?.recipients ?? []) {
      if (outcome === 'needs-states') this.wantsStates.add(recipient)
      else this.wantsStates.delete(recipient)
      if (outcome === 'too-large' && job?.unlessBytes !== undefined)
        this.weighed.set(recipient, 2 * job.unlessBytes)
    }
    if (outcome === 'dropped') {
      if (error === 'full') this.out.push({ type: 'full', full: true })
      this.owes = true
      // Of a recipient that the relay doesn't know any more, or yet, the next look tells.
      this.resting = error !== 'not-member'
      return this.arm('again', REFUSED_MS)
    }
    if (outcome === 'done') {
      this.out.push({ type: 'keepLedger' }, { type: 'full', full: false })
      this.wordSoon()
    }
    // Nothing could be written of what seemed due, because it is damaged here: look again later.
    if (outcome === 'nothing') return this.arm('again', NOTHING_MS)
    this.survey()
  }

  private onDone(number: number, error: string, sequence: number): void {
    if (number === this.depositNumber && this.job) {
      const { state } = this.options.ledger
      state.sequence = Math.max(state.sequence, sequence)
      return this.go(this.job.onDone(error))
    }
    const question = this.questions.get(number)
    this.questions.delete(number)
    if (question === ACK) {
      this.acks--
      if (this.isCollected) this.out.push({ type: 'status' })
    } else if (question !== undefined) this.out.push({ type: 'left', question, ok: error === '' })
  }

  // ---- time

  private onTimer(name: MailTimer): void {
    switch (name) {
      case 'greet':
        if (this.phase !== 'ready') this.close('silent')
        return
      case 'gather':
        this.gathering = false
        return this.survey()
      case 'again':
        this.resting = false
        return this.survey()
      case 'word':
        this.wordArmed = false
        this.out.push({ type: 'makeWord' })
        return
      case 'suspect':
        return this.onSuspects()
      case 'alive':
        if (++this.silent > SILENT_ROUNDS) return this.close('silent')
        this.send({ $case: 'alive', value: { number: this.next(), answer: false } })
        return this.arm('alive', ALIVE_INTERVAL_MS)
    }
  }

  // ---- small things

  private question(question: number, make: (number: number) => MailFrameKind): void {
    const number = this.next()
    this.questions.set(number, question)
    this.send(make(number))
  }

  private next(): number {
    return ++this.number
  }

  private arm(name: MailTimer, ms: number): void {
    this.out.push({ type: 'arm', name, ms })
  }

  private send(frame: MailFrameKind, lane: 'live' | 'bulk' = 'live'): void {
    this.out.push({ type: 'send', lane, bytes: encodeMailFrame(frame) })
  }

  private close(code: MailCloseCode): void {
    this.out.push({ type: 'close', code })
  }
}

const knownOf = (survey: Survey, recipient: string): Reach =>
  survey.recipients.find(({ device }) => device === recipient)?.known ?? new Map()

const isSame = (a: Reach, b: Reach) => a.size === b.size && [...a].every(([log, seq]) => b.get(log) === seq)

const NOTHING = new Uint8Array(0)
/** Stands for an acknowledgement among the questions: real ones are positive. */
const ACK = 0
/** What two envelopes of changes could not bring, whole states may. */
const STATES_FROM_ATTEMPT = 2
