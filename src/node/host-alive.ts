/**
 * `/kartoteka/alive/1`: a stream on which one side asks now and then and the other echoes. It finds out that
 * a connection is dead which no one has closed: after sleep, a change of address, a lost NAT mapping. It is
 * kept on the connection to each relay, and on each WebRTC connection, where its first answer is also the
 * proof that the connection works. The answering side begins with a greeting.
 */
import type { Connection, Stream } from '@libp2p/interface'
import { Channel } from './frames.js'

export const ALIVE_PROTOCOL = '/kartoteka/alive/1'

/** How often is asked, and how long an answer may take. */
export interface AlivePace {
  intervalMs: number
  timeoutMs: number
}

/** A relay has thousands of connections: noticed within 20 s, so that 30 s are enough to be connected again. */
export const RELAY_PACE: AlivePace = { intervalMs: 12_000, timeoutMs: 8_000 }

/** A NAT may forget a UDP mapping in seconds. When it has, the relayed path has to take over soon. */
export const RTC_PACE: AlivePace = { intervalMs: 3_000, timeoutMs: 4_000 }

/** The answering side gives a connection up that is asked nothing for so long: several of the other's intervals. */
export const RELAY_PATIENCE_MS = 60_000
export const RTC_PATIENCE_MS = 10_000

/** A timer that fires this much late was held up by this very process, or by sleep: the answer is not to blame. */
const LATE_MS = 1_500

/** A greeting and a question have a few bytes. */
const LIMITS = { maxMessageBytes: 8 }

const QUESTION = Uint8Array.of(1)

/** Streams of libp2p's own housekeeping don't count as use. */
const HOUSEKEEPING = '/ipfs/'

/** Whether nothing goes over a connection that is ours, or only such a protocol. */
export function isIdle({ streams }: Connection, except = ''): boolean {
  const isOurs = (protocol: string) => protocol !== '' && !protocol.startsWith(HOUSEKEEPING)
  return !streams.some(({ protocol }) => isOurs(protocol) && protocol !== except)
}

export interface Greeting {
  /** UDP port of the answering side's STUN responder; 0: it has none. */
  stunPort: number
}

/** Answers on a stream until it ends; a long silence ends its connection. */
export async function answerAlive(
  stream: Stream,
  connection: Connection,
  greeting: Greeting,
  patienceMs: number,
): Promise<void> {
  const channel = new Channel(stream, LIMITS)
  const silence = setTimeout(() => connection.abort(new Error('the other side is silent')), patienceMs)
  silence.unref()
  channel.send('live', Uint8Array.of(greeting.stunPort >> 8, greeting.stunPort & 255))
  try {
    for await (const { bytes } of channel.messages) {
      silence.refresh()
      channel.send('live', bytes)
    }
  } finally {
    clearTimeout(silence)
  }
}

/** The asking side. */
export class Alive {
  readonly #channel: Channel
  readonly #pace: AlivePace
  readonly #dead: () => void
  #timer: NodeJS.Timeout | undefined
  #asking = false
  #stopped = false

  private constructor(channel: Channel, pace: AlivePace, dead: () => void) {
    this.#channel = channel
    this.#pace = pace
    this.#dead = dead
  }

  /**
   * Opens the stream and resolves with the first answer. Rejects when there is none until the signal.
   * `dead` is called once, when a later answer fails to come or the stream ends.
   */
  static async open(
    connection: Connection,
    pace: AlivePace,
    signal: AbortSignal,
    dead: () => void,
  ): Promise<{ alive: Alive; greeting: Greeting }> {
    const stream = await connection.newStream(ALIVE_PROTOCOL, { signal, runOnLimitedConnection: true })
    const channel = new Channel(stream, LIMITS)
    const give = (): void => channel.abort(new Error('no answer in time'))
    signal.addEventListener('abort', give, { once: true })
    const messages = channel.messages[Symbol.asyncIterator]()
    channel.send('live', QUESTION)
    const greeting = await messages.next()
    const answer = await messages.next()
    signal.removeEventListener('abort', give)
    if (greeting.done === true || answer.done === true) throw new Error('the connection does not answer')
    const alive = new Alive(channel, pace, dead)
    void alive.#read(messages)
    alive.#arm(pace.intervalMs, () => alive.ask())
    const [high = 0, low = 0] = greeting.value.bytes
    return { alive, greeting: { stunPort: high * 256 + low } }
  }

  /** Asks now. */
  ask(): void {
    if (this.#asking || this.#stopped) return
    this.#asking = true
    this.#channel.send('live', QUESTION)
    this.#await()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    void this.#channel.close()
  }

  #await(again = true): void {
    this.#arm(this.#pace.timeoutMs, (late) => {
      // Held up ourselves: the answer may lie unread.
      if (late && again) this.#await(false)
      else this.#end()
    })
  }

  #arm(ms: number, fire: (late: boolean) => void): void {
    clearTimeout(this.#timer)
    const due = performance.now() + ms
    this.#timer = setTimeout(() => fire(performance.now() > due + LATE_MS), ms)
    this.#timer.unref()
  }

  async #read(messages: AsyncIterator<unknown>): Promise<void> {
    while ((await messages.next()).done !== true) {
      if (this.#stopped) return
      this.#asking = false
      this.#arm(this.#pace.intervalMs, () => this.ask())
    }
    this.#end()
  }

  #end(): void {
    if (this.#stopped) return
    this.stop()
    this.#dead()
  }
}
