import { describe, expect, test } from 'vitest'
import { fromHex, toHex } from '../../src/protocol/bytes.js'
import { MAX_ADDRESSES, OLDEST_SYNC_VERSION, SYNC_VERSION } from '../../src/protocol/limits.js'
import type { Item, Statement } from '../../src/protocol/sync.gen.js'
import { ALIVE_MS, STRANGER_MS } from '../../src/protocol/sync.js'
import type { SyncEvent } from '../../src/protocol/sync-types.js'
import { claimToWire, cutToWire, type FrameKind } from '../../src/protocol/wire.js'
import { change, makeKeys, TestLog } from '../support/logs.js'
import { seeded } from '../support/random.js'
import { heldLog, helloOf, Machine, PRACTICE, summaryOf } from '../support/session.js'

const random = seeded(31)
const log = new TestLog(PRACTICE, makeKeys(random), random).add(change(), change(), change())
const other = new TestLog(PRACTICE, makeKeys(random), random).add(change(), change())
const held = summaryOf([heldLog(log), heldLog(other)])

describe('[X1] the first HELLO', () => {
  test('waits for a summary, which is taken after a flush; nothing is sent before', () => {
    const machine = new Machine().start()
    expect(machine.last).toEqual([{ type: 'summarise' }, { type: 'arm', name: 'alive', ms: ALIVE_MS }])
  })

  test('announces exactly the summary, and wants an answer', () => {
    const machine = new Machine().start().step({ type: 'summary', summary: held })
    expect(machine.sent('hello')).toEqual([helloOf(held, { round: 1, answers: 0 }).value])
    expect(machine.last).toHaveLength(1)
  })

  test('a HELLO is never built from an old summary: each one asks for a fresh one first', () => {
    const machine = new Machine().greet(held, held)
    machine.receive(helloOf(held, { round: 2 }))
    expect(machine.last).toEqual([{ type: 'summarise' }])
  })
})

describe('two devices that hold the same', () => {
  test('need one HELLO each: the first ones answer each other, and nothing follows', () => {
    const machine = new Machine().greet(held, held)
    expect(machine.effects('round')).toEqual([
      { type: 'round', rounds: [], equal: true, complete: true, peerHasMore: false },
    ])
    expect(machine.effects('send', machine.all).map(({ kind }) => kind)).toEqual(['hello'])
    expect(machine.effects('judge', machine.all)).toEqual([])
    expect(machine.effects('readChanges', machine.all)).toEqual([])
  })

  test('it makes no difference whose HELLO comes first', () => {
    const machine = new Machine().start().receive(helloOf(held))
    expect(machine.last).toEqual([])
    machine.step({ type: 'summary', summary: held })
    expect(machine.kinds).toEqual(['hello'])
    expect(machine.effects('round')).toMatchObject([{ equal: true }])
  })

  test('tell what each is known to hold durably, all of it anew [X3]', () => {
    const machine = new Machine().greet(held, held)
    const [known] = machine.effects('peerHolds')
    expect(known?.all).toBe(true)
    expect(known?.claims.map(({ log, seq }) => [log, seq])).toEqual(
      held.open.map(({ log, seq }) => [log, seq]),
    )
  })

  test.each([
    [true, true, true],
    [true, false, false],
    [false, true, false],
  ])('are in sync only if both have nothing unclaimed or damaged (%s, %s)', (mine, theirs, both) => {
    const machine = new Machine().greet({ ...held, complete: mine }, { ...held, complete: theirs })
    expect(machine.effects('round')).toMatchObject([{ equal: true, complete: both }])
  })
})

