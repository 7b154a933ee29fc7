import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Channel } from '../../src/node/frames.js'
import type { Host } from '../../src/node/host.js'
import { createRelayHost } from '../../src/node/host-relay.js'
import {
  behind,
  breakOff,
  opened,
  portOf,
  silentSocket,
  sleep,
  startHost,
  startRelay,
  TCP,
  take,
  text,
  until,
  WS,
} from './host-helpers.js'

/** A channel through a relay, both ends. */
async function relayed(from: Host, to: Host): Promise<[Channel, Channel]> {
  const protocol = `/test/${Math.random()}`
  const arrived = new Promise<Channel>((resolve) => {
    void to.handle(protocol, (channel, remote) => {
      expect(remote).toMatchObject({ id: from.id, publicKey: from.publicKey, path: 'relayed' })
      resolve(channel)
    })
  })
  const { channel, remote } = opened(await from.dialRelayed(to.id, protocol))
  expect(remote).toMatchObject({ id: to.id, publicKey: to.publicKey, path: 'relayed' })
  return [channel, await arrived]
}

describe('through a relay', () => {
  test.each([
    ['tcp', TCP],
    ['websocket', WS],
  ])('two devices that can not be dialled exchange messages (%s)', async (_name, listen) => {
    const relay = await startRelay({ listen: [listen] })
    const [a, b] = [await behind(relay), await behind(relay)]
    expect(b.addresses()).toEqual([`${relay.addresses()[0]}/p2p-circuit/p2p/${b.id}`])
    const [one, other] = await relayed(a, b)
    one.send('bulk', new Uint8Array(3_000_000).fill(7))
    other.send('live', text('hello'))
    expect((await take(other, 1))[0]?.bytes.byteLength).toBe(3_000_000)
    expect(await take(one, 1)).toEqual([{ lane: 'live', bytes: text('hello') }])
    expect([relay.reservations, relay.circuits]).toEqual([2, 1])
    expect((await one.close()).code).toBe('closed')
    breakOff(a, b.id)
    await until(() => relay.circuits === 0)
  })

  test('a device is dialled by an address that names relay and device, without settings', async () => {
    const relay = await startRelay()
    const b = await behind(relay)
    const stranger = await startHost()
    stranger.setRelays([{ addresses: relay.addresses() }])
    await until(() => stranger.relays()[0]?.circuit === true)
    await b.handle('/x/1', (channel) => {
      channel.send('live', text('welcome'))
    })
    const { channel, remote } = opened(await stranger.dial(b.addresses(), '/x/1'))
    expect(remote.path).toBe('relayed')
    expect(await take(channel, 1)).toHaveLength(1)
  })

  test('who has left can not be reached, and takes no place', async () => {
    const relay = await startRelay({ circuit: { maxReservations: 2 } })
    const [a, b] = [await behind(relay), await behind(relay)]
    const c = await startHost({ listen: [] })
    c.setRelays([{ addresses: relay.addresses() }])
    await until(() => c.relays()[0]?.state === 'connected')
    await sleep(200)
    expect(c.relays()[0]?.circuit).toBe(false)
    await b.stop()
    await until(() => c.relays()[0]?.circuit === true)
    expect(relay.reservations).toBe(2)
    expect(await a.dialRelayed(b.id, '/x/1')).toMatchObject({ code: 'unreachable' })
  })

  test('a relay that refuses circuits is connected all the same', async () => {
    const relay = await startRelay({ circuit: false })
    const [a, b] = [await startHost({ listen: [] }), await startHost({ listen: [] })]
    for (const host of [a, b]) host.setRelays([{ addresses: relay.addresses() }])
    await until(() => [a, b].every((host) => host.relays()[0]?.state === 'connected'))
    await sleep(200)
    expect(a.relays()[0]).toMatchObject({ state: 'connected', circuit: false })
    expect(a.addresses()).toEqual([])
    expect(await a.dialRelayed(b.id, '/x/1')).toMatchObject({ code: 'no-such-protocol' })
    await relay.handle('/mail/1', (channel) => {
      channel.send('live', text('you have mail'))
    })
    expect(await take(opened(await a.dial(relay.id, '/mail/1')).channel, 1)).toHaveLength(1)
  })

  test('the operator decides who reserves and who is connected to whom', async () => {
    const allowed = new Set<string>()
    const id = (key: Uint8Array): string => Buffer.from(key).toString('hex')
    const relay = await startRelay({
      mayReserve: (key) => allowed.has(id(key)),
      mayConnect: (from, to) => allowed.has(id(from)) && allowed.has(id(to)),
    })
    const [a, b] = [await startHost({ listen: [] }), await startHost({ listen: [] })]
    allowed.add(id(b.publicKey))
    for (const host of [a, b]) host.setRelays([{ addresses: relay.addresses() }])
    await until(() => b.relays()[0]?.circuit === true && a.relays()[0]?.state === 'connected')
    await b.handle('/x/1', () => {})
    expect(await a.dialRelayed(b.id, '/x/1')).toMatchObject({ code: 'unreachable' })
    expect(a.relays()[0]?.circuit).toBe(false)
    allowed.add(id(a.publicKey))
    a.retryRelays()
    await until(() => a.relays()[0]?.circuit === true)
    opened(await a.dialRelayed(b.id, '/x/1'))
  })

  test('a slow receiver holds its sender, not the relay', async () => {
    const relay = await startRelay()
    const [a, b] = [await behind(relay), await behind(relay)]
    const [one, other] = await relayed(a, b)
    const size = 48 * 1024 * 1024
    for (let sent = 0; sent < size; sent += 1024 * 1024) one.send('bulk', new Uint8Array(1024 * 1024))
    await sleep(1_500)
    // Windows and buffers on the way, but not all of it.
    expect(one.queuedBulkBytes).toBeGreaterThan(size - 16 * 1024 * 1024)
    const received = await take(other, size / 1024 / 1024)
    expect(received).toHaveLength(size / 1024 / 1024)
  })

  test('a circuit ends at its limit of bytes', async () => {
    const relay = await startRelay({ circuit: { bytes: 1_000_000n } })
    const [a, b] = [await behind(relay), await behind(relay)]
    const [one, other] = await relayed(a, b)
    one.send('bulk', new Uint8Array(2_000_000))
    expect(await take(other, 1)).toEqual([])
    expect((await one.closed).code).not.toBe('closed')
  })
})

