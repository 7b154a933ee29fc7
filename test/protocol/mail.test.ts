/** A device's side of a mailbox: what belongs to the whole session. */
import { beforeEach, describe, expect, test } from 'vitest'
import { fromHex } from '../../src/protocol/bytes.js'
import { FAR, mailId, ROSTER, SessionBench, WORD } from '../support/mail-session.js'

let bench: SessionBench
beforeEach(() => {
  bench = new SessionBench()
})
const closed = () => bench.take('close')?.code

describe('a relay', () => {
  test('a relay that says nothing is given up, at the greeting and later', () => {
    bench.fire('greet')
    expect(closed()).toBe('silent')
    const later = new SessionBench().ready()
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

  test('what is no message of a relay closes as malformed', () => {
    bench.frame({ $case: 'collect', value: { after: 0 } })
    expect(closed()).toBe('malformed')
    bench.step({ type: 'malformed' })
    expect(closed()).toBe('malformed')
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
    bench.step({ type: 'worded', word: WORD })
    expect(bench.takeSent('ack')).toMatchObject({ ids: [], notice: WORD })
  })

  test('is not sent on before the greeting is over', () => {
    bench.forget().step({ type: 'worded', word: WORD })
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
    const notices = [{ device: fromHex(FAR), sealed: WORD }]
    bench.frame({ $case: 'notices', value: { notices } })
    expect(bench.take('hear')).toEqual({ type: 'hear', notices })
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
    const leaving = new SessionBench(ROSTER, { visit: 'leave' })
    leaving.welcome()
    expect(leaving.machine.isReady).toBe(true)
    leaving.step({ type: 'stated' })
    expect(leaving.sent().map(({ $case }) => $case)).toEqual(['greet'])
    expect(leaving.timers.has('word')).toBe(false)
  })

  test.each(['empty', 'leave'] as const)(
    'who comes only to %s asks nothing of what it gave, and keeps nobody waiting',
    (visit) => {
      bench.look()
      bench.written()
      bench.done(bench.deposit().number)
      const { ledger, sequence } = bench
      const staying = Object.assign(new SessionBench(ROSTER, { ledger }), { sequence })
      staying.welcome()
      expect(staying.takeSent('check')).toMatchObject({ ids: [mailId(105)] })
      expect([staying.machine.isDelivered, staying.machine.isCollected]).toEqual([false, false])
      const visiting = Object.assign(new SessionBench(ROSTER, { ledger, visit }), { sequence })
      visiting.welcome()
      expect(visiting.takeSent('check')).toBeUndefined()
      // Nor for mail where it takes in none.
      expect([visiting.machine.isDelivered, visiting.machine.isCollected]).toEqual([true, visit === 'leave'])
    },
  )

  test('a window is announced when it opens and closes, and again to a relay that comes later', () => {
    bench.step({ type: 'window', open: true })
    expect(bench.takeSent('window')).toEqual({ open: true })
    bench.step({ type: 'window', open: false })
    expect(bench.takeSent('window')).toEqual({ open: false })
    const later = new SessionBench()
    later.step({ type: 'window', open: true })
    expect(later.takeSent('window')).toBeUndefined()
    later.welcome()
    expect(later.takeSent('window')).toEqual({ open: true })
  })
})
