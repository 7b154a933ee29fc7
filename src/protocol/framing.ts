/**
 * The frames of one long-lived stream that carries two lanes. `live` is what somebody waits for,
 * `bulk` what merely has to arrive; a bulk message travels in fragments, so that a live one can
 * slip in between two of them.
 *
 *     frame = varint n ‖ flags (1 byte) ‖ n − 1 bytes
 *     flags: bit 0 = lane (0 live, 1 bulk), bit 1 = more fragments of this message follow, others 0
 *
 * The varint is unsigned LEB128 in its shortest form. A fragment that announces more carries at
 * least one byte, so every frame brings its message forward and no peer can keep us busy for nothing.
 */

import { concat, EMPTY } from './bytes.js'

/**
 * The largest `n` of a frame. A frame must fit into the memory that a stranger may make us hold,
 * and no sender of ours comes near it: fragments are a few KiB.
 */
export const MAX_FRAME_BYTES = 4 * 1024 * 1024

/** The largest message. A change may be 16 MB; the rest is room for what surrounds it (hashes, signatures). */
export const MAX_MESSAGE_BYTES = 24 * 1024 * 1024

/** MAX_FRAME_BYTES needs 23 bits, so four bytes of seven bits always suffice. */
const MAX_VARINT_BYTES = 4

const BULK = 1
const MORE = 2

export type Lane = 'live' | 'bulk'

export interface Message {
  lane: Lane
  bytes: Uint8Array
}

/** Why a peer's bytes were refused; the stream is of no use afterwards. */
export interface FrameError {
  code: 'bad-frame' | 'frame-too-large' | 'message-too-large'
  sentence: string
}

/** One frame; `part` is the whole message or, with `more`, all but its last fragment. */
export function encodeFrame(lane: Lane, part: Uint8Array, more: boolean): Uint8Array {
  const length = part.byteLength + 1
  if (length > MAX_FRAME_BYTES) throw new RangeError(`a frame of ${length} bytes is too long`)
  const header: number[] = []
  let rest = length
  while (rest > 0x7f) {
    header.push((rest & 0x7f) | 0x80)
    rest >>>= 7
  }
  header.push(rest, (lane === 'bulk' ? BULK : 0) | (more ? MORE : 0))
  const frame = new Uint8Array(header.length + part.byteLength)
  frame.set(header)
  frame.set(part, header.length)
  return frame
}

/**
 * Takes bytes in any pieces and gives whole messages. Holds at most about four times what it was
 * given of unfinished messages: a length that is merely announced reserves nothing.
 */
export class FrameDecoder {
  #maxMessageBytes: number
  readonly #live = new Assembly()
  readonly #bulk = new Assembly()
  #state: 'length' | 'flags' | 'content' = 'length'
  #varint = 0
  #varintBytes = 0
  /** Bytes of the current frame that are still to come. */
  #remaining = 0
  #lane: Lane = 'live'
  #more = false
  #error: FrameError | undefined

  constructor(maxMessageBytes = MAX_MESSAGE_BYTES) {
    this.#maxMessageBytes = maxMessageBytes
  }

  /** Another limit from now on. */
  allowMessages(maxMessageBytes: number): void {
    this.#maxMessageBytes = maxMessageBytes
  }

  /** What has come of messages that are not whole yet. */
  get unfinishedBytes(): number {
    return this.#live.length + this.#bulk.length
  }