describe('a relay as a host', () => {
  test('keeps its identity and says what else it is called', async () => {
    const privateKey = randomBytes(32)
    const announce = ['/dns4/relay.example.org/tcp/4001']
    const first = await startRelay({ privateKey, announce })
    await first.stop()
    const second = await startRelay({ privateKey, announce })
    expect(second.id).toBe(first.id)
    expect(second.addresses()).toContain(`/dns4/relay.example.org/tcp/4001/p2p/${second.id}`)
    expect(second.stunPort).toBeGreaterThan(0)
  })

  test('a port in use gives a sentence, also that of STUN', async () => {
    const relay = await startRelay()
    const again = { privateKey: randomBytes(32), stun: { port: 0, hosts: ['127.0.0.1'] } }
    expect(
      await createRelayHost({ ...again, listen: [`/ip4/127.0.0.1/tcp/${portOf(relay)}`] }),
    ).toMatchObject({
      code: 'listen-failed',
      sentence: expect.stringContaining('another program uses this port'),
    })
    const stun = { port: relay.stunPort ?? 0, hosts: ['127.0.0.1'] }
    expect(await createRelayHost({ ...again, listen: [TCP], stun })).toEqual({
      code: 'listen-failed',
      address: `/ip4/127.0.0.1/udp/${relay.stunPort}`,
      sentence: `Kartoteka can't listen on /ip4/127.0.0.1/udp/${relay.stunPort}: another program uses this port. Stop it, or choose another port.`,
    })
  })

  test('150 quick honest connections from one address all get a place', { timeout: 120_000 }, async () => {
    const relay = await startRelay()
    let circuits = 0
    const client = async (): Promise<void> => {
      for (let i = 0; i < 10; i++) {
        const host = await behind(relay)
        if (host.relays()[0]?.circuit === true) circuits += 1
        await host.stop()
      }
    }
    await Promise.all(Array.from({ length: 15 }, client))
    expect(circuits).toBe(150)
    await until(() => relay.reservations === 0)
  })

  test('sockets of one address are bounded, and others still get through', async () => {
    const relay = await startRelay({ maxConnectionsPerAddress: 5 })
    await relay.handle('/x/1', () => {})
    const stranger = '127.0.0.3'
    const sockets = await Promise.all(Array.from({ length: 20 }, () => silentSocket(portOf(relay), stranger)))
    await until(() => sockets.filter((socket) => socket.closed).length === 15)
    await sleep(100)
    expect(sockets.filter((socket) => socket.closed)).toHaveLength(15)
    const host = await startHost({ listen: [] })
    opened(await host.dial(relay.addresses(), '/x/1'))
    for (const socket of sockets) socket.destroy()
    await sleep(100)
    const again = await silentSocket(portOf(relay), stranger)
    await sleep(100)
    expect(again.closed).toBe(false)
    again.destroy()
  })

  test('a connection on which nothing comes is ended, though it is used', async () => {
    const relay = await startRelay({ patienceMs: 400 })
    const device = await behind(relay)
    await until(() => relay.connections().length === 0)
    await until(() => device.relays()[0]?.state === 'unreachable')
  })

  test('the newest connection of a device is that by which others reach it', async () => {
    const relay = await startRelay()
    const privateKey = randomBytes(32)
    const [a, b] = [await behind(relay), await behind(relay, { privateKey })]
    // The same device: its older connection may have died, which nobody has noticed yet.
    const again = await startHost({ listen: [], privateKey })
    again.setRelays([{ addresses: relay.addresses() }])
    await until(() => again.relays()[0]?.circuit === true)
    let reached = ''
    await b.handle('/x/1', () => {
      reached = 'older'
    })
    await again.handle('/x/1', () => {
      reached = 'newest'
    })
    opened(await a.dialRelayed(b.id, '/x/1'))
    await until(() => reached !== '')
    expect(reached).toBe('newest')
  })

  test('a connection that uses nothing is ended, one that is used stays', async () => {
    const relay = await startRelay({ idleTimeoutMs: 300 })
    await relay.handle('/x/1', (channel) => void channel.close())
    const [stranger, device] = [await startHost(), await behind(relay)]
    await opened(await stranger.dial(relay.addresses(), '/x/1')).channel.close()
    expect(stranger.connections()).toHaveLength(1)
    await until(() => stranger.connections().length === 0)
    await sleep(500)
    expect(device.relays()[0]).toMatchObject({ state: 'connected', circuit: true })
  })
})
