import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { nodeNatives } from '../../../src/node/natives.js'
import { toHex } from '../../../src/protocol/bytes.js'
import { checkOf, KIND_UPDATE } from '../../../src/protocol/log.js'
import { encodePayload } from '../../../src/protocol/payload.js'
import { CHANGES_AT_ONCE, prune } from '../../../src/store/pruning.js'
import { readChanges } from '../../../src/store/reading.js'
import type { Growth } from '../../../src/store/replica.js'
import { change, TestLog } from '../../support/logs.js'
import { Bench, type CreateDb, caseUpdate, type Device, keystrokes, update } from './bench.js'

/** Appending, admitting and pruning: the life of a change. */
export function logsSuite(createDb: CreateDb): void {
  let bench: Bench
  let a: Device
  let b: Device
  beforeEach(async () => {
    bench = new Bench(createDb, 1)
    a = await bench.device()
    b = await bench.device()
  })
  afterEach(() => bench.stop())

  const payload = (bytes: Uint8Array) => encodePayload(nodeNatives, bytes)

  describe('appending', () => {
    test('numbers changes without gaps, chains and signs them, and another device takes them', async () => {
      await a.create('one', 'two')
      await a.type('one', 'hello')
      expect(a.seq()).toBe(3)
      await a.giveTo(b)
      expect(b.replica.digest()).toEqual(a.replica.digest())
      expect(await b.contents()).toEqual(await a.contents())
    })

    test('many changes at once are split into signed runs, in order', async () => {
      await a.add(...keystrokes(5, 'x'.repeat(200)).map((each) => update('one', each)))
      const { runs } = await readChanges(a.replica, new Map([[a.log, 0]]), 1e9)
      expect(runs.length).toBeGreaterThan(1)
      expect(runs.map(({ from }) => from)).toEqual([0, 64, 128, 192])
      expect(runs.every(({ signature }) => signature.length === 64)).toBe(true)
      await a.giveTo(b)
      expect(await b.contents()).toEqual(await a.contents())
    })

    test('letters that were signed one by one are given under one signature for 64, wherever the reader stands', async () => {
      const strokes = keystrokes(5, 'x'.repeat(100))
      for (const each of strokes.slice(0, 30)) await a.add(update('one', each))
      await a.giveTo(b)
      for (const each of strokes.slice(30)) await a.add(update('one', each))
      const read = (from: number) => readChanges(a.replica, new Map([[a.log, from]]), 1e9)
      const { runs } = await read(0)
      expect(runs.map(({ from, changes }) => [from, changes.length])).toEqual([
        [0, 64],
        [64, strokes.length - 64],
      ])
      // One that stands within a joined run takes what of it is new.
      const { openings } = await read(0)
      const outcome = await b.replica.admit(openings, runs, a.keys.ed)
      expect(outcome).toMatchObject({ gaps: [], forks: [], refused: [] })
      expect(b.replica.digest()).toEqual(a.replica.digest())
      expect(await b.contents()).toEqual(await a.contents())
      // And what it holds it can give on.
      const c = await bench.device()
      await b.giveTo(c)
      expect(c.replica.digest()).toEqual(a.replica.digest())
    })

    test('tells whoever forwards changes what was appended, after it is written', async () => {
      const told: Growth[] = []
      a.replica.events.grown = (growth) => told.push(growth)
      await a.create('one')
      expect(told).toMatchObject([
        { from: undefined, caseKeys: [a.key('one')], runs: [{ run: { log: a.log, from: 0 } }] },
      ])
    })

    test('a change beyond the limit is refused and leaves nothing behind; the ones with it are not appended', async () => {
      await a.create('one')
      const before = await a.held()
      const huge = update('two', new Uint8Array(16 * 1024 * 1024 + 1))
      expect(await a.replica.append([update('three', caseUpdate('three')), huge])).toEqual({
        ok: false,
        code: 'too-large',
        caseId: 'two',
      })
      expect(await a.held()).toEqual(before)
    })

    test('a change of the largest size is appended, travels and comes back after reopening', async () => {
      const text = 'ból głowy '.repeat(1_000_000)
      await a.type('one', text)
      await a.giveTo(b)
      await b.reopen()
      expect(await b.contents()).toEqual(await a.contents())
      expect(JSON.stringify(await b.contents()).length).toBeGreaterThan(text.length)
    })

    test('while a device is the only one, payloads aren’t kept for others, but every check is', async () => {
      const alone = await bench.device({ hasOthers: () => false })
      await alone.create('one')
      await alone.add(...keystrokes(5, 'x'.repeat(600)).map((each) => update('one', each)))
      expect(await alone.rawKeys('l')).toEqual([])
      const checks = await alone.replica.logs.checks(alone.log, 0, 601)
      for (let seq = 1; seq <= 601; seq++) {
        const check = await alone.replica.logs.checkAt(alone.log, seq)
        expect(check).toEqual(checks.slice((seq - 1) * 8, seq * 8))
        expect(check!.some((byte) => byte !== 0)).toBe(true)
      }
    })
  })

  describe('admitting', () => {
    let log: TestLog
    beforeEach(() => {
      log = new TestLog(bench.practice, bench.member(), bench.random)
      for (const [at, each] of keystrokes(7, 'abcdef').entries()) {
        log.add(change({ at, caseId: at % 2 ? 'even' : 'odd', payload: payload(each) }))
      }
    })
    const admit = (...runs: ReturnType<TestLog['run']>[]) => a.replica.admit([log.opening], runs, log.keys.ed)
    const fine = { gaps: [], forks: [], refused: [] }

    test('[A1] of a run that begins before what is held, what lies behind it is taken, if its signature holds', async () => {
      expect(await admit(log.run(0, 3))).toMatchObject({ advanced: [log.id], ...fine })
      const forged = log.run(1, 6)
      forged.changes = forged.changes.map((each, at) => (at === 4 ? { ...each, at: each.at + 1 } : each))
      expect((await admit(forged)).refused).toHaveLength(1)
      expect(a.seq(log.id)).toBe(3)
      expect(await admit(log.run(1, 6))).toMatchObject({ advanced: [log.id], ...fine })
      expect(a.seq(log.id)).toBe(6)
      const whole = await bench.device()
      await whole.replica.admit([log.opening], [log.run(0, 6)], log.keys.ed)
      expect(await a.contents()).toEqual(await whole.contents())
    })

    test('[A1] takes runs in order, each once; gaps are told, what is known is nothing new', async () => {
      expect(await admit(log.run(2, 4))).toEqual({ ...fine, advanced: [], gaps: [{ log: log.id, from: 0 }] })
      expect(await admit(log.run(0, 2), log.run(2, 4))).toEqual({ ...fine, advanced: [log.id] })
      expect(await admit(log.run(0, 2), log.run(1, 3))).toEqual({ ...fine, advanced: [] })
      expect(await admit(log.run(4, 6))).toEqual({ ...fine, advanced: [log.id] })
      expect(a.replica.logs.get(log.id)).toMatchObject({ seq: 6, head: log.heads[6], check: log.check(6) })
      for (let seq = 1; seq <= 6; seq++)
        expect(await a.replica.logs.checkAt(log.id, seq)).toEqual(log.check(seq))
    })

    test('what came in several pieces is judged as one after the other, and each case is written once', async () => {
      const forged = { ...log.run(4, 6), signature: new Uint8Array(64) }
      const unopened = { openings: [], runs: [log.run(0, 1)] }
      const runs = [log.run(2, 4), log.run(0, 2), log.run(1, 4), forged, log.run(4, 6), log.run(0, 6)]
      const given = [unopened, ...runs.map((run) => ({ openings: [log.opening], runs: [run] }))]
      const single = await bench.device()
      const apart = []
      for (const each of given) apart.push(await single.replica.admit(each.openings, each.runs, log.keys.ed))
      expect(
        apart.map(({ advanced, gaps, refused }) => [advanced.length, gaps.length, refused.length]),
      ).toEqual([
        [0, 0, 1],
        [0, 1, 0],
        [1, 0, 0],
        [1, 0, 0],
        [0, 0, 1],
        [1, 0, 0],
        [0, 0, 0],
      ])

      const grown: Growth[] = []
      const written: string[][] = []
      a.replica.events.grown = (growth) => grown.push(growth)
      a.replica.events.cases = (ids) => written.push(ids)
      expect(await a.replica.admitEach(given, log.keys.ed)).toEqual(apart)
      expect(written.map((ids) => ids.sort())).toEqual([['even', 'odd']])
      expect(grown.map(({ runs }) => runs.map(({ run }) => [run.from, run.changes.length]))).toEqual([
        [
          [0, 2],
          [2, 2],
          [4, 2],
        ],
      ])
      expect(await a.contents()).toEqual(await single.contents())
      expect(a.replica.digest()).toEqual(single.replica.digest())
      for (let seq = 1; seq <= 6; seq++)
        expect(await a.replica.logs.checkAt(log.id, seq)).toEqual(log.check(seq))
    })

    test('[A2] refuses a log that nobody opened, or that a stranger opened', async () => {
      const unopened = await a.replica.admit([], [log.run()], log.keys.ed)
      expect(unopened).toMatchObject({ advanced: [], refused: [`${log.id}: unknown log`] })
      bench.members.delete(toHex(log.keys.ed))
      expect(await admit(log.run())).toMatchObject({ advanced: [], refused: [`${log.id}: unknown log`] })
      expect([...a.replica.logs.all()]).toEqual([])
      expect(await a.rawKeys()).toEqual([])
    })

    test('[A2] refuses openings of a wrong shape', async () => {
      for (const opening of [
        { ...log.opening, random: new Uint8Array(15) },
        { ...log.opening, device: new Uint8Array(31) },
        { ...log.opening, predecessor: new Uint8Array(5) },
      ]) {
        expect(a.replica.freshLogs([opening]).size).toBe(0)
      }
    })

    test('refuses a tampered run and keeps nothing of it; other runs of the same message are taken', async () => {
      const second = new TestLog(bench.practice, bench.member(), bench.random).add(change({ caseId: 'fine' }))
      const bad = { ...log.run(), changes: [...log.changes.slice(0, 5), change({ at: 999 })] }
      const outcome = await a.replica.admit([log.opening, second.opening], [bad, second.run()], log.keys.ed)
      expect(outcome).toEqual({ ...fine, advanced: [second.id], refused: [`${log.id}: bad signature`] })
      expect(a.seq(log.id)).toBe(0)
      expect(await a.replica.caseState(a.key('odd'))).toBeUndefined()
    })

    test('[S3] one message is one atomic batch', async () => {
      let batches = 0
      const batch = a.db.batch.bind(a.db) as (...args: unknown[]) => Promise<void>
      const counting = (...args: unknown[]) => {
        batches++
        return batch(...args)
      }
      Object.assign(a.db, { batch: counting })
      await admit(log.run(0, 3), log.run(3, 6))
      expect(batches).toBe(1)
    })

    test('[A4] [D1] void content advances the frontier: unreadable, unknown kind, hostile numbers', async () => {
      const odd = new TestLog(bench.practice, bench.member(), bench.random).add(
        change({ payload: new Uint8Array(0) }),
        change({ payload: Uint8Array.of(0, 255, 255) }),
        change({ payload: Uint8Array.of(1, 255) }),
        change({ payload: Uint8Array.of(9) }),
        change({ kind: 200 }),
        change({ generation: 0xffff_ffff, caseId: 'other' }),
        change({ caseId: '__proto__' }),
      )
      expect(await a.replica.admit([odd.opening], [odd.run()], odd.keys.ed)).toEqual({
        ...fine,
        advanced: [odd.id],
      })
      const state = await a.replica.caseState(a.key('case-1'))
      expect(state).toMatchObject({ parts: [], parked: [], row: '' })
      expect(state!.touched.get(odd.id)).toBe(5)
      await a.reopen()
      expect(a.seq(odd.id)).toBe(7)
    })

    test('[A4] a tombstone of the last generation that a number can hold blocks no log', async () => {
      const odd = new TestLog(bench.practice, bench.member(), bench.random)
      odd.add(
        change({ kind: 3, generation: 0xffff_ffff, payload: new Uint8Array(0) }),
        change({ caseId: 'next' }),
      )
      expect(await a.replica.admit([odd.opening], [odd.run()], odd.keys.ed)).toEqual({
        ...fine,
        advanced: [odd.id],
      })
      await a.reopen()
      expect(a.seq(odd.id)).toBe(2)
    })

    test('[D2] content whose base is missing is parked until the base arrives, in any order', async () => {
      const updates = keystrokes(7, 'abcd')
      const orders = [
        [3, 2, 1, 0],
        [1, 3, 0, 2],
        [2, 0, 3, 1],
      ]
      for (const order of orders) {
        const device = await bench.device()
        for (const [turn, at] of order.entries()) {
          const single = new TestLog(bench.practice, bench.member(), bench.random)
          single.add(change({ payload: payload(updates[at]!) }))
          await device.replica.admit([single.opening], [single.run()], single.keys.ed)
          expect(device.seq(single.id)).toBe(1)
          if (turn < 3) await device.reopen()
        }
        expect(await device.contents()).toMatchObject({ 'case-1': { text: 'abcd', parked: 0 } })
      }
    })

    test('[S1] touched names every log whose content a case holds, as far as it does, parked and void included', async () => {
      const updates = keystrokes(7, 'abc')
      const waits = new TestLog(bench.practice, bench.member(), bench.random)
      waits.add(change({ caseId: 'other' }), change({ payload: payload(updates[2]!) }), change({ kind: 77 }))
      await a.replica.admit([waits.opening], [waits.run()], waits.keys.ed)
      const state = (await a.replica.caseState(a.key('case-1')))!
      expect(state.parked).toMatchObject([{ log: waits.id, seq: 2 }])
      expect(state.touched).toEqual(new Map([[waits.id, 3]]))
    })

    test('an open document follows what is admitted', async () => {
      await a.create('one')
      await a.giveTo(b)
      const doc = await b.replica.openDoc('one')
      await a.type('one', 'hello ')
      await a.giveTo(b)
      expect(doc.getText('t').toString()).toBe('hello ')
      b.replica.docs.release('one')
    })
  })

  describe('pruning', () => {
    test('drops the payloads that everybody has, and keeps every check', async () => {
      await a.add(...keystrokes(7, 'x'.repeat(600)).map((each) => update('one', each)))
      await a.giveTo(b)
      const checks = await b.replica.logs.checks(a.log, 0, 600)
      const others = [a.frontier(), new Map([[a.log, 300]])]
      expect(await prune(b.replica, () => others)).toBe(1)
      expect(await b.rawKeys('l')).toHaveLength(300)
      expect(await prune(b.replica, () => others)).toBe(0)
      expect(await prune(b.replica, () => [a.frontier()])).toBe(1)
      expect(await b.rawKeys('l')).toEqual([])
      expect(await b.replica.logs.checks(a.log, 0, 600)).toEqual(checks)
      await b.reopen()
      expect(await b.replica.logs.checks(a.log, 0, 600)).toEqual(checks)
      for (const seq of [1, 255, 256, 257, 512, 513, 600]) {
        expect(await b.replica.logs.checkAt(a.log, seq)).toEqual(checks.slice((seq - 1) * 8, seq * 8))
      }
    })

    test('goes a portion at a time: what is written meanwhile gets in between', async () => {
      const letters = 'x'.repeat(CHANGES_AT_ONCE + 50)
      await a.add(...keystrokes(7, letters).map((each) => update('one', each)))
      await a.giveTo(b)
      const order: string[] = []
      await Promise.all([
        prune(b.replica, () => [a.frontier()]).then((logs) => order.push(`pruned ${logs}`)),
        b.add(update('two', keystrokes(8, 'y')[0]!)).then(() => order.push('written')),
      ])
      expect(order).toEqual(['written', 'pruned 1'])
      expect(await b.rawKeys('l')).toHaveLength(1)
    })

    test('ends with its portion when the store closes; what is left of it goes another time', async () => {
      const letters = 'x'.repeat(CHANGES_AT_ONCE + 50)
      await a.add(...keystrokes(7, letters).map((each) => update('one', each)))
      await a.giveTo(b)
      let closing: Promise<void> | undefined
      const pruning = prune(b.replica, () => {
        closing ??= b.replica.close().then(() => b.db.close())
        return [a.frontier()]
      })
      expect(await pruning).toBe(1)
      await closing
      await b.reopen(false)
      expect(await b.rawKeys('l')).toHaveLength(50)
      expect(b.replica.logs.get(a.log)).toMatchObject({ retainedFrom: CHANGES_AT_ONCE })
      expect(await prune(b.replica, () => [a.frontier()])).toBe(1)
      expect(await b.rawKeys('l')).toEqual([])
    })

    test('drops nothing that a device without a known frontier may need, up to a bound', async () => {
      await a.add(...keystrokes(7, 'x'.repeat(50)).map((each) => update('one', each)))
      expect(await prune(a.replica, () => [undefined])).toBe(0)
      expect(await prune(a.replica, () => [undefined], 20)).toBe(1)
      expect(await a.rawKeys('l')).toHaveLength(20)
    })

    test('what is gone is told as gone; what remains is given from any place, in the middle of a run too', async () => {
      await a.add(...keystrokes(7, 'x'.repeat(20)).map((each) => update('one', each)))
      const whole = await readChanges(a.replica, new Map([[a.log, 0]]), 1e9)
      await prune(a.replica, () => [new Map([[a.log, 7]])])
      expect((await readChanges(a.replica, new Map([[a.log, 6]]), 1e9)).pruned).toEqual([a.log])
      const rest = await readChanges(a.replica, new Map([[a.log, 7]]), 1e9)
      expect(rest.runs).toMatchObject([{ from: 7, signature: whole.runs[0]!.signature }])
      expect(rest.runs[0]!.changes).toHaveLength(13)
    })

    test('appending goes on behind pruned changes, and the new ones are given', async () => {
      await a.add(...keystrokes(7, 'abc').map((each) => update('one', each)))
      await a.giveTo(b)
      await prune(a.replica, () => [b.frontier()])
      await a.type('one', 'x')
      await a.giveTo(b)
      expect(await b.contents()).toEqual(await a.contents())
      expect(b.replica.logs.get(a.log)!.check).toEqual(checkOf(a.replica.logs.get(a.log)!.head))
    })
  })

  test('changes are given in the order in which they were taken in, whole runs, as much as fits', async () => {
    await a.create('one')
    await a.giveTo(b)
    await b.type('one', 'from b ')
    await b.giveTo(a)
    await a.type('one', 'from a ')
    const from = new Map([...a.frontier().keys()].map((log) => [log, 0]))
    const all = await readChanges(a.replica, from, 1e9)
    expect(all.runs.map(({ log, from: at }) => [log, at])).toEqual([
      [a.log, 0],
      [b.log, 0],
      [a.log, 1],
    ])
    expect(all).toMatchObject({ done: true, pruned: [], reached: a.frontier() })
    const some = await readChanges(a.replica, from, 1)
    expect(some.runs).toHaveLength(1)
    expect(some.done).toBe(false)
  })

  test('logs, cases, touched, parked, rows and counts are the same after closing and opening', async () => {
    await a.create('one', 'two', 'three')
    await a.add(update('archived', caseUpdate('archived', true)))
    await a.type('two', 'hello')
    await a.erase('three')
    const waiting = new TestLog(bench.practice, bench.member(), bench.random)
    waiting.add(change({ caseId: 'one', kind: KIND_UPDATE, payload: payload(keystrokes(9, 'abc')[2]!) }))
    await a.replica.admit([waiting.opening], [waiting.run()], waiting.keys.ed)
    await prune(a.replica, () => [new Map([[a.log, 2]])])
    const before = await a.held()
    expect(before).toMatchObject({ counts: { total: 3, archived: 1, deleted: 0 } })
    for (const clean of [true, false, true]) {
      await a.reopen(clean)
      expect(await a.held()).toEqual(before)
    }
  })
}
