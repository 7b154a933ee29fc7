import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { createNode } from '../../src/node/host-node.js'
import { Transports } from '../../src/node/host-transports.js'
import { TCP, until, whileRunning } from './host-helpers.js'

async function startNode(seed: number) {
  const privateKey = new Uint8Array(32).fill(seed)
  const node = await createNode({ privateKey, listen: [TCP], maxConnections: 50 }, new Transports())
  whileRunning(node)
  return node
}

test('nodes say what they are once what they met for had its time', async () => {
  const [a, b] = [await startNode(1), await startNode(2)]
  const met: number[] = []
  const began = performance.now()
  for (const node of [a, b])
    node.addEventListener('peer:identify', () => void met.push(performance.now() - began))
  await a.dial(b.getMultiaddrs().map((address) => multiaddr(address.toString())))
  await until(() => met.length === 2)
  expect(Math.min(...met)).toBeGreaterThan(900)
  const { protocols } = await a.peerStore.get(b.peerId)
  expect(protocols).toContain('/ipfs/id/1.0.0')
})
