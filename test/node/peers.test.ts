/** Who is dialled by which path, with real hosts over loopback and a driver that only counts. */
import { type AddressInfo, createServer } from 'node:net'
import { describe, expect, test, vi } from 'vitest'
import type { KnownPeer } from '../../src/node/device/peer-addresses.js'
import { PeerRests } from '../../src/node/device/peer-rests.js'
import { Peers } from '../../src/node/device/peers.js'
import type { Link, PeerSession } from '../../src/node/driver-session.js'
import type { Host } from '../../src/node/host.js'
import type { FoundPeer } from '../../src/node/lan.js'
import { toHex } from '../../src/protocol/bytes.js'
import { TcpProxy } from '../support/tcp-proxy.js'
import { behind, breakOff, portOf, sleep, startHost, startRelay, TCP, text, until } from './host-helpers.js'

interface Side {
  host: Host
  peers: Peers
  peer: string
  received: number
  /** Each path that a session began with. */
  paths: string[]
  sessions: Set<PeerSession>
  /** What was told of this side's addresses, whether the session was open then, and how long it had stood. */
  told: { addresses: string[]; isOpen: boolean; afterMs: number }[]
  known: Map<string, KnownPeer>
  /** How often something was worth keeping. */
  changes: number
  /** How often it was asked who the others are: at least once at each look at what is due. */
  looks: number
  others: Uint8Array[]
  /** How far its clock was set, in milliseconds. */
  clockSet: number
  send(): void
}

/** A device that knows one other, at the given addresses. */
async function side(host: Host, other: Host, addresses: string[] = []): Promise<Side> {
  const peer = toHex(other.publicKey)
  const sessions = new Set<PeerSession>()
  const began = new Map<PeerSession, number>()
  const known = new Map<string, KnownPeer>([[peer, { addresses, lastSeen: null }]])
  const current: Side = {
    known,
    host,
    peer,
    received: 0,
    changes: 0,
    looks: 0,
    clockSet: 0,
    others: [other.publicKey],
    paths: [],
    told: [],
    sessions,
    send: () => {
      for (const { link } of sessions) link.send('live', text('x'))
    },
    peers: new Peers({
      host,
      ed: host.publicKey,
      others: () => {
        current.looks += 1
        return current.others
      },
      known,
      now: () => performance.now() + current.clockSet,
      changed: () => {
        current.changes += 1
      },
      driver: {
        connect(link: Link) {
          for (const old of sessions) end(old)
          const session = { link, open: true } as unknown as PeerSession
          sessions.add(session)
          began.set(session, performance.now())
          queueMicrotask(() => current.paths.push(current.peers.pathOf(peer)))
          return session
        },
        receive() {
          current.received += 1
          return undefined
        },
        disconnect: (session: PeerSession) => end(session),
        tellAddresses(session: PeerSession, addresses: string[]) {
          const afterMs = performance.now() - began.get(session)!
          current.told.push({ addresses, isOpen: session.open, afterMs })
        },
      },
    }),
  }
  function end(session: PeerSession): void {
    session.open = false
    sessions.delete(session)
    session.link.close('stopped')
  }
  return current
}

async function both(a: Host, b: Host, toB: string[] = [], toA: string[] = []): Promise<[Side, Side]> {
  const sides: [Side, Side] = [await side(a, b, toB), await side(b, a, toA)]
  for (const each of sides) await each.peers.start()
  return sides
}

function stop(...sides: Side[]): void {
  for (const each of sides) each.peers.stop()
}

const pathOf = (each: Side): string => each.peers.pathOf(each.peer)
const allAre =
  (path: string, ...sides: Side[]) =>
  () =>
    sides.every((each) => pathOf(each) === path)

test('where a device can be reached it tells once a session has stood for a moment, and none that is over', async () => {
  const [a, b] = [await startHost(), await startHost()]
  const [one, other] = await both(a, b, b.addresses())
  await until(() => one.sessions.size === 1 && other.sessions.size === 1)
  for (const { link } of one.sessions) link.close('stopped')
  await until(() => other.told.length + one.told.length >= 2)
  for (const { told, host } of [one, other]) {
    expect(told.length).toBeGreaterThan(0)
    for (const { addresses, isOpen, afterMs } of told) {
      expect(addresses).toEqual(host.addresses())
      expect(isOpen).toBe(true)
      expect(afterMs).toBeGreaterThan(100)
    }
  }
  stop(one, other)
})

test('whom it could not reach it dials again soon, also where its clock was set back meanwhile', async () => {
  const [a, b] = [await startHost(), await startHost()]
  const [one, other] = [await side(a, b, b.addresses()), await side(b, a)]
  await one.peers.start()
  await until(() => one.peers.failures(one.peer) > 0)
  one.clockSet = -3_600_000
  await other.peers.start()
  await until(() => one.sessions.size === 1, 8_000)
  stop(one, other)
})

