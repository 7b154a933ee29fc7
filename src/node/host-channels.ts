/** The channels that are open now, each over its connection. */
import type { Connection, Stream } from '@libp2p/interface'
import { Channel, type ChannelOptions } from './frames.js'

/** How long a stop waits for channels to send what they hold. */
const STOP_TIMEOUT_MS = 500

export class Channels {
  readonly #open = new Map<Channel, Connection>()

  /** A channel over a new stream, for as long as it is open. */
  adopt(stream: Stream, connection: Connection, options: ChannelOptions): Channel {
    const channel = new Channel(stream, options)
    this.#open.set(channel, connection)
    void channel.closed.then(() => this.#open.delete(channel))
    return channel
  }

  /** Connections over which some channel is open. */
  busy(): Set<Connection> {
    return new Set(this.#open.values())
  }

  /** Closes all: what they hold is sent, within a moment. */
  async stop(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise((resolve) => {
      timer = setTimeout(resolve, STOP_TIMEOUT_MS)
    })
    await Promise.race([Promise.all([...this.#open.keys()].map((channel) => channel.close())), timeout])
    clearTimeout(timer)
    for (const channel of this.#open.keys()) channel.abort(new Error('This device is stopping.'))
  }
}
