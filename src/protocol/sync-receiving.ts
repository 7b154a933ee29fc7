/**
 * Taking in what the peer gives: changes, whole states, and the word on what became durable of it.
 *
 *  [X2] an ACK is sent only for what is durable.
 */
import { fromHex } from './bytes.js'
import { ItemAssembly } from './items.js'
import { MAX_WANTED } from './limits.js'
import type { LogId } from './log.js'
import type { Begin, Changes, Checks, End, Items } from './sync.gen.js'
import type { Outbox } from './sync-outbox.js'
import type { SyncEvent } from './sync-types.js'
import { claimsFromWire, claimToWire, runsFromWire, stretchesFromWire, targetsFromWire } from './wire.js'

export class Receiver {
  /** The number of the transfer that I take. */
  private transfer: number | undefined
  private readonly items = new ItemAssembly()
  private readonly earlyItems = new ItemAssembly()
  private readonly needed = new Map<LogId, number>()
  private takenBytes = 0
  /** What the last changes were refused for. */
  private misfits = ''

  constructor(private readonly out: Outbox) {}

  /** Gaps may be asked about again. */
  restart(): void {
    this.needed.clear()
  }

  onChanges(changes: Changes, bytes: number): void {
    const runs = runsFromWire(changes)
    if (!runs) return this.out.close('malformed')
    this.out.put({ type: 'apply', openings: changes.openings, runs, bytes })
  }

  onOffer(): void {
    if (this.transfer === undefined) this.out.put({ type: 'wantTake' })
  }

  /** The store is ready for one transfer. */
  take(ready: Extract<SyncEvent, { type: 'takeReady' }>): void {
    const { transfer, after, claims } = ready
    this.transfer = transfer
    this.items.reset()
    this.out.send('live', { $case: 'take', value: { transfer, after, frontier: claims.map(claimToWire) } })
  }

  onBegin(begin: Begin, bytes: number): void {
    const target = targetsFromWire(begin.target)
    const claims = claimsFromWire(begin.claims)
    if (!target || !claims) return this.out.close('malformed')
    if (begin.transfer !== this.transfer) return
    const { openings, cases } = begin
    this.out.put({ type: 'beginTransfer', target, openings, claims, cases, bytes })
  }

  onChecks(checks: Checks, bytes: number): void {
    const stretches = stretchesFromWire(checks.stretches)
    if (!stretches) return this.out.close('malformed')
    if (checks.transfer === this.transfer) this.out.put({ type: 'takeChecks', stretches, bytes })
  }

  onItems(value: Items, bytes: number): void {
    const claims = claimsFromWire(value.claims)
    if (!claims) return this.out.close('malformed')
    const { items, early, openings, missing } = value
    if (!early && value.transfer !== this.transfer) return
    const whole = (early ? this.earlyItems : this.items).add(items)
    if (!whole) return this.out.close('malformed')
    this.out.put({ type: 'takeItems', items: whole, early, claims, openings, missing, bytes })
  }

  onEnd(end: End): void {
    const { transfer, missing, kept } = end
    const some = (keys: Uint8Array[]) => keys.slice(0, MAX_WANTED)
    if (transfer === 0) this.out.put({ type: 'notGiven', missing: some(missing), kept: some(kept) })
    else if (transfer === this.transfer) this.out.put({ type: 'endTransfer', missing })
  }

  ended(): void {
    this.transfer = undefined
  }

  /** Asks for gaps. True if what was refused must be compared again. */
  onApplied(applied: Extract<SyncEvent, { type: 'applied' }>): boolean {
    for (const { log, from } of applied.gaps) {
      if (this.needed.get(log) === from) continue
      this.needed.set(log, from)
      this.out.send('live', { $case: 'need', value: { log: fromHex(log), from } })
    }
    // A branch that doesn't fit shows in the claims: compare again, but once for what stays as it is.
    const misfits = [...applied.forks, ...applied.refused].sort().join()
    const isNew = misfits !== '' && misfits !== this.misfits
    if (misfits !== '' || applied.advanced.length > 0) this.misfits = misfits
    return isNew
  }

  /** [X2] */
  onDurable(durable: Extract<SyncEvent, { type: 'durable' }>, member: boolean): void {
    this.takenBytes += durable.bytes
    if (!member || (durable.claims.length === 0 && durable.bytes === 0)) return
    this.out.send('live', {
      $case: 'ack',
      value: {
        claims: durable.claims.map(claimToWire),
        transfer: this.transfer ?? 0,
        cursor: durable.cursor ?? new Uint8Array(0),
        bulkBytes: this.takenBytes,
      },
    })
  }
}
