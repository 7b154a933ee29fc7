/** One deposit at a time, letter after letter or part after part: what is sent, and what the ledger then counts on. */
import { expect, test } from 'vitest'
import { Depositing, type DepositJob } from '../../src/protocol/mail-deposit.js'
import { type LiveMail, MailLedger } from '../../src/protocol/mail-ledger.js'
import type { Written } from '../../src/protocol/mail-types.js'
import { FAR, logId, mailId, THIRD } from '../support/mail-session.js'

const [A, B] = [logId(10), logId(11)]
const check = new Uint8Array(8)
const ranges = [{ log: A, from: 0, to: 9 }]

function begin(given: Partial<DepositJob> = {}) {
  const ledger = new MailLedger({ incarnation: mailId(9), sequence: 0, rows: new Map() })
  const job: DepositJob = {
    kind: 'changes',
    recipients: [FAR, THIRD],
    from: new Map([[A, 2]]),
    attempt: 1,
    replaces: [mailId(1)],
    ...given,
  }
  for (const recipient of job.recipients)
    ledger.add(recipient, { ids: [mailId(1)], ranges: [{ log: A, from: 2, to: 3 }], bytes: 5 }, [])
  return { ledger, job, depositing: new Depositing(job, ledger) }
}
const letter = (n: number, of: [string, number, number][], pruned: string[] = []): Written => ({
  id: mailId(n),
  envelope: new Uint8Array(100 + n),
  ranges: of.map(([log, from, to]) => ({ log, from, fromCheck: check, to, toCheck: check })),
  pruned,
})
const waiting = (ledger: MailLedger): [LiveMail[], LiveMail[]] => [
  ledger.row(FAR).live,
  ledger.row(THIRD).live,
]

test('one letter is enough where nothing says how far: it waits for each recipient instead of what it replaces', () => {
  const { ledger, depositing } = begin()
  expect(depositing.start()).toEqual({ type: 'write', from: new Map([[A, 2]]), attempt: 1 })
  const sent = depositing.onWritten(letter(4, [[A, 2, 5]]))
  expect(sent).toEqual({
    id: mailId(4),
    envelope: new Uint8Array(104),
    recipients: [FAR, THIRD],
    replaces: [mailId(1)],
  })
  expect(waiting(ledger)[0]).toMatchObject([{ ids: [mailId(1)] }])
  expect(depositing.onDone('')).toEqual({ outcome: 'done' })
  const left = [{ ids: [mailId(4)], ranges: [{ log: A, from: 2, to: 5 }], bytes: 104 }]
  expect(waiting(ledger)).toEqual([left, left])
})

test('letters go on until every log is there, each from where the one before ended; the last replaces', () => {
  const { ledger, depositing } = begin({
    from: new Map([
      [A, 2],
      [B, 0],
    ]),
    until: new Map([
      [A, 5],
      [B, 4],
    ]),
  })
  expect(depositing.onWritten(letter(4, [[A, 2, 5]]))).toMatchObject({ replaces: [] })
  expect(depositing.onDone('')).toEqual({
    type: 'write',
    from: new Map([
      [A, 5],
      [B, 0],
    ]),
    attempt: 1,
  })
  expect(depositing.onWritten(letter(5, [[B, 0, 3]]))).toMatchObject({ replaces: [] })
  depositing.onDone('')
  expect(depositing.onWritten(letter(6, [[B, 3, 4]]))).toMatchObject({ replaces: [mailId(1)] })
  expect(waiting(ledger)[1].map(({ ids }) => ids)).toEqual([[mailId(1)], [mailId(4)], [mailId(5)]])
  expect(depositing.onDone('')).toEqual({ outcome: 'done' })
  expect(waiting(ledger)[1].map(({ ids }) => ids)).toEqual([[mailId(4)], [mailId(5)], [mailId(6)]])
})

