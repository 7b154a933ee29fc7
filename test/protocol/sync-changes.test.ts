import { describe, expect, test } from 'vitest'
import { fromHex } from '../../src/protocol/bytes.js'
import type { ChangeRun } from '../../src/protocol/door.js'
import { encodePoints } from '../../src/protocol/fork.js'
import type { LogClaim } from '../../src/protocol/frontier.js'
import { MAX_RUN_BYTES, WINDOW_BYTES } from '../../src/protocol/limits.js'
import { FORWARD_MS } from '../../src/protocol/sync-changes.js'
import type { SyncEvent } from '../../src/protocol/sync-types.js'
import { claimToWire, decodeFrame, type FrameKind } from '../../src/protocol/wire.js'
import { change, makeKeys, TestLog } from '../support/logs.js'
import { seeded } from '../support/random.js'
import { grown, heldLog, helloOf, Machine, PEER, PRACTICE, summaryOf } from '../support/session.js'

const random = seeded(41)
const newLog = (length: number, bytes = 10) =>
  new TestLog(PRACTICE, makeKeys(random), random).add(
    ...Array.from({ length }, (_, at) => change({ at, payload: new Uint8Array(bytes) })),
  )
const log = newLog(10)
const other = newLog(4)
const none = new Uint8Array(0)

/** A session in which the peer holds `theirs` of `log`, and I `mine`. */
function planned(mine: number, theirs: number): Machine {
  const summary = summaryOf([heldLog(log, mine)], { currentLog: log.id })
  const machine = new Machine().greet(summary, summaryOf([heldLog(log, theirs)]))
  return mine === theirs
    ? machine
    : machine.step({
        type: 'judged',
        verdicts: [{ claim: log.claim(theirs), verdict: theirs < mine ? 'behind' : 'ahead' }],
      })
}

const read = (runs: ChangeRun[], pruned: string[] = []): SyncEvent => ({
  type: 'changesRead',
  runs,
  openings: [log.opening],
  reached: new Map(),
  done: true,
  pruned,
})
const ack = (bulkBytes: number, claims: LogClaim[] = []): FrameKind => ({
  $case: 'ack',
  value: { claims: claims.map(claimToWire), transfer: 0, cursor: none, bulkBytes },
})
const sentRuns = (machine: Machine) =>
  machine
    .sent('changes')
    .flatMap(({ runs }) => runs.map(({ from, changes }) => [from, from + changes.length]))