describe('rounds', () => {
  const ask: SyncEvent = { type: 'roundAsked', round: 77 }

  test('asking sends a HELLO that wants an answer; the round ends with that answer', () => {
    const machine = new Machine().greet(held, held).step(ask)
    expect(machine.last).toEqual([{ type: 'summarise' }])
    machine.step({ type: 'summary', summary: held })
    expect(machine.sent('hello')).toMatchObject([{ round: 2, answers: 0 }])
    machine.receive(helloOf(held, { round: 0, answers: 1 })).step({ type: 'summary', summary: held })
    expect(machine.effects('round')).toMatchObject([{ rounds: [] }])
    machine.receive(helloOf(held, { round: 0, answers: 2 })).step({ type: 'summary', summary: held })
    expect(machine.effects('round')).toMatchObject([{ rounds: [77], equal: true }])
  })

  test('each ends with the answer to its own HELLO, and once', () => {
    const machine = new Machine().greet(held, held).step(ask).step({ type: 'summary', summary: held })
    machine.step({ type: 'roundAsked', round: 78 })
    expect(machine.step({ type: 'summary', summary: held }).sent('hello')).toMatchObject([{ round: 3 }])
    const ended = (answers: number) =>
      machine
        .receive(helloOf(held, { round: 0, answers }))
        .step({ type: 'summary', summary: held })
        .effects('round')
        .flatMap(({ rounds }) => rounds)
    expect([ended(2), ended(2), ended(3), ended(3)]).toEqual([[77], [], [78], []])
  })

  test('a HELLO that wants an answer gets one, built from a fresh summary; an answer gets none', () => {
    const machine = new Machine().greet(held, held).receive(helloOf(held, { round: 5 }))
    machine.step({ type: 'summary', summary: held })
    expect(machine.sent('hello')).toMatchObject([{ round: 0, answers: 5 }])
    machine.receive(helloOf(held, { round: 0, answers: 0 })).step({ type: 'summary', summary: held })
    expect(machine.kinds).toEqual([])
  })

  test('a question is answered though another HELLO, which asks nothing, came before the summary', () => {
    const machine = new Machine().greet(held, held).receive(helloOf(held, { round: 5 }))
    machine.receive(helloOf(held, { round: 0 })).step({ type: 'summary', summary: held })
    expect(machine.sent('hello')).toMatchObject([{ round: 0, answers: 5 }])
  })

  test('only first HELLOs answer each other: a later first one, and a first one that is not, get an answer', () => {
    const late = new Machine().greet(held, held, { round: 2 })
    expect(late.sent('hello')).toMatchObject([{ round: 0, answers: 2 }])
    const again = new Machine().greet(held, held).receive(helloOf(held, { round: 1 }))
    again.step({ type: 'summary', summary: held })
    expect(again.sent('hello')).toMatchObject([{ round: 0, answers: 1 }])
  })

  test('[X3] a summary without a new word of the peer compares nothing: what it acknowledged since stands', () => {
    const machine = new Machine().greet(held, held).step(ask).step({ type: 'summary', summary: held })
    expect(machine.last.map(({ type }) => type)).toEqual(['send'])
  })

  test('[X4] from a HELLO to its comparison nothing goes on: the peer may stand elsewhere now', () => {
    const next = log.branch(3).add(change())
    const machine = new Machine().greet(held, held).receive(helloOf(held, { round: 2 }))
    const run = { run: next.run(3), opening: next.opening }
    machine.step({ type: 'grown', runs: [run], caseKeys: [], from: undefined })
    expect(machine.last).toEqual([])
  })

  test('name the run of the process that speaks, where it is one', () => {
    const runs = (run: Uint8Array) => {
      const machine = new Machine().start().receive(helloOf(held, { run }))
      return machine.effects('run').map((told) => told.run)
    }
    const run = random.bytes(8)
    expect(runs(run)).toEqual([run])
    expect([runs(random.bytes(7)), runs(new Uint8Array(0))]).toEqual([[], []])
  })

  test('a round asked for before the first HELLOs crossed ends too', () => {
    const [a, b] = [new Machine().start().step(ask), new Machine().start()]
    for (let turn = 0; turn < 6; turn++) {
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        for (const hello of from.step({ type: 'summary', summary: held }).sent('hello')) {
          to.receive({ $case: 'hello', value: hello })
        }
      }
    }
    expect(a.effects('round', a.all).flatMap(({ rounds }) => rounds)).toEqual([77])
  })

  test('two devices that ask each other at once both get their answer, and then it is quiet', () => {
    const [a, b] = [new Machine().greet(held, held), new Machine().greet(held, held)]
    a.step(ask)
    b.step({ type: 'roundAsked', round: 88 })
    let sent = 0
    for (let turn = 0; turn < 6; turn++) {
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        for (const hello of from.step({ type: 'summary', summary: held }).sent('hello')) {
          sent++
          to.receive({ $case: 'hello', value: hello })
        }
      }
    }
    expect(a.effects('round', a.all).flatMap(({ rounds }) => rounds)).toEqual([77])
    expect(b.effects('round', b.all).flatMap(({ rounds }) => rounds)).toEqual([88])
    expect(sent).toBeLessThanOrEqual(4)
  })
})

