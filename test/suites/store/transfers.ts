import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { toHex } from '../../../src/protocol/bytes.js'
import type { Item } from '../../../src/protocol/sync.gen.js'
import { readDoubts } from '../../../src/store/doubts.js'
import { openStates } from '../../../src/store/outgoing.js'
import { prune } from '../../../src/store/pruning.js'
import { casesFrom, readCases, readChanges, readItems } from '../../../src/store/reading.js'
import { takeItem } from '../../../src/store/taking.js'
import { IncomingTransfer, readTransfer, takeLoose } from '../../../src/store/transfers.js'
import { Bench, type CreateDb, type Device, flipBit, keystrokes, update } from './bench.js'

/** Whole states, given, taken, and resumed from another sender. */
export function transfersSuite(createDb: CreateDb): void {
  describe('transfers', () => {
    let bench: Bench
    let a: Device
    let b: Device
    const ids = Array.from({ length: 12 }, (_, at) => `case-${at}`)
    beforeEach(async () => {
      bench = new Bench(createDb, 7)
      a = await bench.device()
      b = await bench.device()
      await a.create(...ids)
      await a.type('case-3', 'typed')
      await a.erase('case-4')
    })
    afterEach(() => bench.stop())

    test('[T3] bring every case, then the frontier; nothing is left unclaimed', async () => {
      expect(await a.transferTo(b)).toEqual([a.log])
      expect(b.replica.digest()).toEqual(a.replica.digest())
      expect(await b.contents()).toEqual(await a.contents())
      expect(b.replica.meta).toMatchObject({ unclaimed: false, total: a.replica.meta.total })
      expect(await readTransfer(b.replica)).toBeUndefined()
      expect(await readDoubts(b.replica)).toEqual([])
      const held = await b.held()
      await b.reopen()
      expect(await b.held()).toEqual(held)
    })

    test('bring the checks of every change, so that forks show for ever', async () => {
      await a.transferTo(b)
      const length = a.seq()
      expect(await b.replica.logs.checks(a.log, 0, length)).toEqual(
        await a.replica.logs.checks(a.log, 0, length),
      )
      expect(await b.rawKeys('l')).toEqual([])
    })

    test('[S1] touched covers what was taken, in every case', async () => {
      await a.transferTo(b)
      for await (const state of casesFrom(a.replica, new Uint8Array(0))) {
        const taken = (await b.replica.caseState(state.key))!
        for (const [log, seq] of state.touched) expect(taken.touched.get(log)).toBeGreaterThanOrEqual(seq)
      }
    })

    test('[F1] claim nothing before the end; what was taken is unclaimed and in doubt until then', async () => {
      await a.transferTo(b, 5)
      expect(b.seq(a.log)).toBe(0)
      expect(b.replica.meta.unclaimed).toBe(true)
      expect(await readDoubts(b.replica)).toMatchObject([{ log: a.log, base: 0, seq: a.seq() }])
      await b.reopen(false)
      expect(b.seq(a.log)).toBe(0)
      expect(b.replica.meta.unclaimed).toBe(true)
      expect(Object.keys(await b.contents())).toHaveLength(5)
    })

    test('[T1] go on where they stopped, after a restart too', async () => {
      await a.transferTo(b, 5)
      await b.reopen(false)
      const { cursor } = (await readTransfer(b.replica))!
      expect(cursor).toEqual((await b.rawKeys('c')).at(-1)!.slice(1))
      await a.transferTo(b)
      expect(await b.contents()).toEqual(await a.contents())
      expect(b.replica.digest()).toEqual(a.replica.digest())
    })

    test('[T2] go on from another sender that holds less, and claim only what both hold', async () => {
      const c = await bench.device()
      await a.giveTo(c)
      const less = a.seq()
      await a.type('case-5', 'later ')
      await a.transferTo(b, 5)
      expect(await c.transferTo(b)).toEqual([a.log])
      expect(b.seq(a.log)).toBe(less)
      await a.giveTo(b)
      expect(await b.contents()).toEqual(await a.contents())
      expect(b.replica.digest()).toEqual(a.replica.digest())
    })

    test('[T2] go on from another sender that holds more, and claim only what the first one gave for', async () => {
      const c = await bench.device()
      await a.giveTo(c)
      await c.transferTo(b, 5)
      const less = c.seq(a.log)
      const [first] = await b.rawKeys('c')
      const id = Object.keys(await b.contents()).find(
        (each) => toHex(b.key(each)) === toHex(first!.slice(1)),
      )!
      await a.type(id, 'changed behind the cursor ')
      await a.transferTo(b)
      expect(b.seq(a.log)).toBe(less)
      await a.giveTo(b)
      expect(await b.contents()).toEqual(await a.contents())
    })

    test('[T2] a log that only one sender names is not claimed; its content stays, marked as unclaimed', async () => {
      const c = await bench.device()
      await a.giveTo(c)
      for (const id of ids) await c.type(id, 'from c ')
      await c.transferTo(b, 5)
      await a.transferTo(b)
      expect(b.seq(c.log)).toBe(0)
      expect(JSON.stringify(await b.contents())).toContain('from c')
      expect(b.replica.meta.unclaimed).toBe(true)
    })

    test('[T4] never advance my own current log', async () => {
      const mine = await bench.device()
      await mine.create('mine')
      await mine.giveTo(a)
      const seq = mine.seq()
      await a.transferTo(mine)
      expect(mine.seq()).toBe(seq)
      await mine.type('mine', 'goes on')
      expect(mine.seq()).toBe(seq + 1)
    })

    test('bring nothing that is known already, and lose nothing that is mine', async () => {
      await a.giveTo(b)
      await b.type('case-6', 'from b ')
      await a.type('case-6', 'from a ')
      await a.transferTo(b)
      await b.giveTo(a)
      expect(await b.contents()).toEqual(await a.contents())
      expect(JSON.stringify(await b.contents())).toMatch(/from b.*from a|from a.*from b/)
    })

    test('parked changes travel with their case, and go on when their base comes', async () => {
      const [c, d] = [await bench.device(), await bench.device()]
      await a.type('case-7', 'base')
      await a.giveTo(b)
      await b.type('case-7', 'on ')
      const { openings, runs } = await readChanges(b.replica, new Map([[b.log, 0]]), 1e9)
      await c.replica.admit(openings, runs, b.keys.ed)
      expect(await c.contents()).toMatchObject({ 'case-7': { text: '', parked: 1 } })
      await c.transferTo(d)
      expect(await d.contents()).toMatchObject({ 'case-7': { text: '', parked: 1 } })
      expect(d.seq(b.log)).toBe(1)
      await a.transferTo(d)
      expect(await d.contents()).toMatchObject({ 'case-7': { text: 'on base', parked: 0 } })
      await a.giveTo(c)
      expect(await c.contents()).toMatchObject({ 'case-7': { text: 'on base', parked: 0 } })
    })

    test('a target whose signature or checks don’t hold is not adopted', async () => {
      const opened = await openStates(a.replica, new Map())
      const [log] = opened.target
      const forged = [
        { ...log!, signature: flipBit(log!.signature, 3) },
        { ...log!, head: flipBit(log!.head, 3) },
        { ...log!, seq: log!.seq + 1 },
        { ...log!, check: flipBit(log!.check, 3) },
        { ...log!, head: new Uint8Array(0), signature: new Uint8Array(0) },
        { ...log!, from: log!.seq },
      ]
      for (const target of forged) {
        const device = await bench.device()
        const incoming = await a.begin(device, { ...opened, target: [target] })
        expect(await incoming.end([])).toEqual([])
        expect(device.seq(a.log)).toBe(0)
      }
      const whole = { log: a.log, from: 0, checks: await a.replica.logs.checks(a.log, 0, log!.seq) }
      const stretches = [
        [],
        [{ ...whole, log: 'ab'.repeat(16) }],
        [{ ...whole, from: 1 }],
        [{ ...whole, checks: whole.checks.subarray(8) }],
        [{ ...whole, checks: flipBit(whole.checks, whole.checks.length * 8 - 1) }],
      ]
      for (const given of stretches) {
        const device = await bench.device()
        const incoming = await IncomingTransfer.begin(device.replica, opened.target, opened.openings)
        await incoming.takeChecks(given)
        expect(await incoming.end([])).toEqual([])
        expect(device.seq(a.log)).toBe(0)
      }
    })

    test('a target of a stranger’s log is not adopted', async () => {
      const opened = await openStates(a.replica, new Map())
      bench.members.delete(toHex(a.keys.ed))
      const incoming = await a.begin(b, opened)
      expect(await incoming.end([])).toEqual([])
    })

    test('cases the sender could not read are marked, and stay so after reopening', async () => {
      const opened = await openStates(a.replica, new Map())
      const incoming = await a.begin(b, opened)
      await incoming.end([a.key('case-2'), new Uint8Array(3)])
      expect([...b.replica.damaged.keys()]).toEqual([toHex(a.key('case-2'))])
      await b.reopen()
      expect([...b.replica.damaged.keys()]).toEqual([toHex(a.key('case-2'))])
    })

    test('early cases and cases asked for don’t move the cursor; what lies beyond is unclaimed', async () => {
      const opened = await openStates(a.replica, new Map())
      const incoming = await a.begin(b, opened)
      await a.type('case-8', 'meanwhile ')
      const { items } = await readItems(a.replica, new Uint8Array(0), new Map(), 1e9)
      await incoming.take(items.slice(8, 9), true)
      expect(incoming.cursor).toHaveLength(0)
      await incoming.take(items, false)
      await incoming.end([])
      expect(b.replica.meta.unclaimed).toBe(true)
      const c = await bench.device()
      await takeLoose(c.replica, items)
      expect(c.replica.meta.unclaimed).toBe(true)
      expect(c.seq(a.log)).toBe(0)
      expect(await c.contents()).toEqual(await a.contents())
    })

    test('malformed items are left aside: another key, no id, an id too long', async () => {
      const { items } = await readItems(a.replica, new Uint8Array(0), new Map(), 1e9)
      const [item] = items
      expect(await takeItem(b.replica, { ...item!, key: flipBit(item!.key, 0) })).toBeUndefined()
      expect(await takeItem(b.replica, { ...item!, caseId: '' })).toBeUndefined()
      expect(await takeItem(b.replica, { ...item!, caseId: 'x'.repeat(201) })).toBeUndefined()
      expect(await takeItem(b.replica, { ...item!, key: item!.key.subarray(1) })).toBeUndefined()
    })

    describe('[S2] parts that no honest device sends', () => {
      /** The case as its sender has it, with more parts, and clocks that may lie. */
      async function itemWith(id: string, parts: Uint8Array[], clocks?: Item['clocks']): Promise<Item> {
        const [item] = await readCases(a.replica, [a.key(id)])
        return { ...item!, parts: [...item!.parts, ...parts], clocks: clocks ?? item!.clocks }
      }
      /** Raw-coded update that deletes everything client 7 may ever write. */
      const reaper = Uint8Array.of(0, 0, 1, 7, 1, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20)
      const junk = [Uint8Array.of(9, 9), Uint8Array.of(1, 255), Uint8Array.of(0, 255, 255)]

      test('that don’t decode are no content: the case is as without them, is served so, and takes changes', async () => {
        await takeLoose(b.replica, [await itemWith('case-3', junk)])
        const mine = { 'case-3': (await a.contents())['case-3'] }
        expect(await b.contents()).toEqual(mine)
        expect((await b.replica.openDoc('case-3')).getText('t').toString()).toBe('typed')
        b.replica.docs.release('case-3')
        await b.type('case-3', 'more ')
        await b.reopen()
        expect(await b.contents()).toMatchObject({ 'case-3': { text: 'more typed', parked: 0 } })
      })

      test('that delete what nobody has written yet wait, and erase no later edit', async () => {
        const c = await bench.device()
        await c.create('case-3')
        const item = await itemWith('case-3', [reaper])
        const later = keystrokes(7, 'later')
        for (const device of [b, c]) {
          await takeLoose(device.replica, [item])
          for (const each of later) await device.add(update('case-3', each))
          expect(await device.contents()).toMatchObject({
            'case-3': { text: expect.stringContaining('later') },
          })
          await device.reopen()
          const doc = await device.replica.openDoc('case-3')
          expect(doc.getText('t').toString()).toContain('later')
        }
      })

      test('nor in a document that was opened before anything else came', async () => {
        await takeLoose(b.replica, [await itemWith('case-3', [reaper])])
        const doc = await b.replica.openDoc('case-3')
        for (const each of keystrokes(7, 'later')) await b.add(update('case-3', each))
        expect(doc.getText('t').toString()).toContain('later')
      })

      test('clocks that lie neither park nor let in what the bytes decide otherwise', async () => {
        const lying = [{ client: 7, clock: 1000 }]
        const strokes = keystrokes(7, 'abc')
        await takeLoose(b.replica, [await itemWith('case-3', [], lying)])
        await b.add(update('case-3', strokes[2]!))
        expect(await b.contents()).toMatchObject({ 'case-3': { text: 'typed', parked: 1 } })
        await b.add(update('case-3', strokes[1]!), update('case-3', strokes[0]!))
        expect(await b.contents()).toMatchObject({
          'case-3': { text: expect.stringContaining('abc'), parked: 0 },
        })
      })
    })

    test('[F1] a log whose changes the sender has pruned is taken as states; then the frontiers are equal', async () => {
      await prune(a.replica, () => [a.frontier()])
      await a.type('case-1', 'after')
      await a.transferTo(b)
      expect(b.replica.digest()).toEqual(a.replica.digest())
      expect(await b.contents()).toEqual(await a.contents())
    })
  })
}
