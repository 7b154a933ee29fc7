/**
 * `/kartoteka/alive/1`: a stream on which one side asks now and then and the other echoes. It finds out that
 * a connection is dead which no one has closed: after sleep, a change of address, a lost NAT mapping. It is
 * kept on the connection to each relay, and on each WebRTC connection, where its first answer is also the
 * proof that the connection works. The answering side begins with a greeting.
 *
 * A relay has thousands of connections that are quiet, and whether a quiet one still stands the two systems find out
 * between them, by TCP's own probes. They send none while something is on its way: then it is for us to ask.
 */
import type { Connection, Stream } from '@libp2p/interface'
import { Channel } from './frames.js'
import { socketUnder, type Traffic, trafficOf } from './host-thrift.js'

export const ALIVE_PROTOCOL = '/kartoteka/alive/1'

/** How often is asked, or looked whether there is need to, and how long an answer may take. */
export interface AlivePace {
  intervalMs: number
  timeoutMs: number
  /** A connection that the system watches is asked all the same when nothing has come for so long. */
  quietMs: number
}

/**
 * Noticed within 20 s, so that 30 s are enough to be connected again. Somewhat longer than the mailbox is quiet, whose
 * answer says as much; not as long as what stands between, such as a proxy, keeps a quiet connection (mostly 60 s).
 */
export const RELAY_PACE: AlivePace = { intervalMs: 11_000, timeoutMs: 8_000, quietMs: 52_000 }

/** A NAT may forget a UDP mapping in seconds. When it has, the relayed path has to take over soon. */
export const RTC_PACE: AlivePace = { intervalMs: 3_000, timeoutMs: 4_000, quietMs: 0 }

/** The answering side of a WebRTC connection gives it up that is asked nothing for so long. */
export const RTC_PATIENCE_MS = 10_000
/** A relay gives up a connection on which nothing comes for so long: two questions are lost by then. */
export const RELAY_PATIENCE_MS = 120_000

/**
 * The system probes a quiet connection after so long, and gives it up when ten probes, one each second, were not
 * answered: at a device within 20 s as well, at a relay before others wait in vain for whoever is behind it.
 */
export const DEVICE_PROBES_MS = 10_000
export const RELAY_PROBES_MS = 20_000

/** A timer that fires this much late was held up by this very process, or by sleep: the answer is not to blame. */
const LATE_MS = 1_500

/** A greeting and a question have a few bytes. */
const LIMITS = { maxMessageBytes: 8 }

const QUESTION = Uint8Array.of(1)

/** Answers that may wait to be taken: one question is asked at a time. */
const MAX_WAITING_BYTES = 64

/** Streams of libp2p's own housekeeping don't count as use. */
const HOUSEKEEPING = '/ipfs/'

/** Whether nothing goes over a connection that is ours, or only such a protocol. */
export function isIdle({ streams }: Connection, except = ''): boolean {
  const isOurs = (protocol: string) => protocol !== '' && !protocol.startsWith(HOUSEKEEPING)
  return !streams.some(({ protocol }) => isOurs(protocol) && protocol !== except)
}

/** From now on the system watches it while it is quiet. False where it can't: the connection is none of its own. */
export function letSystemWatch(connection: Connection, quietMs: number): boolean {
  const socket = socketUnder(connection)
  socket?.setKeepAlive(true, quietMs)
  return socket !== undefined
}

export interface Greeting {
  /** UDP port of the answering side's STUN responder; 0: it has none. */
  stunPort: number
}

/** Answers on a stream until it ends; `asked` is called for each question. */
export async function answerAlive(stream: Stream, greeting: Greeting, asked = () => {}): Promise<void> {
  const channel = new Channel(stream, LIMITS)
  channel.send('live', Uint8Array.of(greeting.stunPort >> 8, greeting.stunPort & 255))
  for await (const { bytes } of channel.messages) {
    // Who takes no answers doesn't ask whether we live: they would gather without end.
    if (bytes.length === 0 || channel.queuedLiveBytes > MAX_WAITING_BYTES) {
      channel.abort(new Error('the answers are not taken'))
      return
    }
    asked()
    channel.send('live', bytes)
  }
}

/** The same; a long silence ends the connection. */
export async function answerAliveOrEnd(
  stream: Stream,
  connection: Connection,
  greeting: Greeting,
  patienceMs: number,
): Promise<void> {
  const silence = setTimeout(() => connection.abort(new Error('the other side is silent')), patienceMs)
  silence.unref()
  await answerAlive(stream, greeting, () => silence.refresh()).finally(() => clearTimeout(silence))
}

/** The asking side. */
export class Alive {
  readonly #channel: Channel
  readonly #pace: AlivePace
  readonly #dead: () => void
  /** Of a connection that the system watches. */
  readonly #traffic: Traffic | undefined
  #timer: NodeJS.Timeout | undefined
  #asking = false
  #stopped = false

  private constructor(channel: Channel, pace: AlivePace, dead: () => void, traffic: Traffic | undefined) {
    this.#channel = channel
    this.#pace = pace
    this.#dead = dead
    this.#traffic = traffic
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
    const isWatched = letSystemWatch(connection, DEVICE_PROBES_MS)
    const alive = new Alive(channel, pace, dead, isWatched ? trafficOf(connection) : undefined)
    void alive.#read(messages)
    alive.#rest()
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

  #rest(): void {
    this.#arm(this.#pace.intervalMs, () => {
      if (this.#isInDoubt()) this.ask()
      else this.#rest()
    })
  }

  /** Something was sent and nothing has come since, or nothing has come for long. */
  #isInDoubt(): boolean {
    if (this.#traffic === undefined) return true
    const { saidAt, heardAt } = this.#traffic
    return saidAt > heardAt || performance.now() - heardAt >= this.#pace.quietMs
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
      this.#rest()
    }
    this.#end()
  }

  #end(): void {
    if (this.#stopped) return
    this.stop()
    this.#dead()
  }
}
