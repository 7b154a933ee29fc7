/** A relay's session without a store: what it refuses, and what it asks of its surroundings. */
import { describe, expect, test } from 'vitest'
import { MailboxSession } from '../../src/protocol/mailbox.js'
import {
  GREET_TIMEOUT_MS,
  MAX_CHAIN_BYTES,
  MAX_ENVELOPE_BYTES,
  MAX_IDS,
  MAX_NOTICE_BYTES,
  MAX_RECIPIENTS,
  MAX_REPLACES,
  MAX_UNANSWERED,
  MAX_UNANSWERED_BYTES,
} from '../../src/protocol/mailbox-limits.js'
import { betterRoster } from '../../src/protocol/mailbox-roster.js'
import type { MailboxEffect, MailboxEvent } from '../../src/protocol/mailbox-types.js'
import type { MailFrameKind } from '../../src/protocol/mailbox-wire.js'
import type { Roster } from '../../src/protocol/roster.js'
import { resolveFork } from '../../src/protocol/roster-fork.js'
import { changeSettings, removeDevices } from '../../src/protocol/roster-write.js'
import { enrol, genesis, makeDevice, must, natives, writing } from './roster-helpers.js'
import { seededRandom } from './vectors.js'

const random = seededRandom('mailbox-session')
const [desk, laptop, stranger] = ['Desk', 'Laptop', 'Stranger'].map((name) => makeDevice(random, name))
const alone = genesis(random, desk!)
const both = enrol(random, alone, desk!, laptop!)
const other = genesis(random, stranger!)
const renamed = (by = desk!) =>
  must(changeSettings(writing(random, both, by), { practiceName: 'Other' })).roster

type Value<K extends MailFrameKind['$case']> = Extract<MailFrameKind, { $case: K }>['value']

class Machine {
  readonly session: MailboxSession
  now = 0

  constructor(device = desk!) {
    this.session = new MailboxSession({ natives, device: device.ed, now: this.now })
  }

  step(event: MailboxEvent): MailboxEffect[] {
    return this.session.step(event)
  }

  tick(now: number): MailboxEffect[] {
    return this.step({ kind: 'tick', now })
  }

  say<K extends MailFrameKind['$case']>($case: K, value: Value<K>): MailboxEffect[] {
    return this.step({ kind: 'frame', frame: { $case, value } as MailFrameKind, now: this.now })
  }

  greet(practice = both.practiceId): MailboxEffect[] {
    return this.say('greet', { oldest: 1, newest: 1, practice, rosterHead: both.head })
  }

  load(roster: Roster | undefined): MailboxEffect[] {
    return this.step({ kind: 'loaded', roster, sequence: 3, incarnation: random(16) })
  }

  /** Greeted, and known here by `roster`. */
  known(roster = both): this {
    this.greet()
    this.load(roster)
    return this
  }

  /** Greeted, by somebody whose practice isn't known here. */
  unknown(): this {
    this.greet()
    this.load(undefined)
    return this
  }
}

const refusal = (effects: MailboxEffect[]) =>
  effects.flatMap((effect) =>
    effect.kind === 'send' && effect.frame.$case === 'refuse' ? [effect.frame.value.code] : [],
  )
const answers = (effects: MailboxEffect[]) =>
  effects.flatMap((effect) => (effect.kind === 'send' ? [effect.frame.$case] : [effect.kind]))
const errors = (effects: MailboxEffect[]) =>
  effects.flatMap((effect) =>
    effect.kind === 'send' && effect.frame.$case === 'done' ? [effect.frame.value.error] : [],
  )

const id = random(16)
const sound: Value<'deposit'> = {
  number: 1,
  id,
  recipients: [laptop!.ed],
  replaces: [],
  envelope: random(50),
}

