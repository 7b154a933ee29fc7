/**
 * The channels of a WebRTC connection, mended. The library takes text where bytes are due for the length of a list: one
 * word would end the process, or hold gigabytes of zeros.
 */
import type { Connection, Stream } from '@libp2p/interface'

interface DataChannel {
  onmessage: ((event: { data: unknown }) => unknown) | null
  close(): void
}

/** What the library has inside; instances are adapted, never its classes. */
interface InnerMuxer {
  streams: RtcStream[]
  onDataChannel(channel: DataChannel, ...early: unknown[]): void
  onCreateStream(options: unknown): Promise<RtcStream>
}
type RtcStream = Stream & { channel: DataChannel }

/** For a connection that has just been opened. */
export function takeOnlyBytes(connection: Connection): void {
  const muxer = Reflect.get(connection, 'muxer') as InnerMuxer
  for (const { channel } of muxer.streams) guard(channel)
  const come = muxer.onDataChannel.bind(muxer)
  muxer.onDataChannel = (channel, ...early) => {
    come(channel, ...early)
    guard(channel)
  }
  const create = muxer.onCreateStream.bind(muxer)
  muxer.onCreateStream = async (options) => {
    const stream = await create(options)
    guard(stream.channel)
    return stream
  }
}

function guard(channel: DataChannel): void {
  const take = channel.onmessage
  channel.onmessage = (event) => (event.data instanceof ArrayBuffer ? take?.(event) : channel.close())
}
