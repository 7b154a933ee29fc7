import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { equalBytes, fromHex, toHex } from '../../../src/protocol/bytes.js'
import { type ForkPoint, forkSeqs } from '../../../src/protocol/fork.js'
import type { LogClaim } from '../../../src/protocol/frontier.js'
import { MAX_FORK_POINTS } from '../../../src/protocol/limits.js'
import type { TargetLog } from '../../../src/protocol/transfer.js'
import { readDoubts } from '../../../src/store/doubts.js'
import {
  cutLog,
  forkPoints,
  learnCuts,
  narrowFork,
  restateUnclaimed,
  settleDoubts,
  sweepDoubts,
} from '../../../src/store/healing.js'
import { openStates } from '../../../src/store/outgoing.js'
import { prune } from '../../../src/store/pruning.js'
import { casesFrom, readCases, readChanges, readItems } from '../../../src/store/reading.js'
import { IncomingTransfer, takeLoose } from '../../../src/store/transfers.js'
import { change, TestLog } from '../../support/logs.js'
import { Bench, type CreateDb, type Device } from './bench.js'

/** Whole lists of checks as points. */
const pointsOf = (checks: Uint8Array): ForkPoint[] =>
  Array.from({ length: checks.length / 8 }, (_, at) => ({
    seq: at + 1,
    check: checks.slice(at * 8, at * 8 + 8),
  }))

