import { describe, expect, test } from 'vitest'
import { type CreateWorld, Mailbox } from './bench.js'
import { withWorld } from './with-world.js'

export function incarnationSuite(create: CreateWorld): void {
  const { world } = withWorld(create)

  describe('the incarnation', () => {
    test('[B10] and everything else is the same after a restart', async () => {
      const box = await new Mailbox(world(), 40).begin()
      const { incarnation } = box.store
      expect(incarnation).toHaveLength(16)
      const gone = await box.put([1])
      await box.put([1, 2])
      await box.ack(1, [gone.id], Uint8Array.of(9))
      const before = [await box.inventory(), await box.collect(1), await box.store.notices(box.practice)]
      for (let start = 0; start < 3; start++) await world().reopen()
      expect(box.store.incarnation).toEqual(incarnation)
      expect([await box.inventory(), await box.collect(1), await box.store.notices(box.practice)]).toEqual(
        before,
      )
      expect(box.store.sequence(box.practice)).toBe(2)
      expect(await box.put([1])).toMatchObject({ sequence: 3 })
    })

    test('[B10] is another one when the database was restored from a copy', async () => {
      const box = await new Mailbox(world(), 41).begin()
      const { incarnation } = box.store
      const copy = await world().backup()
      const lost = await box.put([1])
      await copy.restoreDatabase()
      expect(box.store.incarnation).not.toEqual(incarnation)
      expect(await box.missing(1, [lost.id])).toEqual([lost.id])
      const restored = box.store.incarnation
      await world().reopen()
      expect(box.store.incarnation).toEqual(restored)
    })

    test('[B10] a copy of the whole folder is noticed as well', async () => {
      const box = await new Mailbox(world(), 42).begin()
      const { incarnation } = box.store
      const copy = await world().backup()
      await box.put([1])
      await copy.restoreAll()
      expect(box.store.incarnation).not.toEqual(incarnation)
    })
  })
}
