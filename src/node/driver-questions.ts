/** What is asked of peers and answered in time: rounds of HELLO, and fingerprints of all cases. */
import type { SyncEffect } from '../protocol/sync-types.js'
import { encodeFrame } from '../protocol/wire.js'
import type { PeerSession, RoundResult, Sessions } from './driver-session.js'

type Effect<T extends SyncEffect['type']> = Extract<SyncEffect, { type: T }>

export class Questions {
  private number = 0

  constructor(private readonly sessions: Pick<Sessions, 'step'>) {}

  /** A fresh HELLO on this session; undefined if it ended first. */
  round(session: PeerSession): Promise<RoundResult | undefined> {
    return new Promise((resolve) => {
      const round = ++this.number
      session.waiting.set(round, resolve)
      this.sessions.step(session, { type: 'roundAsked', round })
    })
  }

  onRound(session: PeerSession, result: Effect<'round'>): void {
    session.lastRound = result
    for (const round of result.rounds) {
      session.waiting.get(round)?.(result)
      session.waiting.delete(round)
    }
  }

  /** The peer's fingerprints: 16 bytes of case key and 16 of content each; undefined if the session ended first. */
  fingerprints(session: PeerSession): Promise<Uint8Array[] | undefined> {
    return new Promise((resolve) => {
      const question = ++this.number
      session.asked.set(question, { pairs: [], resolve })
      session.link.send('live', encodeFrame({ $case: 'ask', value: { question } }))
    })
  }

  onFingerprints(session: PeerSession, { question, pairs, last }: Effect<'fingerprints'>): void {
    const asked = session.asked.get(question)
    asked?.pairs.push(pairs)
    if (!asked || !last) return
    session.asked.delete(question)
    asked.resolve(asked.pairs)
  }

  /** The session is over: nothing will be answered. */
  disconnected(session: PeerSession): void {
    for (const resolve of session.waiting.values()) resolve(undefined)
    for (const { resolve } of session.asked.values()) resolve(undefined)
  }
}
