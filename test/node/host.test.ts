import { randomBytes } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, test } from 'vitest'
import { createHost } from '../../src/node/host.js'
import { isPlainAddress } from '../../src/node/host-address.js'
import { peerIdToPublicKey, publicKeyToPeerId } from '../../src/node/peer-id.js'
import { breakOff, connect, opened, portOf, startHost, TCP, take, text, until, WS } from './host-helpers.js'

describe('peer ids', () => {
  test('are keys in text, both ways', async () => {
    const host = await startHost()
    expect(publicKeyToPeerId(host.publicKey)).toBe(host.id)
    expect(peerIdToPublicKey(host.id)).toEqual(host.publicKey)
    expect(host.addresses().every((address) => address.endsWith(`/p2p/${host.id}`))).toBe(true)
  })

  test('nothing else is one', () => {
    const others = ['', 'x', 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N', '12D3KooW', '1'.repeat(60)]
    for (const id of [...others, 'z'.repeat(100_000), '\u{1f600}', 'bafzaajaiaejcal72gwuz2or47oyxxn6b3r']) {
      expect(peerIdToPublicKey(id)).toBeUndefined()
    }
  })
})

describe('two hosts', () => {
  test.each([
    ['tcp', TCP],
    ['websocket', WS],
  ])('exchange messages over %s and know each other', async (_name, listen) => {
    const [a, b] = [await startHost({ listen: [listen] }), await startHost({ listen: [listen] })]
    await b.handle('/echo/1', async (channel, remote) => {
      channel.send('live', text(remote.id))
      for await (const message of channel.messages) channel.send(message.lane, message.bytes)
    })
    const { channel, remote } = opened(await a.dial(b.addresses(), '/echo/1'))
    expect(remote).toMatchObject({ id: b.id, publicKey: b.publicKey })
    channel.send('bulk', new Uint8Array(100_000).fill(3))
    const [greeting, echo] = await take(channel, 2)
    expect(new TextDecoder().decode(greeting?.bytes)).toBe(a.id)
    expect(echo).toEqual({ lane: 'bulk', bytes: new Uint8Array(100_000).fill(3) })
    expect(a.connections()).toMatchObject([{ id: b.id, path: 'lan' }])
    expect((await channel.close()).code).toBe('closed')
  })

  test('use one connection for many channels, also by peer id', async () => {
    const [a, b] = [await startHost(), await startHost()]
    await connect(a, b)
    await b.handle('/x/1', () => {})
    opened(await a.dial(b.id, '/x/1'))
    expect(a.connections()).toHaveLength(1)
  })

  test('tell when connections go', async () => {
    const [a, b] = [await startHost(), await startHost()]
    const events: string[] = []
    b.onConnectionClosed((connection, last) => events.push(`closed ${connection.id} ${last}`))
    const [, channel] = await connect(a, b)
    breakOff(a, b.id)
    await until(() => events.length === 1)
    expect(events).toEqual([`closed ${a.id} true`])
    expect(['closed', 'lost', 'reset']).toContain((await channel.closed).code)
    expect(a.connections()).toEqual([])
  })

  test('150 quick honest reconnects from one address all succeed', { timeout: 60_000 }, async () => {
    const server = await startHost()
    await server.handle('/x/1', (channel) => {
      channel.send('live', text('hello'))
    })
    let succeeded = 0
    const client = async (): Promise<void> => {
      for (let i = 0; i < 10; i++) {
        const host = await startHost({ listen: [] })
        // On a busy machine an address may take longer than it gets; a refusal would come at once, and again.
        const dial = () => host.dial(server.addresses(), '/x/1', { timeoutMs: 20_000 })
        let result = await dial()
        if ('code' in result && /timeout/.test(result.detail ?? '')) result = await dial()
        const { channel } = opened(result)
        succeeded += (await take(channel, 1)).length
        await host.stop()
      }
    }
    await Promise.all(Array.from({ length: 15 }, client))
    expect(succeeded).toBe(150)
  })
})

describe('dialling', () => {
  test('every expected failure is a value with a sentence', async () => {
    const [a, b] = [await startHost(), await startHost()]
    await b.handle('/x/1', () => {})
    const code = async (target: string | string[], options = {}, protocol = '/x/1'): Promise<string> => {
      const result = await a.dial(target, protocol, options)
      if (!('code' in result)) return 'opened'
      expect(result.sentence).toMatch(/^[A-Z].*\.$/)
      return result.code
    }
    const port = portOf(b)
    const stranger = publicKeyToPeerId(randomBytes(32))
    expect(await code('nobody')).toBe('bad-address')
    expect(await code([])).toBe('bad-address')
    expect(await code(['/ip4/1.2.3'])).toBe('bad-address')
    expect(
      await code([`/ip4/127.0.0.1/tcp/${port}/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N`]),
    ).toBe('bad-address')
    expect(await code(a.addresses())).toBe('self')
    expect(await code([`/ip4/127.0.0.1/tcp/${portOf(a)}`])).toBe('self')
    expect(await code(stranger)).toBe('unreachable')
    expect(await code(['/ip4/127.0.0.1/tcp/1'])).toBe('unreachable')
    expect(await code([`/ip4/127.0.0.1/tcp/${port}/p2p/${stranger}`])).toBe('wrong-peer')
    expect(await code(b.addresses(), {}, '/y/1')).toBe('no-such-protocol')
    expect(await code(b.addresses(), { signal: AbortSignal.abort() })).toBe('aborted')
    expect(await code(['/dnsaddr/example.invalid'])).toBe('unreachable')

    const silent = createServer(() => {})
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port: silentPort } = silent.address() as { port: number }
    expect(await code([`/ip4/127.0.0.1/tcp/${silentPort}`], { timeoutMs: 200 })).toBe('timeout')
    silent.close()
    expect(await code(b.addresses())).toBe('opened')
  })

  test('one by WebSocket that was given up, and of which the system says later that it failed, ends no process', async () => {
    const uncaught: unknown[] = []
    const note = (error: unknown) => uncaught.push(error)
    process.on('uncaughtExceptionMonitor', note)
    const sockets: Socket[] = []
    const silent = createServer((socket) => sockets.push(socket))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as { port: number }
    const host = await startHost()
    const dialled = await host.dial([`/ip4/127.0.0.1/tcp/${port}/ws`], '/x/1', { timeoutMs: 200 })
    expect(dialled).toMatchObject({ code: 'timeout' })
    for (const socket of sockets) socket.destroy()
    silent.close()
    await new Promise((resolve) => setTimeout(resolve, 100))
    process.off('uncaughtExceptionMonitor', note)
    expect(sockets.length).toBeGreaterThan(0)
    expect(uncaught).toEqual([])
  })
})

