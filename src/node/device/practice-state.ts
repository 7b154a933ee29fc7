/**
 * What runs while a device runs: its host from the start; replica, driver and peers as soon as it belongs to a
 * practice.
 */
import { setImmediate } from 'node:timers/promises'
import { toHex } from '../../protocol/bytes.js'
import type { Natives } from '../../protocol/natives.js'
import { RUN_BYTES } from '../../protocol/runs.js'
import type { CaseState } from '../../store/case-state.js'
import { type Sifted, sayAgain } from '../../store/distrust.js'
import type { Notepad } from '../../store/jottings.js'
import { Replica } from '../../store/replica.js'
import { DamagedError, type SealedDb } from '../../store/sealed-db.js'
import { Statements } from '../../store/statements.js'
import { Refused } from '../api.js'
import type { DeviceEvent } from '../contract.js'
import { Driver } from '../driver.js'
import type { Timers } from '../driver-session.js'
import type { Host } from '../host.js'
import { MailDriver } from '../mail-driver.js'
import { publicKeyToPeerId } from '../peer-id.js'
import { ENDED } from './ended.js'
import type { Identity } from './identity.js'
import { InviteDriver } from './invite-driver.js'
import { JoinDriver } from './join-driver.js'
import { mailRoster } from './mail-roster.js'
import { Mailboxes } from './mailboxes.js'
import type { Notes } from './notes.js'
import { Peers } from './peers.js'
import type { RosterKeeper, RosterState } from './roster-keeper.js'
import { Twins } from './twins.js'

export interface PracticeOptions {
  db: SealedDb
  natives: Natives
  identity: Identity
  keeper: RosterKeeper
  notes: Notes
  random: (bytes: number) => Uint8Array
  now: () => number
  binding: string
  notepad: Notepad
  emit: (event: DeviceEvent) => void
  log: (line: string) => void
  network: boolean
  /** The network starts after this, and `open` doesn't wait for it. */
  networkAfter: Promise<void> | undefined
  listen: string[] | undefined
  lan: boolean
  /** What putting a damaged store in order has shown, at this start. */
  sifted?: Sifted | undefined
  /** A stored value doesn't open that isn't a case's: reading again won't help, and the next start must put it in order. */
  rotten: () => void
  /** Another process has this device's keys, and this one shall be a device of its own from its next start on. */
  goOwnWay: () => Promise<void>
}

/** The name under which a copied folder became a device of its own, until the device has said so. */
export const ENROLLED = 'enrolled'

/** How long a stop waits for the relay to take the last changes. */
const STOP_MAIL_MS = 2_500

