/**
 * The mail driver: performs the effects of mail sessions on the store and on their links to relays, and brings the
 * outcomes back as events. Like the driver of direct sync it knows neither libp2p nor the clock, so that the simulator
 * runs it as it ships.
 */
import { equalBytes, fromHex, toHex } from '../protocol/bytes.js'
import { MailSession } from '../protocol/mail.js'
import { MailLedger } from '../protocol/mail-ledger.js'
import type { RosterView } from '../protocol/mail-opening.js'
import type { Survey } from '../protocol/mail-plan.js'
import type { MailCloseCode, MailEffect, MailEvent, MailTimer } from '../protocol/mail-types.js'
import type { Inventory, Mail } from '../protocol/mailbox.gen.js'
import { decodeMailFrame } from '../protocol/mailbox-wire.js'
import { ledgerWrite, readLedger } from '../store/ledgers.js'
import { StatesWriter } from '../store/mail-out.js'
import type { Driver, Timers } from './driver.js'
import { leftToWire, MailOffice, type OfficeOptions, type OfficeRoster } from './mail-office.js'

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
/** So often it is looked at whether everything is delivered, while somebody waits for that. */
const POLL_MS = 25

class RelaySession {
  readonly relay: string
  readonly machine: MailSession
  work: Promise<void> = Promise.resolve()
  readonly timers = new Map<MailTimer, () => void>()
  readonly questions = new Map<number, (answer: Inventory | boolean | undefined) => void>()
  writer: StatesWriter | undefined
  open = true
  isFull = false
  /** Since when mail waits for a roster that the relay doesn't show. */
  withheldSince: number | undefined
  /** Since when it is waited for without anything of use; what it was waited for in its last conversation counts. */
  waitingSince: number
  /** Devices of which this relay shows an older word than the one held here, by hex of their keys. */
  readonly outdated = new Map<string, Uint8Array>()

  constructor(
    readonly link: MailLink,
    readonly ledger: MailLedger,
    options: MailDriverOptions,
    isLeaving: boolean,
    readonly waitedMs: number,
  ) {
    this.relay = toHex(link.relay)
    this.waitingSince = options.now() - waitedMs
    const { replica, roster } = options
    this.machine = new MailSession({
      natives: replica.natives,
      practice: replica.options.practice,
      roster,
      ledger,
      isLeaving,
    })
  }
}

export type { RelaySession }

export class MailDriver {
  readonly sessions = new Map<string, RelaySession>()
  readonly office: MailOffice
  private readonly counters = new Map<string, number>()
  /** For how long relays were waited for in vain when their last conversation ended. */
  private readonly waitedMs = new Map<string, number>()
  private questionNumber = 0
  private stopped = false

  constructor(private readonly options: MailDriverOptions) {
    this.office = new MailOffice(options)
  }

  /** A stream to a relay stands. A second one to the same relay replaces the first. */
  async connect(link: MailLink, isLeaving = false): Promise<RelaySession> {
    const state = await readLedger(this.options.replica, link.relay)
    const old = this.sessions.get(toHex(link.relay))
    if (old) this.disconnect(old, 'stopped')
    const waitedMs = this.waitedMs.get(toHex(link.relay)) ?? 0
    const session = new RelaySession(link, new MailLedger(state), this.options, isLeaving, waitedMs)
    this.sessions.set(session.relay, session)
    // [S6] From here on nothing more is jotted down, and what was goes before anything of this session.
    const { docs } = this.options.replica
    if (docs.jotted > 0) this.inOrder(session, () => docs.settle())
    this.perform(session, session.machine.start())
    return session
  }

  /** One message from the relay. Resolves when more may be read. */
  receive(session: RelaySession, bytes: Uint8Array): Promise<void> {
    const frame = decodeMailFrame(bytes)
    // A relay is waited for from its greeting on, and from when it has something again.
    if (!session.machine.isReady) session.waitingSince = this.options.now() - session.waitedMs
    else if (session.machine.isCollected) session.waitingSince = this.options.now()
    try {
      this.step(session, frame ? { type: 'frame', frame } : { type: 'malformed' })
    } catch (error) {
      // A bug of ours; it ends this conversation, not the program.
      this.failed(session, error)
    }
    return session.work
  }

