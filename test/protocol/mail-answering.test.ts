/** Damaged cases that are asked for by mail: who is answered, when, and how often. */
import { describe, expect, test } from 'vitest'
import { type Asks, answerFor, mayLack } from '../../src/protocol/mail-answering.js'
import { Depositing } from '../../src/protocol/mail-deposit.js'
import { MailLedger } from '../../src/protocol/mail-ledger.js'
import type { Survey, SurveyRecipient } from '../../src/protocol/mail-plan.js'
import { Rests } from '../../src/protocol/mail-rests.js'

const LOG = 'aa'.repeat(16)
const FAR = '03'.repeat(32)
const id = (n: number) => new Uint8Array(16).fill(n)
const newLedger = () => new MailLedger({ incarnation: id(9), sequence: 0, rows: new Map() })

function survey(asks?: Partial<Asks>, more: Partial<SurveyRecipient> = {}): Survey {
  const asked: Asks = { id: id(1), wanted: [id(5)], frontier: new Map([[LOG, 4]]), isMended: false, ...asks }
  return {
    now: 1_000,
    self: '01'.repeat(32),
    logs: [{ log: LOG, seq: 5, device: '02'.repeat(32) }],
    recipients: [
      { device: FAR, known: new Map(), connected: false, counter: 0, ...(asks && { asks: asked }), ...more },
    ],
    near: [],
  }
}
const jobOf = (of: Survey, ledger = newLedger()) => answerFor(of, ledger, new Rests()).job

describe('[L10] who asks for damaged cases', () => {
  test('is answered by whoever holds all that it has stated', () => {
    expect(jobOf(survey({}))).toMatchObject({ kind: 'answer', recipients: [FAR], asked: { wanted: [id(5)] } })
    expect(jobOf(survey({ frontier: new Map([[LOG, 6]]) }))).toBeUndefined()
    expect(jobOf(survey({ frontier: new Map([['bb'.repeat(16), 1]]) }))).toBeUndefined()
  })

  test('is not answered by mail where it is connected, nor where it wants nothing, or doesn’t know of it', () => {
    expect(jobOf(survey({}, { connected: true }))).toBeUndefined()
    expect(jobOf(survey({ wanted: [] }))).toBeUndefined()
    expect(jobOf(survey())).toBeUndefined()
  })

  test('is answered once for each asking, and once more where what was missing is whole by now', () => {
    const ledger = newLedger()
    ledger.answered(FAR, { asking: id(1), ids: [id(7)], missing: [] })
    expect(jobOf(survey({}), ledger)).toBeUndefined()
    ledger.heard(FAR, new Map(), [])
    ledger.isOver(FAR, id(1))
    expect(jobOf(survey({}), ledger)).toBeUndefined()
    expect(jobOf(survey({ isMended: true }), ledger)).toBeDefined()
    expect(jobOf(survey({ id: id(2) }), ledger)).toBeDefined()
  })

  test('[L5] is answered again where the answer is lost or of no use, but not where it has come', () => {
    const ledger = newLedger()
    const begin = () => ledger.answered(FAR, { asking: id(1), ids: [id(7)], missing: [] })
    begin()
    expect(ledger.waiting(FAR)).toEqual([id(7)])
    expect(ledger.lost(FAR, [id(7)])).toBe(true)
    expect(jobOf(survey({}), ledger)).toBeDefined()
    begin()
    ledger.heard(FAR, new Map(), [id(7)])
    expect(jobOf(survey({}), ledger)).toBeDefined()
    begin()
    ledger.isOver(FAR, id(2))
    expect(ledger.waiting(FAR)).toEqual([id(7)])
    ledger.isOver(FAR, id(1))
    expect(ledger.waiting(FAR)).toEqual([])
    expect(ledger.lost(FAR, [id(7)])).toBe(false)
    expect(ledger.row(FAR).attempt).toBe(0)
  })

  test('[L7] waits while it rests', () => {
    const rests = new Rests()
    rests.rest([FAR], 10_000)
    rests.look(1_000)
    expect(answerFor(survey({}), newLedger(), rests)).toEqual({ againMs: 10_000 })
  })

  test('counts as answered when the last part lies there', () => {
    const ledger = newLedger()
    const job = jobOf(survey({}), ledger)!
    const depositing = new Depositing(job, ledger)
    expect(depositing.start()).toMatchObject({ type: 'openAnswer', asked: { id: id(1) } })
    depositing.onOpened({ set: id(3), ranges: [], bytes: 0, isSound: false })
    const envelope = new Uint8Array(600)
    for (const last of [false, true]) {
      depositing.onPart({ id: id(last ? 21 : 20), envelope, last, missing: last ? [id(5)] : [] })
      expect(jobOf(survey({}), ledger)).toBeDefined()
      depositing.onDone('')
    }
    expect(ledger.row(FAR).answer).toEqual({ asking: id(1), ids: [id(20), id(21)], missing: [id(5)] })
    expect(jobOf(survey({}), ledger)).toBeUndefined()
  })
})

describe('[L11] whole states that lack what their giver can’t read', () => {
  test('are for those only who say that they count it as damaged', () => {
    expect(mayLack(survey({ wanted: [] }), [FAR])).toBe(true)
    expect(mayLack(survey(), [FAR])).toBe(false)
  })

  test.each([
    [true, []],
    [false, [id(8)]],
  ])('take the place of nothing that was left before (lacks: %s)', (lacks, replaces) => {
    const job = { kind: 'states', recipients: [FAR], from: new Map(), attempt: 0, replaces: [id(8)] } as const
    const ledger = newLedger()
    const old = { ids: [id(8)], ranges: [{ log: LOG, from: 0, to: 2 }], bytes: 600 }
    ledger.add(FAR, old, [])
    const depositing = new Depositing({ ...job, recipients: [FAR], replaces: [id(8)] }, ledger)
    depositing.start()
    depositing.onOpened({ set: id(3), ranges: [{ log: LOG, from: 0, to: 5 }], bytes: 300 })
    const envelope = new Uint8Array(600)
    expect(
      depositing.onPart({ id: id(20), envelope, last: true, missing: lacks ? [id(5)] : [] }),
    ).toMatchObject({ replaces })
    depositing.onDone('')
    expect(ledger.row(FAR).live.some(({ ids }) => ids[0]![0] === 8)).toBe(lacks)
  })
})
