/** What the store gives to a peer: changes, whole states, single cases, checks, fingerprints. */
import { fromHex } from '../protocol/bytes.js'
import { encodePoints, type ForkPoint } from '../protocol/fork.js'
import { CHUNK_BYTES } from '../protocol/limits.js'
import type { LogId } from '../protocol/log.js'
import type { SyncEffect } from '../protocol/sync-types.js'
import { encodeFrame } from '../protocol/wire.js'
import { fingerprintPairs } from '../store/fingerprints.js'
import { forkPoints, narrowFork } from '../store/healing.js'
import { openStates, readChecks } from '../store/outgoing.js'
import { notGiven, readChanges, readClaimed, readItems } from '../store/reading.js'
import type { Replica } from '../store/replica.js'
import type { PeerSession, Sessions } from './driver-session.js'

type Effect<T extends SyncEffect['type']> = Extract<SyncEffect, { type: T }>

/** Transfers count from 1. */
const NO_TRANSFER = 0

export class Serving {
  constructor(
    private readonly replica: Replica,
    private readonly sessions: Pick<Sessions, 'step'>,
  ) {}

  async changes(session: PeerSession, { from }: Effect<'readChanges'>): Promise<void> {
    const read = await readChanges(this.replica, from, CHUNK_BYTES)
    this.sessions.step(session, { type: 'changesRead', ...read })
  }

  async openStates(session: PeerSession, { frontier }: Effect<'openStates'>): Promise<void> {
    const { told, ...opened } = await openStates(this.replica, frontier)
    await this.replica.flush()
    session.told = told
    this.sessions.step(session, { type: 'statesOpened', ...opened })
  }

  async checks(session: PeerSession, { ranges }: Effect<'readChecks'>): Promise<void> {
    this.sessions.step(session, { type: 'checksRead', stretches: await readChecks(this.replica, ranges) })
  }

  async items(session: PeerSession, { after, frontier }: Effect<'readItems'>): Promise<void> {
    // What waits to be sent would be held in memory, up to a whole window of it.
    await session.link.whenBulkLow?.()
    const read = await readItems(this.replica, after, frontier, CHUNK_BYTES, session.told)
    this.sessions.step(session, { type: 'itemsRead', ...read })
  }

  /** Whole cases, one by one: together they might outgrow a message. To who asked, then which of them can't be given. */
  async cases(session: PeerSession, { keys, early }: Effect<'readCases'>): Promise<void> {
    for (const key of keys) {
      this.sessions.step(session, { type: 'casesRead', ...(await readClaimed(this.replica, [key], !early)) })
    }
    if (early) return
    const not = await notGiven(this.replica, keys)
    if (not.missing.length + not.kept.length === 0) return
    // That it was said must be known after a power cut, too.
    await this.replica.flush()
    session.link.send('live', encodeFrame({ $case: 'end', value: { transfer: NO_TRANSFER, ...not } }))
  }

  /** My checks of a log that the peer contradicts at `seq`. */
  async fork(session: PeerSession, { log, seq }: Effect<'sendFork'>): Promise<void> {
    const held = this.replica.logs.get(log)
    if (held) this.sendFork(session, log, await forkPoints(this.replica, log, 0, held.seq, seq))
  }

  /** Holds the peer's checks against mine: asks further, or cuts. True if a cut was made. */
  async narrowFork(session: PeerSession, { log, points }: Effect<'narrowFork'>): Promise<boolean> {
    const { cut, answer } = await narrowFork(this.replica, log, points)
    if (answer) this.sendFork(session, log, answer)
    return cut
  }

  private sendFork(session: PeerSession, log: LogId, points: ForkPoint[]): void {
    const value = { log: fromHex(log), points: encodePoints(points) }
    session.link.send('live', encodeFrame({ $case: 'fork', value }))
  }

  async fingerprints(session: PeerSession, question: number): Promise<void> {
    for await (const { pairs, last } of fingerprintPairs(this.replica)) {
      session.link.send('bulk', encodeFrame({ $case: 'fingerprints', value: { question, pairs, last } }))
    }
  }
}