describe('closed logs', () => {
  const second = new TestLog(PRACTICE, log.keys, random, log).add(change())
  const closedSummary = summaryOf([heldLog(log), heldLog(second)])

  test('equal digests of them: their claims are not sent', () => {
    const machine = new Machine().greet(closedSummary, closedSummary)
    expect(machine.sent('claims', machine.all)).toEqual([])
    expect(machine.effects('round')).toMatchObject([{ equal: true }])
  })

  test('different digests: claims, cuts and openings go over once, and planning waits for the peer’s', () => {
    const machine = new Machine().greet(closedSummary, held)
    expect(machine.sent('claims')).toEqual([
      { closed: [claimToWire(log.claim())], cuts: [], openings: [log.opening] },
    ])
    expect(machine.effects('round', machine.all)).toEqual([])
    machine.receive({ $case: 'claims', value: { closed: [], cuts: [], openings: [] } })
    expect(machine.effects('learn')).toEqual([{ type: 'learn', cuts: [], openings: [], claims: [] }])
    machine.step({ type: 'learned' }).step({ type: 'summary', summary: closedSummary })
    expect(machine.kinds).toEqual([])
    expect(machine.effects('judge')).toHaveLength(1)
  })

  test('a log that was closed since the last HELLO is told of in another one, and its claims follow it: what went ahead would be forgotten', () => {
    const theirs = summaryOf([heldLog(other)])
    const machine = new Machine().greet(held, theirs)
    expect(machine.sent('hello', machine.all)).toHaveLength(1)
    // Comparing again shows it; nobody has asked for a HELLO.
    machine
      .receive(helloOf(theirs, { round: 0, answers: 1 }))
      .step({ type: 'summary', summary: closedSummary })
    expect(machine.kinds).toEqual(['hello', 'claims'])
    expect(machine.sent('hello')).toEqual([helloOf(closedSummary, { round: 0, answers: 0 }).value])
    // Heard now: not again.
    machine.receive(helloOf(theirs, { round: 2 })).step({ type: 'summary', summary: closedSummary })
    expect(machine.kinds).toEqual(['hello'])
  })

  test('the peer’s claims stand until it announces another digest', () => {
    const learn = (machine: Machine) =>
      machine
        .receive({ $case: 'claims', value: { closed: [], cuts: [], openings: [] } })
        .step({ type: 'learned' })
        .step({ type: 'summary', summary: closedSummary })
    const machine = learn(new Machine().greet(closedSummary, held))
    const hear = (closed: Uint8Array) =>
      machine
        .receive(helloOf(held, { round: 0, closed }))
        .step({ type: 'summary', summary: closedSummary })
        .effects('judge').length
    expect(hear(held.closedDigest)).toBe(1)
    expect(hear(random.bytes(16))).toBe(0)
    expect(learn(machine).effects('judge')).toHaveLength(1)
  })

  test('a digest that comes back is told of with its claims again: in between the peer has forgotten them', () => {
    const machine = new Machine().greet(closedSummary, held)
    const say = (summary: typeof held) =>
      machine.receive(helloOf(held, { round: 0 })).step({ type: 'summary', summary }).kinds
    expect(say(closedSummary)).toEqual([])
    expect(say(held)).toEqual(['hello'])
    expect(say(closedSummary)).toEqual(['hello', 'claims'])
  })

  test('[H1] cuts are told of, and learned before anything is compared', () => {
    const cut = heldLog(log, 2, 2)
    const machine = new Machine().greet(summaryOf([cut]), held)
    expect(machine.sent('claims')[0]?.cuts).toEqual([cutToWire(cut)])
    machine.receive({
      $case: 'claims',
      value: { closed: [], cuts: [cutToWire(heldLog(other, 1, 1))], openings: [other.opening] },
    })
    expect(machine.effects('learn')).toMatchObject([
      { cuts: [{ log: other.id, seq: 1, check: other.check(1) }] },
    ])
    expect(machine.effects('judge', machine.all)).toEqual([])
  })
})