describe('planning', () => {
  test('[X4] claims are judged before anything is sent', () => {
    const machine = new Machine().greet(summaryOf([heldLog(log, 10)]), summaryOf([heldLog(log, 6)]))
    expect(machine.effects('judge')).toEqual([{ type: 'judge', claims: [log.claim(6)] }])
    expect(machine.effects('readChanges', machine.all)).toEqual([])
  })

  test('what the peer lacks is read from where it is proven to stand, and sent in bulk', () => {
    const machine = planned(10, 6)
    expect(machine.effects('readChanges')).toEqual([{ type: 'readChanges', from: new Map([[log.id, 6]]) }])
    machine.step(read([log.run(6)]))
    expect(machine.effects('send')).toMatchObject([{ lane: 'bulk', kind: 'changes', changes: 4 }])
    expect(sentRuns(machine)).toEqual([[6, 10]])
    expect(machine.sent('changes')[0]?.openings).toEqual([log.opening])
  })

  test('a log that the peer doesn’t know is sent from its beginning', () => {
    const machine = new Machine().greet(summaryOf([heldLog(log), heldLog(other)]), summaryOf([heldLog(log)]))
    expect(machine.effects('readChanges')).toEqual([{ type: 'readChanges', from: new Map([[other.id, 0]]) }])
  })

  test('a peer that holds more is told of it nothing; the round says that it has more', () => {
    const machine = planned(4, 6)
    expect(machine.effects('round')).toMatchObject([{ equal: false, peerHasMore: true }])
    expect(machine.effects('readChanges', machine.all)).toEqual([])
  })

  test('[S4] a peer that knows more of my own log makes me leave it', () => {
    expect(planned(4, 6).effects('leaveLog')).toEqual([{ type: 'leaveLog' }])
    expect(planned(6, 4).effects('leaveLog')).toEqual([])
    const mine = summaryOf([heldLog(log, 4), heldLog(other)], { currentLog: other.id })
    const ahead = new Machine().greet(mine, summaryOf([heldLog(log, 6), heldLog(other)]))
    ahead.step({ type: 'judged', verdicts: [{ claim: log.claim(6), verdict: 'ahead' }] })
    expect(ahead.effects('leaveLog')).toEqual([])
    expect(ahead.effects('round')).toMatchObject([{ peerHasMore: true }])
  })

  test('several runs of one log, read together, are sent together', () => {
    const machine = planned(10, 2).step(read([log.run(2, 5), log.run(5, 6), log.run(6, 10)]))
    expect(sentRuns(machine)).toEqual([
      [2, 5],
      [5, 6],
      [6, 10],
    ])
    expect(machine.effects('readChanges')).toEqual([])
  })

  test('runs that no longer continue what was sent stay here', () => {
    const machine = planned(10, 2).step(read([log.run(4, 10)]))
    expect(sentRuns(machine)).toEqual([])
  })

  test('[X3] a new HELLO replaces what was known: a restored peer is served again', () => {
    const machine = planned(10, 6)
      .step(read([log.run(6)]))
      .receive(ack(50, [log.claim(10)]))
    const summary = summaryOf([heldLog(log)])
    machine.receive(helloOf(summaryOf([heldLog(log, 3)]), { round: 0 })).step({ type: 'summary', summary })
    machine.step({ type: 'judged', verdicts: [{ claim: log.claim(3), verdict: 'behind' }] })
    expect(machine.effects('readChanges')).toEqual([{ type: 'readChanges', from: new Map([[log.id, 3]]) }])
    expect(machine.effects('peerHolds', machine.all).at(-1)).toMatchObject({
      all: true,
      claims: [log.claim(3)],
    })
  })

  test('doubts of the peer are judged like claims, but nothing is planned from them', () => {
    const mine = summaryOf([heldLog(log)])
    const machine = new Machine().greet(mine, { ...mine, doubts: [log.claim(7)] })
    expect(machine.effects('judge')).toEqual([{ type: 'judge', claims: [log.claim(7)] }])
    machine.step({ type: 'judged', verdicts: [{ claim: log.claim(7), verdict: 'behind' }] })
    expect(machine.effects('readChanges')).toEqual([])
  })

  test('[S4] a doubt of the peer is nothing that it has: I don’t leave my log for it', () => {
    const mine = summaryOf([heldLog(log, 4)], { currentLog: log.id })
    const machine = new Machine().greet(mine, { ...mine, doubts: [log.claim(7)] })
    machine.step({ type: 'judged', verdicts: [{ claim: log.claim(7), verdict: 'ahead' }] })
    expect(machine.effects('leaveLog')).toEqual([])
    expect(machine.effects('round')).toMatchObject([{ peerHasMore: false }])
  })
})

