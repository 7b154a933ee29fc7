/** What a new device believes of who answers it, one rule at a time; whole pairings are in pairing.test.ts. */
import { describe, expect, test } from 'vitest'
import { concat, lv, toHex, utf8 } from '../../src/protocol/bytes.js'
import { Joining } from '../../src/protocol/pairing-join.js'
import {
  ANSWER_DEADLINE_MS,
  confirmationKey,
  decodePairFrame,
  encodePairFrame,
  existingDeviceTag,
  type FrameKind,
  MAX_PAIR_FRAME_BYTES,
  MAX_SMALL_FRAME_BYTES,
  MAX_TRIES,
  newDeviceTag,
  pairInputs,
  refusal,
  STEP_DEADLINE_MS,
  type Transcript,
} from '../../src/protocol/pairing-rules.js'
import { pakeShare } from '../../src/protocol/pake.js'
import { pinToBytes } from '../../src/protocol/pin.js'
import { practiceCode } from '../../src/protocol/practice-code.js'
import type { Roster } from '../../src/protocol/roster.js'
import { removeDevices, rotateEpoch } from '../../src/protocol/roster-write.js'
import { Attempt, PIN } from './pairing-helpers.js'
import { enrol, genesis, makeDevice, must, natives, writing } from './roster-helpers.js'
import { seededRandom } from './vectors.js'

const random = seededRandom('joining')
const desk = makeDevice(random, 'Desk')
const laptop = makeDevice(random, 'Laptop')
const roster = genesis(random, desk)
const enrolled = enrol(random, roster, desk, laptop)
const window = random(16)

type Value<K extends FrameKind['$case']> = Extract<FrameKind, { $case: K }>['value']

const readyOf = (given: Partial<Value<'ready'>> = {}): FrameKind & { $case: 'ready' } => ({
  $case: 'ready',
  value: {
    version: 1,
    nonce: random(32),
    practice: roster.practiceId,
    rosterHead: roster.head,
    window,
    triesLeft: MAX_TRIES,
    ...given,
  },
})

/** A joining device that hears these frames; what it has said last, and how it ended. */
function hears(attempt: Attempt, ...frames: (FrameKind | undefined)[]) {
  for (const frame of frames) attempt.step({ kind: 'frame', frame })
  return { said: attempt.out.at(-1)?.$case, failed: attempt.find('failed')?.error }
}

const joiner = (options: ConstructorParameters<typeof Attempt>[4] = {}) =>
  new Attempt(random, laptop, desk, 1, options)

/** An existing device that knows the PIN: what it welcomes with is rightly confirmed, whatever that is. */
function welcomed(given: Roster, attempt = joiner(), addresses: string[] = []) {
  const [hello] = attempt.out as (FrameKind & { $case: 'hello' })[]
  const ready = readyOf()
  hears(attempt, ready)
  const { value: share } = attempt.out.at(-1) as FrameKind & { $case: 'share' }
  const inputs = pairInputs(natives, {
    pin: pinToBytes(PIN),
    practice: roster.practiceId,
    newDevice: laptop.ed,
    existing: desk.ed,
    newNonce: hello!.value.nonce,
    existingNonce: ready.value.nonce,
  })
  const own = pakeShare(inputs, random(32))
  const { practice, rosterHead } = ready.value
  const { ed, x, selfSignature, name } = share
  const transcript: Transcript = {
    ...{ practice, rosterHead, window, session: inputs.session },
    ...{ ed, x, selfSignature, name, addresses: share.addresses },
    ...{ newShare: share.share, existingShare: own.share },
  }
  const key = confirmationKey(transcript, own.scalar, 'existing')!
  hears(attempt, { $case: 'answer', value: { share: own.share } })
  expect(attempt.out.at(-1)).toEqual({ $case: 'confirm', value: { tag: newDeviceTag(key, transcript) } })
  const tag = existingDeviceTag(key, transcript, given.head, addresses)
  const value = { tag, rosterHead: given.head, entries: [...given.entries], addresses }
  return hears(attempt, { $case: 'welcome', value })
}

