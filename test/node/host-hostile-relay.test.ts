/** What a relay must not be able to do to its devices, and whom devices ask. */
import dns from 'node:dns'
import { isIP } from 'node:net'
import { circuitRelayServer } from '@libp2p/circuit-relay-v2'
import { peerIdFromString } from '@libp2p/peer-id'
import { describe, expect, test, vi } from 'vitest'
import type { Host } from '../../src/node/host.js'
import { ALIVE_PROTOCOL, answerAlive } from '../../src/node/host-alive.js'
import { createNode } from '../../src/node/host-node.js'
import { Transports } from '../../src/node/host-transports.js'
import { publicKeyToPeerId } from '../../src/node/peer-id.js'
import {
  befriend,
  behind,
  breakOff,
  opened,
  portOf,
  startHost,
  startRelay,
  TCP,
  take,
  text,
  until,
  whileRunning,
} from './host-helpers.js'

/** A relay that names somebody else as the one who wants to connect. */
async function lyingRelay(claimed: () => string): Promise<string[]> {
  const service = (components: Parameters<ReturnType<typeof circuitRelayServer>>[0]) => {
    const server = circuitRelayServer({ reservations: { applyDefaultLimit: false } })(components)
    const { stopHop } = server as unknown as { stopHop(options: object, abort: object): Promise<unknown> }
    return Object.assign(server, {
      stopHop(options: { request: { peer: { id: Uint8Array } } }, abort: object) {
        options.request.peer.id = peerIdFromString(claimed()).toMultihash().bytes
        return stopHop.call(server, options, abort)
      },
    })
  }
  const node = await createNode(
    {
      privateKey: new Uint8Array(32).fill(7),
      listen: [TCP],
      maxConnections: 50,
      services: { circuit: service },
    },
    new Transports(),
  )
  whileRunning(node)
  await node.handle(ALIVE_PROTOCOL, (stream) => answerAlive(stream, { stunPort: 0 }))
  return node.getMultiaddrs().map(String)
}

async function at(addresses: string[]): Promise<Host> {
  const host = await startHost({ listen: [] })
  host.setRelays([{ addresses }])
  await until(() => host.relays()[0]?.circuit === true)
  return host
}

describe('a relay', () => {
  test('can not pass one device off as another, by circuit or by WebRTC', async () => {
    let claimed = ''
    const addresses = await lyingRelay(() => claimed)
    const [victim, friend, stranger] = [await at(addresses), await at(addresses), await at(addresses)]
    befriend(victim, friend)
    stranger.admit(() => true)
    const callers: string[] = []
    await victim.handle('/x/1', (_channel, remote) => callers.push(publicKeyToPeerId(remote.publicKey)))

    claimed = friend.id
    opened(await friend.dialRelayed(victim.id, '/x/1'))
    breakOff(friend, victim.id)
    expect(callers).toEqual([friend.id])
    expect(await stranger.dialRelayed(victim.id, '/x/1')).toHaveProperty('code')
    expect(await stranger.dialRtc(victim.id, '/x/1', { timeoutMs: 4_000 })).toHaveProperty('code')
    expect(callers).toEqual([friend.id])
  })

  test('that is not one of the practice brings no circuit', async () => {
    const [own, foreign] = [await startRelay(), await startRelay()]
    const [a, b] = [await behind(own), await behind(foreign)]
    // A connection alone is no permission, and no reason to reserve there.
    await foreign.handle('/x/1', () => {})
    opened(await a.dial(foreign.addresses(), '/x/1'))
    expect(await b.dialRelayed(a.id, '/x/1')).toHaveProperty('code')
    expect(a.addresses().some((address) => address.includes(foreign.id))).toBe(false)
  })

  test('with another key than before is named as such, and nothing is said to it', async () => {
    const [first, second] = [await startRelay(), await startRelay()]
    const asked = vi.fn()
    await second.handle('/x/1', asked)
    const host = await startHost({ listen: [] })
    host.setRelays([{ addresses: [`/ip4/127.0.0.1/tcp/${portOf(second)}/p2p/${first.id}`] }])
    await until(() => host.relays()[0]?.state === 'wrong-identity')
    expect(host.relays()[0]?.sentence).toContain('Nothing was sent.')
    expect(await host.dial(first.id, '/x/1')).toHaveProperty('code')
    expect(asked).not.toHaveBeenCalled()
  })
})

describe('relays from settings', () => {
  test.each([
    ['nothing', []],
    ['no multiaddr', ['relay.example.org']],
    ['no key', ['/ip4/127.0.0.1/tcp/4001']],
    [
      'a key that is none of ours',
      ['/ip4/127.0.0.1/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'],
    ],
    ['another transport', [`/ip4/127.0.0.1/udp/1/p2p/${publicKeyToPeerId(new Uint8Array(32).fill(9))}`]],
  ])('%s: a sentence, and no harm', async (_name, addresses) => {
    const host = await startHost()
    host.setRelays([{ addresses }])
    expect(host.relays()).toMatchObject([
      { state: 'bad-address', sentence: expect.stringMatching(/^This is not/) },
    ])
    host.retryRelays()
    host.setRelays([])
    expect(host.relays()).toEqual([])
  })

  test('may change at any time: those that stay keep their connection, those that go are left', async () => {
    const [one, two] = [await startRelay(), await startRelay()]
    const host = await behind(one)
    const before = one.connections()
    host.setRelays([{ addresses: one.addresses() }, { addresses: two.addresses() }])
    await until(() => host.relays().every(({ circuit }) => circuit))
    expect(host.addresses()).toHaveLength(2)
    expect(one.connections()).toEqual(before)
    host.setRelays([{ addresses: two.addresses() }])
    await until(() => one.connections().length === 0)
    expect(host.addresses()).toEqual([`${two.addresses()[0]}/p2p-circuit/p2p/${host.id}`])
  })

  test('a relay that restarts has its device back soon', { timeout: 60_000 }, async () => {
    const privateKey = new Uint8Array(32).fill(3)
    const first = await startRelay({ privateKey })
    const [address] = first.addresses()
    const host = await behind(first)
    const states: string[] = []
    host.onRelayChanged(({ state, circuit }) => states.push(`${state} ${circuit}`))
    await first.stop()
    await until(() => host.relays()[0]?.state === 'unreachable')
    await startRelay({ privateKey, listen: [address!.replace(/\/p2p\/.*/, '')] })
    await until(() => host.relays()[0]?.circuit === true, 30_000)
    expect(states.slice(-3)).toEqual(['unreachable false', 'connected false', 'connected true'])
  })
})

test('no name is looked up but that of a relay which a person has configured', async () => {
  const lookup = vi.spyOn(dns, 'lookup')
  const relay = await startRelay()
  const [a, b] = [await behind(relay), await behind(relay)]
  befriend(a, b)
  await b.handle('/x/1', (channel) => {
    channel.send('live', text('hello'))
  })
  for (const dial of [a.dialRelayed(b.id, '/x/1'), a.dialRtc(b.id, '/x/1')])
    expect(await take(opened(await dial).channel, 1)).toHaveLength(1)
  const names = (): string[] => lookup.mock.calls.map(([name]) => name).filter((name) => isIP(name) === 0)
  expect(names()).toEqual([])
  const named = `/dns4/localhost/tcp/${portOf(relay)}/p2p/${relay.id}`
  const c = await startHost({ listen: [] })
  c.setRelays([{ addresses: [named] }])
  await until(() => c.relays()[0]?.circuit === true)
  expect(new Set(names())).toEqual(new Set(['localhost']))
  lookup.mockRestore()
})