describe('forks', () => {
  const summary = summaryOf([heldLog(log), heldLog(other)])
  const forked = () =>
    new Machine()
      .greet(summary, summaryOf([heldLog(log, 6)]))
      .step({ type: 'judged', verdicts: [{ claim: log.claim(6), verdict: 'fork' }] })

  test('[H1] show the peer checks of mine; nothing of that log goes until the fork is healed', () => {
    const machine = forked()
    expect(machine.effects('sendFork')).toEqual([{ type: 'sendFork', log: log.id, seq: 6 }])
    expect(machine.effects('readChanges')).toEqual([{ type: 'readChanges', from: new Map([[other.id, 0]]) }])
    machine
      .step(read([other.run()]))
      .step({ type: 'grown', runs: [grown(log.branch(10).add(change()), 10)], caseKeys: [], from: undefined })
    expect(sentRuns(machine)).toEqual([])
  })

  test('what the peer acknowledged of a forked log meanwhile counts for nothing, what it did of others stands', () => {
    const machine = planned(10, 10).receive(helloOf(summaryOf([heldLog(log, 6)])))
    machine.receive(ack(0, [log.claim(8), other.claim(2)]))
    machine.step({ type: 'summary', summary })
    machine.step({ type: 'judged', verdicts: [{ claim: log.claim(6), verdict: 'fork' }] })
    expect(machine.effects('peerHolds')).toEqual([
      { type: 'peerHolds', claims: [other.claim(2)], all: false },
    ])
    expect(machine.effects('readChanges')).toEqual([{ type: 'readChanges', from: new Map([[other.id, 2]]) }])
  })

  test('the peer’s checks are compared with mine', () => {
    const points = [3, 5].map((seq) => ({ seq, check: log.check(seq) }))
    const machine = forked().receive({
      $case: 'fork',
      value: { log: Uint8Array.from(Buffer.from(log.id, 'hex')), points: encodePoints(points) },
    })
    expect(machine.effects('narrowFork')).toEqual([{ type: 'narrowFork', log: log.id, points }])
  })

  test('a branch that is refused is compared again, once for what stays as it is', () => {
    const machine = planned(10, 10)
    const misfit: SyncEvent = {
      type: 'applied',
      advanced: [],
      gaps: [],
      forks: [],
      refused: [`${log.id}: bad signature`],
    }
    expect(machine.step(misfit).effects('summarise')).toHaveLength(1)
    machine.step({ type: 'summary', summary: summaryOf([heldLog(log)]) })
    expect(machine.sent('hello')).toHaveLength(1)
    expect(machine.step(misfit).last).toEqual([])
  })

  test('a branch that is refused is compared once more after something else was taken in, or was refused', () => {
    const machine = planned(10, 10)
    const summary = summaryOf([heldLog(log)])
    const isCompared = (given: Partial<Extract<SyncEvent, { type: 'applied' }>>) => {
      machine.step({ type: 'applied', advanced: [], gaps: [], forks: [], refused: [], ...given })
      const asks = machine.effects('summarise').length > 0
      machine.step({ type: 'summary', summary })
      return asks
    }
    expect(isCompared({ forks: [log.id, other.id] })).toBe(true)
    expect(isCompared({})).toBe(false)
    expect(isCompared({ forks: [other.id, log.id] })).toBe(false)
    expect(isCompared({ forks: [other.id] })).toBe(true)
    expect(isCompared({ advanced: [log.id] })).toBe(false)
    expect(isCompared({ forks: [other.id] })).toBe(true)
  })
})

