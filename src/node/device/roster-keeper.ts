/**
 * Keeps the roster: stores it, takes over what others know, settles branches, and writes new entries. What is
 * stored here was verified; what it says decides who may read and write.
 */
import { equalBytes, toHex } from '../../protocol/bytes.js'
import { isName } from '../../protocol/epoch-keys.js'
import type { Natives } from '../../protocol/natives.js'
import { applyEntries, currentMembers, isMember, memberByEd, type Roster } from '../../protocol/roster.js'
import { hasLost, resolveFork } from '../../protocol/roster-fork.js'
import { MAX_MEMBERS } from '../../protocol/roster-format.js'
import { type OpenedRoster, openRoster } from '../../protocol/roster-open.js'
import { reissue } from '../../protocol/roster-reissue.js'
import {
  addDevice,
  changeSettings,
  signEnrolment,
  type WriteContext,
  type Written,
} from '../../protocol/roster-write.js'
import { keys } from '../../store/keyspace.js'
import { RosterRow } from '../../store/records.gen.js'
import { DamagedError, type SealedDb, type Write } from '../../store/sealed-db.js'
import { Refused } from '../api.js'
import type { Identity, KeyPairs } from './identity.js'

export interface RosterState {
  roster: Roster
  opened: OpenedRoster
}

export class RosterKeeper {
  private state: RosterState | undefined
  /** Asked for with each letter. */
  private othersNow: readonly Uint8Array[] = []
  /** Two branches that only a person or the recovery key can settle. */
  contested = false
  /** Another branch stands, and this device is not named in it: it has what others have only when it is added there. */
  isLeftOut = false
  private queue: Promise<unknown> = Promise.resolve()

  constructor(
    private readonly db: SealedDb,
    private readonly natives: Natives,
    private readonly identity: Identity,
    private readonly random: (bytes: number) => Uint8Array,
  ) {}

  async load(): Promise<void> {
    const row = await this.read()
    if (!row) return
    const applied = applyEntries(this.natives, undefined, RosterRow.decode(row).entries)
    if ('error' in applied)
      throw new Refused('store-damaged', `The stored list of devices is damaged (${applied.error}).`)
    this.adopt(applied.roster)
  }

  /**
   * A device whose folder was copied from another's goes on under keys of its own: the ones it had enrol it, where
   * they still belong. Gives its name if it was enrolled just now; `besides` is written together with that.
   */
  enrol(besides: (name: string, former: Uint8Array) => Write[] = () => []): Promise<string | undefined> {
    return this.exclusive(() => this.enrolNow(besides))
  }

  private async enrolNow(
    besides: (name: string, former: Uint8Array) => Write[] = () => [],
  ): Promise<string | undefined> {
    const enrolled = this.state && this.enrolledIn(this.state)
    if (!enrolled) return undefined
    const { roster, name, former } = enrolled
    await this.store(roster, besides(name, former))
    return name
  }

  /** The roster in which a former key has enrolled the present one; undefined where it need not or may not. */
  private enrolledIn(state: RosterState): { roster: Roster; name: string; former: Uint8Array } | undefined {
    const { natives, identity } = this
    const { roster, opened } = state
    const context = this.contextOf(state)
    // Who was removed never comes back, nor by the word of another key.
    if (identity.former.length === 0 || !context || memberByEd(roster, identity.ed)) return undefined
    const { ed } = context.author
    if (!isMember(roster, ed)) return undefined
    const { deviceNames, settings } = opened
    const name = freeName(deviceNames.get(toHex(ed)) ?? 'Device', [...deviceNames.values()])
    const selfSignature = signEnrolment(natives, roster.practiceId, identity)
    const added = addDevice(context, { ed: identity.ed, x: identity.x, selfSignature, name })
    if ('error' in added) return undefined
    const collects = settings.get('collectsMail') as Record<string, boolean> | undefined
    const hasMailbox = typeof collects === 'object' && collects?.[toHex(ed)] === true
    // Both or neither.
    const done = hasMailbox
      ? changeSettings({ ...context, roster: added.roster }, { collectsMail: { [toHex(identity.ed)]: true } })
      : added
    return 'error' in done ? undefined : { roster: done.roster, name, former: ed }
  }

  /** Whether one more device could be enrolled. */
  get hasRoom(): boolean {
    return this.state !== undefined && currentMembers(this.state.roster).length < MAX_MEMBERS
  }

  private async read(): Promise<Uint8Array | undefined> {
    try {
      const row = await this.db.get(keys.roster())
      if (row) return row
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error
      const copy = await this.db.get(keys.rosterCopy())
      if (!copy) throw error
      return copy
    }
    return this.db.get(keys.rosterCopy())
  }

  get current(): RosterState | undefined {
    return this.state
  }

  isMember(ed: Uint8Array): boolean {
    return this.state !== undefined && isMember(this.state.roster, ed)
  }

  /** Keys of all members but this device. */
  others(): readonly Uint8Array[] {
    return this.othersNow
  }

  nameOf(ed: Uint8Array): string {
    return this.state?.opened.deviceNames.get(toHex(ed)) ?? 'Device'
  }

