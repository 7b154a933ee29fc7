/** What a stranger with a multiplexer of its own may make a host hold, and do. */
import type { Connection, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { Libp2p } from 'libp2p'
import { expect, test } from 'vitest'
import { Channel } from '../../src/node/frames.js'
import { createNode } from '../../src/node/host-node.js'
import { socketUnder } from '../../src/node/host-thrift.js'
import { Transports } from '../../src/node/host-transports.js'
import { sleep, TCP, until, whileRunning } from './host-helpers.js'

const [DATA, PING] = [0, 2]
const ASKED = 1

interface Below {
  send(bytes: Uint8Array): boolean
  addEventListener(type: 'drain', listener: () => void, options: { once: true }): void
}

async function startNode(listen: string[]) {
  const privateKey = crypto.getRandomValues(new Uint8Array(32))
  const node = await createNode(
    { privateKey, listen, maxConnections: 50, isCurious: false },
    new Transports(),
  )
  whileRunning(node)
  return node
}

/** A stranger's connection to a node, its stream, the node's end of that, and what carries the frames below. */
async function stranger() {
  const [node, other] = [await startNode([TCP]), await startNode([])]
  const arrived = new Promise<Channel>((resolve) => {
    void node.handle('/bounds/1', (stream) => resolve(new Channel(stream)))
  })
  const connection = await other.dial(node.getMultiaddrs().map((address) => multiaddr(address.toString())))
  const stream = await connection.newStream('/bounds/1')
  const channel = await arrived
  const muxer = Reflect.get(connection, 'muxer') as { maConn: Below; onData(): void }
  // From here on it says nothing by itself, as into the midst of a frame.
  muxer.onData = () => {}
  return { node, connection, stream, channel, below: muxer.maConn }
}

/** The header of a frame of the multiplexer, and room for what is in it. */
function frame(type: number, flags: number, stream: number, length: number, room = 0): Uint8Array {
  const bytes = new Uint8Array(12 + room)
  const view = new DataView(bytes.buffer)
  view.setUint8(1, type)
  view.setUint16(2, flags)
  view.setUint32(4, stream)
  view.setUint32(8, length)
  return bytes
}

const idOf = (stream: Stream) => Number(stream.id)

async function sendBelow(below: Below, bytes: Uint8Array): Promise<void> {
  if (below.send(bytes)) return
  await new Promise<void>((resolve) => {
    below.addEventListener('drain', resolve, { once: true })
    setTimeout(resolve, 50)
  })
}

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
