/** What the members of one practice may make a relay hold of messages that they never finish. */
import { multiaddr } from '@multiformats/multiaddr'
import { expect, it } from 'vitest'
import { Channel } from '../../src/node/frames.js'
import { createNode } from '../../src/node/host-node.js'
import { Transports } from '../../src/node/host-transports.js'
import { encodeFrame, type Lane } from '../../src/protocol/framing.js'
import { MAILBOX_VERSION, OLDEST_MAILBOX_VERSION } from '../../src/protocol/mailbox-limits.js'
import { encodeMailFrame, type MailFrameKind } from '../../src/protocol/mailbox-wire.js'
import type { Roster } from '../../src/protocol/roster.js'
import type { TestDevice } from '../protocol/roster-helpers.js'
import { usageOf } from '../support/flood.js'
import { afterwards, until } from '../support/processes.js'
import { seeded } from '../support/random.js'
import { makePractice } from '../support/relay.js'
import { MailClient, RelayProcess } from '../support/relay-process.js'

const PIECE = new Uint8Array(60 * 1024)
const PIECES = 330

/** A member that has greeted, and reads nothing any more. */
async function joins(device: TestDevice, { practiceId, head }: Roster, relay: RelayProcess) {
  const options = { privateKey: device.edSecret, listen: [], maxConnections: 5, isCurious: false }
  const node = await createNode(options, new Transports())
  afterwards(() => node.stop() as Promise<void>)
  const connection = await node.dial(relay.addresses.map((address) => multiaddr(address)))
  const stream = await connection.newStream('/kartoteka/mailbox/1')
  const channel = new Channel(stream)
  let heard = 0
  void (async () => {
    for await (const _ of channel.messages) if (++heard >= 2) await new Promise(() => {})
  })()
  const say = (frame: MailFrameKind) => channel.send('live', encodeMailFrame(frame))
  const [oldest, newest] = [OLDEST_MAILBOX_VERSION, MAILBOX_VERSION]
  say({ $case: 'greet', value: { oldest, newest, practice: practiceId, rosterHead: head } })
  await until(() => heard >= 2, 10_000)
  return { stream, channel, say }
}

/** A member that begins a message of 20 MB in each lane, and never ends it. */
async function begins(device: TestDevice, roster: Roster, relay: RelayProcess): Promise<void> {
  const { stream, channel } = await joins(device, roster, relay)
  for (const lane of ['live', 'bulk'] as Lane[]) {
    for (let at = 0; at < PIECES && stream.status === 'open'; at++) {
      if (stream.send(encodeFrame(lane, PIECE, true))) continue
      const drained = new Promise((resolve) => stream.addEventListener('drain', resolve, { once: true }))
      await Promise.race([drained, channel.closed])
    }
  }
}

it('messages that are never finished take a bounded part of its memory, and others are served', async () => {
  const random = seeded(310)
  const practice = makePractice(random, 32)
  const relay = await new RelayProcess([]).start()
  const first = await MailClient.join(practice.devices[0]!, practice.roster, relay)
  const before = usageOf(relay.pid)?.rssMb ?? 0
  for (const device of practice.devices.slice(1)) await begins(device, practice.roster, relay)
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  // Half of what they have sent, and what isn't collected yet.
  const after = usageOf(relay.pid)?.rssMb ?? 0
  expect(after - before).toBeLessThan(900)
  expect((await first.inventory()).bytes).toBe(0)
})

it('mail that is asked for and not taken does so, too', async () => {
  const random = seeded(311)
  const practice = makePractice(random, 32)
  const [, ...others] = practice.devices
  const relay = await new RelayProcess([]).start()
  const first = await MailClient.join(practice.devices[0]!, practice.roster, relay)
  const recipients = others.map(({ ed }) => ed)
  for (let at = 0; at < 2; at++)
    await first.deposit({ id: random.bytes(16), recipients, envelope: random.bytes(20_000_000) })
  const before = usageOf(relay.pid)?.rssMb ?? 0
  for (const device of others) {
    const { say } = await joins(device, practice.roster, relay)
    for (const after of [0, 1]) {
      say({ $case: 'collect', value: { after } })
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  const after = usageOf(relay.pid)?.rssMb ?? 0
  expect(after - before).toBeLessThan(900)
  expect((await first.inventory()).waiting).toHaveLength(31)
})
