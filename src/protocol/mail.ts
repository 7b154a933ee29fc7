/**
 * A device's side of a mailbox, /kartoteka/mailbox/1: a state machine without I/O, clock or randomness. One session
 * is one stream to one relay; what it has left there stands in the ledger, which outlives it. This file takes events
 * and frames to the part they belong to; the parts are in mail-opening, mail-collecting, mail-giving and
 * mail-deliveries.
 *
 *  [L3] nothing is left before the relay holds the same roster, and before the words of the others are known.
 */
import { equalBytes } from './bytes.js'
import { LeftClaims } from './mail-claims.js'
import { Collecting } from './mail-collecting.js'
import { Deliveries } from './mail-deliveries.js'
import { Giving } from './mail-giving.js'
import type { Reach } from './mail-ledger.js'
import { Opening, type OpeningOptions } from './mail-opening.js'
import { MailOutbox } from './mail-outbox.js'
import { Rests } from './mail-rests.js'
import type { Heard, MailEffect, MailEvent, MailTimer } from './mail-types.js'
import type { Done, Inventory } from './mailbox.gen.js'
import { ALIVE_INTERVAL_MS } from './mailbox-limits.js'
import type { MailFrameKind } from './mailbox-wire.js'

/** A word follows what it speaks of after this long, once for all of it. */
const WORD_MS = 1_000
/** A relay that leaves so many questions unanswered is gone. */
const SILENT_ROUNDS = 3

export interface MailOptions extends OpeningOptions {
  /** This device uses the relay no more: it only takes in what still waits, or says that it collects no more. */
  visit?: 'empty' | 'leave' | undefined
}

export class MailSession {
  private readonly out = new MailOutbox()
  private readonly opening: Opening
  private readonly collecting = new Collecting(this.out)
  private readonly deliveries: Deliveries
  private readonly giving: Giving
  private readonly claims = new LeftClaims()
  /** What the driver asked the relay, by the number of the request. */
  private readonly questions = new Map<number, number>()
  private windowOpen = false
  private silent = 0

  constructor(private readonly options: MailOptions) {
    const { natives, ledger } = options
    const rests = new Rests()
    this.opening = new Opening(this.out, options)
    this.deliveries = new Deliveries(this.out, ledger, rests)
    this.giving = new Giving(this.out, natives, ledger, this.claims, rests)
  }

  start(): MailEffect[] {
    const effects = this.out.open()
    this.opening.start()
    this.out.arm('alive', ALIVE_INTERVAL_MS)
    return effects
  }

  step(event: MailEvent): MailEffect[] {
    const effects = this.out.open()
    this.take(event)
    return effects
  }

  /** The relay knows this device as a member. */
  get isReady(): boolean {
    return this.opening.isReady
  }

  /** Everything that waited was collected, and nothing is being taken in or acknowledged. */
  get isCollected(): boolean {
    return this.options.visit === 'leave' || this.collecting.isDone
  }

  /** Nobody lacks anything that is not left here, as far as the last look tells. */
  get isDelivered(): boolean {
    if (this.options.visit !== undefined) return true
    return this.collecting.hasLooked && this.giving.isDone && !this.isChecking
  }

  /** Whether all that was left here still waits is not known yet. */
  get isChecking(): boolean {
    return this.deliveries.isChecking
  }

  /** Something is being left at the relay. */
  get isGiving(): boolean {
    return this.giving.isBusy
  }

  /** Envelopes that came and are not worked in yet. */
  get incoming(): number {
    return this.collecting.incoming
  }

  /** How far a recipient will hold each log when it has taken what waits for it here, whoever left it. */
  reach(recipient: string, known: Reach): Map<string, number> {
    return this.options.ledger.reach(recipient, known, this.claims.for(recipient))
  }

  /** How far I would hold each log with everything that the others say they left for me. */
  leftFor(self: string, counter: number): Map<string, number> {
    return this.claims.for(self, counter)
  }

  private take(event: MailEvent): void {
    switch (event.type) {
      case 'frame':
        this.silent = 0
        return this.onFrame(event.frame)
      case 'malformed':
        return this.out.close('malformed')
      case 'rosterChanged':
        if (this.opening.settle()) this.begin()
        return this.collecting.takeHeld()
      case 'taken':
        if (this.collecting.onTaken(event.taken)) this.giving.soon()
        return
      case 'heard':
        return this.onHeard(event.heard)
      case 'changed':
        return this.giving.soon()
      case 'stated':
        return this.wordSoon()
      case 'hurry':
        this.deliveries.hasten()
        this.giving.hasten(event.anew ?? false)
        return this.look()
      case 'surveyed':
        return this.giving.onSurveyed(event.survey)
      case 'written':
        return this.giving.onWritten(event.written)
      case 'statesOpened':
        return this.giving.onOpened(event.opened)
      case 'part':
        return this.giving.onPart(event.part)
      case 'worded':
        return this.collecting.acknowledge([], event.word)
      case 'ask':
        return this.question(event.question, (number) => ({ $case: 'ask', value: { number } }))
      case 'leave':
        return this.question(event.question, (number) => ({ $case: 'leave', value: { number } }))
      case 'window':
        this.windowOpen = event.open
        return this.isReady && !this.options.visit ? this.sayWindow() : undefined
      case 'timer':
        this.out.fired(event.name)
        return this.onTimer(event.name)
    }
  }