describe('live changes', () => {
  const next = log.branch(10).add(change({ at: 10 }), change({ at: 11 }))

  test('[X5] go at once, before bulk, to a peer that stands right before them', () => {
    const machine = planned(10, 10).step({
      type: 'grown',
      runs: [grown(next, 10, 11)],
      caseKeys: [],
      from: undefined,
    })
    expect(machine.effects('send')).toMatchObject([{ lane: 'live', kind: 'changes', changes: 1 }])
    expect(sentRuns(machine)).toEqual([[10, 11]])
    machine.step({ type: 'grown', runs: [grown(next, 11, 12)], caseKeys: [], from: undefined })
    expect(machine.effects('send')).toMatchObject([{ lane: 'live', kind: 'changes', changes: 1 }])
    expect(sentRuns(machine)).toEqual([[11, 12]])
  })

  test('[X4] wait for the plan, which then includes them', () => {
    const machine = new Machine().start()
    machine.step({ type: 'grown', runs: [grown(next, 10, 12)], caseKeys: [], from: undefined })
    expect(machine.last).toEqual([])
    const mine = summaryOf([heldLog(next)])
    machine.step({ type: 'summary', summary: mine }).receive(helloOf(summaryOf([heldLog(log)])))
    machine.step({ type: 'summary', summary: mine })
    machine.step({ type: 'judged', verdicts: [{ claim: log.claim(), verdict: 'behind' }] })
    expect(machine.effects('readChanges')).toEqual([{ type: 'readChanges', from: new Map([[log.id, 10]]) }])
  })

  test('[X4] behind a gap are read from where the peer stands, not sent out of order', () => {
    const machine = planned(10, 6)
    machine.step({ type: 'grown', runs: [grown(next, 10, 12)], caseKeys: [], from: undefined })
    expect(sentRuns(machine)).toEqual([])
    machine.step(read([log.run(6, 10)])).step(read([next.run(10, 12)]))
    expect(sentRuns(machine)).toEqual([[10, 12]])
  })

  test('that are more than somebody typed go on as bulk from there', () => {
    const large = newLog(2, MAX_RUN_BYTES - 1)
    const all = { type: 'grown' as const, caseKeys: [], from: 'cc'.repeat(32) }
    const machine = planned(10, 10)
    machine.step({ ...all, runs: [grown(large, 0, 1), grown(large, 1, 2), grown(other, 0)] })
    expect(machine.effects('send')).toMatchObject([{ lane: 'live', changes: 2 }])
    expect(machine.effects('readChanges')).toEqual([{ type: 'readChanges', from: new Map([[other.id, 0]]) }])
  })

  test('that came from the peer don’t go back to it', () => {
    const machine = planned(10, 10).step({
      type: 'grown',
      runs: [grown(next, 10, 12)],
      caseKeys: [],
      from: PEER,
    })
    expect(machine.last).toEqual([])
    const after = next.branch(12).add(change())
    machine.step({ type: 'grown', runs: [grown(after, 12)], caseKeys: [], from: undefined })
    expect(sentRuns(machine)).toEqual([[12, 13]])
  })

  test('of several authors go in the order in which they were taken in', () => {
    const runs = [grown(next, 10, 11), grown(other, 0, 2), grown(next, 11, 12)]
    const machine = planned(10, 10).step({ type: 'grown', runs, caseKeys: [], from: 'cc'.repeat(32) })
    const order = machine.sent('changes').flatMap(({ runs: sent }) => sent.map(({ from }) => from))
    expect(order).toEqual([10, 0, 11])
  })
})

