/** A device's side of a mailbox where it could go on for ever, say too much at once, or take itself for done too early. */
import { beforeEach, describe, expect, test } from 'vitest'
import { fromHex, toHex } from '../../src/protocol/bytes.js'
import { MAX_IDS, MAX_REPLACES } from '../../src/protocol/mailbox-limits.js'
import { changeSettings } from '../../src/protocol/roster-write.js'
import { FAR, logId, mailId, mailOf, SessionBench, THIRD } from '../support/mail-session.js'
import { seeded } from '../support/random.js'
import { enrol, genesis, makeDevice, must, writing } from './roster-helpers.js'

const random = seeded(45).bytes
const [office, laptop] = [makeDevice(random, 'Office'), makeDevice(random, 'Laptop')]
const roster = enrol(random, genesis(random, office), office, laptop)
const word = new Uint8Array(600).fill(9)

let bench: SessionBench
beforeEach(() => {
  bench = new SessionBench(roster)
})
const wait = (ids: Uint8Array[], recipient = FAR) =>
  bench.ledger.add(recipient, { ids, ranges: [{ log: logId(10), from: 0, to: 5 }], bytes: 600 }, [])

describe('what goes to and fro', () => {
  test('[L5] a word is answered by CHECK and a word once, however often it is heard again', () => {
    bench.ready().fire('word')
    wait([mailId(1)])
    bench.forget().heard()
    expect(bench.takeSent('check')).toMatchObject({ ids: [mailId(1)] })
    expect(bench.timers.get('word')).toBe(1_000)
    bench.fire('word')
    bench.forget().heard({ fresh: false })
    expect(bench.sent()).toEqual([])
    expect(bench.timers.has('word')).toBe(false)
  })

  test('[L3] rosters that are settled each time are shown as often as they change', () => {
    bench.ready()
    for (let round = 0; round < 20; round++) {
      bench.roster = must(
        changeSettings(writing(random, bench.roster, office), { practiceName: `${round}` }),
      ).roster
      bench.forget().step({ type: 'rosterChanged' })
      expect(bench.takeSent('chain')).toBeDefined()
      bench.frame({ $case: 'head', value: { head: bench.roster.head } })
    }
    expect(bench.take('close')).toBeUndefined()
  })

  test('mail that comes while what was held is tried again is taken in behind it, though nothing is held any more', () => {
    bench.ready().batch([mailOf(1)])
    bench.step({ type: 'taken', taken: { done: [], held: [mailOf(1)], word } })
    bench.forget()
    // A roster that the relay showed: it changed mine, and was applied.
    bench.step({ type: 'rosterChanged' })
    bench.step({ type: 'rosterApplied' })
    expect(bench.take('take')).toMatchObject({ mails: [], held: [{ sequence: 1 }] })
    bench.batch([mailOf(2)])
    bench.step({ type: 'taken', taken: { done: [mailId(1)], held: [], word } })
    expect(bench.take('take')).toMatchObject({ mails: [{ sequence: 2 }], held: [] })
    bench.step({ type: 'taken', taken: { done: [mailId(2)], held: [], word } })
    expect(bench.takeSent('collect')).toEqual({ after: 2 })
  })

  test('behind LEAVE the relay’s questions are answered still, so that its answer finds somebody', () => {
    bench.ready().step({ type: 'leave', question: 6 })
    bench.forget().frame({ $case: 'alive', value: { number: 7, answer: false } })
    expect(bench.takeSent('alive')).toEqual({ number: 7, answer: true })
  })
})

