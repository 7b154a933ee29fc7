/**
 * What goes for good, and is not collected: a device's mail when it leaves or is removed, what has expired, and a
 * practice with its last collector. Each decides what is written, while nothing else is.
 */
import { equalBytes, toHex } from '../../src/protocol/bytes.js'
import type { Decision } from './committer.js'
import type { Write } from './database.js'
import { expiringIn, expiryBefore, keys, rangeOf, rowIn } from './keys.js'
import { strangersOf, waitingFor } from './reads.js'
import { decodeMail } from './rows.js'
import { letGo, type PracticeState, type Reading, rowsOf } from './state.js'

/** Mails that expire in one step. */
export const EXPIRE_AT_A_TIME = 500
/** Practices that are forgotten in one step. */
export const FORGET_AT_A_TIME = 50
/** A visit is written down if the last one was so long ago: one row for each practice and day. */
export const VISIT_INTERVAL_MS = 24 * 3_600_000

/** What it needs of the store. */
export interface GoingStore {
  reading(): Reading
  /** Checked values; undefined for none and for damaged ones. */
  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>
  states(): Iterable<PracticeState>
  state(practice: Uint8Array): PracticeState
  forget(practice: Uint8Array): void
  /** Something of a practice is garbage on the disk now. */
  note(practice: Uint8Array, bytes: number): void
}

export class Going {
  constructor(private readonly store: GoingStore) {}

  /** [B9] 'gone': with the last collector all of the practice goes, unless mail waits for others. */
  async leave(state: PracticeState, device: Uint8Array): Promise<Decision<'ok' | 'gone'>> {
    const isSelf = (each: Uint8Array) => equalBytes(each, device)
    const others = [...state.collectors].some((name) => name !== toHex(device))
    // Who has never been here yet may find the last copy.
    if (others || !(await waitingFor(this.store.reading(), state.practice)).every(isSelf))
      return { writes: await this.drop(state, [device]), value: 'ok' }
    return { writes: await this.dropAll(state), value: 'gone' }
  }

  /** What was deposited at an age below `before`, as much as goes in one step; `seen`: how many were looked at. */
  async expireSome(
    before: number,
    onGone: (practice: Uint8Array) => void,
  ): Promise<Decision<{ mails: number; seen: number }>> {
    const range = { ...expiryBefore(before), limit: EXPIRE_AT_A_TIME }
    const { db } = this.store.reading()
    const due = (await db.keys({ ...range, keyEncoding: 'view' }).all()) as Uint8Array[]
    const writes: Write[] = []
    const lost = new Set<PracticeState>()
    let mails = 0
    for (const key of due) {
      const { practice, id } = expiringIn(key)
      writes.push({ key })
      const [value] = await this.store.getMany([keys.mail(practice, id)])
      const mail = value && decodeMail(value)
      if (!mail || mail.at >= before) continue
      const state = this.store.state(practice)
      lost.add(state)
      writes.push(...letGo(state, id, mail, () => true).writes)
      this.store.note(practice, mail.bytes)
      mails++
    }
    const gone = [...lost].filter(({ rows, collectors }) => rows + collectors.size === 0)
    for (const state of gone) writes.push(...(await this.dropAll(state)))
    return { writes, value: { seen: due.length, mails }, durable: () => tell(gone, onGone) }
  }

  /**
   * [B9] Practices that no member has visited since the relay's age was `before`, and for which nothing waits, as many as go
   * in one step; the value is how many went.
   */
  async forgetSome(before: number, onGone: (practice: Uint8Array) => void): Promise<Decision<number>> {
    const isQuiet = ({ rows, visitedAt }: PracticeState) =>
      // Later visits of that interval were not written down.
      rows === 0 && visitedAt !== undefined && visitedAt + VISIT_INTERVAL_MS < before
    const gone: PracticeState[] = []
    for (const state of this.store.states()) {
      if (gone.length === FORGET_AT_A_TIME) break
      if (isQuiet(state)) gone.push(state)
    }
    const writes: Write[] = []
    for (const state of gone) writes.push(...(await this.dropAll(state)))
    return { writes, value: gone.length, durable: () => tell(gone, onGone) }
  }

  /** The writes that leave nothing of these devices but what others have of theirs. */
  async drop(state: PracticeState, devices: readonly Uint8Array[]): Promise<Write[]> {
    const { practice } = state
    const writes: Write[] = []
    const names = new Set(devices.map(toHex))
    for (const device of devices) {
      state.collectors.delete(toHex(device))
      writes.push({ key: keys.collector(practice, device) }, { key: keys.notice(practice, device) })
    }
    const ids = new Map<string, Uint8Array>()
    for (const device of devices) {
      for await (const { key } of rowsOf(this.store.reading(), rangeOf('w', practice, device)))
        ids.set(toHex(rowIn(key).id), rowIn(key).id)
    }
    for (const id of ids.values()) {
      const [value] = await this.store.getMany([keys.mail(practice, id)])
      const mail = value && decodeMail(value)
      if (!mail) continue
      writes.push(...letGo(state, id, mail, (each) => names.has(toHex(each))).writes)
    }
    if (ids.size > 0) this.store.note(practice, ids.size)
    return writes
  }

  /** The writes that leave nothing of the practice; it is forgotten at once. */
  private async dropAll(state: PracticeState): Promise<Write[]> {
    const { practice } = state
    const writes = await this.drop(state, await strangersOf(this.store.reading(), state, new Map()))
    for (const make of [keys.practice, keys.roster, keys.sequence, keys.visit])
      writes.push({ key: make(practice) })
    this.store.forget(practice)
    return writes
  }
}

/** Before anything else is decided: it may be brought again at once. */
function tell(gone: readonly PracticeState[], onGone: (practice: Uint8Array) => void): void {
  for (const { practice } of gone) onGone(practice)
}
