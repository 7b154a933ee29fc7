import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { toHex } from '../../../src/protocol/bytes.js'
import { UNKNOWN_LOG } from '../../../src/store/case-content.js'
import { readDoubts } from '../../../src/store/doubts.js'
import { fingerprints } from '../../../src/store/fingerprints.js'
import { cutLog } from '../../../src/store/healing.js'
import { keys } from '../../../src/store/keyspace.js'
import { openStates } from '../../../src/store/outgoing.js'
import { prune } from '../../../src/store/pruning.js'
import { casesFrom, readCases, readChanges, readItems } from '../../../src/store/reading.js'
import { DamagedError } from '../../../src/store/sealed-db.js'
import { readTransfer, takeLoose } from '../../../src/store/transfers.js'
import { Bench, type CreateDb, type Device, flipBit } from './bench.js'

const START = new Uint8Array(0)

/** Disks rot: nothing that was changed passes for what was written. */
export function damageSuite(createDb: CreateDb): void {
  describe('damage', () => {
    let bench: Bench
    let a: Device
    let b: Device
    beforeEach(async () => {
      bench = new Bench(createDb, 9)
      a = await bench.device()
      b = await bench.device()
      await a.create('one', 'two', 'three')
      await a.type('two', 'typed ')
      await a.giveTo(b)
    })
    afterEach(() => bench.stop())

    const partsOf = async (device: Device, caseId: string) =>
      (await device.rawKeys('p')).filter((key) => toHex(key.subarray(1, 17)) === toHex(device.key(caseId)))

    /** A store with a value of every kind. */
    async function everyKind(): Promise<Device> {
      const c = await bench.device()
      await b.create('late')
      await a.transferTo(c, 2)
      await b.giveTo(c)
      await c.create('own')
      await c.statements.state()
      await prune(c.replica, () => [new Map([[a.log, 2]])])
      await a.begin(c, { ...(await openStates(a.replica, new Map())), openings: [] })
      await c.replica.flush()
      const kinds = new Set((await c.rawKeys()).map((key) => String.fromCharCode(key[0]!)))
      expect([...kinds].sort().join('')).toBe('cdfhlmpsux')
      return c
    }

    test('any flipped bit of any stored value is detected', async () => {
      const c = await everyKind()
      for (const key of await c.rawKeys()) {
        const value = Uint8Array.from(await c.rawGet(key))
        // Every bit of the nonce, the tag and the ends, and a bit of every byte between them.
        for (let at = 0; at < value.length; at++) {
          const all = at < 26 || at >= value.length - 18
          for (const bit of all ? [0, 1, 2, 3, 4, 5, 6, 7] : [at & 7]) {
            await c.rawPut(key, flipBit(value, at * 8 + bit))
            await expect(c.sealed.get(key)).rejects.toThrow(DamagedError)
          }
        }
        await c.rawPut(key, value)
        expect(await c.sealed.get(key)).toBeDefined()
      }
    })

    test('values that are cut short, emptied, or grown are detected', async () => {
      const c = await everyKind()
      for (const key of await c.rawKeys()) {
        const value = Uint8Array.from(await c.rawGet(key))
        for (const wrong of [
          new Uint8Array(0),
          value.slice(0, 23),
          value.slice(0, 40),
          value.slice(0, -1),
          Uint8Array.of(...value, 0),
        ]) {
          await c.rawPut(key, wrong)
          await expect(c.sealed.get(key)).rejects.toThrow(DamagedError)
          await expect(c.sealed.getMany([key])).rejects.toThrow(DamagedError)
        }
        await c.rawPut(key, value)
      }
    })

    test('values put into each other’s places are detected', async () => {
      const c = await everyKind()
      const all = await c.rawKeys()
      for (let at = 1; at < all.length; at++) {
        const [one, other] = [all[at - 1]!, all[at]!]
        const [first, second] = [Uint8Array.from(await c.rawGet(one)), Uint8Array.from(await c.rawGet(other))]
        await c.rawPut(one, second)
        await c.rawPut(other, first)
        for (const key of [one, other]) await expect(c.sealed.get(key)).rejects.toThrow(DamagedError)
        await c.rawPut(one, first)
        await c.rawPut(other, second)
      }
    })

    test('another device’s value doesn’t open', async () => {
      const key = keys.case(a.key('one'))
      await b.rawPut(key, Uint8Array.from(await a.rawGet(key)))
      await expect(b.sealed.get(key)).rejects.toThrow(DamagedError)
    })

    test.each([
      ['m', 'opening'],
      ['f', 'opening'],
      ['x', 'resuming a transfer'],
      ['d', 'reading doubts'],
    ])('a damaged row of kind %s shows when %s, and nothing is made up', async (letter) => {
      const c = await everyKind()
      const [key] = await c.rawKeys(letter)
      if (!key) return
      await c.damage(key)
      const all = async () => {
        await c.open()
        await readTransfer(c.replica)
        await readDoubts(c.replica)
      }
      await expect(all()).rejects.toThrow(DamagedError)
    })

    test('a change that has rotted is given to nobody, and its log is named: it is to be had as whole states', async () => {
      const log = a.replica.logs.get(a.log)!
      const checks = await a.replica.logs.checks(a.log, 0, log.seq)
      await a.damage(keys.change(a.log, log.seq - 1))
      const read = await readChanges(a.replica, new Map([[a.log, log.retainedFrom]]), 1e9)
      expect(read.pruned).toEqual([a.log])
      expect(read.reached.get(a.log) ?? 0).toBeLessThan(log.seq - 1)
      const left = checks.slice()
      left.fill(0, (log.seq - 2) * 8, (log.seq - 1) * 8)
      expect(await a.replica.logs.checks(a.log, 0, log.seq)).toEqual(left)
      expect(await a.replica.logs.checkAt(a.log, log.seq - 1)).toBeUndefined()
      const c = await bench.device()
      await a.transferTo(c)
      expect(c.replica.digest()).toEqual(a.replica.digest())
    })

    test('while a case is damaged nothing that is retained goes on the word of others, at the next start neither', async () => {
      const { retainedFrom } = a.replica.logs.get(a.log)!
      const words = [new Map([[a.log, a.seq()]])]
      for (const part of await partsOf(a, 'one')) await a.damage(part)
      await readItems(a.replica, START, new Map(), 1e9)
      expect(await prune(a.replica, () => words)).toBe(0)
      await a.reopen(false)
      expect(await prune(a.replica, () => words)).toBe(0)
      expect(a.replica.logs.get(a.log)?.retainedFrom).toBe(retainedFrom)
      await takeLoose(a.replica, await readCases(b.replica, [a.key('one')]))
      expect(a.replica.damaged.size).toBe(0)
      expect(await prune(a.replica, () => words)).toBe(1)
    })

    test.each([
      ['is let go', true, () => prune(b.replica, () => [], 0)],
      ['is let go, though nobody has noticed', false, () => prune(b.replica, () => [], 0)],
      ['is held by all others by their own word', false, () => prune(b.replica, () => [b.frontier()])],
      ['is of a log that is cut', false, () => cutLog(b.replica, b.log, 0, new Uint8Array(8))],
    ])(
      'what is retained of a damaged case is put into what is left of it where it %s',
      async (_, isNoticed, go) => {
        await b.type('two', 'mine alone ')
        const { log } = b
        for (const key of [keys.case(b.key('two')), ...(await partsOf(b, 'two'))]) await b.damage(key)
        await b.reopen()
        if (isNoticed) await readItems(b.replica, START, new Map(), 1e9)
        await go()
        expect((await b.rawKeys('l')).filter((key) => toHex(key.subarray(1, 17)) === log)).toEqual([])
        await takeLoose(a.replica, await readCases(b.replica, [b.key('two')]))
        expect(await a.contents()).toMatchObject({ two: { text: 'mine alone typed ' } })
      },
    )

    test('checks that have rotted are unknown, and everything else goes on', async () => {
      const c = await everyKind()
      const [key] = await c.rawKeys('h')
      await c.damage(key!)
      for (const { log, seq } of c.replica.logs.all()) {
        const checks = await c.replica.logs.checks(log, 0, seq)
        expect(checks.slice(-8)).toEqual(c.replica.logs.get(log)!.check)
      }
      const d = await bench.device()
      await c.transferTo(d)
      expect(d.replica.digest()).toEqual(c.replica.digest())
    })

    test('a change that is gone from a log is noticed: what follows it is not given under another number', async () => {
      const [, second] = await b.rawKeys('l')
      await b.rawDelete(second!)
      await b.reopen()
      const c = await bench.device()
      const read = await readChanges(b.replica, new Map([[a.log, 0]]), 1e9).catch(() => undefined)
      for (const run of read?.runs ?? []) {
        const outcome = await c.replica.admit(read!.openings, [run], b.keys.ed)
        expect(outcome).toMatchObject({ gaps: [], forks: [], refused: [] })
      }
    })

    test('what only I hold of a damaged case comes back from my log when another copy heals it', async () => {
      await b.type('two', 'mine alone ')
      await b.damage(keys.case(b.key('two')))
      await b.reopen()
      await readItems(b.replica, START, new Map(), 1e9)
      await takeLoose(b.replica, await readCases(a.replica, [a.key('two')]))
      await b.giveTo(a)
      await a.giveTo(b)
      expect(a.replica.digest()).toEqual(b.replica.digest())
      expect(await a.contents()).toMatchObject({ two: { text: 'mine alone typed ' } })
      expect(await b.contents()).toEqual(await a.contents())
    })

    describe('a damaged case', () => {
      const kinds: [string, (device: Device) => Promise<void>][] = [
        ['whose row is damaged', (device) => device.damage(keys.case(device.key('two')))],
        ['whose part is damaged', async (device) => device.damage((await partsOf(device, 'two'))[0]!)],
        ['whose part is gone', async (device) => device.rawDelete((await partsOf(device, 'two'))[0]!)],
      ]

      describe.each(kinds)('%s', (_name, damage) => {
        beforeEach(async () => {
          for (let at = 0; at < 40; at++) await a.type('two', 'x')
          await a.giveTo(b)
          await damage(b)
          await b.reopen()
        })

        test('is never served: not in transfers, not when asked for', async () => {
          const read = await readItems(b.replica, START, new Map(), 1e9)
          expect(read.items.map(({ caseId }) => caseId).sort()).toEqual(['one', 'three'])
          expect(await readCases(b.replica, [b.key('two')])).toEqual([])
          expect([...b.replica.damaged.keys()]).toEqual([toHex(b.key('two'))])
        })

        test('shows in the fingerprints', async () => {
          const ids: string[] = []
          for await (const { caseId, fingerprint } of fingerprints(b.replica)) {
            if (fingerprint.some((byte) => byte !== 0)) ids.push(caseId)
          }
          expect(ids.sort()).toEqual(['one', 'three'])
          expect(b.replica.damaged.size).toBe(1)
        })

        test('does not open as an empty document', async () => {
          await expect(b.replica.openDoc('two')).rejects.toThrow()
        })

        test('[A4] does not block its author’s log: changes to it and to others are still taken', async () => {
          await a.type('two', 'more ')
          await a.type('one', 'after ')
          await a.giveTo(b)
          expect(b.seq(a.log)).toBe(a.seq())
          // What was taken in since makes it whole for nobody who doesn't know what is missing.
          for (const item of await readCases(b.replica, [b.key('two')])) {
            expect(item.touched.map(({ log }) => toHex(log))).toContain(UNKNOWN_LOG)
            await takeLoose(b.replica, [item])
          }
          expect(b.replica.damaged.size).toBe(1)
        })

        /** What a session does once the damage has shown: ask another device, and take what it has. */
        async function heal(): Promise<void> {
          await readItems(b.replica, START, new Map(), 1e9)
          await takeLoose(b.replica, await readCases(a.replica, [...b.replica.damaged.values()]))
        }

        test('is healed by another device’s copy', async () => {
          await heal()
          expect(b.replica.damaged.size).toBe(0)
          expect(await b.contents()).toEqual(await a.contents())
          await b.reopen()
          expect(b.replica.damaged.size).toBe(0)
          expect(await b.contents()).toEqual(await a.contents())
        })

        test('once healed, is counted once', async () => {
          await heal()
          expect(b.replica.meta).toMatchObject({ total: 3, archived: 0, deleted: 0 })
        })

        test('once healed, leaves no part of the damaged copy behind: erasing takes all of it', async () => {
          await heal()
          const states: number[] = []
          for await (const state of casesFrom(b.replica, START)) states.push(state.parts.length)
          expect(await b.rawKeys('p')).toHaveLength(states.reduce((sum, parts) => sum + parts, 0))
          await b.erase('two')
          expect(await partsOf(b, 'two')).toEqual([])
        })

        test('once the damage shows, it is remembered over a restart', async () => {
          await readItems(b.replica, START, new Map(), 1e9)
          await b.create('something')
          await b.reopen()
          await readItems(b.replica, START, new Map(), 1e9)
          expect([...b.replica.damaged.keys()]).toEqual([toHex(b.key('two'))])
        })
      })
    })
  })
}
