/** The handshake with keys that stay with the system: others understand it, and keys that hide nothing are refused. */
import { createConnection } from 'node:net'
import { noise } from '@chainsafe/libp2p-noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { expect, test } from 'vitest'
import { createNode } from '../../src/node/host-node.js'
import { Transports } from '../../src/node/host-transports.js'
import { portOf, startHost, TCP, until, whileRunning } from './host-helpers.js'

const line = (text: string) => `${String.fromCharCode(text.length + 1)}${text}\n`
const BEGIN = line('/multistream/1.0.0') + line('/noise')

async function plainNode() {
  const node = await createLibp2p({
    addresses: { listen: [TCP] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
  })
  whileRunning(node)
  return node
}

test('a handshake with libp2p as it comes proves both keys, several times and either way', async () => {
  const privateKey = new Uint8Array(32).fill(5)
  const ours = await createNode({ privateKey, listen: [TCP], maxConnections: 50 }, new Transports())
  whileRunning(ours)
  for (let round = 0; round < 3; round++) {
    const plain = await plainNode()
    for (const [from, to] of [
      [ours, plain],
      [plain, ours],
    ] as const) {
      const connection = await from.dial(
        to.getMultiaddrs().map((address) => multiaddr(address.toString())),
        { force: true },
      )
      expect(connection.remotePeer.toString()).toBe(to.peerId.toString())
    }
    const seen = () => ours.getConnections(plain.peerId).map(({ direction }) => direction)
    await until(() => seen().length === 2)
    expect(seen().toSorted()).toEqual(['inbound', 'outbound'])
  }
})

test('an ephemeral key of small order is answered by nothing', async () => {
  const host = await startHost()
  const socket = createConnection({ host: '127.0.0.1', port: portOf(host) })
  socket.on('error', () => {})
  let answer = ''
  socket.on('data', (data) => {
    answer += data.toString('latin1')
  })
  socket.write(BEGIN, 'latin1')
  await until(() => answer === BEGIN)
  socket.write(Buffer.concat([Buffer.from([0, 32]), Buffer.alloc(32)]))
  await new Promise((resolve) => socket.on('close', resolve))
  expect(answer).toBe(BEGIN)
})
