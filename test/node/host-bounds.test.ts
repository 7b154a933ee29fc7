/** What a stranger with a multiplexer of its own may make a host hold, and do. */
import type { Connection } from '@libp2p/interface'
import type { Libp2p } from 'libp2p'
import { expect, test } from 'vitest'
import { socketUnder } from '../../src/node/host-thrift.js'
import { sleep, until } from './host-helpers.js'
import { ASKED, DATA, frame, idOf, PING, sendBelow, stranger } from './host-stranger.js'

test('a frame that comes in pieces of one byte is taken like any other', { timeout: 120_000 }, async () => {
  const { node, stream, channel, below } = await stranger()
  const count = 70_000
  const bytes = frame(DATA, 0, idOf(stream), 2 * count, 2 * count)
  // Empty messages, two bytes each.
  for (let at = 12; at < bytes.length; at += 2) bytes[at] = 1
  let received = 0
  const reading = (async () => {
    for await (const _ of channel.messages) if (++received === count) return
  })()
  let mostPieces = 0
  for (let at = 0; at < bytes.length; at++) {
    await sendBelow(below, bytes.subarray(at, at + 1))
    if (at % 1_000 === 0) mostPieces = Math.max(mostPieces, unfinishedPieces(node))
  }
  await reading
  expect(received).toBe(count)
  expect(mostPieces).toBeGreaterThan(1)
  expect(mostPieces).toBeLessThanOrEqual(256)
})

test('a frame that is longer than any window is not gathered', async () => {
  const { node, connection, stream, below } = await stranger()
  await sendBelow(below, frame(DATA, 0, idOf(stream), 0xffff_ffff))
  let sent = 0
  for (; connection.status === 'open' && sent < 20_000_000; sent += 60_000)
    await sendBelow(below, new Uint8Array(60_000)).catch(() => {})
  await until(() => node.getConnections().length === 0)
  expect(sent).toBeLessThan(20_000_000)
})

test('who takes no answers is not answered without end', { timeout: 60_000 }, async () => {
  const { node, connection, below } = await stranger()
  deafen(connection)
  const pings = new Uint8Array(12 * 5_000)
  for (let at = 0; at < pings.length; at += 12) pings.set(frame(PING, ASKED, 0, at), at)
  for (let round = 0; round < 200 && node.getConnections().length > 0; round++) {
    await sendBelow(below, pings).catch(() => {})
    await sleep(5)
  }
  expect(node.getConnections()).toEqual([])
})

function unfinishedPieces(node: Libp2p): number {
  const muxer = Reflect.get(node.getConnections()[0]!, 'muxer') as {
    decoder: { buffer: { bufs: unknown[] } }
  }
  return muxer.decoder.buffer.bufs.length
}

function deafen(connection: Connection): void {
  socketUnder(connection)?.removeAllListeners('data').pause()
}
