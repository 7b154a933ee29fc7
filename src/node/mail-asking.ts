/**
 * Which damaged cases this device asks for in its words, and who has answered. An asking begins anew when it has to be
 * answered once more: at a start, with another roster, and where more cases have come to be marked. Nothing else does, or
 * devices of which one can't give a case would write to each other without end.
 */
import { equalBytes, toHex } from '../protocol/bytes.js'
import type { Asking } from '../protocol/envelope.gen.js'
import { CASE_KEY_BYTES, MAX_WANTED } from '../protocol/limits.js'
import { DEVICE_KEY_BYTES } from '../protocol/mailbox-limits.js'
import { noteAsked, standBeforeAsking } from '../store/asked.js'
import type { TakenAnswer } from '../store/mail-answers.js'
import type { MailDriverOptions } from './mail-driver-session.js'

/** Cases that come to be damaged one after the other are asked for together: each asking is answered with all it names. */
const GATHER_ASKING_MS = 60_000
/** More than one asking may name wait until all have answered; but not longer for who stays away. */
const LAST_ASKING_MS = 24 * 3_600_000
const ASKING_ID_BYTES = 16

/** What a device has answered to an asking for damaged cases. */
export interface GivenAnswer extends TakenAnswer {
  sender: Uint8Array
}

/** The first MAX_WANTED count. */
export function isSoundAsking({ id, wanted, heard }: Asking): boolean {
  return (
    id.length === ASKING_ID_BYTES &&
    wanted.every((key) => key.length === CASE_KEY_BYTES) &&
    heard.every((device) => device.length === DEVICE_KEY_BYTES)
  )
}

export class MailAsking {
  private id: Uint8Array
  private head: Uint8Array
  private begun = Number.NEGATIVE_INFINITY
  /** By key in hex, with the marking that it is asked for by (`CaseTable.damaged`). */
  private wanted = new Map<string, Uint8Array>()
  /** Markings that were named in an asking under this roster. */
  private named = new WeakSet<Uint8Array>()
  /** Who has answered, by hex of the key. */
  private heard = new Map<string, Uint8Array>()
  private cancel: (() => void) | undefined
  private looking: Promise<void> = Promise.resolve()

  /** @param stated what my word says has changed. */
  constructor(
    private readonly options: MailDriverOptions,
    private readonly stated: () => void,
  ) {
    this.id = options.random(ASKING_ID_BYTES)
    this.head = options.roster.head()
    options.replica.cases.whenMarked = stated
  }

  stop(): void {
    this.cancel?.()
    this.options.replica.cases.whenMarked = undefined
  }

  /** As my word says it. */
  async current(): Promise<Asking> {
    // Words for several relays are made at a time.
    this.looking = this.looking.catch(() => {}).then(() => this.look())
    await this.looking
    return { id: this.id, wanted: [...this.wanted.values()], heard: [...this.heard.values()] }
  }

  private isMarked(hex: string, mark: Uint8Array): boolean {
    return this.options.replica.damaged.get(hex) === mark
  }

  private async look(): Promise<void> {
    const { replica, roster, now, timers } = this.options
    const { damaged } = replica
    for (const [hex, mark] of this.wanted) if (!this.isMarked(hex, mark)) this.wanted.delete(hex)
    if (!equalBytes(this.head, roster.head())) {
      this.named = new WeakSet()
      return this.beginAnew()
    }
    const isEmpty = this.wanted.size === 0 && damaged.size > 0
    const others = [...damaged].filter(([hex]) => !this.wanted.has(hex))
    if (others.length === 0) return
    const isNew = others.some(([, mark]) => !this.named.has(mark))
    const leftMs = isEmpty ? 0 : this.begun + (isNew ? this.shortestMs() : LAST_ASKING_MS) - now()
    if (leftMs <= 0) return this.beginAnew()
    this.cancel?.()
    this.cancel = timers.after(leftMs, this.stated)
  }

  /** How long the asking stands at least, while something in it is still asked for. */
  private shortestMs(): number {
    const isRoom = this.wanted.size < MAX_WANTED
    const haveAll = this.options.roster.collectors().every((device) => this.heard.has(toHex(device)))
    return isRoom || haveAll ? GATHER_ASKING_MS : LAST_ASKING_MS
  }

  /** Of more than one asking may name those go first that were never named, then those that are not named now. */
  private async beginAnew(): Promise<void> {
    const { replica, roster, random, now } = this.options
    const { damaged } = replica
    const rank = (mark: Uint8Array) =>
      (this.named.has(mark) ? 1 : 0) + (this.wanted.get(toHex(mark)) === mark ? 1 : 0)
    const next = [...damaged.values()].sort((a, b) => rank(a) - rank(b)).slice(0, MAX_WANTED)
    await standBeforeAsking(replica, next)
    const marks = next.map((mark) => [toHex(mark), damaged.get(toHex(mark))] as const)
    this.wanted = new Map(marks.flatMap(([hex, mark]) => (mark ? [[hex, mark]] : [])))
    for (const mark of this.wanted.values()) this.named.add(mark)
    this.heard = new Map()
    this.id = random(ASKING_ID_BYTES)
    this.head = roster.head()
    this.begun = now()
  }

  /** [H5] What came on it is merged already; this is what its giver could not give. */
  async answered(sender: Uint8Array, { asking, missing, isAsFar }: TakenAnswer): Promise<void> {
    const { replica, roster } = this.options
    // What is said of an earlier asking, or of an earlier marking, may hold no more.
    if (!isAsFar || !equalBytes(asking, this.id)) return
    const stillMarked = missing.filter((key) => {
      const mark = this.wanted.get(toHex(key))
      return mark !== undefined && this.isMarked(toHex(key), mark)
    })
    await noteAsked(replica, stillMarked, sender, roster.others())
    if (equalBytes(asking, this.id)) this.heard.set(toHex(sender), sender)
  }
}