describe('a device that joins', () => {
  test('takes a first answer only in its form', () => {
    expect(hears(joiner(), readyOf())).toEqual({ said: 'share', failed: undefined })
    const wrong: Partial<Value<'ready'>>[] = [
      ...(['nonce', 'practice', 'rosterHead', 'window'] as const).flatMap((field) =>
        [15, 17, 31, 33].map((length) => ({ [field]: random(length) })),
      ),
      { version: 0 },
      { version: 2 },
    ]
    for (const given of wrong)
      expect(hears(joiner(), readyOf(given))).toEqual({ said: 'refuse', failed: 'malformed' })
  })

  test('goes on with the practice whose code was typed, and with no other', () => {
    const code = practiceCode(natives, roster.practiceId)
    expect(hears(joiner({ code }), readyOf()).said).toBe('share')
    expect(hears(joiner({ code }), readyOf({ practice: random(32) })).failed).toBe('other-practice')
  })

  test('[N1] spends a try with its confirmation, not before, and none beyond the fifth in one window', () => {
    const attempt = joiner({ spent: new Map([[toHex(window), MAX_TRIES - 1]]) })
    expect(hears(attempt, readyOf()).said).toBe('share')
    expect(attempt.find('spend')).toBeUndefined()
    hears(attempt, { $case: 'answer', value: { share: pakeShareOf() } })
    expect(attempt.find('spend')).toEqual({ kind: 'spend', window: toHex(window) })
    const spent = new Map([[toHex(window), MAX_TRIES]])
    expect(hears(joiner({ spent }), readyOf())).toEqual({ said: 'refuse', failed: 'used-up' })
  })

  test('[N1] confirms nothing to a share that is no group element, nor of another length', () => {
    for (const share of [new Uint8Array(32), new Uint8Array(32).fill(255), random(31), random(33)]) {
      const attempt = joiner()
      expect(hears(attempt, readyOf(), { $case: 'answer', value: { share } })).toEqual({
        said: 'refuse',
        failed: 'malformed',
      })
      expect(attempt.find('spend')).toBeUndefined()
    }
  })

  test('hears each frame at its step only', () => {
    const answer: FrameKind = { $case: 'answer', value: { share: pakeShareOf() } }
    const waiting: FrameKind = { $case: 'waiting', value: {} }
    const early = [answer, waiting, unasked(), { $case: 'done', value: {} } as const, undefined]
    for (const frame of early) expect(hears(joiner(), frame).failed).toBe('malformed')
    for (const frame of [readyOf(), waiting, unasked()])
      expect(hears(joiner(), readyOf(), frame).failed).toBe('malformed')
    for (const frame of [readyOf(), answer])
      expect(hears(joiner(), readyOf(), answer, frame).failed).toBe('malformed')
  })

  test('gives each step its time, and a person more', () => {
    const attempt = joiner()
    const answer: FrameKind = { $case: 'answer', value: { share: pakeShareOf() } }
    hears(attempt, readyOf(), answer, { $case: 'waiting', value: {} })
    const armed = attempt.log.flatMap((effect) => (effect.kind === 'arm' ? [effect.afterMs] : []))
    expect(armed).toEqual([
      STEP_DEADLINE_MS,
      STEP_DEADLINE_MS,
      STEP_DEADLINE_MS,
      ANSWER_DEADLINE_MS + STEP_DEADLINE_MS,
    ])
  })

  test('tells how many tries are left where the PIN was wrong, as far as there can be so many', () => {
    const ends = (frame: FrameKind) => {
      const attempt = joiner()
      hears(attempt, frame)
      expect(attempt.out.map((each) => each.$case)).toEqual(['hello'])
      return attempt.find('failed')
    }
    expect(ends(refusal('wrong-pin', 2))).toEqual({ kind: 'failed', error: 'wrong-pin', triesLeft: 2 })
    expect(ends(refusal('wrong-pin', 1e9))).toEqual({
      kind: 'failed',
      error: 'wrong-pin',
      triesLeft: MAX_TRIES,
    })
    expect(ends(refusal('busy', 2))).toStrictEqual({ kind: 'failed', error: 'busy' })
  })

  test('starts once, says why it goes but not to a line that is lost, and then is deaf', () => {
    const attempt = joiner()
    for (const kind of ['start', 'stored'] as const) expect(attempt.joining.step({ kind })).toEqual([])
    expect(attempt.joining.ended).toBe(false)
    attempt.step({ kind: 'lost' })
    expect([attempt.out.length, attempt.find('failed')?.error]).toEqual([1, 'lost'])
    expect(attempt.joining.ended).toBe(true)
    const { length } = attempt.log
    hears(attempt, readyOf())
    attempt.step({ kind: 'cancel' })
    expect(attempt.log).toHaveLength(length)
    const unstarted = new Joining({
      ...{ natives, random, device: laptop, pin: pinToBytes(PIN), remote: desk.ed },
      ...{ addresses: [], spent: new Map() },
    })
    expect(unstarted.step({ kind: 'cancel' })).toEqual([{ kind: 'failed', error: 'cancelled' }])
  })
})

