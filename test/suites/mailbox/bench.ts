/** A store under test, with practices and mail for it. */

import type { MailStore } from '../../../relay/store/mail-store.js'
import { type Random, seeded } from '../../support/random.js'

export interface StoreWorld {
  store: MailStore
  /** Closes and opens again over what is on the disk. */
  reopen(): Promise<MailStore>
  /** As it was at this moment, database and file beside it. */
  backup(): Promise<{ restoreDatabase(): Promise<MailStore>; restoreAll(): Promise<MailStore> }>
  /** The disk refuses the next writes, as long as it lasts. */
  break(error: Error): void
  mend(): void
  /** Changes a stored value of this kind of row; false if there is none. */
  damage(letter: string, change: 'flip' | 'remove'): Promise<boolean>
  /** All keys as stored. */
  keys(): Promise<Uint8Array[]>
  lines: string[]
  close(): Promise<void>
}

export type CreateWorld = () => Promise<StoreWorld>

export const QUOTA = 10_000

/** A practice of three devices, its roster a stand-in: stores don't read it. */
export class Mailbox {
  readonly random: Random
  readonly practice: Uint8Array
  readonly devices: Uint8Array[]
  head: Uint8Array
  private time = 1_700_000_000_000

  constructor(
    readonly world: StoreWorld,
    seed: number,
    count = 3,
  ) {
    this.random = seeded(seed)
    this.practice = this.random.bytes(32)
    this.devices = Array.from({ length: count }, () => this.random.bytes(32))
    this.head = new Uint8Array(0)
  }

  get store(): MailStore {
    return this.world.store
  }

  async begin(): Promise<this> {
    await this.adopt(this.devices)
    return this
  }

  async adopt(members: Uint8Array[], expected = this.head): Promise<string> {
    const head = this.random.bytes(32)
    const roster = { head, entries: [this.random.bytes(100), head], members }
    const outcome = await this.store.adopt(this.practice, expected, roster)
    if (outcome === 'ok') this.head = head
    return outcome
  }

  /** Deposits from the first device unless said otherwise. */
  deposit(given: {
    id?: Uint8Array
    from?: number
    to: number[]
    replaces?: Uint8Array[]
    envelope?: Uint8Array
    at?: number
    quota?: number
  }) {
    const { id = this.random.bytes(16), from = 0, to, replaces = [], quota = QUOTA } = given
    return this.store.deposit(
      this.practice,
      {
        id,
        depositor: this.devices[from]!,
        recipients: to.map((at) => this.devices[at]!),
        replaces,
        envelope: given.envelope ?? this.random.bytes(100),
        at: given.at ?? ++this.time,
      },
      quota,
    )
  }

  /** Its id and what was answered. */
  async put(
    to: number[],
    given: { from?: number; replaces?: Uint8Array[]; envelope?: Uint8Array; at?: number } = {},
  ) {
    const id = this.random.bytes(16)
    const outcome = await this.deposit({ id, to, ...given })
    if ('error' in outcome) throw new Error(outcome.error)
    return { id, ...outcome }
  }

  async collect(at: number, after = 0, limits = { bytes: 1_000_000, mails: 1000 }) {
    const batch = await this.store.collect(this.practice, this.devices[at]!, after, limits)
    if (batch === 'failed') throw new Error('failed')
    return batch
  }

  async ids(at: number): Promise<Uint8Array[]> {
    return (await this.collect(at)).mails.map(({ id }) => id)
  }

  ack(at: number, ids: Uint8Array[], notice = new Uint8Array(0)) {
    return this.store.acknowledge(this.practice, this.devices[at]!, ids, notice)
  }

  async inventory() {
    const held = await this.store.inventory(this.practice)
    if (held === 'failed') throw new Error('failed')
    return held
  }

  async missing(at: number, ids: Uint8Array[]) {
    return this.store.missing(this.practice, this.devices[at]!, ids)
  }

  /** Count of rows for each device. */
  async counts(): Promise<number[]> {
    const { waiting } = await this.inventory()
    return this.devices.map(
      (device) => waiting.find(({ recipient }) => Buffer.compare(recipient, device) === 0)?.count ?? 0,
    )
  }
}