test('rosters and statements are sent where they differ, once for what the peer has', () => {
  const mine = { ...held, rosterHead: random.bytes(32), statements: random.bytes(16) }
  const machine = new Machine().greet(mine, held)
  expect(machine.effects('sendRoster')).toHaveLength(1)
  expect(machine.effects('sendStatements')).toHaveLength(1)
  expect(machine.effects('round')).toMatchObject([{ equal: false }])
  machine.receive(helloOf(held, { round: 0 })).step({ type: 'summary', summary: mine })
  expect(machine.effects('sendRoster')).toEqual([])
  expect(machine.effects('sendStatements')).toEqual([])
})

describe('versions', () => {
  test('a peer that needs a newer version than mine is told that I am too old', () => {
    const machine = new Machine()
      .start()
      .receive(helloOf(held, { oldest: SYNC_VERSION + 1, newest: SYNC_VERSION + 3 }))
    expect(machine.sent('refuse')).toEqual([{ code: 'peer-too-old' }])
    expect(machine.closed).toBe('peer-too-new')
  })

  test('a peer that speaks no version of mine any more is told that I am too new', () => {
    const machine = new Machine()
      .start()
      .receive(helloOf(held, { oldest: 0, newest: OLDEST_SYNC_VERSION - 1 }))
    expect(machine.sent('refuse')).toEqual([{ code: 'peer-too-new' }])
    expect(machine.closed).toBe('peer-too-old')
  })

  test('a peer that speaks newer ones besides mine is welcome', () => {
    expect(new Machine().greet(held, held, { newest: SYNC_VERSION + 5 }).closed).toBeUndefined()
  })

  test.each(['peer-too-old', 'peer-too-new'] as const)(
    'being refused as %s closes with that reason',
    (code) => {
      const machine = new Machine().start().receive({ $case: 'refuse', value: { code } })
      expect(machine.closed).toBe(code)
    },
  )

  test('a member of another practice is left alone', () => {
    expect(new Machine().greet(held, { ...held, practice: random.bytes(32) }).closed).toBe('other-practice')
  })
})

