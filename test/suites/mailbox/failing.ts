import { describe, expect, test } from 'vitest'
import { type CreateWorld, Mailbox } from './bench.js'
import { withWorld } from './with-world.js'

const EIO = Object.assign(new Error('IO error: input/output error'), { code: 'LEVEL_IO_ERROR' })
const ENOSPC = Object.assign(new Error('IO error: No space left on device'), { code: 'LEVEL_IO_ERROR' })

export function failingSuite(create: CreateWorld): void {
  const { world } = withWorld(create)

  describe('a disk that refuses', () => {
    test.each([
      ['failed', EIO],
      ['full', ENOSPC],
    ] as const)(
      'answers "%s", loses nothing that was acknowledged, and goes on afterwards',
      async (code, error) => {
        const box = await new Mailbox(world(), 50).begin()
        await box.store.beginCollecting(box.practice, box.devices[1]!)
        const held = await box.put([1])
        world().break(error)
        const lost = Array.from({ length: 5 }, () => box.random.bytes(16))
        const outcomes = await Promise.all(lost.map((id) => box.deposit({ id, to: [1] })))
        for (const outcome of outcomes)
          expect(['full', 'failed']).toContain((outcome as { error: string }).error)
        expect(outcomes[0]).toEqual({ error: code })
        expect(['full', 'failed']).toContain(await box.ack(1, [held.id], Uint8Array.of(1)))
        expect(['full', 'failed']).toContain(await box.adopt(box.devices.slice(0, 2)))
        expect(await box.store.leave(box.practice, box.devices[1]!)).toBe('failed')
        expect(await box.store.expire(Number.MAX_SAFE_INTEGER / 2 ** 10)).toEqual({ mails: 0, failed: true })
        expect(box.store.sequence(box.practice)).toBe(1)
        world().mend()
        expect(await box.ids(1)).toEqual([held.id])
        expect(await box.store.notices(box.practice)).toEqual([])
        expect((await box.inventory()).bytes).toBe(100)
        // The same again, as a device that doesn't know the outcome does.
        for (const id of lost) expect(await box.deposit({ id, to: [1] })).toHaveProperty('sequence')
        expect(await box.ids(1)).toEqual([held.id, ...lost])
        expect(box.store.totals()).toEqual({ practices: 1, rows: 6, bytes: 600 })
        expect(world().lines.some((line) => line.includes("couldn't be written"))).toBe(true)
        await world().reopen()
        expect(await box.ids(1)).toEqual([held.id, ...lost])
      },
    )

    test('that could not be tidied once is tidied later, and lets the store close', async () => {
      const box = await new Mailbox(world(), 51).begin()
      const steps = async (count: number) => {
        for (let step = 0; step < count; step++) await box.store.tidy()
        return world().lines.filter((line) => line.includes("couldn't be tidied")).length
      }
      const { id } = await box.put([1])
      await box.ack(1, [id])
      world().break(EIO)
      const failed = await steps(10)
      // It says so once, not every second.
      expect(failed).toBeLessThanOrEqual(1)
      world().mend()
      // The first write after it opens the database anew.
      await box.deposit({ to: [1] })
      await box.put([1])
      expect(await steps(100)).toBe(failed)
      await world().reopen()
    })
  })
}