describe('the path of a session', () => {
  test('is the LAN, at once, where an address leads there', async () => {
    const relay = await startRelay()
    const [a, b] = [await behind(relay, { listen: [TCP] }), await behind(relay, { listen: [TCP] })]
    const [one, other] = await both(a, b, b.addresses().slice(0, 1), a.addresses().slice(0, 1))
    await until(allAre('lan', one, other))
    await sleep(1_500)
    expect([one.paths, other.paths]).toEqual([['lan'], ['lan']])
    stop(one, other)
  })

  test('is a relay first and WebRTC soon, where no address leads', { timeout: 60_000 }, async () => {
    const relay = await startRelay()
    const [one, other] = await both(await behind(relay), await behind(relay))
    await until(() => one.paths[0] === 'relayed' && other.paths[0] === 'relayed')
    await until(allAre('direct', one, other), 20_000)
    // The worse connection is closed, and messages go the new way.
    await until(() => relay.circuits === 0, 10_000)
    expect([one.sessions.size, other.sessions.size]).toEqual([1, 1])
    one.send()
    other.send()
    await until(() => one.received > 0 && other.received > 0)
    stop(one, other)
  })

  test('is the relay again within seconds when the better connection breaks', {
    timeout: 60_000,
  }, async () => {
    const relay = await startRelay()
    const [one, other] = await both(await behind(relay), await behind(relay))
    await until(allAre('direct', one, other), 20_000)
    // WebRTC works no more from here on.
    one.host.admit(() => false)
    other.host.admit(() => false)
    const before = one.paths.length
    breakOff(one.host, other.host.id)
    const broken = performance.now()
    await until(() => one.paths.length > before && allAre('relayed', one, other)(), 10_000)
    expect(performance.now() - broken).toBeLessThan(6_000)
    one.send()
    await until(() => other.received > 0)
    stop(one, other)
  })

  test('moves to the LAN as soon as an address is learned', { timeout: 60_000 }, async () => {
    const relay = await startRelay()
    const [a, b] = [await behind(relay), await behind(relay, { listen: [TCP] })]
    const [one, other] = await both(a, b)
    await until(allAre('direct', one, other), 20_000)
    one.peers.remember(one.peer, b.addresses())
    await until(allAre('lan', one, other), 15_000)
    await until(() => a.connections().filter(({ id }) => id === b.id).length === 1, 10_000)
    expect(a.connections().find(({ id }) => id === b.id)?.path).toBe('lan')
    stop(one, other)
  })

  test('is none without a relay, and comes with it; a relay that returns is found again', {
    timeout: 60_000,
  }, async () => {
    const relay = await startRelay()
    const [a, b] = [await startHost({ listen: [] }), await startHost({ listen: [] })]
    const [one, other] = await both(a, b)
    await sleep(300)
    expect([pathOf(one), pathOf(other)]).toEqual(['none', 'none'])
    const nowhere = { addresses: [`/ip4/127.0.0.1/tcp/1/p2p/${relay.id}`] }
    for (const host of [a, b]) host.setRelays([nowhere])
    await until(() => a.relays()[0]?.state === 'unreachable')
    for (const host of [a, b]) host.setRelays([{ addresses: relay.addresses() }])
    await until(() => pathOf(one) !== 'none' && pathOf(other) !== 'none', 10_000)
    stop(one, other)
  })
})

test('while nothing is due hardly anybody looks; who joins the practice is dialled at once', async () => {
  const [a, b] = [await startHost(), await startHost()]
  const [one, other] = await both(a, b, b.addresses(), a.addresses())
  await until(allAre('lan', one, other))
  await sleep(1_000)
  const before = one.looks
  await sleep(1_000)
  expect(one.looks - before).toBeLessThanOrEqual(2)
  stop(one, other)

  const [far, near] = [await startHost(), await startHost()]
  const [c, d] = [await side(near, far, far.addresses()), await side(far, near)]
  c.others = []
  for (const each of [c, d]) await each.peers.start()
  await sleep(100)
  c.others = [far.publicKey]
  const joined = performance.now()
  c.peers.wake()
  await until(allAre('lan', c, d))
  // The device with the greater key waits a moment; nobody waits for the next look without cause.
  expect(performance.now() - joined).toBeLessThan(3_000)
  stop(c, d)
})

