/** One mail session with a relay and a store of the test's own: what it asks for is seen, nothing is done by itself. */
import { nodeNatives } from '../../src/node/natives.js'
import { equalBytes, toHex } from '../../src/protocol/bytes.js'
import { MailSession } from '../../src/protocol/mail.js'
import { MailLedger } from '../../src/protocol/mail-ledger.js'
import type { RosterView } from '../../src/protocol/mail-opening.js'
import type { Survey } from '../../src/protocol/mail-plan.js'
import type { Heard, MailEffect, MailEvent, MailTimer, Written } from '../../src/protocol/mail-types.js'
import type { Deposit, Mail } from '../../src/protocol/mailbox.gen.js'
import { decodeMailFrame, type MailFrameKind } from '../../src/protocol/mailbox-wire.js'
import type { Roster } from '../../src/protocol/roster.js'
import { enrol, genesis, makeDevice } from '../protocol/roster-helpers.js'
import { seeded } from './random.js'

const device = (n: number) => n.toString(16).padStart(2, '0').repeat(32)
export const logId = (n: number) => n.toString(16).padStart(2, '0').repeat(16)
export const mailId = (n: number) => new Uint8Array(16).fill(n)
export const INCARNATION = new Uint8Array(16).fill(5)
export const [SELF, FAR, THIRD] = [device(1), device(2), device(3)] as const
export const NOTHING = new Uint8Array(0)
/** Stands for a sealed word. */
export const WORD = new Uint8Array(600).fill(9)

const random = seeded(44).bytes
export const OFFICE = makeDevice(random, 'Office')
/** A roster of one device, and what it was when a second one had joined. */
export const BEGUN = genesis(random, OFFICE)
export const ROSTER = enrol(random, BEGUN, OFFICE, makeDevice(random, 'Laptop'))

export const mailOf = (sequence: number): Mail => ({
  sequence,
  id: mailId(sequence),
  depositor: NOTHING,
  envelope: new Uint8Array(600).fill(sequence),
})

/** Everything that a session asked for, the newest last; `take…` removes what it gives. */
export class SessionBench {
  readonly ledger: MailLedger
  readonly machine: MailSession
  readonly effects: MailEffect[] = []
  readonly timers = new Map<MailTimer, number>()
  sequence = 0
  survey: Survey = {
    now: 0,
    self: SELF,
    logs: [{ log: logId(10), seq: 5, device: SELF }],
    recipients: [{ device: FAR, known: new Map(), counter: 0, connected: false }],
    near: [],
  }

  constructor(
    public roster: Roster = ROSTER,
    given: { ledger?: MailLedger; visit?: 'empty' | 'leave' } = {},
  ) {
    this.ledger = given.ledger ?? new MailLedger({ incarnation: INCARNATION, sequence: 0, rows: new Map() })
    const view: RosterView = {
      head: () => this.roster.head,
      knows: (head) => this.roster.hashes.some((hash) => equalBytes(hash, head)),
      entries: () => [...this.roster.entries],
    }
    this.machine = new MailSession({
      natives: nodeNatives,
      practice: roster.practiceId,
      roster: view,
      ledger: this.ledger,
      visit: given.visit,
    })
    this.note(this.machine.start())
  }

  private note(effects: MailEffect[]): MailEffect[] {
    this.effects.push(...effects)
    for (const effect of effects) {
      if (effect.type === 'arm') this.timers.set(effect.name, effect.ms)
      if (effect.type === 'disarm') this.timers.delete(effect.name)
    }
    return effects
  }

  step(event: MailEvent): MailEffect[] {
    return this.note(this.machine.step(event))
  }

  frame(frame: MailFrameKind): MailEffect[] {
    return this.step({ type: 'frame', frame })
  }

  /** A timer that is armed goes off. */
  fire(name: MailTimer): MailEffect[] {
    if (!this.timers.delete(name)) throw new Error(`${name} is not armed`)
    return this.step({ type: 'timer', name })
  }

  welcome(rosterHead = this.roster.head, version = 1, incarnation = INCARNATION): MailEffect[] {
    const { sequence } = this
    return this.frame({
      $case: 'welcome',
      value: { version, incarnation, rosterHead, sequence, maxEnvelopeBytes: 0 },
    })
  }

  batch(mails: Mail[], end = true): MailEffect[] {
    return this.frame({ $case: 'batch', value: { mails, end } })
  }

  done(number: number, error = '', sequence = ++this.sequence): MailEffect[] {
    return this.frame({ $case: 'done', value: { number, error, sequence } })
  }

  /** Greeted, with an empty mailbox collected, and the first look at who lacks what due. */
  ready(): this {
    this.welcome()
    this.batch([])
    return this
  }

  /** A look at who lacks what, answered. Gives what follows from it. */
  look(): MailEffect[] {
    if (this.timers.has('gather')) this.fire('gather')
    if (!this.take('survey')) throw new Error('nothing is looked at')
    return this.step({ type: 'surveyed', survey: this.survey })
  }

  written(log = logId(10), from = 0, to = 5, pruned: string[] = [], bytes = 600): MailEffect[] {
    const check = new Uint8Array(8)
    const ranges = to > from ? [{ log, from, fromCheck: check, to, toCheck: check }] : []
    const written: Written = { envelope: new Uint8Array(bytes), id: mailId(100 + to), ranges, pruned }
    return this.step({ type: 'written', written })
  }

  /** All messages sent so far that were not taken yet. */
  sent(): MailFrameKind[] {
    return this.effects.flatMap((effect) => (effect.type === 'send' ? [decodeMailFrame(effect.bytes)!] : []))
  }

  /** The oldest message of a kind, once. */
  takeSent<K extends MailFrameKind['$case']>(
    kind: K,
  ): Extract<MailFrameKind, { $case: K }>['value'] | undefined {
    const at = this.effects.findIndex(
      (effect) => effect.type === 'send' && decodeMailFrame(effect.bytes)?.$case === kind,
    )
    if (at < 0) return undefined
    const [effect] = this.effects.splice(at, 1)
    return decodeMailFrame((effect as { bytes: Uint8Array }).bytes)!.value as never
  }

  deposit(): Deposit {
    const deposit = this.takeSent('deposit')
    if (!deposit) throw new Error('nothing was deposited')
    return deposit
  }

  /** The oldest effect of a kind, once. */
  take<K extends MailEffect['type']>(type: K): Extract<MailEffect, { type: K }> | undefined {
    const at = this.effects.findIndex((effect) => effect.type === type)
    return at < 0 ? undefined : (this.effects.splice(at, 1)[0] as Extract<MailEffect, { type: K }>)
  }

  forget(): this {
    this.effects.length = 0
    return this
  }

  heard(given: Partial<Heard> = {}): MailEffect[] {
    const heard: Heard = {
      device: FAR,
      known: new Map(),
      unusable: [],
      counter: 1,
      fresh: true,
      left: undefined,
      incarnation: INCARNATION,
      ...given,
    }
    return this.step({ type: 'heard', heard })
  }

  get waiting(): string[] {
    return this.ledger.row(FAR).live.flatMap(({ ids }) => ids.map(toHex))
  }
}
