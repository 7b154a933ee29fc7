/** A device's side of a mailbox, message by message. */
import { beforeEach, describe, expect, test } from 'vitest'
import { fromHex, toHex } from '../../src/protocol/bytes.js'
import { GATHER_MS } from '../../src/protocol/mail-giving.js'
import { MailLedger } from '../../src/protocol/mail-ledger.js'
import { FORWARD_MAIL_MS } from '../../src/protocol/mail-plan.js'
import { MAX_IDS } from '../../src/protocol/mailbox-limits.js'
import type { Roster } from '../../src/protocol/roster.js'
import {
  FAR,
  INCARNATION,
  logId,
  mailId,
  mailOf,
  NOTHING,
  SELF,
  SessionBench,
  THIRD,
} from '../support/mail-session.js'
import { seeded } from '../support/random.js'
import { enrol, genesis, makeDevice } from './roster-helpers.js'

const random = seeded(44).bytes
const [office, laptop] = [makeDevice(random, 'Office'), makeDevice(random, 'Laptop')]
const begun = genesis(random, office)
const roster: Roster = enrol(random, begun, office, laptop)
const word = new Uint8Array(600).fill(9)

let bench: SessionBench
beforeEach(() => {
  bench = new SessionBench(roster)
})
const closed = () => bench.take('close')?.code

describe('greeting', () => {
  test('names versions, practice and roster head, and says once what it collects', () => {
    expect(bench.takeSent('greet')).toEqual({
      oldest: 1,
      newest: 1,
      practice: roster.practiceId,
      rosterHead: roster.head,
    })
    expect(bench.machine.isReady).toBe(false)
    bench.welcome()
    expect(bench.machine.isReady).toBe(true)
    expect(bench.takeSent('collect')).toEqual({ after: 0 })
    expect(bench.timers.has('greet')).toBe(false)
    bench.welcome()
    expect(closed()).toBe('malformed')
  })

  test.each([
    ['a version that is too new', 2, 'relay-too-new'],
    ['a version that is too old', 0, 'relay-too-old'],
  ])('a relay of %s is told apart', (_name, version, code) => {
    bench.welcome(roster.head, version)
    expect(closed()).toBe(code)
  })

  test.each([
    ['peer-too-old', 'relay-too-new'],
    ['peer-too-new', 'relay-too-old'],
    ['stopping', 'stopping'],
    ['refused', 'refused'],
    ['whatever', 'refused'],
  ])('a refusal "%s" closes as %s', (code, expected) => {
    bench.frame({ $case: 'refuse', value: { code } })
    expect(closed()).toBe(expected)
  })

  test('a relay that says nothing is given up, at the greeting and later', () => {
    bench.fire('greet')
    expect(closed()).toBe('silent')
    const later = new SessionBench(roster).ready()
    for (let round = 0; round < 3; round++) {
      later.fire('alive')
      expect(later.takeSent('alive')).toMatchObject({ answer: false })
    }
    later.fire('alive')
    expect(later.take('close')?.code).toBe('silent')
  })

  test('a relay that answers is kept, and is answered', () => {
    bench.ready().forget()
    for (let round = 0; round < 10; round++) {
      bench.fire('alive')
      bench.frame({ $case: 'alive', value: { number: 1, answer: true } })
    }
    expect(closed()).toBeUndefined()
    bench.forget().frame({ $case: 'alive', value: { number: 77, answer: false } })
    expect(bench.takeSent('alive')).toEqual({ number: 77, answer: true })
  })

  test('the deadline of the greeting is over once the relay knows me', () => {
    bench.ready()
    bench.step({ type: 'timer', name: 'greet' })
    expect(closed()).toBeUndefined()
  })

  test('what is no message of a relay closes as malformed', () => {
    bench.frame({ $case: 'collect', value: { after: 0 } })
    expect(closed()).toBe('malformed')
    bench.step({ type: 'malformed' })
    expect(closed()).toBe('malformed')
  })

  test('[L5] what was left at another incarnation, or before the relay went back, is forgotten', () => {
    const ledger = new MailLedger({ incarnation: INCARNATION, sequence: 7, rows: new Map() })
    ledger.add(FAR, { ids: [mailId(1)], ranges: [{ log: logId(10), from: 0, to: 5 }], bytes: 600 }, [])
    const known = new SessionBench(roster, { ledger })
    known.sequence = 7
    known.welcome()
    expect(known.takeSent('check')).toMatchObject({ recipient: fromHex(FAR), ids: [mailId(1)] })
    const back = new SessionBench(roster, { ledger })
    back.sequence = 6
    back.welcome()
    expect(back.takeSent('check')).toBeUndefined()
    expect(back.waiting).toEqual([])
  })
})

