/**
 * The driver: performs the effects of sync sessions on the store and on their links, and brings the outcomes
 * back as events. It knows neither libp2p nor the clock: links and timers are handed in, so that the
 * simulator runs it as it ships. Announcements and transfers are parts of their own.
 */
import { toHex } from '../protocol/bytes.js'
import type { LogId } from '../protocol/log.js'
import { Runs } from '../protocol/runs.js'
import type { CloseCode, SyncEffect, SyncEvent } from '../protocol/sync-types.js'
import { decodeFrame, encodeFrame } from '../protocol/wire.js'
import { learnCuts } from '../store/healing.js'
import type { Growth } from '../store/replica.js'
import { Announcements } from './driver-announcements.js'
import { Questions } from './driver-questions.js'
import { Serving } from './driver-serving.js'
import {
  type DriverOptions,
  type Link,
  PeerSession,
  type RoundResult,
  type Sessions,
  strangersMessage,
} from './driver-session.js'
import { type TransferProgress, Transfers } from './driver-transfers.js'

/**
 * Bytes of a peer that may be waiting for the store before its stream is paused: the next message of a transfer. What
 * waits long outlives the young heap, and is found to be gone only when the whole heap is looked through.
 */
const INBOX_BYTES = 256 * 1024

export class Driver {
  readonly sessions = new Map<string, PeerSession>()
  sentChanges = 0
  receivedChanges = 0
  private readonly announcements: Announcements
  private readonly transfers: Transfers
  private readonly serving: Serving
  private readonly questions: Questions
  private readonly runs = new Runs()
  private stopped = false

  constructor(private readonly options: DriverOptions) {
    const sessions = this.sessionsView()
    this.announcements = new Announcements(options, sessions)
    this.transfers = new Transfers(options, sessions, this.announcements)
    this.serving = new Serving(options.replica, sessions)
    this.questions = new Questions(sessions)
    options.replica.events.grown = (growth) => this.onGrown(growth)
    options.replica.events.jotted = () => this.announcements.flushLater()
  }

  private sessionsView(): Sessions {
    const driver = this
    return {
      all: this.sessions,
      get isStopped() {
        return driver.stopped
      },
      step: (session, event) => this.step(session, event),
      inOrder: (session, work) => this.inOrder(session, work),
      askRounds: (except) => this.askRounds(except),
    }
  }

  // ---- links

  /** A stream to a peer stands. A second one to the same peer replaces the first. */
  connect(link: Link): PeerSession {
    const session = new PeerSession(link, this.options.roster.isMember(link.publicKey))
    const old = this.sessions.get(session.peer)
    if (old) this.disconnect(old, 'stopped')
    this.sessions.set(session.peer, session)
    // [S6] From here on nothing more is jotted down, and what was goes before anything of this session.
    const { docs } = this.options.replica
    if (docs.jotted > 0) this.inOrder(session, () => docs.settle())
    this.perform(session, session.machine.start())
    this.tellNeighbours()
    this.options.events?.status?.()
    return session
  }

  /** One message from the peer. Resolves when more may be read. */
  receive(session: PeerSession, bytes: Uint8Array): Promise<void> | undefined {
    if (!session.open) return undefined
    if (session.machine.isStranger) {
      const kind = strangersMessage(bytes)
      if (kind === 'unwelcome') this.disconnect(session, 'refused')
      if (kind !== 'roster') return undefined
    }
    const frame = decodeFrame(bytes)
    session.pendingBytes += bytes.length
    try {
      this.step(session, frame ? { type: 'frame', frame, bytes: bytes.length } : { type: 'malformed' })
    } catch (error) {
      // A bug of ours; it ends this conversation, not the program.
      this.failed(session, error)
    }
    const done = session.work.then(() => {
      session.pendingBytes -= bytes.length
    })
    return session.pendingBytes > INBOX_BYTES ? done : undefined
  }

  /** The link is gone, or ends here. */
  disconnect(session: PeerSession, code: CloseCode | 'lost' | 'stopped'): void {
    if (!session.open) return
    session.open = false
    for (const cancel of session.timers.values()) cancel()
    this.questions.disconnected(session)
    if (this.sessions.get(session.peer) === session) this.sessions.delete(session.peer)
    this.transfers.disconnected(session)
    if (code !== 'lost') session.link.close(code)
    this.options.events?.closed?.(session.peer, code)
    this.tellNeighbours()
    this.options.events?.status?.()
  }

  /** Ends all sessions; nothing is performed afterwards. */
  async stop(): Promise<void> {
    this.stopped = true
    const sessions = [...this.sessions.values()]
    for (const session of sessions) this.disconnect(session, 'stopped')
    for (const session of sessions) await session.work
    await this.announcements.stop()
    await this.transfers.stop()
  }

  // ---- what others ask of the driver

