import { describe, expect, test } from 'vitest'
import { type CreateWorld, Mailbox } from './bench.js'
import { withWorld } from './with-world.js'

/** What expiring gives where nothing fails. */
const all = (mails: number) => ({ mails, failed: false })
/** Rows of practices: everything but the mark. */
const practiceRows = (keys: Uint8Array[]) => keys.filter((key) => key[0] !== 'a'.charCodeAt(0))

export function goingSuite(create: CreateWorld): void {
  const { world } = withWorld(create)
  const mailbox = (seed: number, count?: number) => new Mailbox(world(), seed, count).begin()
  const text = (bytes: Uint8Array) => String.fromCharCode(...bytes)

  describe('mail that goes', () => {
    test('[B6] an acknowledgement releases its own rows, and the envelope goes with the last', async () => {
      const box = await mailbox(20)
      const mail = await box.put([1, 2])
      const other = await box.put([2])
      expect(await box.ack(1, [mail.id, other.id, box.random.bytes(16), mail.id])).toBe('ok')
      expect(await box.counts()).toEqual([0, 0, 2])
      expect((await box.inventory()).bytes).toBe(200)
      expect(await box.ack(2, [mail.id])).toBe('ok')
      expect(await box.ack(2, [mail.id])).toBe('ok')
      expect(await box.ids(2)).toEqual([other.id])
      expect((await box.inventory()).bytes).toBe(100)
      await box.ack(2, [other.id])
      expect(box.store.totals()).toEqual({ practices: 1, rows: 0, bytes: 0 })
      const letters = (await world().keys()).map((key) => String.fromCharCode(key[0]!)).sort()
      expect(letters).toEqual(['a', 'p', 'r', 's'])
    })

    test('CHECK tells which no longer wait', async () => {
      const box = await mailbox(21)
      const [a, b] = [await box.put([1]), await box.put([1, 2])]
      const unknown = box.random.bytes(16)
      await box.ack(1, [b.id])
      expect(await box.missing(1, [a.id, b.id, unknown])).toEqual([b.id, unknown])
      expect(await box.missing(2, [a.id, b.id])).toEqual([a.id])
    })

    test('[B7] a notice replaces the one before it, in one step with what is released', async () => {
      const box = await mailbox(22)
      const mail = await box.put([1])
      await box.ack(1, [], Uint8Array.of(1))
      await box.ack(2, [], Uint8Array.of(7))
      await box.ack(1, [mail.id], Uint8Array.of(2))
      await box.ack(1, [], new Uint8Array(0))
      const notices = (await box.store.notices(box.practice)) as { device: Uint8Array; sealed: Uint8Array }[]
      const sealed = [1, 2].map(
        (at) => notices.find(({ device }) => text(device) === text(box.devices[at]!))?.sealed,
      )
      expect(sealed).toEqual([Uint8Array.of(2), Uint8Array.of(7)])
      expect(notices).toHaveLength(2)
    })

    test('[B9] who leaves takes its mail and notice along; the last collector takes everything', async () => {
      const box = await mailbox(23)
      for (const at of [1, 2])
        expect(await box.store.beginCollecting(box.practice, box.devices[at]!)).toBe('ok')
      await box.put([1, 2])
      await box.put([0, 1])
      await box.ack(1, [], Uint8Array.of(1))
      await box.ack(2, [], Uint8Array.of(2))
      expect(await box.store.leave(box.practice, box.devices[1]!)).toBe('ok')
      expect(await box.counts()).toEqual([1, 0, 1])
      expect(await box.store.notices(box.practice)).toHaveLength(1)
      // Who has never been here may find the last copy.
      expect(await box.store.leave(box.practice, box.devices[2]!)).toBe('ok')
      expect(await box.counts()).toEqual([1, 0, 0])
      expect(await box.store.roster(box.practice)).toBeDefined()
      await box.store.beginCollecting(box.practice, box.devices[0]!)
      expect(await box.store.leave(box.practice, box.devices[0]!)).toBe('gone')
      expect(practiceRows(await world().keys())).toEqual([])
      expect(await box.store.roster(box.practice)).toBeUndefined()
      expect(box.store.totals()).toEqual({ practices: 0, rows: 0, bytes: 0 })
    })

    test('[B9] who leaves mail for others only takes the practice along when it expires', async () => {
      const box = await mailbox(30)
      await box.store.beginCollecting(box.practice, box.devices[1]!)
      await box.put([2], { at: 1000 })
      expect(await box.store.leave(box.practice, box.devices[1]!)).toBe('ok')
      await world().reopen()
      expect(await box.counts()).toEqual([0, 0, 1])
      const gone: Uint8Array[] = []
      expect(await box.store.expire(2000, (practice) => gone.push(practice))).toEqual(all(1))
      expect(gone).toEqual([box.practice])
      expect(practiceRows(await world().keys())).toEqual([])
      expect(box.store.totals()).toEqual({ practices: 0, rows: 0, bytes: 0 })
    })

    test('[B9] collecting is remembered over a restart, and only members collect', async () => {
      const box = await mailbox(24, 3)
      await box.store.beginCollecting(box.practice, box.devices[1]!)
      await box.store.beginCollecting(box.practice, box.devices[2]!)
      await box.store.beginCollecting(box.practice, box.random.bytes(32))
      await world().reopen()
      expect(await box.store.leave(box.practice, box.devices[1]!)).toBe('ok')
      expect(await box.store.leave(box.practice, box.devices[2]!)).toBe('gone')
    })

    test('expired mail goes, everybody’s, and nothing younger', async () => {
      const box = await mailbox(25)
      for (let i = 0; i < 3; i++) await box.put([1, 2], { at: 1000 + i })
      const young = await box.put([1], { at: 2000 })
      expect(await box.store.expire(1002)).toEqual(all(2))
      expect(await box.counts()).toEqual([0, 2, 1])
      expect(await box.store.expire(2000)).toEqual(all(1))
      expect(await box.ids(1)).toEqual([young.id])
      expect((await box.inventory()).bytes).toBe(100)
      expect(await box.store.expire(2000)).toEqual(all(0))
    })

    test('a mail is as old as its newest recipient, and no younger for being left again', async () => {
      const box = await mailbox(26)
      const id = box.random.bytes(16)
      await box.deposit({ id, to: [1], at: 1000 })
      await box.deposit({ id, to: [2], at: 9000 })
      await box.deposit({ id, to: [1, 2], at: 12_000 })
      expect(await box.store.expire(9000)).toEqual(all(0))
      await world().reopen()
      expect(await box.counts()).toEqual([0, 1, 1])
      expect(box.store.age).toBe(9000)
      expect(await box.store.expire(9001)).toEqual(all(1))
      expect(await box.counts()).toEqual([0, 0, 0])
      expect((await world().keys()).map(text).filter((key) => key.startsWith('e'))).toEqual([])
    })

    test('[B9] a practice goes that no member has visited for long, but not while anything waits', async () => {
      const [box, other] = [await mailbox(31), await mailbox(32)]
      await box.store.beginCollecting(box.practice, box.devices[1]!)
      await box.ack(1, [], Uint8Array.of(1))
      const day = 24 * 3_600_000
      await box.store.visited(box.practice, day)
      await other.store.visited(other.practice, 3 * day)
      // Of one that isn't known nothing is kept.
      await box.store.visited(box.random.bytes(32), day)
      await box.put([2], { at: 2 * day })
      await world().reopen()
      const gone: Uint8Array[] = []
      // A day is what later visits are not written down for.
      const expire = (visitedBefore: number) =>
        box.store.expire(visitedBefore + day, (practice) => gone.push(practice))
      expect(await expire(day)).toEqual(all(0))
      expect(gone).toEqual([])
      await box.store.visited(box.practice, 4 * day)
      await box.store.visited(box.practice, 4.5 * day)
      expect(await expire(3 * day)).toEqual(all(1))
      expect(gone).toEqual([])
      expect(await expire(4 * day)).toEqual(all(0))
      expect(gone).toEqual([other.practice])
      await world().reopen()
      expect(await box.store.roster(box.practice)).toBeDefined()
      expect(await expire(4 * day + 1)).toEqual(all(0))
      expect(gone).toEqual([other.practice, box.practice])
      expect(practiceRows(await world().keys())).toEqual([])
      expect(box.store.totals()).toEqual({ practices: 0, rows: 0, bytes: 0 })
    })

    test('[B9] practices of a store that knew of no visits are kept from its next start on', async () => {
      const box = await mailbox(33)
      await box.store.keepAge(5000)
      await world().reopen()
      const day = 24 * 3_600_000
      expect(await box.store.expire(day + 5000)).toEqual(all(0))
      expect(await box.store.roster(box.practice)).toBeDefined()
      await world().reopen()
      expect(await box.store.expire(day + 5001)).toEqual(all(0))
      expect(await box.store.roster(box.practice)).toBeUndefined()
    })

    test('the relay’s age is kept over a restart, and never less than at the newest mail', async () => {
      const box = await mailbox(29)
      await box.put([1], { at: 7000 })
      await world().reopen()
      expect(box.store.age).toBe(7000)
      expect(await box.store.keepAge(9000)).toBe('ok')
      await world().reopen()
      expect(box.store.age).toBe(9000)
    })

    test('practices share nothing but the disk', async () => {
      const [a, b] = [await mailbox(27), await mailbox(28)]
      const id = a.random.bytes(16)
      await a.deposit({ id, to: [1] })
      await b.deposit({ id, to: [1], envelope: Uint8Array.of(5) })
      await a.ack(1, [id])
      expect((await b.collect(1)).mails).toMatchObject([{ sequence: 1, envelope: Uint8Array.of(5) }])
      expect(await a.missing(1, [id])).toEqual([id])
      await a.store.leave(a.practice, a.devices[0]!)
      expect(await b.counts()).toEqual([0, 1, 0])
    })
  })
}