describe('before the greeting', () => {
  test('anything else is malformed, and ends the session', () => {
    const machine = new Machine()
    expect(refusal(machine.say('collect', { after: 0 }))).toEqual(['malformed'])
    expect(machine.session.isClosed).toBe(true)
    expect(machine.greet()).toEqual([])
  })

  test('so is a practice id of another length, and what can’t be read', () => {
    expect(refusal(new Machine().greet(random(31)))).toEqual(['malformed'])
    expect(refusal(new Machine().step({ kind: 'frame', frame: undefined, now: 0 }))).toEqual(['malformed'])
  })

  test('nothing further is taken before it is clear who asks', () => {
    const machine = new Machine()
    expect([machine.session.ready, machine.session.isClosed]).toEqual([true, false])
    expect(machine.greet()).toEqual([{ kind: 'load', practice: both.practiceId }])
    expect(machine.session.ready).toBe(false)
    expect(refusal(machine.say('collect', { after: 0 }))).toEqual(['malformed'])
  })

  test('an answer to a question of the relay’s is taken silently', () => {
    expect(new Machine().say('alive', { number: 1, answer: true })).toEqual([])
  })

  test('[B1] who isn’t known has its ten seconds from the greeting on, whenever that came; a member has no end', () => {
    const late = new Machine(stranger)
    expect(late.tick(GREET_TIMEOUT_MS - 1)).toEqual([])
    late.now = GREET_TIMEOUT_MS - 1
    late.known()
    expect(late.tick(late.now + GREET_TIMEOUT_MS - 1)).toEqual([])
    expect(refusal(late.tick(late.now + GREET_TIMEOUT_MS))).toEqual(['refused'])
    expect(new Machine().known().tick(2 * GREET_TIMEOUT_MS)).toEqual([])
  })

  test('mail and rosters of a practice that nobody has shown to be of are not told', () => {
    const machine = new Machine(stranger).known()
    expect(machine.session.isMember).toBe(false)
    expect(machine.step({ kind: 'mail' })).toEqual([])
    expect(machine.step({ kind: 'roster', roster: renamed() })).toEqual([])
  })
})