describe('the roster', () => {
  test('[L3] is shown to a relay that does not know the practice, and nothing is collected before', () => {
    bench.welcome(NOTHING)
    expect(bench.takeSent('chain')?.entries).toEqual([...roster.entries])
    expect(bench.takeSent('collect')).toBeUndefined()
    bench.step({ type: 'changed' })
    bench.fire('gather')
    expect(bench.take('survey')).toBeUndefined()
    bench.frame({ $case: 'head', value: { head: roster.head } })
    expect(bench.takeSent('collect')).toEqual({ after: 0 })
  })

  test('[L3] is shown to a relay that is behind, and asked for from one that is ahead', () => {
    bench.welcome(begun.head)
    expect(bench.takeSent('chain')?.entries).toHaveLength(2)
    const behind = new SessionBench(begun)
    behind.welcome(roster.head)
    expect(behind.takeSent('chain')?.entries).toEqual([])
    behind.frame({ $case: 'chain', value: { entries: [...roster.entries] } })
    expect(behind.take('applyRoster')?.entries).toEqual([...roster.entries])
    behind.roster = roster
    behind.step({ type: 'rosterApplied' })
    expect(behind.machine.isReady).toBe(true)
  })

  test('[L3] is contested where neither side takes over the other one', () => {
    const other = enrol(random, begun, office, makeDevice(random, 'Other'))
    bench.welcome(other.head)
    let asked = 0
    while (bench.takeSent('chain') && ++asked < 50) {
      bench.frame({ $case: 'chain', value: { entries: [...other.entries] } })
      bench.step({ type: 'rosterApplied' })
    }
    expect(asked).toBe(8)
    expect(closed()).toBe('contested')
  })

  test('a chain that is none closes as malformed', () => {
    bench.welcome(begun.head)
    bench.frame({ $case: 'chain', value: { entries: [] } })
    expect(closed()).toBe('malformed')
    bench.frame({ $case: 'chain', value: { entries: [new Uint8Array(200)] } })
    expect(closed()).toBe('malformed')
  })

  test('a change of it while connected is shown, and mail of whom it names is looked at again', () => {
    const early = new SessionBench(begun)
    early.welcome()
    early.batch([mailOf(1)])
    early.take('take')
    early.step({ type: 'taken', taken: { done: [], held: [mailOf(1)], word } })
    early.forget()
    early.roster = roster
    early.step({ type: 'rosterChanged' })
    expect(early.takeSent('chain')?.entries).toHaveLength(2)
    // A look between times: what misses something may still get it.
    expect(early.take('take')).toMatchObject({ final: false, mails: [], held: [{ sequence: 1 }] })
    // While it is looked at, nothing is taken twice; but it is looked at once more under the roster of now.
    early.step({ type: 'rosterChanged' })
    early.step({ type: 'rosterApplied' })
    expect(early.take('take')).toBeUndefined()
    early.step({ type: 'taken', taken: { done: [], held: [mailOf(1)], word } })
    expect(early.take('take')).toMatchObject({ final: false, mails: [], held: [{ sequence: 1 }] })
    early.step({ type: 'taken', taken: { done: [mailId(1)], held: [], word } })
    expect(early.take('take')).toBeUndefined()
    // Nothing held: nothing to look at.
    early.step({ type: 'rosterChanged' })
    expect(early.take('take')).toBeUndefined()
    // Only a batch that came asks for another one.
    expect(early.takeSent('collect')).toBeUndefined()
  })

  test('before the greeting a change of it says nothing', () => {
    bench.forget().step({ type: 'rosterChanged' })
    expect(bench.sent()).toEqual([])
  })
})

