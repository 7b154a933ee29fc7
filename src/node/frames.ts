/**
 * A channel: messages in two lanes over one libp2p stream, with true backpressure both ways.
 *
 * Sending: live before bulk, bulk in small fragments, nothing handed to the stream that it can't take. What is
 * sent within one turn of the event loop leaves together, since each write costs a message of every layer below;
 * only a flush does not wait for the end of the turn.
 * Receiving: a consumer that is slow pauses the stream, and so holds the sender. (libp2p by itself
 * reads on and buffers.) What is unfinished when a channel ends is lost without a sign to the sender:
 * only acknowledgements of the protocol above say what arrived.
 */
import { setImmediate } from 'node:timers/promises'
import type { Stream, StreamCloseEvent } from '@libp2p/interface'
import { pipe } from 'it-pipe'
import { concat } from '../protocol/bytes.js'
import { FrameDecoder, type Lane, MAX_MESSAGE_BYTES, type Message } from '../protocol/framing.js'
import { FragmentQueue } from './host-queue.js'
import { StreamSource } from './host-source.js'
import { sendNow } from './host-thrift.js'

/**
 * One bulk fragment: the longest thing of our own that a live message waits for. Each is a message of the
 * multiplexer and of the cipher, and is answered by one, so smaller ones cost more than they carry.
 */
export const BULK_FRAGMENT_BYTES = 60 * 1024

/** Live messages only wait for each other; the size keeps single writes moderate. */
const LIVE_FRAGMENT_BYTES = 64 * 1024

/** Frames that fit into so much are one write: not more than one bulk fragment is anyway. */
const WRITE_BYTES = BULK_FRAGMENT_BYTES

/** Below this much queued bulk its producer is asked for more: a few fragments ahead of the wire. */
export const BULK_LOW_WATER_BYTES = 128 * 1024

/**
 * So many messages, and pieces of them, are read within one turn of the event loop. Tens of thousands of tiny ones come at
 * a time: without a pause whoever goes on sending them would have this process to itself.
 */
export const MESSAGES_AT_ONCE = 256

/** A peer that takes nothing for this long is treated as gone. */
export const WRITE_TIMEOUT_MS = 30_000

/** How long a close waits for the other side's. */
const CLOSE_TIMEOUT_MS = 5_000

/**
 * How a channel ended: `closed` cleanly by either side, `lost` with its connection, `reset` by the other
 * side, `timeout` because the other side took nothing, `unreadable` for bytes that are no frames, or
 * `aborted` here.
 */
export interface ChannelEnd {
  code: 'closed' | 'lost' | 'reset' | 'timeout' | 'unreadable' | 'aborted'
  sentence: string
}

export interface ChannelOptions {
  /** Of a message of the other side, whole. */
  maxMessageBytes?: number
  writeTimeoutMs?: number
  closeTimeoutMs?: number
}

export class Channel {
  /** Incoming messages, to be iterated once. Ends without an error however the channel ends: see `closed`. */
  readonly messages: AsyncIterable<Message>
  /** Never rejects. */
  readonly closed: Promise<ChannelEnd>

  readonly #stream: Stream
  readonly #source: StreamSource
  readonly #decoder: FrameDecoder
  readonly #writeTimeoutMs: number
  readonly #closeTimeoutMs: number
  readonly #live = new FragmentQueue('live', LIVE_FRAGMENT_BYTES)
  readonly #bulk = new FragmentQueue('bulk', BULK_FRAGMENT_BYTES)
  /** Whoever waits for room in the bulk queue. */
  #bulkLow: Promise<void> | undefined
  #tellBulkLow: (() => void) | undefined
  #blocked = false
  #pumpIsDue = false
  /** What the stream itself still held when we last looked; less of it is progress. */
  #unsentByStream = 0
  #stalled: NodeJS.Timeout | undefined
  #closing: NodeJS.Timeout | undefined
  #finishing = false
  #remoteFinished = false
  #end: ChannelEnd | undefined
  #resolveClosed!: (end: ChannelEnd) => void

