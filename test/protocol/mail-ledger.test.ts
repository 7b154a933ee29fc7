/** What a device remembers of what it has left, by the rules of the ledger and by those of folding. */
import { describe, expect, test } from 'vitest'
import { toHex } from '../../src/protocol/bytes.js'
import { FOLD_AT, FULL_BYTES, foldingFor, WEIGH_BYTES } from '../../src/protocol/mail-fold.js'
import { type LiveMail, MailLedger, reachWith } from '../../src/protocol/mail-ledger.js'
import { depositFor, type Survey } from '../../src/protocol/mail-plan.js'
import { Rests } from '../../src/protocol/mail-rests.js'
import { MAX_REPLACES } from '../../src/protocol/mailbox-limits.js'

const A = 'aa'.repeat(16)
const B = 'bb'.repeat(16)
const R = '01'.repeat(32)
const S = '02'.repeat(32)
const id = (n: number) => new Uint8Array(16).fill(n)
const mail = (n: number, log: string, from: number, to: number, bytes = 600): LiveMail => ({
  ids: [id(n)],
  ranges: [{ log, from, to }],
  bytes,
})

function ledgerWith(...live: LiveMail[]): MailLedger {
  const ledger = new MailLedger({ incarnation: id(9), sequence: 5, rows: new Map() })
  for (const each of live) ledger.add(R, each, [])
  return ledger
}
const idsOf = (ledger: MailLedger) => ledger.row(R).live.flatMap(({ ids }) => ids.map(toHex))

describe('the ledger', () => {
  test('forgets everything at a relay of another incarnation, or one that has gone back', () => {
    const same = ledgerWith(mail(1, A, 0, 3))
    same.greet(id(9), 5)
    same.greet(id(9), 8)
    expect(idsOf(same)).toHaveLength(1)
    const other = ledgerWith(mail(1, A, 0, 3))
    other.greet(id(8), 5)
    expect(idsOf(other)).toEqual([])
    expect(other.state).toMatchObject({ incarnation: id(8), sequence: 5 })
    const back = ledgerWith(mail(1, A, 0, 3))
    back.greet(id(9), 4)
    expect(idsOf(back)).toEqual([])
    expect(back.state.sequence).toBe(4)
  })

  test('[L4] forgets what the newest word covers, and nothing that it covers in part', () => {
    const two: LiveMail = {
      ids: [id(3)],
      ranges: [
        { log: A, from: 3, to: 5 },
        { log: B, from: 0, to: 2 },
      ],
      bytes: 600,
    }
    const ledger = ledgerWith(mail(1, A, 0, 3), two)
    expect(ledger.heard(R, new Map([[A, 4]]), []).map(toHex)).toEqual([toHex(id(3))])
    expect(ledger.heard(R, new Map([[A, 5]]), []).map(toHex)).toEqual([toHex(id(3))])
    const all = new Map([
      [A, 5],
      [B, 2],
    ])
    expect(ledger.heard(R, all, [])).toEqual([])
    expect(ledger.state.rows.size).toBe(0)
  })

  test('[L4] serves a recipient that says less than before', () => {
    const ledger = ledgerWith(mail(1, A, 0, 3))
    ledger.heard(R, new Map([[A, 3]]), [])
    expect(ledger.reach(R, new Map([[A, 1]]))).toEqual(new Map([[A, 1]]))
  })

  test('a transfer that is not whole yet is covered by nothing', () => {
    const part: LiveMail = { ids: [id(4)], ranges: [], bytes: 600 }
    const ledger = ledgerWith(part)
    ledger.heard(R, new Map([[A, 9]]), [])
    expect(idsOf(ledger)).toEqual([toHex(id(4))])
    expect(ledger.reach(R, new Map())).toEqual(new Map())
    // The same delivery grows: it stands once.
    part.ids.push(id(5))
    part.ranges = [{ log: A, from: 0, to: 9 }]
    ledger.add(R, part, [])
    expect(ledger.row(R).live).toHaveLength(1)
    expect(ledger.reach(R, new Map())).toEqual(new Map([[A, 9]]))
  })

  test('[L5] what is lost or of no use raises the attempt, until the recipient has everything', () => {
    const ledger = ledgerWith(mail(1, A, 0, 3), mail(2, A, 3, 5))
    expect(ledger.lost(R, [id(7)])).toBe(false)
    expect(ledger.row(R).attempt).toBe(0)
    expect(ledger.lost(R, [id(1)])).toBe(true)
    expect(ledger.row(R)).toMatchObject({ attempt: 1, live: [{ ids: [id(2)] }] })
    ledger.heard(R, new Map(), [id(2)])
    expect(ledger.row(R)).toEqual({ attempt: 2, live: [] })
    // Only a word that ends something makes the next one a first attempt.
    ledger.heard(R, new Map([[A, 5]]), [])
    expect(ledger.row(R).attempt).toBe(2)
    ledger.add(R, mail(3, A, 0, 5), [])
    ledger.heard(R, new Map([[A, 5]]), [])
    expect(ledger.row(R).attempt).toBe(0)
  })

  test('[L5] one unusable part takes the whole transfer along', () => {
    const ledger = ledgerWith({ ids: [id(1), id(2)], ranges: [{ log: A, from: 0, to: 9 }], bytes: 900 })
    ledger.heard(R, new Map(), [id(2)])
    expect(ledger.row(R)).toEqual({ attempt: 1, live: [] })
  })

  test('what was replaced waits no more, but for deliveries of which a part was not named', () => {
    const ledger = ledgerWith(mail(1, A, 0, 3), { ids: [id(2), id(3)], ranges: [], bytes: 900 })
    ledger.add(R, mail(4, A, 0, 5), [id(1), id(2)])
    expect(idsOf(ledger)).toEqual([id(2), id(3), id(4)].map(toHex))
    ledger.add(R, mail(5, A, 0, 6), [id(2), id(3), id(4)])
    expect(idsOf(ledger)).toEqual([toHex(id(5))])
  })

  test('devices that collect no more are forgotten', () => {
    const ledger = ledgerWith(mail(1, A, 0, 3))
    ledger.add(S, mail(2, A, 0, 3), [])
    ledger.retain(new Set([S]))
    expect([...ledger.state.rows.keys()]).toEqual([S])
  })

  test('the reach follows ranges in any order, never over a gap, never back', () => {
    const live = [mail(2, A, 3, 5), mail(1, A, 0, 3), mail(3, A, 7, 9), mail(4, B, 1, 2)]
    expect(reachWith(new Map(), live)).toEqual(new Map([[A, 5]]))
    expect(reachWith(new Map([[A, 8]]), live)).toEqual(new Map([[A, 9]]))
    expect(reachWith(new Map([[A, 30]]), live)).toEqual(new Map([[A, 30]]))
  })

  test('[P4] what others say they left counts where it is more', () => {
    const ledger = ledgerWith(mail(1, A, 4, 6))
    const claimed = new Map([
      [A, 4],
      [B, 0],
    ])
    expect(ledger.reach(R, new Map([[B, 2]]), claimed)).toEqual(
      new Map([
        [B, 2],
        [A, 6],
      ]),
    )
  })
})

