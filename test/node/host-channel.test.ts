import { describe, expect, test } from 'vitest'
import { MESSAGES_AT_ONCE } from '../../src/node/frames.js'
import { connect, rawStream, sleep, startHost, TCP, take, text, until, WS } from './host-helpers.js'

const MB = 1_000_000

async function pair(listen = TCP) {
  return [await startHost({ listen: [listen] }), await startHost({ listen: [listen] })] as const
}

describe.each([
  ['tcp', TCP],
  ['websocket', WS],
])('a channel over %s', (_name, listen) => {
  test('holds the sender while the reader sleeps, and loses nothing', { timeout: 60_000 }, async () => {
    const [a, b] = await pair(listen)
    const [from, to] = await connect(a, b)
    const message = new Uint8Array(MB).fill(9)
    let queued = 0
    const produce = async (): Promise<void> => {
      for (; queued < 100; await from.whenBulkLow()) {
        queued += 1
        from.send('bulk', message)
      }
    }
    void produce()
    let received = 0
    const iterator = to.messages[Symbol.asyncIterator]()
    for (let i = 0; i < 5; i++) received += (await iterator.next()).value?.bytes.byteLength ?? 0
    await sleep(500)
    const sentWhileAsleep = queued
    await sleep(500)
    expect(queued).toBe(sentWhileAsleep)
    expect(queued - 5).toBeLessThan(8)
    while (received < 100 * MB) received += (await iterator.next()).value?.bytes.byteLength ?? 0
    expect(received).toBe(100 * MB)
    expect(queued).toBe(100)
    expect(from.queuedBulkBytes).toBe(0)
  })

  test('lets live messages overtake bulk', async () => {
    const [a, b] = await pair(listen)
    const [from, to] = await connect(a, b)
    for (let i = 0; i < 10; i++) from.send('bulk', new Uint8Array(2 * MB))
    from.send('live', text('first'))
    const received = await take(to, 11)
    const position = received.findIndex((message) => message.lane === 'live')
    expect(position).toBeLessThan(2)
    expect(received).toHaveLength(11)
  })

  test('delivers everything before a close, also to a reader who comes late', async () => {
    const [a, b] = await pair(listen)
    const [from, to] = await connect(a, b)
    for (let i = 0; i < 40; i++) from.send('bulk', new Uint8Array(20_000).fill(i))
    const closing = from.close()
    await sleep(100)
    expect(from.send('live', text('late'))).toBe(false)
    let received = 0
    for await (const message of to.messages) {
      expect(message.bytes[0]).toBe(received++)
      await sleep(1)
    }
    expect(received).toBe(40)
    expect((await closing).code).toBe('closed')
    expect((await to.closed).code).toBe('closed')
  })
})

describe('a channel', () => {
  test('ends when the other side takes nothing', async () => {
    const [a, b] = await pair()
    const [from, to] = await connect(a, b, { from: { writeTimeoutMs: 400 } })
    from.send('bulk', new Uint8Array(20 * MB))
    const started = performance.now()
    let isLow = false
    void from.whenBulkLow()?.then(() => {
      isLow = true
    })
    expect((await from.closed).code).toBe('timeout')
    expect(performance.now() - started).toBeGreaterThan(350)
    // Who waits for room is not left waiting.
    expect(isLow).toBe(true)
    expect(from.queuedBulkBytes).toBe(0)
    expect((await to.closed).code).toBe('reset')
    expect(from.send('live', text('x'))).toBe(false)
  })

  test('ends when the other side takes nothing, also if its connection is busy otherwise', async () => {
    const [a, b] = await pair()
    const [stalled] = await connect(a, b, { from: { writeTimeoutMs: 800 } })
    const [from, to] = await connect(a, b)
    stalled.send('bulk', new Uint8Array(20 * MB))
    let going = true
    const reading = (async () => {
      for await (const message of to.messages) expect(message.lane).toBe('bulk')
    })()
    const produce = async (): Promise<void> => {
      for (; going; await from.whenBulkLow()) from.send('bulk', new Uint8Array(MB))
    }
    void produce()
    expect((await stalled.closed).code).toBe('timeout')
    going = false
    await from.close()
    await reading
  })

  test('goes on as long as a slow reader takes something', async () => {
    const [a, b] = await pair()
    const [from, to] = await connect(a, b, { from: { writeTimeoutMs: 400 } })
    for (let i = 0; i < 60; i++) from.send('bulk', new Uint8Array(100_000))
    let received = 0
    for await (const message of to.messages) {
      received += message.bytes.byteLength
      if (received % 500_000 === 0) await sleep(100)
      if (received === 6 * MB) break
    }
    expect(received).toBe(6 * MB)
    expect((await from.closed).code).toBe('closed')
  })

  test.each([
    ['garbage', [Uint8Array.from({ length: 5_000 }, (_, i) => 200 + (i % 50))]],
    ['an oversized frame', [Uint8Array.of(0x81, 0x80, 0x80, 0x02, 0)]],
    ['an oversized message', [Uint8Array.of(0xe9, 0x07, 0, ...new Uint8Array(1000))]],
    ['zero-length frames', [new Uint8Array(3)]],
  ])('ends at %s', async (_name, chunks) => {
    const [raw, to] = await rawStream(await startHost())
    for (const chunk of chunks) raw.send(chunk)
    expect(await take(to, 1)).toEqual([])
    expect(await to.closed).toMatchObject({ code: 'unreadable' })
  })

  test('leaves room for everything else in a flood of tiny messages', async () => {
    const [raw, to] = await rawStream(await startHost())
    const count = 30_000
    raw.send(new Uint8Array(2 * count).map((_, at) => (at + 1) % 2))
    let received = 0
    const reading = (async () => {
      for await (const _ of to.messages) if (++received === count) return
    })()
    let most = 0
    for (let before = 0; received < count; before = received) {
      await new Promise((resolve) => setImmediate(resolve))
      most = Math.max(most, received - before)
    }
    await reading
    expect(most).toBeLessThanOrEqual(2 * MESSAGES_AT_ONCE)
  })

  test('understands frames that come one byte at a time', async () => {
    const [raw, to] = await rawStream(await startHost())
    for (const byte of [3, 2, 1, 2, 2, 0, 3, 2, 1, 9]) {
      raw.send(Uint8Array.of(byte))
      await sleep(1)
    }
    expect(await take(to, 2)).toEqual([
      { lane: 'live', bytes: Uint8Array.of(1, 2, 3) },
      { lane: 'bulk', bytes: Uint8Array.of(9) },
    ])
  })

  test('tells a lost connection from a clean end', async () => {
    const [a, b] = await pair()
    const [from, to] = await connect(a, b)
    from.send('live', text('x'))
    await take(to, 1)
    from.abort(new Error('enough'))
    expect((await from.closed).code).toBe('aborted')
    expect((await to.closed).code).toBe('reset')
    const [again, other] = await connect(a, b)
    again.send('live', text('x'))
    await take(other, 1)
    await b.stop()
    await until(() => a.connections().length === 0)
    expect(['closed', 'lost']).toContain((await again.closed).code)
  })
})
