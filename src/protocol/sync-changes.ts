/**
 * Sending changes: where each log stands here and at the peer, and what goes next.
 *
 *  [X4] changes go to a peer only from where it is proven to stand; anything else waits for its word.
 */
import { toHex } from './bytes.js'
import type { LogClaim } from './frontier.js'
import { MAX_RUN_BYTES, WINDOW_BYTES } from './limits.js'
import type { LogId, LogOpening } from './log.js'
import type { Outbox } from './sync-outbox.js'
import type { GrownRun, Summary, SyncEvent } from './sync-types.js'
import { openingToWire, runToWire } from './wire.js'

/** Others' changes go on to a peer that has the author itself only after this long. */
export const FORWARD_MS = 2_000

export class ChangeSender {
  /** What I hold now, ahead of the last summary. */
  private readonly mine = new Map<LogId, { seq: number; device: string }>()
  /** What the peer holds durably, by its own word. */
  private readonly held = new Map<LogId, number>()
  private readonly sent = new Map<LogId, number>()
  /** How far each log went in bulk. */
  private readonly bulk = new Map<LogId, number>()
  private readonly forked = new Set<LogId>()
  private neighbours = new Set<string>()
  /** Logs whose authors have time to give them, and what the peer held of them; undefined: no timer runs. */
  private waiting: Map<LogId, number> | undefined
  /** Up to where authors gave nothing in their time: what is still missing of that I give. */
  private readonly overdue = new Map<LogId, number>()
  /** Changes are being read. */
  isReading = false

  constructor(
    private readonly out: Outbox,
    /** Hex of the peer's Ed25519 key. */
    private readonly peer: string,
  ) {}

  onSummary(summary: Summary): void {
    for (const log of [...summary.open, ...summary.closed]) {
      // What was taken in while the summary was made stands, but for a log that was cut meanwhile.
      const known = log.cut ? 0 : (this.mine.get(log.log)?.seq ?? 0)
      this.mine.set(log.log, { seq: Math.max(known, log.seq), device: toHex(log.device) })
    }
  }

  /** The peer's whole word. */
  peerHolds(claims: LogClaim[]): void {
    this.held.clear()
    for (const claim of claims) this.held.set(claim.log, claim.seq)
    this.out.put({ type: 'peerHolds', claims, all: true })
  }

  /** The peer claims exactly this, and not only as a doubt. */
  isHeld(claim: LogClaim): boolean {
    return this.held.get(claim.log) === claim.seq
  }

  get peerIsEmpty(): boolean {
    return this.held.size === 0
  }

  /** Starts again from what the peer is proven to hold. */
  restart(forked: LogId[]): void {
    this.forked.clear()
    for (const log of forked) this.forked.add(log)
    this.sent.clear()
    for (const [log, seq] of this.held) this.sent.set(log, seq)
  }

  onAck(claims: LogClaim[]): void {
    for (const { log, seq } of claims) {
      this.held.set(log, seq)
      if (seq > this.sentUpTo(log)) this.sent.set(log, seq)
    }
    if (claims.length > 0) this.out.put({ type: 'peerHolds', claims, all: false })
  }

  onNeed(log: LogId, from: number): void {
    this.sent.set(log, from)
  }

  onNeighbours(devices: Uint8Array[]): void {
    this.neighbours = new Set(devices.slice(0, 1024).map(toHex))
  }

  private sentUpTo(log: LogId): number {
    return this.sent.get(log) ?? 0
  }

  /** Logs of which I hold more than was sent, and from where. */
  behind(): Map<LogId, number> {
    const from = new Map<LogId, number>()
    for (const [log, { seq }] of this.mine) {
      const sent = this.sentUpTo(log)
      if (seq > sent && !this.forked.has(log)) from.set(log, sent)
    }
    return from
  }