describe('[X5] the window', () => {
  const big = newLog(120, 64 * 1024)

  /** Answers every read with one change of 64 KB; counts what is on its way. */
  function pour(machine: Machine): { sent: number; runs: number } {
    const total = { sent: 0, runs: 0 }
    for (;;) {
      const [asked] = machine.effects('readChanges')
      if (!asked) return total
      const from = asked.from.get(big.id)!
      machine.step(read([big.run(from, from + 1)]))
      for (const { bytes } of machine.effects('send')) total.sent += bytes.length
      total.runs++
    }
  }

  test('bounds what is on its way; the peer’s word that it is durable opens it again, until all is sent', () => {
    const machine = new Machine().greet(summaryOf([heldLog(big), heldLog(log)]), summaryOf([heldLog(log)]))
    const first = pour(machine)
    expect(first.sent).toBeGreaterThanOrEqual(WINDOW_BYTES)
    expect(first.sent).toBeLessThan(WINDOW_BYTES + 70 * 1024)
    expect(machine.session.isSending).toBe(true)
    machine.receive(ack(0))
    expect(machine.last).toEqual([])
    machine.receive(ack(300 * 1024))
    const second = pour(machine)
    expect(first.sent + second.sent - 300 * 1024).toBeLessThan(WINDOW_BYTES + 70 * 1024)
    machine.receive(ack(first.sent + second.sent))
    const third = pour(machine)
    expect(first.runs + second.runs + third.runs).toBe(120)
    machine.receive(ack(first.sent + second.sent + third.sent))
    expect(machine.session.isSending).toBe(false)
  })

  test('a peer can’t open it further by acknowledging more than it got', () => {
    const machine = new Machine().greet(summaryOf([heldLog(big), heldLog(log)]), summaryOf([heldLog(log)]))
    machine.receive(ack(1e12))
    const { sent } = pour(machine)
    expect(sent).toBeLessThan(WINDOW_BYTES + 70 * 1024)
  })

  test('[X4] while it is full, nothing goes live of a log that the peer has a gap of: it is read from there later', () => {
    const live = log.branch(10)
    const grow = (machine: Machine) => {
      live.add(change({ payload: new Uint8Array(64 * 1024) }))
      return machine.step({ type: 'grown', runs: [grown(live, live.seq - 1)], caseKeys: [], from: undefined })
    }
    const machine = planned(10, 10)
    let sent = 0
    while (sent < WINDOW_BYTES) sent += grow(machine).effects('send')[0]!.bytes.length
    expect(machine.receive({ $case: 'need', value: { log: fromHex(log.id), from: 4 } }).last).toEqual([])
    expect(grow(machine).last).toEqual([])
    expect(machine.receive(ack(sent)).effects('readChanges')).toEqual([
      { type: 'readChanges', from: new Map([[log.id, 4]]) },
    ])
  })

  test('live changes may use twice of it; beyond they wait their turn', () => {
    const machine = planned(10, 10)
    const live = log.branch(10)
    let sent = 0
    for (let at = 10; at < 240; at++) {
      live.add(change({ at, payload: new Uint8Array(64 * 1024) }))
      machine.step({ type: 'grown', runs: [grown(live, at)], caseKeys: [], from: undefined })
      for (const { bytes } of machine.effects('send')) sent += bytes.length
    }
    expect(sent).toBeGreaterThan(WINDOW_BYTES)
    expect(sent).toBeLessThan(2 * WINDOW_BYTES + 70 * 1024)
    machine.receive(ack(sent))
    const [asked] = machine.effects('readChanges')
    expect(asked?.from.get(live.id)).toBe(10 + Math.round(sent / (64 * 1024)))
  })
})

describe('gaps', () => {
  const logBytes = Uint8Array.from(Buffer.from(log.id, 'hex'))
  const gap = (machine: Machine, from: number) =>
    machine.step({ type: 'applied', advanced: [], gaps: [{ log: log.id, from }], forks: [], refused: [] })

  test('are asked for, not held; once for the same place', () => {
    const machine = planned(10, 10)
    expect(gap(machine, 4).sent('need')).toEqual([{ log: logBytes, from: 4 }])
    expect(gap(machine, 4).sent('need')).toEqual([])
    expect(gap(machine, 6).sent('need')).toEqual([{ log: logBytes, from: 6 }])
  })

  test('are asked for again when everything was compared anew', () => {
    const machine = planned(10, 10)
    const summary = summaryOf([heldLog(log)])
    expect(gap(machine, 4).kinds).toEqual(['need'])
    machine.receive(helloOf(summary, { round: 0 })).step({ type: 'summary', summary })
    expect(gap(machine, 4).kinds).toEqual(['need'])
  })

  test('NEED is answered from the place that it names', () => {
    const machine = planned(10, 10).receive({ $case: 'need', value: { log: logBytes, from: 4 } })
    expect(machine.effects('readChanges')).toEqual([{ type: 'readChanges', from: new Map([[log.id, 4]]) }])
    expect(sentRuns(machine.step(read([log.run(4)])))).toEqual([[4, 10]])
  })

  test('what follows changes that are on their way in bulk goes in bulk too, until they are acknowledged: it would overtake them', () => {
    const machine = planned(10, 6).step(read([log.run(6, 10)]))
    const next = log.branch(10).add(change(), change())
    machine.step({ type: 'grown', runs: [grown(next, 10, 11)], caseKeys: [], from: undefined })
    expect(machine.effects('send')).toMatchObject([{ lane: 'bulk', kind: 'changes', changes: 1 }])
    machine.receive(ack(0, [next.claim(11)]))
    machine.step({ type: 'grown', runs: [grown(next, 11, 12)], caseKeys: [], from: undefined })
    expect(machine.effects('send')).toMatchObject([{ lane: 'live', kind: 'changes', changes: 1 }])
  })

  test('an answer to NEED that an ACK overtakes while it is read is read again from there', () => {
    const machine = planned(10, 10).receive({ $case: 'need', value: { log: logBytes, from: 4 } })
    machine.receive(ack(0, [log.claim(6)])).step(read([log.run(4, 10)]))
    expect(machine.kinds).toEqual([])
    expect(machine.effects('readChanges')).toEqual([{ type: 'readChanges', from: new Map([[log.id, 6]]) }])
    machine.step(read([log.run(6, 10)]))
    expect(sentRuns(machine)).toEqual([[6, 10]])
  })

  test('NEED from where I end, or of a log that I don’t know, sends nothing', () => {
    const machine = planned(10, 10).receive({ $case: 'need', value: { log: logBytes, from: 10 } })
    expect(machine.last).toEqual([])
    expect(machine.receive({ $case: 'need', value: { log: random.bytes(16), from: 0 } }).last).toEqual([])
  })

  test('changes that are no longer retained become an offer of whole states', () => {
    const machine = planned(10, 6).step(read([], [log.id]))
    expect(machine.sent('offer')).toHaveLength(1)
  })
})

