/**
 * Collecting what waits at the relay: batch by batch, each taken in and made durable before the relay may forget it.
 *
 *  [L1] nothing is acknowledged to a relay before it is durable here and my own word, which covers it, goes along;
 *  [L2] mail that misses something waits for what may follow; what still misses it a while after everything was
 *       collected is of no use;
 *  [L8] who finds nothing of what others say they left for it says so;
 *  [L9] a relay that leaves open whether more waits, and gives nothing of use, holds up nobody for long.
 */
import type { MailOutbox } from './mail-outbox.js'
import type { Taken } from './mail-types.js'
import type { Batch, Mail } from './mailbox.gen.js'
import { MAX_BATCH_MAILS, MAX_IDS } from './mailbox-limits.js'

/** What misses something waits so long after the last mail: its sender may still be leaving the rest. */
const HELD_MS = 10_000
/** [L9] So often it is looked at whether a relay that leaves open whether more waits is still waited for. */
const MORE_MS = 10_000
/** A relay whose disk refused an acknowledgement may take it later: else word and mail would stay as they are. */
const ACK_AGAIN_MS = 60_000
/** Mail that others have just left gets so long to come; then longer each time. */
const SEEK_MS = 10_000
const LAST_SEEK_MS = 10 * 60_000

export class Collecting {
  private hasBegun = false
  /** One BATCH may come. */
  private isGranted = false
  /** Everything that waited here for me was looked at once. */
  private hasEnded = false
  private after = 0
  private batches: Batch[] = []
  private held: Mail[] = []
  /** What is being taken in. `again`: what is held can be tried once more, since another roster came meanwhile. */
  private taking: { isBatch: boolean; again: boolean } | undefined
  /** The newest batch that was looked at was the last one. */
  private atEnd = false
  /** Acknowledgements that are not answered yet: their numbers, and what they name. */
  private readonly acks = new Map<number, Uint8Array[]>()
  /** What the relay could not let go when it was acknowledged. */
  private refused: Uint8Array[] = []
  private seekMs = SEEK_MS

  constructor(private readonly out: MailOutbox) {}

  /** The relay knows me. */
  begin(): void {
    this.hasBegun = true
    this.collect()
    this.out.arm('more', MORE_MS)
  }

  private collect(): void {
    this.isGranted = true
    this.out.send({ $case: 'collect', value: { after: this.after } })
  }

  /** Everything that waited was looked at once. */
  get hasLooked(): boolean {
    return this.hasEnded
  }

  /** Nothing is being taken in, held or acknowledged either. */
  get isDone(): boolean {
    const { hasEnded, taking, batches, held, acks } = this
    return hasEnded && !taking && batches.length === 0 && held.length === 0 && acks.size === 0
  }

  /** Envelopes that came and are not worked in yet. */
  get incoming(): number {
    return this.held.length + this.batches.reduce((sum, { mails }) => sum + mails.length, 0)
  }

  /** True if everything that waited was looked at with it, for the first time. */
  onBatch(batch: Batch): boolean {
    // What comes unasked would be taken in before the relay knows me, or where I have switched it off.
    if (!this.isGranted || batch.mails.length > MAX_BATCH_MAILS) {
      this.out.close('malformed')
      return false
    }
    // An empty one leaves the grant for the next mail.
    this.isGranted = batch.mails.length === 0
    this.batches.push(batch)
    return !this.taking && this.goOn()
  }

  /** True if everything that waited was looked at with it, for the first time. */
  onTaken({ done, held, word }: Taken): boolean {
    const { taking } = this
    this.taking = undefined
    this.held = held
    if (done.length > 0) this.acknowledge(done, word)
    // The grant of a batch is used up.
    if (taking?.isBatch) this.collect()
    // Where nothing is held any more there is nothing to try again, and a batch may have come meanwhile.
    if (!taking?.again || held.length === 0) return this.goOn()
    this.take([], false)
    return false
  }

  private goOn(): boolean {
    const batch = this.batches.shift()
    if (batch) return this.look(batch)
    if (!this.atEnd) return false
    // [L2]
    if (this.held.length > 0) this.out.arm('held', HELD_MS)
    const isFirst = !this.hasEnded
    this.hasEnded = true
    if (isFirst) this.out.put({ type: 'seekLeft' })
    this.out.put({ type: 'status' })
    return isFirst
  }

  private look({ mails, end }: Batch): boolean {
    // Nothing more is asked for after an empty one: a relay that says no end there would leave mail held for ever.
    this.atEnd = end || mails.length === 0
    if (!this.atEnd) this.out.arm('more', MORE_MS)
    if (mails.length === 0) return this.goOn()
    this.after = mails.reduce((most, { sequence }) => Math.max(most, sequence), this.after)
    this.take(mails, false)
    return false
  }

  /** Whom I didn't know wrote some of it, perhaps. */
  takeHeld(final = false): void {
    if (this.taking) this.taking.again = true
    else if (this.held.length > 0) this.take([], final)
  }

  private take(mails: Mail[], final: boolean): void {
    this.taking = { isBatch: mails.length > 0, again: false }
    this.out.put({ type: 'take', mails, held: this.held, final })
  }

  /** [L1] Without ids it only says my word. */
  acknowledge(done: Uint8Array[], word: Uint8Array): void {
    if (!this.hasBegun) return
    const ids = [...this.refused, ...done]
    this.refused = []
    for (let at = 0; at === 0 || at < ids.length; at += MAX_IDS) {
      const number = this.out.next()
      const notice = at === 0 ? word : NOTHING
      const some = ids.slice(at, at + MAX_IDS)
      this.acks.set(number, some)
      this.out.send({ $case: 'ack', value: { number, ids: some, notice } })
    }
  }

  /** False if it answers something else. */
  onDone(number: number, error: string): boolean {
    const ids = this.acks.get(number)
    if (!ids) return false
    this.acks.delete(number)
    if (error !== '') {
      this.refused.push(...ids)
      this.out.armOnce('ack', ACK_AGAIN_MS)
    }
    if (this.isDone) this.out.put({ type: 'status' })
    return true
  }

  /** [L8] Somebody says that it has left something for me. */
  seekSoon(): void {
    if (this.hasEnded) this.out.armOnce('seek', this.seekMs)
  }

  onTimer(name: 'held' | 'more' | 'seek'): void {
    switch (name) {
      case 'held':
        // [L2] While more waits at the relay the wait begins anew behind it.
        return this.atEnd ? this.takeHeld(true) : undefined
      case 'more':
        if (this.atEnd) return
        // [L9] Whether it is still waited for is looked at again.
        this.out.put({ type: 'status' })
        return this.out.arm('more', MORE_MS)
      case 'seek':
        this.seekMs = Math.min(LAST_SEEK_MS, 2 * this.seekMs)
        return this.out.put({ type: 'seekLeft' })
    }
  }
}

const NOTHING = new Uint8Array(0)
