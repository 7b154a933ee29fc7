import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  encodeFrame,
  FrameDecoder,
  type Lane,
  MAX_FRAME_BYTES,
  MAX_MESSAGE_BYTES,
  type Message,
} from '../../src/protocol/framing.js'
import { framesOf } from '../support/frames.js'

function concat(parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts))
}

function decode(decoder: FrameDecoder, chunk: Uint8Array): Message[] {
  const result = decoder.push(chunk)
  if ('error' in result) throw new Error(result.error.sentence)
  return result.messages
}

function errorCode(chunks: Uint8Array[], decoder = new FrameDecoder()): string | undefined {
  for (const chunk of chunks) {
    const result = decoder.push(chunk)
    if ('error' in result) return result.error.code
  }
  return undefined
}

const lane = fc.constantFrom<Lane>('live', 'bulk')
const message = fc.record({ lane, bytes: fc.uint8Array({ maxLength: 400 }) })

describe('framing', () => {
  test('a frame is length, flags, content', () => {
    expect(encodeFrame('live', Uint8Array.of(7, 8), false)).toEqual(Uint8Array.of(3, 0, 7, 8))
    expect(encodeFrame('bulk', Uint8Array.of(), false)).toEqual(Uint8Array.of(1, 1))
    expect(encodeFrame('bulk', new Uint8Array(200), true).subarray(0, 3)).toEqual(Uint8Array.of(0xc9, 1, 3))
    expect(framesOf('bulk', Uint8Array.of(1, 2, 3), 2)).toEqual([
      Uint8Array.of(3, 3, 1, 2),
      Uint8Array.of(2, 1, 3),
    ])
  })

  test('a length is written in as few bytes as it needs', () => {
    const headerOf = (content: number) => {
      const frame = encodeFrame('live', new Uint8Array(content), false)
      return [...frame.subarray(0, frame.length - content)]
    }
    expect(headerOf(126)).toEqual([0x7f, 0])
    expect(headerOf(127)).toEqual([0x80, 0x01, 0])
    expect(headerOf(16_382)).toEqual([0xff, 0x7f, 0])
    expect(headerOf(16_383)).toEqual([0x80, 0x80, 0x01, 0])
    expect(headerOf(2 ** 21 - 1)).toEqual([0x80, 0x80, 0x80, 0x01, 0])
  })

  test('whatever the messages, fragments and pieces, the same messages come out', () => {
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 8 }),
        fc.integer({ min: 1, max: 150 }),
        fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 10 }),
        (messages, fragmentBytes, pieces) => {
          const wire = concat(messages.flatMap((m) => framesOf(m.lane, m.bytes, fragmentBytes)))
          const decoder = new FrameDecoder()
          const received: Message[] = []
          for (let at = 0, i = 0; at < wire.byteLength; i++) {
            const size = pieces[i % pieces.length] as number
            received.push(...decode(decoder, wire.subarray(at, at + size)))
            at += size
          }
          expect(received).toEqual(messages)
        },
      ),
    )
  })

  test('live messages between the fragments of a bulk message do not disturb it', () => {
    const bulk = Uint8Array.from({ length: 1000 }, (_, i) => i)
    const live = Uint8Array.of(1, 2, 3)
    const frames = framesOf('bulk', bulk, 100).flatMap((f) => [f, ...framesOf('live', live, 2)])
    const received = decode(new FrameDecoder(), concat(frames))
    expect(received.filter((m) => m.lane === 'live')).toHaveLength(10)
    expect(received.filter((m) => m.lane === 'bulk').map((m) => m.bytes)).toEqual([bulk])
  })

  test('one byte at a time', () => {
    const bytes = Uint8Array.from({ length: 10_000 }, (_, i) => i * 7)
    const decoder = new FrameDecoder()
    const received: Message[] = []
    for (const byte of concat(framesOf('bulk', bytes, 4_096))) {
      received.push(...decode(decoder, Uint8Array.of(byte)))
    }
    expect(received).toEqual([{ lane: 'bulk', bytes }])
  })

  test('the largest frame and the largest message pass; one byte more does not', () => {
    const frame = new Uint8Array(MAX_FRAME_BYTES - 1)
    expect(decode(new FrameDecoder(), encodeFrame('live', frame, false))).toHaveLength(1)
    expect(() => encodeFrame('live', new Uint8Array(MAX_FRAME_BYTES), false)).toThrow(RangeError)
    const whole = new Uint8Array(MAX_MESSAGE_BYTES)
    const decoder = new FrameDecoder()
    const received = framesOf('bulk', whole, 1 << 20).flatMap((f) => decode(decoder, f))
    expect(received[0]?.bytes.byteLength).toBe(MAX_MESSAGE_BYTES)
    const longer = framesOf('bulk', new Uint8Array(MAX_MESSAGE_BYTES + 1), 1 << 20)
    expect(errorCode(longer)).toBe('message-too-large')
  })

  test('an oversized frame is refused by its length, before its content', () => {
    // 4 MiB + 1 as varint
    expect(errorCode([Uint8Array.of(0x81, 0x80, 0x80, 0x02)])).toBe('frame-too-large')
    expect(errorCode([Uint8Array.of(0xff, 0xff, 0xff, 0x7f)])).toBe('frame-too-large')
  })

  test('an oversized message is refused, in whatever fragments it comes', () => {
    const decoder = new FrameDecoder(10)
    const part = encodeFrame('live', new Uint8Array(4), true)
    expect(errorCode([part, part], decoder)).toBeUndefined()
    expect(errorCode([part], decoder)).toBe('message-too-large')
    const other = new FrameDecoder(10)
    expect(errorCode([encodeFrame('bulk', new Uint8Array(11), false)], other)).toBe('message-too-large')
  })

  test('nothing endless: zero lengths, long lengths, empty fragments and unknown flags are refused', () => {
    expect(errorCode([Uint8Array.of(0)])).toBe('bad-frame')
    expect(errorCode([Uint8Array.of(0x80, 0x00)])).toBe('bad-frame')
    expect(errorCode([Uint8Array.of(0x80, 0x80, 0x80, 0x80)])).toBe('bad-frame')
    expect(errorCode([Uint8Array.of(1, 2)])).toBe('bad-frame')
    expect(errorCode([Uint8Array.of(1, 4)])).toBe('bad-frame')
    expect(errorCode([Uint8Array.of(2, 0x80)])).toBe('bad-frame')
  })

  test('a refusal says what was wrong', () => {
    const said: [Uint8Array, string][] = [
      [Uint8Array.of(0x80, 0x80, 0x80, 0x80), 'a length runs over four bytes'],
      [Uint8Array.of(0), 'a length is zero or written too long'],
      [Uint8Array.of(0x81, 0x80, 0x80, 0x02), 'a frame of 4194305 bytes is over the limit'],
      [Uint8Array.of(1, 4), 'a frame has unknown flags'],
      [Uint8Array.of(1, 2), 'a fragment is empty'],
      [Uint8Array.of(12, 0), 'a message of 11 bytes or more is over the limit'],
    ]
    for (const [bytes, detail] of said) {
      const sentence = `The other device sent something unreadable: ${detail}.`
      expect(new FrameDecoder(10).push(bytes)).toMatchObject({ error: { sentence } })
    }
  })

  test('a limit may be raised once one knows the other side', () => {
    const decoder = new FrameDecoder(10)
    decoder.allowMessages(11)
    expect(errorCode([encodeFrame('live', new Uint8Array(11), false)], decoder)).toBeUndefined()
    expect(errorCode([encodeFrame('live', new Uint8Array(12), false)], decoder)).toBe('message-too-large')
  })

  test('an error is final', () => {
    const decoder = new FrameDecoder()
    expect(errorCode([Uint8Array.of(0)], decoder)).toBe('bad-frame')
    expect(errorCode([encodeFrame('live', Uint8Array.of(1), false)], decoder)).toBe('bad-frame')
    // Zero, then a frame with unknown flags, in one piece: the first counts.
    const sentence = expect.stringContaining('a length is zero')
    expect(new FrameDecoder().push(Uint8Array.of(0, 1, 4))).toMatchObject({ error: { sentence } })
  })

  test('a message holds no more memory than four times its own', () => {
    /** The memory behind a message that came as a view into so much. */
    const heldOf = (length: number, room: number) => {
      const frame = encodeFrame('bulk', new Uint8Array(length), false)
      const chunk = new Uint8Array(room).subarray(0, frame.length)
      chunk.set(frame)
      const [whole] = decode(new FrameDecoder(), chunk)
      return { isCopied: whole!.bytes.buffer !== chunk.buffer, bytes: whole!.bytes.buffer.byteLength }
    }
    expect(heldOf(100, 200)).toEqual({ isCopied: true, bytes: 100 })
    expect(heldOf(50_000, 200_000)).toEqual({ isCopied: false, bytes: 200_000 })
    expect(heldOf(50_000, 200_001)).toEqual({ isCopied: true, bytes: 50_000 })
  })

  test('random bytes never throw', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 20 }), (chunks) => {
        const decoder = new FrameDecoder(256)
        for (const chunk of chunks) decoder.push(chunk)
      }),
    )
  })

  test('a million fragments of one byte take linear time', () => {
    const timeOf = (fragments: number) => {
      const wire = new Uint8Array(3 * fragments)
      for (let at = 0; at < wire.length; at += 3) wire.set([2, 2, 9], at)
      wire[wire.length - 2] = 0
      const started = performance.now()
      const received = decode(new FrameDecoder(), wire)
      expect(received[0]?.bytes.byteLength).toBe(fragments)
      return performance.now() - started
    }
    timeOf(100_000)
    const one = Math.max(...[1, 2, 3].map(() => timeOf(100_000)))
    // Quadratic would be a hundredfold.
    expect(timeOf(1_000_000)).toBeLessThan(40 * one)
  })
})