describe('collecting', () => {
  test('[L1] nothing is acknowledged before it was taken in, and then with my word', () => {
    bench.welcome()
    bench.forget().batch([mailOf(1), mailOf(2)], false)
    expect(bench.sent()).toEqual([])
    expect(bench.take('take')).toMatchObject({ mails: [{ sequence: 1 }, { sequence: 2 }], final: false })
    bench.step({ type: 'taken', taken: { done: [mailId(1), mailId(2)], held: [], word } })
    expect(bench.takeSent('ack')).toMatchObject({ ids: [mailId(1), mailId(2)], notice: word })
    expect(bench.takeSent('collect')).toEqual({ after: 2 })
  })

  test('[L1] is over only when the last acknowledgement is answered', () => {
    bench.welcome()
    bench.batch([mailOf(1)])
    bench.step({ type: 'taken', taken: { done: [mailId(1)], held: [], word } })
    const { number } = bench.takeSent('ack')!
    expect(bench.machine.isCollected).toBe(false)
    bench.done(number)
    expect(bench.machine.isCollected).toBe(true)
  })

  test('[L1] many ids go in several acknowledgements, the word with the first', () => {
    bench.welcome()
    bench.batch([mailOf(1)])
    const ids = Array.from({ length: 2 * MAX_IDS + 1 }, () => mailId(1))
    bench.step({ type: 'taken', taken: { done: ids, held: [], word } })
    const acks = [bench.takeSent('ack')!, bench.takeSent('ack')!, bench.takeSent('ack')!]
    expect(acks.map((ack) => [ack.ids.length, ack.notice.length])).toEqual([
      [MAX_IDS, 600],
      [MAX_IDS, 0],
      [1, 0],
    ])
    expect(bench.takeSent('ack')).toBeUndefined()
  })

  test('one batch at a time is taken in, the others wait', () => {
    bench.welcome()
    bench.batch([mailOf(1)], false)
    bench.batch([mailOf(2)], false)
    bench.batch([])
    expect(bench.machine.incoming).toBe(1)
    expect(bench.take('take')?.mails).toHaveLength(1)
    expect(bench.take('take')).toBeUndefined()
    bench.step({ type: 'taken', taken: { done: [mailId(1)], held: [], word } })
    expect(bench.take('take')).toMatchObject({ mails: [{ sequence: 2 }] })
    bench.step({ type: 'taken', taken: { done: [mailId(2)], held: [], word } })
    expect(bench.take('take')).toBeUndefined()
    expect(bench.timers.has('gather')).toBe(true)
  })

  test('[L2] what misses something waits for what comes later, and is of no use only a while after the end', () => {
    bench.welcome()
    bench.batch([mailOf(1)], false)
    expect(bench.take('take')).toMatchObject({ mails: [{ sequence: 1 }], held: [], final: false })
    bench.step({ type: 'taken', taken: { done: [], held: [mailOf(1)], word } })
    expect(bench.takeSent('ack')).toBeUndefined()
    // More is to come.
    expect(bench.timers.has('held')).toBe(false)
    bench.batch([mailOf(2)], true)
    expect(bench.take('take')).toMatchObject({
      mails: [{ sequence: 2 }],
      held: [{ sequence: 1 }],
      final: false,
    })
    bench.step({ type: 'taken', taken: { done: [mailId(2)], held: [mailOf(1)], word } })
    expect(bench.takeSent('ack')?.ids).toEqual([mailId(2)])
    expect(bench.take('take')).toBeUndefined()
    expect(bench.timers.get('held')).toBe(10_000)
    expect(bench.machine.isCollected).toBe(false)
    bench.fire('held')
    expect(bench.take('take')).toMatchObject({ mails: [], held: [{ sequence: 1 }], final: true })
    bench.step({ type: 'taken', taken: { done: [mailId(1)], held: [], word } })
    expect(bench.takeSent('ack')?.ids).toEqual([mailId(1)])
    expect(bench.take('take')).toBeUndefined()
    expect(bench.timers.has('held')).toBe(false)
    // Tried once more, not asked for once more.
    expect(bench.sent().filter(({ $case }) => $case === 'collect')).toHaveLength(3)
  })

  test('[L2] mail that comes later is taken in with what still waits, and the wait begins anew', () => {
    bench.ready()
    bench.batch([mailOf(4)])
    bench.take('take')
    bench.step({ type: 'taken', taken: { done: [], held: [mailOf(4)], word } })
    expect(bench.machine.incoming).toBe(1)
    bench.timers.delete('held')
    bench.batch([mailOf(5)])
    expect(bench.take('take')).toMatchObject({
      mails: [{ sequence: 5 }],
      held: [{ sequence: 4 }],
      final: false,
    })
    bench.step({ type: 'taken', taken: { done: [mailId(5)], held: [mailOf(4)], word } })
    expect(bench.timers.get('held')).toBe(10_000)
    bench.batch([])
    expect(bench.take('take')).toBeUndefined()
  })

  test('[L2] while something is taken in, or more waits at the relay, nothing is of no use', () => {
    bench.ready()
    const held = [mailOf(4)]
    bench.batch(held)
    bench.take('take')
    bench.step({ type: 'taken', taken: { done: [], held, word } })
    bench.batch([mailOf(5)], false)
    bench.take('take')
    bench.step({ type: 'taken', taken: { done: [mailId(5)], held, word } })
    bench.fire('held')
    expect(bench.take('take')).toBeUndefined()
    bench.batch([mailOf(6)])
    bench.take('take')
    bench.step({ type: 'taken', taken: { done: [mailId(6)], held, word } })
    // A roster lets it be tried between times, just when the wait ends.
    bench.step({ type: 'rosterChanged' })
    expect(bench.take('take')?.final).toBe(false)
    bench.fire('held')
    expect(bench.take('take')).toBeUndefined()
    bench.step({ type: 'taken', taken: { done: [], held, word } })
    expect(bench.take('take')).toMatchObject({ mails: [], held: [{ sequence: 4 }], final: false })
    bench.step({ type: 'taken', taken: { done: [], held, word } })
    bench.fire('held')
    expect(bench.take('take')).toMatchObject({ mails: [], held: [{ sequence: 4 }], final: true })
  })

  test('[L2] an empty batch ends the collecting, whatever a relay says of more: what is held waits no longer', () => {
    bench.welcome()
    bench.batch([mailOf(1)], false)
    bench.take('take')
    bench.step({ type: 'taken', taken: { done: [], held: [mailOf(1)], word } })
    expect(bench.timers.has('held')).toBe(false)
    bench.batch([], false)
    expect(bench.timers.get('held')).toBe(10_000)
    bench.fire('held')
    expect(bench.take('take')).toMatchObject({ mails: [], held: [{ sequence: 1 }], final: true })
    bench.step({ type: 'taken', taken: { done: [mailId(1)], held: [], word } })
    expect(bench.take('take')).toBeUndefined()
    const { number } = bench.takeSent('ack')!
    bench.done(number)
    expect(bench.machine.isCollected).toBe(true)
  })

  test('[L9] while a relay leaves open whether more waits, it is looked at again whether it is waited for', () => {
    bench.welcome()
    for (let again = 0; again < 3; again++) {
      expect(bench.timers.get('more')).toBe(10_000)
      expect(bench.fire('more')).toContainEqual({ type: 'status' })
    }
    bench.batch([])
    expect(bench.fire('more')).toEqual([])
    expect(bench.timers.has('more')).toBe(false)
    bench.batch([mailOf(4)], false)
    expect(bench.timers.get('more')).toBe(10_000)
  })

  test('[L8] what others say they left for me is sought: at the end, and a while after they say more', () => {
    bench.welcome()
    bench.heard({ left: [] })
    expect(bench.timers.has('seek')).toBe(false)
    bench.batch([])
    expect(bench.take('seekLeft')).toBeDefined()
    bench.heard({ left: undefined })
    bench.heard({ left: [], incarnation: mailId(6) })
    expect(bench.timers.has('seek')).toBe(false)
    const waits: number[] = []
    for (let round = 0; round < 9; round++) {
      bench.heard({ left: [] })
      waits.push(bench.timers.get('seek')!)
      bench.timers.set('seek', 0)
      // One that is under way is not put off.
      bench.heard({ left: [] })
      expect(bench.timers.get('seek')).toBe(0)
      expect(bench.take('seekLeft')).toBeUndefined()
      bench.fire('seek')
      expect(bench.take('seekLeft')).toBeDefined()
      expect(bench.timers.has('seek')).toBe(false)
    }
    expect(waits.map((ms) => ms / 1_000)).toEqual([10, 20, 40, 80, 160, 320, 600, 600, 600])
  })
})

