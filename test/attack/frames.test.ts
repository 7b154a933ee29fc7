/** Strangers who know the frames of the multiplexer and the names of all protocols, and mean nothing by them. */
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import type { Host } from '../../src/node/host.js'
import { connect, sleep, startHost, startRelay, TCP, take, text, until, WS } from '../node/host-helpers.js'
import { type Below, frame, sendBelow, startNode } from '../node/host-stranger.js'
import { type Random, seeded } from '../support/random.js'

const CONNECTIONS = 40
const MAX_HELD_MS = 3_000

const PROTOCOLS = [
  ...['/ipfs/id/1.0.0', '/libp2p/circuit/relay/0.2.0/hop', '/libp2p/circuit/relay/0.2.0/stop'],
  ...['/webrtc-signaling/0.0.1', '/kartoteka/alive/1', '/kartoteka/twin/1', '/nobody/1', 'ls', 'na', ''],
]
const line = (word: string) => Buffer.from(`${String.fromCharCode(word.length + 1)}${word}\n`)

/** With its length before it, or not; some begin as questions to a relay do. */
function message(random: Random): Uint8Array {
  const bytes = random.bytes(random.int(0, 120))
  const heads = [[], [8, 0], [8, 1, 18, bytes.length, 10, bytes.length - 2], [8, 2, 32, 100]]
  const whole = Buffer.concat([Uint8Array.from(random.pick(heads)), bytes])
  return random() < 0.7 ? Buffer.concat([Uint8Array.of(whole.length), whole]) : whole
}

function* talk(random: Random): Generator<Uint8Array> {
  const ids = [1]
  const said = (bytes: Uint8Array, flags = 0) =>
    Buffer.concat([frame(0, flags, random.pick(ids), bytes.length), bytes])
  for (let left = random.int(20, 120); left > 0; left--) {
    const kind = random.int(0, 9)
    if (kind < 3) {
      ids.unshift(random.pick([1, 3, 2, 0xffff_ffff, random.int(4, 200)]))
      yield frame(random.pick([0, 1, 1, 1]), random.pick([1, 1, 1, 5, 9, 13]), ids[0]!, 0)
      yield Buffer.concat([frame(0, 0, ids[0]!, 20), line('/multistream/1.0.0')])
      const word = line(random.pick(PROTOCOLS))
      yield Buffer.concat([frame(0, 0, ids[0]!, word.length), word])
    } else if (kind < 7) yield said(message(random), random.pick([0, 0, 0, 0, 1, 2, 4, 8, 15]))
    else if (kind === 7)
      yield frame(
        1,
        random.pick([0, 2, 4, 8]),
        random.pick(ids),
        random.pick([0, 1, 11, 12, 65_536, 0xffff_ffff]),
      )
    else if (kind === 8) yield frame(2, random.pick([1, 1, 1, 2, 0]), 0, random.int(0, 9))
    else if (random() < 0.2)
      yield frame(
        random.int(0, 5),
        random.int(0, 15),
        random.int(0, 3),
        random.pick([0, 1, 5, 70_000, 0xffff_ffff]),
      )
  }
}

async function bother(host: Host, random: Random): Promise<void> {
  const stranger = await startNode([])
  const address = random.pick(host.addresses().filter((each) => each.includes('127.0.0.1')))
  const connection = await stranger.dial(multiaddr(address))
  const muxer = Reflect.get(connection, 'muxer') as { maConn: Below; onData(): void }
  muxer.onData = () => {}
  for (const bytes of talk(random)) await sendBelow(muxer.maConn, bytes).catch(() => {})
  if (random() < 0.5) connection.abort(new Error('bored'))
  await stranger.stop()
}

for (const [name, start] of [
  ['a device', () => startHost({ listen: [TCP, WS] })],
  ['a relay', () => startRelay({ listen: [TCP, WS] })],
] as const)
  test(`${name} goes on, whatever strangers say`, { timeout: 60_000 }, async () => {
    const host = await start()
    let [last, held] = [performance.now(), 0]
    const timer = setInterval(() => {
      held = Math.max(held, performance.now() - last)
      last = performance.now()
    }, 10)
    for (let seed = 1; seed <= CONNECTIONS; seed++) await bother(host, seeded(seed))
    await sleep(20)
    clearInterval(timer)
    expect(held).toBeLessThan(MAX_HELD_MS)
    const [from, to] = await connect(await startHost(), host)
    from.send('live', text('still here'))
    expect(await take(to, 1)).toHaveLength(1)
    from.abort(new Error('that was all'))
    await until(() => host.connections().length <= 1)
  })
