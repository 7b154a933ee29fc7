import { describe, expect, test } from 'vitest'
import { type CreateWorld, Mailbox, QUOTA } from './bench.js'
import { withWorld } from './with-world.js'

export function depositsSuite(create: CreateWorld): void {
  const { world } = withWorld(create)
  const mailbox = (seed: number, count?: number) => new Mailbox(world(), seed, count).begin()

  describe('deposits', () => {
    test('[B5] come out in the order in which they went in, each for its recipients', async () => {
      const box = await mailbox(1)
      const first = await box.put([1])
      const second = await box.put([1, 2])
      const third = await box.put([2])
      expect(await box.ids(1)).toEqual([first.id, second.id])
      expect(await box.ids(2)).toEqual([second.id, third.id])
      expect([first, second, third].map(({ sequence }) => sequence)).toEqual([1, 2, 3])
      expect(box.store.sequence(box.practice)).toBe(3)
      expect((await box.collect(1, 1)).mails.map(({ sequence }) => sequence)).toEqual([2])
      expect((await box.collect(0)).mails).toEqual([])
    })

    test('[B5] a portion ends at its limits, and holds at least one whole mail', async () => {
      const box = await mailbox(2)
      for (let i = 0; i < 5; i++) await box.put([1])
      const sequences = async (after: number, bytes: number, mails: number) => {
        const batch = await box.collect(1, after, { bytes, mails })
        return { sequences: batch.mails.map(({ sequence }) => sequence), end: batch.end }
      }
      expect(await sequences(0, 250, 100)).toEqual({ sequences: [1, 2], end: false })
      expect(await sequences(0, 1, 100)).toEqual({ sequences: [1], end: false })
      expect(await sequences(2, 10_000, 2)).toEqual({ sequences: [3, 4], end: false })
      expect(await sequences(3, 200, 100)).toEqual({ sequences: [4, 5], end: true })
      expect(await sequences(5, 1, 1)).toEqual({ sequences: [], end: true })
    })

    test('who asks from beyond everything that there ever was hears everything', async () => {
      const box = await mailbox(3)
      const { id } = await box.put([1])
      expect((await box.collect(1, 77)).mails.map((mail) => mail.id)).toEqual([id])
    })

    test('hold what was deposited, bit by bit', async () => {
      const box = await mailbox(4)
      const envelope = box.random.bytes(5000)
      const { id } = await box.put([2], { envelope, from: 1 })
      const { mails } = await box.collect(2)
      expect(mails).toEqual([{ sequence: 1, id, depositor: box.devices[1], envelope }])
    })

    test('[B2] the same id again unites recipients, keeps the first envelope and counts once', async () => {
      const box = await mailbox(5)
      const id = box.random.bytes(16)
      const envelope = box.random.bytes(300)
      expect(await box.deposit({ id, to: [1], envelope })).toEqual({ sequence: 1, fresh: [box.devices[1]] })
      // An outcome that was unknown: the same again.
      expect(await box.deposit({ id, to: [1], envelope })).toEqual({ sequence: 1, fresh: [] })
      const other = await box.deposit({ id, to: [1, 2], from: 1, envelope: box.random.bytes(700) })
      expect(other).toEqual({ sequence: 2, fresh: [box.devices[2]] })
      for (const [at, sequence] of [
        [1, 1],
        [2, 2],
      ] as const)
        expect((await box.collect(at)).mails).toEqual([{ sequence, id, depositor: box.devices[0], envelope }])
      expect((await box.inventory()).bytes).toBe(300)
      expect(box.store.totals()).toMatchObject({ rows: 2, bytes: 300 })
    })

    test('[B2] an id that was acknowledged is new when it comes again', async () => {
      const box = await mailbox(6)
      const { id } = await box.put([1])
      await box.ack(1, [id])
      expect(await box.deposit({ id, to: [1] })).toEqual({ sequence: 2, fresh: [box.devices[1]] })
    })

    test('[B3] only members deposit, and only for members', async () => {
      const box = await mailbox(7, 4)
      await box.adopt(box.devices.slice(0, 3))
      expect(await box.deposit({ to: [3] })).toEqual({ error: 'not-member' })
      expect(await box.deposit({ to: [1, 3] })).toEqual({ error: 'not-member' })
      expect(await box.deposit({ from: 3, to: [1] })).toEqual({ error: 'not-member' })
      expect(await box.deposit({ to: [] })).toEqual({ error: 'not-member' })
      expect(await box.counts()).toEqual([0, 0, 0, 0])
      expect(box.store.sequence(box.practice)).toBe(0)
    })

    test('[B11] the quota is exact, and what is known already always fits', async () => {
      const box = await mailbox(8)
      const id = box.random.bytes(16)
      expect(await box.deposit({ id, to: [1], envelope: new Uint8Array(QUOTA - 100) })).toMatchObject({
        sequence: 1,
      })
      expect(await box.deposit({ to: [1], envelope: new Uint8Array(101) })).toEqual({ error: 'full' })
      expect(await box.deposit({ to: [1], envelope: new Uint8Array(100) })).toMatchObject({ sequence: 2 })
      expect(await box.deposit({ to: [1], envelope: new Uint8Array(1) })).toEqual({ error: 'full' })
      expect(await box.deposit({ id, to: [2], envelope: new Uint8Array(QUOTA - 100) })).toMatchObject({
        sequence: 3,
      })
      await box.ack(1, [id])
      expect(await box.deposit({ to: [1], envelope: new Uint8Array(1) })).toEqual({ error: 'full' })
      await box.ack(2, [id])
      expect(await box.deposit({ to: [1], envelope: new Uint8Array(QUOTA - 100) })).toMatchObject({
        sequence: 4,
      })
      expect((await box.inventory()).bytes).toBe(QUOTA)
    })

    test('[B11] the quota holds among deposits that come at once', async () => {
      const box = await mailbox(9)
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, () => box.deposit({ to: [1], envelope: new Uint8Array(1000) })),
      )
      expect(outcomes.filter((outcome) => 'sequence' in outcome)).toHaveLength(10)
      expect((await box.inventory()).bytes).toBe(10_000)
    })

    test('[B11] the inventory is what is held: rows, bytes, the oldest', async () => {
      const box = await mailbox(10)
      await box.put([1, 2], { envelope: new Uint8Array(10), at: 500 })
      await box.put([1], { envelope: new Uint8Array(20), at: 400 })
      const { waiting, bytes } = await box.inventory()
      expect(bytes).toBe(30)
      const of = (at: number) =>
        waiting.find(({ recipient }) => recipient.every((b, i) => b === box.devices[at]![i]))
      expect(of(1)).toMatchObject({ count: 2, bytes: 30, oldest: 400 })
      expect(of(2)).toMatchObject({ count: 1, bytes: 10, oldest: 500 })
      expect(waiting).toHaveLength(2)
    })

    test('[B4] what a deposit replaces goes with it, for the recipients that it names', async () => {
      const box = await mailbox(11)
      const old = await box.put([1, 2], { envelope: new Uint8Array(50) })
      const other = await box.put([1], { from: 2 })
      const unknown = box.random.bytes(16)
      const next = await box.put([1], {
        replaces: [old.id, other.id, unknown, old.id],
        envelope: new Uint8Array(60),
      })
      // Of another depositor: it stays.
      expect(await box.ids(1)).toEqual([other.id, next.id])
      expect(await box.ids(2)).toEqual([old.id])
      const last = await box.put([1, 2], { replaces: [old.id, next.id], envelope: new Uint8Array(70) })
      expect(await box.ids(1)).toEqual([other.id, last.id])
      expect(await box.ids(2)).toEqual([last.id])
      expect((await box.inventory()).bytes).toBe(170)
    })

    test('[B4] a full mailbox replaces what makes room, and nothing is lost where it does not', async () => {
      const box = await mailbox(12)
      const old = await box.put([1], { envelope: new Uint8Array(QUOTA) })
      const small = { to: [1], envelope: new Uint8Array(QUOTA), replaces: [box.random.bytes(16)] }
      expect(await box.deposit(small)).toEqual({ error: 'full' })
      expect(await box.ids(1)).toEqual([old.id])
      expect(await box.deposit({ ...small, replaces: [old.id] })).toMatchObject({ sequence: 2 })
      expect((await box.inventory()).bytes).toBe(QUOTA)
    })

    test('many at once are all there, once each, in the order of their answers', async () => {
      const box = await mailbox(13)
      const answers: number[] = []
      const ids = await Promise.all(
        Array.from({ length: 200 }, async (_, at) => {
          const id = box.random.bytes(16)
          // Every tenth says it twice.
          for (let time = 0; time < (at % 10 === 0 ? 2 : 1); time++) {
            const outcome = await box.deposit({ id, to: [1], envelope: new Uint8Array(10) })
            if ('error' in outcome) throw new Error(outcome.error)
            if (outcome.fresh.length > 0) answers.push(outcome.sequence)
          }
          return id
        }),
      )
      const { mails } = await box.collect(1)
      expect(mails).toHaveLength(ids.length)
      expect(mails.map(({ sequence }) => sequence)).toEqual(answers)
      expect(answers).toEqual([...answers].sort((a, b) => a - b))
    })
  })
}