describe('[X2] acknowledgements', () => {
  test('name what is durable, and count all bytes taken so far', () => {
    const machine = planned(10, 10)
    machine.step({ type: 'durable', claims: [log.claim(10)], cursor: undefined, bytes: 500 })
    expect(machine.sent('ack')).toEqual([
      { claims: [claimToWire(log.claim(10))], transfer: 0, cursor: none, bulkBytes: 500 },
    ])
    machine.step({ type: 'durable', claims: [], cursor: undefined, bytes: 20 })
    expect(machine.sent('ack')).toMatchObject([{ claims: [], bulkBytes: 520 }])
    // What I wrote myself, or another peer gave.
    machine.step({ type: 'durable', claims: [log.claim(10)], cursor: undefined, bytes: 0 })
    expect(machine.sent('ack')).toMatchObject([{ claims: [claimToWire(log.claim(10))], bulkBytes: 520 }])
  })

  test('are sent for nothing else: neither frames nor applied changes cause one', () => {
    const machine = planned(10, 10)
    machine.receive({ $case: 'changes', value: { openings: [], runs: [] } })
    machine.step({ type: 'applied', advanced: [log.id], gaps: [], forks: [], refused: [] })
    machine.step({ type: 'durable', claims: [], cursor: undefined, bytes: 0 })
    expect(machine.effects('send', machine.all).map(({ kind }) => kind)).toEqual(['hello'])
  })

  test('of the peer say what it holds, and spare what it has already', () => {
    const machine = planned(10, 6).receive(ack(0, [log.claim(9)]))
    expect(machine.effects('peerHolds')).toEqual([{ type: 'peerHolds', claims: [log.claim(9)], all: false }])
    machine.step(read([log.run(6)]))
    expect(sentRuns(machine)).toEqual([])
    expect(machine.effects('readChanges')).toEqual([{ type: 'readChanges', from: new Map([[log.id, 9]]) }])
  })
})

test('an acknowledgement of less than was sent sends nothing twice', () => {
  const machine = planned(10, 6).step(read([log.run(6)]))
  expect(machine.receive(ack(0, [log.claim(8)])).effects('readChanges')).toEqual([])
})

