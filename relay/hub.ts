/** The practices whose devices are connected: their verified rosters, and who hears of what. */
import { equalBytes, toHex } from '../src/protocol/bytes.js'
import type { Natives } from '../src/protocol/natives.js'
import { applyEntries, type Roster } from '../src/protocol/roster.js'
import { MAX_QUIET_PRACTICES } from './limits.js'
import type { MailboxLink } from './link.js'
import type { MailStore } from './store/mail-store.js'
import { short } from './store/state.js'

export interface PracticeHub {
  practice: Uint8Array
  /** undefined: not known here. */
  roster: Roster | undefined
  /** Sessions of members, the older first. */
  links: Set<MailboxLink>
}

const isChainOf = ({ entries }: Roster, others: readonly Uint8Array[]) =>
  entries.length === others.length && entries.every((entry, i) => equalBytes(entry, others[i]!))

export class Hubs {
  /** Insertion order is age. */
  private readonly hubs = new Map<string, PracticeHub>()
  private readonly loading = new Map<string, Promise<PracticeHub | 'failed'>>()
  private readonly renewing = new Map<string, Promise<void>>()

  constructor(
    private readonly store: MailStore,
    private readonly natives: Natives,
    private readonly log: (line: string) => void,
  ) {}

  held(practice: Uint8Array): PracticeHub | undefined {
    return this.hubs.get(toHex(practice))
  }

  /** The practice's hub, from the store if need be. */
  async find(practice: Uint8Array, verified?: Roster): Promise<PracticeHub | 'failed'> {
    const name = toHex(practice)
    const held = this.held(practice)
    if (held) return held
    const underWay = this.loading.get(name)
    if (underWay) return underWay
    const load = this.load(practice, verified, () => this.loading.get(name) === load)
    this.loading.set(name, load)
    return load
  }

  private async load(
    practice: Uint8Array,
    verified: Roster | undefined,
    isCurrent: () => boolean,
  ): Promise<PracticeHub | 'failed'> {
    const name = toHex(practice)
    const roster = await this.read(practice, verified)
    // A write came in between, and this may be from before it.
    if (!isCurrent()) return this.find(practice, verified)
    this.loading.delete(name)
    if (roster === 'failed') return 'failed'
    const hub: PracticeHub = { practice, roster, links: new Set() }
    // A practice that isn't known isn't remembered: strangers could name any number of them.
    if (roster) this.hubs.set(name, hub)
    this.forgetQuiet()
    return hub
  }

  /** What the store holds now, verified; `verified` already is, and mostly what it holds. */
  private async read(practice: Uint8Array, verified?: Roster): Promise<Roster | undefined | 'failed'> {
    const entries = await this.store.roster(practice)
    if (entries === undefined || entries === 'failed') return entries
    if (verified && isChainOf(verified, entries)) return verified
    const applied = applyEntries(this.natives, undefined, entries)
    if ('roster' in applied) return applied.roster
    this.log(`The roster of practice ${short(practice)} doesn't verify: ${applied.error}.`)
    return 'failed'
  }

  /**
   * After a compare-and-set of a verified roster: the hub with what is held from now on. One reading after the other, so
   * none is overtaken.
   */
  renew(practice: Uint8Array, verified: Roster): Promise<PracticeHub | 'failed'> {
    const name = toHex(practice)
    const before = this.renewing.get(name) ?? Promise.resolve()
    const renewed = before.then(() => this.readAgain(practice, verified))
    const last = renewed.then(() => {
      if (this.renewing.get(name) === last) this.renewing.delete(name)
    })
    this.renewing.set(name, last)
    return renewed
  }

  private async readAgain(practice: Uint8Array, verified: Roster): Promise<PracticeHub | 'failed'> {
    this.overtake(practice)
    const held = this.held(practice)
    if (!held) return this.find(practice, verified)
    const roster = await this.read(practice, verified)
    if (roster === 'failed') return 'failed'
    // The practice has gone meanwhile, and what was read may be from before.
    if (this.held(practice) !== held) return this.find(practice, verified)
    held.roster = roster
    return held
  }

  /** A write is durable: a reading that began before it counts for nobody. */
  private overtake(practice: Uint8Array): void {
    this.loading.delete(toHex(practice))
  }

  /** The hub for somebody who joins: since this one was found it may have been forgotten as quiet, and read again for others. */
  present(hub: PracticeHub): PracticeHub {
    const held = this.held(hub.practice) ?? hub
    if (held.roster) this.hubs.set(toHex(hub.practice), held)
    return held
  }

  /** Members are told of the hub's roster; without one the practice is gone. */
  announce(hub: PracticeHub): void {
    const { roster } = hub
    if (!roster) {
      this.overtake(hub.practice)
      this.hubs.delete(toHex(hub.practice))
    }
    for (const link of [...hub.links]) link.take({ kind: 'roster', roster })
  }

  /** Practices with a connected device. */
  visited(): Uint8Array[] {
    return [...this.hubs.values()].filter(({ links }) => links.size > 0).map(({ practice }) => practice)
  }

  private forgetQuiet(): void {
    let quiet = 0
    for (const [name, hub] of [...this.hubs].reverse()) {
      if (hub.links.size === 0 && ++quiet > MAX_QUIET_PRACTICES) this.hubs.delete(name)
    }
  }
}
