import { describe, expect, test } from 'vitest'
import { CHUNK_BYTES, MAX_PAYLOAD_BYTES, WINDOW_BYTES } from '../../src/protocol/limits.js'
import type { Item } from '../../src/protocol/sync.gen.js'
import { EARLY_MS } from '../../src/protocol/sync-states.js'
import type { SyncEvent } from '../../src/protocol/sync-types.js'
import { claimToWire, type FrameKind, stretchToWire, targetToWire } from '../../src/protocol/wire.js'
import { change, makeKeys, TestLog } from '../support/logs.js'
import { seeded } from '../support/random.js'
import { type Effect, grown, heldLog, helloOf, Machine, PRACTICE, summaryOf } from '../support/session.js'

const random = seeded(51)
const log = new TestLog(PRACTICE, makeKeys(random), random).add(
  ...Array.from({ length: 6 }, (_, at) => change({ at })),
)
const other = new TestLog(PRACTICE, makeKeys(random), random).add(change())
const none = new Uint8Array(0)
const mine = summaryOf([heldLog(log)], { cases: 3 })
const empty = summaryOf([])

function item(at: number, bytes = 40): Item {
  return {
    key: new Uint8Array(16).fill(at),
    caseId: `case-${at}`,
    generation: 0,
    erased: 0,
    touched: [],
    parts: [new Uint8Array(bytes)],
    parked: [],
    row: none,
    clocks: [],
    more: false,
  }
}

const take: FrameKind = { $case: 'take', value: { transfer: 9, after: none, frontier: [] } }
const opened: SyncEvent = {
  type: 'statesOpened',
  target: [log.target()],
  openings: [log.opening],
  claims: [other.claim()],
  cases: 3,
}
const checks: SyncEvent = { type: 'checksRead', stretches: [log.stretch(log.target())] }
/** A session that sends whole states: its first read is under way. */
const serving = () => new Machine().greet(mine, empty).receive(take).step(opened).step(checks)

describe('an offer of whole states', () => {
  test('goes to a device that holds nothing', () => {
    const machine = new Machine().greet(mine, empty)
    expect(machine.sent('offer')).toEqual([{ cases: 3 }])
    expect(machine.effects('readChanges', machine.all)).toEqual([])
  })

  test('goes to a device that is behind what my logs retain', () => {
    const pruned = summaryOf([heldLog(log)], { cases: 3, retainedFrom: new Map([[log.id, 4]]) })
    const behind = (seq: number) =>
      new Machine()
        .greet(pruned, summaryOf([heldLog(log, seq)]))
        .step({ type: 'judged', verdicts: [{ claim: log.claim(seq), verdict: 'behind' }] })
    expect(behind(3).kinds).toEqual(['offer'])
    expect(behind(4).kinds).toEqual([])
    expect(behind(4).effects('readChanges')).toHaveLength(1)
  })

  test('goes where one of several logs reaches back no further, for all of them', () => {
    const both = summaryOf([heldLog(log), heldLog(other)], { cases: 3, retainedFrom: new Map([[log.id, 4]]) })
    const machine = new Machine().greet(both, summaryOf([heldLog(log, 3)]))
    machine.step({ type: 'judged', verdicts: [{ claim: log.claim(3), verdict: 'behind' }] })
    expect([machine.kinds, machine.effects('readChanges')]).toEqual([['offer'], []])
  })

  test('that was not taken is void when both words are compared anew: what is lacking then goes', () => {
    const machine = new Machine().greet(mine, empty).receive(helloOf(mine, { round: 0 }))
    machine.step({ type: 'summary', summary: mine })
    const next = log.branch(6).add(change())
    machine.step({ type: 'grown', runs: [grown(next, 6)], caseKeys: [random.bytes(16)], from: undefined })
    expect(machine.kinds).toEqual(['changes'])
  })

  test('is made once, also where two reasons show one after the other', () => {
    const machine = new Machine().greet(mine, empty)
    const pruned = { runs: [], openings: [], reached: new Map(), done: true, pruned: [log.id] }
    expect(machine.step({ type: 'changesRead', ...pruned }).kinds).toEqual([])
  })

  test('is not made by a device that has nothing', () => {
    expect(new Machine().greet(empty, empty).kinds).toEqual([])
  })

  test('holds live changes back: they come with the states', () => {
    const machine = new Machine().greet(mine, empty)
    const next = log.branch(6).add(change())
    machine.step({ type: 'grown', runs: [grown(next, 6)], caseKeys: [random.bytes(16)], from: undefined })
    expect(machine.kinds).toEqual([])
  })

  test('is taken when the device is ready, with what it holds and where it stopped', () => {
    const machine = new Machine().greet(empty, mine).receive({ $case: 'offer', value: { cases: 3 } })
    expect(machine.last).toEqual([{ type: 'wantTake' }])
    const after = random.bytes(16)
    machine.step({ type: 'takeReady', transfer: 9, after, claims: [log.claim(2)] })
    expect(machine.sent('take')).toEqual([{ transfer: 9, after, frontier: [claimToWire(log.claim(2))] }])
    expect(machine.receive({ $case: 'offer', value: { cases: 3 } }).last).toEqual([])
  })
})

