/** Streams, payloads, and what people paste and import: frames, deflate, JSON lines, invitations, codes, addresses. */
import { test } from 'vitest'
import { createUpdate } from '../../src/cases/create.js'
import { inspectUpdate } from '../../src/cases/inspect.js'
import { checkCase, parseCase } from '../../src/cases/interchange.js'
import { canonicalJson } from '../../src/cases/json.js'
import { exportLine } from '../../src/cases/project.js'
import { addressPeerId, parseAddress } from '../../src/node/host-address.js'
import { nodeNatives } from '../../src/node/natives.js'
import { peerIdToPublicKey } from '../../src/node/peer-id.js'
import { concat, utf8 } from '../../src/protocol/bytes.js'
import { FrameDecoder, type Message } from '../../src/protocol/framing.js'
import { formatInvitation, parseInvitation } from '../../src/protocol/invitation.js'
import { decodePayload, encodePayload } from '../../src/protocol/payload.js'
import { portableNatives } from '../../src/protocol/portable.js'
import { parsePracticeCode, practiceCode } from '../../src/protocol/practice-code.js'
import { docOf, ODD_CASE, plainCase, sampleCase } from '../cases/samples.js'
import { framesOf } from '../support/frames.js'
import { seeded } from '../support/random.js'
import { expectBoth, fuzz } from './fuzz.js'
import { mutated } from './mutate.js'

const random = seeded(81)

test('frames, in whatever pieces they come', async () => {
  const corpus = Array.from({ length: 60 }, () =>
    concat(
      Array.from({ length: random.int(1, 5) }, () =>
        framesOf(
          random.pick(['live', 'bulk'] as const),
          random.bytes(random.int(0, 400)),
          random.int(1, 200),
        ),
      ).flat(),
    ),
  )
  const read = (stream: Uint8Array, sizes: () => number) => {
    const decoder = new FrameDecoder(4096)
    const messages: Message[] = []
    for (let at = 0; at < stream.length; ) {
      const size = sizes()
      const result = decoder.push(stream.subarray(at, at + size))
      if ('error' in result) return { messages, error: result.error.code }
      messages.push(...result.messages)
      at += size
    }
    return { messages, error: undefined }
  }
  const tally = await fuzz({
    name: 'frames',
    make: (each) => ({
      stream: mutated(each, corpus),
      sizes: Array.from({ length: 5 }, () => each.int(1, 90)),
    }),
    show: ({ stream, sizes }) => `${sizes} ${Buffer.from(stream).toString('hex')}`,
    run: ({ stream, sizes }) => {
      let at = 0
      const pieces = read(stream, () => sizes[at++ % sizes.length]!)
      const whole = read(stream, () => Math.max(1, stream.length))
      if (pieces.error !== whole.error) throw new Error('in pieces it is something else')
      if (!whole.error && pieces.messages.length !== whole.messages.length)
        throw new Error('a message is lost')
      return whole.error ? 'error' : 'value'
    },
  })
  expectBoth(tally)
})

test('compressed payloads: both natives take the same, and a bomb no further than its bound', async () => {
  const limit = 8 * 1024
  const corpus = [
    ...[0, 10, 200, 5_000].map((length) => random.bytes(length)),
    ...[utf8('ból głowy '.repeat(300)), new Uint8Array(limit), new Uint8Array(20 * limit)],
  ].flatMap((raw) => [nodeNatives, portableNatives].map((natives) => encodePayload(natives, raw)))
  const tally = await fuzz({
    name: 'payloads',
    make: (each) => mutated(each, corpus),
    run: (payload) => {
      const [one, other] = [nodeNatives, portableNatives].map((natives) =>
        decodePayload(natives, payload, limit),
      )
      if (Buffer.compare(one ?? Buffer.from('void'), other ?? Buffer.from('void')) !== 0)
        throw new Error('void on one device only')
      if (one && one.length > limit) throw new Error('it is longer than its bound')
      return one ? 'value' : 'error'
    },
  })
  expectBoth(tally)
})

test('lines of an import file', async () => {
  const lines = [plainCase(), ODD_CASE, ...[1].map((at) => sampleCase(at))].map((each) =>
    JSON.stringify(each),
  )
  const words = [
    '__proto__',
    'constructor',
    '\\ud800',
    '[[[[[[[[',
    '{"a":',
    '1e999',
    '-0',
    '"id":',
    'null',
    '\\u0000',
  ]
  const corpus = [...lines, ...words.map((word) => `{"id":"x","patient":{"${word}":1}}`)].map(utf8)
  const pieces = [...corpus, ...words.map(utf8), utf8('['.repeat(3000)), utf8('{"a":'.repeat(3000))]
  const tally = await fuzz({
    name: 'import lines',
    make: (each) => ({
      line: Buffer.from(mutated(each, each() < 0.8 ? corpus : pieces)).toString('utf8'),
      isExported: each() < 0.2,
    }),
    show: ({ line }) => line,
    run: ({ line, isExported }) => {
      const parsed = parseCase(line)
      if (!parsed.ok) {
        if (!/\.$/.test(parsed.reason)) throw new Error('the reason is no sentence')
        return 'error'
      }
      if (!isExported) return 'value'
      const contents = inspectUpdate(createUpdate(parsed.value, nodeNatives.sha256))
      if ('error' in contents) throw new Error(contents.error)
      const again = exportLine(docOf(parsed.value), String(parsed.value.id))
      const second = checkCase(JSON.parse(again))
      if (!second.ok || canonicalJson(second.value) !== again)
        throw new Error('what was imported is not what is exported')
      return 'value'
    },
  })
  expectBoth(tally)
})

test('invitations, practice codes, addresses and peer ids', async () => {
  const code = practiceCode(nodeNatives, random.bytes(32))
  const peer = '12D3KooWGzh7J1tRk9Vr3wvXz4zGeHw3Yo9ZQnFZ4d1rLRcZcL5y'
  const relay = `/dns4/relay.example.org/tcp/4001/p2p/${peer}`
  const corpus = [
    ...[code, code.toLowerCase(), code.replaceAll('-', ' '), peer, relay, '/ip4/192.0.2.7/tcp/4001/ws'],
    formatInvitation({ code, addresses: ['/ip4/192.0.2.7/tcp/4001', '/ip6/::1/tcp/1'], relays: [relay] }),
    `kartoteka:${code}?at=%2Fip4%2F1&relay=%00&at=%E0%A4%A`,
  ].map(utf8)
  const tally = await fuzz({
    name: 'invitations',
    make: (each) => Buffer.from(mutated(each, corpus)).toString('utf8'),
    run: (text) => {
      const parsed = parsePracticeCode(text)
      if ('code' in parsed && JSON.stringify(parsePracticeCode(parsed.code)) !== JSON.stringify(parsed))
        throw new Error('a code is read as another')
      peerIdToPublicKey(text)
      const address = parseAddress(text)
      if (address) addressPeerId(address)
      const invitation = parseInvitation(text)
      if ('error' in invitation) return 'error'
      const again = parseInvitation(formatInvitation(invitation))
      if (JSON.stringify(again) !== JSON.stringify(invitation))
        throw new Error('it is read as something else')
      return 'value'
    },
  })
  expectBoth(tally, 1 / 500)
})
