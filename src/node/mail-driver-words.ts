/** Words: mine for each relay, and those of others, whichever way they come: each session hears of them. */
import { equalBytes, fromHex, toHex } from '../protocol/bytes.js'
import type { Left } from '../protocol/envelope.gen.js'
import type { LogId } from '../protocol/log.js'
import type { Heard, MailEffect } from '../protocol/mail-types.js'
import type { HeldStatement } from '../store/statements.js'
import type { MailAsking } from './mail-asking.js'
import type { MailDriverOptions, RelaySession, RelaySessions } from './mail-driver-session.js'
import { type HeardWord, leftToWire, type MailOffice } from './mail-office.js'

type Notice = Extract<MailEffect, { type: 'hear' }>['notices'][number]

export class MailWords {
  /** The number of the newest word of each device that was told to the sessions. */
  private readonly counters = new Map<string, number>()

  constructor(
    private readonly options: MailDriverOptions,
    private readonly office: MailOffice,
    private readonly sessions: RelaySessions,
    private readonly asking: MailAsking,
  ) {}

  /** My own for this relay, sealed; undefined while this device lacks the newest epoch's key. */
  async own({ ledger, outdated }: RelaySession): Promise<Uint8Array | undefined> {
    const { statements } = this.options
    const left = [...ledger.state.rows].flatMap(([recipient, { live }]): Left[] => {
      const device = fromHex(recipient)
      const logs = new Set(live.flatMap(({ ranges }) => ranges.map(({ log }) => log)))
      const reach = [...ledger.told(recipient, this.knownOf(device))].filter(([log]) => logs.has(log))
      const counter = statements.of(device)?.counter ?? 0
      return reach.length === 0 ? [] : [leftToWire(recipient, new Map(reach), counter)]
    })
    const { incarnation } = ledger.state
    return this.office.writeWord(left, incarnation, outdated.values(), await this.asking.current())
  }

  /** A word that waits at a relay. */
  async hear(session: RelaySession, { device, sealed }: Notice): Promise<void> {
    const { statements, driver, replica } = this.options
    const self = replica.options.device.ed
    const own = statements.of(self)
    const heard = await this.office.hearNotice(device, sealed)
    if (!heard) return
    if (statements.of(self) !== own) this.sessions.toAll({ type: 'stated' })
    // My own, from before I was restored: only its number matters.
    const held = equalBytes(device, self) ? undefined : statements.of(device)
    if (!held) return
    const { fresh, left, incarnation, isDisputed, healed } = heard
    this.noteOutdated(session, device, heard.isOutdated)
    if (fresh) {
      this.counters.set(toHex(device), held.counter)
      driver.tellStatements()
    }
    const asking = this.noteAsking(session, device, heard)
    const word = this.heard(device, held, fresh)
    for (const each of this.sessions.all.values()) {
      if (each === session)
        this.sessions.step(each, { type: 'heard', heard: { ...word, left, incarnation, asking } })
      else if (fresh) this.sessions.step(each, { type: 'heard', heard: word })
    }
    if (isDisputed || healed) this.sessions.toAll({ type: 'stated' })
    if (healed) driver.tookMail(true)
  }

  /** A relay that shows an older word of this device than the one held here hears of the newer one in mine. */
  private noteOutdated(session: RelaySession, device: Uint8Array, isOutdated: boolean): void {
    const name = toHex(device)
    if (!isOutdated) session.outdated.delete(name)
    else if (!session.outdated.has(name)) {
      session.outdated.set(name, device)
      this.sessions.step(session, { type: 'stated' })
    }
  }

  /** What it asks for here. What an older word says may hold no more. */
  private noteAsking(
    session: RelaySession,
    device: Uint8Array,
    { asking, isOutdated }: HeardWord,
  ): Heard['asking'] {
    if (!asking || isOutdated) {
      session.askings.delete(toHex(device))
      return undefined
    }
    session.askings.set(toHex(device), asking)
    const self = this.options.replica.options.device.ed
    const isHeard = asking.heard.some((each) => equalBytes(each, self))
    return { id: asking.id, isOver: isHeard || asking.wanted.length === 0 }
  }

  /** Words that came directly count like those that came by mail. */
  hearDirect(): void {
    const { statements, roster } = this.options
    for (const device of roster.collectors()) {
      const held = statements.of(device)
      const name = toHex(device)
      if (!held || held.counter <= (this.counters.get(name) ?? 0)) continue
      this.counters.set(name, held.counter)
      this.sessions.toAll({ type: 'heard', heard: this.heard(device, held, true) })
    }
  }

  /** The word that is held here, as it came another way than by a relay. */
  private heard(device: Uint8Array, { unusable, counter }: HeldStatement, fresh: boolean): Heard {
    const known = this.knownOf(device)
    return { device: toHex(device), known, unusable, counter, fresh, left: undefined, incarnation: NONE }
  }

  /** [L8] Speaks again where something is not here that others say they left for me: so they stop counting on it. */
  async seekLeft(session: RelaySession): Promise<void> {
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
    this.sessions.toAll({ type: 'stated' })
  }

  /** How far a device holds each log, by its own newest word. */
  knownOf(device: Uint8Array): Map<LogId, number> {
    return this.options.driver.frontierOf(device) ?? new Map()
  }
}

const NONE = new Uint8Array(0)