describe('strangers', () => {
  test('get a refusal that tells nothing, and a while to show that they belong', () => {
    const machine = new Machine({ member: false }).start()
    expect(machine.sent('refuse')).toEqual([{ code: 'refused' }])
    expect(machine.last).toContainEqual({ type: 'arm', name: 'stranger', ms: STRANGER_MS })
    expect(machine.last).toHaveLength(2)
    expect(machine.step({ type: 'timer', name: 'stranger' }).closed).toBe('refused')
  })

  test('learn nothing, whatever they send or whatever happens here', () => {
    const machine = new Machine({ member: false }).start()
    const frames: FrameKind[] = [
      helloOf(held),
      {
        $case: 'claims',
        value: { closed: [], cuts: [cutToWire(heldLog(log, 1, 1))], openings: [log.opening] },
      },
      { $case: 'changes', value: { openings: [], runs: [] } },
      { $case: 'take', value: { transfer: 1, after: new Uint8Array(0), frontier: [] } },
      { $case: 'want', value: { keys: [random.bytes(16)] } },
      { $case: 'need', value: { log: random.bytes(16), from: 0 } },
      { $case: 'fork', value: { log: random.bytes(16), points: random.bytes(12) } },
      { $case: 'ask', value: { question: 1 } },
      { $case: 'alive', value: { number: 1, answer: false } },
      { $case: 'statements', value: { statements: [] } },
      {
        $case: 'ack',
        value: { claims: [claimToWire(log.claim())], transfer: 0, cursor: new Uint8Array(0), bulkBytes: 5 },
      },
    ]
    for (const frame of frames) expect(machine.receive(frame).last, frame.$case).toEqual([])
    machine.step({ type: 'summary', summary: held })
    expect(machine.last).toEqual([])
    const run = { run: log.run(), opening: log.opening }
    machine.step({ type: 'grown', runs: [run], caseKeys: [random.bytes(16)], from: undefined })
    machine.step({ type: 'neighbours', devices: [log.keys.ed] })
    machine.step({ type: 'statements', statements: [] })
    machine.step({ type: 'addresses', addresses: ['/ip4/10.0.0.1'] })
    machine.step({ type: 'durable', claims: [log.claim()], cursor: undefined, bytes: 10 })
    expect(machine.effects('send', machine.all).map(({ kind }) => kind)).toEqual(['refuse'])
  })

  test('belong once their roster says so: then the session begins', () => {
    const machine = new Machine({ member: false }).start()
    const entries = [random.bytes(50)]
    expect(machine.receive({ $case: 'roster', value: { entries } }).last).toEqual([
      { type: 'applyRoster', entries },
    ])
    machine.step({ type: 'rosterApplied', member: true })
    expect(machine.last).toContainEqual({ type: 'disarm', name: 'stranger' })
    expect(machine.last).toContainEqual({ type: 'arm', name: 'alive', ms: ALIVE_MS })
    machine.step({ type: 'summary', summary: held })
    expect(machine.sent('hello')).toMatchObject([{ round: 1 }])
  })

  test('a device that is refused shows its roster once; refused again, it goes', () => {
    const machine = new Machine().start().step({ type: 'summary', summary: held })
    machine.receive({ $case: 'refuse', value: { code: 'refused' } })
    expect(machine.last).toEqual([{ type: 'sendRoster' }, { type: 'arm', name: 'stranger', ms: STRANGER_MS }])
    expect(machine.closed).toBeUndefined()
    machine.receive({ $case: 'refuse', value: { code: 'refused' } })
    expect(machine.closed).toBe('refused')
  })

  test('a device that is refused waits as long for its HELLO as a stranger has to show its roster', () => {
    const refused = () => new Machine().start().receive({ $case: 'refuse', value: { code: 'refused' } })
    const stranger: SyncEvent = { type: 'timer', name: 'stranger' }
    expect(refused().step(stranger).closed).toBe('refused')
    expect(refused().receive(helloOf(held)).step(stranger).closed).toBeUndefined()
  })

  test('a stranger that is let in and the device that was refused end with the same first round', () => {
    const joiner = new Machine().start().step({ type: 'summary', summary: held })
    const old = new Machine({ member: false }).start()
    const [refusal] = old.sent('refuse')
    const [lost] = joiner.sent('hello')
    old.receive({ $case: 'hello', value: lost! })
    joiner.receive({ $case: 'refuse', value: refusal! })
    old.step({ type: 'rosterApplied', member: true })
    for (let turn = 0; turn < 4; turn++) {
      for (const [from, to] of [
        [old, joiner],
        [joiner, old],
      ] as const) {
        for (const hello of from.step({ type: 'summary', summary: held }).sent('hello')) {
          to.receive({ $case: 'hello', value: hello })
        }
      }
    }
    for (const machine of [old, joiner]) {
      expect(machine.effects('round', machine.all).at(-1)).toMatchObject({ equal: true })
    }
  })

  test('addresses and neighbours that were said to who refused at first are said again', () => {
    const machine = new Machine().start().step({ type: 'addresses', addresses: ['/ip4/192.0.2.7/tcp/1'] })
    machine.step({ type: 'neighbours', devices: [new Uint8Array(32)] })
    machine.receive({ $case: 'refuse', value: { code: 'refused' } })
    expect(machine.receive(helloOf(held)).kinds).toEqual(['neighbours', 'addresses'])
    // Once.
    expect(machine.receive(helloOf(held, { round: 2 })).kinds).toEqual([])
  })

  test('a device that is let in hears my addresses, which are nothing for a stranger', () => {
    const machine = new Machine({ member: false }).start()
    expect(machine.step({ type: 'addresses', addresses: ['/ip4/192.0.2.7/tcp/1'] }).kinds).toEqual([])
    expect(machine.step({ type: 'rosterApplied', member: true }).kinds).toEqual(['addresses'])
  })

  test('a refused device whose roster has changed meanwhile begins once more', () => {
    const machine = new Machine().start().step({ type: 'summary', summary: held })
    machine.receive({ $case: 'refuse', value: { code: 'refused' } })
    machine.receive({ $case: 'roster', value: { entries: [PRACTICE] } })
    expect(machine.effects('applyRoster')).toEqual([{ type: 'applyRoster', entries: [PRACTICE] }])
    expect(machine.step({ type: 'rosterApplied', member: true }).closed).toBe('refused')
  })

  test('what a device says between its refusal and its being let in is said again', () => {
    const joiner = new Machine().start()
    joiner.receive({ $case: 'refuse', value: { code: 'refused' } })
    // Its summary is late: this HELLO is lost, and looks as if it was not.
    const mine = summaryOf([heldLog(log), heldLog(other, 2, 2)])
    expect(joiner.step({ type: 'summary', summary: mine }).sent('hello')).toMatchObject([{ round: 1 }])
    joiner.receive(helloOf(held)).step({ type: 'summary', summary: mine })
    // In this order: a HELLO with another digest makes the peer forget the claims that it holds.
    expect(joiner.kinds).toEqual(['hello', 'claims'])
    expect(joiner.sent('hello')).toMatchObject([{ round: 1 }])
  })

  test('a member that leaves the roster is refused at once', () => {
    const machine = new Machine().greet(held, held).step({ type: 'rosterApplied', member: false })
    expect(machine.closed).toBe('refused')
  })
})