describe('what a relay takes at once', () => {
  const ids = (count: number) =>
    Array.from({ length: count }, (_, at) => Uint8Array.from({ length: 16 }, (_, byte) => at >> (8 * byte)))

  test('[L5] many ids are asked after in several CHECKs, each id once', () => {
    wait(ids(2 * MAX_IDS + 1))
    bench.welcome()
    const checks = bench.sent().flatMap((frame) => (frame.$case === 'check' ? [frame.value] : []))
    expect(checks.map((check) => check.ids.length)).toEqual([MAX_IDS, MAX_IDS, 1])
    expect(new Set(checks.flatMap((check) => check.ids.map(toHex))).size).toBe(2 * MAX_IDS + 1)
    expect(new Set(checks.map(({ number }) => number)).size).toBe(3)
  })

  test('whole states name what they stand for once, and no more than a deposit may', () => {
    bench.survey.recipients.push({ device: THIRD, known: new Map(), counter: 0, connected: false })
    for (const recipient of [FAR, THIRD]) {
      bench.ledger.state.rows.set(recipient, { live: [], attempt: 2 })
      bench.ledger.add(recipient, { ids: ids(MAX_REPLACES - 1), ranges: [], bytes: 600 }, [])
    }
    bench.ledger.add(THIRD, { ids: [mailId(7), mailId(8)], ranges: [], bytes: 600 }, [])
    bench.ready().look()
    const ranges = [{ log: logId(10), from: 0, to: 5 }]
    bench.step({ type: 'statesOpened', opened: { set: mailId(1), ranges, bytes: 900 } })
    bench.step({ type: 'part', part: { envelope: word, id: mailId(50), last: true } })
    const { recipients, replaces } = bench.deposit()
    expect(recipients).toEqual([FAR, THIRD].map(fromHex))
    expect(new Set(replaces.map(toHex)).size).toBe(MAX_REPLACES)
    expect(replaces).toHaveLength(MAX_REPLACES)
  })
})

describe('[L5] the highest sequence', () => {
  test('of all answers to deposits is remembered: one that failed has none', () => {
    bench.ready().look()
    bench.written()
    bench.done(bench.deposit().number, '', 9)
    bench.survey.logs[0]!.seq = 6
    bench.look()
    bench.written(logId(10), 5, 6)
    bench.done(bench.deposit().number, 'full', 0)
    expect(bench.ledger.state.sequence).toBe(9)
  })
})

describe('done', () => {
  test('with collecting is who has nothing to take in, to hold or to hear answered', () => {
    const { machine } = bench
    bench.welcome()
    expect([machine.isCollected, machine.incoming]).toEqual([false, 0])
    bench.batch([mailOf(1), mailOf(2)])
    bench.batch([mailOf(3)])
    expect([machine.isCollected, machine.incoming]).toEqual([false, 1])
    bench.step({ type: 'taken', taken: { done: [], held: [mailOf(1), mailOf(2)], word } })
    expect([machine.isCollected, machine.incoming]).toEqual([false, 2])
    bench.step({ type: 'taken', taken: { done: [1, 2, 3].map(mailId), held: [], word } })
    expect([machine.isCollected, machine.incoming]).toEqual([false, 0])
    const acks = bench.sent().flatMap((frame) => (frame.$case === 'ack' ? [frame.value.number] : []))
    for (const number of acks) {
      expect(machine.isCollected).toBe(false)
      expect(bench.forget().done(number)).toEqual(number === acks.at(-1) ? [{ type: 'status' }] : [])
    }
    expect(machine.isCollected).toBe(true)
  })

  test('with leaving is who has looked, owes nothing, and leaves nothing just now', () => {
    const { machine } = bench
    const states: [boolean, boolean][] = []
    const note = () => states.push([machine.isGiving, machine.isDelivered])
    bench.welcome()
    note()
    bench.batch([])
    note()
    bench.fire('gather')
    note()
    bench.look()
    note()
    bench.written()
    bench.done(bench.deposit().number)
    note()
    bench.look()
    note()
    bench.step({ type: 'changed' })
    note()
    expect(states).toEqual([
      [false, false],
      [true, false],
      [true, false],
      [true, false],
      [true, false],
      [false, true],
      [true, false],
    ])
  })
})
