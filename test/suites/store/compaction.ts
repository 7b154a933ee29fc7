import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import * as Y from 'yjs'
import { COMPACT_PARTS } from '../../../src/protocol/limits.js'
import {
  Bench,
  type CreateDb,
  caseUpdate,
  type Device,
  keystrokes,
  type SuiteOptions,
  update,
} from './bench.js'

/** Cases stay small and cheap however often they are edited. */
export function compactionSuite(createDb: CreateDb, { isSlow = false }: SuiteOptions = {}): void {
  const KEYSTROKES = isSlow ? 2_000 : 20_000
  describe('compaction', () => {
    let bench: Bench
    let a: Device
    beforeEach(async () => {
      bench = new Bench(createDb, 3)
      a = await bench.device({ hasOthers: () => false })
    })
    afterEach(() => bench.stop())

    /** Counts the bytes of parts that batches write. */
    function countParts(device: Device): { writes: number; bytes: number } {
      const count = { writes: 0, bytes: 0 }
      const batch = device.db.batch.bind(device.db) as (...args: unknown[]) => Promise<void>
      const counting = (operations: { key: Uint8Array; value?: Uint8Array }[], options: unknown) => {
        for (const { key, value } of operations) {
          if (key[0] !== 'p'.charCodeAt(0) || !value) continue
          count.writes++
          count.bytes += value.length
        }
        return batch(operations, options)
      }
      Object.assign(device.db, { batch: counting })
      return count
    }

    test(`${KEYSTROKES} keystrokes leave few parts, small ones, with the whole text in them`, async () => {
      const base = caseUpdate('one')
      await a.add(update('one', base))
      const letters = Array.from({ length: KEYSTROKES }, (_, at) => 'abcdefgh '[at % 9]).join('')
      const strokes = keystrokes(77, letters, base)
      const written = countParts(a)
      for (let at = 0; at < strokes.length; at += 40) {
        await a.add(...strokes.slice(at, at + 40).map((each) => update('one', each)))
      }
      const state = (await a.replica.caseState(a.key('one')))!
      const bytes = state.parts.reduce((sum, part) => sum + part.bytes, 0)
      expect(state.parts.length).toBeLessThanOrEqual(COMPACT_PARTS + 1)
      expect(bytes).toBeLessThan(3 * KEYSTROKES)
      expect(await a.rawKeys('p')).toHaveLength(state.parts.length)
      expect(written.bytes).toBeLessThan(400 * KEYSTROKES)
      await a.reopen()
      expect(await a.contents()).toMatchObject({ one: { text: letters } })
    })

    test('one keystroke at a time: what is written for each stays small, on the average', async () => {
      await a.create('one')
      const doc = await a.replica.openDoc('one')
      const written = countParts(a)
      const text = doc.getText('t')
      for (let at = 0; at < 2000; at++) {
        const edit = a.replica.docs.edit('one', () => text.insert(text.length, 'x'))
        expect((await edit).outcome).toEqual({ ok: true })
      }
      a.replica.docs.release('one')
      expect(written.bytes / 2000).toBeLessThan(400)
      expect((await a.replica.caseState(a.key('one')))!.parts.length).toBeLessThanOrEqual(COMPACT_PARTS + 1)
      await a.reopen()
      expect(await a.contents()).toMatchObject({ one: { text: 'x'.repeat(2000) } })
    })

    test('content, conflicts and deletions are the same before and after', async () => {
      const [one, other] = [1, 2].map((clientID) => Object.assign(new Y.Doc(), { clientID }))
      const updates: Uint8Array[] = []
      for (const doc of [one!, other!])
        doc.on('update', (each: Uint8Array, origin: unknown) => origin !== 'theirs' && updates.push(each))
      for (let at = 0; at < 120; at++) {
        const doc = at % 3 ? one! : other!
        const text = doc.getText('t')
        if (at % 5 === 4 && text.length > 3) text.delete(1, 2)
        else text.insert(Math.floor(text.length / 2), `${at},`)
        if (at % 20 === 0) {
          Y.applyUpdate(one!, Y.encodeStateAsUpdate(other!), 'theirs')
          Y.applyUpdate(other!, Y.encodeStateAsUpdate(one!), 'theirs')
        }
      }
      const reference = new Y.Doc()
      for (const each of updates) Y.applyUpdate(reference, each)
      for (const each of updates) await a.add(update('one', each))
      expect((await a.replica.caseState(a.key('one')))!.parts.length).toBeLessThan(updates.length)
      expect(await a.contents()).toMatchObject({ one: { text: reference.getText('t').toString() } })
    })

    test('an edit after compaction goes on from the same clocks', async () => {
      for (const each of keystrokes(8, 'x'.repeat(100))) await a.add(update('one', each))
      await a.reopen()
      await a.type('one', 'y')
      await a.reopen()
      expect(await a.contents()).toMatchObject({ one: { text: `y${'x'.repeat(100)}`, parked: 0 } })
    })

    if (isSlow) return

    test('many large, well compressible changes to one case are refused before its state outgrows what can be read', async () => {
      const doc = Object.assign(new Y.Doc(), { clientID: 9 })
      const updates: Uint8Array[] = []
      doc.on('update', (each: Uint8Array) => updates.push(each))
      const page = 'a'.repeat(2_100_000)
      let length = 0
      for (let at = 0; at < COMPACT_PARTS + 3; at++) {
        doc.getText('t').insert(0, page)
        const outcome = await a.replica.append([update('one', updates.at(-1)!)])
        if (!outcome.ok) break
        length += page.length
      }
      await a.reopen()
      const opened = await a.replica.openDoc('one')
      expect(opened.getText('t').length).toBe(length)
    })
  })
}