  private onFrame(frame: MailFrameKind): void {
    switch (frame.$case) {
      case 'welcome':
        if (this.opening.onWelcome(frame.value)) this.begin()
        return
      case 'chain':
        return this.opening.onChain(frame.value.entries)
      case 'head':
        if (this.opening.onHead(frame.value.head)) this.begin()
        return
      case 'refuse':
        return this.opening.onRefuse(frame.value.code)
      case 'notices':
        return this.out.put({ type: 'hear', notices: frame.value.notices })
      case 'batch':
        if (this.collecting.onBatch(frame.value)) this.giving.soon()
        return
      case 'done':
        return this.onDone(frame.value)
      case 'missing':
        return this.deliveries.onMissing(frame.value.number, frame.value.ids)
      case 'inventory':
        return this.onInventory(frame.value)
      case 'alive':
        if (!frame.value.answer)
          this.out.send({ $case: 'alive', value: { number: frame.value.number, answer: true } })
        return
      default:
        return this.out.close('malformed')
    }
  }

  /** The relay knows me. */
  private begin(): void {
    const { visit } = this.options
    if (!visit && this.windowOpen) this.sayWindow()
    if (visit !== 'leave') this.collecting.begin()
    if (!visit) {
      this.deliveries.checkAll()
      this.wordSoon()
    }
    this.out.put({ type: 'status' })
  }

  private onHeard(heard: Heard): void {
    const { device, counter, left, incarnation, fresh } = heard
    this.claims.spoke(device, counter)
    if (left && equalBytes(incarnation, this.options.ledger.state.incarnation)) {
      this.claims.hear(device, left)
      this.collecting.seekSoon()
    }
    const open = this.deliveries.heard(heard)
    if (open.length > 0 && fresh && this.isReady) {
      this.deliveries.check(device, open)
      // It speaks, and still lacks it: who else thinks of giving it shall know that it waits here.
      this.wordSoon()
    }
    this.giving.soon()
  }

  /** [L3] */
  private look(): void {
    // Nothing is collected before the relay holds the same roster.
    if (this.collecting.hasLooked && !this.options.visit) this.giving.look()
  }

  private wordSoon(): void {
    if (!this.isReady || this.options.visit) return
    this.out.armOnce('word', this.giving.isHurried ? 0 : WORD_MS)
  }

  private sayWindow(): void {
    this.out.send({ $case: 'window', value: { open: this.windowOpen } })
  }

  // ---- questions and answers

  private question(question: number, make: (number: number) => MailFrameKind): void {
    const number = this.out.next()
    this.questions.set(number, question)
    this.out.send(make(number))
  }

  private answered(number: number): number | undefined {
    const question = this.questions.get(number)
    this.questions.delete(number)
    return question
  }

  private onInventory(inventory: Inventory): void {
    const question = this.answered(inventory.number)
    if (question !== undefined) this.out.put({ type: 'inventory', question, inventory })
  }

  private onDone({ number, error, sequence }: Done): void {
    if (this.giving.awaits(number)) {
      if (this.giving.onDone(error, sequence)) this.wordSoon()
      return
    }
    if (this.collecting.onDone(number, error)) return
    const question = this.answered(number)
    if (question !== undefined) this.out.put({ type: 'left', question, ok: error === '' })
  }

  // ---- time

  private onTimer(name: MailTimer): void {
    switch (name) {
      case 'greet':
        return this.opening.onTimer()
      case 'gather':
        this.giving.ripen()
        return this.look()
      case 'again':
        return this.giving.look()
      case 'word':
      case 'ack':
        return this.out.put({ type: 'makeWord' })
      case 'suspect':
        this.deliveries.onTimer()
        return this.giving.soon()
      case 'held':
      case 'more':
      case 'seek':
        return this.collecting.onTimer(name)
      case 'alive':
        if (++this.silent > SILENT_ROUNDS) return this.out.close('silent')
        this.out.send({ $case: 'alive', value: { number: this.out.next(), answer: false } })
        return this.out.arm('alive', ALIVE_INTERVAL_MS)
    }
  }
}