  disconnect(session: RelaySession, code: MailCloseCode | 'lost' | 'stopped'): void {
    if (!session.open) return
    session.open = false
    for (const cancel of session.timers.values()) cancel()
    for (const resolve of session.questions.values()) resolve(undefined)
    if (this.sessions.get(session.relay) === session) this.sessions.delete(session.relay)
    const { isReady, isCollected } = session.machine
    if (isReady) this.waitedMs.set(session.relay, isCollected ? 0 : this.options.now() - session.waitingSince)
    if (code !== 'lost') session.link.close()
    this.options.events?.closed?.(session.relay, code)
    this.options.events?.status?.()
  }

  async stop(): Promise<void> {
    this.stopped = true
    const sessions = [...this.sessions.values()]
    for (const session of sessions) this.disconnect(session, 'stopped')
    for (const session of sessions) await session.work
  }

  // ---- what others tell and ask

  /** Something grew, was acknowledged, connected or set. */
  changed(): void {
    this.hearDirect()
    for (const session of this.sessions.values()) this.step(session, { type: 'changed' })
  }

  /** What this device holds was stated anew. */
  stated(): void {
    for (const session of this.sessions.values()) this.step(session, { type: 'stated' })
  }

  rosterChanged(): void {
    for (const session of this.sessions.values()) this.step(session, { type: 'rosterChanged' })
  }

  /** Somebody waits: what can be left is left now. */
  hurry(anew = false): void {
    for (const session of this.sessions.values()) this.step(session, { type: 'hurry', anew })
  }

  /** Everything that others lack waits at each connected relay; false if it took longer. */
  async whenDelivered(timeoutMs: number): Promise<boolean> {
    const until = this.options.now() + timeoutMs
    const open = () =>
      [...this.sessions.values()].filter(({ machine }) => machine.isReady && !machine.isDelivered)
    if ([...this.sessions.values()].some(({ machine }) => machine.isReady)) this.hurry()
    while (open().length > 0) {
      if (this.options.now() > until) return false
      await new Promise<void>((resolve) => void this.options.timers.after(POLL_MS, resolve))
    }
    return true
  }

  window(open: boolean): void {
    for (const session of this.sessions.values()) this.step(session, { type: 'window', open })
  }

  /** Exactly what a relay holds; undefined if it doesn't answer. */
  async inventory(session: RelaySession): Promise<Inventory | undefined> {
    const answer = await this.question(session, 'ask')
    return typeof answer === 'object' ? answer : undefined
  }

  /** This device collects no more at this relay. */
  async leave(session: RelaySession): Promise<boolean> {
    return (await this.question(session, 'leave')) === true
  }

  private question(session: RelaySession, type: 'ask' | 'leave') {
    return new Promise<Inventory | boolean | undefined>((resolve) => {
      if (!session.open) return resolve(undefined)
      const question = ++this.questionNumber
      session.questions.set(question, resolve)
      this.step(session, { type, question })
    })
  }

  /** Some mail that could bring what is missing is still to be looked at; undefined: no relay is there. */
  get isPending(): boolean | undefined {
    const ready = [...this.sessions.values()].filter(({ machine }) => machine.isReady)
    return ready.length === 0
      ? undefined
      : ready.some(
          (session) =>
            !session.machine.isCollected && !this.isWithholding(session) && !this.isStalling(session),
        )
  }

  /** Mail is being taken in, or changes are being left. */
  get isBusy(): boolean {
    return [...this.sessions.values()].some(
      ({ machine }) => machine.isReady && (!machine.isCollected || machine.isGiving),
    )
  }

  /** This relay keeps mail back: it was written under a roster that the relay can't show. */
  isWithholding(session: RelaySession): boolean {
    return session.withheldSince !== undefined && this.options.now() - session.withheldSince > WITHHOLDING_MS
  }