  /** The messages completed by `chunk`. After an error every further push gives the same error. */
  push(chunk: Uint8Array): { messages: Message[] } | { error: FrameError } {
    const messages: Message[] = []
    let at = 0
    while (at < chunk.byteLength && this.#error === undefined) {
      if (this.#state === 'content') {
        const part = chunk.subarray(at, at + this.#remaining)
        at += part.byteLength
        this.#content(part, messages)
      } else if (this.#state === 'length') {
        this.#length(chunk[at++] as number)
      } else {
        this.#flags(chunk[at++] as number, messages)
      }
    }
    return this.#error === undefined ? { messages } : { error: this.#error }
  }

  #length(byte: number): void {
    this.#varint += (byte & 0x7f) << (7 * this.#varintBytes)
    this.#varintBytes += 1
    if (byte & 0x80) {
      if (this.#varintBytes === MAX_VARINT_BYTES) this.#fail('bad-frame', 'a length runs over four bytes')
      return
    }
    if (byte === 0) {
      this.#fail('bad-frame', 'a length is zero or written too long')
      return
    }
    if (this.#varint > MAX_FRAME_BYTES) {
      this.#fail('frame-too-large', `a frame of ${this.#varint} bytes is over the limit`)
      return
    }
    this.#remaining = this.#varint - 1
    this.#varint = 0
    this.#varintBytes = 0
    this.#state = 'flags'
  }

  #flags(byte: number, messages: Message[]): void {
    if (byte > (BULK | MORE)) {
      this.#fail('bad-frame', 'a frame has unknown flags')
      return
    }
    this.#lane = byte & BULK ? 'bulk' : 'live'
    this.#more = (byte & MORE) !== 0
    if (this.#more && this.#remaining === 0) {
      this.#fail('bad-frame', 'a fragment is empty')
      return
    }
    const total = this.#assembly().length + this.#remaining
    if (total > this.#maxMessageBytes) {
      this.#fail('message-too-large', `a message of ${total} bytes or more is over the limit`)
      return
    }
    this.#state = 'content'
    // Where nothing is to come, this was all of it.
    this.#content(EMPTY, messages)
  }

  #content(part: Uint8Array, messages: Message[]): void {
    this.#assembly().add(part)
    this.#remaining -= part.byteLength
    if (this.#remaining > 0) return
    this.#state = 'length'
    if (!this.#more) messages.push({ lane: this.#lane, bytes: this.#assembly().take() })
  }

  #assembly(): Assembly {
    return this.#lane === 'bulk' ? this.#bulk : this.#live
  }

  #fail(code: FrameError['code'], detail: string): void {
    this.#error = { code, sentence: `The other device sent something unreadable: ${detail}.` }
  }
}

/** From this size on a fragment is kept as it came, rather than copied to its neighbours. */
const KEPT_FROM = 4096

/**
 * Bytes of one unfinished message. Large fragments are kept as they came and joined once, at the end; small ones
 * are gathered in a buffer that grows by doubling, so that a million of them cost a linear time and no objects.
 */
class Assembly {
  readonly #parts: Uint8Array[] = []
  #buffer = EMPTY
  #buffered = 0
  length = 0

  add(part: Uint8Array): void {
    this.length += part.byteLength
    if (part.byteLength >= KEPT_FROM) {
      this.#keepBuffered()
      this.#parts.push(lean(part))
      return
    }
    const needed = this.#buffered + part.byteLength
    if (needed > this.#buffer.byteLength) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.#buffer.byteLength))
      grown.set(this.#buffer.subarray(0, this.#buffered))
      this.#buffer = grown
    }
    this.#buffer.set(part, this.#buffered)
    this.#buffered = needed
  }

  take(): Uint8Array {
    this.#keepBuffered()
    const whole = this.#parts.length === 1 ? this.#parts[0]! : concat(this.#parts)
    this.#parts.length = 0
    this.length = 0
    return whole
  }

  #keepBuffered(): void {
    if (this.#buffered === 0) return
    this.#parts.push(this.#buffer.slice(0, this.#buffered))
    this.#buffer = EMPTY
    this.#buffered = 0
  }
}

/** The same bytes as a plain array; a copy where much more memory than theirs would be held along with them. */
function lean(part: Uint8Array): Uint8Array {
  if (part.buffer.byteLength > 4 * part.byteLength) return Uint8Array.from(part)
  return new Uint8Array(part.buffer, part.byteOffset, part.byteLength)
}
