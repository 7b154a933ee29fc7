/** A device's side of a mailbox where it could go on for ever, say too much at once, or take itself for done too early. */
import { beforeEach, describe, expect, test } from 'vitest'
import { fromHex, toHex } from '../../src/protocol/bytes.js'
import { MAX_IDS, MAX_REPLACES } from '../../src/protocol/mailbox-limits.js'
import { decodeMailFrame } from '../../src/protocol/mailbox-wire.js'
import { changeSettings } from '../../src/protocol/roster-write.js'
import { FAR, logId, mailId, mailOf, NOTHING, SELF, SessionBench, THIRD } from '../support/mail-session.js'
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
      // It is collected from where it was, by the batch that is granted already.
      expect(bench.effects).toEqual([])
    }
  })

  test('[L5] a word that covers all that waits is answered by nothing, nor is any before the relay knows me', () => {
    wait([mailId(1)])
    bench.forget().heard()
    expect(bench.sent()).toEqual([])
    bench.ready().fire('word')
    bench.forget().heard({ known: new Map([[logId(10), 5]]) })
    expect(bench.sent()).toEqual([])
    expect(bench.timers.has('word')).toBe(false)
  })

  test('[L7] words that lose nothing are no loss, however many are heard', () => {
    bench.ready()
    wait([mailId(1)])
    for (let times = 0; times < 9; times++) bench.heard()
    bench.heard({ unusable: [mailId(1)] })
    bench.look()
    expect(bench.take('write')).toMatchObject({ attempt: 1 })
  })

  test('[L7] words that neither lose nor cover anything do not end what was in vain', () => {
    bench.ready()
    for (let times = 0; times < 4; times++) {
      wait([mailId(1)])
      bench.heard({ unusable: [mailId(1)] })
      bench.heard()
    }
    bench.look()
    expect(bench.take('openStates')).toBeUndefined()
    expect(bench.timers.get('again')).toBe(10_000)
  })

  test('an answer to ALIVE is not answered', () => {
    bench
      .ready()
      .forget()
      .frame({ $case: 'alive', value: { number: 7, answer: true } })
    expect(bench.effects).toEqual([])
  })

  test('[L6] [L5] what is under way is not put off by what comes meanwhile', () => {
    bench.ready()
    wait([mailId(1)])
    const missing = () => {
      bench.forget().heard()
      bench.frame({ $case: 'missing', value: { number: bench.takeSent('check')!.number, ids: [mailId(1)] } })
    }
    missing()
    for (const name of ['gather', 'word', 'suspect'] as const) bench.timers.set(name, 1)
    bench.step({ type: 'changed' })
    bench.step({ type: 'stated' })
    missing()
    expect(['gather', 'word', 'suspect'].map((name) => bench.timers.get(name as 'word'))).toEqual([1, 1, 1])
  })

  test('[L8] what is left for me is sought at the first end, and not at each', () => {
    bench.ready().forget().batch([])
    expect(bench.take('seekLeft')).toBeUndefined()
  })

  test('[L6] nothing is looked at again where nobody lacks anything, and whoever waited is in no hurry any more', () => {
    bench.ready().fire('word')
    bench.survey.recipients = []
    bench.step({ type: 'hurry' })
    bench.look()
    if (bench.take('survey')) bench.step({ type: 'surveyed', survey: bench.survey })
    expect(bench.timers.has('again')).toBe(false)
    bench.step({ type: 'stated' })
    expect(bench.timers.get('word')).toBe(1_000)
  })

  test('[L7] whoever waits is in a hurry as long as somebody lacks what only rests', () => {
    bench.ready().fire('word')
    bench.look()
    bench.written()
    bench.done(bench.deposit().number, 'failed')
    bench.step({ type: 'hurry' })
    bench.look()
    if (bench.take('survey')) bench.step({ type: 'surveyed', survey: bench.survey })
    expect(bench.timers.has('again')).toBe(true)
    bench.step({ type: 'stated' })
    expect(bench.timers.get('word')).toBe(0)
  })

  test('mail that comes while what was held is tried again is taken in behind it, though nothing is held any more', () => {
    bench.ready().batch([mailOf(1)])
    bench.step({ type: 'taken', taken: { done: [], held: [mailOf(1)], word } })
    bench.forget()
    // A roster that the relay showed: it changed mine, and was applied.
    bench.step({ type: 'rosterChanged' })
    bench.step({ type: 'rosterChanged' })
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

  test('[L1] as many ids as one ACK or CHECK may name go in one', () => {
    wait(ids(MAX_IDS))
    bench.welcome()
    bench.batch([mailOf(1)])
    bench.step({ type: 'taken', taken: { done: ids(MAX_IDS), held: [], word } })
    const counts = bench
      .sent()
      .flatMap((frame) => (frame.$case === 'check' || frame.$case === 'ack' ? [frame.value.ids.length] : []))
    expect(counts).toEqual([MAX_IDS, MAX_IDS])
  })

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

describe('whom a deposit is for', () => {
  const apart = (device: string, known: [string, number][]) => ({
    device,
    known: new Map(known),
    counter: 0,
    connected: false,
  })
  const states = () => {
    const base = bench.take('openStates')?.base
    const ranges = [{ log: logId(10), from: 0, to: 5 }]
    bench.step({ type: 'statesOpened', opened: { set: mailId(1), ranges, bytes: 900 } })
    bench.step({ type: 'part', part: { envelope: word, id: mailId(50), last: true } })
    return { base, recipients: bench.deposit().recipients }
  }
  const [more, other]: [string, number][] = [
    [logId(12), 1],
    [logId(12), 2],
  ]

  test.each([
    ['less', [more!], []],
    ['more', [], [more!]],
    ['as many logs, but not as far', [more!], [other!]],
  ] as [string, [string, number][], [string, number][]][])(
    'whole states begin where their recipient stands, and go to nobody who holds %s',
    (_name, first, second) => {
      bench.survey.recipients = [apart(FAR, first), apart(THIRD, second)]
      for (const { device } of bench.survey.recipients)
        bench.ledger.state.rows.set(device, { live: [], attempt: 2 })
      bench.ready().look()
      expect(states()).toEqual({ base: new Map(first), recipients: [fromHex(FAR)] })
    },
  )

  test('whole states that one of several needs begin where that one stands', () => {
    bench.survey.recipients = [apart(THIRD, [more!])]
    bench.ready().look()
    bench.written(logId(10), 0, 0, [logId(10)])
    bench.survey.recipients = [apart(FAR, []), apart(THIRD, [more!])]
    bench.look()
    expect(states()).toEqual({ base: new Map([more!]), recipients: [fromHex(THIRD)] })
  })

  test('[L5] what goes to several has an id that none of them has lost', () => {
    bench.survey.recipients.push(apart(THIRD, []))
    bench.ledger.state.rows.set(THIRD, { live: [], attempt: 1 })
    bench.ready().look()
    expect(bench.take('write')).toMatchObject({ attempt: 1 })
  })

  test('[L6] whoever is not served yet gets what had gathered, while more gathers', () => {
    bench.survey.recipients.push(apart(THIRD, [[logId(10), 2]]))
    bench.ready().look()
    bench.survey.logs = [{ log: logId(10), seq: 6, device: SELF }]
    bench.step({ type: 'changed' })
    bench.written()
    bench.done(bench.deposit().number)
    bench.take('write')
    bench.take('survey')
    bench.step({ type: 'surveyed', survey: bench.survey })
    expect(bench.take('write')).toMatchObject({ from: new Map([[logId(10), 2]]) })
    bench.written(logId(10), 2, 5)
    expect(bench.deposit().recipients).toEqual([fromHex(THIRD)])
  })
})

describe('what is taken for left', () => {
  test('[L4] only the answer to a deposit makes it one: another request’s changes nothing', () => {
    bench.ready().step({ type: 'worded', word })
    const { number } = bench.takeSent('ack')!
    bench.look()
    bench.written()
    bench.done(number)
    expect(bench.waiting).toEqual([])
    const own = bench.deposit().number
    bench.done(own)
    expect(bench.waiting).toHaveLength(1)
    // A relay that says it twice says nothing with it.
    expect(bench.done(own)).toEqual([])
  })

  test('[P4] what was left is said in my word once all of it lies there, and not where it was refused', () => {
    const isSaid = (error: string) => {
      bench.done(bench.deposit().number, error)
      return bench.timers.has('word')
    }
    bench.ready().fire('word')
    bench.look()
    bench.written()
    expect(isSaid('too-large')).toBe(false)
    bench.look()
    bench.survey.now = 60_000
    bench.fire('again')
    bench.look()
    bench.written(logId(10), 0, 0, [logId(10)])
    bench.look()
    const ranges = [{ log: logId(10), from: 0, to: 5 }]
    bench.step({ type: 'statesOpened', opened: { set: mailId(1), ranges, bytes: 900 } })
    bench.step({ type: 'part', part: { envelope: new Uint8Array(600), id: mailId(50), last: false } })
    expect(isSaid('')).toBe(false)
    bench.step({ type: 'part', part: { envelope: new Uint8Array(600), id: mailId(51), last: true } })
    expect(isSaid('')).toBe(true)
  })

  test('[L3] nothing is left at a relay before it knows the roster, whoever waits, and whatever it sends', () => {
    bench.welcome(NOTHING)
    bench.step({ type: 'hurry' })
    bench.batch([])
    expect(bench.timers.has('gather')).toBe(false)
    bench.step({ type: 'hurry' })
    expect(bench.take('survey')).toBeUndefined()
  })

  test('[L4] [L5] what the ledger forgets at a greeting or a word is kept', () => {
    bench.forget().welcome()
    expect(bench.take('keepLedger')).toBeDefined()
    bench.heard()
    expect(bench.take('keepLedger')).toBeDefined()
  })

  test('deposits go behind everything else that is said', () => {
    bench.ready().look()
    bench.written()
    const lanes = bench.effects.flatMap((effect) =>
      effect.type === 'send' ? [[decodeMailFrame(effect.bytes)!.$case, effect.lane]] : [],
    )
    expect(lanes).toEqual([
      ['greet', 'live'],
      ['collect', 'live'],
      ['deposit', 'bulk'],
    ])
  })

  test('[L5] the highest sequence of all answers to deposits is remembered: one that failed has none', () => {
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
    expect([machine.isCollected, machine.incoming]).toEqual([false, 0])
    bench.step({ type: 'taken', taken: { done: [], held: [mailOf(1), mailOf(2)], word } })
    expect([machine.isCollected, machine.incoming]).toEqual([false, 2])
    bench.step({ type: 'rosterChanged' })
    bench.batch([mailOf(3)])
    expect([machine.isCollected, machine.incoming]).toEqual([false, 3])
    bench.step({ type: 'taken', taken: { done: [], held: [mailOf(1), mailOf(2)], word } })
    bench.step({ type: 'taken', taken: { done: [1, 2, 3].map(mailId), held: [], word } })
    expect([machine.isCollected, machine.incoming]).toEqual([false, 0])
    const acks = bench.sent().flatMap((frame) => (frame.$case === 'ack' ? [frame.value.number] : []))
    for (const number of acks) {
      expect(machine.isCollected).toBe(false)
      expect(bench.forget().done(number)).toEqual(number === acks.at(-1) ? [{ type: 'status' }] : [])
    }
    expect(machine.isCollected).toBe(true)
  })

  test('with collecting is nobody who still holds mail that misses something', () => {
    bench.ready().batch([mailOf(1)])
    bench.step({ type: 'taken', taken: { done: [], held: [mailOf(1)], word } })
    expect(bench.machine.isCollected).toBe(false)
  })

  test('a person is told when the relay is there, when all is collected, while something is left and when it is', () => {
    const told = (act: () => void) => {
      bench.forget()
      act()
      return bench.take('status') !== undefined
    }
    expect(told(() => bench.welcome())).toBe(true)
    expect(told(() => bench.batch([]))).toBe(true)
    expect(told(() => bench.look())).toBe(true)
    expect(told(() => bench.written())).toBe(false)
    bench.done(bench.deposit().number)
    expect(told(() => bench.step({ type: 'surveyed', survey: bench.survey }))).toBe(true)
    expect(bench.machine.isDelivered).toBe(true)
    const leaving = new SessionBench(roster, { visit: 'leave' }).forget()
    leaving.welcome()
    expect(leaving.take('status')).toBeDefined()
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
