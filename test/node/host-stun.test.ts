import { createSocket, type Socket } from 'node:dgram'
import { isIPv4 } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { answerStun, type Stun, startStun } from '../../src/node/host-stun.js'

const ids = Uint8Array.from({ length: 12 }, (_, i) => 0xa0 + i)
const request = Uint8Array.of(0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, ...ids)
const home = { address: '192.0.2.1', port: 32853 }

/** A copy of the request with some bytes changed. */
function with_(changes: Record<number, number>, extra: number[] = []): Uint8Array {
  const packet = Uint8Array.of(...request, ...extra)
  for (const [at, byte] of Object.entries(changes)) packet[Number(at)] = byte
  return packet
}

const opened: { close(): unknown }[] = []
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close()
})

async function start(hosts: string[], port = 0): Promise<Stun> {
  const stun = await startStun(hosts, port)
  if ('code' in stun) throw new Error(stun.code)
  opened.push(stun)
  return stun
}

/** What comes back, within a while. */
function ask(
  packet: Uint8Array,
  host: string,
  port: number,
  waitMs = 300,
): Promise<[Uint8Array | undefined, Socket]> {
  const socket = createSocket(isIPv4(host) ? 'udp4' : 'udp6')
  opened.push(socket)
  return new Promise((resolve) => {
    socket.once('message', (answer) => resolve([answer, socket]))
    socket.send(packet, port, host)
    setTimeout(() => resolve([undefined, socket]), waitMs)
  })
}

describe('an answer', () => {
  test('is that of RFC 5769, 2.2, without what is optional there', () => {
    // The transaction id of that sample response, and its XOR-MAPPED-ADDRESS: 192.0.2.1 port 32853.
    const id = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae]
    const packet = Uint8Array.of(...request.subarray(0, 8), ...id)
    expect([...(answerStun(packet, home) ?? [])]).toEqual([
      ...[1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42, ...id],
      ...[0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43],
    ])
  })

  test('is that of RFC 5769, 2.3, for IPv6', () => {
    const id = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae]
    const packet = Uint8Array.of(...request.subarray(0, 8), ...id)
    const from = { address: '2001:db8:1234:5678:11:2233:4455:6677', port: 32853 }
    expect([...(answerStun(packet, from)?.subarray(20) ?? [])]).toEqual([
      ...[0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79],
      ...[0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9],
    ])
  })

  test('an IPv4 address in IPv6 clothes is IPv4, a short IPv6 address and a zone are understood', () => {
    const plain = answerStun(request, home)
    expect(answerStun(request, { ...home, address: '::ffff:192.0.2.1' })).toEqual(plain)
    const loopback = answerStun(request, { address: '::1', port: 1 })
    expect(loopback?.byteLength).toBe(44)
    expect(loopback?.[43]).toBe(1 ^ 0xab)
    expect(answerStun(request, { address: 'fe80::1%eth0', port: 1 })).toEqual(
      answerStun(request, { address: 'fe80:0:0:0:0:0:0:1', port: 1 }),
    )
  })

  test('attributes of the request are not repeated, so no answer is longer than 44 bytes', () => {
    const software = [0x80, 0x22, 0, 4, 1, 2, 3, 4]
    expect(answerStun(with_({ 3: 8 }, software), home)).toEqual(answerStun(request, home))
    expect(answerStun(request, home)?.byteLength).toBe(32)
  })

  test.each([
    ['an empty packet', new Uint8Array(0)],
    ['a header cut short', request.subarray(0, 19)],
    ['another cookie', with_({ 4: 0x20 })],
    ['a response, so two responders never talk to each other', with_({ 0: 1 })],
    ['an indication', with_({ 1: 0x11 })],
    ['another method', with_({ 1: 3 })],
    ['a length beyond the packet', with_({ 3: 4 })],
    ['bytes after the length', with_({}, [1, 2, 3, 4])],
    ['a length that is no multiple of four', with_({ 3: 3 }, [1, 2, 3])],
    ['a packet as long as a fragment', with_({ 2: 4 }, new Array(1024).fill(0))],
  ])('none to %s', (_name, packet) => {
    expect(answerStun(packet, home)).toBeUndefined()
  })

  test('none to an address that is none', () => {
    for (const address of ['', 'x', '1.2.3', '1::2::3', '::gggg', '1:2:3'])
      expect(answerStun(request, { address, port: 1 })).toBeUndefined()
    expect(answerStun(request, { ...home, port: 0 })).toBeUndefined()
  })
})

describe('the responder', () => {
  test.each([
    ['127.0.0.1', 32],
    ['::1', 44],
  ])('tells a socket at %s its own port', async (host, bytes) => {
    const { port } = await start([host])
    const [answer, socket] = await ask(request, host, port)
    expect(answer?.byteLength).toBe(bytes)
    const view = new DataView(Uint8Array.from(answer ?? []).buffer)
    expect(view.getUint16(26) ^ 0x2112).toBe(socket.address().port)
  })

  test('keeps silent otherwise, and goes on', async () => {
    const { port } = await start(['127.0.0.1'])
    expect((await ask(with_({ 0: 1 }), '127.0.0.1', port))[0]).toBeUndefined()
    expect((await ask(request, '127.0.0.1', port))[0]).toBeDefined()
  })

  test('has one port for both families', async () => {
    const { port } = await start(['127.0.0.1', '::1'])
    expect((await ask(request, '127.0.0.1', port))[0]).toBeDefined()
    expect((await ask(request, '::1', port))[0]).toBeDefined()
  })

  test('a port in use is told', async () => {
    const { port } = await start(['127.0.0.1'])
    expect(await startStun(['127.0.0.1'], port)).toEqual({ code: 'EADDRINUSE', host: '127.0.0.1', port })
  })
})