describe('malformed frames end the session', () => {
  const claim = claimToWire(log.claim())
  const wrong = { ...claim, check: new Uint8Array(7) }
  const shortLog = random.bytes(15)
  const none = new Uint8Array(0)
  const piece = (at: number): Item => ({
    key: new Uint8Array(16).fill(at),
    caseId: `case-${at}`,
    generation: 0,
    erased: 0,
    touched: [],
    parts: [],
    parked: [],
    row: none,
    clocks: [],
    more: true,
  })
  const frames: [string, FrameKind][] = [
    ['HELLO with a wrong claim', helloOf(held, { open: [wrong] })],
    ['HELLO with a wrong doubt', helloOf(held, { doubts: [wrong] })],
    ['CLAIMS with a wrong claim', { $case: 'claims', value: { closed: [wrong], cuts: [], openings: [] } }],
    ['CLAIMS with a wrong cut', { $case: 'claims', value: { closed: [], cuts: [wrong], openings: [] } }],
    [
      'CHANGES of a wrong log',
      {
        $case: 'changes',
        value: { openings: [], runs: [{ log: shortLog, from: 0, changes: [], signature: none }] },
      },
    ],
    ['TAKE with a wrong claim', { $case: 'take', value: { transfer: 1, after: none, frontier: [wrong] } }],
    [
      'BEGIN with a wrong target',
      {
        $case: 'begin',
        value: {
          transfer: 1,
          openings: [],
          target: [
            {
              log: shortLog,
              seq: 1,
              head: none,
              signature: none,
              from: 0,
              check: new Uint8Array(8),
              fromCheck: none,
            },
          ],
          claims: [],
          cases: 0,
        },
      },
    ],
    [
      'ITEMS with a wrong claim',
      {
        $case: 'items',
        value: { transfer: 1, early: true, items: [], claims: [wrong], openings: [], missing: [] },
      },
    ],
    [
      'ACK with a wrong claim',
      { $case: 'ack', value: { claims: [wrong], transfer: 0, cursor: none, bulkBytes: 0 } },
    ],
    [
      'ITEMS in which a piece of a case is followed by another case',
      {
        $case: 'items',
        value: {
          transfer: 1,
          early: true,
          items: [piece(1), piece(2)],
          claims: [],
          openings: [],
          missing: [],
        },
      },
    ],
    ['NEED of a wrong log', { $case: 'need', value: { log: shortLog, from: 0 } }],
    [
      'CHECKS of a wrong log',
      {
        $case: 'checks',
        value: { transfer: 1, stretches: [{ log: shortLog, from: 0, checks: none }] },
      },
    ],
    [
      'FORK with half a point',
      { $case: 'fork', value: { log: random.bytes(16), points: new Uint8Array(11) } },
    ],
    ['FORK of a wrong log', { $case: 'fork', value: { log: shortLog, points: none } }],
  ]
  test.each(frames)('%s', (_name, frame) => {
    const machine = new Machine().greet(held, held).receive(frame)
    expect(machine.closed).toBe('malformed')
    expect(machine.last).toEqual([{ type: 'close', code: 'malformed' }])
  })

  test('bytes that are no frame', () => {
    expect(new Machine().greet(held, held).step({ type: 'malformed' }).closed).toBe('malformed')
  })
})

