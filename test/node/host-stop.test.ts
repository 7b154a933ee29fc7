/** In a file of its own: it counts what keeps the process alive, and other tests leave timers that end later. */
import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createHost } from '../../src/node/host.js'
import { connect, portOf, silentSocket, sleep, startHost, TCP, WS } from './host-helpers.js'

describe('stopping', () => {
  function busy(): string[] {
    return process.getActiveResourcesInfo().filter((name) => /TCP|UDP|Timeout/.test(name))
  }

  test('leaves no socket and no timer, whatever is open', { timeout: 10_000 }, async () => {
    const before = busy()
    const [a, b] = [
      await startHost({ lan: true, listen: [TCP, WS] }),
      await startHost({ lan: true, listen: [WS] }),
    ]
    const [channel] = await connect(a, b)
    channel.send('bulk', new Uint8Array(8_000_000))
    const failed = await createHost({
      privateKey: randomBytes(32),
      listen: [TCP, `/ip4/127.0.0.1/tcp/${portOf(a)}`],
    })
    expect(failed).toHaveProperty('code')
    const sockets = await Promise.all([silentSocket(portOf(b)), silentSocket(portOf(a))])
    await sleep(50)
    const started = performance.now()
    await Promise.all([a.stop(), b.stop()])
    expect(performance.now() - started).toBeLessThan(3_000)
    for (const socket of sockets) socket.destroy()
    // The debounce of libp2p's address book is over within a second.
    await sleep(1_100)
    expect(busy().filter((name) => name !== 'Timeout')).toEqual([])
    expect(busy().length).toBeLessThanOrEqual(before.length)
    expect(await a.dial(b.addresses(), '/x/1')).toMatchObject({ code: 'aborted' })
  })
})
