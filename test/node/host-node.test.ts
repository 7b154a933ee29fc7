import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { ALIVE_PROTOCOL } from '../../src/node/host-alive.js'
import { Libp2pHost } from '../../src/node/host-libp2p.js'
import { createNode, type NodeOptions } from '../../src/node/host-node.js'
import { Transports } from '../../src/node/host-transports.js'
import { sleep, TCP, until, whileRunning } from './host-helpers.js'

async function startNode(seed: number, more: Partial<NodeOptions> = {}) {
  const privateKey = new Uint8Array(32).fill(seed)
  const node = await createNode({ privateKey, listen: [TCP], maxConnections: 50, ...more }, new Transports())
  whileRunning(node)
  return node
}

test('whoever was dialled is asked what it is once what was met for had its time, and nobody else is', async () => {
  const [a, b] = [await startNode(1), await startNode(2)]
  const met: number[] = []
  const began = performance.now()
  for (const node of [a, b])
    node.addEventListener('peer:identify', () => void met.push(performance.now() - began))
  await a.dial(b.getMultiaddrs().map((address) => multiaddr(address.toString())))
  await until(() => met.length === 1)
  expect(met[0]).toBeGreaterThan(900)
  await sleep(200)
  expect(met).toHaveLength(1)
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
  await until(() => asked.length === 2)
  expect(asked.toSorted()).toEqual([`device ${relay.peerId}`, `device ${other.peerId}`].toSorted())
  const known = async ({ peerStore }: Awaited<ReturnType<typeof startNode>>) =>
    (await peerStore.all()).map(({ id }) => id.toString())
  expect(await known(device)).toHaveLength(2)
  expect(await known(relay)).toEqual([])
})

test('a host remembers strangers for as long as they stay', async () => {
  const transports = new Transports()
  const node = await createNode(
    { privateKey: new Uint8Array(32).fill(4), listen: [TCP], maxConnections: 50 },
    transports,
  )
  const host = new Libp2pHost(node, transports, { strangers: { inAll: 9, perNetwork: 9 } })
  whileRunning(host)
  await host.answerAlive(0)
  host.forgetStrangers()
  const stranger = await startNode(5)
  const connection = await stranger.dial(node.getMultiaddrs().map((address) => multiaddr(address.toString())))
  await connection.newStream(ALIVE_PROTOCOL)
  const known = async () => (await node.peerStore.all()).map(({ id }) => id.toString())
  expect(await known()).toContain(stranger.peerId.toString())
  await connection.close()
  for (let i = 0; i < 200 && (await known()).includes(stranger.peerId.toString()); i++) await sleep(10)
  expect(await known()).not.toContain(stranger.peerId.toString())
})