test('who asks for a dial while one is under way is answered when that is over, not after its back-off', async () => {
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { port } = silent.address() as AddressInfo
  const [near, far] = [await startHost(), await startHost()]
  const dials: { from: number; to: number }[] = []
  const dial = near.dial.bind(near)
  near.dial = async (...args) => {
    const one = { from: performance.now(), to: 0 }
    dials.push(one)
    return dial(...args).finally(() => {
      one.to = performance.now()
    })
  }
  const [c, d] = [
    await side(near, far, [`/ip4/127.0.0.1/tcp/${port}/p2p/${far.id}`]),
    await side(far, near, []),
  ]
  for (const each of [c, d]) await each.peers.start()
  await until(() => dials.length === 1)
  c.peers.remember(c.peer, far.addresses())
  c.peers.dialAll()
  await until(allAre('lan', c, d), 20_000)
  // The first wait after a failure is a second and a half at least.
  expect(dials[1]!.from - dials[0]!.to).toBeLessThan(1_000)
  stop(c, d)
  silent.close()
})

test('a silent connection is given up at once, and not met again by the next dial', async () => {
  const [near, far] = [await startHost({ listen: [] }), await startHost()]
  const proxy = await TcpProxy.open(portOf(far))
  const one = await side(near, far, [`/ip4/127.0.0.1/tcp/${proxy.port}/p2p/${far.id}`])
  const other = await side(far, near)
  for (const each of [one, other]) await each.peers.start()
  await until(allAre('lan', one, other))
  proxy.freeze()
  const silent = performance.now()
  const [session] = [...one.sessions] as [PeerSession]
  session.open = false
  session.link.close('silent')
  await until(() => one.paths.length === 2, 20_000)
  // The other side's end of the conversation would be waited for for 5 s, and a dead dial takes as long.
  expect(performance.now() - silent).toBeLessThan(4_000)
  one.send()
  await until(() => other.received > 0)
  stop(one, other)
})

test('addresses at which nothing is said keep no other one from being tried', {
  timeout: 60_000,
}, async () => {
  const [a, b] = [await startHost(), await startHost()]
  const silent = [createServer(), createServer()]
  const nowhere = await Promise.all(
    silent.map(async (server) => {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}/p2p/${b.id}`
    }),
  )
  const [one, other] = await both(a, b, [...nowhere, ...b.addresses()])
  await until(allAre('lan', one, other), 20_000)
  stop(one, other)
  for (const server of silent) server.close()
})

test('what is said of a device on this network takes the place of nothing that is known of it', async () => {
  const [a, b] = [await startHost(), await startHost()]
  let show = (_peer: FoundPeer) => {}
  const onPeerFound: Host['onPeerFound'] = (callback) => {
    show = callback
    return () => {}
  }
  const host = new Proxy(a, {
    get(target, name) {
      if (name === 'onPeerFound') return onPeerFound
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const lost = `/ip4/127.0.0.1/tcp/1/p2p/${b.id}`
  const [one, other] = await both(host, b, [lost])
  for (let port = 2; port < 12; port++)
    show({ id: b.id, addresses: [`/ip4/127.0.0.1/tcp/${port}/p2p/${b.id}`] })
  expect(one.known.get(one.peer)?.addresses).toEqual([lost])
  // It is dialled there all the same, and known where it was met.
  show({ id: b.id, addresses: b.addresses() })
  await until(allAre('lan', one, other), 10_000)
  expect(one.known.get(one.peer)?.addresses).toContain(b.addresses()[0])
  stop(one, other)
})

test('names that a device tells of itself are passed over', async () => {
  const [a, b] = [await startHost(), await startHost({ listen: [] })]
  const one = await side(a, b)
  expect(one.peers.remember(one.peer, ['/dns4/evil.example/tcp/1', '/dnsaddr/evil.example'])).toBe(false)
  expect(one.known.get(one.peer)?.addresses).toEqual([])
  const plain = `/ip4/127.0.0.1/tcp/9/p2p/${b.id}`
  expect(one.peers.remember(one.peer, [plain, `${plain}/p2p-circuit/p2p/${b.id}`])).toBe(true)
  expect(one.known.get(one.peer)?.addresses).toEqual([plain])
})

test('of strangers nothing is kept', async () => {
  const [a, b] = [await startHost(), await startHost()]
  const one = await side(a, b)
  const refused = vi.spyOn(PeerRests.prototype, 'refused')
  await one.peers.start()
  for (let at = 0; at < 3; at++) {
    const stranger = await startHost({ listen: [] })
    const opened = await stranger.dial(a.addresses(), '/kartoteka/sync/1')
    if ('code' in opened) throw new Error(opened.sentence)
    opened.channel.send('live', text('x'))
    await until(() => one.received === at + 1)
    for (const { link } of one.sessions) link.close('refused')
    await opened.channel.close()
  }
  await until(() => one.sessions.size === 0)
  expect(one.changes).toBe(0)
  expect(refused).not.toHaveBeenCalled()
  refused.mockRestore()
  stop(one)
})