  /** Asks for the next changes to be read, if there are any to send now. */
  read(): void {
    const from = this.behind()
    for (const log of [...from.keys()]) {
      if (!this.waitsForAuthor(log)) continue
      from.delete(log)
      // The author may have lost what it wrote: what it doesn't give, I do.
      this.awaitAuthor(log)
    }
    if (from.size === 0) return
    this.isReading = true
    this.out.put({ type: 'readChanges', from })
  }

  /** True if anything was sent. */
  onRead(read: Extract<SyncEvent, { type: 'changesRead' }>): boolean {
    // Several runs of one log follow each other: each is held against what goes before it.
    const runs = read.runs.filter((run) => {
      if (this.sentUpTo(run.log) !== run.from) return false
      this.sent.set(run.log, run.from + run.changes.length)
      return true
    })
    if (runs.length > 0) this.send('bulk', runs, read.openings)
    return runs.length > 0
  }

  private send(lane: 'live' | 'bulk', runs: GrownRun['run'][], openings: LogOpening[]): void {
    if (lane === 'bulk') for (const { log, from, changes } of runs) this.bulk.set(log, from + changes.length)
    this.out.send(
      lane,
      { $case: 'changes', value: { openings: openings.map(openingToWire), runs: runs.map(runToWire) } },
      true,
    )
  }

  /** Something was just taken in. What the peer gave, it holds. */
  noteGrown(runs: GrownRun[], from: string | undefined): void {
    for (const { run, opening } of runs) {
      const seq = run.from + run.changes.length
      this.mine.set(run.log, { seq, device: toHex(opening.device) })
      if (from === this.peer && this.sentUpTo(run.log) === run.from) this.sent.set(run.log, seq)
    }
  }

  /** [X4] What was just taken in goes on at once to a peer that stands right before it. */
  sendGrown(runs: GrownRun[]): void {
    const due: Record<'live' | 'bulk', GrownRun[]> = { live: [], bulk: [] }
    const isOpen = this.out.inFlightBytes < 2 * WINDOW_BYTES && !this.isReading
    let bytes = 0
    for (const grown of isOpen ? runs : []) {
      const { run } = grown
      if (this.forked.has(run.log) || this.sentUpTo(run.log) !== run.from) continue
      if (this.waitsForAuthor(run.log)) this.awaitAuthor(run.log)
      // What is more than somebody typed goes on as bulk, in messages of its own.
      else if (bytes < MAX_RUN_BYTES) {
        bytes += run.changes.reduce((sum, { payload }) => sum + payload.length, 0)
        // It would overtake what is still on its way in bulk, and be of no use there.
        const lane = (this.bulk.get(run.log) ?? 0) > (this.held.get(run.log) ?? 0) ? 'bulk' : 'live'
        due[lane].push(grown)
        this.sent.set(run.log, run.from + run.changes.length)
      }
    }
    for (const lane of ['bulk', 'live'] as const) {
      const runs = due[lane]
      if (runs.length === 0) continue
      this.send(
        lane,
        runs.map(({ run }) => run),
        runs.map(({ opening }) => opening),
      )
    }
  }

  /** The peer is connected to the log's author itself: it gets the change from there. */
  private waitsForAuthor(log: LogId): boolean {
    const isDue = this.sentUpTo(log) < (this.overdue.get(log) ?? 0)
    return !isDue && this.neighbours.has(this.mine.get(log)!.device)
  }

  private awaitAuthor(log: LogId): void {
    if (!this.waiting) this.out.put({ type: 'arm', name: 'forward', ms: FORWARD_MS })
    this.waiting ??= new Map()
    if (!this.waiting.has(log)) this.waiting.set(log, this.held.get(log) ?? 0)
  }

  /**
   * Authors have had their time. What one gives nothing of goes without it, however many messages it takes; who is
   * giving has as long again.
   */
  onForwardTimer(): void {
    for (const [log, held] of this.waiting ?? [])
      if ((this.held.get(log) ?? 0) <= held) this.overdue.set(log, this.mine.get(log)?.seq ?? 0)
    this.waiting = undefined
  }
}