  /** A fresh HELLO on this session; undefined if it ended first. */
  round(session: PeerSession): Promise<RoundResult | undefined> {
    return this.questions.round(session)
  }

  /** Tells a peer where this device can be reached. */
  tellAddresses(session: PeerSession, addresses: string[]): void {
    this.step(session, { type: 'addresses', addresses })
  }

  /** Something is under way: a transfer, messages waiting for the store, or a flush. */
  get isBusy(): boolean {
    if (this.transfers.isBusy || this.announcements.isFlushing) return true
    return [...this.sessions.values()].some(
      (session) => session.pendingBytes > 0 || session.machine.isSending,
    )
  }

  /** A fresh HELLO on each session but `except`. */
  askRounds(except?: PeerSession): void {
    for (const session of this.sessions.values()) if (session !== except) void this.round(session)
  }

  /** The peer's fingerprints: 16 bytes of case key and 16 of content each. */
  fingerprints(session: PeerSession): Promise<Uint8Array[] | undefined> {
    return this.questions.fingerprints(session)
  }

  /** The roster changed here: sessions learn who belongs, and tell their peers. */
  rosterChanged(): void {
    for (const session of [...this.sessions.values()]) {
      this.step(session, {
        type: 'rosterApplied',
        member: this.options.roster.isMember(session.link.publicKey),
      })
    }
  }

  /** The current transfer of whole states, or the last one since this process began. */
  get transfer(): TransferProgress | undefined {
    return this.transfers.current
  }

  get isReceiving(): boolean {
    return this.transfers.isReceiving
  }

  /** Content came another way than by a session: as after a message of a peer. */
  tookMail(advanced: boolean): void {
    this.announcements.noteDoubts()
    this.announcements.touched()
    // What is in doubt is looked at after a flush.
    this.announcements.flushSoon()
    if (advanced) this.askRounds()
    this.transfers.maybeSettle()
  }

  /** Perhaps nobody has more to give now. */
  settleSoon(): void {
    this.transfers.maybeSettle()
  }

  /** Other devices' words came another way. */
  tellStatements(): void {
    this.announcements.tellStatements()
    this.announcements.touched()
    this.options.events?.status?.()
  }

  /** States what is held, and drops what everybody has stated to hold. */
  whenQuiet(): Promise<void> {
    return this.announcements.whenQuiet()
  }

  /** Only members' own words count: their HELLO and ACK now, or their newest statement. */
  prune(): Promise<number> {
    return this.announcements.prune()
  }

  /** What each peer is known to hold durably, by its own newest word. */
  get held(): ReadonlyMap<string, Map<LogId, number>> {
    return this.announcements.held
  }

  /** How far a device is known to hold each log durably. */
  frontierOf(device: Uint8Array): Map<LogId, number> | undefined {
    return this.announcements.frontierOf(device)
  }

  // ---- the loop

  private step(session: PeerSession, event: SyncEvent): void {
    if (!session.open || this.stopped) return
    this.perform(session, session.machine.step(event))
  }

  private sendRoster({ link }: PeerSession): void {
    link.send('live', encodeFrame({ $case: 'roster', value: { entries: this.options.roster.entries() } }))
  }

  private perform(session: PeerSession, effects: SyncEffect[]): void {
    for (const effect of effects) {
      if (!session.open) return
      this.performOne(session, effect)
    }
    // Before the flush that follows, and before a window is told that its letter is stored: each takes a while.
    session.link.flush?.()
  }

