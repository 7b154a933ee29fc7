/** What becomes of mail that was left: kept until it is covered, offered again where it got lost. */
import { beforeEach, expect, test } from 'vitest'
import { toHex } from '../../src/protocol/bytes.js'
import { FAR, logId, mailId, SessionBench } from '../support/mail-session.js'

let bench: SessionBench
beforeEach(() => {
  bench = new SessionBench().ready()
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

/** The relay answers that it holds the only deposit no more. */
function losesDeposit(): number {
  bench.look()
  bench.written()
  bench.done(bench.deposit().number)
  bench.look()
  bench.heard({ known: new Map() })
  const { number } = bench.takeSent('check')!
  bench.frame({ $case: 'missing', value: { number, ids: [mailId(105)] } })
  return number
}

test('[L5] what the relay does not hold any more is offered again under another attempt, after a moment', () => {
  const number = losesDeposit()
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
  losesDeposit()
  bench.fire('suspect')
  bench.heard({ known: new Map([[logId(10), 5]]) })
  bench.forget().fire('suspect')
  expect(bench.take('keepLedger')).toBeUndefined()
  expect(bench.ledger.row(FAR).attempt).toBe(0)
  expect(bench.timers.has('suspect')).toBe(false)
})

test('[L5] while somebody waits suspects are looked at sooner, and nothing counts as delivered before', () => {
  losesDeposit()
  expect(bench.machine.isChecking).toBe(true)
  bench.step({ type: 'hurry' })
  expect(bench.timers.get('suspect')).toBe(500)
  // Asked for over and over it puts nothing off.
  bench.forget().step({ type: 'hurry' })
  expect(bench.effects.filter((effect) => effect.type === 'arm' && effect.name === 'suspect')).toEqual([])
  bench.fire('suspect')
  expect(bench.timers.get('suspect')).toBe(500)
  bench.heard({ known: new Map([[logId(10), 5]]) })
  expect(bench.machine.isChecking).toBe(false)
  bench.fire('suspect')
  expect(bench.timers.has('suspect')).toBe(false)
})
