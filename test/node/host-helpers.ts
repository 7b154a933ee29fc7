/** Hosts for tests: loopback only, stopped by themselves. */
import { randomBytes } from 'node:crypto'
import { createConnection, type Socket } from 'node:net'
import { noise } from '@chainsafe/libp2p-noise'
import type { Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { afterEach } from 'vitest'
import type { Channel } from '../../src/node/frames.js'
import { createHost, type Host, type HostOptions, type Opened } from '../../src/node/host.js'
import type { DialError } from '../../src/node/host-dial.js'
import { createRelayHost, type RelayHost, type RelayHostOptions } from '../../src/node/host-relay.js'
import { publicKeyToPeerId } from '../../src/node/peer-id.js'
import type { Message } from '../../src/protocol/framing.js'

export const TCP = '/ip4/127.0.0.1/tcp/0'
export const WS = '/ip4/127.0.0.1/tcp/0/ws'

const running = new Set<{ stop(): Promise<void> | void }>()

afterEach(async () => {
  await Promise.all([...running].map((host) => host.stop()))
  running.clear()
})

/** Stops it after the test. */
export function whileRunning(each: { stop(): Promise<void> | void }): void {
  running.add(each)
}

export async function startHost(options: Partial<HostOptions> = {}): Promise<Host> {
  const host = await createHost({ privateKey: randomBytes(32), listen: [TCP], lan: false, ...options })
  if ('code' in host) throw new Error(host.sentence)
  running.add(host)
  return host
}

export async function startRelay(options: Partial<RelayHostOptions> = {}): Promise<RelayHost> {
  const stun = { port: 0, hosts: ['127.0.0.1'] }
  const relay = await createRelayHost({ privateKey: randomBytes(32), listen: [TCP], stun, ...options })
  if ('code' in relay) throw new Error(relay.sentence)
  running.add(relay)
  return relay
}

/** A host that can't be dialled, and that others reach through the relay. */
export async function behind(relay: Host, options: Partial<HostOptions> = {}): Promise<Host> {
  const host = await startHost({ listen: [], ...options })
  host.setRelays([{ addresses: relay.addresses() }])
  // A busy machine may need a second attempt.
  await until(() => host.relays()[0]?.circuit === true, 30_000)
  return host
}

/** Hosts that let each other arrange WebRTC. */
export function befriend(...hosts: Host[]): void {
  const known = new Set(hosts.map(({ id }) => id))
  for (const host of hosts) host.admit((key) => known.has(publicKeyToPeerId(key)))
}

/** Breaks all connections with a peer. */
export function breakOff(host: Host, id: string): void {
  for (const connection of host.connections()) if (connection.id === id) host.abandon(connection)
}

export function opened(result: Opened | DialError): Opened {
  if ('code' in result) throw new Error(`${result.code}: ${result.detail}`)
  return result
}

/** A channel from `from` to `to`, both ends. */
export async function connect(
  from: Host,
  to: Host,
  options: { from?: object; to?: object } = {},
): Promise<[Channel, Channel]> {
  const protocol = `/test/${Math.random()}`
  const arrived = new Promise<Channel>((resolve) => {
    void to.handle(protocol, (channel) => resolve(channel), options.to)
  })
  const { channel } = opened(await from.dial(to.addresses(), protocol, options.from))
  // The other side learns of a stream with its first bytes at the latest.
  return [channel, await arrived]
}

export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

export async function take(channel: Channel, count: number): Promise<Message[]> {
  const received: Message[] = []
  const iterator = channel.messages[Symbol.asyncIterator]()
  while (received.length < count) {
    const next = await iterator.next()
    if (next.done === true) break
    received.push(next.value)
  }
  return received
}

export async function until(condition: () => boolean, timeoutMs = 5_000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('waited in vain')
    await sleep(5)
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

export function portOf(host: Host): number {
  return Number(/\/tcp\/(\d+)/.exec(host.addresses()[0] ?? '')?.[1])
}

/** A raw connection that says nothing. */
export function silentSocket(port: number, localAddress = '127.0.0.1'): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port, localAddress }, () => resolve(socket))
    socket.on('error', reject)
  })
}

/** What a peer that does not keep to our framing can send: a plain libp2p stream, and the channel it meets. */
export async function rawStream(to: Host): Promise<[Stream, Channel]> {
  const node = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
  })
  running.add(node)
  const arrived = new Promise<Channel>((resolve) => {
    void to.handle('/raw/1', (channel) => resolve(channel), { maxMessageBytes: 900 })
  })
  const stream = await node.dialProtocol(to.addresses().map(multiaddr), '/raw/1')
  return [stream, await arrived]
}
