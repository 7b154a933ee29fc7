/**
 * What the other devices say they have left at a relay, and for whom: [P4] counts until the recipient has spoken since,
 * whichever of the two words came here first.
 */
import { toHex } from './bytes.js'
import type { Left } from './envelope.gen.js'
import type { LogId } from './log.js'
import type { Reach } from './mail-ledger.js'

interface Claim {
  reach: Reach
  /** The recipient's newest word when this was said. */
  counter: number
}

export class LeftClaims {
  /** Device → recipient → how far. */
  private readonly said = new Map<string, Map<string, Claim>>()
  /** The number of each device's newest word. */
  private readonly counters = new Map<string, number>()

  /** `left` is all that this device has left. */
  hear(device: string, left: readonly Left[]): void {
    const claims = left.map(({ recipient, frontier, counter }) => {
      const reach = new Map(frontier.map(({ log, seq }) => [toHex(log), seq]))
      return [toHex(recipient), { reach, counter }] as const
    })
    this.said.set(device, new Map(claims))
  }

  spoke(device: string, counter: number): void {
    this.counters.set(device, Math.max(counter, this.counters.get(device) ?? 0))
  }

  /** For one recipient, whose newest word is `newest`: how far each log reaches with what others have left. */
  for(recipient: string, newest = this.counters.get(recipient) ?? 0): Map<LogId, number> {
    const most = new Map<LogId, number>()
    for (const claims of this.said.values()) {
      const claim = claims.get(recipient)
      if (!claim || claim.counter < newest) continue
      for (const [log, seq] of claim.reach) most.set(log, Math.max(seq, most.get(log) ?? 0))
    }
    return most
  }
}