  /** [L9] */
  private isStalling(session: RelaySession): boolean {
    return this.options.now() - session.waitingSince > PATIENCE_MS
  }

  /** How far a device holds each log when it has collected what waits for it anywhere. */
  reach(device: Uint8Array): Map<string, number> {
    const reach = new Map(this.options.driver.frontierOf(device) ?? [])
    for (const { machine } of this.sessions.values()) {
      if (!machine.isReady) continue
      for (const [log, seq] of machine.reach(toHex(device), reach))
        reach.set(log, Math.max(seq, reach.get(log) ?? 0))
    }
    return reach
  }

  // ---- the loop

  private step(session: RelaySession, event: MailEvent): void {
    if (!session.open || this.stopped) return
    this.perform(session, session.machine.step(event))
  }

  private perform(session: RelaySession, effects: MailEffect[]): void {
    for (const effect of effects) {
      if (!session.open) return
      this.performOne(session, effect)
    }
  }

  private performOne(session: RelaySession, effect: MailEffect): void {
    const { replica, roster, driver, timers, events } = this.options
    switch (effect.type) {
      case 'send':
        return session.link.send(effect.lane, effect.bytes)
      case 'applyRoster':
        return this.inOrder(session, async () => {
          if (await roster.apply(effect.entries)) events?.rosterChanged?.()
          this.step(session, { type: 'rosterApplied' })
        })
      case 'take':
        return this.inOrder(session, () => this.take(session, effect))
      case 'seekLeft':
        return this.inOrder(session, () => this.seekLeft(session))
      case 'hear':
        return this.inOrder(session, async () => {
          for (const { device, sealed } of effect.notices) await this.hear(session, device, sealed)
        })
      case 'survey':
        return this.inOrder(session, async () => {
          const survey = this.survey()
          await replica.flush()
          this.step(session, { type: 'surveyed', survey })
        })
      case 'write':
        return this.inOrder(session, async () => {
          const written = await this.office.writeChanges(effect.from, effect.attempt)
          this.step(session, { type: 'written', written })
        })
      case 'openStates':
        return this.inOrder(session, async () => {
          const set = this.options.random(16)
          session.writer = await StatesWriter.open(replica, set, effect.base)
          const { ranges = [], bytes = 0 } = session.writer ?? {}
          this.step(session, { type: 'statesOpened', opened: { set, ranges, bytes } })
        })
      case 'writePart':
        return this.inOrder(session, async () => {
          const part = await session.writer?.next(effect.index)
          const written = part && this.office.writePart(part)
          if (!part || !written) return this.step(session, { type: 'written', written: undefined })
          this.step(session, { type: 'part', part: { ...written, last: part.last } })
        })
      case 'makeWord':
        return this.inOrder(session, async () => {
          const word = await this.word(session)
          if (word) this.step(session, { type: 'worded', word })
        })
      case 'keepLedger':
        return this.inOrder(session, () =>
          replica.db.write([ledgerWrite(session.link.relay, session.ledger.state)]),
        )
      case 'status':
        events?.status?.()
        return driver.settleSoon()
      case 'inventory':
        return this.answer(session, effect.question, effect.inventory)
      case 'left':
        return this.answer(session, effect.question, effect.ok)
      case 'full':
        session.isFull = effect.full
        return events?.status?.()
      case 'arm': {
        session.timers.get(effect.name)?.()
        const run = () => this.step(session, { type: 'timer', name: effect.name })
        session.timers.set(effect.name, timers.after(effect.ms, run))
        return
      }
      case 'disarm':
        session.timers.get(effect.name)?.()
        session.timers.delete(effect.name)
        return
      case 'close':
        return this.disconnect(session, effect.code)
    }
  }

  private answer(session: RelaySession, question: number, answer: Inventory | boolean): void {
    session.questions.get(question)?.(answer)
    session.questions.delete(question)
  }

