/** The oracle's strength for mail: rules broken on purpose must be noticed by the simulator with relays. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Transfers } from '../../src/node/driver-transfers.js'
import { MailTaking } from '../../src/node/mail-driver-taking.js'
import { MailOffice } from '../../src/node/mail-office.js'
import type { States } from '../../src/protocol/envelope.gen.js'
import { Deliveries } from '../../src/protocol/mail-deliveries.js'
import { MailLedger } from '../../src/protocol/mail-ledger.js'
import type { Statement } from '../../src/protocol/sync.gen.js'
import { StatesWriter } from '../../src/store/mail-out.js'
import type { Replica } from '../../src/store/replica.js'
import { SealedDb } from '../../src/store/sealed-db.js'
import { Statements } from '../../src/store/statements.js'
import { simulateMail } from './mail-sim.js'
import { firstFailure } from './seeds.js'

const MOST_SEEDS = 160
/** The first of them, where it is not 1: what hardly any world notices is broken where one does. */
const FROM: Record<string, number> = {
  'what the relay holds no more is not offered again': 60,
  'forks are not healed by the ladders of words': 270,
  'cuts are not told in words': 270,
}

type Anything = Record<string, (...args: unknown[]) => unknown>
const of = (type: { prototype: unknown }) => type.prototype as Anything

/** Every rule that is broken, and how. */
const BUGS: Record<string, () => void> = {
  'mail is acknowledged before it is durable': () => {
    const taking = new Set<unknown>()
    const take = of(MailTaking).take!
    vi.spyOn(of(MailTaking), 'take').mockImplementation(async function (this: unknown, ...args) {
      const { db } = (this as { options: { replica: Replica } }).options.replica
      taking.add(db)
      return (take.apply(this, args) as Promise<unknown>).finally(() => taking.delete(db))
    })
    const flush = of(SealedDb).flush!
    vi.spyOn(of(SealedDb), 'flush').mockImplementation(async function (this: unknown) {
      if (!taking.has(this)) await flush.call(this)
    })
  },
  'what was left counts as held, whatever the recipient says': () => {
    vi.spyOn(of(MailLedger), 'heard').mockImplementation(() => [])
    vi.spyOn(of(MailLedger), 'lost').mockImplementation(() => false)
  },
  'what the relay holds no more is not offered again': () => {
    vi.spyOn(of(Deliveries), 'onMissing').mockImplementation(() => {})
  },
  'a transfer counts as whole before its cases are in': () => {
    const next = of(StatesWriter).next!
    vi.spyOn(of(StatesWriter), 'next').mockImplementation(async function (this: unknown, ...args) {
      const part = (await next.apply(this, args)) as States | undefined
      return part && part.stretches.length > 0 ? { ...part, last: true } : part
    })
  },
  'a relay that has gone back is taken for the one it was': () => {
    vi.spyOn(of(MailLedger), 'greet').mockImplementation(() => {})
    vi.spyOn(of(Deliveries), 'check').mockImplementation(() => {})
  },
  'forks are not healed by the ladders of words': () => {
    vi.spyOn(of(MailOffice), 'cutByLadder').mockImplementation(async () => false)
  },
  'cuts are not told in words': () => {
    const seal = of(MailOffice).seal!
    vi.spyOn(of(MailOffice), 'seal').mockImplementation(function (this: unknown, ...args) {
      const body = args[2] as { $case: string; value: { cuts: unknown[] } }
      if (body.$case === 'word') body.value.cuts = []
      return seal.apply(this, args)
    })
  },
  'the largest word wins, not the newest': () => {
    const keep = of(Statements).keep!
    vi.spyOn(of(Statements), 'keep').mockImplementation(function (this: unknown, ...args) {
      const [row] = args as [Statement]
      const statements = this as Statements
      const before = new Map(statements.of(row.device)?.frontier ?? [])
      keep.apply(this, args)
      const { frontier } = statements.of(row.device)!
      for (const [log, seq] of before) frontier.set(log, Math.max(seq, frontier.get(log) ?? 0))
    })
  },
  'what came by mail beyond the frontier is never restated': () => {
    vi.spyOn(of(Transfers), 'maybeSettle').mockImplementation(() => {})
  },
}

afterEach(() => vi.restoreAllMocks())

describe('a broken rule of mail is caught', () => {
  for (const [name, plant] of Object.entries(BUGS)) {
    it(name, { timeout: 240_000 }, async () => {
      plant()
      const noticed = await firstFailure(FROM[name] ?? 1, MOST_SEEDS, (seed) => simulateMail(seed))
      expect(noticed, 'no seed noticed it').toBeDefined()
    })
  }
})
