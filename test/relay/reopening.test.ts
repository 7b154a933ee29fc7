/** A store that could not be opened again after a failed write: what only reads tries it, too. */
import { expect, it } from 'vitest'
import { seeded } from '../support/random.js'
import { makePractice, memoryRelayDb, openTestStore, TestRelay } from '../support/relay.js'

it('devices are let in again once the disk has room, though nothing is to be written', async () => {
  const random = seeded(23)
  const practice = makePractice(random, 2)
  const db = memoryRelayDb()
  const disk = { isFull: false }
  const batch = db.batch.bind(db) as (...all: unknown[]) => Promise<void>
  ;(db as never as { batch: unknown }).batch = (...all: unknown[]) =>
    disk.isFull ? Promise.reject(new Error('No space left on device')) : batch(...all)
  const store = await openTestStore(random, {
    db,
    reopen: async (each) => {
      await each.close()
      if (disk.isFull) throw new Error('No space left on device')
      await each.open()
      return each
    },
  })
  const relay = new TestRelay(store)
  const a = await relay.member(practice, 0)
  await a.collect()
  disk.isFull = true
  expect((await a.ack([], Uint8Array.of(1))).error).toBe('full')
  a.hangUp()
  disk.isFull = false
  await new Promise((resolve) => setTimeout(resolve, 1_100))
  const again = await relay.member(practice, 0)
  expect(await again.collect()).toMatchObject({ mails: [], end: true })
})