describe('requests of a member', () => {
  const many = (count: number) => Array.from({ length: count }, () => id)
  const cases: [string, MailFrameKind, string][] = [
    ['DEPOSIT with a short id', { $case: 'deposit', value: { ...sound, id: random(15) } }, 'malformed'],
    [
      'DEPOSIT that replaces a short id',
      { $case: 'deposit', value: { ...sound, replaces: [id, random(15)] } },
      'malformed',
    ],
    [
      'DEPOSIT that replaces too much',
      { $case: 'deposit', value: { ...sound, replaces: many(MAX_REPLACES + 1) } },
      'malformed',
    ],
    [
      'DEPOSIT for too many',
      {
        $case: 'deposit',
        value: { ...sound, recipients: Array.from({ length: MAX_RECIPIENTS + 1 }, () => laptop!.ed) },
      },
      'malformed',
    ],
    [
      'DEPOSIT of nothing',
      { $case: 'deposit', value: { ...sound, envelope: new Uint8Array(0) } },
      'malformed',
    ],
    [
      'DEPOSIT for a short key',
      { $case: 'deposit', value: { ...sound, recipients: [laptop!.ed, random(31)] } },
      'malformed',
    ],
    ['DEPOSIT for nobody', { $case: 'deposit', value: { ...sound, recipients: [] } }, 'malformed'],
    [
      'DEPOSIT for oneself alone',
      { $case: 'deposit', value: { ...sound, recipients: [desk!.ed, desk!.ed] } },
      'malformed',
    ],
    [
      'DEPOSIT for a stranger',
      { $case: 'deposit', value: { ...sound, recipients: [laptop!.ed, stranger!.ed] } },
      'not-member',
    ],
    [
      'ACK of too many',
      { $case: 'ack', value: { number: 1, ids: many(MAX_IDS + 1), notice: new Uint8Array(0) } },
      'malformed',
    ],
    [
      'ACK of a short id',
      { $case: 'ack', value: { number: 1, ids: [id, random(17)], notice: new Uint8Array(0) } },
      'malformed',
    ],
    [
      'ACK with a long notice',
      { $case: 'ack', value: { number: 1, ids: [], notice: new Uint8Array(MAX_NOTICE_BYTES + 1) } },
      'too-large',
    ],
  ]
  test.each(cases)('%s changes nothing, and is told apart', (_name, frame, error) => {
    const machine = new Machine().known()
    const effects = machine.step({ kind: 'frame', frame, now: 0 })
    expect(errors(effects)).toEqual([error])
    expect(effects).toHaveLength(1)
    expect(machine.session.isMember).toBe(true)
  })

  const ends: [string, MailFrameKind][] = [
    ['COLLECT from a number beyond all', { $case: 'collect', value: { after: 2 ** 60 } }],
    ['CHECK for a short key', { $case: 'check', value: { number: 1, recipient: random(31), ids: [] } }],
    [
      'CHECK of too many',
      { $case: 'check', value: { number: 1, recipient: laptop!.ed, ids: many(MAX_IDS + 1) } },
    ],
    [
      'CHECK of a short id',
      { $case: 'check', value: { number: 1, recipient: laptop!.ed, ids: [id, random(15)] } },
    ],
    [
      'a second GREET',
      { $case: 'greet', value: { oldest: 1, newest: 1, practice: both.practiceId, rosterHead: both.head } },
    ],
    ['what only relays say', { $case: 'notices', value: { notices: [] } }],
  ]
  test.each(ends)('%s ends the session', (_name, frame) => {
    expect(refusal(new Machine().known().step({ kind: 'frame', frame, now: 0 }))).toEqual(['malformed'])
  })

  test('the longest that are allowed are asked of the store', () => {
    const machine = new Machine().known()
    expect(
      machine.say('ack', { number: 1, ids: many(MAX_IDS), notice: new Uint8Array(MAX_NOTICE_BYTES) }),
    ).toMatchObject([{ kind: 'ack' }])
    expect(machine.say('check', { number: 2, recipient: laptop!.ed, ids: many(MAX_IDS) })).toMatchObject([
      { kind: 'check' },
    ])
    const longest = {
      ...sound,
      recipients: Array.from({ length: MAX_RECIPIENTS }, () => laptop!.ed),
      replaces: many(MAX_REPLACES),
      envelope: new Uint8Array(MAX_ENVELOPE_BYTES),
    }
    expect(machine.say('deposit', longest)).toMatchObject([{ kind: 'deposit' }])
  })

  test('[B3] a recipient that is named twice is one; the depositor may be among them', () => {
    const machine = new Machine().known()
    const recipients = [laptop!.ed, desk!.ed, laptop!.ed]
    expect(machine.say('deposit', { ...sound, recipients })).toMatchObject([
      { kind: 'deposit', deposit: { recipients: [laptop!.ed, desk!.ed] } },
    ])
  })

  test('[B9] LEAVE takes back what was asked for: no mail follows it', () => {
    const machine = new Machine().known()
    expect(machine.say('collect', { after: 0 })).toEqual([{ kind: 'collect', after: 0 }])
    machine.say('leave', { number: 5 })
    expect(machine.step({ kind: 'batch', mails: [], end: true })).toEqual([])
    expect(machine.step({ kind: 'mail' })).toEqual([])
  })

  test('[B9] what comes behind LEAVE does not undo it', () => {
    const machine = new Machine().known()
    expect(machine.say('leave', { number: 5 })).toEqual([{ kind: 'leave', number: 5 }])
    expect(machine.say('collect', { after: 0 })).toEqual([])
    expect(machine.say('ack', { number: 6, ids: [id], notice: random(9) })).toEqual([])
    expect(machine.say('deposit', sound)).toEqual([])
    expect(machine.say('alive', { number: 7, answer: false })).toMatchObject([{ kind: 'send' }])
    expect(machine.step({ kind: 'done', number: 5, error: '', sequence: 0, bytes: 0 })).toMatchObject([
      { frame: { $case: 'done', value: { number: 5 } } },
    ])
  })

  test('[B5] what came while an empty batch was read is looked at before "nothing more" is said', () => {
    const machine = new Machine().known()
    machine.say('collect', { after: 7 })
    expect(machine.step({ kind: 'mail' })).toEqual([])
    expect(machine.step({ kind: 'batch', mails: [], end: true })).toEqual([{ kind: 'collect', after: 7 }])
    const batch = { $case: 'batch', value: { mails: [], end: true } }
    expect(machine.step({ kind: 'batch', mails: [], end: true })).toMatchObject([{ frame: batch }])
    // Said once; then the next mail is waited for.
    machine.step({ kind: 'mail' })
    expect(machine.step({ kind: 'batch', mails: [], end: true })).toEqual([])
    expect(machine.step({ kind: 'mail' })).toEqual([{ kind: 'collect', after: 7 }])
    const mail = { id, sequence: 8, depositor: laptop!.ed, envelope: random(9) } as never
    expect(machine.step({ kind: 'batch', mails: [mail], end: true })).toMatchObject([
      { lane: 'bulk', frame: { value: { mails: [mail], end: true } } },
    ])
    // The grant is used up.
    expect(machine.step({ kind: 'mail' })).toEqual([])
  })

  test('[B5] mail that came while a batch was read makes it not the last', () => {
    const machine = new Machine().known()
    machine.say('collect', { after: 0 })
    machine.step({ kind: 'mail' })
    const mail = { id, sequence: 8, depositor: laptop!.ed, envelope: random(9) } as never
    expect(machine.step({ kind: 'batch', mails: [mail], end: true })).toMatchObject([
      { frame: { value: { end: false } } },
    ])
  })

  test('[B5] a COLLECT from elsewhere while a batch is read: that batch is passed over, and it is read from there', () => {
    const machine = new Machine().known()
    const mail = { id, sequence: 8, depositor: laptop!.ed, envelope: random(9) } as never
    machine.say('collect', { after: 7 })
    expect(machine.say('collect', { after: 0 })).toEqual([])
    expect(machine.step({ kind: 'batch', mails: [mail], end: true })).toEqual([{ kind: 'collect', after: 0 }])
    expect(machine.step({ kind: 'batch', mails: [mail], end: true })).toMatchObject([
      { frame: { value: { mails: [mail], end: true } } },
    ])
  })

  test('what the store says to CHECK and ASK goes back, ahead of mail', () => {
    const machine = new Machine().known()
    machine.say('check', { number: 4, recipient: laptop!.ed, ids: [id] })
    expect(machine.step({ kind: 'missing', number: 4, ids: [id] })).toEqual([
      { kind: 'send', lane: 'live', frame: { $case: 'missing', value: { number: 4, ids: [id] } } },
    ])
    machine.say('ask', { number: 5 })
    const waiting = [{ recipient: laptop!.ed, count: 1, bytes: 2, oldest: 3 }]
    expect(machine.step({ kind: 'inventory', number: 5, waiting, bytes: 2, quota: 9 })).toEqual([
      {
        kind: 'send',
        lane: 'live',
        frame: { $case: 'inventory', value: { number: 5, waiting, bytes: 2, quota: 9 } },
      },
    ])
  })

  test('[B12] no more than a bounded number is taken before the store has answered', () => {
    const machine = new Machine().known()
    let taken = 0
    while (machine.session.ready && taken < 10_000) machine.say('ask', { number: ++taken })
    expect(taken).toBe(MAX_UNANSWERED)
    machine.step({ kind: 'inventory', number: 1, waiting: [], bytes: 0, quota: 1 })
    expect(machine.session.ready).toBe(true)
    machine.say('ask', { number: ++taken })
    machine.step({ kind: 'missing', number: 2, ids: [] })
    machine.step({ kind: 'missing', number: 3, ids: [] })
    expect(machine.session.ready).toBe(true)
  })

  test('[B12] nor more than a bounded number of bytes', () => {
    const machine = new Machine().known()
    let number = 0
    const envelope = new Uint8Array(MAX_UNANSWERED_BYTES / 4)
    while (machine.session.ready && number < 10_000)
      machine.say('deposit', { ...sound, number: ++number, envelope })
    expect(number).toBe(4)
    const answer = { kind: 'done', number: 1, error: '', sequence: 1, bytes: envelope.length } as const
    expect(machine.step(answer)).toMatchObject([
      { frame: { $case: 'done', value: { number: 1, sequence: 1 } } },
    ])
    expect(machine.session.ready).toBe(true)
  })

  test('the store’s reason to end is passed on', () => {
    expect(refusal(new Machine().known().step({ kind: 'end', code: 'failed' }))).toEqual(['failed'])
  })
})

