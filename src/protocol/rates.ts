/** Token buckets: how often somebody may do something. Time is handed in. */

export interface Rate {
  /** At once, after a long pause. */
  burst: number
  perSecond: number
}

interface Bucket {
  tokens: number
  at: number
}

/** Buckets beyond this are forgotten, the least used first: a forgotten one is full again. */
const MAX_BUCKETS = 10_000

export class Rates {
  private readonly buckets = new Map<string, Bucket>()

  constructor(private readonly rate: Rate) {}

  /** Whether `who` may do it now; if so it counts for `cost`, at most for a whole burst. `now` in milliseconds. */
  take(who: string, now: number, cost = 1): boolean {
    const { burst, perSecond } = this.rate
    const price = Math.min(cost, burst)
    const bucket = this.buckets.get(who) ?? { tokens: burst, at: now }
    // A hit moves to the end: insertion order is age.
    this.buckets.delete(who)
    const grown = bucket.tokens + (Math.max(0, now - bucket.at) * perSecond) / 1000
    const tokens = Math.min(burst, grown)
    const may = tokens >= price
    this.buckets.set(who, { tokens: may ? tokens - price : tokens, at: now })
    if (this.buckets.size > MAX_BUCKETS) this.buckets.delete(this.buckets.keys().next().value!)
    return may
  }
}