  private performOne(session: PeerSession, effect: SyncEffect): void {
    const { replica, statements, roster } = this.options
    switch (effect.type) {
      case 'send':
        this.sentChanges += effect.changes
        return session.link.send(effect.lane, effect.bytes)
      case 'summarise':
        return this.inOrder(session, async () => {
          const summary = await this.announcements.summary()
          this.step(session, { type: 'summary', summary })
          this.announcements.sayAgain(session, summary)
        })
      case 'judge':
        return this.inOrder(session, async () => {
          this.step(session, { type: 'judged', verdicts: await replica.judge(effect.claims) })
        })
      case 'learn':
        return this.inOrder(session, async () => {
          const changed = await learnCuts(replica, effect.cuts, effect.openings, effect.claims)
          this.step(session, { type: 'learned' })
          if (changed) this.askRounds(session)
        })
      case 'sendFork':
        return this.inOrder(session, () => this.serving.fork(session, effect))
      case 'narrowFork':
        return this.inOrder(session, async () => {
          if (await this.serving.narrowFork(session, effect)) this.askRounds()
        })
      case 'leaveLog':
        return replica.leaveLog()
      case 'apply':
        return this.inOrder(session, async () => {
          const outcome = await replica.admit(effect.openings, effect.runs, session.giver)
          if (outcome.advanced.length > 0)
            this.receivedChanges += effect.runs.reduce((sum, run) => sum + run.changes.length, 0)
          this.announcements.due(session, outcome.advanced, effect.bytes)
          this.step(session, { type: 'applied', ...outcome })
          this.transfers.given(session, effect.runs, outcome)
        })
      case 'readChanges':
        return this.aside(session, () => this.serving.changes(session, effect))
      case 'openStates':
        return this.aside(session, () => this.serving.openStates(session, effect))
      case 'readChecks':
        return this.aside(session, () => this.serving.checks(session, effect))
      case 'readItems':
        return this.aside(session, () => this.serving.items(session, effect))
      case 'readCases':
        return this.aside(session, () => this.serving.cases(session, effect))
      case 'wantTake':
        session.wantsTake = true
        return this.transfers.offerTake()
      case 'beginTransfer':
        return this.inOrder(session, () => this.transfers.begin(session, effect))
      case 'takeChecks':
        return this.inOrder(session, () => this.transfers.takeChecks(session, effect))
      case 'takeItems':
        return this.transfers.takeItems(session, effect)
      case 'endTransfer':
        return this.inOrder(session, () => this.transfers.end(session, effect.missing))
      case 'notGiven':
        return this.transfers.notGiven(session, effect)
      case 'applyRoster':
        return this.inOrder(session, async () => {
          const changed = await roster.apply(effect.entries)
          if (changed) this.rosterChanged()
          else if (roster.isMember(session.link.publicKey) && !session.lastRound) {
            this.step(session, { type: 'rosterApplied', member: true })
          } else if (session.machine.isStranger && roster.hasLost?.(effect.entries, session.link.publicKey))
            // Else it would never hear of the branch that stands, and on which it has to be enrolled again.
            this.sendRoster(session)
        })
      case 'sendRoster':
        return this.sendRoster(session)
      case 'admitStatements':
        return this.inOrder(session, async () => {
          if (!(await statements.admit(effect.statements))) return
          this.announcements.touched()
          for (const other of this.sessions.values()) {
            if (other !== session)
              this.step(other, { type: 'statements', statements: effect.statements as never })
          }
          this.options.events?.status?.()
        })
      case 'sendStatements':
        return this.step(session, { type: 'statements', statements: statements.wire() })
      case 'peerHolds':
        this.announcements.peerHolds(session, effect.claims, effect.all)
        return effect.all ? undefined : this.transfers.wantDamaged(session)
      case 'round':
        this.questions.onRound(session, effect)
        this.announcements.touched()
        this.options.events?.compared?.(session.peer)
        return this.transfers.compared(session)
      case 'addresses':
        return this.options.events?.addresses?.(session.peer, effect.addresses)
      case 'run':
        if (this.runs.heard(session.peer, effect.run))
          session.link.send('live', encodeFrame({ $case: 'twin', value: {} }))
        return
      case 'twin':
        return this.options.events?.twin?.()
      case 'answerAsk':
        return this.aside(session, () => this.serving.fingerprints(session, effect.question))
      case 'fingerprints':
        return this.questions.onFingerprints(session, effect)
      case 'arm': {
        session.timers.get(effect.name)?.()
        const run = () => this.step(session, { type: 'timer', name: effect.name })
        session.timers.set(effect.name, this.options.timers.after(effect.ms, run))
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

  /** Work whose order must be that of the frames. */
  private inOrder(session: PeerSession, work: () => Promise<void>): void {
    session.work = session.work
      .then(() => (this.stopped ? undefined : work()))
      .catch((error) => this.failed(session, error))
  }

  /** Work that only reads. */
  private aside(session: PeerSession, work: () => Promise<void>): void {
    work().catch((error) => this.failed(session, error))
  }

  private failed(session: PeerSession, error: unknown): void {
    if (this.stopped) return
    this.options.events?.failed?.(error)
    // Not as if the peer were gone: its connection is sound, and to dial it anew at once would change nothing.
    this.disconnect(session, 'stopped')
  }

  private onGrown(growth: Growth): void {
    for (const session of this.sessions.values()) {
      // What came of a peer in an earlier session, or by mail, it may have lost since: only what it gives now it holds.
      const from = growth.from === session.giver ? session.peer : undefined
      this.step(session, { ...growth, type: 'grown', from })
      this.announcements.noticeGrown(session, growth)
    }
    this.announcements.touched()
    if (!growth.from) this.announcements.flushOwn()
  }

  private tellNeighbours(): void {
    if (this.stopped) return
    const members = [...this.sessions.values()].map(({ link }) => link.publicKey)
    for (const session of [...this.sessions.values()]) {
      const devices = members.filter((device) => toHex(device) !== session.peer)
      // Of the last one that left it has to hear as well: it would wait for what nobody gives any more.
      if (devices.length > 0 || session.saidNeighbours) this.step(session, { type: 'neighbours', devices })
      session.saidNeighbours = devices.length > 0
    }
  }
}