describe('[N2] a welcome from a device that knows the PIN', () => {
  const phone = makeDevice(random, 'Phone')
  const withPhone = enrol(random, roster, desk, phone)

  test('is stored where the roster is of this practice, and holds and serves both', () => {
    const attempt = joiner()
    expect(welcomed(enrolled, attempt, ['/ip4/192.0.2.1/tcp/1'])).toEqual({
      said: 'confirm',
      failed: undefined,
    })
    expect(attempt.find('store')).toMatchObject({ addresses: ['/ip4/192.0.2.1/tcp/1'] })
    expect(attempt.find('joined')).toBeUndefined()
    for (const event of [{ kind: 'lost' }, { kind: 'timeout' }, { kind: 'cancel' }] as const)
      expect(attempt.joining.step(event)).toEqual([])
    attempt.step({ kind: 'stored' })
    expect(attempt.out.at(-1)).toEqual({ $case: 'done', value: {} })
    expect(attempt.find('joined')?.roster).toEqual(enrolled)
  })

  test('is refused without this device, without that one, or with another key than mine', () => {
    const own = genesis(random, desk)
    const removed = must(
      removeDevices(writing(random, enrolled, desk), { ids: [laptop.ed], cuts: [] }),
    ).roster
    const gone = must(removeDevices(writing(random, enrolled, laptop), { ids: [desk.ed], cuts: [] })).roster
    const elsewhere = { ...laptop, x: makeDevice(random, 'x').x }
    const wrong: [string, Roster][] = [
      ['without me', roster],
      ['with somebody else', withPhone],
      ['from which I was removed', removed],
      ['from which it was removed itself', gone],
      ['of another practice', enrol(random, own, desk, laptop)],
      ['with another key of mine', enrol(random, roster, desk, elsewhere)],
      ['with another head than it names', { ...enrolled, head: random(32) }],
      ['without its first entry', { ...enrolled, entries: enrolled.entries.slice(1) }],
    ]
    for (const [what, given] of wrong) {
      const attempt = joiner()
      expect([what, welcomed(given, attempt)]).toEqual([what, { said: 'refuse', failed: 'malformed' }])
      expect(attempt.find('store')).toBeUndefined()
    }
  })

  test('is refused where the newest key is not mine to open: it could read nothing', () => {
    const { roster: rotated } = must(rotateEpoch(writing(random, enrolled, desk)))
    expect(welcomed(rotated).failed).toBeUndefined()
    const thief = { ...laptop, xSecret: random(32) }
    const attempt = new Attempt(random, thief, desk, 1)
    expect(welcomed(enrolled, attempt).failed).toBe('failed')
    expect(attempt.find('store')).toBeUndefined()
  })

  test('is refused with addresses that are none', () => {
    for (const addresses of [
      ['relay.example'],
      Array.from({ length: 17 }, (_, at) => `/ip4/192.0.2.1/tcp/${at}`),
    ])
      expect(welcomed(enrolled, joiner(), addresses).failed).toBe('malformed')
  })

  test('is refused with a tag of another length, before anything is made of it', () => {
    const attempt = joiner()
    const value = { tag: random(31), rosterHead: random(32), entries: [], addresses: [] }
    hears(attempt, readyOf(), { $case: 'answer', value: { share: pakeShareOf() } })
    expect(hears(attempt, { $case: 'welcome', value }).failed).toBe('malformed')
  })

  test('[N3] that can’t be stored is told, and lets nobody in', () => {
    const attempt = joiner()
    welcomed(enrolled, attempt)
    attempt.step({ kind: 'store-failed' })
    expect([attempt.out.at(-1), attempt.find('failed')]).toEqual([
      refusal('failed'),
      { kind: 'failed', error: 'failed' },
    ])
    attempt.step({ kind: 'stored' })
    expect(attempt.find('joined')).toBeUndefined()
  })
})