describe('silence', () => {
  const tick: SyncEvent = { type: 'timer', name: 'alive' }

  test('is asked about, and after the third unanswered question the peer counts as gone', () => {
    const machine = new Machine().greet(held, held)
    expect(machine.step(tick).kinds).toEqual([])
    expect(machine.step(tick).sent('alive')).toEqual([{ number: 1, answer: false }])
    expect(machine.step(tick).sent('alive')).toEqual([{ number: 2, answer: false }])
    expect(machine.closed).toBeUndefined()
    expect(machine.step(tick).closed).toBe('silent')
  })

  test('ends with any frame, and the timer goes on', () => {
    const machine = new Machine().greet(held, held)
    for (let turn = 0; turn < 10; turn++) {
      machine.step(tick)
      expect(machine.last).toContainEqual({ type: 'arm', name: 'alive', ms: ALIVE_MS })
      machine.step(tick)
      machine.receive({ $case: 'alive', value: { number: turn, answer: true } })
      expect(machine.last).toEqual([])
    }
    expect(machine.closed).toBeUndefined()
  })

  test('a question is answered with its number', () => {
    const machine = new Machine()
      .greet(held, held)
      .receive({ $case: 'alive', value: { number: 9, answer: false } })
    expect(machine.sent('alive')).toEqual([{ number: 9, answer: true }])
  })
})

test('addresses of a peer are passed on, a bounded number of them', () => {
  const addresses = Array.from({ length: 40 }, (_, at) => `/ip4/10.0.0.${at}/tcp/1`)
  const machine = new Machine().greet(held, held).receive({ $case: 'addresses', value: { addresses } })
  expect(machine.effects('addresses')).toEqual([{ type: 'addresses', addresses: addresses.slice(0, 16) }])
})

test('a wanted case is read by its key, a bounded number at once', () => {
  const keys = Array.from({ length: 100 }, () => random.bytes(16))
  const machine = new Machine().greet(held, held).receive({ $case: 'want', value: { keys } })
  expect(machine.effects('readCases').map(({ keys: read }) => read.map(toHex))).toEqual([
    keys.slice(0, 64).map(toHex),
  ])
})