  constructor(stream: Stream, options: ChannelOptions = {}) {
    this.#stream = stream
    this.#writeTimeoutMs = options.writeTimeoutMs ?? WRITE_TIMEOUT_MS
    this.#closeTimeoutMs = options.closeTimeoutMs ?? CLOSE_TIMEOUT_MS
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    // Listeners must not throw: an exception inside an event target ends the process.
    stream.addEventListener('drain', this.#drained)
    stream.addEventListener('remoteCloseWrite', this.#remoteClosed)
    stream.addEventListener('close', this.#streamClosed)
    this.#source = new StreamSource(stream)
    this.#decoder = new FrameDecoder(options.maxMessageBytes)
    this.messages = pipe(this.#source.chunks(), (chunks) => this.#decode(chunks, this.#decoder))
    if (stream.status !== 'open') this.#finish('lost', 'The connection is gone.')
  }

  /** Bytes of each lane that the stream has not taken yet. */
  get queuedBulkBytes(): number {
    return this.#bulk.byteLength
  }

  get queuedLiveBytes(): number {
    return this.#live.byteLength
  }

  /** What has come of messages that are not whole yet. */
  get unfinishedBytes(): number {
    return this.#decoder.unfinishedBytes
  }

  /**
   * Queues a message; the bytes must not be changed afterwards. False when the channel has ended or
   * closes: nothing was queued. Throws on a message over MAX_MESSAGE_BYTES, which is the caller's bug.
   */
  send(lane: Lane, bytes: Uint8Array): boolean {
    if (bytes.byteLength > MAX_MESSAGE_BYTES) throw new RangeError('the message is too long')
    if (this.#end !== undefined || this.#finishing) return false
    const queue = lane === 'live' ? this.#live : this.#bulk
    queue.push(bytes)
    this.#pumpSoon()
    return true
  }

  /** Live messages don't wait for the end of the turn: what the stream takes of them the system has when this returns. */
  flush(): void {
    if (!this.#blocked && !this.#live.empty) sendNow(() => this.#pump())
  }

  /** Lets longer messages in than before, from somebody who has shown who it is. */
  allowMessages(maxMessageBytes: number): void {
    this.#decoder.allowMessages(maxMessageBytes)
  }

  /** Resolves when no more than BULK_LOW_WATER_BYTES of bulk are queued, or the channel has ended; undefined if that is so. */
  whenBulkLow(): Promise<void> | undefined {
    if (this.#bulk.byteLength <= BULK_LOW_WATER_BYTES) return undefined
    this.#bulkLow ??= new Promise((resolve) => {
      this.#tellBulkLow = resolve
    })
    return this.#bulkLow
  }

  /** Sends what is queued, then ends both directions. Resolves when the channel has ended, however it did. */
  async close(): Promise<ChannelEnd> {
    if (this.#end === undefined && !this.#finishing) {
      this.#finishing = true
      this.#pump()
    }
    return this.closed
  }

  /** Ends at once; the other side sees a reset. */
  abort(error: Error): void {
    this.#abort('aborted', error.message)
  }

  /** Before anything else happens, but after what is still to be sent in this turn. */
  #pumpSoon(): void {
    if (this.#pumpIsDue || this.#blocked) return
    this.#pumpIsDue = true
    process.nextTick(() => {
      this.#pumpIsDue = false
      this.#pump()
    })
  }

  #pump(): void {
    while (!this.#blocked && this.#end === undefined) {
      const bytes = this.#nextWrite()
      if (bytes === undefined) break
      try {
        if (!this.#stream.send(bytes)) this.#block()
      } catch {
        this.#abort('lost', 'The connection is gone.')
        return
      }
    }
    if (this.#bulk.byteLength <= BULK_LOW_WATER_BYTES) this.#bulkIsLow()
    if (this.#finishing && this.#live.empty && this.#bulk.empty) this.#closeStream()
  }

  #bulkIsLow(): void {
    this.#tellBulkLow?.()
    this.#tellBulkLow = undefined
    this.#bulkLow = undefined
  }

  /** One frame, or several small ones. */
  #nextWrite(): Uint8Array | undefined {
    const frames: Uint8Array[] = []
    for (let bytes = 0; ; ) {
      const queue = this.#live.empty ? this.#bulk : this.#live
      if (frames.length > 0 && bytes + queue.nextBytes > WRITE_BYTES) break
      const frame = queue.nextFrame()
      if (frame === undefined) break
      frames.push(frame)
      bytes += frame.byteLength
    }
    return frames.length > 1 ? concat(frames) : frames[0]
  }

  /** The stream is full; its drain event lets us go on, and its absence ends the channel. */
  #block(): void {
    if (this.#end !== undefined) return
    this.#blocked = true
    this.#unsentByStream = this.#stream.writeBufferLength
    this.#stalled = setTimeout(() => {
      this.#abort('timeout', 'The other device has stopped taking data.')
    }, this.#writeTimeoutMs)
  }

  /**
   * Not every drain is progress: a connection that drains tells all its streams, also one whose
   * window is shut. Hence the look at what the stream still holds.
   */
  readonly #drained = (): void => {
    // The stream empties its own buffer in a microtask of this event; ours comes after it.
    queueMicrotask(() => {
      if (!this.#blocked || this.#end !== undefined) return
      const unsent = this.#stream.writeBufferLength
      if (unsent < this.#unsentByStream) this.#stalled?.refresh()
      this.#unsentByStream = unsent
      if (this.#stream.writableNeedsDrain) return
      this.#blocked = false
      clearTimeout(this.#stalled)
      this.#pump()
    })
  }

  #closeStream(): void {
    if (this.#closing !== undefined || this.#end !== undefined) return
    this.#closing = setTimeout(() => {
      this.#abort('timeout', 'The other device did not close the conversation.')
    }, this.#closeTimeoutMs)
    this.#stream.close().catch(() => this.#abort('lost', 'The connection is gone.'))
  }

  /** Closing is for both directions: when the other side is done we finish as well. */
  readonly #remoteClosed = (): void => {
    this.#remoteFinished = true
    void this.close()
  }

  readonly #streamClosed = (event: StreamCloseEvent): void => {
    if (event.error !== undefined) {
      const reset = event.error.name === 'StreamResetError'
      this.#finish(reset ? 'reset' : 'lost', reset ? 'The other device hung up.' : 'The connection is gone.')
    } else if (this.#remoteFinished) {
      this.#finish('closed', 'The conversation is over.')
    } else {
      // A transport that ends looks like a clean end; without the other side's own end it is none.
      this.#finish('lost', 'The connection is gone.')
    }
  }

  #abort(code: ChannelEnd['code'], sentence: string): void {
    if (this.#end !== undefined) return
    this.#finish(code, sentence)
    this.#stream.abort(new Error(sentence))
  }

  #finish(code: ChannelEnd['code'], sentence: string): void {
    if (this.#end !== undefined) return
    this.#end = { code, sentence }
    clearTimeout(this.#stalled)
    clearTimeout(this.#closing)
    this.#live.clear()
    this.#bulk.clear()
    this.#bulkIsLow()
    this.#source.end(code === 'closed' || code === 'lost')
    this.#stream.removeEventListener('drain', this.#drained)
    this.#stream.removeEventListener('remoteCloseWrite', this.#remoteClosed)
    this.#stream.removeEventListener('close', this.#streamClosed)
    this.#resolveClosed(this.#end)
  }

  async *#decode(chunks: AsyncIterable<Uint8Array>, decoder: FrameDecoder): AsyncGenerator<Message> {
    let left = MESSAGES_AT_ONCE
    try {
      for await (const chunk of chunks) {
        if (left-- === 0) left = await nextTurn()
        const result = decoder.push(chunk)
        if ('error' in result) {
          this.#abort('unreadable', result.error.sentence)
          return
        }
        for (const message of result.messages) {
          if (left-- === 0) left = await nextTurn()
          yield message
        }
      }
    } finally {
      void this.close()
    }
  }
}

/** Everything else has its turn first. Gives how many more are read in this one. */
async function nextTurn(): Promise<number> {
  await setImmediate()
  return MESSAGES_AT_ONCE - 1
}