describe('forwarding', () => {
  const author = log.keys.ed
  const next = log.branch(10).add(change())
  const taken = { type: 'grown' as const, runs: [grown(next, 10)], caseKeys: [], from: 'cc'.repeat(32) }
  const forward = (machine: Machine) => machine.step(taken)

  test('others’ changes wait when the peer is connected to their author itself; then they go all the same', () => {
    const machine = planned(10, 10).receive({ $case: 'neighbours', value: { devices: [author] } })
    forward(machine)
    expect(machine.last).toEqual([{ type: 'arm', name: 'forward', ms: FORWARD_MS }])
    machine.step({ type: 'timer', name: 'forward' })
    expect(machine.effects('readChanges')).toEqual([{ type: 'readChanges', from: new Map([[log.id, 10]]) }])
    expect(sentRuns(machine.step(read([next.run(10)])))).toEqual([[10, 11]])
  })

  test('they go on until what was missing then has gone, however many messages it needs', () => {
    const many = log.branch(10).add(change(), change(), change(), change())
    const machine = planned(10, 10).receive({ $case: 'neighbours', value: { devices: [author] } })
    machine.step({ ...taken, runs: [grown(many, 10)] })
    machine.step({ type: 'timer', name: 'forward' }).step(read([many.run(10, 12)]))
    expect(machine.effects('readChanges')).toEqual([{ type: 'readChanges', from: new Map([[log.id, 12]]) }])
  })

  test('after those, the next ones wait for their author again', () => {
    const machine = planned(10, 10).receive({ $case: 'neighbours', value: { devices: [author] } })
    forward(machine)
    machine.step({ type: 'timer', name: 'forward' }).step(read([next.run(10)]))
    const later = next.branch(11).add(change())
    machine.step({ ...taken, runs: [grown(later, 11)] })
    expect(machine.last).toEqual([{ type: 'arm', name: 'forward', ms: FORWARD_MS }])
  })

  test('an author that is giving them has as long again', () => {
    const many = log.branch(10).add(change(), change())
    const machine = planned(10, 10).receive({ $case: 'neighbours', value: { devices: [author] } })
    machine.step({ ...taken, runs: [grown(many, 10)] })
    machine.receive(ack(0, [many.claim(11)])).step({ type: 'timer', name: 'forward' })
    expect(machine.last).toEqual([{ type: 'arm', name: 'forward', ms: FORWARD_MS }])
    machine.step({ type: 'timer', name: 'forward' })
    expect(machine.effects('readChanges')).toEqual([{ type: 'readChanges', from: new Map([[log.id, 11]]) }])
  })

  test('they go at once when the peer is no longer connected to their author', () => {
    const machine = forward(planned(10, 10).receive({ $case: 'neighbours', value: { devices: [author] } }))
    machine.receive({ $case: 'neighbours', value: { devices: [] } })
    expect(machine.effects('readChanges')).toEqual([{ type: 'readChanges', from: new Map([[log.id, 10]]) }])
  })

  test('no more neighbours are looked at than a practice has', () => {
    const devices = [...Array.from({ length: 1024 }, () => other.keys.ed), author]
    const machine = planned(10, 10).receive({ $case: 'neighbours', value: { devices } })
    expect(sentRuns(forward(machine))).toEqual([[10, 11]])
  })

  test('what the author gave meanwhile isn’t sent again', () => {
    const machine = forward(planned(10, 10).receive({ $case: 'neighbours', value: { devices: [author] } }))
    machine.receive(ack(0, [next.claim()])).step({ type: 'timer', name: 'forward' })
    expect(machine.last).toEqual([])
  })

  test('they go at once to a peer that isn’t connected to their author', () => {
    expect(sentRuns(forward(planned(10, 10)))).toEqual([[10, 11]])
    const machine = planned(10, 10).receive({ $case: 'neighbours', value: { devices: [author] } })
    machine.receive({ $case: 'neighbours', value: { devices: [other.keys.ed] } })
    expect(sentRuns(forward(machine))).toEqual([[10, 11]])
  })

  test('what I took in is announced as sent bytes of a frame that decodes', () => {
    const [frame] = forward(planned(10, 10)).effects('send')
    expect(decodeFrame(frame!.bytes)?.$case).toBe('changes')
  })
})
