/** What one step of a mail session asks for, which of its timers run, and the numbers of its requests. */
import type { MailCloseCode, MailEffect, MailTimer } from './mail-types.js'
import { encodeMailFrame, type MailFrameKind } from './mailbox-wire.js'

export class MailOutbox {
  private effects: MailEffect[] = []
  private readonly armed = new Set<MailTimer>()
  private number = 0
  private hasLeft = false

  /** Begins a step; what is put in from now on is its outcome. */
  open(): MailEffect[] {
    this.effects = []
    return this.effects
  }

  put(...effects: MailEffect[]): void {
    this.effects.push(...effects)
  }

  send(frame: MailFrameKind, lane: 'live' | 'bulk' = 'live'): void {
    // LEAVE is the last request: one more COLLECT would take it back.
    if (this.hasLeft && frame.$case !== 'alive') return
    if (frame.$case === 'leave') this.hasLeft = true
    this.put({ type: 'send', lane, bytes: encodeMailFrame(frame) })
  }

  /** The number of the next request: the relay's answer names it. */
  next(): number {
    return ++this.number
  }

  /** Begins a wait, or begins it anew. */
  arm(name: MailTimer, ms: number): void {
    this.armed.add(name)
    this.put({ type: 'arm', name, ms })
  }

  /** The same, but one that is under way is not put off. */
  armOnce(name: MailTimer, ms: number): void {
    if (!this.armed.has(name)) this.arm(name, ms)
  }

  disarm(name: MailTimer): void {
    this.armed.delete(name)
    this.put({ type: 'disarm', name })
  }

  isArmed(name: MailTimer): boolean {
    return this.armed.has(name)
  }

  /** A wait is over. */
  fired(name: MailTimer): void {
    this.armed.delete(name)
  }

  close(code: MailCloseCode): void {
    this.put({ type: 'close', code })
  }
}
