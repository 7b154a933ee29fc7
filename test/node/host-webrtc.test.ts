import { RTCDataChannel } from 'node-datachannel/polyfill'
import { describe, expect, test, vi } from 'vitest'
import type { Channel } from '../../src/node/frames.js'
import type { Host } from '../../src/node/host.js'
import { befriend, behind, breakOff, opened, startRelay, take, text, until } from './host-helpers.js'

/** Two devices that can't be dialled and may arrange WebRTC, and a protocol that greets and echoes. */
async function pair(): Promise<[Host, Host, Host]> {
  const relay = await startRelay()
  const [a, b] = [await behind(relay), await behind(relay)]
  befriend(a, b)
  await b.handle('/echo/1', async (channel, remote) => {
    channel.send('live', text(`${remote.path} ${remote.id}`))
    for await (const message of channel.messages) channel.send(message.lane, message.bytes)
  })
  return [a, b, relay]
}

async function greeting(channel: Channel): Promise<string> {
  const [message] = await take(channel, 1)
  return new TextDecoder().decode(message?.bytes)
}

describe('WebRTC', () => {
  test('carries a channel; both sides call it direct and know each other', async () => {
    const [a, b] = await pair()
    const { channel, remote } = opened(await a.dialRtc(b.id, '/echo/1'))
    expect(remote).toMatchObject({ id: b.id, publicKey: b.publicKey, path: 'direct' })
    expect(await greeting(channel)).toBe(`direct ${a.id}`)
    channel.send('bulk', new Uint8Array(5_000_000).fill(9))
    const iterator = channel.messages[Symbol.asyncIterator]()
    expect((await iterator.next()).value?.bytes.byteLength).toBe(5_000_000)
  })

  test('text where bytes are due ends its channel, and nothing else', { timeout: 20_000 }, async () => {
    const [a, b] = await pair()
    const { channel } = opened(await a.dialRtc(b.id, '/echo/1'))
    await greeting(channel)
    // A length for the library, which would end the process, or hold as many bytes.
    const send = vi.spyOn(RTCDataChannel.prototype, 'send').mockImplementationOnce(function (
      this: RTCDataChannel,
    ) {
      this.send('-1')
    })
    channel.send('live', text('anything'))
    expect((await channel.closed).code).not.toBe('aborted')
    send.mockRestore()
    expect(await greeting(opened(await a.dialRtc(b.id, '/echo/1')).channel)).toBe(`direct ${a.id}`)
  })

  test('twenty connections in a row all stand: what hangs is tried again', { timeout: 120_000 }, async () => {
    const [a, b] = await pair()
    for (let i = 0; i < 20; i++) {
      const { channel } = opened(await a.dialRtc(b.id, '/echo/1'))
      expect(await greeting(channel)).toBe(`direct ${a.id}`)
      await channel.close()
      breakOff(a, b.id)
      await until(() => b.connections().every(({ id }) => id !== a.id))
    }
  })

  test('the circuit can go once it stands', async () => {
    const [a, b, relay] = await pair()
    const first = opened(await a.dialRelayed(b.id, '/echo/1'))
    const second = opened(await a.dialRtc(b.id, '/echo/1'))
    expect([await greeting(first.channel), await greeting(second.channel)]).toEqual([
      `relayed ${a.id}`,
      `direct ${a.id}`,
    ])
    await first.channel.close()
    a.closeIdle(b.id)
    await until(() => a.connections().filter(({ id }) => id === b.id).length === 1)
    second.channel.send('live', text('still here'))
    expect(await greeting(second.channel)).toBe('still here')
    expect(opened(await a.dial(b.id, '/echo/1')).remote.path).toBe('direct')
    await relay.stop()
    opened(await a.dial(b.id, '/echo/1'))
  })

  test('a stranger gets none, and so no addresses; the circuit stays', async () => {
    const [a, b] = await pair()
    b.admit(() => false)
    expect(await a.dialRtc(b.id, '/echo/1')).toHaveProperty('code')
    expect(opened(await a.dialRelayed(b.id, '/echo/1')).remote.path).toBe('relayed')
    expect(b.connections().filter(({ id }) => id === a.id)).toMatchObject([{ path: 'relayed' }])
  })

  test('without the other device it is a value, in time', async () => {
    const [a, b] = await pair()
    await b.stop()
    const started = performance.now()
    expect(await a.dialRtc(b.id, '/echo/1')).toMatchObject({ code: 'unreachable' })
    expect(performance.now() - started).toBeLessThan(10_000)
  })
})
