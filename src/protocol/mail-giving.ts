/**
 * Leaving mail: a look at who lacks what, one deposit, another look, until nobody lacks anything.
 *
 *  [L6] what is gathered for a moment travels together, and a relay sees no rhythm of keystrokes;
 *  [L7] what was in vain rests before it is tried again, longer each time.
 */
import { fromHex } from './bytes.js'
import { answerFor, answerTo } from './mail-answering.js'
import type { LeftClaims } from './mail-claims.js'
import { Depositing, type JobEnd, type Outgoing } from './mail-deposit.js'
import { foldingFor } from './mail-fold.js'
import type { MailLedger, Reach } from './mail-ledger.js'
import type { MailOutbox } from './mail-outbox.js'
import { depositFor, type Lacks, planDeposits, type Survey } from './mail-plan.js'
import type { Rests } from './mail-rests.js'
import type { MailEffect, StatesOpened, StatesPart, Written } from './mail-types.js'
import type { Natives } from './natives.js'

/** [L6] How long changes gather before they are left. */
export const GATHER_MS = 250
/** After a full or failing relay nothing is left for this long. */
const REFUSED_MS = 60_000
/** What is damaged here may be whole again by then. */
const NOTHING_MS = 10_000
const NEVER_MS = Number.POSITIVE_INFINITY

export class Giving {
  private isLooking = false
  private job: Depositing | undefined
  /** The number of the newest DEPOSIT. */
  private number = 0
  /** Somebody waits: nobody is given time to do it instead. */
  private hurry = false
  /** A gathering has ended, or somebody has begun to wait: the next look leaves all that there is. */
  private isRipe = false
  /** How far each log went when all was left; undefined while nothing gathers. */
  private ripe: Reach | undefined
  /** Somebody lacks something that is not left here, as far as the last look tells. */
  private owes = true
  private isFull = false
  private readonly lacks: Lacks = new Map()
  private readonly wantsStates = new Set<string>()
  /** Whole states were weighed for this recipient at so many waiting bytes, and would have been larger. */
  private readonly weighed = new Map<string, number>()

  constructor(
    private readonly out: MailOutbox,
    private readonly natives: Natives,
    private readonly ledger: MailLedger,
    private readonly claims: LeftClaims,
    private readonly rests: Rests,
  ) {}

  /** Something is being left. */
  get isBusy(): boolean {
    return this.job !== undefined || this.isLooking || this.out.isArmed('gather')
  }

  /** Nobody lacks anything that is not left here, as far as the last look tells. */
  get isDone(): boolean {
    return !this.owes && !this.isBusy
  }

  get isHurried(): boolean {
    return this.hurry
  }

  /** [L6] Something has changed: it is looked at when it has gathered. */
  soon(): void {
    this.owes = true
    this.out.armOnce('gather', GATHER_MS)
  }

  /** What has gathered goes with the next look. */
  ripen(): void {
    this.isRipe = true
  }

  /** Somebody waits; `anew`: who has just begun to, so that a relay that was full is asked again. */
  hasten(anew: boolean): void {
    this.hurry = true
    if (anew) this.rests.wake()
    this.ripen()
  }

  /** Who lacks what, now? While that is looked at, or given, the next look waits for the end of it. */
  look(): void {
    if (this.isLooking || this.job) return
    this.isLooking = true
    if (this.isRipe || this.hurry || !this.out.isArmed('gather')) this.ripe = undefined
    this.isRipe = false
    this.out.put({ type: 'survey' })
  }

  onSurveyed(survey: Survey): void {
    this.isLooking = false
    if (this.job) return
    const { natives, ledger, claims, rests, lacks, hurry, wantsStates, weighed } = this
    ledger.retain(new Set(survey.recipients.map(({ device }) => device)))
    for (const { device, counter } of survey.recipients) claims.spoke(device, counter)
    rests.look(survey.now)
    const ripe = this.ripeOf(survey)
    const { due, againMs } = planDeposits({ natives, survey: ripe, ledger, claims, lacks, hurry, rests })
    // What they lack goes first: an answer builds on it.
    const answer = due[0] ? {} : answerFor(survey, ledger, rests)
    const job = due[0]
      ? depositFor(due[0], survey, ledger, wantsStates)
      : (answer.job ?? foldingFor(survey, ledger, weighed, wantsStates, rests))
    if (job) {
      this.job = new Depositing(job, ledger)
      return this.out.put(this.job.start(), { type: 'status' })
    }
    const owes = againMs !== undefined
    if (this.owes !== owes) this.out.put({ type: 'status' })
    this.owes = owes
    // What it didn't take has come another way.
    if (!owes && this.isFull) this.sayFull(false)
    const lookMs = Math.min(againMs ?? NEVER_MS, answer.againMs ?? NEVER_MS)
    if (lookMs < NEVER_MS) this.out.arm('again', Math.max(lookMs, GATHER_MS))
    if (this.isRipe) this.look()
    else if (!owes) this.hurry = false
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

  onWritten(written: Written | undefined): void {
    if (this.job) this.go(this.job.onWritten(written))
  }

  onOpened(opened: StatesOpened): void {
    if (this.job) this.go(this.job.onOpened(opened))
  }

  onPart(part: StatesPart): void {
    if (this.job) this.go(this.job.onPart(part))
  }

  /** It is a deposit that this number answers. */
  awaits(number: number): boolean {
    return this.job !== undefined && number === this.number
  }

  /** The relay's answer to a deposit. True if all that was to be left lies there now. */
  onDone(error: string, sequence: number): boolean {
    const { state } = this.ledger
    state.sequence = Math.max(state.sequence, sequence)
    const next = this.job!.onDone(error)
    // Parts of what is broken off are remembered, too.
    if (this.job!.job.kind !== 'changes') this.out.put({ type: 'keepLedger' })
    this.go(next)
    return 'outcome' in next && next.outcome === 'done'
  }

  private go(next: MailEffect | Outgoing | JobEnd): void {
    if ('outcome' in next) return this.end(next)
    if ('type' in next) return this.out.put(next)
    const { id, replaces, envelope } = next
    this.number = this.out.next()
    const value = { number: this.number, id, recipients: next.recipients.map(fromHex), replaces, envelope }
    this.out.send({ $case: 'deposit', value }, 'bulk')
  }

  private end({ outcome, error }: JobEnd): void {
    const { job } = this.job!
    this.job = undefined
    for (const recipient of job.asked ? [] : job.recipients) {
      if (outcome === 'needs-states') this.wantsStates.add(recipient)
      else this.wantsStates.delete(recipient)
      if (outcome === 'too-large') this.weighed.set(recipient, 2 * (job.unlessBytes ?? 0))
    }
    // [L7] Others may be given something meanwhile.
    const names = job.asked ? job.recipients.map(answerTo) : job.recipients
    if (outcome === 'nothing') this.rests.rest(names, NOTHING_MS)
    if (outcome === 'dropped') {
      if (error === 'full') this.sayFull(true)
      if (error === 'not-member' || error === 'too-large') this.rests.rest(names, REFUSED_MS)
      else this.rests.restAll(REFUSED_MS)
    }
    if (outcome === 'done') {
      this.out.put({ type: 'keepLedger' })
      this.sayFull(false)
    }
    this.look()
  }

  private sayFull(full: boolean): void {
    this.isFull = full
    this.out.put({ type: 'full', full })
  }
}
