import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fromHex, toHex } from '../../../src/protocol/bytes.js'
import { Bench, type CreateDb, type Device, flipBit } from './bench.js'

/** A device's word on what it holds. */
export function statementsSuite(createDb: CreateDb): void {
  describe('statements', () => {
    let bench: Bench
    let a: Device
    let b: Device
    beforeEach(async () => {
      bench = new Bench(createDb, 5)
      a = await bench.device()
      b = await bench.device()
      await a.create('one')
    })

    /** `a` as it was before it wrote anything, while `b` has heard a word of its. */
    async function restoredA(): Promise<Device> {
      await a.type('one', 'x')
      await a.statements.state()
      await b.statements.admit(a.statements.wire())
      const restored = await bench.device()
      Object.assign(restored, { keys: a.keys })
      await restored.open({ device: a.keys })
      return restored
    }
    afterEach(() => bench.stop())

    test('say what is held, carry a rising number, and travel', async () => {
      expect(await a.statements.state()).toBe(true)
      await a.type('one', 'x')
      expect(await a.statements.state()).toBe(true)
      expect(await b.statements.admit(a.statements.wire())).toBe(true)
      expect(b.statements.of(a.keys.ed)).toMatchObject({ counter: 2, frontier: new Map([[a.log, 2]]) })
      expect(b.statements.digest()).toEqual(a.statements.digest())
    })

    test('are not repeated while nothing changes, nor is one admitted twice', async () => {
      await a.statements.state()
      expect(await a.statements.state()).toBe(false)
      await b.statements.admit(a.statements.wire())
      expect(await b.statements.admit(a.statements.wire())).toBe(false)
    })

    test('the newest stands, not the largest: a restored device that says less is believed', async () => {
      const restored = await restoredA()
      // Its own former word comes back to it by gossip; its next one is newer.
      expect(await restored.statements.admit(b.statements.wire())).toBe(true)
      expect(await restored.statements.state()).toBe(true)
      expect(await b.statements.admit(restored.statements.wire())).toBe(true)
      expect(b.statements.of(a.keys.ed)).toMatchObject({ counter: 2, frontier: new Map() })
      expect(await b.statements.admit(a.statements.wire())).toBe(false)
    })

    test('two words of one number: whichever comes last, the next one has another number', async () => {
      const restored = await restoredA()
      await restored.create('two')
      await restored.statements.state()
      const own = restored.statements.wire()
      expect(own).toMatchObject([{ counter: 1 }])
      expect(await b.statements.admit(own)).toBe(false)
      // Its former word comes by way of another device, and then its own one again, as a relay still shows it.
      expect(await restored.statements.admit(b.statements.wire())).toBe(true)
      expect(await restored.statements.admit(own)).toBe(false)
      expect(await restored.statements.state()).toBe(true)
      expect(await b.statements.admit(restored.statements.wire())).toBe(true)
      expect(b.statements.of(a.keys.ed)).toMatchObject({ counter: 2 })
      expect(await restored.statements.state()).toBe(false)
    })

    test('survive closing and opening, with their numbers', async () => {
      await a.statements.state()
      await b.statements.admit(a.statements.wire())
      const digest = b.statements.digest()
      await a.reopen()
      await b.reopen()
      expect(b.statements.digest()).toEqual(digest)
      await a.type('one', 'x')
      await a.statements.state()
      expect(a.statements.of(a.keys.ed)).toMatchObject({ counter: 2 })
    })

    test('count only as signed by their device, a member, for this practice', async () => {
      await a.statements.state()
      const [word] = a.statements.wire()
      const forged = [
        { ...word!, signature: flipBit(word!.signature, 7) },
        { ...word!, counter: 9 },
        { ...word!, frontier: [{ ...word!.frontier[0]!, seq: 99 }] },
        { ...word!, frontier: [] },
        { ...word!, log: bench.random.bytes(16) },
        { ...word!, frontier: [{ ...word!.frontier[0]!, check: flipBit(word!.frontier[0]!.check, 3) }] },
        { ...word!, frontier: [{ ...word!.frontier[0]!, check: new Uint8Array(0) }] },
        { ...word!, unusable: [bench.random.bytes(16)] },
        { ...word!, unusable: [bench.random.bytes(15)] },
        { ...word!, unusable: Array.from({ length: 65 }, () => bench.random.bytes(16)) },
        { ...word!, device: b.keys.ed },
        { ...word!, device: new Uint8Array(5) },
        { ...word!, frontier: [{ ...word!.frontier[0]!, log: new Uint8Array(3) }] },
      ]
      expect(await b.statements.admit(forged)).toBe(false)
      const stranger = new Bench(createDb, 6)
      const c = await stranger.device()
      await c.statements.state()
      await c.create('two')
      await c.statements.state()
      expect(await b.statements.admit(c.statements.wire())).toBe(false)
      await stranger.stop()
      bench.members.delete(toHex(a.keys.ed))
      expect(await b.statements.admit(a.statements.wire())).toBe(false)
      expect(b.statements.wire()).toEqual([])
    })

    test('carry the check of every claim, by which another branch of a log shows', async () => {
      await a.statements.state()
      const [word] = a.statements.wire()
      const held = a.replica.logs.get(a.log)!
      expect(word!.frontier).toEqual([{ log: fromHex(a.log), seq: held.seq, check: held.check }])
    })

    test('name mail that was of no use, each once, the newest 64, also after a start', async () => {
      await a.statements.state()
      const ids = Array.from({ length: 70 }, () => bench.random.bytes(16))
      a.statements.noteUnusable(ids.slice(0, 2))
      a.statements.noteUnusable(ids.slice(1, 3))
      expect(await a.statements.state()).toBe(true)
      await b.statements.admit(a.statements.wire())
      expect(b.statements.of(a.keys.ed)?.unusable).toEqual(ids.slice(0, 3))
      expect(await a.statements.state()).toBe(false)
      await a.reopen()
      a.statements.noteUnusable(ids.slice(3))
      await a.statements.state()
      expect(await b.statements.admit(a.statements.wire())).toBe(true)
      expect(b.statements.of(a.keys.ed)?.unusable).toEqual(ids.slice(6))
    })

    test('their digest does not depend on the order in which they came', async () => {
      await a.statements.state()
      await b.create('two')
      await b.statements.state()
      const c = await bench.device()
      const d = await bench.device()
      await c.statements.admit([...a.statements.wire(), ...b.statements.wire()])
      await d.statements.admit([...b.statements.wire(), ...a.statements.wire()])
      expect(c.statements.digest()).toEqual(d.statements.digest())
      expect(c.statements.digest()).not.toEqual(a.statements.digest())
    })
  })
}
