/** Whole states that this device takes from a peer, one transfer at a time, and healing when nobody has more to give. */

import { toHex } from '../protocol/bytes.js'
import type { ChangeRun } from '../protocol/door.js'
import { MAX_WANTED } from '../protocol/limits.js'
import type { LogId } from '../protocol/log.js'
import type { Item } from '../protocol/sync.gen.js'
import type { SyncEffect } from '../protocol/sync-types.js'
import { encodeFrame } from '../protocol/wire.js'
import { noteAsked } from '../store/asked.js'
import { restateUnclaimed } from '../store/healing.js'
import type { AdmitOutcome } from '../store/replica-types.js'
import { IncomingTransfer, readTransfer, takeLoose } from '../store/transfers.js'
import type { Announcements } from './driver-announcements.js'
import { RowSweep } from './driver-rows.js'
import type { DriverOptions, PeerSession, Sessions, Wanted } from './driver-session.js'

export interface TransferProgress {
  done: number
  of: number
  bytes: number
}

type Effect<T extends SyncEffect['type']> = Extract<SyncEffect, { type: T }>

export class Transfers {
  private progress: TransferProgress | undefined
  private lastProgress: TransferProgress | undefined
  private receiver: PeerSession | undefined
  private number = 0
  /** How many damaged cases had come to be whole when others were told last. */
  private mended: number
  private settling: Promise<void> | undefined
  private readonly rows: RowSweep

  constructor(
    private readonly options: DriverOptions,
    private readonly sessions: Sessions,
    private readonly announcements: Announcements,
  ) {
    this.mended = options.replica.cases.mended
    this.rows = new RowSweep(options, () => this.isReceiving)
    this.rows.start()
  }

  /** The current transfer, or the last one since this process began. */
  get current(): TransferProgress | undefined {
    return this.progress ?? this.lastProgress
  }

  get isReceiving(): boolean {
    return this.receiver !== undefined
  }

  get isBusy(): boolean {
    return this.receiver !== undefined || this.settling !== undefined
  }

  async stop(): Promise<void> {
    await this.rows.stop()
    await this.settling
  }

  /** What came before the link broke is still taken in: only then may another transfer begin, which has the same rows. */
  disconnected(session: PeerSession): void {
    session.wanted.clear()
    this.tellMended(session)
    if (this.receiver !== session) return
    this.sessions.inOrder(session, async () => {
      if (this.receiver !== session) return
      this.endProgress()
      this.sessions.askRounds()
      this.maybeSettle()
    })
  }

  /** One transfer at a time: its target is bound to one cursor. */
  offerTake(): void {
    if (this.receiver || this.sessions.isStopped) return
    const next = [...this.sessions.all.values()].find((session) => session.wantsTake)
    if (!next) return
    next.wantsTake = false
    this.receiver = next
    this.progress = { done: 0, of: 0, bytes: 0 }
    const transfer = ++this.number
    this.sessions.inOrder(next, async () => {
      const { replica } = this.options
      // Taken before the flush: what is written while it runs is not announced. [X1]
      const claims = [...replica.logs.all()].filter((log) => log.seq > 0)
      await replica.flush()
      const stored = await readTransfer(replica)
      next.takeAfter = stored?.cursor ?? new Uint8Array(0)
      this.sessions.step(next, { type: 'takeReady', transfer, after: next.takeAfter, claims })
    })
  }

  async begin(session: PeerSession, effect: Effect<'beginTransfer'>): Promise<void> {
    const { target, openings, claims, cases, bytes } = effect
    const { replica } = this.options
    const { takeAfter, said } = session
    session.incoming = await IncomingTransfer.begin(replica, target, openings, takeAfter, said, claims)
    this.announcements.noteDoubts()
    this.progress = { done: 0, of: cases, bytes }
    this.announcements.due(session, [], bytes)
  }

  async takeChecks(session: PeerSession, { stretches, bytes }: Effect<'takeChecks'>): Promise<void> {
    await session.incoming?.takeChecks(stretches)
    if (this.progress) this.progress.bytes += bytes
    this.announcements.due(session, [], bytes)
  }

  takeItems(session: PeerSession, effect: Effect<'takeItems'>): void {
    // What is on its way when it is asked for is no answer.
    const answered = new Map<string, Wanted>()
    for (const { key } of effect.early ? effect.items : []) {
      const wanted = session.wanted.get(toHex(key))
      if (wanted?.state === 'open') answered.set(toHex(key), wanted)
    }
    this.sessions.inOrder(session, () => this.take(session, effect, answered))
  }

  private async take(
    session: PeerSession,
    effect: Effect<'takeItems'>,
    answered: ReadonlyMap<string, Wanted>,
  ): Promise<void> {
    const { items, early, claims, missing, bytes } = effect
    const heldAtAsking = ({ key }: Item) => answered.get(toHex(key))?.held
    if (session.incoming) await session.incoming.take(items, early, claims, missing, heldAtAsking)
    else {
      const holds = [...session.holds.values()]
      await takeLoose(this.options.replica, items, claims, session.said, heldAtAsking, holds)
    }
    for (const wanted of answered.values()) if (wanted.state === 'open') wanted.state = 'given'
    this.wantDamaged(session)
    this.tellMended(session)
    // With its first cases a transfer notes what its target is doubted for; it may never come to its end.
    this.announcements.noteDoubts()
    if (!this.isReceiving) this.rows.start()
    if (this.progress) {
      this.progress.done += items.length
      this.progress.bytes += bytes
    }
    this.announcements.due(session, [], bytes)
    this.options.events?.status?.()
  }