describe('sending whole states', () => {
  test('BEGIN fixes the target, then its checks go, then cases in the order of their keys, then END', () => {
    const machine = new Machine().greet(mine, empty).receive(take)
    expect(machine.last).toEqual([{ type: 'openStates', frontier: new Map() }])
    machine.step(opened)
    expect(machine.sent('begin')).toEqual([
      {
        transfer: 9,
        openings: [log.opening],
        target: [targetToWire(log.target())],
        claims: [claimToWire(other.claim())],
        cases: 3,
      },
    ])
    expect(machine.effects('readChecks')).toEqual([
      { type: 'readChecks', ranges: [{ log: log.id, from: 0, to: 6 }] },
    ])
    machine.step(checks)
    expect(machine.sent('checks')).toEqual([
      { transfer: 9, stretches: [stretchToWire(log.stretch(log.target()))] },
    ])
    expect(machine.effects('readItems')).toEqual([{ type: 'readItems', after: none, frontier: new Map() }])
    machine.step({ type: 'itemsRead', items: [item(1), item(2)], after: item(2).key, done: false })
    expect(machine.sent('items')).toMatchObject([{ transfer: 9, early: false, items: [item(1), item(2)] }])
    expect(machine.effects('readItems')).toEqual([
      { type: 'readItems', after: item(2).key, frontier: new Map() },
    ])
    machine.step({ type: 'itemsRead', items: [item(3)], after: item(3).key, done: true })
    expect(machine.kinds).toEqual(['items', 'end'])
    expect(machine.sent('end')).toEqual([{ transfer: 9, missing: [], kept: [] }])
    expect(machine.effects('send').every(({ lane }) => lane === 'bulk')).toBe(true)
  })

  test('[T1] what can’t be read is named with the cases that the cursor passes it with, once, and at the end', () => {
    const machine = serving()
    const missing = [item(1).key]
    machine.step({ type: 'itemsRead', items: [item(2)], after: item(2).key, done: false, missing })
    expect(machine.sent('items')).toMatchObject([{ missing }])
    machine.step({ type: 'itemsRead', items: [item(3)], after: item(3).key, done: true, missing: [] })
    expect(machine.sent('items')).toMatchObject([{ missing: [] }])
    expect(machine.sent('end')).toMatchObject([{ missing }])
  })

  test('cases that hold what came after BEGIN go with claims of it, and only these', () => {
    const machine = serving()
    const claims = [other.claim()]
    machine.step({ type: 'itemsRead', items: [item(1)], after: item(1).key, done: false, claims })
    expect(machine.sent('items')).toMatchObject([{ items: [item(1)], claims: claims.map(claimToWire) }])
    machine.step({ type: 'itemsRead', items: [item(2)], after: item(2).key, done: true })
    expect(machine.sent('items')).toMatchObject([{ items: [item(2)], claims: [] }])
  })

  test('[T2] goes on behind the place where another transfer stopped, beyond what the receiver holds', () => {
    const frontier = new Map([[log.id, 2]])
    const machine = new Machine().greet(mine, empty)
    machine.receive({
      $case: 'take',
      value: { transfer: 9, after: item(1).key, frontier: [claimToWire(log.claim(2))] },
    })
    expect(machine.last).toEqual([{ type: 'openStates', frontier }])
    machine.step(opened).step(checks)
    expect(machine.effects('readItems')).toEqual([{ type: 'readItems', after: item(1).key, frontier }])
  })

  test('[X4] afterwards nothing is sent until the peer’s HELLO says what it made of it', () => {
    const machine = serving().step({ type: 'itemsRead', items: [], after: none, done: true })
    const next = log.branch(6).add(change())
    machine.step({ type: 'grown', runs: [grown(next, 6)], caseKeys: [random.bytes(16)], from: undefined })
    expect(machine.last).toEqual([])
    const grownSummary = summaryOf([heldLog(next)], { cases: 3 })
    machine.receive(helloOf(mine, { round: 2 })).step({ type: 'summary', summary: grownSummary })
    machine.step({ type: 'judged', verdicts: [{ claim: log.claim(), verdict: 'behind' }] })
    expect(machine.effects('readChanges')).toEqual([{ type: 'readChanges', from: new Map([[log.id, 6]]) }])
  })

  test('[X4] nor where both words were compared anew while states flowed', () => {
    const machine = serving()
      .receive(helloOf(empty, { round: 2 }))
      .step({ type: 'summary', summary: mine })
    machine.step({ type: 'itemsRead', items: [], after: none, done: true })
    expect(machine.kinds).toEqual(['end'])
    const next = log.branch(6).add(change())
    machine.step({ type: 'grown', runs: [grown(next, 6)], caseKeys: [random.bytes(16)], from: undefined })
    expect(machine.last).toEqual([])
  })

  test('one piece is read at a time, and none before the store has opened them, whatever comes meanwhile', () => {
    const nudge: FrameKind = {
      $case: 'ack',
      value: { claims: [], transfer: 9, cursor: none, bulkBytes: 0 },
    }
    const machine = new Machine().greet(mine, empty).receive(take)
    expect(machine.receive(nudge).last).toEqual([])
    expect(machine.step(opened).receive(nudge).last).toEqual([])
    expect(machine.step(checks).receive(nudge).last).toEqual([])
  })

  test('a second TAKE while states flow is left aside', () => {
    expect(serving().receive(take).last).toEqual([])
  })
})

