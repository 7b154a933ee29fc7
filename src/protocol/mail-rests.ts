/**
 * What rests by [L7] before it is tried again: a recipient that can use nothing, content that can't be read
 * here, a relay that is full.
 */

/** So often in one session a lost envelope is offered again at once. */
const FREE_TRIES = 3
const FIRST_REST_MS = 10_000
const LAST_REST_MS = 10 * 60_000
/** Rests for all recipients. */
const RELAY = ''

/** Times are monotonic milliseconds; a rest begins with the next look. */
export class Rests {
  private readonly begun = new Map<string, number>()
  private readonly due = new Map<string, number>()
  private readonly vain = new Map<string, number>()

  rest(recipients: readonly string[], ms: number): void {
    for (const recipient of recipients) this.begun.set(recipient, ms)
  }

  restAll(ms: number): void {
    this.rest([RELAY], ms)
  }

  /** A person asks: a relay that was full may have room again. */
  wake(): void {
    this.begun.delete(RELAY)
    this.due.delete(RELAY)
  }

  /** Something for this recipient was lost, or of no use to it. */
  inVain(recipient: string): void {
    const times = (this.vain.get(recipient) ?? 0) + 1
    this.vain.set(recipient, times)
    if (times <= FREE_TRIES) return
    this.rest([recipient], Math.min(LAST_REST_MS, FIRST_REST_MS * 2 ** (times - FREE_TRIES - 1)))
  }

  /** It has everything. */
  succeeded(recipient: string): void {
    this.vain.delete(recipient)
  }

  look(now: number): void {
    for (const [recipient, ms] of this.begun) this.due.set(recipient, now + ms)
    this.begun.clear()
  }

  /** How long it still rests; 0 where it doesn't. */
  leftMs(recipient: string, now: number): number {
    const until = Math.max(this.due.get(recipient) ?? 0, this.due.get(RELAY) ?? 0)
    return Math.max(0, until - now)
  }
}
