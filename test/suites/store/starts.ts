import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { toHex } from '../../../src/protocol/bytes.js'
import { Bench, type CreateDb, type Device } from './bench.js'

/** Hex of the log before this device's current one. */
const beforeCurrent = ({ log, replica }: Device) => toHex(replica.logs.get(log)!.predecessor)

/** [S4] Whether a start may go on with its log. */
export function startsSuite(createDb: CreateDb): void {
  describe('[S4] starts', () => {
    let bench: Bench
    let a: Device
    let first: string
    beforeEach(async () => {
      bench = new Bench(createDb, 4)
      a = await bench.device()
      await a.create('one')
      first = a.log
    })
    afterEach(() => bench.stop())

    const logs = () => [...a.replica.logs.all()].length

    test('after a clean stop the log goes on', async () => {
      for (let start = 0; start < 3; start++) {
        await a.reopen()
        await a.type('one', 'x')
        expect(a.log).toBe(first)
      }
      expect(a.seq()).toBe(4)
      expect(logs()).toBe(1)
    })

    test('after an unclean one the first edit opens a new log, which names the old one', async () => {
      await a.reopen(false)
      expect(a.log).toBe(first)
      await a.type('one', 'x')
      expect(a.log).not.toBe(first)
      expect(beforeCurrent(a)).toBe(first)
      expect(a.seq()).toBe(1)
      await a.type('one', 'y')
      expect(a.seq()).toBe(2)
      expect(logs()).toBe(2)
    })

    test('an unclean start without an edit opens nothing, and the doubt stays for the next', async () => {
      await a.reopen(false)
      await a.reopen()
      expect(logs()).toBe(1)
      await a.type('one', 'x')
      expect(beforeCurrent(a)).toBe(first)
    })

    test('the mark is durable before the first change of a start is written', async () => {
      await a.reopen()
      const order: string[] = []
      const batch = a.db.batch.bind(a.db) as (...args: unknown[]) => Promise<void>
      const watching = async (operations: { key: Uint8Array }[], options?: { sync?: boolean }) => {
        await batch(operations, options)
        const letters = operations.map(({ key }) => String.fromCharCode(key[0]!)).join('')
        order.push(`${letters}${options?.sync ? '!' : ''}`)
      }
      Object.assign(a.db, { batch: watching })
      await a.type('one', 'x')
      const change = order.findIndex((letters) => letters.includes('l'))
      expect(change).toBeGreaterThan(0)
      expect(order.slice(0, change)).toEqual(['m', 'z!'])
      await a.type('one', 'y')
      expect(order.slice(change + 1)).toHaveLength(1)
    })

    test('reading alone sets no mark', async () => {
      await a.reopen()
      await a.contents()
      await a.reopen(false)
      await a.type('one', 'x')
      expect(a.log).toBe(first)
    })

    test('another binding (a copied disk, a moved folder) opens a new log, once', async () => {
      await a.reopen(true, { binding: 'elsewhere' })
      await a.type('one', 'x')
      const second = a.log
      expect(toHex(a.replica.logs.get(second)!.predecessor)).toBe(first)
      await a.reopen(true, { binding: 'elsewhere' })
      await a.type('one', 'y')
      expect(a.log).toBe(second)
      await a.reopen(true)
      await a.type('one', 'z')
      expect(a.log).not.toBe(second)
    })

    test('another binding after an unclean stop opens one new log, not one more at the next start', async () => {
      await a.reopen(false, { binding: 'elsewhere' })
      await a.type('one', 'x')
      const second = a.log
      expect(second).not.toBe(first)
      await a.reopen(true, { binding: 'elsewhere' })
      await a.type('one', 'y')
      expect(a.log).toBe(second)
    })

    test('a log that others know further is left at the next edit', async () => {
      a.replica.leaveLog()
      await a.type('one', 'x')
      expect(beforeCurrent(a)).toBe(first)
      await a.reopen()
      const second = a.log
      await a.type('one', 'y')
      expect(a.log).toBe(second)
    })

    test('that it must be left is remembered over a clean stop', async () => {
      await a.reopen()
      a.replica.leaveLog()
      await a.reopen()
      await a.type('one', 'x')
      expect(a.log).not.toBe(first)
    })

    test('that it must be left is remembered over an unclean stop once it is flushed', async () => {
      await a.reopen()
      a.replica.leaveLog()
      await a.replica.flush()
      await a.reopen(false)
      await a.type('one', 'x')
      expect(a.log).not.toBe(first)
    })

    test('so it is where that shows while something else is being written', async () => {
      const b = await bench.device()
      await b.type('two', 'of b')
      await a.reopen()
      const { db } = a.replica
      const write = db.write.bind(db)
      db.write = (writes) => {
        db.write = write
        a.replica.leaveLog()
        return write(writes)
      }
      await b.giveTo(a)
      await a.replica.flush()
      await a.reopen(false)
      await a.type('one', 'x')
      expect(a.log).not.toBe(first)
    })

    test('a device that was restored to an earlier state and stopped cleanly goes on; one that wasn’t doesn’t', async () => {
      await a.replica.flush()
      const rows = await Promise.all(
        (await a.rawKeys()).map(async (key) => [key, await a.rawGet(key)] as const),
      )
      await a.type('one', 'lost')
      await a.reopen()
      for (const key of await a.rawKeys()) await a.rawDelete(key)
      for (const [key, value] of rows) await a.rawPut(key, value)
      await a.db.close()
      await a.db.open()
      await a.open()
      expect(a.seq()).toBe(1)
      await a.type('one', 'again')
      expect(a.log).not.toBe(first)
    })
  })
}
