/** Who gives what to whom, and when: with a clock and a world of the test's own. */
import { describe, expect, test } from 'vitest'
import { nodeNatives } from '../../src/node/natives.js'
import { concat, fromHex, toHex } from '../../src/protocol/bytes.js'
import { LeftClaims } from '../../src/protocol/mail-claims.js'
import { MailLedger } from '../../src/protocol/mail-ledger.js'
import {
  DIRECT_WAIT_MS,
  FORWARD_MAIL_MS,
  type PlanInput,
  planDeposits,
  type Survey,
  TURN_MS,
} from '../../src/protocol/mail-plan.js'
import { Rests } from '../../src/protocol/mail-rests.js'

const device = (n: number) => n.toString(16).padStart(2, '0').repeat(32)
const [ME, AUTHOR, FAR, THIRD] = [device(1), device(2), device(3), device(4)] as const
const [MINE, THEIRS] = ['aa'.repeat(16), 'bb'.repeat(16)] as const

function input(given: Partial<Survey> = {}, more: Partial<PlanInput> = {}): PlanInput {
  const survey: Survey = {
    now: 1_000,
    self: ME,
    logs: [{ log: MINE, seq: 5, device: ME }],
    recipients: [{ device: FAR, known: new Map(), connected: false, counter: 0 }],
    near: [],
    ...given,
  }
  const ledger = new MailLedger({ incarnation: new Uint8Array(16), sequence: 0, rows: new Map() })
  return {
    natives: nodeNatives,
    survey,
    ledger,
    claims: new LeftClaims(),
    rests: new Rests(),
    lacks: new Map(),
    hurry: false,
    ...more,
  }
}
const at = (plan: PlanInput, ms: number): PlanInput => ({
  ...plan,
  survey: { ...plan.survey, now: plan.survey.now + ms },
})
/** How long after the first look something is due, to the millisecond. */
function dueAfter(plan: PlanInput): number {
  const first = planDeposits(plan)
  if (first.due.length > 0) return 0
  expect(planDeposits(at(plan, first.againMs! - 1)).due).toEqual([])
  expect(planDeposits(at(plan, first.againMs!)).due).toHaveLength(1)
  return first.againMs!
}
const theirs = [{ log: THEIRS, seq: 5, device: AUTHOR }]
const all = (...devices: string[]) =>
  devices.map((each) => ({ device: each, known: new Map<string, number>(), connected: false, counter: 0 }))

describe('my own changes', () => {
  test('[P1] are due at once, from where each recipient stands', () => {
    const plan = planDeposits(input())
    expect(plan).toEqual({ due: [{ recipients: [FAR], from: new Map([[MINE, 0]]) }], againMs: undefined })
  })

  test('[P1] wait for the direct way to a device that is connected', () => {
    const recipients = [{ device: FAR, known: new Map(), connected: true, counter: 0 }]
    expect(dueAfter(input({ recipients, near: [FAR] }))).toBe(DIRECT_WAIT_MS)
    expect(dueAfter(input({ recipients, near: [FAR] }, { hurry: true }))).toBe(DIRECT_WAIT_MS)
  })

  test('[P1] begin to wait anew with every step that the recipient makes', () => {
    const plan = input({
      recipients: [{ device: FAR, known: new Map(), connected: true, counter: 0 }],
      near: [FAR],
    })
    planDeposits(plan)
    const later = at(plan, DIRECT_WAIT_MS - 1)
    later.survey.recipients = [{ device: FAR, known: new Map([[MINE, 2]]), connected: true, counter: 0 }]
    expect(planDeposits(later).againMs).toBe(DIRECT_WAIT_MS)
    const done = at(plan, DIRECT_WAIT_MS)
    done.survey.recipients = [{ device: FAR, known: new Map([[MINE, 5]]), connected: true, counter: 0 }]
    expect(planDeposits(done)).toEqual({ due: [], againMs: undefined })
    expect(plan.lacks.size).toBe(0)
  })

  test('[P1] wait for each recipient from when that one began to lack them', () => {
    const connected = (each: string) => ({ device: each, known: new Map(), connected: true, counter: 0 })
    const plan = input({ recipients: [connected(FAR)] })
    planDeposits(plan)
    const later = at(plan, DIRECT_WAIT_MS - 1)
    later.survey.recipients = [connected(FAR), connected(THIRD)]
    expect(planDeposits(later)).toEqual({ due: [], againMs: 1 })
    const due = planDeposits(at(later, 1))
    expect(due.due.map(({ recipients }) => recipients)).toEqual([[FAR]])
    expect(due.againMs).toBe(DIRECT_WAIT_MS - 1)
  })

  test('[P1] wait for no turn of those near, of any log', () => {
    const logs = Array.from({ length: 9 }, (_, n) => ({ log: `0${n}`.repeat(16), seq: 1, device: ME }))
    const plan = planDeposits(input({ logs, near: [AUTHOR, THIRD, device(5), device(6)] }))
    expect([plan.due[0]?.from.size, plan.againMs]).toEqual([9, undefined])
  })

  test('[P1] go in one body to all that lack the same', () => {
    const recipients = [
      ...all(FAR, AUTHOR),
      { device: THIRD, known: new Map([[MINE, 2]]), connected: false, counter: 0 },
    ]
    expect(planDeposits(input({ recipients })).due).toEqual([
      { recipients: [FAR, AUTHOR], from: new Map([[MINE, 0]]) },
      { recipients: [THIRD], from: new Map([[MINE, 2]]) },
    ])
  })

  test('are not due twice: what waits at the relay counts', () => {
    const plan = input()
    plan.ledger.add(
      FAR,
      { ids: [new Uint8Array(16)], ranges: [{ log: MINE, from: 0, to: 5 }], bytes: 600 },
      [],
    )
    expect(planDeposits(plan).due).toEqual([])
  })
})

