/**
 * The receiving half of a channel. libp2p has no read backpressure of its own: an iterated stream
 * buffers whatever comes. Only `pause()` stops the window updates, and so holds the sender.
 */
import type { Stream, StreamMessageEvent } from '@libp2p/interface'

/** Unread bytes at which the stream is paused, and at which it goes on. */
export const READ_HIGH_WATER_BYTES = 256 * 1024
const READ_LOW_WATER_BYTES = 64 * 1024
/** Chunks that were given out are dropped in steps of so many, not one by one. */
const COMPACT_AFTER = 1024

/** The incoming bytes of a stream as an iterable that pauses the stream while nobody takes them. */
export class StreamSource {
  readonly #stream: Stream
  #chunks: Uint8Array[] = []
  /** The first that was not given out. To move the others forward each time would take the longer the more there are. */
  #head = 0
  #bytes = 0
  #paused = false
  #resuming = false
  #ended = false
  #wake: (() => void) | undefined

  constructor(stream: Stream) {
    this.#stream = stream
    stream.addEventListener('message', this.#received)
    stream.addEventListener('end', this.#finished)
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#next()
      if (chunk !== undefined) {
        this.#bytes -= chunk.byteLength
        if (this.#paused && this.#bytes <= READ_LOW_WATER_BYTES) this.#resume()
        yield chunk
      } else if (this.#ended) {
        return
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
  }

  /** No more will come. With `keep` what has already been received is still given out. */
  end(keep: boolean): void {
    if (keep && this.#stream.readBufferLength > 0) this.#resume()
    if (!keep) {
      this.#chunks = []
      this.#head = 0
      this.#bytes = 0
    }
    this.#stream.removeEventListener('message', this.#received)
    this.#finished()
  }

  #next(): Uint8Array | undefined {
    const chunk = this.#chunks[this.#head]
    if (chunk === undefined) return undefined
    this.#head += 1
    if (this.#head === this.#chunks.length || this.#head === COMPACT_AFTER) {
      this.#chunks = this.#chunks.slice(this.#head)
      this.#head = 0
    }
    return chunk
  }

  readonly #received = (event: StreamMessageEvent): void => {
    const { data } = event
    // A list is taken piece by piece: joining it would copy everything once more.
    if (data instanceof Uint8Array) this.#chunks.push(data)
    else for (const piece of data) this.#chunks.push(piece)
    this.#bytes += data.byteLength
    if (this.#bytes >= READ_HIGH_WATER_BYTES) this.#pause()
    this.#wake?.()
  }

  readonly #finished = (): void => {
    this.#ended = true
    this.#wake?.()
  }

  #pause(): void {
    if (this.#paused || this.#resuming) return
    try {
      this.#stream.pause()
      this.#paused = true
    } catch {
      // It is closing: nothing more comes that could be held back.
    }
  }

  #resume(): void {
    this.#paused = false
    this.#resuming = true
    try {
      // This delivers what the stream held back, from within the call, and then opens the window.
      // A pause from inside would be undone by the second half; hence the flag, and the look afterwards.
      this.#stream.resume()
    } catch {
      // It has closed meanwhile.
    } finally {
      this.#resuming = false
    }
    if (this.#bytes >= READ_HIGH_WATER_BYTES) this.#pause()
  }
}
