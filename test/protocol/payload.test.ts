import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { nodeNatives } from '../../src/node/natives.js'
import { concat } from '../../src/protocol/bytes.js'
import { COMPRESS_FROM_BYTES, MAX_PAYLOAD_BYTES } from '../../src/protocol/limits.js'
import { decodePayload, encodePayload } from '../../src/protocol/payload.js'
import { portableNatives } from '../../src/protocol/portable.js'

const both = [nodeNatives, portableNatives]
const deflated = (bytes: Uint8Array) => concat([Uint8Array.of(1), deflateRawSync(bytes)])

test('what one platform codes, every platform decodes to the same bytes', () => {
  const text = fc.array(fc.constantFrom(0, 1, 65, 66), { maxLength: 3000 })
  const noise = fc.uint8Array({ maxLength: 600 })
  fc.assert(
    fc.property(
      fc.oneof(
        text.map((list) => Uint8Array.from(list)),
        noise,
      ),
      (bytes) => {
        for (const author of both) {
          const payload = encodePayload(author, bytes)
          expect(payload.length).toBeLessThanOrEqual(bytes.length + 1)
          for (const reader of both) expect(decodePayload(reader, payload, bytes.length)).toEqual(bytes)
        }
      },
    ),
    { numRuns: 150, seed: 11 },
  )
})

test('short payloads stay as they are; long ones are compressed only when that makes them shorter', () => {
  expect(encodePayload(nodeNatives, new Uint8Array(COMPRESS_FROM_BYTES - 1))[0]).toBe(0)
  expect(encodePayload(nodeNatives, new Uint8Array(COMPRESS_FROM_BYTES))[0]).toBe(1)
  const noise = Uint8Array.from({ length: 400 }, (_, at) => (at * at * 197 + at * 89) ^ (at >> 3))
  const coded = encodePayload(nodeNatives, noise)
  expect(coded.length).toBeLessThanOrEqual(noise.length + 1)
})

test.each([
  ['nothing', new Uint8Array(0)],
  ['an unknown coding', Uint8Array.of(2, 1, 2, 3)],
  ['the highest coding', Uint8Array.of(255)],
  ['compression without a stream', Uint8Array.of(1)],
  ['a broken stream', Uint8Array.of(1, 0xff, 0xff, 0xff)],
  ['a stream cut short', deflated(new Uint8Array(500)).slice(0, -1)],
  ['bytes behind the stream', concat([deflated(new Uint8Array(500)), Uint8Array.of(0)])],
])('[D1] %s is not a payload, on any platform, and nothing throws', (_name, payload) => {
  for (const natives of both) expect(decodePayload(natives, payload, 1 << 20)).toBeUndefined()
})

test('[D1] the limit counts raw bytes, exactly, in both codings', () => {
  for (const natives of both) {
    const raw = concat([Uint8Array.of(0), new Uint8Array(50)])
    expect(decodePayload(natives, raw, 50)).toHaveLength(50)
    expect(decodePayload(natives, raw, 49)).toBeUndefined()
    const compressed = deflated(new Uint8Array(5000))
    expect(decodePayload(natives, compressed, 5000)).toHaveLength(5000)
    expect(decodePayload(natives, compressed, 4999)).toBeUndefined()
  }
})

test('[D1] a payload that is longer than any change may be is none, whatever the limit of its content', () => {
  for (const natives of both) {
    expect(decodePayload(natives, new Uint8Array(MAX_PAYLOAD_BYTES), 2 ** 30)?.length).toBe(
      MAX_PAYLOAD_BYTES - 1,
    )
    expect(decodePayload(natives, new Uint8Array(MAX_PAYLOAD_BYTES + 1), 2 ** 30)).toBeUndefined()
  }
})

test('[D1] a bomb is refused without being unpacked', () => {
  const bomb = deflated(new Uint8Array(256 * 1024 * 1024))
  expect(bomb.length).toBeLessThan(400_000)
  for (const natives of both) {
    const before = process.memoryUsage().rss
    expect(decodePayload(natives, bomb, 64 * 1024)).toBeUndefined()
    expect(process.memoryUsage().rss - before).toBeLessThan(128 * 1024 * 1024)
  }
})

test('any bytes are taken or refused alike on every platform', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.integer({ min: 0, max: 200 }), (bytes, limit) => {
      const [one, other] = both.map((natives) => decodePayload(natives, bytes, limit))
      expect(one).toEqual(other)
      if (one) expect(one.length).toBeLessThanOrEqual(limit)
    }),
    { numRuns: 2000, seed: 12 },
  )
})