const timers: Timers = {
  after(ms, run) {
    const timer = setTimeout(run, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}

export class Practice {
  host: Host | undefined
  peers: Peers | undefined
  driver: Driver | undefined
  mail: MailDriver | undefined
  mailboxes: Mailboxes | undefined
  readonly invites = new InviteDriver(this)
  readonly joins = new JoinDriver(this)
  /** Relays that this process joined by. */
  meetingRelays: string[] = []
  healed = new Set<string>()
  /** Files under the store have rotted while it was open. */
  isRotten = false
  peerProblems = new Map<string, string>()
  /** Settles when the network is up, or is known not to come up. */
  online: Promise<void> = Promise.resolve()
  private openReplica: Replica | undefined
  private twins: Twins | undefined
  private stopWaiting = () => {}
  private readonly stopped = new Promise<void>((resolve) => {
    this.stopWaiting = resolve
  })
  private isClosing = false

  constructor(readonly options: PracticeOptions) {}

  async open(): Promise<void> {
    if (this.options.keeper.current) await this.startReplica()
    this.online = this.goOnline()
    if (!this.options.networkAfter) return this.online
    // Whoever needs the network waits for it, and hears why it isn't there.
    this.online.catch(() => {})
  }

  private async goOnline(): Promise<void> {
    const { network, networkAfter, emit } = this.options
    if (networkAfter) await Promise.race([networkAfter, this.stopped])
    if (this.isClosing) return
    if (network) this.host = await this.startHost()
    await this.invites.open()
    await this.startPeers()
    emit({ type: 'status' })
  }

  private async startHost(): Promise<Host> {
    const { createHost } = await import('../host.js')
    const { identity, listen, lan, log } = this.options
    const host = await createHost({
      privateKey: identity.edSecret,
      lan,
      ...(listen ? { listen } : {}),
      log: (level, text) => {
        if (level === 'warn') log(text)
      },
    })
    if ('code' in host) throw new Refused(host.code, host.sentence)
    return host
  }

  /** From now on this device belongs to a practice. */
  async begin(): Promise<void> {
    await this.startReplica()
    await this.startPeers()
    this.options.emit({ type: 'status' })
    this.options.emit({ type: 'cases', ids: null })
  }

  private async startReplica(): Promise<void> {
    const { db, natives, identity, keeper, notes, random, now, binding, emit } = this.options
    const { notepad } = this.options
    const { roster, opened } = this.state()
    if (!opened.indexKey)
      throw new Refused(
        'keys-damaged',
        'This device lacks the key of its practice. Join again from another device.',
      )
    const replica = await Replica.open({
      db,
      natives,
      random,
      now,
      newClientId: () => Number(BigInt.asUintN(48, BigInt(`0x${toHex(random(6))}`))) + 1,
      practice: roster.practiceId,
      indexKey: opened.indexKey,
      device: { ed: identity.ed, secret: identity.edSecret },
      isMember: (ed) => keeper.isMember(ed),
      hasOthers: () => keeper.others().length > 0,
      notepad,
      whenShown: () => setImmediate(),
      isAwaited: () => Boolean(this.driver?.sessions.size || this.mail?.sessions.size),
      binding,
    })
    this.twins = new Twins({
      isMoved: await this.isElsewhere(replica),
      chance: Math.random,
      now: () => performance.now(),
      goOwnWay: this.options.goOwnWay,
      failed: (error) => this.options.log(`twin: ${error}`),
    })
    if (replica.lostJottings)
      void notes.say(
        'letters-lost',
        'The device was stopped in the middle of typing. The last letters may be missing.',
      )
    if (this.options.sifted) await sayAgain(replica, this.options.sifted)
    const statements = new Statements(replica)
    await statements.load()
    await this.sayEnrolled()
    this.driver = new Driver({
      replica,
      statements,
      timers,
      mailPending: () => this.mail?.isPending,
      run: random(RUN_BYTES),
      roster: {
        head: () => this.state().roster.head,
        entries: () => [...this.state().roster.entries],
        isMember: (ed) => keeper.isMember(ed),
        apply: (entries) => this.applyRoster(entries),
        hasLost: (entries, ed) => keeper.hasLost(entries, ed),
        others: () => keeper.others(),
      },
      events: {
        status: () => emit({ type: 'status' }),
        closed: (peer, code) => {
          if (code === 'peer-too-old' || code === 'peer-too-new') this.peerProblems.set(peer, code)
        },
        failed: (error) => this.failed('sync', error),
        // It was updated, or this device was.
        compared: (peer) => {
          if (this.peerProblems.delete(peer)) emit({ type: 'status' })
        },
        changed: () => this.mail?.changed(),
        stated: () => this.mail?.stated(),
        twin: () => this.twins?.seen(),
        addresses: (peer, addresses) => {
          if (this.peers?.remember(peer, addresses)) void notes.savePeersLightly()
        },
      },
    })
    this.mail = new MailDriver({
      replica,
      statements,
      random,
      driver: this.driver,
      timers,
      now: () => performance.now(),
      roster: mailRoster(keeper, (entries) => this.applyRoster(entries)),
      events: {
        status: () => emit({ type: 'status' }),
        closed: (relay, code) => this.mailboxes?.closed(relay, code),
        failed: (error) => this.failed('mail', error),
        rosterChanged: () => this.driver?.rosterChanged(),
      },
    })
    replica.events.cases = (ids) => emit({ type: 'cases', ids })
    replica.events.healed = (what) => {
      this.healed.add(what)
      const text =
        what === 'old-copy'
          ? 'This device started from an older copy. Its changes were put in order; nothing is lost.'
          : 'Two copies of one device were found. Their changes were put in order; nothing is lost.'
      void notes.say('fork-healed', text)
      emit({ type: 'status' })
    }
    replica.events.ended = (how) => {
      const [code, text] = ENDED[how]
      void notes.say(code, text)
      emit({ type: 'cases', ids: null })
    }
    this.openReplica = replica
  }

  private failed(what: string, error: unknown): void {
    this.options.log(`${what}: ${error instanceof Error ? error.stack : error}`)
    if (error instanceof DamagedError) this.options.rotten()
  }

  /** Whether this folder was at home elsewhere when its keys were made. */
  private async isElsewhere(replica: Replica): Promise<boolean> {
    const { notes, binding, db } = this.options
    const home = await notes.read<string>('home')
    if (home !== undefined) return home !== binding
    const first = replica.isMoved ? replica.meta.binding : binding
    // Nothing depends on it but who goes first: a disk that takes nothing must not stop the start.
    if (db.newerVersion === undefined) await notes.saveDurably('home', first).catch(() => {})
    return first !== binding
  }

  /** This start, or one that was broken off, has made a device of its own of a copied folder. */
  private async sayEnrolled(): Promise<void> {
    const { notes, db } = this.options
    const name = await notes.read<string>(ENROLLED)
    if (!name || db.newerVersion !== undefined) return
    await notes.say(
      'copy-enrolled',
      `This is a copy of another device's data. It now counts as a device of its own, "${name}".`,
    )
    await notes.saveDurably(ENROLLED, '').catch(() => {})
  }

  private async startPeers(): Promise<void> {
    if (!this.host || !this.driver || this.peers) return
    this.host.onTwin(() => this.twins?.seen())
    const { identity, keeper, notes, now } = this.options
    this.peers = new Peers({
      host: this.host,
      driver: this.driver,
      ed: identity.ed,
      others: () => keeper.others(),
      known: notes.peers,
      now,
      changed: () => void notes.savePeersLightly(),
    })
    await this.peers.start()
    if (!this.mail) return
    this.mailboxes = new Mailboxes({
      host: this.host,
      mail: this.mail,
      keeper,
      notes,
      timers,
      ed: identity.ed,
      meetingRelays: () => this.meetingRelays,
      status: () => this.options.emit({ type: 'status' }),
    })
    await this.mailboxes.start()
  }

  /** Another device's roster, or a relay's. */
  async applyRoster(entries: Uint8Array[]): Promise<boolean> {
    const { keeper, emit } = this.options
    const before = keeper.isLeftOut
    const changed = await keeper.apply(entries)
    if (keeper.isLeftOut !== before) emit({ type: 'status' })
    if (!changed) return false
    this.peers?.rosterChanged()
    this.mail?.rosterChanged()
    this.mailboxes?.apply()
    this.options.emit({ type: 'status' })
    return true
  }

  /** What was typed last goes to the mailbox before this device is gone, if that is soon done. */
  private async leaveMail(): Promise<void> {
    const { mail, mailboxes } = this
    if (!mail || !mailboxes?.isOn) return
    await mail.whenDelivered(STOP_MAIL_MS)
  }

  get hasPractice(): boolean {
    return this.openReplica !== undefined
  }

  /** The open store, or a refusal. */
  replica(): Replica {
    if (!this.openReplica) throw noPractice()
    return this.openReplica
  }

  state(): RosterState {
    const state = this.options.keeper.current
    if (!state) throw noPractice()
    return state
  }

  /** A change of the roster that was made here: sessions and the window learn of it. */
  rosterChanged(): void {
    this.peers?.rosterChanged()
    this.driver?.rosterChanged()
    this.mail?.rosterChanged()
    this.mailboxes?.apply()
    this.options.emit({ type: 'status' })
  }

  /** How many changes a device is not known to hold; undefined while nothing is known of it. */
  behind(device: Uint8Array): number | undefined {
    const theirs = this.driver?.frontierOf(device)
    if (!theirs || !this.openReplica) return undefined
    // What is only jotted down is held by nobody else. [S6]
    let behind = this.openReplica.docs.jotted
    for (const log of this.openReplica.logs.all()) behind += Math.max(0, log.seq - (theirs.get(log.log) ?? 0))
    return behind
  }

  /** Devices that are known to hold everything of this case, this one first. */
  heldBy(state: CaseState): string[] {
    const { identity, keeper } = this.options
    const isHere = this.openReplica?.docs.isJotted(state.caseId)
    const others = (isHere ? [] : keeper.others()).filter((device) => {
      const theirs = this.driver?.frontierOf(device)
      return theirs !== undefined && [...state.touched].every(([log, seq]) => seq <= (theirs.get(log) ?? 0))
    })
    return [identity.ed, ...others].map(publicKeyToPeerId)
  }

  /** Hex of the key of a device of this practice, by its id. */
  deviceByPeerId(id: string): Uint8Array | undefined {
    const { members } = this.state().roster
    return members.map(({ ed }) => ed).find((ed) => publicKeyToPeerId(ed) === id)
  }

  async close(): Promise<void> {
    this.isClosing = true
    this.stopWaiting()
    await this.online.catch(() => {})
    this.joins.close()
    this.invites.close()
    this.peers?.stop()
    if (this.options.db.newerVersion === undefined) {
      await this.openReplica?.docs.settle()
      await this.driver?.whenQuiet().catch(() => {})
      await this.leaveMail().catch(() => {})
    }
    this.mailboxes?.stop()
    await this.mail?.stop()
    await this.driver?.stop()
    await this.options.notes.savePeers()
    await this.openReplica?.close()
    await this.host?.stop()
  }
}

function noPractice(): Refused {
  return new Refused('no-practice', 'There is no practice here yet. Create one, or join your other devices.')
}