test('what both sides compute with the PIN is bound to both nonces, the practice, both devices and their roles', () => {
  const run = {
    ...{ pin: random(6), practice: random(32), newDevice: laptop.ed, existing: desk.ed },
    ...{ newNonce: random(32), existingNonce: random(32) },
  }
  expect(pairInputs(natives, run)).toEqual({
    password: run.pin,
    session: natives.sha256(concat([utf8('kartoteka/1 pairing session'), run.newNonce, run.existingNonce])),
    channel: lv([
      ...[utf8('kartoteka/1 pairing channel'), run.practice],
      ...[utf8('new device'), laptop.ed, utf8('existing device'), desk.ed],
    ]),
  })
})

test('a frame may be as large as it needs: a roster 4 MB, everything else 16 KB', () => {
  const welcome = (size: number): FrameKind => {
    const value = { tag: random(32), rosterHead: random(32), entries: [new Uint8Array(size)], addresses: [] }
    return { $case: 'welcome', value }
  }
  const confirm = (size: number): FrameKind => ({ $case: 'confirm', value: { tag: new Uint8Array(size) } })
  const sizes = (frame: (size: number) => FrameKind, limit: number) => {
    // What goes around the bytes themselves.
    const around = encodePairFrame(frame(limit - 200)).length - (limit - 200)
    return [0, 1].map((more) => {
      const bytes = encodePairFrame(frame(limit - around + more))
      expect(bytes).toHaveLength(limit + more)
      return decodePairFrame(bytes)?.$case
    })
  }
  expect(sizes(confirm, MAX_SMALL_FRAME_BYTES)).toEqual(['confirm', undefined])
  expect(sizes(welcome, MAX_PAIR_FRAME_BYTES)).toEqual(['welcome', undefined])
})

test('a frame of nothing but empty entries is refused before it is decoded', () => {
  const entries = Array.from({ length: 20_000 }, () => new Uint8Array(0))
  const value = { tag: random(32), rosterHead: random(32), entries, addresses: [] }
  expect(decodePairFrame(encodePairFrame({ $case: 'welcome', value }))).toBeUndefined()
})

/** A share as an existing device makes it, for any PIN. */
function pakeShareOf(): Uint8Array {
  const inputs = { password: random(6), channel: random(8), session: random(32) }
  return pakeShare(inputs, random(32)).share
}

function unasked(): FrameKind {
  const value = { tag: random(32), rosterHead: roster.head, entries: [...enrolled.entries], addresses: [] }
  return { $case: 'welcome', value }
}
