import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { createNode, type NodeOptions } from '../../src/node/host-node.js'
import { Transports } from '../../src/node/host-transports.js'
import { TCP, until, whileRunning } from './host-helpers.js'

async function startNode(seed: number, more: Partial<NodeOptions> = {}) {
  const privateKey = new Uint8Array(32).fill(seed)
  const node = await createNode({ privateKey, listen: [TCP], maxConnections: 50, ...more }, new Transports())
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

test('a node that is not curious tells what it is, asks nobody, and remembers nobody', async () => {
  const [device, other, relay] = [
    await startNode(1),
    await startNode(2),
    await startNode(3, { isCurious: false }),
  ]
  const asked: string[] = []
  for (const [name, node] of Object.entries({ device, other, relay }))
    node.addEventListener('peer:identify', ({ detail }) => void asked.push(`${name} ${detail.peerId}`))
  await device.dial(relay.getMultiaddrs().map((address) => multiaddr(address.toString())))
  await until(() => asked.length === 1)
  // Had the relay asked, it would have done so before these two, which met after.
  await device.dial(other.getMultiaddrs().map((address) => multiaddr(address.toString())))
  await until(() => asked.length === 3)
  expect(asked.toSorted()).toEqual(
    [`device ${relay.peerId}`, `device ${other.peerId}`, `other ${device.peerId}`].toSorted(),
  )
  const known = async ({ peerStore }: Awaited<ReturnType<typeof startNode>>) =>
    (await peerStore.all()).map(({ id }) => id.toString())
  expect(await known(device)).toHaveLength(2)
  expect(await known(relay)).toEqual([])
})
