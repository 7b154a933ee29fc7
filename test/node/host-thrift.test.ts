/** What small messages cost on the wire: libp2p's own ways, narrowed. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Channel } from '../../src/node/frames.js'
import { connect, rawStream, sleep, startHost, TCP, take, until, WS } from './host-helpers.js'

const KINDS = ['net.client.socket', 'net.server.socket']
let sockets: Socket[] = []
const note = (message: unknown) => void sockets.push((message as { socket: Socket }).socket)

beforeEach(() => {
  sockets = []
  for (const kind of KINDS) subscribe(kind, note)
})
afterEach(() => {
  for (const kind of KINDS) unsubscribe(kind, note)
})

const written = () => sockets.map(({ bytesWritten }) => bytesWritten)

async function quiet(listen: string): Promise<[Channel, Channel]> {
  const [a, b] = [await startHost({ listen: [listen] }), await startHost({ listen: [listen] })]
  const [from, to] = await connect(a, b)
  // What the hosts have to tell each other at the beginning.
  await sleep(300)
  return [from, to]
}

/** Bytes that either socket has written meanwhile, the busier first. */
async function counted(work: () => Promise<unknown>): Promise<number[]> {
  const before = written()
  await work()
  await sleep(50)
  return written()
    .map((bytes, at) => bytes - (before[at] ?? 0))
    .sort((one, other) => other - one)
}

test.each([
  ['tcp', TCP],
  ['websocket', WS],
])(
  'over %s a hundred messages of one turn are one message below, and nothing answers them',
  async (_name, listen) => {
    const [from, to] = await quiet(listen)
    const [sent, answered] = await counted(async () => {
      for (let at = 0; at < 100; at++) from.send('live', new Uint8Array(98))
      await take(to, 100)
    })
    // With the two bytes of each frame; one length and tag of the cipher, one header of the multiplexer.
    expect(sent).toBeGreaterThan(10_000)
    expect(sent).toBeLessThan(10_000 + 60)
    expect(answered).toBe(0)
  },
)

/** Whether something has been handed to the system since. */
const hasLeft = (before: number[]): boolean =>
  !sockets.some(({ writableCorked }) => writableCorked > 0) &&
  written().some((bytes, at) => bytes > before[at]!)

test('what is flushed is with the system at once, other messages wait for the end of the turn', async () => {
  const [from, to] = await quiet(TCP)
  const before = written()
  from.send('live', new Uint8Array(98))
  // Only promises: no tick is due before all of them.
  for (let step = 0; step < 20; step++) await undefined
  expect(hasLeft(before)).toBe(false)
  await take(to, 1)

  const [sent] = await counted(async () => {
    const before = written()
    from.send('live', new Uint8Array(98))
    from.send('live', new Uint8Array(98))
    from.flush()
    expect(hasLeft(before)).toBe(true)
    await take(to, 2)
  })
  // Together: one header of the multiplexer, one length and tag of the cipher.
  expect(sent).toBe(2 * 100 + 12 + 2 + 16)
})

test('a flush takes along what others have written to its connection in the same turn', async () => {
  const [a, b] = [await startHost(), await startHost()]
  const [[from, to], [otherFrom, otherTo]] = [await connect(a, b), await connect(a, b)]
  await sleep(300)
  otherFrom.send('live', new Uint8Array(98))
  const isCorked = () => sockets.some(({ writableCorked }) => writableCorked > 0)
  // Behind the tick that hands it to the socket, which is corked until the next one.
  const [wasCorked, remains] = await new Promise<boolean[]>((resolve) =>
    process.nextTick(() => {
      const wasCorked = isCorked()
      from.send('live', new Uint8Array(98))
      from.flush()
      resolve([wasCorked, isCorked()])
    }),
  )
  expect(wasCorked).toBe(true)
  expect(remains).toBe(false)
  await Promise.all([take(to, 1), take(otherTo, 1)])
})

test('who opens a stream hears that it stands before its handler is at work', async () => {
  const [a, b] = [await startHost(), await startHost()]
  let waits: boolean | undefined
  await b.handle('/test/handler', () => {
    waits = sockets.some(({ writableCorked }) => writableCorked > 0)
  })
  await a.dial(b.addresses(), '/test/handler')
  await until(() => waits !== undefined)
  expect(waits).toBe(false)
})

test('messages of several turns leave without waiting for each other', async () => {
  const [from, to] = await quiet(TCP)
  for (let at = 0; at < 20; at++) {
    from.send('live', Uint8Array.of(at))
    expect(await take(to, 1)).toEqual([{ lane: 'live', bytes: Uint8Array.of(at) }])
  }
})

test('a window is opened again after a part of it, not after each frame', async () => {
  const [from, to] = await quiet(TCP)
  const message = new Uint8Array(8 * 1024)
  const [, answered] = await counted(async () => {
    for (let at = 0; at < 256; at++) {
      from.send('bulk', message)
      await take(to, 1)
    }
  })
  // 2 MiB are eight windows: without an answer they could not have been sent.
  expect(answered).toBeGreaterThan(7 * 30)
  // The rest is what the hosts tell each other after a second, on a busy machine.
  expect(answered).toBeLessThan(100 * 30)
})

test('understands a peer that has libp2p as it comes', async () => {
  const [raw, to] = await rawStream(await startHost())
  const frame = Uint8Array.of(101, 1, ...new Uint8Array(100))
  const taken = take(to, 10_000)
  for (let at = 0; at < 10_000; at++) if (!raw.send(frame)) await raw.onDrain()
  expect(await taken).toHaveLength(10_000)
})
