/** What a stranger says where nobody takes it: at the door of a protocol, and byte by byte. */
import { expect, test } from 'vitest'
import { until } from './host-helpers.js'
import { ASKED, type Below, DATA, frame, sendBelow, stranger, WINDOW } from './host-stranger.js'

interface Carrier {
  onData(data: Uint8Array): void
}
interface Decoder {
  buffer: { byteLength: number; bufs: unknown[] }
}

const STREAM = 1001
const line = (text: string) => Uint8Array.of(text.length + 1, ...new TextEncoder().encode(`${text}\n`))

function said(bytes: Uint8Array): Uint8Array {
  const whole = frame(DATA, 0, STREAM, bytes.length, bytes.length)
  whole.set(bytes, 12)
  return whole
}

/** The same in frames of one byte each. */
const inBytes = (bytes: Uint8Array) => Buffer.concat([...bytes].map((byte) => said(Uint8Array.of(byte))))

async function begin(below: Below): Promise<void> {
  await sendBelow(below, frame(WINDOW, ASKED, STREAM, 0))
  await sendBelow(below, said(line('/multistream/1.0.0')))
}

test('who asks for protocols without end is not heard any longer', async () => {
  const { node, below } = await stranger()
  await begin(below)
  const question = inBytes(Buffer.concat(Array(100).fill(line('no'))))
  for (let round = 0; round < 50 && node.getConnections().length > 0; round++)
    await sendBelow(below, question).catch(() => {})
  await until(() => node.getConnections().length === 0)
})

test('nothing gathers at a protocol that reads nothing', async () => {
  const { node, below } = await stranger()
  await begin(below)
  await sendBelow(below, said(line('/ipfs/id/1.0.0')))
  const bytes = inBytes(new Uint8Array(1_000))
  for (let round = 0; round < 50 && node.getConnections().length > 0; round++)
    await sendBelow(below, bytes).catch(() => {})
  await until(() => node.getConnections().length === 0)
})

test('what waits in pieces of one byte waits in few', async () => {
  const { node, stream, channel, below } = await stranger()
  const bytes = Buffer.concat(Array(10_000).fill(frame(DATA, 0, Number(stream.id), 1, 1)))
  const arrived = node.getConnections()[0]!.streams.find(({ protocol }) => protocol === '/bounds/1')!
  arrived.pause()
  await sendBelow(below, bytes)
  await until(() => arrived.readBufferLength === 10_000)
  const { bufs } = Reflect.get(arrived, 'readBuffer') as { bufs: unknown[] }
  expect(bufs.length).toBeLessThan(600)
  channel.abort(new Error('that was all'))
})

test('a message of Noise in pieces of one byte is gathered in few', async () => {
  const { node } = await stranger()
  const muxer = Reflect.get(node.getConnections()[0]!, 'muxer') as {
    maConn: { stream: Carrier; decoder: Decoder }
  }
  const { stream, decoder } = muxer.maConn
  stream.onData(Uint8Array.of(0xea, 0x60))
  for (let i = 0; i < 10_000; i++) stream.onData(new Uint8Array(1))
  expect(decoder.buffer.byteLength).toBe(10_002)
  expect(decoder.buffer.bufs.length).toBeLessThan(300)
})