describe('my word', () => {
  test('follows what it speaks of once, after a moment, and only while the relay knows me', () => {
    bench.step({ type: 'stated' })
    expect(bench.timers.has('word')).toBe(false)
    bench.ready().forget()
    expect(bench.timers.get('word')).toBeGreaterThan(0)
    bench.step({ type: 'stated' })
    bench.fire('word')
    expect(bench.take('makeWord')).toBeDefined()
    bench.step({ type: 'worded', word })
    expect(bench.takeSent('ack')).toMatchObject({ ids: [], notice: word })
  })

  test('is not sent on before the greeting is over', () => {
    bench.forget().step({ type: 'worded', word })
    expect(bench.sent()).toEqual([])
  })

  test('goes at once while somebody waits', () => {
    bench.ready()
    bench.fire('word')
    bench.step({ type: 'hurry' })
    bench.step({ type: 'stated' })
    expect(bench.timers.get('word')).toBe(0)
  })

  test('of the others is heard, each notice', () => {
    const notices = [{ device: fromHex(FAR), sealed: word }]
    bench.frame({ $case: 'notices', value: { notices } })
    expect(bench.take('hear')).toEqual({ type: 'hear', notices })
  })
})

describe('leaving mail', () => {
  beforeEach(() => {
    bench.ready()
  })

  test('[L3] begins only when everything that waited here was looked at', () => {
    const fresh = new SessionBench(roster)
    fresh.welcome()
    fresh.step({ type: 'changed' })
    fresh.fire('gather')
    expect(fresh.take('survey')).toBeUndefined()
    fresh.batch([])
    fresh.fire('gather')
    expect(fresh.take('survey')).toBeDefined()
  })

  test('[L6] what changes within a moment is looked at once', () => {
    expect(bench.timers.get('gather')).toBe(GATHER_MS)
    for (let at = 0; at < 20; at++) bench.step({ type: 'changed' })
    bench.fire('gather')
    expect(bench.take('survey')).toBeDefined()
    expect(bench.take('survey')).toBeUndefined()
  })

  test('[L6] what changes while something is being left gathers as well, unless somebody waits', () => {
    const typeTo = (seq: number) => {
      bench.survey.logs = [{ log: logId(10), seq, device: SELF }]
      bench.step({ type: 'changed' })
    }
    bench.look()
    typeTo(6)
    bench.written()
    bench.done(bench.deposit().number)
    bench.take('write')
    bench.step({ type: 'surveyed', survey: bench.survey })
    expect(bench.take('write')).toBeUndefined()
    expect(bench.machine.isDelivered).toBe(false)
    bench.take('survey')
    bench.look()
    expect(bench.take('write')).toMatchObject({ from: new Map([[logId(10), 5]]) })
    typeTo(7)
    bench.written(logId(10), 5, 6)
    bench.done(bench.deposit().number)
    bench.step({ type: 'hurry' })
    bench.step({ type: 'surveyed', survey: bench.survey })
    bench.look()
    expect(bench.take('write')).toMatchObject({ from: new Map([[logId(10), 6]]) })
  })

  test('[L6] what has gathered while something was being left goes at its end, whatever gathers by then', () => {
    const typeTo = (seq: number) => {
      bench.survey.logs = [{ log: logId(10), seq, device: SELF }]
      bench.step({ type: 'changed' })
    }
    bench.look()
    typeTo(6)
    bench.fire('gather')
    typeTo(7)
    bench.written()
    bench.done(bench.deposit().number)
    bench.take('write')
    bench.take('survey')
    bench.step({ type: 'surveyed', survey: bench.survey })
    expect(bench.take('write')).toMatchObject({ from: new Map([[logId(10), 5]]) })
  })

  test('[L6] who begins to wait amid a look waits for no turn of others', () => {
    const other = '77'.repeat(32)
    const all = new Map([
      [logId(10), 5],
      [logId(20), 1],
    ])
    bench.survey.recipients = [
      { device: FAR, known: new Map(), counter: 0, connected: false },
      { device: other, known: all, counter: 1, connected: false },
    ]
    bench.look()
    bench.survey.logs = [
      { log: logId(10), seq: 5, device: SELF },
      { log: logId(20), seq: 1, device: other },
    ]
    bench.step({ type: 'changed' })
    bench.written()
    bench.done(bench.deposit().number)
    bench.take('write')
    expect(bench.take('survey')).toBeDefined()
    bench.step({ type: 'hurry' })
    bench.step({ type: 'surveyed', survey: bench.survey })
    if (bench.take('survey')) bench.step({ type: 'surveyed', survey: bench.survey })
    expect(bench.take('write')).toMatchObject({ from: new Map([[logId(20), 0]]) })
  })

  test('is one deposit, remembered when it is durable, then looked at again until nobody lacks anything', () => {
    bench.look()
    expect(bench.machine.isGiving).toBe(true)
    expect(bench.take('write')).toMatchObject({ from: new Map([[logId(10), 0]]), attempt: 0 })
    bench.written()
    const { number, id, recipients, replaces } = bench.deposit()
    expect({ id, recipients, replaces }).toEqual({
      id: mailId(105),
      recipients: [fromHex(FAR)],
      replaces: [],
    })
    expect(bench.waiting).toEqual([])
    bench.forget().done(number)
    expect(bench.waiting).toEqual([toHex(mailId(105))])
    expect(bench.take('keepLedger')).toBeDefined()
    expect(bench.take('full')).toEqual({ type: 'full', full: false })
    bench.look()
    expect(bench.take('write')).toBeUndefined()
    expect(bench.machine.isDelivered).toBe(true)
    expect(bench.machine.reach(FAR, new Map())).toEqual(new Map([[logId(10), 5]]))
  })

  test('is looked at again where something changed meanwhile', () => {
    bench.look()
    bench.step({ type: 'changed' })
    bench.fire('gather')
    expect(bench.take('survey')).toBeUndefined()
    bench.written()
    bench.done(bench.deposit().number)
    expect(bench.take('survey')).toBeDefined()
    bench.step({ type: 'hurry' })
    bench.survey.recipients = []
    bench.step({ type: 'surveyed', survey: bench.survey })
    expect(bench.take('survey')).toBeDefined()
    expect(bench.machine.isDelivered).toBe(false)
  })

  test('[P2] waits for the author, but not while somebody waits', () => {
    bench.survey.logs = [{ log: logId(11), seq: 3, device: THIRD }]
    const recipient = { known: new Map<string, number>(), counter: 0, connected: false }
    bench.survey.recipients = [
      { ...recipient, device: FAR },
      { device: THIRD, known: new Map([[logId(11), 3]]), counter: 0, connected: false },
    ]
    bench.look()
    expect(bench.take('write')).toBeUndefined()
    expect(bench.timers.get('again')).toBe(FORWARD_MAIL_MS)
    expect(bench.machine.isDelivered).toBe(false)
    bench.step({ type: 'hurry' })
    bench.look()
    expect(bench.take('write')).toBeDefined()
  })

  test('[L4] keeps what is left until the word of the recipient covers it', () => {
    bench.look()
    bench.written()
    bench.done(bench.deposit().number)
    bench.look()
    bench.forget().heard({ known: new Map([[logId(10), 4]]) })
    expect(bench.waiting).toHaveLength(1)
    const check = bench.takeSent('check')!
    expect(check.ids).toEqual([mailId(105)])
    bench.frame({ $case: 'missing', value: { number: check.number, ids: [] } })
    expect(bench.timers.has('suspect')).toBe(false)
    bench.heard({ known: new Map([[logId(10), 5]]) })
    expect(bench.waiting).toEqual([])
    expect(bench.takeSent('check')).toBeUndefined()
  })

  test('[L5] what the relay does not hold any more is offered again under another attempt, after a moment', () => {
    bench.look()
    bench.written()
    bench.done(bench.deposit().number)
    bench.look()
    bench.heard({ known: new Map() })
    const { number } = bench.takeSent('check')!
    bench.frame({ $case: 'missing', value: { number, ids: [mailId(105)] } })
    // Said twice: only what was asked counts.
    bench.frame({ $case: 'missing', value: { number, ids: [mailId(105)] } })
    expect(bench.waiting).toHaveLength(1)
    expect(bench.timers.get('suspect')).toBe(2_000)
    bench.forget().fire('suspect')
    // The first look may come just after the answer: its word may still be on its way.
    expect(bench.waiting).toHaveLength(1)
    expect(bench.timers.get('suspect')).toBe(2_000)
    bench.fire('suspect')
    expect(bench.waiting).toEqual([])
    expect(bench.take('keepLedger')).toBeDefined()
    expect(bench.timers.has('suspect')).toBe(false)
    bench.look()
    expect(bench.take('write')).toMatchObject({ attempt: 1 })
  })

  test('[L5] each that is missing waits for two looks of its own', () => {
    for (const n of [1, 2]) {
      const ranges = [{ log: logId(10), from: n - 1, to: n }]
      bench.ledger.add(FAR, { ids: [mailId(n)], ranges, bytes: 600 }, [])
    }
    const missing = (...ids: Uint8Array[]) => {
      bench.forget().heard()
      const { number } = bench.takeSent('check')!
      bench.frame({ $case: 'missing', value: { number, ids } })
    }
    missing(mailId(1))
    bench.fire('suspect')
    missing(mailId(2))
    bench.fire('suspect')
    expect(bench.waiting).toEqual([toHex(mailId(2))])
    bench.fire('suspect')
    expect(bench.waiting).toEqual([])
  })

  test('[L5] a word that comes in time saves the second deposit', () => {
    bench.look()
    bench.written()
    bench.done(bench.deposit().number)
    bench.look()
    bench.heard({ known: new Map() })
    const { number } = bench.takeSent('check')!
    bench.frame({ $case: 'missing', value: { number, ids: [mailId(105)] } })
    bench.fire('suspect')
    bench.heard({ known: new Map([[logId(10), 5]]) })
    bench.forget().fire('suspect')
    expect(bench.take('keepLedger')).toBeUndefined()
    expect(bench.ledger.row(FAR).attempt).toBe(0)
    expect(bench.timers.has('suspect')).toBe(false)
  })

  test('[L5] what two attempts could not bring goes as whole states, and stands for all before', () => {
    for (let attempt = 0; attempt < 2; attempt++) {
      bench.look()
      expect(bench.take('write')).toMatchObject({ attempt })
      bench.written()
      bench.done(bench.deposit().number)
      bench.look()
      bench.heard({ unusable: [mailId(105)] })
    }
    bench.ledger.add(FAR, { ids: [mailId(7)], ranges: [], bytes: 600 }, [])
    bench.look()
    expect(bench.take('openStates')).toEqual({ type: 'openStates', base: new Map() })
    const ranges = [{ log: logId(10), from: 0, to: 5 }]
    bench.step({ type: 'statesOpened', opened: { set: mailId(1), ranges, bytes: 900 } })
    expect(bench.take('writePart')).toEqual({ type: 'writePart', index: 0 })
    bench.step({ type: 'part', part: { envelope: word, id: mailId(50), last: false } })
    const first = bench.deposit()
    expect(first.replaces).toEqual([])
    bench.done(first.number)
    expect(bench.take('writePart')).toEqual({ type: 'writePart', index: 1 })
    bench.step({ type: 'part', part: { envelope: word, id: mailId(51), last: true } })
    const last = bench.deposit()
    expect(last.replaces).toEqual([mailId(7)])
    bench.done(last.number)
    expect(bench.waiting).toEqual([mailId(50), mailId(51)].map(toHex))
    expect(bench.machine.reach(FAR, new Map())).toEqual(new Map([[logId(10), 5]]))
  })

  test('whole states go only to recipients that stand at the same place', () => {
    bench.survey.recipients.push({
      device: THIRD,
      known: new Map([[logId(12), 1]]),
      counter: 0,
      connected: false,
    })
    for (const recipient of [FAR, THIRD]) bench.ledger.state.rows.set(recipient, { live: [], attempt: 2 })
    bench.look()
    expect(bench.take('openStates')).toBeDefined()
    const ranges = [{ log: logId(10), from: 0, to: 5 }]
    bench.step({ type: 'statesOpened', opened: { set: mailId(1), ranges, bytes: 900 } })
    bench.step({ type: 'part', part: { envelope: word, id: mailId(50), last: true } })
    expect(bench.deposit().recipients).toEqual([fromHex(FAR)])
  })

  test('what is not retained any more goes as whole states', () => {
    bench.look()
    bench.written(logId(10), 0, 0, [logId(10)])
    bench.look()
    expect(bench.take('openStates')).toBeDefined()
    bench.step({ type: 'statesOpened', opened: { set: mailId(1), ranges: [], bytes: 0 } })
    // Damaged here, for now: it is looked at again later, from the beginning.
    bench.look()
    expect(bench.take('openStates')).toBeUndefined()
    expect(bench.timers.get('again')).toBe(10_000)
    bench.survey.now = 10_000
    bench.fire('again')
    bench.look()
    expect(bench.take('openStates')).toBeUndefined()
    expect(bench.take('write')).toBeDefined()
  })

  test('[L7] what could not be written is looked at again later, and others are given something meanwhile', () => {
    bench.look()
    bench.take('write')
    bench.step({ type: 'written', written: undefined })
    bench.look()
    expect(bench.take('write')).toBeUndefined()
    expect(bench.timers.get('again')).toBe(10_000)
    expect(bench.machine.isDelivered).toBe(false)
    bench.survey.recipients.push({ device: THIRD, known: new Map(), counter: 0, connected: false })
    bench.survey.now = 9_999
    bench.step({ type: 'changed' })
    bench.look()
    expect(bench.take('write')).toBeDefined()
    bench.written()
    const { number, recipients } = bench.deposit()
    expect(recipients).toEqual([fromHex(THIRD)])
    bench.done(number)
    bench.survey.now = 10_000
    bench.look()
    expect(bench.take('write')).toBeDefined()
    bench.written(logId(10), 0, 0)
    expect(bench.takeSent('deposit')).toBeUndefined()
    bench.look()
    expect(bench.take('write')).toBeUndefined()
    expect(bench.timers.get('again')).toBe(10_000)
  })

  test('[L7] what is in vain again and again is offered after longer and longer rests, until all is well', () => {
    const rests: number[] = []
    const tries = (count: number) => {
      for (let at = 0; at < count; at++) {
        bench.ledger.add(FAR, { ids: [mailId(7)], ranges: [], bytes: 600 }, [])
        bench.heard({ unusable: [mailId(7)] })
        bench.look()
        const isGiven = bench.take('openStates') ?? bench.take('write')
        rests.push(isGiven ? 0 : bench.timers.get('again')! / 1_000)
        if (!isGiven) continue
        // Nothing is left by this one: only what was in vain counts here.
        bench.survey.now += 60_000
        bench.step(
          isGiven.type === 'write'
            ? { type: 'written', written: undefined }
            : { type: 'statesOpened', opened: { set: mailId(1), ranges: [], bytes: 0 } },
        )
        bench.look()
        bench.survey.now += 60_000
      }
    }
    tries(11)
    expect(rests).toEqual([0, 0, 0, 10, 20, 40, 80, 160, 320, 600, 600])
    // It has everything: the next one in vain is the first one again.
    bench.ledger.add(FAR, { ids: [mailId(8)], ranges: [{ log: logId(10), from: 0, to: 1 }], bytes: 600 }, [])
    bench.heard({ known: new Map([[logId(10), 1]]) })
    bench.survey.now += 600_000
    rests.length = 0
    tries(4)
    expect(rests).toEqual([0, 0, 0, 10])
  })

  test('[L7] a full relay loses nothing: it is said, and for a while nothing is left there for anybody', () => {
    bench.look()
    bench.take('write')
    bench.written()
    bench.done(bench.deposit().number, 'full')
    expect(bench.take('full')).toEqual({ type: 'full', full: true })
    expect(bench.waiting).toEqual([])
    bench.look()
    expect(bench.timers.get('again')).toBe(60_000)
    bench.survey.recipients.push({ device: THIRD, known: new Map(), counter: 0, connected: false })
    for (const now of [1, 20_000, 59_999]) {
      bench.survey.now = now
      bench.step({ type: 'changed' })
      bench.look()
    }
    expect(bench.take('write')).toBeUndefined()
    // What is left of the rest, but never sooner than changes gather.
    expect(bench.timers.get('again')).toBe(GATHER_MS)
    expect(bench.machine.isDelivered).toBe(false)
    bench.survey.now = 60_000
    bench.fire('again')
    bench.look()
    bench.written()
    bench.done(bench.deposit().number)
    expect(bench.take('full')).toEqual({ type: 'full', full: false })
  })

  test('[L7] a relay that failed rests too, and whoever waits hears that something is not delivered', () => {
    bench.look()
    bench.take('write')
    bench.written()
    bench.done(bench.deposit().number, 'failed')
    expect(bench.take('full')).toBeUndefined()
    bench.look()
    bench.step({ type: 'hurry' })
    bench.look()
    expect(bench.take('write')).toBeUndefined()
    expect(bench.machine.isDelivered).toBe(false)
    bench.survey.now = 60_000
    bench.fire('again')
    bench.look()
    expect(bench.take('write')).toBeDefined()
  })

  test('[L7] a person who has just begun to wait has a relay that was full asked again at once', () => {
    bench.look()
    bench.take('write')
    bench.written()
    bench.done(bench.deposit().number, 'full')
    bench.look()
    bench.step({ type: 'hurry', anew: true })
    bench.look()
    expect(bench.take('write')).toBeDefined()
  })

  test.each(['not-member', 'too-large'])('[L7] after "%s" only its recipient rests', (error) => {
    bench.look()
    bench.take('write')
    bench.written()
    bench.done(bench.deposit().number, error)
    expect(bench.take('full')).toBeUndefined()
    bench.survey.recipients.push({ device: THIRD, known: new Map(), counter: 0, connected: false })
    bench.look()
    bench.written()
    const { number, recipients } = bench.deposit()
    expect(recipients).toEqual([fromHex(THIRD)])
    bench.done(number)
    bench.look()
    bench.survey.now = 59_999
    bench.step({ type: 'changed' })
    bench.forget().look()
    expect(bench.take('write')).toBeUndefined()
    bench.survey.now = 60_000
    bench.step({ type: 'changed' })
    bench.look()
    expect(bench.take('write')).toBeDefined()
    bench.written()
    expect(bench.deposit().recipients).toEqual([fromHex(FAR)])
  })

  test('folding takes small deposits together, letter after letter, and the last one replaces them', () => {
    for (let n = 0; n < 24; n++) {
      const ranges = [{ log: logId(10), from: n, to: n + 1 }]
      bench.ledger.add(FAR, { ids: [mailId(n)], ranges, bytes: 600 }, [])
    }
    bench.survey.logs[0]!.seq = 24
    bench.look()
    expect(bench.take('write')?.from).toEqual(new Map([[logId(10), 0]]))
    bench.written(logId(10), 0, 20)
    const first = bench.deposit()
    expect(first.replaces).toEqual([])
    bench.done(first.number)
    expect(bench.take('write')?.from).toEqual(new Map([[logId(10), 20]]))
    bench.written(logId(10), 20, 24)
    const last = bench.deposit()
    expect(last.replaces).toHaveLength(24)
    bench.done(last.number)
    expect(bench.waiting).toEqual([mailId(120), mailId(124)].map(toHex))
  })

  test('whole states that would be larger than what waits are not written, and are not weighed at once again', () => {
    for (const [n, from] of [
      [1, 0],
      [2, 3],
    ] as const) {
      const ranges = [{ log: logId(10), from, to: from + 3 }]
      bench.ledger.add(FAR, { ids: [mailId(n)], ranges, bytes: 3 * 1024 * 1024 }, [])
    }
    bench.look()
    expect(bench.take('openStates')).toBeDefined()
    const ranges = [{ log: logId(10), from: 0, to: 6 }]
    bench.step({ type: 'statesOpened', opened: { set: mailId(1), ranges, bytes: 4 * 1024 * 1024 } })
    expect(bench.take('writePart')).toBeUndefined()
    bench.look()
    expect(bench.take('openStates')).toBeUndefined()
    expect(bench.waiting).toHaveLength(2)
  })

  test('[P4] what another device says it has left counts, until the recipient has spoken since', () => {
    const left = [
      {
        recipient: fromHex(FAR),
        frontier: [{ log: fromHex(logId(10)), seq: 5, check: NOTHING }],
        counter: 0,
      },
    ]
    bench.heard({ device: THIRD, left })
    bench.heard({ device: SELF, left: [{ ...left[0]!, frontier: [] }] })
    bench.look()
    expect(bench.take('write')).toBeUndefined()
    expect(bench.machine.reach(FAR, new Map())).toEqual(new Map([[logId(10), 5]]))
    bench.heard({ known: new Map() })
    bench.look()
    expect(bench.take('write')).toBeDefined()
  })

  test('[P4] what was left before the recipient last spoke does not count, whichever came here first', () => {
    const claim = (counter: number) => [
      {
        recipient: fromHex(FAR),
        frontier: [{ log: fromHex(logId(10)), seq: 5, check: NOTHING }],
        counter,
      },
    ]
    const reach = () => bench.machine.reach(FAR, new Map()).get(logId(10))
    bench.heard({ counter: 3 })
    bench.heard({ device: THIRD, counter: 1, left: claim(2) })
    expect(reach()).toBeUndefined()
    bench.heard({ device: THIRD, counter: 2, left: claim(3) })
    expect(reach()).toBe(5)
    expect(bench.machine.leftFor(FAR, 3)).toEqual(new Map([[logId(10), 5]]))
    expect(bench.machine.leftFor(FAR, 4)).toEqual(new Map())
    // A word that came another way speaks as well.
    bench.survey.recipients[0]!.counter = 4
    bench.look()
    expect(reach()).toBeUndefined()
    bench.heard({ device: THIRD, counter: 3, left: claim(4) })
    expect(reach()).toBe(5)
    // All that it has left, each time.
    bench.heard({ device: THIRD, counter: 4, left: [] })
    expect(reach()).toBeUndefined()
  })

  test('[P4] what was left at another incarnation of the relay does not count', () => {
    const left = [
      {
        recipient: fromHex(FAR),
        frontier: [{ log: fromHex(logId(10)), seq: 5, check: NOTHING }],
        counter: 0,
      },
    ]
    bench.heard({ device: THIRD, left, incarnation: mailId(6) })
    expect(bench.machine.reach(FAR, new Map())).toEqual(new Map())
  })

  test('answers that belong to nothing change nothing', () => {
    bench.forget().done(12_345)
    bench.step({ type: 'written', written: undefined })
    bench.step({ type: 'statesOpened', opened: { set: mailId(1), ranges: [], bytes: 0 } })
    bench.step({ type: 'part', part: { envelope: word, id: mailId(1), last: true } })
    bench.frame({ $case: 'missing', value: { number: 999, ids: [mailId(1)] } })
    expect(bench.effects).toEqual([])
    bench.look()
    const early = bench.take('write')
    bench.step({ type: 'surveyed', survey: bench.survey })
    expect([early !== undefined, bench.take('write')]).toEqual([true, undefined])
  })

  test('an answer before its envelope went drops the deposit', () => {
    bench.look()
    bench.written()
    const { number } = bench.deposit()
    bench.done(number)
    bench.look()
    bench.survey.logs[0]!.seq = 6
    bench.step({ type: 'changed' })
    bench.look()
    bench.forget().done(number)
    bench.look()
    expect(bench.take('write')).toBeUndefined()
    expect(bench.timers.get('again')).toBe(60_000)
    expect(bench.waiting).toHaveLength(1)
  })
})

