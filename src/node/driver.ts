/**
 * The driver: performs the effects of sync sessions on the store and on their links, and brings the outcomes
 * back as events. It knows neither libp2p nor the clock: links and timers are handed in, so that the
 * simulator runs it as it ships.
 */
import { fromHex, toHex } from '../protocol/bytes.js'
import type { LogClaim } from '../protocol/frontier.js'
import { CHUNK_BYTES, WINDOW_BYTES } from '../protocol/limits.js'
import type { LogId } from '../protocol/log.js'
import { SyncSession } from '../protocol/sync.js'
import type { CloseCode, Summary, SyncEffect, SyncEvent, TimerName } from '../protocol/sync-types.js'
import { decodeFrame, encodeFrame } from '../protocol/wire.js'
import { fingerprintPairs } from '../store/fingerprints.js'
import {
  cutByChecks,
  learnCuts,
  readDoubts,
  restateUnclaimed,
  settleDoubts,
  sweepDoubts,
} from '../store/healing.js'
import { openStates } from '../store/outgoing.js'
import { prune } from '../store/pruning.js'
import { readCases, readChanges, readItems } from '../store/reading.js'
import type { Growth, Replica } from '../store/replica.js'
import type { Statements } from '../store/statements.js'
import { IncomingTransfer, readTransfer, takeLoose } from '../store/transfers.js'

/** One connected peer, as the driver needs it. */
export interface Link {
  publicKey: Uint8Array
  send(lane: 'live' | 'bulk', bytes: Uint8Array): void
  close(code: CloseCode | 'stopped'): void
}

export interface Timers {
  /** Calls back once; returns how to cancel. */
  after(ms: number, run: () => void): () => void
}

export interface DriverOptions {
  replica: Replica
  statements: Statements
  timers: Timers
  roster: {
    head(): Uint8Array
    entries(): Uint8Array[]
    isMember(ed: Uint8Array): boolean
    /** Takes entries over if they extend or win over mine; says whether anything changed. */
    apply(entries: Uint8Array[]): Promise<boolean>
    /** Keys of all members but me. */
    others(): Uint8Array[]
  }
  events?: DriverEvents
}

export interface DriverEvents {
  status?: () => void
  closed?: (peer: string, code: CloseCode | 'lost' | 'stopped') => void
  failed?: (error: unknown) => void
  /** Where a peer says that it can be reached. */
  addresses?: (peer: string, addresses: string[]) => void
}

/** Statements and pruning follow what happened after this long, once for all of it. */
export const SETTLE_MS = 2_000
/** Bytes of a peer that may be waiting for the store before its stream is paused. */
const INBOX_BYTES = 1024 * 1024
/** First byte of a ROSTER message: field 3, length-delimited. */
const ROSTER_TAG = 0x1a
/** First bytes of HELLO, REFUSE, ALIVE, NEIGHBOURS and ADDRESSES. */
const GREETING_TAGS = [0x0a, 0x72, 0x7a, 0x8a, 0xa2]
const GREETING_BYTES = 64 * 1024
/** The largest roster that a stranger may show. */
const STRANGER_BYTES = 1024 * 1024
const RUN_CASES_PER_ITEMS = 64
/** Bytes of a transfer that are flushed and acknowledged together: a part of the window. */
const TRANSFER_FLUSH_BYTES = WINDOW_BYTES / 4

export interface TransferProgress {
  done: number
  of: number
  bytes: number
}

export interface RoundResult {
  equal: boolean
  complete: boolean
  peerHasMore: boolean
}

/** A session with what the driver keeps beside it. */
export class PeerSession {
  readonly peer: string
  readonly machine: SyncSession
  /** Work that must happen in the order of the frames that caused it. */
  work: Promise<void> = Promise.resolve()
  pendingBytes = 0
  bytesDue = 0
  claimsDue = new Set<LogId>()
  incoming: IncomingTransfer | undefined
  wantsTake = false
  /** The cursor that the last TAKE named. */
  takeAfter: Uint8Array = new Uint8Array(0)
  lastRound: RoundResult | undefined
  readonly waiting = new Map<number, (result: RoundResult | undefined) => void>()
  readonly asked = new Map<
    number,
    { pairs: Uint8Array[]; resolve: (pairs: Uint8Array[] | undefined) => void }
  >()
  readonly timers = new Map<TimerName, () => void>()
  open = true

  constructor(
    readonly link: Link,
    member: boolean,
  ) {
    this.peer = toHex(link.publicKey)
    this.machine = new SyncSession({ member, peer: this.peer })
  }
}