  /** Work on the store in the order that the session asks for it. */
  private inOrder(session: RelaySession, work: () => Promise<void>): void {
    session.work = session.work
      .then(() => (this.stopped || !session.open ? undefined : work()))
      .catch((error) => this.failed(session, error))
  }

  private failed(session: RelaySession, error: unknown): void {
    if (this.stopped) return
    this.options.events?.failed?.(error)
    this.disconnect(session, 'silent')
  }

  // ---- taking in

  /** Each envelope by the one door; then a flush, and my own word over all of it. */
  private async take(session: RelaySession, effect: Extract<MailEffect, { type: 'take' }>): Promise<void> {
    const { replica, statements, driver, roster, now } = this.options
    // Without it no word can be sealed, and nothing acknowledged: it is given by a later entry of the roster.
    if (!roster.newestKeys()) throw new Error('the key of the newest epoch is missing')
    const { mails, held, final } = effect
    const isWithheld = session.withheldSince !== undefined && this.isWithholding(session)
    const { loose } = replica
    const done: Uint8Array[] = []
    const useless: Uint8Array[] = []
    const unknown = new Set<Mail>()
    let advanced = false
    const admit = async (each: Mail[]): Promise<{ waiting: Mail[]; isFruitful: boolean }> => {
      const waiting: Mail[] = []
      let isFruitful = false
      // [L2] What the relay can't show the roster of counts in the end as a letter of its sender.
      const admissions = await this.office.admitEach(
        each.map(({ envelope }) => envelope),
        final && isWithheld,
      )
      for (const [at, mail] of each.entries()) {
        const admission = admissions[at]!
        if ('advanced' in admission && admission.advanced.length > 0) {
          advanced = true
          driver.receivedChanges += admission.changes
        }
        if (admission.kind === 'taken') {
          isFruitful = true
          done.push(mail.id)
        } else if (admission.kind === 'useless') useless.push(mail.id)
        else waiting.push(mail)
        if (admission.kind === 'gap' && admission.advanced.length > 0) isFruitful = true
        if (admission.kind === 'unknown') unknown.add(mail)
        else unknown.delete(mail)
      }
      return { waiting, isFruitful }
    }
    let { waiting, isFruitful } = await admit(mails.length > 0 ? mails : held)
    if (mails.length > 0) waiting = [...held, ...waiting]
    // What came first in the mailbox may build on what comes later: as long as something fits, more may.
    while (isFruitful && waiting.length > 0) ({ waiting, isFruitful } = await admit(waiting))
    for (const mail of tooMuch(waiting, final, unknown)) useless.push(mail.id)
    const kept = new Set(useless)
    waiting = waiting.filter(({ id }) => !kept.has(id))
    if (advanced || loose !== replica.loose) session.waitingSince = now()
    if (unknown.size > 0) session.withheldSince ??= now()
    else if (!isWithheld || (done.length > 0 && !final)) session.withheldSince = undefined
    await replica.flush()
    statements.noteUnusable(useless)
    const word = await this.word(session)
    if (!word) throw new Error('the key of the newest epoch is missing')
    driver.tookMail(advanced)
    driver.tellStatements()
    this.step(session, { type: 'taken', taken: { done: [...done, ...useless], held: waiting, word } })
  }

  /** [L8] */
  private async seekLeft(session: RelaySession): Promise<void> {
    const { replica, statements, driver } = this.options
    const self = replica.options.device.ed
    const left = session.machine.leftFor(toHex(self), statements.of(self)?.counter ?? 0)
    const isMissing = [...left].some(([id, seq]) => {
      const log = replica.logs.get(id)
      return Math.min(seq, log?.cut?.seq ?? seq) > (log?.seq ?? 0)
    })
    if (!isMissing) return
    await replica.flush()
    await statements.state(true)
    driver.tellStatements()
    this.stated()
  }

