/** One store for each test, closed after it. */
import { afterEach, beforeEach } from 'vitest'
import type { CreateWorld, StoreWorld } from './bench.js'

export function withWorld(create: CreateWorld): { world: () => StoreWorld } {
  let world: StoreWorld | undefined
  beforeEach(async () => {
    world = await create()
  })
  afterEach(async () => {
    await world?.close()
  })
  return { world: () => world! }
}
