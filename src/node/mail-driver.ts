/**
 * The mail driver: performs the effects of mail sessions on the store and on their links to relays, and brings the
 * outcomes back as events. Like the driver of direct sync it knows neither libp2p nor the clock, so that the simulator
 * runs it as it ships. Taking in and words are parts of their own.
 */
import { fromHex, toHex } from '../protocol/bytes.js'
import { MAX_WANTED } from '../protocol/limits.js'
import type { MailOptions } from '../protocol/mail.js'
import type { Asks } from '../protocol/mail-answering.js'
import { MailLedger } from '../protocol/mail-ledger.js'
import type { Survey } from '../protocol/mail-plan.js'
import type { MailCloseCode, MailEffect, MailEvent } from '../protocol/mail-types.js'
import type { Inventory } from '../protocol/mailbox.gen.js'
import { decodeMailFrame } from '../protocol/mailbox-wire.js'
import { ledgerWrite, readLedger } from '../store/ledgers.js'
import { AnswerWriter, isAnyWhole } from '../store/mail-answers.js'
import { StatesWriter } from '../store/mail-out.js'
import { MailAsking } from './mail-asking.js'
import {
  type MailDriverOptions,
  type MailLink,
  Patience,
  RelaySession,
  type RelaySessions,
} from './mail-driver-session.js'
import { MailTaking } from './mail-driver-taking.js'
import { MailWords } from './mail-driver-words.js'
import { MailOffice } from './mail-office.js'

/** So often it is looked at whether everything is delivered, while somebody waits for that. */
const POLL_MS = 25

export class MailDriver {
  readonly sessions = new Map<string, RelaySession>()
  readonly office: MailOffice
  private readonly asking: MailAsking
  private readonly words: MailWords
  private readonly taking: MailTaking
  /** By relay. */
  private readonly patience = new Map<string, Patience>()
  private questionNumber = 0
  private stopped = false

  constructor(private readonly options: MailDriverOptions) {
    this.office = new MailOffice(options)
    this.asking = new MailAsking(options, () => this.stated())
    this.words = new MailWords(options, this.office, this.sessionsView(), this.asking)
    this.taking = new MailTaking(options, this.office, this.words, this.asking)
  }

  private sessionsView(): RelaySessions {
    return {
      all: this.sessions,
      step: (session, event) => this.step(session, event),
      toAll: (event) => this.toAll(event),
    }
  }

  // ---- links

  /** A stream to a relay stands. A second one to the same relay replaces the first. */
  async connect(link: MailLink, visit?: MailOptions['visit']): Promise<RelaySession> {
    const { options } = this
    const state = await readLedger(options.replica, link.relay)
    const name = toHex(link.relay)
    const old = this.sessions.get(name)
    if (old) this.disconnect(old, 'stopped')
    const patience = this.patience.get(name) ?? new Patience(options.now)
    this.patience.set(name, patience)
    const session = new RelaySession(link, new MailLedger(state), patience, options, visit)
    this.sessions.set(name, session)
    // [S6] From here on nothing more is jotted down, and what was goes before anything of this session.
    const { docs } = options.replica
    if (docs.jotted > 0) this.inOrder(session, () => docs.settle())
    this.perform(session, session.machine.start())
    return session
  }

  /** One message from the relay. Resolves when more may be read. */
  receive(session: RelaySession, bytes: Uint8Array): Promise<void> {
    const frame = decodeMailFrame(bytes)
    const { machine, patience } = session
    // A relay is waited for from its greeting on, and from when it has something again.
    if (!machine.isReady) patience.begin()
    else if (machine.isCollected) patience.renew()
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
    const { relay, link, machine } = session
    session.open = false
    for (const cancel of session.timers.values()) cancel()
    for (const resolve of session.questions.values()) resolve(undefined)
    if (this.sessions.get(relay) === session) this.sessions.delete(relay)
    if (machine.isReady) session.patience.end(machine.isCollected)
    if (code !== 'lost') link.close()
    this.options.events?.closed?.(relay, code)
    this.options.events?.status?.()
  }

  async stop(): Promise<void> {
    this.stopped = true
    this.asking.stop()
    const sessions = [...this.sessions.values()]
    for (const session of sessions) this.disconnect(session, 'stopped')
    for (const session of sessions) await session.work
  }

  // ---- what others tell

  /** Something grew, was acknowledged, connected or set. */
  changed(): void {
    this.words.hearDirect()
    this.toAll({ type: 'changed' })
  }

  /** What this device holds was stated anew. */
  stated(): void {
    this.toAll({ type: 'stated' })
  }

  rosterChanged(): void {
    this.toAll({ type: 'rosterChanged' })
  }

