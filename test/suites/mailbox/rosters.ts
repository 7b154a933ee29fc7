import { describe, expect, test } from 'vitest'
import { type CreateWorld, Mailbox } from './bench.js'
import { withWorld } from './with-world.js'

export function rostersSuite(create: CreateWorld): void {
  const { world } = withWorld(create)

  describe('rosters', () => {
    test('[B8] stand by compare-and-set: of two at once one stands', async () => {
      const box = new Mailbox(world(), 30)
      const outcomes = await Promise.all([
        box.adopt(box.devices, new Uint8Array(0)),
        box.adopt(box.devices.slice(1), new Uint8Array(0)),
      ])
      expect(outcomes.sort()).toEqual(['conflict', 'ok'])
      const [, head] = (await box.store.roster(box.practice)) as Uint8Array[]
      expect(head).toEqual(box.head)
      expect(await box.adopt(box.devices, box.random.bytes(32))).toBe('conflict')
      expect(await box.adopt(box.devices)).toBe('ok')
    })

    test('[B8] a device that is no member any more loses mail, notice and collecting in the same step', async () => {
      const box = await new Mailbox(world(), 31, 4).begin()
      for (const at of [1, 2]) await box.store.beginCollecting(box.practice, box.devices[at]!)
      const both = await box.put([1, 2, 3])
      await box.put([1])
      await box.ack(1, [], Uint8Array.of(1))
      expect(await box.adopt([box.devices[0]!, box.devices[3]!])).toBe('ok')
      expect(await box.counts()).toEqual([0, 0, 0, 1])
      expect((await box.inventory()).bytes).toBe(100)
      expect(await box.store.notices(box.practice)).toEqual([])
      expect(await box.ids(3)).toEqual([both.id])
      expect(await box.deposit({ to: [1] })).toEqual({ error: 'not-member' })
      await box.store.beginCollecting(box.practice, box.devices[3]!)
      expect(await box.store.leave(box.practice, box.devices[3]!)).toBe('gone')
    })

    test('[B8] are the same after a restart', async () => {
      const box = await new Mailbox(world(), 32).begin()
      const entries = await box.store.roster(box.practice)
      await world().reopen()
      expect(await box.store.roster(box.practice)).toEqual(entries)
      expect([...box.store.practices()]).toEqual([{ practice: box.practice, members: box.devices }])
      expect(await box.adopt(box.devices, box.random.bytes(32))).toBe('conflict')
      expect(await box.adopt(box.devices.slice(0, 2))).toBe('ok')
    })
  })
}