export class Driver {
  readonly sessions = new Map<string, PeerSession>()
  /** What each peer is known to hold durably, by its own newest word. */
  readonly held = new Map<string, Map<LogId, number>>()
  private progress: TransferProgress | undefined
  private lastTransfer: TransferProgress | undefined
  sentChanges = 0
  receivedChanges = 0
  private receiver: PeerSession | undefined
  private transferNumber = 0
  private roundNumber = 0
  private flushing: Promise<void> | undefined
  private flushAgain = false
  private quiet: (() => void) | undefined
  private settling: Promise<void> | undefined
  private stopped = false
  /** Doubts are on disk; checked after every advance. */
  private doubtful = true

  constructor(private readonly options: DriverOptions) {
    options.replica.events.grown = (growth) => this.onGrown(growth)
  }

  // ---- links

  /** A stream to a peer stands. A second one to the same peer replaces the first. */
  connect(link: Link): PeerSession {
    const session = new PeerSession(link, this.options.roster.isMember(link.publicKey))
    const old = this.sessions.get(session.peer)
    if (old) this.disconnect(old, 'stopped')
    this.sessions.set(session.peer, session)
    this.perform(session, session.machine.start())
    this.tellNeighbours()
    this.options.events?.status?.()
    return session
  }

  /** One message from the peer. Resolves when more may be read. */
  receive(session: PeerSession, bytes: Uint8Array): Promise<void> | undefined {
    if (!session.open) return undefined
    // Of a stranger only a roster is read, and not a large one.
    if (session.machine.isStranger && (bytes[0] !== ROSTER_TAG || bytes.length > STRANGER_BYTES)) {
      // A device that takes me for one of its own has said a few small things before it was refused.
      if (bytes.length > GREETING_BYTES || !GREETING_TAGS.includes(bytes[0] ?? 0))
        this.disconnect(session, 'refused')
      return undefined
    }
    const frame = decodeFrame(bytes)
    session.pendingBytes += bytes.length
    this.step(session, frame ? { type: 'frame', frame, bytes: bytes.length } : { type: 'malformed' })
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
    for (const resolve of session.waiting.values()) resolve(undefined)
    for (const { resolve } of session.asked.values()) resolve(undefined)
    if (this.sessions.get(session.peer) === session) this.sessions.delete(session.peer)
    if (this.receiver === session) {
      this.endProgress()
      this.askRounds()
    }
    if (code !== 'lost') session.link.close(code)
    this.options.events?.closed?.(session.peer, code)
    this.tellNeighbours()
    this.options.events?.status?.()
  }

  /** Ends all sessions; nothing is performed afterwards. */
  async stop(): Promise<void> {
    this.stopped = true
    this.quiet?.()
    this.quiet = undefined
    const sessions = [...this.sessions.values()]
    for (const session of sessions) this.disconnect(session, 'stopped')
    for (const session of sessions) await session.work
    await this.flushing
    await this.settling
  }

  // ---- what others ask of the driver

  /** A fresh HELLO on this session; undefined if it ended first. */
  round(session: PeerSession): Promise<RoundResult | undefined> {
    return new Promise((resolve) => {
      const round = ++this.roundNumber
      session.waiting.set(round, resolve)
      this.step(session, { type: 'roundAsked', round })
    })
  }

  /** Tells a peer where this device can be reached. */
  tellAddresses(session: PeerSession, addresses: string[]): void {
    this.step(session, { type: 'addresses', addresses })
  }

  /** Something is under way: a transfer, messages waiting for the store, or a flush. */
  get isBusy(): boolean {
    if (this.receiver || this.flushing || this.settling) return true
    return [...this.sessions.values()].some(
      (session) => session.pendingBytes > 0 || session.machine.isSending,
    )
  }

  askRounds(): void {
    for (const session of this.sessions.values()) void this.round(session)
  }

  /** The peer's fingerprints: 16 bytes of case key and 16 of content each. */
  fingerprints(session: PeerSession): Promise<Uint8Array[] | undefined> {
    return new Promise((resolve) => {
      const question = ++this.roundNumber
      session.asked.set(question, { pairs: [], resolve })
      session.link.send('live', encodeFrame({ $case: 'ask', value: { question } }))
    })
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
    return this.progress ?? this.lastTransfer
  }

  get isReceiving(): boolean {
    return this.receiver !== undefined
  }

  // ---- the loop

  private step(session: PeerSession, event: SyncEvent): void {
    if (!session.open || this.stopped) return
    this.perform(session, session.machine.step(event))
  }

