/** What the store gives to a peer: changes, whole states, single cases, checks, fingerprints. */
import { fromHex, toHex } from '../protocol/bytes.js'
import { CHUNK_BYTES } from '../protocol/limits.js'
import type { LogId } from '../protocol/log.js'
import type { SyncEffect } from '../protocol/sync-types.js'
import { encodeFrame } from '../protocol/wire.js'
import { fingerprintPairs } from '../store/fingerprints.js'
import { openStates } from '../store/outgoing.js'
import { readCases, readChanges, readItems } from '../store/reading.js'
import type { Replica } from '../store/replica.js'
import type { PeerSession, Sessions } from './driver-session.js'

type Effect<T extends SyncEffect['type']> = Extract<SyncEffect, { type: T }>

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
    const opened = await openStates(this.replica, frontier)
    await this.replica.flush()
    this.sessions.step(session, { type: 'statesOpened', ...opened })
  }

  async items(session: PeerSession, { after, frontier }: Effect<'readItems'>): Promise<void> {
    const read = await readItems(this.replica, after, frontier, CHUNK_BYTES)
    this.sessions.step(session, { type: 'itemsRead', ...read })
  }

  /** Whole cases, one by one: together they might outgrow a message. */
  async cases(session: PeerSession, keys: Uint8Array[]): Promise<void> {
    for (const key of keys) {
      const items = await readCases(this.replica, [key])
      const logs = new Set(items.flatMap((item) => item.touched.map(({ log }) => toHex(log))))
      const held = [...logs].flatMap((id) => this.replica.logs.get(id) ?? [])
      this.sessions.step(session, { type: 'casesRead', items, claims: held, openings: held })
    }
  }

  async fork(session: PeerSession, id: LogId): Promise<void> {
    const log = this.replica.logs.get(id)
    if (!log) return
    const checks = await this.replica.logs.checks(id, 0, log.seq)
    session.link.send('live', encodeFrame({ $case: 'fork', value: { log: fromHex(id), checks } }))
  }

  async fingerprints(session: PeerSession, question: number): Promise<void> {
    for await (const { pairs, last } of fingerprintPairs(this.replica)) {
      session.link.send('bulk', encodeFrame({ $case: 'fingerprints', value: { question, pairs, last } }))
    }
  }
}
