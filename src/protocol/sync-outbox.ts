/** What one step of a session has to say, and how many counted bytes are on their way to the peer. */
import type { CloseCode, SyncEffect } from './sync-types.js'
import { encodeFrame, type FrameKind } from './wire.js'

export class Outbox {
  private effects: SyncEffect[] = []
  private sentBytes = 0
  private ackedBytes = 0

  /** Begins a step; what is put in from now on is its outcome. */
  open(): SyncEffect[] {
    this.effects = []
    return this.effects
  }

  put(...effects: SyncEffect[]): void {
    this.effects.push(...effects)
  }

  /** `counted`: its bytes fill the window until the peer has taken them in durably. */
  send(lane: 'live' | 'bulk', frame: FrameKind, counted = false): void {
    const bytes = encodeFrame(frame)
    if (counted) this.sentBytes += bytes.length
    const changes =
      frame.$case === 'changes' ? frame.value.runs.reduce((sum, run) => sum + run.changes.length, 0) : 0
    this.put({ type: 'send', lane, kind: frame.$case, bytes, changes })
  }

  /** The peer's word on the sum of counted bytes that it has taken in. */
  acknowledged(bytes: number): void {
    this.ackedBytes = Math.min(this.sentBytes, Math.max(this.ackedBytes, bytes))
  }

  get inFlightBytes(): number {
    return this.sentBytes - this.ackedBytes
  }

  close(code: CloseCode): void {
    if (code === 'peer-too-new') this.send('live', { $case: 'refuse', value: { code: 'peer-too-old' } })
    if (code === 'peer-too-old') this.send('live', { $case: 'refuse', value: { code: 'peer-too-new' } })
    this.put({ type: 'close', code })
  }
}
