/**
 * What the driver says of what it holds, and what it knows of others: summaries for HELLO, flushes and the
 * acknowledgements that follow them, statements, pruning. Nothing is announced before it is durable.
 */
import { equalBytes, toHex } from '../protocol/bytes.js'
import type { LogClaim } from '../protocol/frontier.js'
import { WINDOW_BYTES } from '../protocol/limits.js'
import type { LogId } from '../protocol/log.js'
import type { Summary } from '../protocol/sync-types.js'
import { type Doubt, readDoubts } from '../store/doubts.js'
import { settleDoubts, sweepDoubts } from '../store/healing.js'
import { prune } from '../store/pruning.js'
import type { Growth } from '../store/replica.js'
import { readTransfer } from '../store/transfers.js'
import type { DriverOptions, PeerSession, Sessions } from './driver-session.js'

/** Statements and pruning follow what happened after this long, once for all of it. */
export const SETTLE_MS = 2_000
/** Bytes of a transfer that are flushed and acknowledged together: a part of the window. */
const TRANSFER_FLUSH_BYTES = WINDOW_BYTES / 4
/** While nobody waits for an acknowledgement, what is typed within this time is flushed together. */
const ALONE_FLUSH_MS = 50
const NO_RUN = new Uint8Array(0)
/** Room worth giving back between two bursts of typing: merging rewrites some megabytes of neighbours. */
const TIDY_WHEN_QUIET_BYTES = 8 * 1024 * 1024

export class Announcements {
  /** What each peer is known to hold durably, by its own newest word. */
  readonly held = new Map<string, Map<LogId, number>>()
  /** Doubts are on disk; checked after every advance. */
  private doubtful = true
  private timesNoted = 0
  private flushing: Promise<void> | undefined
  private flushAgain = false
  private quiet: (() => void) | undefined
  private later: (() => void) | undefined

  constructor(
    private readonly options: DriverOptions,
    private readonly sessions: Sessions,
  ) {}

  get isFlushing(): boolean {
    return this.flushing !== undefined
  }

  async stop(): Promise<void> {
    this.quiet?.()
    this.quiet = undefined
    this.later?.()
    this.later = undefined
    await this.flushing
  }

  /** Content was taken on claims that the frontier may contradict. */
  noteDoubts(): void {
    this.doubtful = true
    this.timesNoted++
  }

  private async doubts(): Promise<Doubt[]> {
    if (!this.doubtful) return []
    const { timesNoted } = this
    const doubts = await readDoubts(this.options.replica)
    // One that was noted meanwhile counts.
    if (doubts.length === 0 && timesNoted === this.timesNoted) this.doubtful = false
    return doubts
  }

  /** [X1] Flush first, then say what is held. */
  async summary(): Promise<Summary> {
    const { replica, roster, statements, run } = this.options
    // Taken before the flush: what is written while it runs is not announced.
    const { open, closed, closedDigest } = replica.claims()
    const { total, deleted, unclaimed } = replica.meta
    const [doubts, transfer] = await Promise.all([this.doubts(), readTransfer(replica)])
    const stated = statements.digest()
    await replica.flush()
    return {
      practice: replica.options.practice,
      rosterHead: roster.head(),
      run: run ?? NO_RUN,
      open,
      closed,
      closedDigest,
      doubts,
      statements: stated,
      cases: total + deleted,
      complete: !unclaimed && replica.damaged.size === 0 && transfer === undefined,
      currentLog: replica.currentLog,
      retainedFrom: new Map([...open, ...closed].map((log) => [log.log, log.retainedFrom])),
    }
  }

  /** What came while a summary waited for its flush may be acknowledged already, and the newest word counts: once more. */
  sayAgain(session: PeerSession, { open, closed }: Summary): void {
    const said = new Map([...open, ...closed].map(({ log, seq }) => [log, seq]))
    const grown = [...this.options.replica.logs.all()].filter(({ log, seq }) => seq > (said.get(log) ?? 0))
    for (const { log } of grown) session.claimsDue.add(log)
    if (grown.length > 0) this.flushSoon()
  }

  /** [X2] What was taken in is acknowledged after the next flush, to everybody who counts on it. */
  due(session: PeerSession, advanced: LogId[], bytes: number): void {
    session.bytesDue += bytes
    for (const other of this.sessions.all.values()) for (const log of advanced) other.claimsDue.add(log)
    // A transfer is made durable in larger steps: each costs a flush, and the window allows several.
    if (session.incoming && advanced.length === 0 && session.bytesDue < TRANSFER_FLUSH_BYTES) return
    if (advanced.length > 0 || bytes > 0) this.flushSoon()
  }

  /** My own changes: at once where somebody is told of them, else together with what follows. */
  flushOwn(): void {
    if (this.sessions.all.size > 0) return this.flushSoon()
    this.flushLater()
  }