describe('questions', () => {
  beforeEach(() => {
    bench.ready().forget()
  })

  test('what the relay holds is asked and answered, once', () => {
    bench.step({ type: 'ask', question: 4 })
    const { number } = bench.takeSent('ask')!
    const inventory = { number, waiting: [], bytes: 5, quota: 9 }
    bench.frame({ $case: 'inventory', value: inventory })
    expect(bench.take('inventory')).toEqual({ type: 'inventory', question: 4, inventory })
    bench.frame({ $case: 'inventory', value: inventory })
    expect(bench.take('inventory')).toBeUndefined()
  })

  test.each([
    ['', true],
    ['failed', false],
  ])('leaving is answered: "%s" is %s', (error, ok) => {
    bench.step({ type: 'leave', question: 6 })
    bench.done(bench.takeSent('leave')!.number, error)
    expect(bench.take('left')).toEqual({ type: 'left', question: 6, ok })
  })

  test('nothing is asked for behind LEAVE, though mail is still being taken in', () => {
    const mail = { id: mailId(1), sequence: 1, depositor: fromHex(FAR), envelope: new Uint8Array(9) }
    bench.frame({ $case: 'batch', value: { mails: [mail], end: false } })
    expect(bench.take('take')).toBeDefined()
    bench.step({ type: 'leave', question: 6 })
    const { number } = bench.takeSent('leave')!
    bench.step({ type: 'taken', taken: { done: [mail.id], held: [], word: new Uint8Array(9) } })
    expect(bench.sent()).toEqual([])
    bench.done(number, '')
    expect(bench.take('left')).toEqual({ type: 'left', question: 6, ok: true })
  })

  test('a device that only comes to leave collects nothing and says no word', () => {
    const leaving = new SessionBench(roster, { isLeaving: true })
    leaving.welcome()
    expect(leaving.machine.isReady).toBe(true)
    leaving.step({ type: 'stated' })
    expect(leaving.sent().map(({ $case }) => $case)).toEqual(['greet'])
    expect(leaving.timers.has('word')).toBe(false)
  })

  test('a window is announced when it opens and closes, and again to a relay that comes later', () => {
    bench.step({ type: 'window', open: true })
    expect(bench.takeSent('window')).toEqual({ open: true })
    bench.step({ type: 'window', open: false })
    expect(bench.takeSent('window')).toEqual({ open: false })
    const later = new SessionBench(roster)
    later.step({ type: 'window', open: true })
    expect(later.takeSent('window')).toBeUndefined()
    later.welcome()
    expect(later.takeSent('window')).toEqual({ open: true })
  })
})