describe('folding', () => {
  const survey = (known: [string, number][] = [], held = 2_000): Survey => ({
    now: 0,
    self: S,
    logs: [{ log: A, seq: held, device: S }],
    recipients: [{ device: R, known: new Map(known), counter: 0, connected: false }],
    near: [],
  })
  const small = (count: number, from = 0) =>
    Array.from({ length: count }, (_, at) => mail(at + 1, A, from + at, from + at + 1))
  const fold = (ledger: MailLedger, known?: [string, number][], weighed = 0, wants = false) =>
    foldingFor(survey(known), ledger, new Map([[R, weighed]]), new Set(wants ? [R] : []), new Rests())

  test('takes many small deposits together, from what the recipient holds to where the last one ends', () => {
    expect(fold(ledgerWith(...small(FOLD_AT - 1)))).toBeUndefined()
    const job = fold(ledgerWith(...small(FOLD_AT)))
    expect(job).toMatchObject({ kind: 'changes', recipients: [R], attempt: 0 })
    expect(job!.from).toEqual(new Map([[A, 0]]))
    expect(job!.until).toEqual(new Map([[A, FOLD_AT]]))
    expect(job!.replaces).toHaveLength(FOLD_AT)
  })

  test('begins behind what is large, which stays as it is', () => {
    const large = mail(99, A, 0, 50, FULL_BYTES)
    const job = fold(ledgerWith(large, ...small(FOLD_AT, 50)))
    expect(job!.from).toEqual(new Map([[A, 50]]))
    expect(job!.until).toEqual(new Map([[A, 50 + FOLD_AT]]))
    expect(job!.replaces.map(toHex)).not.toContain(toHex(id(99)))
  })

  test('takes nothing along that a log no longer reaches here: it may lie nowhere else', () => {
    const held = (seq: number, ledger = ledgerWith(...small(FOLD_AT + 4))) =>
      foldingFor(survey([], seq), ledger, new Map(), new Set(), new Rests())
    expect(held(FOLD_AT)).toMatchObject({ until: new Map([[A, FOLD_AT]]) })
    expect(held(FOLD_AT)!.replaces).toHaveLength(FOLD_AT)
    expect(held(FOLD_AT - 1)).toBeUndefined()
    expect(held(0)).toBeUndefined()
    const large = mail(99, A, 0, 50, FULL_BYTES)
    expect(held(50, ledgerWith(large, ...small(FOLD_AT, 50)))).toBeUndefined()
    const much = ledgerWith(mail(1, A, 0, 5, WEIGH_BYTES), mail(2, A, 5, 9, WEIGH_BYTES))
    for (const wants of [new Set([R]), new Set<string>()])
      expect([8, 9].map((seq) => foldingFor(survey([], seq), much, new Map(), wants, new Rests()))).toEqual([
        undefined,
        expect.objectContaining({ kind: 'states' }),
      ])
  })

  test('[L7] leaves a recipient that rests alone', () => {
    const ledger = ledgerWith(...small(FOLD_AT))
    for (const each of small(FOLD_AT)) ledger.add(S, each, [])
    const both = survey()
    both.recipients.push({ device: S, known: new Map(), counter: 0, connected: false })
    const rests = new Rests()
    rests.rest([R], 10)
    rests.look(0)
    const foldAt = (now: number) =>
      foldingFor({ ...both, now }, ledger, new Map(), new Set([R]), rests)?.recipients
    expect(foldAt(9)).toEqual([S])
    expect(foldAt(10)).toEqual([R])
  })

  test('leaves alone what the recipient holds already, and parts of a transfer', () => {
    expect(fold(ledgerWith(...small(FOLD_AT)), [[A, FOLD_AT]])).toBeUndefined()
    const parts = small(FOLD_AT).map((each) => ({ ...each, ids: [...each.ids, id(77)] }))
    expect(fold(ledgerWith(...parts))).toBeUndefined()
    expect(fold(ledgerWith(...small(FOLD_AT).map((each) => ({ ...each, ranges: [] }))))).toBeUndefined()
  })

  test('weighs whole states once much waits, and again only when twice as much does', () => {
    const much = (bytes: number) => ledgerWith(mail(1, A, 0, 5, bytes / 2), mail(2, A, 5, 9, bytes / 2))
    expect(fold(much(WEIGH_BYTES - 2))).toBeUndefined()
    const job = fold(much(WEIGH_BYTES), [[A, 2]])
    expect(job).toMatchObject({ kind: 'states', unlessBytes: WEIGH_BYTES / 2 })
    expect(job!.from).toEqual(new Map([[A, 2]]))
    expect(job!.replaces).toHaveLength(2)
    expect(fold(much(WEIGH_BYTES), [], WEIGH_BYTES / 2 + 1)).toBeUndefined()
    expect(fold(much(2 * WEIGH_BYTES), [], WEIGH_BYTES / 2 + 1)).toMatchObject({ kind: 'states' })
    // One delivery alone is not written again.
    expect(fold(ledgerWith(mail(1, A, 0, 5, 2 * WEIGH_BYTES)))).toBeUndefined()
  })

  test('whole states that are wanted stand for all that waits', () => {
    expect(fold(ledgerWith(mail(1, A, 0, 5)), [], 0, true)).toBeUndefined()
    const job = fold(ledgerWith(mail(1, A, 0, 5), mail(2, A, 5, 6)), [], 0, true)
    expect(job).toMatchObject({ kind: 'states', replaces: [id(1), id(2)] })
    expect(job!.unlessBytes).toBeUndefined()
  })

  test('stands for no more at once than a deposit may name', () => {
    const many = Array.from(
      { length: MAX_REPLACES + 9 },
      (_, at): LiveMail => ({
        ...mail(0, A, at, at + 1),
        ids: [Uint8Array.from({ length: 16 }, (_, byte) => at >> (8 * byte))],
      }),
    )
    const ledger = new MailLedger({
      incarnation: id(9),
      sequence: 5,
      rows: new Map([[R, { live: many, attempt: 0 }]]),
    })
    for (const wants of [true, false])
      expect(fold(ledger, [], 0, wants)!.replaces).toEqual(
        many.slice(0, MAX_REPLACES).map(({ ids }) => ids[0]),
      )
  })

  test('ends with the logs that it gives, and leaves a transfer that was begun alone', () => {
    const begun: LiveMail = { ids: [id(88)], ranges: [], bytes: 600 }
    const ledger = ledgerWith(begun, mail(50, B, 0, 1), ...small(FOLD_AT))
    const known = new Map([[B, 1]])
    const both = { ...survey(), recipients: [{ device: R, known, counter: 0, connected: false }] }
    both.logs.push({ log: B, seq: 1, device: S })
    const job = foldingFor(both, ledger, new Map(), new Set(), new Rests())!
    expect([job.from, job.until]).toEqual([new Map([[A, 0]]), new Map([[A, FOLD_AT]])])
    expect(job.replaces.map(toHex)).not.toContain(toHex(id(88)))
  })
})

test('whole states take the place of nothing that a log no longer reaches here', () => {
  const survey = (seq: number): Survey => ({
    now: 0,
    self: S,
    logs: [{ log: A, seq, device: S }],
    recipients: [{ device: R, known: new Map(), counter: 0, connected: false }],
    near: [],
  })
  const ledger = ledgerWith(mail(1, A, 0, 3), mail(2, A, 3, 5))
  const due = { recipients: [R], from: new Map([[A, 0]]) }
  const replaces = (seq: number) => depositFor(due, survey(seq), ledger, new Set([R])).replaces
  expect([replaces(5), replaces(4)]).toEqual([[id(1), id(2)], [id(1)]])
})