describe('[X5] the window bounds whole states', () => {
  /** Answers every read with a case of 64 KB; returns the bytes sent. */
  function pour(machine: Machine): number {
    let sent = 0
    for (let at = 1; machine.effects('readItems').length > 0; at++) {
      machine.step({
        type: 'itemsRead',
        items: [item(at % 250, 64 * 1024)],
        after: item(at % 250).key,
        done: false,
      })
      for (const { bytes } of machine.effects('send')) sent += bytes.length
    }
    return sent
  }
  const ack = (bulkBytes: number): FrameKind => ({
    $case: 'ack',
    value: { claims: [], transfer: 9, cursor: none, bulkBytes },
  })

  test('until the receiver says that they are durable', () => {
    const machine = serving()
    const first = pour(machine)
    expect(first).toBeGreaterThanOrEqual(WINDOW_BYTES)
    expect(first).toBeLessThan(WINDOW_BYTES + 70 * 1024)
    machine.receive(ack(WINDOW_BYTES / 2))
    const second = pour(machine)
    expect(first + second - WINDOW_BYTES / 2).toBeLessThan(WINDOW_BYTES + 70 * 1024)
  })

  test('checks are bounded too, however long the logs are, and fill it like cases', () => {
    const machine = new Machine().greet(mine, empty).receive(take)
    const target = { ...log.target(), seq: 4_000_000 }
    machine.step({ type: 'statesOpened', target: [target], openings: [log.opening], claims: [], cases: 3 })
    let sent = machine.effects('send')[0]!.bytes.length
    while (machine.effects('readChecks').length > 0) {
      const [{ ranges }] = machine.effects('readChecks') as [Effect<'readChecks'>]
      const stretches = ranges.map(({ from, to }) => ({
        log: log.id,
        from,
        checks: new Uint8Array(8 * (to - from)),
      }))
      machine.step({ type: 'checksRead', stretches })
      const [message] = machine.effects('send')
      expect(message).toMatchObject({ lane: 'bulk', kind: 'checks' })
      expect(message!.bytes.length).toBeLessThan(CHUNK_BYTES + 100)
      sent += message!.bytes.length
    }
    expect(sent).toBeGreaterThanOrEqual(WINDOW_BYTES)
    expect(sent).toBeLessThan(WINDOW_BYTES + 70 * 1024)
    expect(machine.receive(ack(WINDOW_BYTES / 2)).effects('readChecks')).toHaveLength(1)
    expect(machine.effects('readItems', machine.all)).toEqual([])
  })

  test('cases that were read together wait for it too', () => {
    const machine = serving()
    const items = Array.from({ length: 3 }, (_, at) => item(at, MAX_PAYLOAD_BYTES - 100))
    machine.step({ type: 'itemsRead', items, after: none, done: true })
    expect(machine.kinds).toEqual(['items'])
    expect(machine.receive(ack(MAX_PAYLOAD_BYTES / 2)).kinds).toEqual([])
    expect(machine.receive(ack(MAX_PAYLOAD_BYTES)).kinds).toEqual(['items'])
    expect(machine.receive(ack(3 * MAX_PAYLOAD_BYTES)).kinds).toEqual(['items'])
    expect(machine.receive(ack(4 * MAX_PAYLOAD_BYTES)).kinds).toEqual(['end'])
  })

  test('and BEGIN, which the receiver acknowledges too, doesn’t widen it', () => {
    // With all that it names it is larger than a case.
    const claims = Array.from({ length: 8_000 }, () => other.claim())
    const machine = new Machine()
      .greet(mine, empty)
      .receive(take)
      .step({ ...opened, claims })
    const begin = machine.effects('send')[0]!.bytes.length
    expect(begin).toBeGreaterThan(140 * 1024)
    machine.step(checks)
    const first = machine.effects('send')[0]!.bytes.length
    let items = pour(machine)
    machine.receive(ack(begin + first))
    items += pour(machine)
    // The receiver has confirmed BEGIN and the checks alone: every case is still on its way.
    expect(items).toBeLessThan(WINDOW_BYTES + 70 * 1024)
  })
})

