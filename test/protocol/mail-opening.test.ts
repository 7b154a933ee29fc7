/** How a session with a relay begins: versions, and the same roster at both ends. */
import { beforeEach, describe, expect, test } from 'vitest'
import { fromHex } from '../../src/protocol/bytes.js'
import { MailLedger } from '../../src/protocol/mail-ledger.js'
import {
  BEGUN,
  FAR,
  INCARNATION,
  logId,
  mailId,
  mailOf,
  NOTHING,
  OFFICE,
  ROSTER,
  SessionBench,
  WORD,
} from '../support/mail-session.js'
import { seeded } from '../support/random.js'
import { enrol, makeDevice } from './roster-helpers.js'

const random = seeded(46).bytes

let bench: SessionBench
beforeEach(() => {
  bench = new SessionBench()
})
const closed = () => bench.take('close')?.code

describe('greeting', () => {
  test('names versions, practice and roster head, and says once what it collects', () => {
    expect(bench.takeSent('greet')).toEqual({
      oldest: 1,
      newest: 1,
      practice: ROSTER.practiceId,
      rosterHead: ROSTER.head,
    })
    expect(bench.machine.isReady).toBe(false)
    bench.welcome()
    expect(bench.machine.isReady).toBe(true)
    expect(bench.takeSent('collect')).toEqual({ after: 0 })
    expect(bench.timers.has('greet')).toBe(false)
    bench.welcome()
    expect(closed()).toBe('malformed')
    expect(bench.takeSent('collect')).toBeUndefined()
  })

  test.each([
    ['a version that is too new', 2, 'relay-too-new'],
    ['a version that is too old', 0, 'relay-too-old'],
  ])('a relay of %s is told apart', (_name, version, code) => {
    bench.forget().welcome(ROSTER.head, version)
    expect(closed()).toBe(code)
    expect(bench.effects).toEqual([])
  })

  test.each([
    ['peer-too-old', 'relay-too-new'],
    ['peer-too-new', 'relay-too-old'],
    ['stopping', 'stopping'],
    ['refused', 'refused'],
    ['whatever', 'refused'],
    ['busy', 'silent'],
    ['silent', 'silent'],
    ['failed', 'silent'],
    ['replaced', 'silent'],
  ])('a refusal "%s" closes as %s', (code, expected) => {
    bench.frame({ $case: 'refuse', value: { code } })
    expect(closed()).toBe(expected)
  })

  test('the deadline of the greeting is over once the relay knows me', () => {
    bench.ready()
    bench.step({ type: 'timer', name: 'greet' })
    expect(closed()).toBeUndefined()
  })

  test('[L5] what was left at another incarnation, or before the relay went back, is forgotten', () => {
    const ledger = new MailLedger({ incarnation: INCARNATION, sequence: 7, rows: new Map() })
    ledger.add(FAR, { ids: [mailId(1)], ranges: [{ log: logId(10), from: 0, to: 5 }], bytes: 600 }, [])
    const known = new SessionBench(ROSTER, { ledger })
    known.sequence = 7
    known.welcome()
    expect(known.takeSent('check')).toMatchObject({ recipient: fromHex(FAR), ids: [mailId(1)] })
    const back = new SessionBench(ROSTER, { ledger })
    back.sequence = 6
    back.welcome()
    expect(back.takeSent('check')).toBeUndefined()
    expect(back.waiting).toEqual([])
  })
})

describe('the roster', () => {
  test('[L3] is shown to a relay that does not know the practice, and nothing is collected before', () => {
    bench.welcome(NOTHING)
    expect(bench.takeSent('chain')?.entries).toEqual([...ROSTER.entries])
    expect(bench.takeSent('collect')).toBeUndefined()
    bench.step({ type: 'changed' })
    bench.fire('gather')
    expect(bench.take('survey')).toBeUndefined()
    bench.frame({ $case: 'head', value: { head: ROSTER.head } })
    expect(bench.takeSent('collect')).toEqual({ after: 0 })
  })

  test('[L3] is shown to a relay that is behind, and asked for from one that is ahead', () => {
    bench.welcome(BEGUN.head)
    expect(bench.takeSent('chain')?.entries).toHaveLength(2)
    const behind = new SessionBench(BEGUN)
    behind.welcome(ROSTER.head)
    expect(behind.takeSent('chain')?.entries).toEqual([])
    behind.frame({ $case: 'chain', value: { entries: [...ROSTER.entries] } })
    expect(behind.take('applyRoster')?.entries).toEqual([...ROSTER.entries])
    behind.roster = ROSTER
    behind.step({ type: 'rosterChanged' })
    expect(behind.machine.isReady).toBe(true)
  })

  test('[L3] is contested where neither side takes over the other one', () => {
    const other = enrol(random, BEGUN, OFFICE, makeDevice(random, 'Other'))
    bench.welcome(other.head)
    let asked = 0
    while (bench.takeSent('chain') && ++asked < 50) {
      bench.frame({ $case: 'chain', value: { entries: [...other.entries] } })
      bench.step({ type: 'rosterChanged' })
    }
    expect(asked).toBe(8)
    expect(closed()).toBe('contested')
    expect(bench.takeSent('collect')).toBeUndefined()
  })

  test('a chain that is none closes as malformed', () => {
    bench.welcome(BEGUN.head)
    bench.frame({ $case: 'chain', value: { entries: [] } })
    expect(closed()).toBe('malformed')
    bench.frame({ $case: 'chain', value: { entries: [new Uint8Array(200)] } })
    expect(closed()).toBe('malformed')
  })

  test('a change of it while connected is shown, and mail of whom it names is looked at again', () => {
    const early = new SessionBench(BEGUN)
    early.welcome()
    early.batch([mailOf(1)])
    early.take('take')
    early.step({ type: 'taken', taken: { done: [], held: [mailOf(1)], word: WORD } })
    early.forget()
    early.roster = ROSTER
    early.step({ type: 'rosterChanged' })
    expect(early.takeSent('chain')?.entries).toHaveLength(2)
    // A look between times: what misses something may still get it.
    expect(early.take('take')).toMatchObject({ final: false, mails: [], held: [{ sequence: 1 }] })
    // While it is looked at, nothing is taken twice; but it is looked at once more under the roster of now.
    early.step({ type: 'rosterChanged' })
    early.step({ type: 'rosterChanged' })
    expect(early.take('take')).toBeUndefined()
    early.step({ type: 'taken', taken: { done: [], held: [mailOf(1)], word: WORD } })
    expect(early.take('take')).toMatchObject({ final: false, mails: [], held: [{ sequence: 1 }] })
    early.step({ type: 'taken', taken: { done: [mailId(1)], held: [], word: WORD } })
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
