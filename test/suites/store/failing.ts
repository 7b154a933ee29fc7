import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openStates } from '../../../src/store/outgoing.js'
import { readChanges, readItems } from '../../../src/store/reading.js'
import { WriteFailedError } from '../../../src/store/sealed-db.js'
import { IncomingTransfer, takeLoose } from '../../../src/store/transfers.js'
import { Bench, type CreateDb, type Device } from './bench.js'

type Batch = (operations: unknown[], options?: { sync?: boolean }) => Promise<void>

/** Full and failing disks: what isn't written is nowhere, and nothing more is promised. */
export function failingSuite(createDb: CreateDb): void {
  describe('a disk that fails', () => {
    let bench: Bench
    let a: Device
    let b: Device
    let failing: 'writes' | 'flushes' | undefined
    beforeEach(async () => {
      bench = new Bench(createDb, 10)
      a = await bench.device()
      b = await bench.device()
      await a.create('one', 'two')
      await a.giveTo(b)
      await b.type('one', 'mine ')
      failing = undefined
      const batch = b.db.batch.bind(b.db) as Batch
      const faulty: Batch = async (operations, options) => {
        if (failing === (options?.sync ? 'flushes' : 'writes'))
          throw new Error('IO error: No space left on device')
        return batch(operations, options)
      }
      Object.assign(b.db, { batch: faulty })
    })
    afterEach(() => bench.stop())

    test('says so once and for all: nothing is written after a failed write, even if the disk recovers', async () => {
      failing = 'writes'
      await expect(b.replica.append([{ caseId: 'one', kind: 1, update: new Uint8Array(2) }])).rejects.toThrow(
        WriteFailedError,
      )
      expect(b.sealed.failed).toMatchObject({ full: true })
      failing = undefined
      const stored = (await b.rawKeys()).length
      await expect(b.create('three')).rejects.toThrow(WriteFailedError)
      await expect(b.statements.state()).rejects.toThrow(WriteFailedError)
      expect(await b.rawKeys()).toHaveLength(stored)
    })

    test('reading goes on', async () => {
      failing = 'writes'
      await expect(b.create('three')).rejects.toThrow(WriteFailedError)
      expect(Object.keys(await b.contents()).sort()).toEqual(['one', 'two'])
      expect((await readChanges(b.replica, new Map([[a.log, 0]]), 1e9)).runs).toHaveLength(1)
      expect((await readItems(b.replica, new Uint8Array(0), new Map(), 1e9)).items).toHaveLength(2)
    })

    /** What memory says must be what a fresh start reads from the disk. */
    async function expectMemoryAsStored(): Promise<void> {
      const memory = { held: await b.held(), statements: b.statements.wire() }
      await b.open()
      expect(memory).toEqual({ held: await b.held(), statements: b.statements.wire() })
    }

    test.each<[string, () => Promise<unknown>]>([
      ['my own change', () => b.create('three')],
      ['an edit of an open case', () => b.type('one', 'never ')],
      [
        'changes from another device',
        async () => {
          await a.type('one', 'theirs ')
          await a.giveTo(b)
        },
      ],
      ['a statement of mine', () => b.statements.state()],
      [
        'a statement of another device',
        async () => {
          await a.statements.state()
          await b.statements.admit(a.statements.wire())
        },
      ],
      [
        'a case that was asked for',
        async () => {
          await a.type('two', 'loose ')
          await takeLoose(b.replica, (await readItems(a.replica, new Uint8Array(0), new Map(), 1e9)).items)
        },
      ],
      [
        'a transfer that begins',
        async () => {
          await a.type('two', 'x')
          const { target, openings } = await openStates(a.replica, b.frontier())
          await IncomingTransfer.begin(b.replica, target, openings)
        },
      ],
    ])('memory is never ahead of the disk: %s', async (_name, work) => {
      failing = 'writes'
      await expect(work()).rejects.toThrow(WriteFailedError)
      await expectMemoryAsStored()
    })

    test('the cursor of a transfer is never ahead of what was written', async () => {
      await a.type('two', 'x')
      const before = b.seq(a.log)
      const { target, openings } = await openStates(a.replica, b.frontier())
      const incoming = await a.begin(b, { target, openings })
      const { items } = await readItems(a.replica, new Uint8Array(0), b.frontier(), 1e9)
      failing = 'writes'
      await expect(incoming.take(items, false)).rejects.toThrow(WriteFailedError)
      expect(incoming.cursor).toHaveLength(0)
      expect(await incoming.end([])).toEqual([])
      expect(b.seq(a.log)).toBe(before)
    })

    test('a transfer of which some could not be taken adopts nothing, and goes on before what is missing', async () => {
      await a.create('three', 'four')
      await a.type('two', 'x')
      const before = b.seq(a.log)
      const { target, openings } = await openStates(a.replica, b.frontier())
      const incoming = await a.begin(b, { target, openings })
      const { items } = await readItems(a.replica, new Uint8Array(0), b.frontier(), 1e9)
      const [first, ...rest] = items
      const { get, getMany, keys } = b.db
      // A disk that can't be read for a moment.
      const unreadable = async () => {
        throw new Error('IO error')
      }
      Object.assign(b.db, { get: unreadable, getMany: unreadable, keys: () => ({ all: unreadable }) })
      await expect(incoming.take([first!], false)).rejects.toThrow('IO error')
      Object.assign(b.db, { get, getMany, keys })
      await incoming.take(rest, false)
      expect(incoming.cursor).toHaveLength(0)
      expect(await incoming.end([])).toEqual([])
      expect(b.seq(a.log)).toBe(before)
      expect(b.replica.meta.unclaimed).toBe(true)
      await a.transferTo(b)
      expect(b.seq(a.log)).toBe(a.seq())
      expect(Object.keys(await b.contents()).sort()).toEqual(['four', 'one', 'three', 'two'])
    })

    test('an open document doesn’t keep what could not be stored', async () => {
      const doc = await b.replica.openDoc('one')
      await a.type('one', 'theirs ')
      failing = 'writes'
      await expect(a.giveTo(b)).rejects.toThrow(WriteFailedError)
      const now = b.replica.docs.isOpen('one') ? doc.getText('t').toString() : ''
      expect(now).not.toContain('theirs')
    })

    test('a flush that failed is never reported as done later', async () => {
      failing = 'flushes'
      await b.create('three')
      await expect(b.replica.flush()).rejects.toThrow(WriteFailedError)
      await expect(b.replica.flush()).rejects.toThrow(WriteFailedError)
      failing = undefined
      await expect(b.replica.flush()).rejects.toThrow(WriteFailedError)
    })

    test('everybody who waits for one failed flush hears of it', async () => {
      failing = 'flushes'
      await b.create('three')
      const waiting = await Promise.allSettled([b.replica.flush(), b.replica.flush(), b.replica.flush()])
      expect(waiting.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    })

    test('a flush covers a write that was still under way when an earlier flush began', async () => {
      let finish = () => {}
      const batch = b.db.batch.bind(b.db) as Batch
      const order: string[] = []
      const slow: Batch = async (operations, options) => {
        if (!options?.sync) await new Promise<void>((resolve) => (finish = resolve))
        await batch(operations, options)
        order.push(options?.sync ? 'flush' : 'write')
      }
      Object.assign(b.db, { batch: slow })
      const writing = b.sealed.write([{ key: Uint8Array.of(0x6e, 1), value: Uint8Array.of(1) }])
      await b.sealed.flush()
      finish()
      await writing
      await b.sealed.flush()
      expect(order).toEqual(['flush', 'write', 'flush'])
    })

    test('a flush beside a write takes nothing of it back: counts, current log and marks are those of the write', async () => {
      const batch = a.db.batch.bind(a.db) as Batch
      const flushes: Promise<void>[] = []
      const beside: Batch = (operations, options) => {
        const done = batch(operations, options)
        if (!options?.sync && flushes.length < 3) flushes.push(a.replica.flush())
        return done
      }
      await a.reopen(false)
      Object.assign(a.db, { batch: beside })
      await a.create('three', 'four')
      const { total, currentLog, order } = a.replica.meta
      await Promise.all(flushes)
      await a.reopen(false)
      expect(a.replica.meta).toMatchObject({ total, currentLog, order })
      expect(total).toBe(4)
    })

    test('a flush that waited for another one writes what is so then, not what was so when it was asked for', async () => {
      let release = () => {}
      const batch = a.db.batch.bind(a.db) as Batch
      const slow: Batch = async (operations, options) => {
        await batch(operations, options)
        if (options?.sync) await new Promise<void>((resolve) => (release = resolve))
      }
      await a.reopen()
      await a.type('one', 'x')
      Object.assign(a.db, { batch: slow })
      await a.create('three')
      const first = a.replica.flush()
      await a.create('four')
      const second = a.replica.flush()
      await a.create('five')
      const { total } = a.replica.meta
      let settled = false
      void Promise.allSettled([first, second]).then(() => {
        settled = true
      })
      while (!settled) {
        await new Promise((resolve) => setTimeout(resolve))
        release()
      }
      await Promise.all([first, second])
      Object.assign(a.db, { batch })
      await a.reopen(false)
      expect(a.replica.meta.total).toBe(total)
      expect(total).toBe(5)
    })

    test('a batch that failed halfway and comes back at the next start is harmless', async () => {
      await a.type('one', 'theirs ')
      const batch = b.db.batch.bind(b.db) as Batch
      const lying: Batch = async (operations, options) => {
        await batch(operations, options)
        throw new Error('IO error')
      }
      Object.assign(b.db, { batch: lying })
      await expect(a.giveTo(b)).rejects.toThrow(WriteFailedError)
      Object.assign(b.db, { batch })
      await b.db.close()
      await b.db.open()
      await b.open()
      await a.giveTo(b)
      await b.giveTo(a)
      expect(await b.contents()).toEqual(await a.contents())
      expect(b.replica.digest()).toEqual(a.replica.digest())
    })
  })
}