describe('[X6] early cases', () => {
  const key = item(2).key
  const next = log.branch(6).add(change())
  const early = () => ({
    type: 'grown' as const,
    runs: [grown(next, 6)],
    caseKeys: [key],
    from: undefined,
  })

  test('a case that changes while states flow is sent as a whole, gathered for a moment', () => {
    const machine = serving().step(early())
    expect(machine.last).toEqual([{ type: 'arm', name: 'early', ms: EARLY_MS }])
    expect(machine.step(early()).last).toEqual([])
    machine.step({ type: 'timer', name: 'early' })
    expect(machine.last).toEqual([{ type: 'readCases', keys: [key], early: true }])
    machine.step({ type: 'casesRead', items: [item(2)], claims: [next.claim()], openings: [log.opening] })
    expect(machine.effects('send')).toMatchObject([{ lane: 'live', kind: 'items' }])
    expect(machine.sent('items')).toEqual([
      {
        transfer: 9,
        early: true,
        items: [item(2)],
        claims: [claimToWire(next.claim())],
        openings: [log.opening],
        missing: [],
      },
    ])
  })

  test('several are read in the order of their keys, each once', () => {
    const machine = serving()
    for (const at of [3, 1, 2, 1]) machine.step({ ...early(), caseKeys: [item(at).key] })
    machine.step({ type: 'timer', name: 'early' })
    expect(machine.effects('readCases')).toMatchObject([{ keys: [1, 2, 3].map((at) => item(at).key) }])
  })

  test('the next burst gathers again; without one nothing is read', () => {
    const machine = serving().step(early()).step({ type: 'timer', name: 'early' }).step(early())
    expect(machine.effects('arm')).toHaveLength(1)
    machine.step({ type: 'timer', name: 'early' }).step({ type: 'timer', name: 'early' })
    expect(machine.last).toEqual([])
    expect(machine.step({ ...early(), caseKeys: [] }).last).toEqual([])
  })

  test('after END none are sent: the change itself follows in the plan', () => {
    const machine = serving().step(early()).step({ type: 'itemsRead', items: [], after: none, done: true })
    expect(machine.step({ type: 'timer', name: 'early' }).last).toEqual([])
  })
})