  /**
   * The first roster of this device: its own practice, or one that it joined. Durable when it returns. Refused where it
   * has one by now: what was written in that practice would become another one's.
   */
  begin(roster: Roster): Promise<void> {
    return this.exclusive(async () => {
      if (this.state) throw hasPractice()
      await this.store(roster)
    })
  }

  /** Takes another device's chain over where it extends or wins. True if anything changed. */
  apply(entries: Uint8Array[]): Promise<boolean> {
    return this.exclusive(async () => {
      const own = this.state?.roster.entries[0]
      // Another practice's chain is not worth verifying.
      if (!this.state || !own || !entries[0] || !equalBytes(own, entries[0])) return false
      const theirs = applyEntries(this.natives, undefined, entries)
      if ('error' in theirs) return false
      const verdict = resolveFork(this.natives, this.state.roster, theirs.roster)
      if (verdict === 'contested') this.contested = true
      if (verdict === 'extends') {
        await this.store(theirs.roster)
        // Whoever enrols this device may be enrolled again only now.
        await this.enrolNow()
        return true
      }
      // Where nobody has enrolled this device yet nothing opens for it, nor would the store at its next start: it stays
      // on the branch that it can read until who has enrolled it there has written that again.
      if (verdict !== 'theirs') return false
      if (!this.isNamedIn(theirs.roster)) {
        this.isLeftOut = true
        return false
      }
      await this.store(this.withMine(theirs.roster, this.state))
      return true
    })
  }

  /**
   * The branch that stands, and on it what was written here on the one that has lost: by this device under all its keys.
   * It is stored as one, for nothing shows afterwards what of it is missing.
   */
  private withMine(winner: Roster, loser: RosterState): Roster {
    // What its enrolment was written on is gone.
    const enrolled = this.enrolledIn(this.stateOf(winner))
    const state = enrolled ? this.stateOf(enrolled.roster) : this.stateOf(winner)
    const context = this.contextOf(state)
    if (!context) return state.roster
    const own = [this.identity, ...this.identity.former].map(({ ed }) => ed)
    return reissue(context, loser.roster, loser.opened, own).roster
  }

  /** By its own key, be it as a device that was removed, or by a former one that still belongs. */
  private isNamedIn(roster: Roster): boolean {
    const { ed, former } = this.identity
    return memberByEd(roster, ed) !== undefined || former.some((key) => isMember(roster, key.ed))
  }

  /** A stranger's chain that has lost against mine. */
  hasLost(entries: Uint8Array[], ed: Uint8Array): boolean {
    return this.state !== undefined && hasLost(this.natives, this.state.roster, entries, ed)
  }

  /** Writes one entry on top of the newest. */
  write(make: (context: WriteContext) => Written): Promise<Written> {
    return this.exclusive(async () => {
      const context = this.context()
      if (!context)
        throw new Refused(
          'no-practice',
          'There is no practice here yet. Create one, or join your other devices.',
        )
      const written = make(context)
      if (!('error' in written)) await this.store(written.roster)
      return written
    })
  }

  /** What writing an entry takes; undefined without a practice or without its newest key. */
  context(): WriteContext | undefined {
    return this.state && this.contextOf(this.state)
  }

  private contextOf({ roster, opened }: RosterState): WriteContext | undefined {
    const epochKey = opened.epochKeys.get(roster.epoch)
    if (!epochKey) return undefined
    const { natives, random } = this
    return { natives, random, roster, author: this.actor(roster), epochKey }
  }

  private async store(roster: Roster, besides: Write[] = []): Promise<void> {
    const value = RosterRow.encode({ entries: [...roster.entries] }).finish()
    await this.db.write([...[keys.roster(), keys.rosterCopy()].map((key) => ({ key, value })), ...besides])
    await this.db.flush()
    this.adopt(roster)
  }

  /** In whose name this device reads and writes the roster: its own, once it is enrolled. */
  private actor(roster: Roster): KeyPairs {
    const { identity } = this
    if (isMember(roster, identity.ed)) return identity
    return identity.former.find(({ ed }) => isMember(roster, ed)) ?? identity
  }

  private adopt(roster: Roster): void {
    this.isLeftOut = false
    this.state = this.stateOf(roster)
    this.othersNow = currentMembers(roster)
      .map((member) => member.ed)
      .filter((other) => !equalBytes(other, this.identity.ed))
  }

  private stateOf(roster: Roster): RosterState {
    const { ed, xSecret } = this.actor(roster)
    return { roster, opened: openRoster(this.natives, roster, { ed, xSecret }) }
  }

  private exclusive<T>(work: () => Promise<T>): Promise<T> {
    const run = this.queue.then(work, work)
    this.queue = run.catch(() => undefined)
    return run
  }
}

export const hasPractice = () => new Refused('has-practice', 'This device already belongs to a practice.')

/** "Desk (2)", and so on. */
function freeName(name: string, taken: readonly string[]): string {
  for (let number = 2; ; number++) {
    const numbered = `${name.replace(/ \(\d+\)$/, '')} (${number})`
    if (!taken.includes(numbered)) return isName(numbered) ? numbered : name
  }
}
