import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { nodeNatives } from '../../../src/node/natives.js'
import { utf8 } from '../../../src/protocol/bytes.js'
import { MAX_CASE_BYTES } from '../../../src/protocol/limits.js'
import { KIND_TOMBSTONE, KIND_UPDATE, type LogChange } from '../../../src/protocol/log.js'
import { encodePayload } from '../../../src/protocol/payload.js'
import { prune } from '../../../src/store/pruning.js'
import { change, TestLog } from '../../support/logs.js'
import { Bench, type CreateDb, caseUpdate, type Device, keystrokes } from './bench.js'

/** One character for each byte. */
function latin1(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return text
}

/** Erased for good: tombstones and generations. */
export function erasingSuite(createDb: CreateDb): void {
  describe('erasing for good', () => {
    let bench: Bench
    let a: Device
    let b: Device
    beforeEach(async () => {
      bench = new Bench(createDb, 2)
      a = await bench.device()
      b = await bench.device()
    })
    afterEach(() => bench.stop())

    const none = new Uint8Array(0)
    const content = (generation: number, bytes = caseUpdate('one')) =>
      ({ caseId: 'one', kind: KIND_UPDATE, update: bytes, generation }) as const

    /** Every stored value, opened, as text. */
    async function everything(device: Device): Promise<string> {
      const values = await Promise.all((await device.rawKeys()).map((key) => device.sealed.get(key)))
      return values.map((value) => latin1(value!)).join('\n')
    }

    test('takes a case’s content out of every key: its parts, its row, and, once pruned, the log', async () => {
      const secret = 'Zdzisława-Brzęczyszczykiewicz'
      await a.create('one', 'two')
      await a.type('one', secret)
      await a.type('two', 'stays')
      const latin = latin1(utf8(secret))
      expect(await everything(a)).toContain(latin)
      await a.erase('one')
      await prune(a.replica, () => [a.frontier()])
      expect(await everything(a)).not.toContain(latin)
      const key = a.key('one')
      for (const part of await a.rawKeys('p')) expect(part.subarray(1, 17)).not.toEqual(key)
      expect(await a.replica.caseState(key)).toMatchObject({
        erased: 1,
        generation: 1,
        parts: [],
        parked: [],
        row: '',
      })
      expect(a.replica.meta).toMatchObject({ total: 1, deleted: 0 })
    })

    test('is possible where others have filled the case', async () => {
      await a.create('one')
      a.replica.cases.recentState(a.key('one'))!.parts[0]!.bytes = MAX_CASE_BYTES
      expect(await a.replica.append([content(0)])).toMatchObject({ ok: false, code: 'case-full' })
      await a.erase('one')
      expect(await a.rawKeys('p')).toEqual([])
    })

    test('reaches other devices, and stays after reopening', async () => {
      await a.create('one')
      await a.giveTo(b)
      await a.erase('one')
      await a.giveTo(b)
      await b.reopen()
      expect(await b.contents()).toEqual(await a.contents())
      expect(await b.rawKeys('p')).toEqual([])
      expect(b.replica.meta.total).toBe(0)
    })

    test('empties a document that is open', async () => {
      await a.create('one')
      await a.giveTo(b)
      await b.replica.openDoc('one')
      await a.erase('one')
      await a.giveTo(b)
      expect(b.replica.docs.isOpen('one')).toBe(false)
      const doc = await b.replica.openDoc('one')
      expect(doc.share.size).toBe(0)
    })

    test('[A4] a late edit advances the frontier and its content is dropped', async () => {
      await a.create('one')
      await a.giveTo(b)
      await a.erase('one')
      await b.type('one', 'late')
      await b.giveTo(a)
      expect(a.seq(b.log)).toBe(1)
      expect(await a.rawKeys('p')).toEqual([])
      await a.giveTo(b)
      expect(await b.contents()).toEqual(await a.contents())
      expect(await b.rawKeys('p')).toEqual([])
    })

    test('a newer generation replaces what was there, and older content doesn’t come back', async () => {
      await a.create('one')
      await a.type('one', 'old ')
      await a.giveTo(b)
      await a.erase('one')
      await a.add(content(1, keystrokes(3, 'new').at(0)!))
      await b.type('one', 'older ')
      await b.giveTo(a)
      await a.giveTo(b)
      for (const device of [a, b])
        expect(await device.contents()).toMatchObject({ one: { text: 'n', generation: 1, erased: 1 } })
    })

    test('erasing an older generation again leaves a newer one alone', async () => {
      await a.create('one')
      await a.erase('one')
      await a.add(content(1))
      const before = await a.contents()
      await a.erase('one', 0)
      expect(await a.contents()).toEqual(before)
      await a.erase('one', 1)
      expect(await a.contents()).toMatchObject({ one: { generation: 2, erased: 2 } })
      expect(await a.rawKeys('p')).toEqual([])
    })

    test('appending goes into the case’s present generation unless another is named', async () => {
      await a.create('one')
      await a.erase('one')
      await a.type('one', 'again')
      await a.giveTo(b)
      expect(await b.contents()).toMatchObject({ one: { text: 'again', generation: 1 } })
    })

    test('[S2] tombstones, generations, late edits and parked changes give the same whatever their order', async () => {
      const letters = keystrokes(4, 'xyz')
      const made = (given: Partial<LogChange>) => change({ caseId: 'one', ...given })
      const coded = (bytes: Uint8Array) => encodePayload(nodeNatives, bytes)
      const changes = [
        made({ payload: coded(caseUpdate('one')) }),
        made({ kind: KIND_TOMBSTONE, payload: none }),
        made({ generation: 1, payload: coded(letters[0]!) }),
        made({ generation: 1, payload: coded(letters[1]!) }),
        made({ generation: 0, payload: coded(keystrokes(5, 'late')[0]!) }),
        made({ generation: 1, payload: coded(keystrokes(6, 'qq')[1]!) }),
        made({ kind: KIND_TOMBSTONE, generation: 0, payload: none }),
      ]
      const logs = changes.map((each) => new TestLog(bench.practice, bench.member(), bench.random).add(each))
      const results: unknown[] = []
      for (let seed = 0; seed < 12; seed++) {
        const device = await bench.device()
        const order = [...logs].sort(() => bench.random() - 0.5)
        for (const log of order) await device.replica.admit([log.opening], [log.run()], log.keys.ed)
        results.push([await device.contents(), device.replica.digest(), device.replica.meta.total])
      }
      for (const result of results) expect(result).toEqual(results[0])
      expect(results[0]).toMatchObject([{ one: { text: 'xy', generation: 1, erased: 1, parked: 1 } }, {}, 1])
    })

    test('reaches a device through whole states too, and a late case from a third doesn’t bring it back', async () => {
      const c = await bench.device()
      await a.create('one')
      await a.giveTo(c)
      await a.erase('one')
      await a.transferTo(b)
      expect(await b.contents()).toEqual(await a.contents())
      await c.type('one', 'late')
      await c.transferTo(b)
      expect(await b.contents()).toEqual(await a.contents())
      expect(await b.rawKeys('p')).toEqual([])
    })
  })
}