describe('receiving whole states', () => {
  const receiving = () =>
    new Machine()
      .greet(empty, mine)
      .receive({ $case: 'offer', value: { cases: 3 } })
      .step({ type: 'takeReady', transfer: 9, after: none, claims: [] })
  const begin = (transfer: number): FrameKind => ({
    $case: 'begin',
    value: {
      transfer,
      openings: [log.opening],
      target: [targetToWire(log.target())],
      claims: [claimToWire(other.claim())],
      cases: 3,
    },
  })
  const checked = (transfer: number): FrameKind => ({
    $case: 'checks',
    value: { transfer, stretches: [stretchToWire(log.stretch(log.target()))] },
  })
  const items = (early: boolean): FrameKind => ({
    $case: 'items',
    value: { transfer: 9, early, items: [item(1)], claims: [], openings: [], missing: [] },
  })

  test('BEGIN, ITEMS and END of the transfer that I asked for are passed to the store in order', () => {
    const machine = receiving().receive(begin(9), 700)
    expect(machine.last).toEqual([
      {
        type: 'beginTransfer',
        target: [log.target()],
        openings: [log.opening],
        claims: [other.claim()],
        cases: 3,
        bytes: 700,
      },
    ])
    machine.receive(checked(9), 200)
    expect(machine.last).toEqual([{ type: 'takeChecks', stretches: [log.stretch(log.target())], bytes: 200 }])
    machine.receive(items(false), 300)
    expect(machine.effects('takeItems')).toMatchObject([{ early: false, items: [item(1)], bytes: 300 }])
    machine.receive({ $case: 'end', value: { transfer: 9, missing: [item(2).key], kept: [] } })
    expect(machine.last).toEqual([{ type: 'endTransfer', missing: [item(2).key] }])
  })

  test('those of another transfer are left aside', () => {
    const machine = receiving().receive(begin(8))
    expect(machine.last).toEqual([])
    expect(machine.receive(checked(8)).last).toEqual([])
    expect(machine.receive({ $case: 'end', value: { transfer: 8, missing: [], kept: [] } }).last).toEqual([])
  })

  test('what comes of one that has ended is left aside, and the next one may be offered', () => {
    const machine = receiving().receive(begin(9)).step({ type: 'transferEnded' })
    for (const frame of [begin(9), checked(9), items(false)]) expect(machine.receive(frame).last).toEqual([])
    expect(machine.receive({ $case: 'offer', value: { cases: 3 } }).last).toEqual([{ type: 'wantTake' }])
  })

  test('cases that nobody asked for are left aside unless they come early or were wanted', () => {
    const machine = new Machine().greet(empty, mine)
    expect(machine.receive(items(false)).last).toEqual([])
    expect(machine.receive(items(true)).effects('takeItems')).toMatchObject([{ early: true }])
  })

  test('[X2] an acknowledgement names the transfer and how far it is durable', () => {
    const machine = receiving()
      .receive(begin(9))
      .step({ type: 'durable', claims: [], cursor: item(1).key, bytes: 300 })
    expect(machine.sent('ack')).toEqual([{ claims: [], transfer: 9, cursor: item(1).key, bulkBytes: 300 }])
  })

  test('[X1] its end is announced by a HELLO, which is built from a fresh summary', () => {
    const machine = receiving()
      .receive(begin(9))
      .receive({ $case: 'end', value: { transfer: 9, missing: [], kept: [] } })
    machine.step({ type: 'transferEnded' })
    expect(machine.last).toEqual([{ type: 'summarise' }])
    expect(machine.step({ type: 'summary', summary: mine }).sent('hello')).toMatchObject([{ round: 2 }])
  })
})

describe('out of turn', () => {
  test('what the store says of a transfer that is no more moves nothing', () => {
    const ended = serving().step({ type: 'itemsRead', items: [], after: none, done: true })
    for (const machine of [new Machine().greet(mine, empty), ended]) {
      const read: SyncEvent = { type: 'itemsRead', items: [item(1)], after: none, done: false }
      for (const event of [opened, checks, read]) expect(machine.step(event).last, event.type).toEqual([])
    }
  })

  test('a transfer under way is not offered anew, and its end waits for a HELLO, whatever is compared meanwhile', () => {
    const machine = serving()
      .receive(helloOf(empty, { round: 2 }))
      .step({ type: 'summary', summary: mine })
    expect(machine.kinds).toEqual(['hello'])
    machine.step({ type: 'itemsRead', items: [item(1)], after: item(1).key, done: true })
    expect(machine.kinds).toEqual(['items', 'end'])
  })

  test('changes that were pruned while states flow are not offered again: the states bring them', () => {
    const behind = summaryOf([heldLog(log, 3)])
    const machine = new Machine()
      .greet(mine, behind)
      .step({ type: 'judged', verdicts: [{ claim: log.claim(3), verdict: 'behind' }] })
    expect(machine.effects('readChanges')).toHaveLength(1)
    machine.receive(take).step(opened).step(checks)
    const pruned = { runs: [], openings: [], reached: new Map(), done: true, pruned: [log.id] }
    expect(machine.step({ type: 'changesRead', ...pruned }).sent('offer')).toEqual([])
  })
})