describe('[B8] rosters', () => {
  test('who belongs only in a branch that has lost is shown the one that stands, and is refused', () => {
    const phone = makeDevice(random, 'phone')
    // Two branches, each begun by the desk: chance says which one stands.
    const branches = [laptop!, phone].map((device) => ({
      device,
      roster: enrol(random, alone, desk!, device),
    }))
    const [a, b] = branches as [(typeof branches)[0], (typeof branches)[0]]
    const [lost, standing] = resolveFork(natives, a.roster, b.roster) === 'mine' ? [b, a] : [a, b]
    const show = (device: typeof phone, held: Roster, shown: Roster) =>
      answers(new Machine(device).known(held).say('chain', { entries: [...shown.entries] }))
    expect(show(lost.device, standing.roster, lost.roster)).toEqual(['chain', 'refuse', 'close'])
    // Nobody else is: no stranger, and nobody whom a device has added that was removed.
    expect(show(stranger!, standing.roster, lost.roster)).toEqual(['refuse', 'close'])
    const removed = must(
      removeDevices(writing(random, standing.roster, standing.device), { ids: [desk!.ed], cuts: [] }),
    ).roster
    expect(show(lost.device, removed, lost.roster)).toEqual(['refuse', 'close'])
  })

  test('a chain that is no better is answered by the head that is held', () => {
    const machine = new Machine().known()
    expect(machine.say('chain', { entries: [...alone.entries] })).toMatchObject([
      { frame: { $case: 'head', value: { head: both.head } } },
    ])
    expect(machine.say('chain', { entries: [] })).toMatchObject([
      { frame: { $case: 'chain', value: { entries: [...both.entries] } } },
    ])
  })

  test('who was overtaken by another with the same chain is in', () => {
    const machine = new Machine().unknown()
    const adopt = machine.say('chain', { entries: [...both.entries] })
    expect(adopt).toMatchObject([{ kind: 'adopt', expected: new Uint8Array(0) }])
    expect(machine.session.ready).toBe(false)
    machine.step({ kind: 'roster', roster: both })
    expect(answers(machine.step({ kind: 'adopted', outcome: 'conflict' }))).toEqual(['head', 'join'])
    expect(machine.session.isMember).toBe(true)
  })

  test('a member that was overtaken by a worse chain shows its own again', () => {
    const machine = new Machine().known(alone)
    const better = renamed()
    machine.say('chain', { entries: [...better.entries] })
    machine.step({ kind: 'roster', roster: both })
    expect(machine.step({ kind: 'adopted', outcome: 'conflict' })).toMatchObject([
      { kind: 'adopt', expected: both.head, roster: { head: better.head } },
    ])
    // Whoever brought it hears its head, and no more.
    expect(machine.step({ kind: 'roster', roster: better })).toEqual([])
    expect(machine.step({ kind: 'adopted', outcome: 'ok' })).toMatchObject([
      { frame: { $case: 'head', value: { head: better.head } } },
    ])
  })

  test.each(['refused', 'busy', 'failed'] as const)(
    'a chain that is not taken ends the session: %s',
    (outcome) => {
      const machine = new Machine().unknown()
      machine.say('chain', { entries: [...both.entries] })
      expect(refusal(machine.step({ kind: 'adopted', outcome }))).toEqual([outcome])
    },
  )

  test('a stranger whose chain stands without naming it is refused', () => {
    const machine = new Machine(stranger).unknown()
    expect(refusal(machine.say('chain', { entries: [...both.entries] }))).toEqual(['refused'])
  })

  test('so is whoever shows what is no chain, for a practice that is known and for one that isn’t', () => {
    for (const machine of [new Machine(stranger).known(), new Machine(stranger).unknown()])
      expect(answers(machine.say('chain', { entries: [random(200)] }))).toEqual(['refuse', 'close'])
  })

  test('a practice that is gone, or that removed the device, ends its session', () => {
    expect(refusal(new Machine().known().step({ kind: 'roster', roster: undefined }))).toEqual(['refused'])
    const context = writing(random, both, laptop!)
    const without = must(removeDevices(context, { ids: [desk!.ed], cuts: [] })).roster
    expect(refusal(new Machine().known().step({ kind: 'roster', roster: without }))).toEqual(['refused'])
    const machine = new Machine().unknown()
    machine.say('chain', { entries: [...both.entries] })
    machine.step({ kind: 'roster', roster: without })
    expect(refusal(machine.step({ kind: 'adopted', outcome: 'ok' }))).toEqual(['refused'])
  })

  test('the others hear of a roster once', () => {
    const machine = new Machine().known()
    expect(machine.step({ kind: 'roster', roster: both })).toEqual([])
    const next = renamed()
    expect(answers(machine.step({ kind: 'roster', roster: next }))).toEqual(['chain'])
  })

  test('only a better chain of the same practice counts', () => {
    const { practiceId } = both
    expect(betterRoster(natives, practiceId, both, [])).toBeUndefined()
    expect(betterRoster(natives, practiceId, undefined, other.entries)).toBeUndefined()
    expect(betterRoster(natives, practiceId, both, other.entries)).toBeUndefined()
    expect(betterRoster(natives, practiceId, both, both.entries)).toBeUndefined()
    expect(betterRoster(natives, practiceId, undefined, both.entries)?.head).toEqual(both.head)
    expect(betterRoster(natives, practiceId, undefined, both.entries.slice(1))).toBeUndefined()
    const [one, two] = [renamed(), renamed(laptop)]
    const wins = betterRoster(natives, practiceId, one, two.entries)
    const loses = betterRoster(natives, practiceId, two, one.entries)
    expect([wins?.head, loses?.head].filter((head) => head)).toHaveLength(1)
    // A fork of which the rest of the chain is broken.
    for (const [held, { entries }] of [
      [one, two],
      [two, one],
    ] as const)
      expect(betterRoster(natives, practiceId, held, [...entries, random(200)])).toBeUndefined()
  })

  test('[B12] nothing of a chain that is too long is looked at', () => {
    const unused = new Proxy(natives, {
      get: () => {
        throw new Error('it is looked at')
      },
    })
    const padded = (bytes: number) => [...both.entries, new Uint8Array(bytes)]
    expect(betterRoster(unused, both.practiceId, both, padded(MAX_CHAIN_BYTES))).toBeUndefined()
    expect(() => betterRoster(unused, both.practiceId, both, padded(9))).toThrow('it is looked at')
  })
})
