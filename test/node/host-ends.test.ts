/** Connections that end at an odd moment, by WebSocket and at the door. */
import { noise } from '@chainsafe/libp2p-noise'
import type { MultiaddrConnection } from '@libp2p/interface'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { expect, test } from 'vitest'
import type { WebSocket } from 'ws'
import { sleep, until, WS, whileRunning } from './host-helpers.js'
import { startNode, stranger } from './host-stranger.js'

interface OverWebSocket extends MultiaddrConnection {
  websocket: WebSocket
}

/** Noise that says, in one packet with its last message, what is no frame of a WebSocket. */
function rudeNoise(): ReturnType<typeof noise> {
  return (components) => {
    const encrypter = noise()(components)
    const secure = encrypter.secureOutbound.bind(encrypter)
    encrypter.secureOutbound = (connection, options) => {
      const send = connection.send.bind(connection)
      let messages = 0
      connection.send = (bytes) => {
        messages += 1
        if (messages === 1) return send(bytes)
        const { websocket } = connection as unknown as OverWebSocket
        const socket = Reflect.get(websocket, '_socket')
        socket.cork()
        const goOn = send(bytes)
        socket.write(Uint8Array.of(0xff, 0xff))
        socket.uncork()
        return goOn
      }
      return secure(connection, options)
    }
    return encrypter
  }
}

test('a connection that has ended by the time it is secured is never told of', async () => {
  const node = await startNode([WS])
  const told: string[] = []
  node.addEventListener('connection:open', ({ detail }) => told.push(detail.status))
  const rude = await createLibp2p({
    transports: [webSockets()],
    connectionEncrypters: [rudeNoise()],
    streamMuxers: [yamux({ enableKeepAlive: false })],
    connectionMonitor: { enabled: false },
    connectionGater: { denyDialMultiaddr: () => false },
  })
  whileRunning(rude)
  const address = multiaddr(node.getMultiaddrs()[0]!.toString())
  const connection = await rude.dial(address).catch(() => undefined)
  await until(() => connection?.status !== 'open')
  await sleep(50)
  expect(told).toEqual([])
})

test('to end a connection that is closing below does not throw', async () => {
  const { node } = await stranger()
  const connection = node.getConnections()[0]!
  const below = Reflect.get(connection, 'maConn') as { writeStatus: string }
  // So is the one below a circuit whose other end is closed, as long as something waits to be sent.
  below.writeStatus = 'closing'
  expect(() => connection.abort(new Error('enough'))).not.toThrow()
  expect(connection.status).toBe('aborted')
})

test('a connection by WebSocket that breaks while it is being closed is closed', async () => {
  const { node, connection } = await stranger(WS)
  const below = Reflect.get(node.getConnections()[0]!, 'maConn') as MultiaddrConnection
  below.writableNeedsDrain = true
  const closed = below.close()
  connection.abort(new Error('gone'))
  await expect(closed).resolves.toBeUndefined()
})
