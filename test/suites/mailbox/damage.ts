import { describe, expect, test } from 'vitest'
import { type CreateWorld, Mailbox } from './bench.js'
import { withWorld } from './with-world.js'

export function damageSuite(create: CreateWorld): void {
  const { world } = withWorld(create)

  describe('flipped bits', () => {
    test.each(['flip', 'remove'] as const)(
      'an envelope that is not what was deposited is never served: %s',
      async (change) => {
        const box = await new Mailbox(world(), 60).begin()
        const mails = [await box.put([1, 2]), await box.put([1])]
        expect(await world().damage('b', change)).toBe(true)
        const { mails: served } = await box.collect(1)
        expect(served).toHaveLength(1)
        const kept = mails.find(({ id }) => id.every((byte, at) => byte === served[0]!.id[at]))!
        const lost = mails.find((mail) => mail !== kept)!
        expect(await box.missing(1, [kept.id, lost.id])).toEqual([lost.id])
        expect((await box.inventory()).bytes).toBe(100)
        expect(world().lines.filter((line) => line.includes('damaged'))).toHaveLength(1)
        // Its sender offers it again.
        expect(await box.deposit({ id: lost.id, to: [1] })).toHaveProperty('sequence')
        expect((await box.collect(1)).mails).toHaveLength(2)
      },
    )

    test('the next mail is served where all before it are damaged', async () => {
      const box = await new Mailbox(world(), 61).begin()
      await box.put([1])
      expect(await world().damage('b', 'flip')).toBe(true)
      const next = await box.put([1])
      const batch = await box.collect(1, 0, { bytes: 1, mails: 1 })
      expect(batch.mails.map(({ id }) => id)).toEqual([next.id])
    })

    test('a mail whose size is damaged is served alone: it may be one of the largest', async () => {
      const box = await new Mailbox(world(), 63).begin()
      const [first, second] = [await box.put([1]), await box.put([1])]
      expect(await world().damage('w', 'flip')).toBe(true)
      const limits = { bytes: 150, mails: 10 }
      const batch = await box.collect(1, 0, limits)
      expect(batch.mails.map(({ id }) => id)).toEqual([first.id])
      expect((await box.collect(1, first.sequence, limits)).mails.map(({ id }) => id)).toEqual([second.id])
    })

    test.each(['m', 'w', 'e', 's', 'k', 'n', 'p', 'r'])(
      'a damaged row of kind %s leaves a sound store after a restart',
      async (letter) => {
        for (const change of ['flip', 'remove'] as const) {
          const box = await new Mailbox(world(), 62).begin()
          await box.store.beginCollecting(box.practice, box.devices[1]!)
          await box.ack(1, [], Uint8Array.of(1))
          for (let i = 0; i < 3; i++) await box.put([1, 2])
          expect(await world().damage(letter, change)).toBe(true)
          await world().reopen()
          const { bytes } = await box.inventory()
          const ids = await box.ids(1)
          expect(ids).toHaveLength(letter === 'm' ? 2 : 3)
          expect(bytes).toBe(100 * ids.length)
          expect(await box.counts()).toEqual([0, ids.length, ids.length])
          if (letter === 'p' || letter === 'r') {
            // Its devices show the roster again.
            box.head = new Uint8Array(0)
            expect(await box.adopt(box.devices)).toBe('ok')
          }
          expect(await box.put([1])).toMatchObject({ sequence: 4 })
          for (const at of [1, 2]) await box.ack(at, await box.ids(at))
          expect(await box.store.expire(2 ** 47)).toEqual({ mails: 0, failed: false })
          expect(box.store.totals()).toMatchObject({ rows: 0, bytes: 0 })
          const left = (await world().keys()).map((key) => String.fromCharCode(key[0]!))
          expect(left.filter((kind) => 'mbwe'.includes(kind))).toEqual([])
          await box.store.leave(box.practice, box.devices[1]!)
        }
      },
    )
  })
}
