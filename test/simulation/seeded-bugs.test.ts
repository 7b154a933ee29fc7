/** The oracle's strength: rules broken on purpose must be noticed, or the simulator proves nothing. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Driver } from '../../src/node/driver.js'
import { Transfers } from '../../src/node/driver-transfers.js'
import { SyncSession } from '../../src/protocol/sync.js'
import { CaseDraft } from '../../src/store/case-content.js'
import { LogTable } from '../../src/store/logs.js'
import { Replica } from '../../src/store/replica.js'
import { SealedDb } from '../../src/store/sealed-db.js'
import { IncomingTransfer } from '../../src/store/transfers.js'
import { firstFailure } from './seeds.js'
import { simulate } from './sim.js'

const MOST_SEEDS = 150

type Anything = Record<string, (...args: unknown[]) => unknown>
const of = (type: { prototype: unknown }) => type.prototype as Anything

/** Every rule that is broken, and how. */
const BUGS: Record<string, () => void> = {
  'missing flush: durable is said of what is not': () => {
    vi.spyOn(of(SealedDb), 'flush').mockImplementation(async () => {})
  },
  'a parked change is never tried again': () => {
    vi.spyOn(of(CaseDraft), 'retryParked').mockImplementation(() => {})
  },
  'touched vectors forget': () => {
    const touch = of(CaseDraft).touch!
    vi.spyOn(of(CaseDraft), 'touch').mockImplementation(function (this: unknown, ...args) {
      if ((args[1] as number) % 3 !== 0) touch.apply(this, args)
    })
  },
  'an unclean start continues its log': () => {
    const open = Replica.open.bind(Replica)
    vi.spyOn(Replica, 'open').mockImplementation(async (options) => {
      const replica = await open(options)
      Object.assign(replica, { needsNewLog: false })
      return replica
    })
    vi.spyOn(of(LogTable), 'checkAt').mockImplementation(async () => undefined)
    vi.spyOn(of(Replica), 'judge').mockImplementation(async (claims) =>
      (claims as { seq: number }[]).map((claim) => ({ claim, verdict: 'behind' })),
    )
  },
  'the skipped fork check: a contradicted claim passes': () => {
    const judge = of(Replica).judge!
    vi.spyOn(of(Replica), 'judge').mockImplementation(async function (this: unknown, ...args) {
      const verdicts = (await judge.apply(this, args)) as { verdict: string }[]
      return verdicts.map((item) => (item.verdict === 'fork' ? { ...item, verdict: 'behind' } : item))
    })
  },
  'what lies beyond the frontier is never restated': () => {
    vi.spyOn(of(Transfers), 'maybeSettle').mockImplementation(() => {})
  },
  'a transfer adopts its target without its content': () => {
    vi.spyOn(of(IncomingTransfer), 'take').mockImplementation(async () => {})
  },
  'a gap is not asked for, and the peer counts as served': () => {
    vi.spyOn(of(SyncSession), 'onApplied').mockImplementation(() => {})
    vi.spyOn(of(Driver), 'round').mockImplementation(async () => undefined)
    vi.spyOn(of(SyncSession), 'onJudged').mockImplementation(() => {})
  },
}

afterEach(() => vi.restoreAllMocks())

describe('a broken rule is caught', () => {
  for (const [name, plant] of Object.entries(BUGS)) {
    it(name, { timeout: 240_000 }, async () => {
      plant()
      expect(await firstFailure(1, MOST_SEEDS, (seed) => simulate(seed)), 'no seed noticed it').toBeDefined()
    })
  }
})
