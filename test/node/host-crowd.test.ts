/** Those who have shown nothing yet, when there are too many of them: one of them goes, and who comes gets in. */
import { describe, expect, test } from 'vitest'
import { Crowd, type Standing } from '../../src/node/host-crowd.js'
import { publicKeyToPeerId } from '../../src/node/peer-id.js'
import { opened, portOf, silentSocket, startHost, startRelay, TCP, until, WS } from './host-helpers.js'

describe('a crowd', () => {
  function crowd(inAll: number, perNetwork: number, standings: Record<string, Standing> = {}) {
    const ended: string[] = []
    const judge = (one: string): Standing => standings[one] ?? 'idle'
    return { ended, crowd: new Crowd<string>({ inAll, perNetwork, judge, end: (one) => ended.push(one) }) }
  }

  test('loses whoever has been there longest, of the fullest network', () => {
    const { ended, crowd: all } = crowd(4, 4)
    for (const one of ['a1', 'b1', 'b2', 'b3', 'b4', 'a2']) all.add(one, one[0]!)
    expect(ended).toEqual(['b1', 'b2'])
    expect(all.size).toBe(4)
  })

  test('is bounded in each network', () => {
    const { ended, crowd: all } = crowd(100, 2)
    for (const one of ['a1', 'a2', 'b1', 'a3']) all.add(one, one[0]!)
    expect(ended).toEqual(['a1'])
  })

  test('spares the busy while others are idle, the newest in any case, and lets the known go in peace', () => {
    const { ended, crowd: all } = crowd(2, 2, { a1: 'known', a2: 'busy', a3: 'busy' })
    for (const one of ['a1', 'a2', 'a3']) all.add(one, 'a')
    expect(ended).toEqual([])
    for (const one of ['a4', 'a5']) all.add(one, 'a')
    expect(ended).toEqual(['a2', 'a4'])
    for (const one of ['a3', 'a5', 'a6', 'a2']) all.delete(one, 'a')
    expect([all.size, all.makeRoom('a')]).toEqual([0, false])
  })
})

test.each([
  ['TCP', TCP],
  ['WebSocket', WS],
])('sockets that wait for ever make room, those that are through stay: %s', async (_name, listen) => {
  const relay = await startRelay({ listen: [listen], maxConnectionsPerAddress: 4 })
  await relay.handle('/x/1', () => {})
  const devices = await Promise.all([startHost({ listen: [] }), startHost({ listen: [] })])
  for (const device of devices) opened(await device.dial(relay.addresses(), '/x/1'))
  const silent = await Promise.all(Array.from({ length: 9 }, () => silentSocket(portOf(relay))))
  await until(() => silent.filter(({ closed }) => closed).length === 7)
  const third = await startHost({ listen: [] })
  opened(await third.dial(relay.addresses(), '/x/1'))
  for (const device of [...devices, third]) expect(device.connections()).toHaveLength(1)
  for (const socket of silent) socket.destroy()
})

test('a device that is full of strangers takes its own, and the newest stranger', async () => {
  const device = await startHost({ maxConnections: 8 })
  await device.handle('/x/1', () => {})
  const members = await Promise.all(Array.from({ length: 4 }, () => startHost({ listen: [] })))
  const known = new Set(members.map(({ id }) => id))
  device.admit((key) => known.has(publicKeyToPeerId(key)))
  const strangers = await Promise.all(Array.from({ length: 10 }, () => startHost({ listen: [] })))
  for (const stranger of strangers) {
    opened(await stranger.dial(device.addresses(), '/x/1')).channel.abort(new Error('said nothing'))
  }
  for (const member of members) opened(await member.dial(device.addresses(), '/x/1'))
  await until(() => device.connections().length === members.length + 2)
  for (const member of members) expect(member.connections()).toHaveLength(1)
  expect(strangers.at(-1)!.connections()).toHaveLength(1)
})
