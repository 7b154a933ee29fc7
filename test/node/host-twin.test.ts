/** Two processes with one key find each other on the local network, and nothing else is taken for one. */
import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { createNode } from '../../src/node/host-node.js'
import { Transports } from '../../src/node/host-transports.js'
import { TwinSeeker } from '../../src/node/host-twin.js'
import { startHost, until, whileRunning } from './host-helpers.js'

/** A node with a seeker, which says by itself that it is at these addresses only. */
async function startSeeker(privateKey: Uint8Array) {
  const node = await createNode(
    { privateKey, listen: ['/ip4/127.0.0.1/tcp/0'], maxConnections: 100 },
    new Transports(),
  )
  const addresses = node.getMultiaddrs().map(String)
  let found = 0
  const seeker = new TwinSeeker({ node, addresses: () => addresses, found: () => found++ })
  await seeker.answer()
  whileRunning({
    async stop() {
      seeker.stop()
      await node.stop()
    },
  })
  return {
    id: node.peerId.toString(),
    addresses,
    look: (at: string[]) => seeker.look(at),
    found: () => found,
  }
}

/** Passes connections on to a port, as an address that leads here by a detour does. */
async function detour(to: string): Promise<string> {
  const port = Number(/\/tcp\/(\d+)/.exec(to)![1])
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    for (const each of [near, far]) each.on('error', () => {})
    near.pipe(far).pipe(near)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  whileRunning({ stop: () => void server.close() })
  return to.replace(`/tcp/${port}`, `/tcp/${(server.address() as AddressInfo).port}`)
}

describe('who announces this device from elsewhere', () => {
  const key = new Uint8Array(randomBytes(32))

  test('is another process if it has the key and another run', async () => {
    const [one, other] = [await startSeeker(key), await startSeeker(key)]
    await one.look(other.addresses)
    expect(one.found()).toBe(1)
    // By a detour, too; but not again at once.
    await one.look([await detour(other.addresses[0]!)])
    expect(one.found()).toBe(1)
  })

  test('is nobody where it is this very process, at its own address or by a detour', async () => {
    const one = await startSeeker(key)
    await one.look(one.addresses)
    await one.look([await detour(one.addresses[0]!)])
    expect(one.found()).toBe(0)
  })

  test('is nobody without the key, where nothing answers, or where something else does', async () => {
    const [one, stranger] = [await startSeeker(key), await startSeeker(new Uint8Array(randomBytes(32)))]
    await one.look(stranger.addresses.map((address) => address.replace(stranger.id, one.id)))
    expect(one.found()).toBe(0)
    const silent = createServer((socket) => socket.on('error', () => {}))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    whileRunning({ stop: () => void silent.close() })
    const another = await startSeeker(key)
    await another.look([`/ip4/127.0.0.1/tcp/${(silent.address() as AddressInfo).port}/p2p/${another.id}`])
    expect(another.found()).toBe(0)
  })
})

test('hosts on one network notice a copy, and a lone one does not', { timeout: 30_000 }, async () => {
  const listen = ['/ip4/0.0.0.0/tcp/0']
  const privateKey = randomBytes(32)
  const lone = await startHost({ lan: true, listen })
  const [one, other] = [
    await startHost({ lan: true, listen, privateKey }),
    await startHost({ lan: true, listen, privateKey }),
  ]
  const seen = new Map([one, other, lone].map((host) => [host, 0]))
  for (const host of seen.keys()) host.onTwin(() => seen.set(host, seen.get(host)! + 1))
  await until(() => seen.get(one)! > 1 && seen.get(other)! > 1, 20_000)
  await sleep(3_000)
  expect(seen.get(lone)).toBe(0)
})

test('nobody is sought while the system names no addresses', async () => {
  const addresses = () => {
    throw new Error('uv_interface_addresses returned EMFILE')
  }
  const seeker = new TwinSeeker({ node: {} as never, addresses, found: () => {} })
  await expect(seeker.look(['/ip4/127.0.0.1/tcp/1'])).resolves.toBeUndefined()
})
