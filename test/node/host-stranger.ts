/** A stranger with a multiplexer of its own. */
import type { Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { Libp2p } from 'libp2p'
import { Channel } from '../../src/node/frames.js'
import { createNode } from '../../src/node/host-node.js'
import { Transports } from '../../src/node/host-transports.js'
import { TCP, whileRunning } from './host-helpers.js'

/** Types of frames, and the flag of those that begin or ask something. */
export const [DATA, WINDOW, PING] = [0, 1, 2] as const
export const ASKED = 1

export interface Below {
  send(bytes: Uint8Array): boolean
  addEventListener(type: 'drain', listener: () => void, options: { once: true }): void
}

export async function startNode(listen: string[]): Promise<Libp2p> {
  const privateKey = crypto.getRandomValues(new Uint8Array(32))
  const node = await createNode(
    { privateKey, listen, maxConnections: 50, isCurious: false },
    new Transports(),
  )
  whileRunning(node)
  return node
}

/** A stranger's connection to a node, its stream, the node's end of that, and what carries the frames below. */
export async function stranger(listen = TCP) {
  const [node, other] = [await startNode([listen]), await startNode([])]
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
export function frame(type: number, flags: number, stream: number, length: number, room = 0): Uint8Array {
  const bytes = new Uint8Array(12 + room)
  const view = new DataView(bytes.buffer)
  view.setUint8(1, type)
  view.setUint16(2, flags)
  view.setUint32(4, stream)
  view.setUint32(8, length)
  return bytes
}

export const idOf = (stream: Stream) => Number(stream.id)

export async function sendBelow(below: Below, bytes: Uint8Array): Promise<void> {
  if (below.send(bytes)) return
  await new Promise<void>((resolve) => {
    below.addEventListener('drain', resolve, { once: true })
    setTimeout(resolve, 50)
  })
}