  /** Somebody waits: what can be left is left now. */
  hurry(anew = false): void {
    this.toAll({ type: 'hurry', anew })
  }

  window(open: boolean): void {
    this.toAll({ type: 'window', open })
  }

  // ---- what others ask

  private get ready(): RelaySession[] {
    return [...this.sessions.values()].filter(({ machine }) => machine.isReady)
  }

  /** Everything that others lack waits at each connected relay; false if it took longer. */
  async whenDelivered(timeoutMs: number): Promise<boolean> {
    const { now, timers } = this.options
    const until = now() + timeoutMs
    if (this.ready.length > 0) this.hurry()
    while (this.ready.some(({ machine }) => !machine.isDelivered)) {
      if (now() > until) return false
      await new Promise<void>((resolve) => void timers.after(POLL_MS, resolve))
    }
    return true
  }

  /** Some mail that could bring what is missing is still to be looked at; undefined: no relay is there. */
  get isPending(): boolean | undefined {
    const { ready } = this
    return ready.length === 0 ? undefined : ready.some(({ isPending }) => isPending)
  }

  /** Mail is being taken in, or changes are being left. */
  get isBusy(): boolean {
    return this.ready.some(({ machine }) => !machine.isCollected || machine.isGiving)
  }

  /** How far a device holds each log when it has collected what waits for it anywhere. */
  reach(device: Uint8Array): Map<string, number> {
    const reach = new Map(this.words.knownOf(device))
    for (const { machine } of this.ready)
      for (const [log, seq] of machine.reach(toHex(device), reach))
        reach.set(log, Math.max(seq, reach.get(log) ?? 0))
    return reach
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

  // ---- the loop

  private toAll(event: MailEvent): void {
    for (const session of this.sessions.values()) this.step(session, event)
  }

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
          this.step(session, { type: 'rosterChanged' })
        })
      case 'take':
        return this.inOrder(session, async () => {
          this.step(session, { type: 'taken', taken: await this.taking.take(session, effect) })
        })
      case 'seekLeft':
        return this.inOrder(session, () => this.words.seekLeft(session))
      case 'hear':
        return this.inOrder(session, async () => {
          for (const notice of effect.notices) await this.words.hear(session, notice)
        })
      case 'survey':
        return this.inOrder(session, async () => {
          const survey = await this.survey(session)
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
          const writer = await StatesWriter.open(replica, set, effect.base, effect.mayLack, effect.isAnew)
          session.writer = writer
          const { ranges = [], bytes = 0, isSound = false } = writer ?? {}
          this.step(session, { type: 'statesOpened', opened: { set, ranges, bytes, isSound } })
        })
      case 'openAnswer':
        return this.inOrder(session, async () => {
          const set = this.options.random(16)
          const writer = await AnswerWriter.open(replica, set, effect.asked)
          session.writer = writer
          const { ranges, bytes, isSound } = writer
          this.step(session, { type: 'statesOpened', opened: { set, ranges, bytes, isSound } })
        })
      case 'writePart':
        return this.inOrder(session, async () => {
          const part = await session.writer?.next(effect.index)
          const written = part && this.office.writePart(part)
          if (!part || !written) return this.step(session, { type: 'written', written: undefined })
          this.step(session, {
            type: 'part',
            part: { ...written, last: part.last, missing: part.missing },
          })
        })
      case 'makeWord':
        return this.inOrder(session, async () => {
          const word = await this.words.own(session)
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

  private async survey({ askings, ledger }: RelaySession): Promise<Survey> {
    const { replica, roster, driver, statements, now } = this.options
    const collectors = roster.collectors()
    const isConnected = (device: Uint8Array) => driver.sessions.has(toHex(device))
    const asks = new Map<string, Asks>()
    for (const [device, { id, wanted }] of askings) {
      const missing = ledger.row(device).answer?.missing ?? []
      const isMended = await isAnyWhole(replica, missing)
      const frontier = this.words.knownOf(fromHex(device))
      asks.set(device, { id, wanted: wanted.slice(0, MAX_WANTED), frontier, isMended })
    }
    return {
      now: now(),
      self: toHex(replica.options.device.ed),
      logs: [...replica.logs.all()]
        .filter(({ seq }) => seq > 0)
        .map(({ log, seq, device }) => ({ log, seq, device: toHex(device) })),
      recipients: collectors.map((device) => ({
        device: toHex(device),
        known: this.words.knownOf(device),
        counter: statements.of(device)?.counter ?? 0,
        connected: isConnected(device),
        asks: asks.get(toHex(device)),
      })),
      near: collectors.filter(isConnected).map(toHex),
    }
  }
}
