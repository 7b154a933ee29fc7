/** One lane of outgoing messages, cut into frames only as they leave. */
import { encodeFrame, type Lane } from '../protocol/framing.js'

/** Sent messages are dropped from the front of the array in steps of this many, not one by one. */
const COMPACT_AFTER = 1024

export class FragmentQueue {
  /** Content bytes that are not cut into frames yet. */
  byteLength = 0
  readonly #lane: Lane
  readonly #fragmentBytes: number
  #messages: Uint8Array[] = []
  /** The first message that is not wholly sent, and how much of it is. */
  #head = 0
  #sent = 0

  constructor(lane: Lane, fragmentBytes: number) {
    this.#lane = lane
    this.#fragmentBytes = fragmentBytes
  }

  get empty(): boolean {
    return this.#head === this.#messages.length
  }

  /** Content bytes of the next frame. */
  get nextBytes(): number {
    const message = this.#messages[this.#head]
    return message === undefined ? 0 : Math.min(message.byteLength - this.#sent, this.#fragmentBytes)
  }

  push(message: Uint8Array): void {
    this.#messages.push(message)
    this.byteLength += message.byteLength
  }

  nextFrame(): Uint8Array | undefined {
    const message = this.#messages[this.#head]
    if (message === undefined) return undefined
    const part = message.subarray(this.#sent, this.#sent + this.#fragmentBytes)
    this.#sent += part.byteLength
    this.byteLength -= part.byteLength
    const more = this.#sent < message.byteLength
    if (!more) this.#next()
    return encodeFrame(this.#lane, part, more)
  }

  clear(): void {
    this.#messages = []
    this.#head = 0
    this.#sent = 0
    this.byteLength = 0
  }

  #next(): void {
    this.#sent = 0
    this.#head += 1
    if (this.empty || this.#head === COMPACT_AFTER) {
      this.#messages = this.#messages.slice(this.#head)
      this.#head = 0
    }
  }
}
