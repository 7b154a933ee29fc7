/** How good a path is, and when a better one is looked for. */
import { isRtcAddress } from '../host-address.js'
import type { RemotePeer } from '../host-remote.js'

/** Within the network, then TCP between networks, then WebRTC, which costs more work for each byte, then a relay. */
export function qualityOf({ path, address }: Pick<RemotePeer, 'path' | 'address'>): number {
  if (path === 'lan') return 3
  if (path === 'relayed') return 0
  return isRtcAddress(address) ? 1 : 2
}

/** From here on nothing better is looked for, unless the device is seen on this network. */
const GOOD = 2
const BEST = 3

/** Between attempts: networks change rarely, and each attempt sends packets to several addresses. */
const WAITS_MS = [15_000, 60_000, 300_000, 600_000]
/** The first attempt; the device with the greater key lets the other try first. */
const FIRST_MS = 300
const SECOND_MS = 5_000
/** A better path that lasted so long was worth it: the next one is looked for at once. */
const LASTING_MS = 60_000
/** Sightings come every second. */
const SIGHTING_MS = 10_000

interface Improvement {
  nextAt: number
  attempts: number
  sightedAt: number
  busy: boolean
}

export class Improvements {
  readonly #now: () => number
  readonly #states = new Map<string, Improvement>()

  constructor(now: () => number) {
    this.#now = now
  }

  /** A session stands by a path of this quality. */
  stands(peer: string, quality: number, isLower: boolean): void {
    const state = this.#of(peer, isLower)
    const first = this.#now() + (isLower ? FIRST_MS : SECOND_MS)
    if (quality < GOOD && state.attempts === 0) state.nextAt = first
  }

  /** A session ended after so long. */
  ended(peer: string, quality: number, lastedMs: number): void {
    const state = this.#states.get(peer)
    if (state && quality > 0 && lastedMs >= LASTING_MS) state.attempts = 0
  }

  /** The device shows itself on this network, or tells a new address. */
  sighted(peer: string, quality: number): void {
    const state = this.#states.get(peer)
    if (!state || quality >= BEST || this.#now() - state.sightedAt < SIGHTING_MS) return
    state.sightedAt = this.#now()
    state.nextAt = 0
  }

  /** Circumstances have changed: everything is worth an attempt. */
  forget(): void {
    for (const state of this.#states.values()) {
      state.attempts = 0
      state.nextAt = Math.min(state.nextAt, this.#now() + SECOND_MS)
    }
  }

  /** When the next attempt is due, as far as is known now. */
  dueAt(peer: string, quality: number): number {
    const state = this.#states.get(peer)
    const isNever = !state || state.busy || quality >= BEST || (quality >= GOOD && state.nextAt !== 0)
    return isNever ? Number.POSITIVE_INFINITY : state.nextAt
  }

  /** Makes an attempt if one is due. */
  async tick(peer: string, quality: number, isLower: boolean, attempt: () => Promise<void>): Promise<void> {
    const state = this.#of(peer, isLower)
    if (this.dueAt(peer, quality) > this.#now()) return
    state.busy = true
    const wait = WAITS_MS[Math.min(state.attempts, WAITS_MS.length - 1)] ?? 0
    state.attempts += 1
    await attempt()
    state.busy = false
    state.nextAt = this.#now() + wait * (0.75 + Math.random() / 2)
  }

  #of(peer: string, isLower: boolean): Improvement {
    const known = this.#states.get(peer)
    if (known) return known
    const nextAt = this.#now() + (isLower ? FIRST_MS : SECOND_MS)
    const state = { nextAt, attempts: 0, sightedAt: Number.NEGATIVE_INFINITY, busy: false }
    this.#states.set(peer, state)
    return state
  }
}

/**
 * A clock in milliseconds that goes on through sleep as `now` does, and never back: where a clock is set back, what is
 * due would wait for as long.
 */
export function onward(now: () => number): () => number {
  let last = Number.NEGATIVE_INFINITY
  let lead = 0
  return () => {
    const at = now()
    lead = Math.max(lead, last - at)
    last = at + lead
    return last
  }
}
