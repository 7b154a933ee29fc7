/**
 * A device's side of a mailbox, /kartoteka/mailbox/1: a state machine without I/O, clock or randomness. One session
 * is one stream to one relay; what it has left there stands in the ledger, which outlives it.
 *
 *  [L1] nothing is acknowledged to a relay before it is durable here and my own word, which covers it, goes along;
 *  [L2] mail that misses something waits for what may follow; what still misses it a while after everything was
 *       collected is of no use;
 *  [L3] nothing is left before the relay holds the same roster, and before the words of the others are known;
 *  [L4] a sender forgets only what the recipient's own newest word covers, never on the relay's word;
 *  [L5] what is neither covered nor waiting any more is offered again, under another id;
 *  [L6] what is gathered for a moment travels together, and a relay sees no rhythm of keystrokes;
 *  [L7] what was in vain rests before it is tried again, longer each time;
 *  [L8] who finds nothing of what others say they left for it says so;
 *  [L9] a relay that leaves open whether more waits, and gives nothing of use, holds up nobody for long.
 */
import { equalBytes, fromHex, toHex } from './bytes.js'
import { LeftClaims } from './mail-claims.js'
import { Depositing, type DepositJob, type JobEnd, type Outgoing } from './mail-deposit.js'
import { foldingFor } from './mail-fold.js'
import type { MailLedger, Reach } from './mail-ledger.js'
import { type Lacks, planDeposits, type Survey } from './mail-plan.js'
import { Rests } from './mail-rests.js'
import type { Heard, MailCloseCode, MailEffect, MailEvent, MailTimer, Taken } from './mail-types.js'
import type { Batch, Mail, Welcome } from './mailbox.gen.js'
import {
  ALIVE_INTERVAL_MS,
  GREET_TIMEOUT_MS,
  MAILBOX_VERSION,
  MAX_IDS,
  MAX_REPLACES,
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
/** A relay that leaves so many questions unanswered is gone. */
const SILENT_ROUNDS = 3
/** What misses something waits so long after the last mail: its sender may still be leaving the rest. */
const HELD_MS = 10_000
/** [L9] So often it is looked at whether a relay that leaves open whether more waits is still waited for. */
const MORE_MS = 10_000
/** Mail that others have just left gets so long to come; then longer each time. */
const SEEK_MS = 10_000
const LAST_SEEK_MS = 10 * 60_000
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
  /** What is held can be tried again: another roster came while it was being tried. */
  private tryAgain = false
  /** Everything that waited here for me was looked at once. */
  private hasCollected = false
  private job: Depositing | undefined
  private depositNumber = 0
  private surveying = false
  private surveyAgain = false
  /** A gathering has ended, or somebody waits: the next survey leaves all that there is. */
  private isRipe = false
  /** How far each log went when all was left; undefined while nothing gathers. */
  private ripe: Reach | undefined
  private owes = true
  private readonly lacks: Lacks = new Map()
  private readonly claims = new LeftClaims()
  private readonly rests = new Rests()
  private seekMs = SEEK_MS
  private isSeeking = false
  /** By recipient. Those that became suspect since the last look wait for one more. */
  private suspects = new Map<string, Uint8Array[]>()
  private freshSuspects = new Map<string, Uint8Array[]>()
  private isSuspecting = false
  private checks = new Map<number, string>()
  private readonly questions = new Map<number, number>()
  private acks = 0
  private hurry = false
  private windowOpen = false
  private hasLeft = false
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
        this.takeHeld(false)
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
        this.isRipe = true
        if (event.anew) this.rests.wake()
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
        this.hasLeft = true
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
    return this.options.ledger.reach(recipient, known, this.claims.for(recipient))
  }

  /** How far I would hold each log with everything that the others say they left for me. */
  leftFor(self: string, counter: number): Map<string, number> {
    return this.claims.for(self, counter)
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
    this.arm('more', MORE_MS)
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
    // Nothing more is asked for after an empty one: a relay that says no end there would leave mail held for ever.
    this.atEnd = batch.end || batch.mails.length === 0
    if (!this.atEnd) this.arm('more', MORE_MS)
    if (batch.mails.length === 0) return this.afterBatch()
    this.after = batch.mails.reduce((most, { sequence }) => Math.max(most, sequence), this.after)
    this.take(batch.mails, false)
  }

  private take(mails: Mail[], final: boolean): void {
    this.taking = true
    this.tryAgain = false
    this.out.push({ type: 'take', mails, held: this.held, final })
    if (mails.length > 0) this.wantsMore = true
  }
  /** A batch was used up: the relay waits to be asked for another. */
  private wantsMore = false

  private onTaken({ done, held, word }: Taken): void {
    this.taking = false
    this.held = held
    if (done.length > 0) this.sendAck(done, word)
    if (this.wantsMore) this.send({ $case: 'collect', value: { after: this.after } })
    this.wantsMore = false
    // Where nothing is held any more there is nothing to try again, and a batch may have come meanwhile.
    if (this.tryAgain && held.length > 0) return this.takeHeld(false)
    this.afterBatch()
  }

  /** Whom I didn't know wrote some of it, perhaps. */
  private takeHeld(final: boolean): void {
    this.tryAgain = this.taking
    if (this.held.length > 0 && !this.taking) this.take([], final)
  }

  /** [L2] */
  private afterBatch(): void {
    if (this.batches.length > 0) return this.takeNext()
    if (!this.atEnd) return
    if (this.held.length > 0) this.arm('held', HELD_MS)
    if (!this.hasCollected) {
      this.hasCollected = true
      this.out.push({ type: 'seekLeft' })
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
    this.claims.spoke(heard.device, heard.counter)
    if (heard.left && equalBytes(heard.incarnation, ledger.state.incarnation)) {
      this.claims.hear(heard.device, heard.left)
      this.seekSoon()
    }
    const before = ledger.row(heard.device).attempt
    const open = ledger.heard(heard.device, heard.known, heard.unusable)
    const { attempt } = ledger.row(heard.device)
    if (attempt > before) this.rests.inVain(heard.device)
    else if (attempt === 0) this.rests.succeeded(heard.device)
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
    this.freshSuspects.set(recipient, [...(this.freshSuspects.get(recipient) ?? []), ...ids])
    if (this.isSuspecting) return
    this.isSuspecting = true
    this.arm('suspect', SUSPECT_MS)
  }

  private onSuspects(): void {
    const { ledger } = this.options
    for (const [recipient, ids] of this.suspects) {
      if (!ledger.lost(recipient, ids)) continue
      this.rests.inVain(recipient)
      this.out.push({ type: 'keepLedger' })
    }
    this.suspects = this.freshSuspects
    this.freshSuspects = new Map()
    this.isSuspecting = this.suspects.size > 0
    if (this.isSuspecting) this.arm('suspect', SUSPECT_MS)
    this.planSoon()
  }

  /** [L8] */
  private seekSoon(): void {
    if (this.isSeeking || !this.hasCollected) return
    this.isSeeking = true
    this.arm('seek', this.seekMs)
  }

  // ---- leaving mail

  private planSoon(): void {
    this.owes = true
    if (this.gathering) return
    this.gathering = true
    this.arm('gather', GATHER_MS)
  }

  private survey(): void {
    if (!this.hasCollected || this.phase !== 'ready') return
    if (this.surveying || this.job) {
      this.surveyAgain = true
      return
    }
    this.surveying = true
    this.surveyAgain = false
    if (this.isRipe || this.hurry || !this.gathering) this.ripe = undefined
    this.isRipe = false
    this.out.push({ type: 'survey' })
  }

  /** [L6] What came since the last gathering ended waits for the end of the next one. */
  private ripeOf(survey: Survey): Survey {
    const { ripe } = this
    if (!ripe) {
      this.ripe = new Map(survey.logs.map(({ log, seq }) => [log, seq]))
      return survey
    }
    const logs = survey.logs.map((log) => ({ ...log, seq: Math.min(log.seq, ripe.get(log.log) ?? 0) }))
    return { ...survey, logs }
  }

  private onSurveyed(survey: Survey): void {
    this.surveying = false
    if (this.job) return
    const { natives, ledger } = this.options
    ledger.retain(new Set(survey.recipients.map(({ device }) => device)))
    for (const { device, counter } of survey.recipients) this.claims.spoke(device, counter)
    this.rests.look(survey.now)
    const { claims, lacks, hurry, rests } = this
    const ripe = this.ripeOf(survey)
    const { due, againMs } = planDeposits({ natives, survey: ripe, ledger, claims, lacks, hurry, rests })
    const job =
      this.jobFor(survey, due[0]) ?? foldingFor(survey, ledger, this.weighed, this.wantsStates, rests)
    if (job) return this.begin(job)
    if (this.owes !== (againMs !== undefined)) this.out.push({ type: 'status' })
    this.owes = againMs !== undefined
    if (againMs !== undefined) this.arm('again', Math.max(againMs, GATHER_MS))
    else if (!this.isRipe) this.hurry = false
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
    const ids = recipients.flatMap((recipient) => ledger.row(recipient).live.flatMap((mail) => mail.ids))
    const replaces = [...new Map(ids.map((id) => [toHex(id), id])).values()].slice(0, MAX_REPLACES)
    return { kind: 'states', recipients, from: new Map(known), attempt, replaces }
  }

  private begin(job: DepositJob): void {
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
    const { job } = this.job!
    this.job = undefined
    for (const recipient of job.recipients) {
      if (outcome === 'needs-states') this.wantsStates.add(recipient)
      else this.wantsStates.delete(recipient)
      if (outcome === 'too-large') this.weighed.set(recipient, 2 * (job.unlessBytes ?? 0))
    }
    // [L7] Others may be given something meanwhile.
    if (outcome === 'nothing') this.rests.rest(job.recipients, NOTHING_MS)
    if (outcome === 'dropped') {
      if (error === 'full') this.out.push({ type: 'full', full: true })
      if (error === 'not-member' || error === 'too-large') this.rests.rest(job.recipients, REFUSED_MS)
      else this.rests.restAll(REFUSED_MS)
    }
    if (outcome === 'done') {
      this.out.push({ type: 'keepLedger' }, { type: 'full', full: false })
      this.wordSoon()
    }
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
        this.isRipe = true
        return this.survey()
      case 'again':
        return this.survey()
      case 'word':
        this.wordArmed = false
        this.out.push({ type: 'makeWord' })
        return
      case 'suspect':
        return this.onSuspects()
      case 'held':
        // While more waits at the relay the wait begins anew behind it.
        return this.atEnd ? this.takeHeld(true) : undefined
      case 'more':
        if (this.atEnd) return
        // Whether it is still waited for is looked at again.
        this.out.push({ type: 'status' })
        return this.arm('more', MORE_MS)
      case 'seek':
        this.isSeeking = false
        this.seekMs = Math.min(LAST_SEEK_MS, 2 * this.seekMs)
        this.out.push({ type: 'seekLeft' })
        return
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
    // LEAVE is the last request: one more COLLECT would take it back.
    if (this.hasLeft && frame.$case !== 'alive') return
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