  private async word(session: RelaySession): Promise<Uint8Array | undefined> {
    const { ledger } = session
    const { driver, statements } = this.options
    const left = [...ledger.state.rows].flatMap(([recipient, { live }]) => {
      const device = fromHex(recipient)
      const known = driver.frontierOf(device) ?? new Map<string, number>()
      const logs = new Set(live.flatMap(({ ranges }) => ranges.map(({ log }) => log)))
      const reach = [...ledger.reach(recipient, known)].filter(([log]) => logs.has(log))
      const counter = statements.of(device)?.counter ?? 0
      return reach.length === 0 ? [] : leftToWire(recipient, new Map(reach), counter)
    })
    return this.office.writeWord(left, ledger.state.incarnation, session.outdated.values())
  }

  private async hear(session: RelaySession, device: Uint8Array, sealed: Uint8Array): Promise<void> {
    const { statements, driver, replica } = this.options
    const own = statements.of(replica.options.device.ed)
    const heard = await this.office.hearNotice(device, sealed)
    if (!heard) return
    const name = toHex(device)
    if (statements.of(replica.options.device.ed) !== own) this.stated()
    // My own, from before I was restored: only its number matters.
    if (equalBytes(device, replica.options.device.ed)) return
    const held = statements.of(device)
    if (!held) return
    if (!heard.isOutdated) session.outdated.delete(name)
    else if (!session.outdated.has(name)) {
      session.outdated.set(name, device)
      this.step(session, { type: 'stated' })
    }
    if (heard.fresh) {
      this.counters.set(name, held.counter)
      driver.tellStatements()
    }
    for (const each of this.sessions.values()) {
      if (each !== session && !heard.fresh) continue
      const left = each === session ? heard.left : undefined
      const { unusable, counter } = held
      const { incarnation, fresh } = heard
      const known = this.knownOf(device)
      this.step(each, {
        type: 'heard',
        heard: { device: name, known, unusable, counter, fresh, left, incarnation },
      })
    }
    if (heard.isDisputed || heard.healed) this.stated()
    if (heard.healed) driver.tookMail(true)
  }

  /** Words that came directly count like those that came by mail. */
  private hearDirect(): void {
    const { statements, roster } = this.options
    for (const device of roster.collectors()) {
      const held = statements.of(device)
      const name = toHex(device)
      if (!held || held.counter <= (this.counters.get(name) ?? 0)) continue
      this.counters.set(name, held.counter)
      const known = this.knownOf(device)
      const heard = {
        device: name,
        known,
        unusable: held.unusable,
        counter: held.counter,
        fresh: true,
        left: undefined,
        incarnation: NONE,
      }
      for (const session of this.sessions.values()) this.step(session, { type: 'heard', heard })
    }
  }

  private knownOf(device: Uint8Array): Map<string, number> {
    return this.options.driver.frontierOf(device) ?? new Map()
  }

  // ---- giving

  private survey(): Survey {
    const { replica, roster, driver, statements, now } = this.options
    const collectors = roster.collectors()
    const isConnected = (device: Uint8Array) => driver.sessions.has(toHex(device))
    return {
      now: now(),
      self: toHex(replica.options.device.ed),
      logs: [...replica.logs.all()]
        .filter(({ seq }) => seq > 0)
        .map(({ log, seq, device }) => ({ log, seq, device: toHex(device) })),
      recipients: collectors.map((device) => ({
        device: toHex(device),
        known: this.knownOf(device),
        counter: statements.of(device)?.counter ?? 0,
        connected: isConnected(device),
      })),
      near: collectors.filter(isConnected).map(toHex),
    }
  }
}

/** Mail that something is missing for is held in memory up to here: a case of the largest size, in pieces. */
const HELD_BYTES = 160 * 1024 * 1024

/** What waits for something, and can't wait any longer: at the end all of it, else the oldest beyond a bound. */
function tooMuch(waiting: readonly Mail[], final: boolean, unknown: ReadonlySet<Mail>): Mail[] {
  let bytes = waiting.reduce((sum, { envelope }) => sum + envelope.length, 0)
  return waiting.filter((mail) => {
    if (!(final && !unknown.has(mail)) && bytes <= HELD_BYTES) return false
    bytes -= mail.envelope.length
    return true
  })
}

const NONE = new Uint8Array(0)