describe('listening', () => {
  async function occupy(): Promise<[Server, number]> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return [server, (server.address() as { port: number }).port]
  }

  test.each(['', '/ws'])('a port in use gives a sentence that names the address (tcp%s)', async (suffix) => {
    const [server, port] = await occupy()
    const address = `/ip4/127.0.0.1/tcp/${port}${suffix}`
    const result = await createHost({ privateKey: randomBytes(32), listen: [TCP, WS, address] })
    server.close()
    expect(result).toEqual({
      code: 'listen-failed',
      address,
      sentence: `Kartoteka can't listen on ${address}: another program uses this port. Stop it, or choose another port.`,
    })
  })

  test.each(['nonsense', '/ip4/127.0.0.1/udp/0', '/dns4/localhost/tcp/0', '/ip4/203.0.113.1/tcp/0'])(
    'an unusable address is refused: %s',
    async (address) => {
      const result = await createHost({ privateKey: randomBytes(32), listen: [TCP, address] })
      expect(result).toMatchObject({ code: 'listen-failed', address })
    },
  )
})

describe('addresses of others', () => {
  test('count only when no name has to be looked up', () => {
    const plain = (address: string): boolean => isPlainAddress(multiaddr(address))
    expect(plain('/ip4/10.0.0.1/tcp/4001')).toBe(true)
    expect(plain(`/ip6/fd00::1/tcp/4001/ws/p2p/${publicKeyToPeerId(randomBytes(32))}`)).toBe(true)
    for (const address of [
      '/dns4/evil.example/tcp/1',
      '/dnsaddr/evil.example',
      '/dns/a.example/tcp/443/tls/ws',
    ]) {
      expect(plain(address)).toBe(false)
    }
  })
})

describe('the local network', () => {
  test('two hosts find each other within five seconds', { timeout: 15_000 }, async () => {
    const listen = ['/ip4/0.0.0.0/tcp/0']
    const [a, b] = [await startHost({ lan: true, listen }), await startHost({ lan: true, listen })]
    const started = performance.now()
    const find = (finder: typeof a, id: string) =>
      new Promise<string[]>((resolve) => {
        finder.onPeerFound((peer) => {
          expect(peer.id).not.toBe(finder.id)
          if (peer.id === id) resolve(peer.addresses)
        })
      })
    const [addresses] = await Promise.all([find(a, b.id), find(b, a.id)])
    expect(performance.now() - started).toBeLessThan(5_000)
    await b.handle('/x/1', () => {})
    expect(opened(await a.dial(addresses, '/x/1')).remote.id).toBe(b.id)
  })
})
