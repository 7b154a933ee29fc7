/** Flushes and the acknowledgements that follow them. */
import { expect, test } from 'vitest'
import { Announcements } from '../../src/node/driver-announcements.js'
import type { DriverOptions, PeerSession, Sessions } from '../../src/node/driver-session.js'
import { World } from '../support/world.js'

/** More turns of promises than a flush takes. */
const TURNS = 80

test('[X2] what is due in the very moment that a flush ends is acknowledged by another one', async () => {
  const world = new World(15)
  const { replica, statements } = await world.add('a')
  const options = { replica, statements, timers: world.clock } as unknown as DriverOptions
  for (let turns = 0; turns < TURNS; turns++) {
    let acknowledged = 0
    const session = { bytesDue: 0, claimsDue: new Set() } as unknown as PeerSession
    const sessions = {
      all: new Map([['b', session]]),
      isStopped: false,
      step: (_session: PeerSession, event: { bytes: number }) => {
        acknowledged += event.bytes
      },
    } as unknown as Sessions
    const announcements = new Announcements(options, sessions)
    announcements.due(session, [], 5)
    for (let turn = 0; turn < turns; turn++) await Promise.resolve()
    announcements.due(session, [], 7)
    await world.settle()
    expect(acknowledged, `${turns} turns after the first`).toBe(12)
    await announcements.stop()
  }
  await world.stop()
})
