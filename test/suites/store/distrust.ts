import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { setArchived, setDeleted } from '../../../src/cases/edit.js'
import { nodeNatives } from '../../../src/node/natives.js'
import { toHex } from '../../../src/protocol/bytes.js'
import { MAX_CASE_BYTES, MAX_CHANGE_BYTES } from '../../../src/protocol/limits.js'
import { KIND_TOMBSTONE } from '../../../src/protocol/log.js'
import { encodePayload } from '../../../src/protocol/payload.js'
import { distrust, opensAnything, sayAgain } from '../../../src/store/distrust.js'
import { readDoubts } from '../../../src/store/doubts.js'
import { cutLog, restateUnclaimed, settleDoubts } from '../../../src/store/healing.js'
import { keys } from '../../../src/store/keyspace.js'
import { prune } from '../../../src/store/pruning.js'
import { notGiven, readCases, readItems } from '../../../src/store/reading.js'
import { STORE_VERSION } from '../../../src/store/replica.js'
import { SealedDb } from '../../../src/store/sealed-db.js'
import { takeLoose } from '../../../src/store/transfers.js'
import { change, TestLog } from '../../support/logs.js'
import { Bench, type CreateDb, type Device } from './bench.js'

const ROUNDS = 12

/** [H4] Rows are missing, and nobody knows which. */
export function distrustSuite(createDb: CreateDb): void {
  describe('[H4] a store that may have lost rows', () => {
    let bench: Bench
    let a: Device
    let b: Device
    beforeEach(async () => {
      bench = new Bench(createDb, 12)
      a = await bench.device()
      b = await bench.device()
      await a.create('one', 'two', 'three')
      await a.giveTo(b)
      await b.create('mine')
      await b.giveTo(a)
    })
    afterEach(() => bench.stop())

    /** As a start does that finds its files damaged. */
    async function start(device: Device, hasOthers = true, isKilled = false) {
      const { db, dataKey } = device
      const sealed = new SealedDb({ db, natives: nodeNatives, dataKey, random: (n) => bench.random.bytes(n) })
      const sifted = await distrust(sealed, nodeNatives, STORE_VERSION, hasOthers)
      await device.open()
      if (!isKilled) await sayAgain(device.replica, sifted)
      return sifted
    }

    /** What two sessions do until neither has more to give. */
    async function meet(): Promise<void> {
      for (let round = 0; round < 3; round++) {
        for (const [from, to] of [
          [a, b],
          [b, a],
        ] as const) {
          await from.transferTo(to)
          await settleDoubts(to.replica)
          await takeLoose(to.replica, await readCases(from.replica, [...to.replica.damaged.values()]))
        }
        for (const device of [a, b]) await restateUnclaimed(device.replica)
      }
    }

    async function expectSame(): Promise<void> {
      expect(await b.contents()).toEqual(await a.contents())
      expect(b.replica.digest()).toEqual(a.replica.digest())
      for (const { replica } of [a, b]) {
        expect(replica.damaged.size).toBe(0)
        expect(replica.meta.unclaimed).toBe(false)
        expect(await readDoubts(replica)).toEqual([])
      }
    }

    test('claims nothing, and has everything again after it met another device', async () => {
      await start(b)
      expect([...b.replica.logs.all()].map(({ seq }) => seq)).toEqual([0, 0])
      expect(Object.keys(await b.contents()).sort()).toEqual(['mine', 'one', 'three', 'two'])
      await meet()
      await expectSame()
    })

    test('which rows those are doesn’t matter: of no kind does one that has rotted stop the start', async () => {
      for (const letter of 'cdfhlmpsuxyb') {
        for (const key of await b.rawKeys(letter)) await b.damage(key)
        await start(b)
        await meet()
        expect(await b.contents()).toEqual(await a.contents())
      }
    })

    test('may be repeated', async () => {
      await start(b)
      await start(b)
      await meet()
      await expectSame()
    })

    test('is killed, and still claims nothing', async () => {
      await start(b)
      await b.reopen(false)
      expect(b.replica.meta).toMatchObject({ unclaimed: true, running: true, total: 4 })
      await meet()
      await expectSame()
    })

    test('starts also where the row of the log that it wrote last is gone', async () => {
      await b.rawDelete(keys.log(b.log))
      await start(b)
      await meet()
      await expectSame()
    })

    test('keeps the parts of a case whose row is gone: who knows which case that is may make something of them', async () => {
      const parts = async () =>
        (await b.rawKeys('p')).filter((key) => toHex(key).includes(toHex(b.key('one'))))
      await prune(b.replica, () => [], 0)
      const before = await parts()
      await b.rawDelete(keys.case(b.key('one')))
      for (let time = 0; time < 2; time++) {
        expect((await start(b)).brokenCases).toBe(1)
        expect(await parts()).toEqual(before)
        expect([...b.replica.damaged.values()]).toEqual([b.key('one')])
      }
      await meet()
      await expectSame()
      expect(b.replica.meta).toMatchObject({ total: 4, archived: 0, deleted: 0 })
    })

    test('what was counted otherwise than it comes back stops nothing', async () => {
      await prune(b.replica, () => [], 0)
      for (const key of await b.rawKeys('c')) await b.rawDelete(key)
      await a.replica.docs.edit('one', (doc) => setArchived(doc, true))
      await a.replica.docs.edit('two', (doc) => setDeleted(doc, nodeNatives.sha256))
      await start(b)
      await meet()
      await expectSame()
    })

    test.each([false, true])(
      'says again what it retains of a case that was damaged before, though all that is counted of it can be read (killed: %s)',
      async (isKilled) => {
        const own = async () => (await b.rawKeys()).filter((key) => toHex(key).includes(toHex(b.key('one'))))
        const before = await Promise.all(
          (await own()).map(async (key) => [key, await b.rawGet(key)] as const),
        )
        await b.type('one', 'mine alone ')
        for (const key of await own()) await b.rawDelete(key)
        for (const [key, value] of before) await b.rawPut(key, value)
        await b.sealed.write([{ key: keys.damaged(), value: b.key('one') }])
        if (isKilled) await start(b, true, isKilled)
        await start(b)
        await meet()
        await expectSame()
        expect(await a.contents()).toMatchObject({ one: { text: 'mine alone ' } })
      },
    )

    test('says it again also where the mark is gone, and only what was put together of the case is left', async () => {
      await b.type('one', 'mine alone ')
      const own = (await b.rawKeys()).filter((key) => toHex(key).includes(toHex(b.key('one'))))
      for (const key of own) await b.damage(key)
      await b.reopen()
      await a.type('one', 'theirs ')
      await a.giveTo(b)
      expect(b.replica.damaged.size).toBe(1)
      await b.rawDelete(keys.damaged())
      await start(b)
      await meet()
      await expectSame()
      expect(JSON.stringify(await a.contents())).toContain('mine alone ')
    })

    test.each([false, true])(
      'tells what was said before not to be whole here, once it is (what says so has rotted: %s)',
      async (isRotten) => {
        for (const { replica } of [a, b]) await prune(replica, () => [], 0)
        const [first] = (await b.rawKeys('p')).filter((key) => toHex(key).includes(toHex(b.key('one'))))
        await b.damage(first!)
        await readItems(b.replica, new Uint8Array(0), new Map(), 1e9)
        expect(await notGiven(b.replica, [b.key('one'), b.key('two')])).toMatchObject({
          missing: [b.key('one')],
        })
        if (isRotten) await b.damage(keys.told(b.key('one')))
        for (let at = 0; at < 2; at++) await start(b)
        await a.transferTo(b)
        await settleDoubts(b.replica)
        const held = b.frontier()
        const items = await readCases(a.replica, [b.key('one')])
        await takeLoose(b.replica, items, [], new Map(), () => held)
        expect(b.replica.damaged.size).toBe(0)
        b.replica.meta = { ...b.replica.meta, unclaimed: true }
        expect(await restateUnclaimed(b.replica)).toBe(1)
        expect(await b.rawKeys('a')).toEqual([])
      },
    )

    test('leaves its log: what it lost of it is never written twice', async () => {
      const log = b.log
      await start(b)
      await b.type('mine', 'x')
      expect(b.log).not.toBe(log)
    })

    test('what only it has is restated, though no other device ever heard of it', async () => {
      await b.type('mine', 'unheard ')
      await b.create('unheard of')
      await start(b)
      await meet()
      await expectSame()
      expect(await a.contents()).toMatchObject({ mine: { text: 'unheard ' }, 'unheard of': {} })
    })

    test('changes that only it has are said again where their case is not whole any more', async () => {
      await b.type('one', 'mine alone ')
      const [part] = (await b.rawKeys('p')).filter((key) => toHex(key).includes(toHex(b.key('one'))))
      await b.rawDelete(part!)
      await start(b)
      await meet()
      await expectSame()
      expect(await a.contents()).toMatchObject({ one: { text: 'mine alone ' } })
    })

    test('the same of a case that is full, by what is counted of its lost parts', async () => {
      await b.type('one', 'mine alone ')
      b.replica.cases.recentState(b.key('one'))!.parts[0]!.bytes = MAX_CASE_BYTES
      await a.type('one', 'theirs ')
      await a.giveTo(b)
      const parts = (await b.rawKeys('p')).filter((key) => toHex(key).includes(toHex(b.key('one'))))
      for (const part of parts) await b.rawDelete(part)
      await start(b)
      await meet()
      await expectSame()
      expect(await a.contents()).toMatchObject({ one: { text: expect.stringContaining('mine alone ') } })
    })

    test('of changes that are void or erase, those that erase are said again, whatever stands in them', async () => {
      const log = new TestLog(bench.practice, bench.member(), bench.random)
      const long = encodePayload(nodeNatives, new Uint8Array(MAX_CHANGE_BYTES + 1))
      log.add(change({ caseId: 'gone', payload: long }))
      log.add(change({ caseId: 'gone', kind: KIND_TOMBSTONE, payload: Uint8Array.of(9) }))
      await b.replica.admit([log.opening], [log.run()], log.keys.ed)
      await b.rawDelete(keys.case(b.key('gone')))
      await start(b)
      await meet()
      await expectSame()
      expect(await a.contents()).toMatchObject({ gone: { erased: 1 } })
    })

    test('a cut that it knew of stands', async () => {
      const log = a.replica.logs.get(a.log)!
      const check = (await b.replica.logs.checkAt(a.log, 2))!
      await cutLog(b.replica, a.log, 2, check)
      await start(b)
      expect(b.replica.logs.get(log.log)?.cut).toEqual({ seq: 2, check })
    })

    test('another branch of a log than that of what it held shows as a doubt', async () => {
      await start(b)
      const doubts = await readDoubts(b.replica)
      expect(doubts.map(({ base }) => base)).toEqual([0, 0])
    })

    test(`any rows missing or unreadable, ${ROUNDS} times: it converges with the other, and nothing of theirs is lost`, async () => {
      for (let round = 0; round < ROUNDS; round++) {
        await a.type(bench.random.pick(['one', 'two', 'three']), `a${round} `)
        await a.create(`a${round}`)
        if (round % 2 === 0) await b.type('mine', `b${round} `)
        await meet()
        const before = await a.contents()
        const all = await b.rawKeys()
        for (let lost = bench.random.int(1, 4); lost > 0; lost--) {
          const key = bench.random.pick(all)
          if (!(await b.rawKeys()).some((there) => toHex(there) === toHex(key))) continue
          if (bench.random() < 0.5) await b.rawDelete(key)
          else await b.damage(key, bench.random.int(0, 4000))
        }
        await start(b)
        await meet()
        await expectSame()
        expect(Object.keys(await a.contents()).sort(), `round ${round}`).toEqual(Object.keys(before).sort())
        expect(await a.contents()).toEqual(before)
      }
    })

    test('without other devices claims stay, the log is left, and what is missing is named', async () => {
      const c = await bench.device({ hasOthers: () => false })
      await c.create('x', 'y')
      const [part] = (await c.rawKeys('p')).filter((key) => toHex(key).includes(toHex(c.key('x'))))
      await c.rawDelete(part!)
      const log = c.log
      const seq = c.seq()
      const sifted = await start(c, false)
      expect(sifted.brokenCases).toBe(1)
      expect(c.replica.damaged.size).toBe(1)
      expect(c.seq(log)).toBe(seq)
      await c.create('z')
      expect(c.log).not.toBe(log)
    })

    test('a wrong key is no damage', async () => {
      const wrong = new SealedDb({
        db: b.db,
        natives: nodeNatives,
        dataKey: bench.random.bytes(32),
        random: (n) => bench.random.bytes(n),
      })
      expect(await opensAnything(wrong)).toBe(false)
      expect(await opensAnything(b.sealed)).toBe(true)
    })
  })
}
