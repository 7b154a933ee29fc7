import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SYNC_VERSION } from '../../src/protocol/limits.js'
import { Frame } from '../../src/protocol/sync.gen.js'
import {
  claimsFromWire,
  claimToWire,
  cutsFromWire,
  decodeFrame,
  encodeFrame,
  type FrameKind,
  runsFromWire,
  runToWire,
  targetsFromWire,
  targetToWire,
} from '../../src/protocol/wire.js'
import { change, makeKeys, TestLog } from '../support/logs.js'
import { seeded } from '../support/random.js'

const random = seeded(12)
const practice = random.bytes(32)
const log = new TestLog(practice, makeKeys(random), random).add(
  change(),
  change({ payload: random.bytes(300) }),
)

/** Once a version is released its hash stays: a new schema gets a new version and a new line here. */
const SCHEMAS: Readonly<Record<number, string>> = { 1: 'e3393a0fd6a12775' }

test('the messages of a version never change: another schema needs another version', () => {
  const text = readFileSync(new URL('../../src/protocol/sync.proto', import.meta.url), 'utf8')
  const bare = text
    .replace(/\/\/.*$/gm, '')
    .replace(/\s+/g, ' ')
    .trim()
  const hash = createHash('sha256').update(bare).digest('hex').slice(0, 16)
  expect(hash).toBe(SCHEMAS[SYNC_VERSION])
})

describe('frames', () => {
  const frames: FrameKind[] = [
    { $case: 'changes', value: { openings: [log.opening], runs: [runToWire(log.run())] } },
    { $case: 'need', value: { log: random.bytes(16), from: 5 } },
    { $case: 'refuse', value: { code: 'refused' } },
    { $case: 'end', value: { transfer: 3, missing: [random.bytes(16)], kept: [random.bytes(16)] } },
    { $case: 'alive', value: { number: 1, answer: true } },
  ]
  test.each(frames.map((frame) => [frame.$case, frame] as const))(
    '%s comes back as it went',
    (_name, frame) => {
      expect(decodeFrame(encodeFrame(frame))).toEqual(frame)
    },
  )

  test('ITEMS, which is put together by hand, has the bytes of the generated codec', () => {
    const bytes = fc.uint8Array({ maxLength: 300 })
    const number = fc.nat({ max: 0xffffffff })
    const item = fc.record({
      key: bytes,
      caseId: fc.string({ maxLength: 200 }),
      generation: number,
      erased: number,
      touched: fc.array(fc.record({ log: bytes, seq: number }), { maxLength: 3 }),
      parts: fc.array(fc.oneof(bytes, fc.constant(new Uint8Array(20_000).fill(7))), { maxLength: 4 }),
      parked: fc.array(fc.record({ log: bytes, seq: number, payload: bytes }), { maxLength: 2 }),
      row: bytes,
      clocks: fc.array(fc.record({ client: fc.maxSafeNat(), clock: number }), { maxLength: 2 }),
      more: fc.boolean(),
    })
    const value = fc.record({
      transfer: number,
      early: fc.boolean(),
      items: fc.array(item, { maxLength: 4 }),
      claims: fc.array(fc.record({ log: bytes, seq: number, check: bytes }), { maxLength: 2 }),
      openings: fc.array(fc.record({ device: bytes, random: bytes, predecessor: bytes }), { maxLength: 2 }),
      missing: fc.array(bytes, { maxLength: 2 }),
    })
    fc.assert(
      fc.property(value, (items) => {
        const kind: FrameKind = { $case: 'items', value: items }
        // Compared as a whole: byte by byte takes ten times as long as all the rest.
        expect(Buffer.from(encodeFrame(kind)).equals(Frame.encode({ kind }).finish())).toBe(true)
      }),
    )
  })

  test('nothing, a frame without content and an unknown kind are undefined', () => {
    expect(decodeFrame(new Uint8Array(0))).toBeUndefined()
    expect(decodeFrame(Frame.encode({ kind: undefined }).finish())).toBeUndefined()
    expect(decodeFrame(Uint8Array.of(0xa2, 0x06, 0x00))).toBeUndefined()
  })

  test('no bytes whatever make decoding throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        decodeFrame(bytes)
      }),
      { seed: 13, numRuns: 3000 },
    )
    for (const frame of frames) {
      const bytes = encodeFrame(frame)
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        decodeFrame(bytes.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte)))
      }
      for (let length = 0; length < bytes.length; length++) decodeFrame(bytes.subarray(0, length))
    }
  })
})

describe('values', () => {
  test('claims, runs and targets come back as they went', () => {
    expect(claimsFromWire([log.claim(), log.claim(0)].map(claimToWire))).toEqual([log.claim(), log.claim(0)])
    expect(runsFromWire({ openings: [], runs: [runToWire(log.run())] })).toEqual([log.run()])
    expect(targetsFromWire([targetToWire(log.target())])).toEqual([log.target()])
  })

  const claim = claimToWire(log.claim())
  test.each([
    ['a short log id', { ...claim, log: random.bytes(15) }],
    ['a long log id', { ...claim, log: random.bytes(17) }],
    ['no check', { ...claim, check: new Uint8Array(0) }],
    ['a whole head for a check', { ...claim, check: random.bytes(32) }],
  ])('a claim or cut with %s is malformed', (_name, wrong) => {
    expect(claimsFromWire([claim, wrong])).toBeUndefined()
    expect(cutsFromWire([wrong])).toBeUndefined()
  })

  test('a run or target of a log whose id has another length is malformed', () => {
    const run = { ...runToWire(log.run()), log: random.bytes(8) }
    expect(runsFromWire({ openings: [], runs: [run] })).toBeUndefined()
    expect(targetsFromWire([{ ...targetToWire(log.target()), log: new Uint8Array(0) }])).toBeUndefined()
  })

  test('too many claims are refused before they are looked at', () => {
    expect(claimsFromWire(new Array(65_537).fill(claim))).toBeUndefined()
  })
})