  /**
   * Who was asked does not have the missing ones whole, either. What every other member was asked for in vain is as whole
   * as it gets; what one of them keeps isn't.
   */
  notGiven(session: PeerSession, { missing, kept }: Effect<'notGiven'>): void {
    // As above: what was said before it was asked for is no answer.
    const answered = [...missing, ...kept].flatMap((key) => {
      const wanted = session.wanted.get(toHex(key))
      return wanted && wanted.state !== 'over' ? [{ key, wanted, isMissing: missing.includes(key) }] : []
    })
    this.sessions.inOrder(session, async () => {
      const { replica, roster } = this.options
      const asked = answered.filter(({ wanted }) => session.open && wanted.state !== 'over')
      for (const { wanted } of asked) wanted.state = 'over'
      const inVain = asked.filter(({ isMissing }) => isMissing).map(({ key }) => key)
      await noteAsked(replica, inVain, session.link.publicKey, roster.others())
      this.wantDamaged(session)
      this.tellMended(session)
    })
  }

  /**
   * Others may have waited for what is whole here now, or are asked again for what they were asked for in vain. What is
   * still to be answered may be mended with it.
   */
  private tellMended(session: PeerSession): void {
    const { mended, toAskAgain } = this.options.replica.cases
    // What has come of these was of use to what has rotted.
    for (const { wanted } of this.sessions.all.values())
      for (const hex of toAskAgain) if (wanted.has(hex)) wanted.get(hex)!.state = 'over'
    const isTold = mended === this.mended && toAskAgain.size === 0
    if (isTold || [...session.wanted.values()].some(({ state }) => state === 'open')) return
    this.mended = mended
    toAskAgain.clear()
    this.sessions.askRounds()
  }

  async end(session: PeerSession, missing: Uint8Array[]): Promise<void> {
    let advanced: LogId[] = []
    try {
      const named = [...(session.incoming?.missing ?? []), ...missing]
      advanced = (await session.incoming?.end(missing)) ?? []
      // Who was asked for one of these before may have more of it by now.
      for (const { wanted } of this.sessions.all.values())
        for (const each of named.flatMap((key) => wanted.get(toHex(key)) ?? [])) each.state = 'over'
    } catch (error) {
      // This session ends by it; the others are asked again, as after any transfer.
      this.sessions.askRounds(session)
      throw error
    } finally {
      // However it ended: another one may begin.
      session.incoming = undefined
      if (this.receiver === session) this.endProgress()
    }
    this.announcements.due(session, advanced, 0)
    this.announcements.noteDoubts()
    this.sessions.step(session, { type: 'transferEnded' })
    this.sessions.askRounds(session)
  }

  /**
   * Everybody is sent a new HELLO after this, and who has more then offers anew. An offer from before would wait for
   * a transfer that never comes, and hold up healing.
   */
  private endProgress(): void {
    this.receiver = undefined
    for (const session of this.sessions.all.values()) session.wantsTake = false
    this.lastProgress = this.progress
    this.progress = undefined
    this.rows.start()
  }

  /** Both words are compared: what could not be had before may be there by now. */
  compared(session: PeerSession): void {
    session.wanted.clear()
    this.wantDamaged(session)
    this.maybeSettle()
  }

  /** What a peer gave it holds, though its acknowledgements don't say so. */
  given(session: PeerSession, runs: ChangeRun[], { advanced }: AdmitOutcome): void {
    const { gave } = session
    for (const { log, from, changes } of runs)
      if (advanced.includes(log)) gave.set(log, Math.max(from + changes.length, gave.get(log) ?? 0))
    this.wantDamaged(session)
    this.tellMended(session)
  }

  /** Only of who holds all that I hold: the copy of somebody who is behind would pass for whole. */
  wantDamaged(session: PeerSession): void {
    const { damaged } = this.options.replica
    // What it said in an earlier session may hold no more.
    if (damaged.size === 0 || !session.open || !session.lastRound || !this.isAheadOfMe(session)) return
    const missing = [...damaged].filter(([hex]) => !session.wanted.has(hex)).slice(0, MAX_WANTED)
    if (missing.length === 0) return
    const held = new Map([...this.options.replica.logs.all()].map(({ log, seq }) => [log, seq]))
    for (const [hex] of missing) session.wanted.set(hex, { held, state: 'open' })
    session.link.send('live', encodeFrame({ $case: 'want', value: { keys: missing.map(([, key]) => key) } }))
  }

  /** By its own word, or by what it gave, it holds all that I hold by now. */
  private isAheadOfMe({ peer, gave }: PeerSession): boolean {
    const held = this.announcements.held.get(peer)
    return [...this.options.replica.logs.all()].every(
      ({ log, seq }) => seq <= Math.max(held?.get(log) ?? 0, gave.get(log) ?? 0),
    )
  }

  /** [H3] Nobody has more to give: what lies beyond the frontier goes into my own log. */
  maybeSettle(): void {
    const { replica } = this.options
    if (!replica.meta.unclaimed || this.receiver || this.settling || this.sessions.isStopped) return
    const sessions = [...this.sessions.all.values()]
    const mailPending = this.options.mailPending?.()
    const quiet =
      !mailPending &&
      (sessions.length > 0 || mailPending === false) &&
      sessions.every(({ lastRound, wantsTake }) => lastRound && !lastRound.peerHasMore && !wantsTake)
    if (!quiet) return
    this.settling = restateUnclaimed(replica)
      .then(() => {
        this.settling = undefined
        this.sessions.askRounds()
      })
      .catch((error) => {
        this.settling = undefined
        this.options.events?.failed?.(error)
      })
  }
}