test('[L4] parts of whole states count for nothing until the last one lies there, then as one delivery', () => {
  const { ledger, depositing } = begin({ kind: 'states', from: new Map() })
  expect(depositing.start()).toEqual({ type: 'openStates', base: new Map(), mayLack: false })
  expect(depositing.onOpened({ set: mailId(3), ranges, bytes: 300 })).toEqual({ type: 'writePart', index: 0 })
  const part = (n: number, last: boolean) =>
    depositing.onPart({ id: mailId(n), envelope: new Uint8Array(n), last })
  expect(part(20, false)).toMatchObject({ id: mailId(20), recipients: [FAR, THIRD], replaces: [] })
  expect(depositing.onDone('')).toEqual({ type: 'writePart', index: 1 })
  expect(part(30, false)).toMatchObject({ replaces: [] })
  expect(depositing.onDone('')).toEqual({ type: 'writePart', index: 2 })
  expect(ledger.row(FAR).live).toMatchObject([
    { ids: [mailId(1)] },
    { ids: [mailId(20), mailId(30)], ranges: [] },
  ])
  expect(part(40, true)).toMatchObject({ replaces: [mailId(1)] })
  expect(ledger.reach(FAR, new Map())).toEqual(new Map())
  expect(depositing.onDone('')).toEqual({ outcome: 'done' })
  const whole = [{ ids: [mailId(20), mailId(30), mailId(40)], ranges, bytes: 90 }]
  expect(waiting(ledger)).toEqual([whole, whole])
})

test('what was left of whole states that were broken off goes with the first part of the next ones, if all of these can be read', () => {
  const replaced = (isSound: boolean, parts: number) => {
    const { ledger, job } = begin({ kind: 'states', from: new Map(), replaces: [mailId(1), mailId(7)] })
    ledger.add(FAR, { ids: [mailId(7), mailId(8)], ranges: [], bytes: 9 }, [])
    ledger.add(THIRD, { ids: [mailId(8)], ranges: [], bytes: 9 }, [])
    const depositing = new Depositing(job, ledger)
    expect(depositing.start()).toMatchObject({ type: 'openStates', isAnew: true })
    depositing.onOpened({ set: mailId(3), ranges, bytes: 300, isSound })
    const sent: Uint8Array[][] = []
    for (let n = 1; n <= parts; n++) {
      const part = depositing.onPart({ id: mailId(20 + n), envelope: new Uint8Array(9), last: n === parts })
      sent.push(part.replaces)
      depositing.onDone('')
    }
    return { sent, waiting: waiting(ledger).map((live) => live.flatMap(({ ids }) => ids.map((id) => id[0]))) }
  }
  const [first, last] = [
    [mailId(7), mailId(8)],
    [mailId(1), mailId(7)],
  ]
  const own = [21, 22, 23]
  expect(replaced(true, 3)).toEqual({ sent: [first, [], last], waiting: [own, own] })
  expect(replaced(false, 3)).toEqual({
    sent: [[], [], last],
    waiting: [
      [7, 8, ...own],
      [8, ...own],
    ],
  })
  expect(replaced(true, 1).sent).toEqual([last])
})

test('what the relay refuses is not remembered, nor does it end what it should have replaced', () => {
  const { ledger, depositing } = begin()
  depositing.onWritten(letter(4, [[A, 2, 5]]))
  expect(depositing.onDone('full')).toEqual({ outcome: 'dropped', error: 'full' })
  expect(waiting(ledger).map((live) => live.map(({ ids }) => ids))).toEqual([[[mailId(1)]], [[mailId(1)]]])
  // An answer with nothing on its way says nothing.
  expect(depositing.onDone('')).toEqual({ outcome: 'dropped' })
})

test('where nothing can be written it ends; where changes are gone, whole states are needed', () => {
  const written = (given: Written | undefined) => begin().depositing.onWritten(given)
  expect(written(undefined)).toEqual({ outcome: 'nothing' })
  expect(written(letter(4, []))).toEqual({ outcome: 'nothing' })
  expect(written(letter(4, [], [B]))).toEqual({ outcome: 'needs-states' })
  // What there is of other logs goes first.
  expect(written(letter(4, [[A, 2, 5]], [B]))).toMatchObject({ id: mailId(4) })
})

test('whole states of nothing, or of more bytes than are allowed, are not written', () => {
  const opened = (given: Partial<DepositJob>, bytes: number, of = ranges) =>
    begin({ kind: 'states', ...given }).depositing.onOpened({ set: mailId(3), ranges: of, bytes })
  expect(opened({}, 0, [])).toEqual({ outcome: 'nothing' })
  expect(opened({ unlessBytes: 100 }, 101)).toEqual({ outcome: 'too-large' })
  expect(opened({ unlessBytes: 100 }, 100)).toMatchObject({ type: 'writePart' })
  expect(opened({}, 2 ** 40)).toMatchObject({ type: 'writePart' })
})