describe('what another device wrote', () => {
  test('[P2] is given on at once where its author has no mailbox', () => {
    expect(dueAfter(input({ logs: theirs }))).toBe(0)
  })

  test('[P2] is given on only when its author did not in time', () => {
    expect(dueAfter(input({ logs: theirs, recipients: all(FAR, AUTHOR) }, { hurry: true }))).toBe(0)
    const plan = input({ logs: theirs, recipients: all(FAR, AUTHOR) })
    plan.survey.recipients[1]!.known = new Map([[THEIRS, 5]])
    expect(dueAfter(plan)).toBe(FORWARD_MAIL_MS)
  })

  test('[P2] is given back to an author that lost it when it has had time to say that it did not', () => {
    expect(dueAfter(input({ logs: theirs, recipients: all(AUTHOR) }))).toBe(FORWARD_MAIL_MS)
    expect(dueAfter(input({ logs: theirs, recipients: all(AUTHOR) }, { hurry: true }))).toBe(0)
  })

  test('[P3] is given on in turns: each device has its own by the hash with the log, and none has the same', () => {
    const rank = (log: string) => (each: string) =>
      toHex(nodeNatives.sha256(concat([fromHex(each), fromHex(log)])))
    const inOrder = (devices: string[], log: string) => {
      const rankOf = rank(log)
      return [...devices].sort((a, b) => (rankOf(a) < rankOf(b) ? -1 : 1))
    }
    const near = [AUTHOR, FAR, THIRD, device(5)]
    const delays = inOrder([ME, AUTHOR, THIRD, device(5)], THEIRS).map((self) =>
      dueAfter(
        input({
          self,
          logs: [{ log: THEIRS, seq: 5, device: device(9) }],
          near: [ME, ...near].filter((each) => each !== self && each !== FAR),
        }),
      ),
    )
    expect(delays).toEqual([0, TURN_MS, 2 * TURN_MS, 3 * TURN_MS])
    // Another log has another order.
    const orders = Array.from({ length: 20 }, (_, n) => inOrder(near, n.toString(16).padStart(32, '0'))[0])
    expect(new Set(orders).size).toBeGreaterThan(1)
  })

  test('[P2] [P3] the shortest wait of several is told', () => {
    const recipients = all(FAR, AUTHOR)
    recipients[1]!.known = new Map([[THEIRS, 5]])
    recipients.push({ device: THIRD, known: new Map([[THEIRS, 1]]), connected: true, counter: 0 })
    const plan = planDeposits(
      input({ logs: [...theirs, { log: MINE, seq: 5, device: ME }], recipients, near: [] }),
    )
    expect(plan.due.map(({ recipients: to }) => to)).toEqual([[FAR, AUTHOR]])
    expect(plan.againMs).toBe(DIRECT_WAIT_MS)
  })

  test('[P4] is not given on where another says it has left it', () => {
    const saying = (seq: number) => {
      const claims = new LeftClaims()
      const frontier = [{ log: fromHex(THEIRS), seq, check: new Uint8Array(8) }]
      claims.hear(AUTHOR, [{ recipient: fromHex(FAR), frontier, counter: 1 }])
      claims.spoke(FAR, 1)
      return claims
    }
    expect(planDeposits(input({ logs: theirs }, { claims: saying(5) }))).toEqual({
      due: [],
      againMs: undefined,
    })
    expect(planDeposits(input({ logs: theirs }, { claims: saying(3) })).due).toEqual([
      { recipients: [FAR], from: new Map([[THEIRS, 3]]) },
    ])
    const spokenSince = saying(5)
    spokenSince.spoke(FAR, 2)
    expect(planDeposits(input({ logs: theirs }, { claims: spokenSince })).due).toEqual([
      { recipients: [FAR], from: new Map([[THEIRS, 0]]) },
    ])
  })
})