  private perform(session: PeerSession, effects: SyncEffect[]): void {
    for (const effect of effects) {
      if (!session.open) return
      this.performOne(session, effect)
    }
  }

  private performOne(session: PeerSession, effect: SyncEffect): void {
    const { replica, statements, roster } = this.options
    switch (effect.type) {
      case 'send':
        this.sentChanges += effect.changes
        return session.link.send(effect.lane, effect.bytes)
      case 'summarise':
        return this.inOrder(session, async () =>
          this.step(session, { type: 'summary', summary: await this.summary() }),
        )
      case 'judge':
        return this.inOrder(session, async () => {
          this.step(session, { type: 'judged', verdicts: await replica.judge(effect.claims) })
        })
      case 'learn':
        return this.inOrder(session, async () => {
          const changed = await learnCuts(replica, effect.cuts, effect.openings)
          this.step(session, { type: 'learned' })
          if (changed) this.askOthers(session)
        })
      case 'sendFork':
        return this.inOrder(session, async () => {
          const log = replica.logs.get(effect.log)
          if (!log) return
          const checks = await replica.logs.checks(effect.log, 0, log.seq)
          const value = { log: fromHex(effect.log), checks }
          session.link.send('live', encodeFrame({ $case: 'fork', value }))
        })
      case 'cutByChecks':
        return this.inOrder(session, async () => {
          if (await cutByChecks(replica, effect.log, effect.checks)) this.askRounds()
        })
      case 'leaveLog':
        return replica.leaveLog()
      case 'apply':
        return this.inOrder(session, async () => {
          const outcome = await replica.admit(effect.openings, effect.runs, session.link.publicKey)
          if (outcome.advanced.length > 0)
            this.receivedChanges += effect.runs.reduce((sum, run) => sum + run.changes.length, 0)
          this.due(session, outcome.advanced, effect.bytes)
          this.step(session, { type: 'applied', ...outcome })
          this.wantDamaged(session)
        })
      case 'readChanges':
        return this.aside(session, async () => {
          this.step(session, {
            type: 'changesRead',
            ...(await readChanges(replica, effect.from, CHUNK_BYTES)),
          })
        })
      case 'openStates':
        return this.aside(session, async () => {
          const opened = await openStates(replica, effect.frontier)
          await replica.flush()
          this.step(session, { type: 'statesOpened', ...opened })
        })
      case 'readItems':
        return this.aside(session, async () => {
          const read = await readItems(replica, effect.after, effect.frontier, CHUNK_BYTES)
          this.step(session, { type: 'itemsRead', ...read })
        })
      case 'readCases':
        return this.aside(session, async () => {
          // One by one: together they might outgrow a message.
          for (const key of effect.keys) await this.giveCase(session, key)
        })
      case 'wantTake':
        session.wantsTake = true
        return this.offerTake()
      case 'beginTransfer':
        return this.inOrder(session, async () => {
          session.incoming = await IncomingTransfer.begin(
            replica,
            effect.target,
            effect.openings,
            session.takeAfter,
          )
          this.doubtful = true
          this.progress = { done: 0, of: effect.cases, bytes: effect.bytes }
          this.due(session, [], effect.bytes)
        })
      case 'takeItems':
        return this.inOrder(session, async () => {
          if (session.incoming) await session.incoming.take(effect.items, effect.early, effect.claims)
          else await takeLoose(replica, effect.items, effect.claims)
          if (effect.claims.length > 0) this.doubtful = true
          if (this.progress) {
            this.progress.done += effect.items.length
            this.progress.bytes += effect.bytes
          }
          this.due(session, [], effect.bytes)
          this.options.events?.status?.()
        })
      case 'endTransfer':
        return this.inOrder(session, async () => {
          const advanced = (await session.incoming?.end(effect.missing)) ?? []
          session.incoming = undefined
          this.endProgress()
          this.due(session, advanced, 0)
          this.doubtful = true
          this.step(session, { type: 'transferEnded' })
          this.askOthers(session)
        })
      case 'applyRoster':
        return this.inOrder(session, async () => {
          const changed = await roster.apply(effect.entries)
          if (changed) this.rosterChanged()
          else if (roster.isMember(session.link.publicKey) && !session.lastRound) {
            this.step(session, { type: 'rosterApplied', member: true })
          }
        })
      case 'sendRoster':
        return session.link.send(
          'live',
          encodeFrame({ $case: 'roster', value: { entries: roster.entries() } }),
        )
      case 'admitStatements':
        return this.inOrder(session, async () => {
          if (!(await statements.admit(effect.statements))) return
          this.touched()
          for (const other of this.sessions.values()) {
            if (other !== session)
              this.step(other, { type: 'statements', statements: effect.statements as never })
          }
          this.options.events?.status?.()
        })
      case 'sendStatements':
        return this.step(session, { type: 'statements', statements: statements.wire() })
      case 'peerHolds':
        return this.peerHolds(session, effect.claims, effect.all)
      case 'round': {
        session.lastRound = effect
        for (const round of effect.rounds) {
          session.waiting.get(round)?.(effect)
          session.waiting.delete(round)
        }
        this.touched()
        this.wantDamaged(session)
        return this.maybeSettle()
      }
      case 'addresses':
        return this.options.events?.addresses?.(session.peer, effect.addresses)
      case 'answerAsk':
        return this.aside(session, async () => {
          for await (const { pairs, last } of fingerprintPairs(replica)) {
            const value = { question: effect.question, pairs, last }
            session.link.send('bulk', encodeFrame({ $case: 'fingerprints', value }))
          }
        })
      case 'fingerprints': {
        const asked = session.asked.get(effect.question)
        asked?.pairs.push(effect.pairs)
        if (asked && effect.last) {
          session.asked.delete(effect.question)
          asked.resolve(asked.pairs)
        }
        return
      }
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
    this.disconnect(session, 'silent')
  }

  // ---- announcements

  /** [X1] Flush first, then say what is held. */
  private async summary(): Promise<Summary> {
    const { replica, roster, statements } = this.options
    // Taken before the flush: what is written while it runs is not announced.
    const { open, closed, closedDigest } = replica.claims()
    const { total, deleted, unclaimed } = replica.meta
    const doubts: LogClaim[] = this.doubtful ? await readDoubts(replica) : []
    this.doubtful = doubts.length > 0
    const unfinished = (await readTransfer(replica)) !== undefined
    const stated = statements.digest()
    await replica.flush()
    return {
      practice: replica.options.practice,
      rosterHead: roster.head(),
      open,
      closed,
      closedDigest,
      doubts,
      statements: stated,
      cases: total + deleted,
      complete: !unclaimed && replica.damaged.size === 0 && !unfinished,
      currentLog: replica.currentLog,
      retainedFrom: new Map([...open, ...closed].map((log) => [log.log, log.retainedFrom])),
    }
  }

  private onGrown(growth: Growth): void {
    const from = growth.from && toHex(growth.from)
    for (const session of this.sessions.values()) {
      this.step(session, { type: 'grown', runs: growth.runs, caseKeys: growth.caseKeys, from })
    }
    this.touched()
    if (!growth.from) this.flushSoon()
  }

  /** [X2] What was taken in is acknowledged after the next flush, to everybody who counts on it. */
  private due(session: PeerSession, advanced: LogId[], bytes: number): void {
    session.bytesDue += bytes
    for (const other of this.sessions.values()) for (const log of advanced) other.claimsDue.add(log)
    // A transfer is made durable in larger steps: each costs a flush, and the window allows several.
    if (session.incoming && advanced.length === 0 && session.bytesDue < TRANSFER_FLUSH_BYTES) return
    if (advanced.length > 0 || bytes > 0) this.flushSoon()
  }

  private flushSoon(): void {
    if (this.flushing) {
      this.flushAgain = true
      return
    }
    this.flushing = this.flushLoop()
      .catch((error) => this.options.events?.failed?.(error))
      .finally(() => {
        this.flushing = undefined
      })
  }

  private async flushLoop(): Promise<void> {
    const { replica } = this.options
    do {
      this.flushAgain = false
      const due = [...this.sessions.values()]
        .filter((session) => session.bytesDue > 0 || session.claimsDue.size > 0)
        .map((session) => {
          const { bytesDue: bytes, claimsDue } = session
          session.bytesDue = 0
          session.claimsDue = new Set()
          const claims = [...claimsDue].flatMap((log) => replica.logs.get(log) ?? [])
          return { session, bytes, claims, cursor: session.incoming?.cursor }
        })
      await replica.flush()
      for (const { session, ...durable } of due) this.step(session, { type: 'durable', ...durable })
      await this.checkDoubts()
    } while (this.flushAgain && !this.stopped)
  }

  private async checkDoubts(): Promise<void> {
    if (!this.doubtful) return
    const { replica } = this.options
    const contradicted = await settleDoubts(replica)
    if (contradicted.length > 0 && (await sweepDoubts(replica, contradicted))) this.askRounds()
  }

  private peerHolds(session: PeerSession, claims: LogClaim[], all: boolean): void {
    const held = (all ? undefined : this.held.get(session.peer)) ?? new Map<LogId, number>()
    this.held.set(session.peer, held)
    for (const { log, seq } of claims) held.set(log, seq)
    this.touched()
    this.options.events?.status?.()
  }

  private tellNeighbours(): void {
    if (this.stopped) return
    const members = [...this.sessions.values()].map(({ link }) => link.publicKey)
    for (const session of [...this.sessions.values()]) {
      const devices = members.filter((device) => toHex(device) !== session.peer)
      if (this.sessions.size > 1) this.step(session, { type: 'neighbours', devices })
    }
  }

  private askOthers(session: PeerSession): void {
    for (const other of this.sessions.values()) if (other !== session) void this.round(other)
  }

  // ---- transfers and healing

  /** One transfer at a time: its target is bound to one cursor. */
  private offerTake(): void {
    if (this.receiver || this.stopped) return
    const next = [...this.sessions.values()].find((session) => session.wantsTake)
    if (!next) return
    next.wantsTake = false
    this.receiver = next
    this.progress = { done: 0, of: 0, bytes: 0 }
    const transfer = ++this.transferNumber
    this.inOrder(next, async () => {
      const { replica } = this.options
      await replica.flush()
      const stored = await readTransfer(replica)
      const claims = [...replica.logs.all()].filter((log) => log.seq > 0)
      next.takeAfter = stored?.cursor ?? new Uint8Array(0)
      this.step(next, { type: 'takeReady', transfer, after: stored?.cursor ?? new Uint8Array(0), claims })
    })
  }

  private endProgress(): void {
    this.receiver = undefined
    this.lastTransfer = this.progress
    this.progress = undefined
  }

  private async giveCase(session: PeerSession, key: Uint8Array): Promise<void> {
    const { replica } = this.options
    const items = await readCases(replica, [key])
    const logs = new Set(items.flatMap((item) => item.touched.map(({ log }) => toHex(log))))
    const held = [...logs].flatMap((id) => replica.logs.get(id) ?? [])
    this.step(session, { type: 'casesRead', items, claims: held, openings: held })
  }

  private wantDamaged(session: PeerSession): void {
    const { damaged } = this.options.replica
    if (damaged.size === 0) return
    const keys = [...damaged.values()].slice(0, RUN_CASES_PER_ITEMS)
    session.link.send('live', encodeFrame({ $case: 'want', value: { keys } }))
  }

  /** [H3] Nobody has more to give: what lies beyond the frontier goes into my own log. */
  private maybeSettle(): void {
    const { replica } = this.options
    if (!replica.meta.unclaimed || this.receiver || this.settling || this.stopped) return
    const sessions = [...this.sessions.values()]
    const quiet =
      sessions.length > 0 &&
      sessions.every(({ lastRound, wantsTake }) => lastRound && !lastRound.peerHasMore && !wantsTake)
    if (!quiet) return
    this.settling = restateUnclaimed(replica)
      .then(() => {
        this.settling = undefined
        this.askRounds()
      })
      .catch((error) => {
        this.settling = undefined
        this.options.events?.failed?.(error)
      })
  }

  /** Something happened: a while later, what is held is stated and what everybody holds is pruned. */
  private touched(): void {
    if (this.stopped || this.quiet) return
    this.quiet = this.options.timers.after(SETTLE_MS, () => {
      this.quiet = undefined
      void this.whenQuiet().catch((error) => this.options.events?.failed?.(error))
    })
  }

  /** States what is held, and drops what everybody has stated to hold. */
  async whenQuiet(): Promise<void> {
    const { replica, statements } = this.options
    if (this.stopped || replica.db.failed) return
    await replica.flush()
    if (this.options.roster.others().length > 0 && (await statements.state())) {
      await replica.flush()
      for (const session of this.sessions.values())
        this.step(session, { type: 'statements', statements: statements.wire() })
    }
    await this.prune()
  }

  /** Only members' own words count: their HELLO and ACK now, or their newest statement. */
  async prune(): Promise<number> {
    const { replica, roster } = this.options
    return prune(
      replica,
      roster.others().map((device) => this.frontierOf(device)),
    )
  }

  /** How far a device is known to hold each log durably. */
  frontierOf(device: Uint8Array): Map<LogId, number> | undefined {
    const live = this.sessions.has(toHex(device)) ? this.held.get(toHex(device)) : undefined
    const stated = this.options.statements.of(device)?.frontier
    return live ?? stated ?? this.held.get(toHex(device))
  }
}
