import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MailFrame, MeetFrame } from '../../src/protocol/mailbox.gen.js'
import {
  decodeMailFrame,
  decodeMeetFrame,
  encodeMailFrame,
  encodeMeetFrame,
  type MailFrameKind,
} from '../../src/protocol/mailbox-wire.js'
import { seeded } from '../support/random.js'

const random = seeded(21)
const [id, key] = [random.bytes(16), random.bytes(32)]
const frames: MailFrameKind[] = [
  { $case: 'greet', value: { oldest: 1, newest: 1, practice: key, rosterHead: key } },
  {
    $case: 'welcome',
    value: { version: 1, incarnation: id, rosterHead: key, sequence: 2 ** 50, maxEnvelopeBytes: 5 },
  },
  { $case: 'refuse', value: { code: 'refused' } },
  { $case: 'chain', value: { entries: [key, id] } },
  { $case: 'head', value: { head: key } },
  { $case: 'notices', value: { notices: [{ device: key, sealed: id }] } },
  {
    $case: 'deposit',
    value: { number: 1, id, recipients: [key, key], replaces: [id], envelope: random.bytes(90) },
  },
  { $case: 'done', value: { number: 1, error: 'full', sequence: 9 } },
  { $case: 'collect', value: { after: 12 } },
  { $case: 'batch', value: { mails: [{ sequence: 3, id, depositor: key, envelope: key }], end: true } },
  { $case: 'ack', value: { number: 2, ids: [id], notice: key } },
  { $case: 'check', value: { number: 2, recipient: key, ids: [id] } },
  { $case: 'missing', value: { number: 2, ids: [id] } },
  { $case: 'ask', value: { number: 3 } },
  {
    $case: 'inventory',
    value: { number: 3, waiting: [{ recipient: key, count: 1, bytes: 2, oldest: 3 }], bytes: 4, quota: 5 },
  },
  { $case: 'leave', value: { number: 4 } },
  { $case: 'window', value: { open: true } },
  { $case: 'alive', value: { number: 1, answer: true } },
]

describe('messages of the mailbox', () => {
  test.each(frames.map((frame) => [frame.$case, frame] as const))(
    '%s comes back as it went',
    (_name, frame) => {
      expect(decodeMailFrame(encodeMailFrame(frame))).toEqual(frame)
    },
  )

  test('of meeting come back as they went', () => {
    for (const frame of [
      { $case: 'find', value: { code: 'ABC' } },
      { $case: 'found', value: { devices: [key] } },
    ] as const)
      expect(decodeMeetFrame(encodeMeetFrame(frame as never))).toEqual(frame)
  })

  test('nothing, a frame without content and an unknown kind are undefined', () => {
    for (const decode of [decodeMailFrame, decodeMeetFrame]) {
      expect(decode(new Uint8Array(0))).toBeUndefined()
      expect(decode(Uint8Array.of(0xa2, 0x7f, 0x00))).toBeUndefined()
      // Field 0, which there is not.
      expect(decode(Uint8Array.of(0x00, 0x00))).toBeUndefined()
    }
    expect(decodeMailFrame(MailFrame.encode({ kind: undefined }).finish())).toBeUndefined()
    expect(decodeMeetFrame(MeetFrame.encode({ kind: undefined }).finish())).toBeUndefined()
  })

  test('no bytes whatever make decoding throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        decodeMailFrame(bytes)
        decodeMeetFrame(bytes)
      }),
      { seed: 14, numRuns: 5000 },
    )
    for (const frame of frames) {
      const bytes = encodeMailFrame(frame)
      for (let bit = 0; bit < bytes.length * 8; bit++)
        decodeMailFrame(bytes.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte)))
      for (let length = 0; length < bytes.length; length++) decodeMailFrame(bytes.subarray(0, length))
    }
  })

  test('a message of nothing but elements is refused before it is decoded', () => {
    const many = Array.from({ length: 100_000 }, () => new Uint8Array(0))
    const chain = MailFrame.encode({
      kind: { $case: 'chain', value: { entries: many } },
    }).finish()
    const deposit = MailFrame.encode({
      kind: { $case: 'deposit', value: { number: 1, id, recipients: many, replaces: [], envelope: id } },
    }).finish()
    const found = MeetFrame.encode({ kind: { $case: 'found', value: { devices: many } } }).finish()
    for (const bytes of [chain, deposit]) expect(decodeMailFrame(bytes)).toBeUndefined()
    expect(decodeMeetFrame(found)).toBeUndefined()
    // One large envelope is no crowd.
    const large = { number: 1, id, recipients: [key], replaces: [], envelope: new Uint8Array(5_000_000) }
    expect(decodeMailFrame(encodeMailFrame({ $case: 'deposit', value: large }))?.$case).toBe('deposit')
  })
})
