/** How a connection by WebSocket ends that is broken off, from either side. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { MultiaddrConnection } from '@libp2p/interface'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { connect, portOf, startHost, take, text, until, WS } from './host-helpers.js'
import { stranger } from './host-stranger.js'

test('bytes that are no frame of a WebSocket end their own connection, and nothing else', async () => {
  const host = await startHost({ listen: [WS] })
  const stranger = new WebSocket(`ws://127.0.0.1:${portOf(host)}/`)
  stranger.on('error', () => {})
  await once(stranger, 'open')
  const ended = once(stranger, 'close')
  const socket = Reflect.get(stranger, '_socket') as Socket
  socket.write(Uint8Array.of(0xff, 0xff))
  await ended
  const [from, to] = await connect(await startHost({ listen: [WS] }), host)
  from.send('live', text('still here'))
  expect(await take(to, 1)).toHaveLength(1)
})

test('a connection that is ended at once ends on the other side as well, and is told of once', async () => {
  const [a, b] = [await startHost({ listen: [WS] }), await startHost({ listen: [WS] })]
  await connect(a, b)
  let told = 0
  b.onConnectionClosed(() => told++)
  b.abandon(b.connections()[0]!)
  await until(() => a.connections().length === 0)
  expect(told).toBe(1)
})

test('what is longer than any handshake is not read before one', async () => {
  const host = await startHost({ listen: [WS] })
  const stranger = new WebSocket(`ws://127.0.0.1:${portOf(host)}/`)
  stranger.on('error', () => {})
  await once(stranger, 'open')
  const ended = once(stranger, 'close')
  // Each asks for the list of protocols.
  stranger.send('\x13/multistream/1.0.0\n')
  stranger.send(Buffer.alloc(4_000_000, '\x03ls\n'))
  let last = performance.now()
  let held = 0
  const timer = setInterval(() => {
    held = Math.max(held, performance.now() - last)
    last = performance.now()
  }, 10)
  await ended
  clearInterval(timer)
  expect(held).toBeLessThan(1_500)
})

test('a message that is longer than any of ours is not gathered', async () => {
  const host = await startHost({ listen: [WS] })
  const stranger = new WebSocket(`ws://127.0.0.1:${portOf(host)}/`)
  stranger.on('error', () => {})
  await once(stranger, 'open')
  const ended = once(stranger, 'close')
  // The head of a message of 2 MB, masked with nothing.
  const head = Uint8Array.of(0x82, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0)
  const socket = Reflect.get(stranger, '_socket') as Socket
  socket.write(head)
  expect((await ended)[0]).toBe(1009)
})

test('what is written at once is sent in messages that the other side takes', async () => {
  const { node, connection } = await stranger(WS)
  const sizes: number[] = []
  const { websocket } = Reflect.get(node.getConnections()[0]!, 'maConn') as { websocket: WebSocket }
  websocket.on('message', (bytes: ArrayBuffer) => sizes.push(bytes.byteLength))
  const below = Reflect.get(connection, 'maConn') as MultiaddrConnection
  below.send(new Uint8Array(900_000))
  await until(() => sizes.length === 4)
  expect(Math.max(...sizes)).toBe(256 * 1024)
})