  /** What is typed until then becomes one change where it is only jotted down, and is flushed together. */
  flushLater(): void {
    this.later ??= this.options.timers.after(ALONE_FLUSH_MS, () => {
      void this.options.replica.docs.settle().then(() => {
        this.later = undefined
        if (!this.sessions.isStopped) this.flushSoon()
      })
    })
  }

  flushSoon(): void {
    if (this.flushing) {
      this.flushAgain = true
      return
    }
    this.flushing = this.flushLoop()
      .catch((error) => this.options.events?.failed?.(error))
      .finally(() => {
        this.flushing = undefined
        // Who asked between the last look and now was told that one is under way, and would wait for ever.
        if (this.flushAgain && !this.sessions.isStopped) this.flushSoon()
      })
  }

  private async flushLoop(): Promise<void> {
    const { replica } = this.options
    do {
      this.flushAgain = false
      const due = [...this.sessions.all.values()]
        .filter((session) => session.bytesDue > 0 || session.claimsDue.size > 0)
        .map((session) => {
          const { bytesDue: bytes, claimsDue } = session
          session.bytesDue = 0
          session.claimsDue = new Set()
          const claims = [...claimsDue].flatMap((log) => replica.logs.get(log) ?? [])
          return { session, bytes, claims, cursor: session.incoming?.cursor }
        })
      await replica.flush()
      for (const { session, ...durable } of due) this.sessions.step(session, { type: 'durable', ...durable })
      await this.checkDoubts()
    } while (this.flushAgain && !this.sessions.isStopped)
  }

  private async checkDoubts(): Promise<void> {
    const doubts = await this.doubts()
    if (doubts.length === 0) return
    const { replica } = this.options
    const contradicted = await settleDoubts(replica)
    if (contradicted.length > 0 && (await sweepDoubts(replica, contradicted))) this.sessions.askRounds()
  }

  peerHolds(session: PeerSession, claims: LogClaim[], all: boolean): void {
    const held = (all ? undefined : this.held.get(session.peer)) ?? new Map<LogId, number>()
    this.held.set(session.peer, held)
    for (const { log, seq } of claims) held.set(log, seq)
    if (all) session.holds.clear()
    for (const claim of claims) session.holds.set(claim.log, claim)
    if (!all) this.noticeFork(session, claims)
    this.touched()
    this.options.events?.status?.()
  }

  /** The same shows where I hold what a peer has said to hold only since then. */
  noticeGrown(session: PeerSession, { runs }: Growth): void {
    this.noticeFork(
      session,
      runs.flatMap(({ run }) => session.holds.get(run.log) ?? []),
    )
  }

  /** Two copies of one device that both write give changes of one number to each side: their acknowledgements show it. */
  private noticeFork(session: PeerSession, claims: LogClaim[]): void {
    const { logs } = this.options.replica
    const found = claims.find(({ log, seq, check }) => {
      const held = logs.get(log)
      return held?.seq === seq && !equalBytes(held.check, check)
    })
    const fork = found && `${found.log}:${found.seq}`
    if (!fork || session.noticedFork === fork) return
    session.noticedFork = fork
    this.sessions.askRounds()
  }

  /** Something happened: a while later, what is held is stated and what everybody holds is pruned. */
  touched(): void {
    this.options.events?.changed?.()
    if (this.sessions.isStopped || this.quiet) return
    this.quiet = this.options.timers.after(SETTLE_MS, () => {
      this.quiet = undefined
      void this.whenQuiet().catch((error) => this.options.events?.failed?.(error))
    })
  }

  /** States what is held, and drops what everybody has stated to hold. */
  async whenQuiet(): Promise<void> {
    const { replica, statements } = this.options
    if (this.sessions.isStopped || replica.db.failed) return
    replica.projected.clear()
    await replica.flush()
    if (this.options.roster.others().length > 0 && (await statements.state())) {
      await replica.flush()
      this.tellStatements()
      this.options.events?.stated?.()
    }
    await this.prune()
    // Meanwhile its store may have closed.
    if (this.sessions.isStopped) return
    await replica.db.tidy(TIDY_WHEN_QUIET_BYTES)
  }

  /** All newest words to all connected devices. */
  tellStatements(): void {
    const statements = this.options.statements.wire()
    for (const session of this.sessions.all.values())
      this.sessions.step(session, { type: 'statements', statements })
  }

  /** Only members' own words count: their HELLO and ACK now, or their newest statement. */
  async prune(): Promise<number> {
    const { replica, roster } = this.options
    return prune(replica, () => roster.others().map((device) => this.frontierOf(device)))
  }

  /** How far a device is known to hold each log durably. */
  frontierOf(device: Uint8Array): Map<LogId, number> | undefined {
    const live = this.sessions.all.has(toHex(device)) ? this.held.get(toHex(device)) : undefined
    const stated = this.options.statements.of(device)?.frontier
    return live ?? stated ?? this.held.get(toHex(device))
  }
}