const statement: Statement = {
  device: log.keys.ed,
  log: fromHex(log.id),
  counter: 1,
  frontier: [claimToWire(log.claim())],
  unusable: [],
  signature: random.bytes(64),
}

describe('what members tell each other besides', () => {
  const machine = () => new Machine().greet(held, held)

  test('rosters, statements, addresses and questions are handed on', () => {
    const [entries, statements] = [[random.bytes(40)], [statement]]
    expect(machine().receive({ $case: 'roster', value: { entries } }).last).toEqual([
      { type: 'applyRoster', entries },
    ])
    expect(machine().receive({ $case: 'statements', value: { statements } }).last).toEqual([
      { type: 'admitStatements', statements },
    ])
    expect(machine().receive({ $case: 'ask', value: { question: 4 } }).last).toEqual([
      { type: 'answerAsk', question: 4 },
    ])
    const print = { question: 4, fingerprints: [] } as never
    expect(machine().receive({ $case: 'fingerprints', value: print }).effects('fingerprints')).toHaveLength(1)
  })

  test('a peer that is my own twin says so', () => {
    expect(machine().receive({ $case: 'twin', value: {} }).last).toEqual([{ type: 'twin' }])
  })

  test('no more addresses are looked at than a device can have', () => {
    const addresses = Array.from({ length: 1000 }, (_, at) => `/ip4/10.0.0.1/tcp/${at + 1}`)
    const [heard] = machine().receive({ $case: 'addresses', value: { addresses } }).effects('addresses')
    expect(heard!.addresses).toEqual(addresses.slice(0, MAX_ADDRESSES))
  })

  test('mine go to a member', () => {
    expect(machine().step({ type: 'statements', statements: [statement] }).kinds).toEqual(['statements'])
    expect(machine().step({ type: 'addresses', addresses: ['/ip4/10.0.0.1'] }).kinds).toEqual(['addresses'])
    expect(machine().step({ type: 'neighbours', devices: [log.keys.ed] }).kinds).toEqual(['neighbours'])
  })

  test('statements wait until both words are compared', () => {
    const statements: SyncEvent = { type: 'statements', statements: [statement] }
    expect(new Machine().start().step(statements).kinds).toEqual([])
    const again = machine()
      .receive(helloOf(held, { round: 2 }))
      .step(statements)
    expect(again.kinds).toEqual([])
    again.step({ type: 'summary', summary: held }).step(statements)
    expect(again.kinds).toEqual(['statements'])
  })

  test('a roster that both know by now is compared anew', () => {
    expect(machine().step({ type: 'rosterApplied', member: true }).last).toEqual([{ type: 'summarise' }])
  })
})

describe('out of turn', () => {
  test('what the store says before both words are there moves nothing', () => {
    const machine = new Machine().start()
    expect(machine.step({ type: 'judged', verdicts: [] }).last).toEqual([])
    const read = { runs: [log.run()], openings: [], reached: new Map(), done: true, pruned: [] }
    expect(machine.step({ type: 'changesRead', ...read }).last).toEqual([])
  })

  test('a stranger shows one roster; one that doesn’t name it leaves it a stranger', () => {
    const machine = new Machine({ member: false }).start()
    const roster: FrameKind = { $case: 'roster', value: { entries: [random.bytes(50)] } }
    expect(machine.receive(roster).last).toHaveLength(1)
    expect(machine.step({ type: 'rosterApplied', member: false }).last).toEqual([])
    expect(machine.session.isStranger).toBe(true)
    expect(machine.receive(roster).last).toEqual([])
  })

  test('who was let in meanwhile, and has said where it stands, outlives the time for strangers', () => {
    const stranger: SyncEvent = { type: 'timer', name: 'stranger' }
    expect(new Machine().greet(held, held).step(stranger).closed).toBeUndefined()
    expect(new Machine().start().step({ type: 'summary', summary: held }).step(stranger).closed).toBe(
      'refused',
    )
  })
})
