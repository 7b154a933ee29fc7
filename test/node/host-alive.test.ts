/** When a connection to a relay is asked whether it lives: the system watches it while it is quiet. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Socket } from 'node:net'
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  ALIVE_PROTOCOL,
  Alive,
  type AlivePace,
  answerAlive,
  DEVICE_PROBES_MS,
} from '../../src/node/host-alive.js'
import { createNode } from '../../src/node/host-node.js'
import { Transports } from '../../src/node/host-transports.js'
import { sleep, TCP, until, WS, whileRunning } from './host-helpers.js'

const PACE: AlivePace = { intervalMs: 40, timeoutMs: 150, quietMs: 1_000_000 }

let accepted: Socket[] = []
const note = (message: unknown) => void accepted.push((message as { socket: Socket }).socket)
beforeEach(() => {
  accepted = []
  subscribe('net.server.socket', note)
})
afterEach(() => {
  unsubscribe('net.server.socket', note)
  vi.restoreAllMocks()
})

async function startNode(listen: string[]) {
  const privateKey = crypto.getRandomValues(new Uint8Array(32))
  const node = await createNode({ privateKey, listen, maxConnections: 50 }, new Transports())
  whileRunning(node)
  return node
}

async function asking(listen: string, pace: AlivePace) {
  const [device, relay] = [await startNode([]), await startNode([listen])]
  const seen = { asked: 0, isDead: false }
  await relay.handle(ALIVE_PROTOCOL, (stream) => answerAlive(stream, { stunPort: 0 }, () => seen.asked++))
  await relay.handle('/x/1', () => {})
  const connection = await device.dial(relay.getMultiaddrs().map((address) => multiaddr(address.toString())))
  const dead = () => {
    seen.isDead = true
  }
  const { alive } = await Alive.open(connection, pace, AbortSignal.timeout(5_000), dead)
  whileRunning(alive)
  return { connection, seen }
}

/** Something that gets no answer. */
async function say(connection: Connection): Promise<void> {
  const stream = await connection.newStream('/x/1')
  await sleep(50)
  stream.send(Uint8Array.of(1))
}

test.each([
  ['tcp', TCP],
  ['websocket', WS],
])('a quiet connection is left to the system (%s)', async (_name, listen) => {
  const watch = vi.spyOn(Socket.prototype, 'setKeepAlive')
  const { seen } = await asking(listen, PACE)
  await sleep(400)
  expect(seen).toEqual({ asked: 1, isDead: false })
  expect(watch).toHaveBeenCalledWith(true, DEVICE_PROBES_MS)
})

test('one that has been quiet for long is asked all the same', async () => {
  const { seen } = await asking(TCP, { ...PACE, quietMs: 100 })
  await until(() => seen.asked > 3)
  expect(seen.isDead).toBe(false)
})

test('one on which something was said without an answer is asked once, and is quiet again', async () => {
  const { connection, seen } = await asking(TCP, PACE)
  await say(connection)
  await until(() => seen.asked === 2)
  await sleep(300)
  expect(seen).toEqual({ asked: 2, isDead: false })
})

test('one on which nothing comes through is dead', async () => {
  const { connection, seen } = await asking(TCP, PACE)
  const [relays] = accepted
  await say(connection)
  relays!.pause()
  await until(() => seen.isDead)
})

test('who asks without end and takes no answers is cut off', async () => {
  const [device, relay] = [await startNode([]), await startNode([TCP])]
  let asked = 0
  await relay.handle(ALIVE_PROTOCOL, (stream) => answerAlive(stream, { stunPort: 0 }, () => asked++))
  const stream = await device.dialProtocol(
    relay.getMultiaddrs().map((address) => multiaddr(address.toString())),
    ALIVE_PROTOCOL,
  )
  stream.pause()
  const questions = new Uint8Array(30_000)
  for (let at = 0; at < questions.length; at += 3) questions.set([2, 0, 1], at)
  stream.send(questions)
  await until(() => stream.status === 'reset')
  expect(asked).toBeLessThan(1_000)
})
