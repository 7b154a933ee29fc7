/**
 * Whether another process has this device's key, as where a data folder was copied. It is announced on the local
 * network like this one, from elsewhere. Announcements prove nothing, and a handshake could be one with ourselves by a
 * detour: so a node with a key of its own dials there, has the key proved, and asks with a number that nobody knows. If
 * it comes back, and this process was not the one that was asked, another one is there.
 */
import { randomBytes } from 'node:crypto'
import type { Stream } from '@libp2p/interface'
import type { Libp2p } from 'libp2p'
import { equalBytes } from '../protocol/bytes.js'
import { Channel } from './frames.js'
import { openStream } from './host-dial.js'
import { createNode } from './host-node.js'
import { Transports } from './host-transports.js'

const TWIN_PROTOCOL = '/kartoteka/twin/1'
const NUMBER_BYTES = 8
/** How often an announcement from elsewhere is looked at, and for how long. */
const INTERVAL_MS = 2_000
const TIMEOUT_MS = 3_000
const LIMITS = { maxMessageBytes: NUMBER_BYTES }

export interface TwinSeekerOptions {
  node: Libp2p
  /** Where this process is reached. */
  addresses: () => string[]
  /** There is one, just now. */
  found: () => void
}

export class TwinSeeker {
  /** What is being asked elsewhere; undefined once this very process was asked it. */
  private asked: Uint8Array | undefined
  private nextAt = 0
  private readonly end = new AbortController()

  constructor(private readonly options: TwinSeekerOptions) {}

  /** Anybody may ask: the answer says only that the key is here. */
  async answer(): Promise<void> {
    await this.options.node.handle(TWIN_PROTOCOL, async (stream: Stream) => {
      const channel = new Channel(stream, LIMITS)
      const giveUp = setTimeout(() => channel.abort(new Error('nothing was asked')), TIMEOUT_MS)
      for await (const { bytes } of channel.messages) {
        if (this.asked && equalBytes(bytes, this.asked)) this.asked = undefined
        channel.send('live', bytes)
        break
      }
      clearTimeout(giveUp)
      void channel.close()
    })
  }

  /** Somebody announces this device at these addresses. */
  async look(announced: string[]): Promise<void> {
    const elsewhere = this.elsewhere(announced)
    const now = performance.now()
    if (elsewhere.length === 0 || now < this.nextAt || this.end.signal.aborted) return
    this.nextAt = Number.POSITIVE_INFINITY
    try {
      const number = Uint8Array.from(randomBytes(NUMBER_BYTES))
      this.asked = number
      const isAnswered = await this.ask(elsewhere, number)
      if (isAnswered && this.asked) this.options.found()
    } catch {
      // What answers there is anybody's guess; it is asked again.
    } finally {
      this.nextAt = performance.now() + INTERVAL_MS
    }
  }

  stop(): void {
    this.end.abort()
  }

  /** None while the system names no addresses of this computer. */
  private elsewhere(announced: string[]): string[] {
    try {
      const own = new Set(this.options.addresses())
      return announced.filter((address) => !own.has(address))
    } catch {
      return []
    }
  }

  private async ask(addresses: string[], number: Uint8Array): Promise<boolean> {
    const options = { privateKey: Uint8Array.from(randomBytes(32)), listen: [], maxConnections: 4 }
    const transports = new Transports()
    const asking = await createNode(options, transports)
    try {
      const signal = AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), this.end.signal])
      const opened = await openStream(asking, addresses, TWIN_PROTOCOL, { timeoutMs: TIMEOUT_MS, signal })
      if ('code' in opened) return false
      const channel = new Channel(opened.stream, LIMITS)
      signal.addEventListener('abort', () => channel.abort(new Error('no answer')))
      channel.send('live', number)
      for await (const { bytes } of channel.messages) return equalBytes(bytes, number)
      return false
    } finally {
      await asking.stop()
      transports.destroySockets()
    }
  }
}
