/**
 * Handing whole states to a peer: offered, taken, begun, all checks, all cases in order of key, ended.
 *
 *  [X6] while whole states flow to a peer, what changes meanwhile reaches it as a whole, early case.
 */
import { compareBytes, toHex } from './bytes.js'
import type { LogClaim } from './frontier.js'
import { itemMessages } from './items.js'
import { WINDOW_BYTES } from './limits.js'
import type { LogId, LogOpening } from './log.js'
import type { Item, Items, Take } from './sync.gen.js'
import type { Outbox } from './sync-outbox.js'
import type { SyncEvent } from './sync-types.js'
import { type CheckRange, type CheckStretch, stretchesOf } from './transfer.js'
import { claimsFromWire, claimToWire, openingToWire, stretchToWire, targetToWire } from './wire.js'

/** A case under a busy pen is sent early at most this often. */
export const EARLY_MS = 250

interface Sending {
  after: Uint8Array
  frontier: Map<LogId, number>
  /** The store is asked for the next piece; nothing else goes meanwhile. */
  reading: boolean
  /** Checks of the target that are still to go. */
  checks: Iterator<CheckRange[]>
  /** Cases that were read, as messages that wait for the window. */
  messages: Item[][]
  /** What they come on that BEGIN has not named. */
  claims: LogClaim[]
  done: boolean
  /** Keys of cases that are damaged here, and how many of them were named. */
  missing: Uint8Array[]
  named: number
}

export class StatesSender {
  private sending: Sending | undefined
  private offered = false
  /** The transfer number that the peer chose in its last TAKE. */
  private transfer = 0
  private earlyKeys = new Map<string, Uint8Array>()
  private earlyArmed = false

  constructor(private readonly out: Outbox) {}

  get isSending(): boolean {
    return this.sending !== undefined
  }

  /** Since both words were compared last: changes wait. */
  get isOffered(): boolean {
    return this.offered
  }

  /** A new comparison decides anew; a transfer under way goes on, whatever was compared meanwhile. */
  restart(): void {
    this.offered = false
  }

  offer(cases: number): void {
    if (this.offered || this.sending) return
    this.offered = true
    this.out.send('live', { $case: 'offer', value: { cases } })
  }

  onTake(take: Take): void {
    const claims = claimsFromWire(take.frontier)
    if (!claims) return this.out.close('malformed')
    if (this.sending) return
    const frontier = new Map(claims.map((claim) => [claim.log, claim.seq]))
    this.transfer = take.transfer
    const checks = stretchesOf([])
    this.sending = {
      after: take.after,
      frontier,
      reading: true,
      checks,
      messages: [],
      claims: [],
      done: false,
      missing: [],
      named: 0,
    }
    this.out.put({ type: 'openStates', frontier })
  }

  /** True if BEGIN was sent. */
  onOpened(opened: Extract<SyncEvent, { type: 'statesOpened' }>): boolean {
    if (!this.sending) return false
    const value = {
      transfer: this.transfer,
      openings: opened.openings.map(openingToWire),
      target: opened.target.map(targetToWire),
      cases: opened.cases,
      claims: opened.claims.map(claimToWire),
    }
    this.out.send('bulk', { $case: 'begin', value }, true)
    this.sending.checks = stretchesOf(opened.target)
    this.sending.reading = false
    return true
  }

  /** Asks for the next checks or cases to be read, or ends. True if it has ended. */
  pump(): boolean {
    const { sending } = this
    if (!sending || sending.reading) return false
    while (sending.messages.length > 0) {
      // With the cases that the receiver's cursor passes: another giver may go on from there.
      const missing = sending.missing.slice(sending.named)
      sending.named = sending.missing.length
      this.sendItems('bulk', sending.messages.shift()!, false, sending.claims, [], missing)
      if (this.out.inFlightBytes >= WINDOW_BYTES) return false
    }
    const next = sending.checks.next()
    if (!next.done) {
      sending.reading = true
      this.out.put({ type: 'readChecks', ranges: next.value })
      return false
    }
    if (!sending.done) {
      sending.reading = true
      this.out.put({ type: 'readItems', after: sending.after, frontier: sending.frontier })
      return false
    }
    const value = { transfer: this.transfer, missing: sending.missing, kept: [] }
    this.out.send('bulk', { $case: 'end', value })
    this.sending = undefined
    return true
  }

  onChecksRead(stretches: CheckStretch[]): void {
    const { sending } = this
    if (!sending) return
    sending.reading = false
    const value = { transfer: this.transfer, stretches: stretches.map(stretchToWire) }
    this.out.send('bulk', { $case: 'checks', value }, true)
  }

  onItemsRead(read: Extract<SyncEvent, { type: 'itemsRead' }>): void {
    const { sending } = this
    if (!sending) return
    sending.reading = false
    sending.done = read.done
    sending.after = read.after
    sending.missing.push(...(read.missing ?? []))
    sending.messages = itemMessages(read.items)
    sending.claims = read.claims ?? []
  }

  /** Cases that were asked for, or are early. */
  sendCases(items: Item[], claims: LogClaim[], openings: LogOpening[]): void {
    for (const message of itemMessages(items)) this.sendItems('live', message, true, claims, openings)
  }

  private sendItems(
    lane: 'live' | 'bulk',
    items: Item[],
    early: boolean,
    claims: LogClaim[],
    openings: LogOpening[],
    missing: Uint8Array[] = [],
  ): void {
    const value: Items = {
      transfer: this.transfer,
      early,
      items,
      claims: claims.map(claimToWire),
      openings: openings.map(openingToWire),
      missing,
    }
    this.out.send(lane, { $case: 'items', value }, true)
  }

  /** [X6] */
  early(caseKeys: Uint8Array[]): void {
    for (const key of caseKeys) this.earlyKeys.set(toHex(key), key)
    if (this.earlyArmed || this.earlyKeys.size === 0) return
    this.earlyArmed = true
    this.out.put({ type: 'arm', name: 'early', ms: EARLY_MS })
  }

  onEarlyTimer(): void {
    this.earlyArmed = false
    const due = [...this.earlyKeys.values()]
    this.earlyKeys.clear()
    if (this.sending && due.length > 0)
      this.out.put({ type: 'readCases', keys: due.sort(compareBytes), early: true })
  }
}