/** Cut and restate, doubts, and what lies beyond the frontier. */
export function healingSuite(createDb: CreateDb): void {
  describe('healing', () => {
    let bench: Bench
    let a: Device
    let b: Device
    beforeEach(async () => {
      bench = new Bench(createDb, 8)
      a = await bench.device()
      b = await bench.device()
      await a.create('one', 'two', 'three')
      await a.type('two', 'typed ')
      await a.giveTo(b)
    })
    afterEach(() => bench.stop())

    const checkAt = async (device: Device, log: string, seq: number) =>
      (await device.replica.logs.checkAt(log, seq))!

    /** Invariant 4 from the other end: no case holds more than the frontier claims. */
    async function beyond(device: Device): Promise<string[]> {
      const found: string[] = []
      for await (const state of casesFrom(device.replica, new Uint8Array(0))) {
        for (const [log, seq] of state.touched)
          if (seq > device.seq(log)) found.push(`${state.caseId} ${log}:${seq}`)
      }
      return found
    }

    test('[H1] [H2] a cut lowers the claim, and cases that hold more are restated first: nothing is lost', async () => {
      const before = await b.contents()
      expect(await cutLog(b.replica, a.log, 2, await checkAt(b, a.log, 2))).toBe(true)
      expect(b.replica.logs.get(a.log)).toMatchObject({ seq: 2, cut: { seq: 2 }, retainedFrom: 0 })
      expect(await b.contents()).toEqual(before)
      expect(b.seq()).toBe(2)
      expect(await beyond(b)).toEqual([])
      expect((await b.rawKeys('l')).length).toBe(2 + 2)
      const held = await b.held()
      await b.reopen()
      expect(await b.held()).toEqual(held)
    })

    test('[F2] cuts only fall: the same or a later one changes nothing, an earlier one does', async () => {
      await cutLog(b.replica, a.log, 2, await checkAt(b, a.log, 2))
      const digest = b.replica.digest()
      expect(await cutLog(b.replica, a.log, 2, await checkAt(a, a.log, 2))).toBe(false)
      expect(await cutLog(b.replica, a.log, 3, await checkAt(a, a.log, 3))).toBe(false)
      expect(b.replica.digest()).toEqual(digest)
      expect(await cutLog(b.replica, a.log, 1, await checkAt(a, a.log, 1))).toBe(true)
      expect(b.replica.logs.get(a.log)).toMatchObject({ seq: 1, cut: { seq: 1 } })
      expect(await beyond(b)).toEqual([])
    })

    test('[A3] a cut log takes nothing more', async () => {
      await cutLog(b.replica, a.log, 2, await checkAt(b, a.log, 2))
      await a.giveTo(b)
      expect(b.seq(a.log)).toBe(2)
    })

    test('[H1] a cut log served to a device that knows the cut is taken as changes and as states alike', async () => {
      const log = new TestLog(bench.practice, bench.member(), bench.random)
      log.add(...Array.from({ length: 6 }, (_, at) => change({ at, caseId: `x${at}` })))
      const cut = { log: log.id, seq: 3, check: log.check(3) }
      const receivers = [await bench.device(), await bench.device()]
      for (const device of [a, ...receivers]) await learnCuts(device.replica, [cut], [log.opening])
      await a.replica.admit([log.opening], [log.run()], log.keys.ed)
      expect(a.seq(log.id)).toBe(3)
      await a.giveTo(receivers[0]!)
      expect(receivers[0]!.seq(log.id)).toBe(3)
      await a.transferTo(receivers[1]!)
      expect(receivers[1]!.seq(log.id)).toBe(3)
      await receivers[0]!.reopen()
      expect(receivers[0]!.replica.digest()).toEqual(a.replica.digest())
    })

    test('a cut of a log that nobody knows yet is kept by its opening', async () => {
      const log = new TestLog(bench.practice, bench.member(), bench.random).add(change(), change(), change())
      const cut = { log: log.id, seq: 1, check: log.check(1) }
      expect(await learnCuts(b.replica, [cut], [])).toBe(false)
      expect(await learnCuts(b.replica, [cut], [log.opening])).toBe(true)
      await b.reopen()
      await b.replica.admit([], [log.run()], log.keys.ed)
      expect(b.seq(log.id)).toBe(1)
    })

    test('[H1] a cut of another branch cuts mine just before it, where its teller holds less and nothing else', async () => {
      const log = new TestLog(bench.practice, bench.member(), bench.random)
      log.add(...Array.from({ length: 5 }, (_, at) => change({ at, caseId: `x${at}` })))
      await a.replica.admit([log.opening], [log.run()], log.keys.ed)
      const other = () => bench.random.bytes(8)
      const cut = { log: log.id, seq: 5, check: other() }
      const isCut = (told: LogClaim[] | undefined) => learnCuts(a.replica, [cut], [log.opening], told)
      // Who holds that branch shows where it parts from mine, and who holds a third one does, too.
      for (const told of [undefined, [{ ...cut }], [{ log: log.id, seq: 2, check: other() }]])
        expect(await isCut(told)).toBe(false)
      expect(await learnCuts(a.replica, [{ ...cut, seq: 6 }], [], [])).toBe(true)
      expect(a.seq(log.id)).toBe(5)
      expect(await isCut([log.claim(2)])).toBe(true)
      expect(a.replica.logs.get(log.id)).toMatchObject({ seq: 4, cut: { seq: 4, check: log.check(4) } })
      expect(await isCut([log.claim(2)])).toBe(false)
      // Its teller holds nothing; and of two cuts at one place the branch of neither may be held.
      expect(await learnCuts(a.replica, [{ ...cut, seq: 4 }], [], [])).toBe(true)
      expect(a.seq(log.id)).toBe(3)
      expect(await learnCuts(b.replica, [cut], [log.opening], [])).toBe(true)
      expect(await learnCuts(b.replica, [{ ...cut, check: other() }], [], [])).toBe(true)
      expect(b.replica.logs.get(log.id)).toMatchObject({ seq: 0, cut: { seq: 0 } })
    })

    test('[H1] where its teller holds nothing of it, too, and nothing is lost', async () => {
      const before = await b.contents()
      const cut = { log: a.log, seq: 4, check: bench.random.bytes(8) }
      const told = { log: a.log, seq: 0, check: new Uint8Array(8) }
      expect(await learnCuts(b.replica, [cut], [], [told])).toBe(true)
      expect(b.replica.logs.get(a.log)).toMatchObject({ seq: 3, cut: { seq: 3 } })
      expect(await b.contents()).toEqual(before)
      expect(await beyond(b)).toEqual([])
      // What lies behind it is in a log of its own now.
      const c = await bench.device()
      const { cut: common } = b.replica.logs.get(a.log)!
      await learnCuts(c.replica, [{ log: a.log, ...common! }], [b.replica.logs.get(a.log)!])
      await b.giveTo(c)
      expect(await c.contents()).toEqual(before)
    })

    test('[S4] an owner whose log is cut opens a new one', async () => {
      const first = a.log
      await cutLog(a.replica, first, 2, await checkAt(a, first, 2))
      expect(a.log).not.toBe(first)
      await a.type('one', 'x')
      await a.reopen()
      await a.type('one', 'y')
      expect(a.replica.logs.get(first)?.seq).toBe(2)
    })

    test('after the same cut two devices that give each other everything hold the same', async () => {
      const { log } = a
      const check = await checkAt(a, log, 2)
      await cutLog(a.replica, log, 2, check)
      await cutLog(b.replica, log, 2, check)
      await a.giveTo(b)
      await b.giveTo(a)
      expect(a.replica.digest()).toEqual(b.replica.digest())
      expect(await a.contents()).toEqual(await b.contents())
    })

    test('a fork is cut where both branches last agree, and both branches’ content survives', async () => {
      const rows = await Promise.all(
        (await a.rawKeys()).map(async (key) => [key, await a.rawGet(key)] as const),
      )
      await a.type('one', 'kept ')
      await a.giveTo(b)
      const log = a.log
      for (const key of await a.rawKeys()) await a.rawDelete(key)
      for (const [key, value] of rows) await a.rawPut(key, value)
      await a.open()
      // A restored folder whose running mark was lost, too: it continues the log another way.
      a.replica.meta = { ...a.replica.meta, running: false }
      Object.assign(a.replica, { needsNewLog: false })
      await a.type('three', 'other branch ')
      expect(a.log).toBe(log)
      const [mine, theirs] = await Promise.all(
        [a, b].map((device) => forkPoints(device.replica, log, 0, device.seq(log))),
      )
      expect(await a.replica.judge([b.replica.logs.get(log)!])).toMatchObject([{ verdict: 'fork' }])
      expect(await narrowFork(a.replica, log, theirs!)).toEqual({ cut: true })
      expect(await narrowFork(b.replica, log, mine!)).toEqual({ cut: true })
      for (const device of [a, b])
        expect(device.replica.logs.get(log)).toMatchObject({ seq: 4, cut: { seq: 4 } })
      await a.giveTo(b)
      await b.giveTo(a)
      expect(a.replica.digest()).toEqual(b.replica.digest())
      expect(await a.contents()).toEqual(await b.contents())
      expect(await a.contents()).toMatchObject({ one: { text: 'kept ' }, three: { text: 'other branch ' } })
    })

    test('checks that differ nowhere cut nothing', async () => {
      const all = await forkPoints(a.replica, a.log, 0, a.seq())
      expect(await narrowFork(b.replica, a.log, all)).toEqual({ cut: false })
      expect(await narrowFork(b.replica, a.log, all.slice(0, 2))).toEqual({ cut: false })
      expect(await narrowFork(b.replica, 'ab'.repeat(16), all)).toEqual({ cut: false })
    })

    test('cutting works below pruned changes, and keeps the checks below', async () => {
      for (let at = 0; at < 300; at++) await a.type('one', 'x')
      await a.giveTo(b)
      await prune(b.replica, () => [b.frontier()])
      const checks = await b.replica.logs.checks(a.log, 0, 260)
      await cutLog(b.replica, a.log, 260, await checkAt(a, a.log, 260))
      expect(await b.replica.logs.checks(a.log, 0, 260)).toEqual(checks)
      expect(await b.replica.logs.checkAt(a.log, 261)).toBeUndefined()
      await cutLog(b.replica, a.log, 3, await checkAt(a, a.log, 3))
      expect(await b.replica.logs.checks(a.log, 0, 3)).toEqual(checks.slice(0, 24))
      expect(await b.rawKeys('h')).toHaveLength(1)
    })

    test('[H2] a tombstone and parked changes are restated too', async () => {
      const [c, d, e] = [await bench.device(), await bench.device(), await bench.device()]
      await b.type('two', 'on ')
      const { openings, runs } = await readChanges(b.replica, new Map([[b.log, 0]]), 1e9)
      await c.replica.admit(openings, runs, b.keys.ed)
      await e.create('gone')
      await e.erase('gone')
      await e.giveTo(c)
      expect(await c.contents()).toMatchObject({ two: { parked: 1 }, gone: { erased: 1 } })
      for (const log of [b, e].map((device) => device.replica.logs.get(device.log)!)) {
        const cut = { log: log.log, seq: 0, check: new Uint8Array(8) }
        for (const device of [c, d]) await learnCuts(device.replica, [cut], [log])
      }
      expect(await c.contents()).toMatchObject({ two: { parked: 1 }, gone: { erased: 1 } })
      await c.giveTo(d)
      expect(await d.contents()).toEqual(await c.contents())
      await a.giveTo(d)
      expect(await d.contents()).toMatchObject({ two: { text: 'on typed ', parked: 0 } })
    })

    test('[H3] content beyond the frontier is restated, once, and then claimed', async () => {
      const c = await bench.device()
      const { items } = await readItems(a.replica, new Uint8Array(0), new Map(), 1e9)
      await takeLoose(c.replica, items)
      expect(await beyond(c)).toHaveLength(3)
      expect(await restateUnclaimed(c.replica)).toBe(3)
      expect(await beyond(c)).toEqual([])
      expect(c.replica.meta.unclaimed).toBe(false)
      expect(await restateUnclaimed(c.replica)).toBe(0)
      expect(c.seq()).toBe(3)
      const d = await bench.device()
      await c.giveTo(d)
      expect(await d.contents()).toEqual(await a.contents())
    })

    test('[H3] a transfer that a cut overtakes leaves nothing beyond the frontier unmarked', async () => {
      const c = await bench.device()
      const opened = await openStates(a.replica, new Map())
      const incoming = await a.begin(c, opened)
      await learnCuts(c.replica, [{ log: a.log, seq: 1, check: await checkAt(a, a.log, 1) }], opened.openings)
      const { items } = await readItems(a.replica, new Uint8Array(0), new Map(), 1e9)
      await incoming.take(items, false)
      await incoming.end([])
      expect(c.seq(a.log)).toBeLessThanOrEqual(1)
      expect(c.replica.meta.unclaimed || (await beyond(c)).length === 0).toBe(true)
    })

    describe('doubts', () => {
      /** A transfer from somebody who holds only this log, as far as the first case. */
      async function beginWith(to: Device, log: TestLog, target: TargetLog): Promise<void> {
        const incoming = await IncomingTransfer.begin(to.replica, [target], [log.opening])
        await incoming.takeChecks([log.stretch(target)])
        await incoming.take([], false)
      }

      test('are confirmed by the frontier when it comes to the same head', async () => {
        const c = await bench.device()
        await a.transferTo(c, 2)
        expect(await settleDoubts(c.replica)).toEqual([])
        expect(await readDoubts(c.replica)).toHaveLength(1)
        await a.giveTo(c)
        expect(await settleDoubts(c.replica)).toEqual([])
        expect(await readDoubts(c.replica)).toEqual([])
      })

      test('that the frontier contradicts are told, and cut where the claim began', async () => {
        const c = await bench.device()
        const log = new TestLog(bench.practice, bench.member(), bench.random)
        log.add(change({ caseId: 'one' }), change({ caseId: 'one' }), change({ caseId: 'one' }))
        const branch = log.branch(1).add(change({ caseId: 'two' }), change({ caseId: 'two', at: 5 }))
        await beginWith(c, log, log.target())
        await c.replica.admit([log.opening], [branch.run()], log.keys.ed)
        const contradicted = await settleDoubts(c.replica)
        expect(contradicted).toMatchObject([{ log: log.id, base: 0, seq: 3 }])
        expect(await sweepDoubts(c.replica, contradicted)).toBe(true)
        expect(c.replica.logs.get(log.id)).toMatchObject({ seq: 0, cut: { seq: 0 } })
        expect(await readDoubts(c.replica)).toEqual([])
        expect(await beyond(c)).toEqual([])
      })

      test('that a peer’s checks contradict are cut too', async () => {
        const c = await bench.device()
        const log = new TestLog(bench.practice, bench.member(), bench.random)
        log.add(...Array.from({ length: 4 }, (_, at) => change({ at })))
        const branch = log.branch(2).add(change({ at: 70 }), change({ at: 71 }))
        await c.replica.admit([log.opening], [log.run(0, 1)], log.keys.ed)
        await beginWith(c, log, log.target(4, 1))
        expect(await narrowFork(c.replica, log.id, pointsOf(log.checks()))).toEqual({ cut: false })
        expect(await narrowFork(c.replica, log.id, pointsOf(branch.checks()))).toEqual({ cut: true })
        expect(c.replica.logs.get(log.id)).toMatchObject({ seq: 1, cut: { seq: 1 } })
      })
    })

    test('of more branches than are doubted one by one, none hides behind another that the frontier comes to', async () => {
      const c = await bench.device()
      const log = new TestLog(bench.practice, bench.member(), bench.random)
      log.add(...Array.from({ length: 14 }, (_, at) => change({ at })))
      const take = async (caseId: string, seq: number, branch = log.branch(0)) => {
        branch.add(...Array.from({ length: seq - branch.seq }, (_, at) => change({ at: 100 * seq + at })))
        const [item] = await readCases(a.replica, [a.key(caseId)])
        const touched = [{ log: fromHex(log.id), seq: 3 }]
        await takeLoose(c.replica, [{ ...item!, touched }], [branch.claim(seq)])
      }
      await take('one', 6)
      await c.replica.admit([log.opening], [log.run(0, 5)], log.keys.ed)
      for (let seq = 7; seq < 14; seq++) await take('two', seq)
      await take('two', 14, log)
      expect((await readDoubts(c.replica)).length).toBeLessThanOrEqual(8)
      await c.replica.admit([log.opening], [log.run(5)], log.keys.ed)
      await sweepDoubts(c.replica, await settleDoubts(c.replica))
      await restateUnclaimed(c.replica)
      const d = await bench.device()
      const own = await readChanges(c.replica, new Map([[c.log, 0]]), 1e9)
      await d.replica.admit(own.openings, own.runs, c.keys.ed)
      expect(Object.keys(await d.contents())).toContain('one')
    })

    test('a doubt is cut where a peer contradicts only it, and has no check at which I hold the log', async () => {
      const c = await bench.device()
      const log = new TestLog(bench.practice, bench.member(), bench.random)
      log.add(...Array.from({ length: 9 }, (_, at) => change({ at })))
      const branch = log.branch(5).add(...Array.from({ length: 9 }, (_, at) => change({ at: 70 + at })))
      await c.replica.admit([log.opening], [log.run(0, 3)], log.keys.ed)
      const incoming = await IncomingTransfer.begin(c.replica, [log.target(9, 3)], [log.opening])
      await incoming.takeChecks([log.stretch(log.target(9, 3))])
      await incoming.take([], false)
      // The peer holds all three changes too: asked for the places among them, it would find nothing that differs.
      const far = pointsOf(branch.checks()).filter(({ seq }) => seq > 5)
      expect(await narrowFork(c.replica, log.id, far)).toEqual({ cut: true })
      expect(c.replica.logs.get(log.id)).toMatchObject({ seq: 3, cut: { seq: 3 } })
    })

    test('a doubt about a log of which nothing is held is given up, and what came on it is restated', async () => {
      const c = await bench.device()
      const { items } = await readItems(a.replica, new Uint8Array(0), new Map(), 1e9)
      const { seq } = a.replica.logs.get(a.log)!
      await takeLoose(c.replica, items, [{ log: a.log, seq, check: await checkAt(a, a.log, seq) }])
      expect(await readDoubts(c.replica)).toHaveLength(1)
      expect(c.replica.logs.get(a.log)).toBeUndefined()
      const same = await forkPoints(a.replica, a.log, 0, seq)
      expect(await narrowFork(c.replica, a.log, same)).toEqual({ cut: false })
      const other = same.map((point) => ({ ...point, check: new Uint8Array(8).fill(9) }))
      expect(await narrowFork(c.replica, a.log, other)).toEqual({ cut: true })
      expect(await readDoubts(c.replica)).toEqual([])
      expect(await beyond(c)).toEqual([])
      // It is c's own now: whoever never hears of the log has it all the same.
      const d = await bench.device()
      await c.giveTo(d)
      expect(await d.contents()).toEqual(await a.contents())
    })

    test('a place that is asked for besides takes the room of none at the ends', async () => {
      const log = new TestLog(bench.practice, a.keys, bench.random)
      expect(forkSeqs(0, 10_000, 5)).toEqual([1, 2500, 5000, 7500, 10_000])
      await a.replica.admit([log.opening], [log.add(change()).run()], log.keys.ed)
      const seqs = (await forkPoints(a.replica, log.id, 0, MAX_FORK_POINTS + 99, 7)).map(({ seq }) => seq)
      expect(seqs.length).toBeLessThanOrEqual(MAX_FORK_POINTS)
      expect([seqs[0], seqs.at(-1), seqs.includes(7)]).toEqual([1, MAX_FORK_POINTS + 99, true])
    })

    test('a damaged case doesn’t stop a cut: the others are restated all the same', async () => {
      await prune(b.replica, () => [b.frontier()])
      const [part] = (await b.rawKeys('p')).filter((key) => equalBytes(key.subarray(1, 17), b.key('three')))
      await b.damage(part!)
      await b.reopen()
      expect(await cutLog(b.replica, a.log, 1, await checkAt(b, a.log, 1))).toBe(true)
      expect(b.replica.logs.get(a.log)).toMatchObject({ seq: 1 })
      const restated = (await readCases(b.replica, [b.key('two')]))[0]!.touched.map(({ log }) => toHex(log))
      expect(restated).toContain(b.log)
    })
  })
}
