/** What a window answers to each step of who knocks, one rule at a time; whole pairings are in pairing.test.ts. */
import { describe, expect, test } from 'vitest'
import { pairingErrorFromWire } from '../../src/protocol/pairing-errors.js'
import type { FrameKind } from '../../src/protocol/pairing-rules.js'
import {
  ANSWER_DEADLINE_MS,
  MAX_TRIES,
  refusal,
  STEP_DEADLINE_MS,
  STORE_DEADLINE_MS,
  WINDOW_MS,
} from '../../src/protocol/pairing-rules.js'
import { PairingWindow } from '../../src/protocol/pairing-window.js'
import type { WindowEffect } from '../../src/protocol/pairing-window-events.js'
import { pinToBytes } from '../../src/protocol/pin.js'
import type { Roster } from '../../src/protocol/roster.js'
import { signEnrolment } from '../../src/protocol/roster-write.js'
import { Attempt, Existing, PIN, run } from './pairing-helpers.js'
import { beginPractice, desk, laptop, other, random, roster } from './pairing-practice.js'
import { enrol, makeDevice, natives } from './roster-helpers.js'

beginPractice('windows')

const hello = (nonce = random(32)): FrameKind => ({
  $case: 'hello',
  value: { oldest: 1, newest: 1, nonce },
})

/** Effects since `before`, frames by their names. */
function since(existing: Existing, before: number): (string | WindowEffect)[] {
  return existing.log.slice(before).map((effect) => (effect.kind === 'send' ? effect.frame.$case : effect))
}

/** A window and a device that came as far as its frame of this kind, which got lost. */
function upTo(lost: FrameKind['$case'], answer: 'add' | 'not-mine' | 'silent' = 'silent') {
  const existing = new Existing(random, desk, roster, answer)
  const attempt = new Attempt(random, laptop, desk, 1)
  const said = new Map<FrameKind['$case'], FrameKind>()
  run(existing, attempt, (frame) => {
    said.set(frame.$case, frame)
    return frame.$case === lost ? undefined : frame
  })
  return { existing, attempt, said }
}

const refusals = (existing: Existing, session: number) =>
  existing.log.flatMap((effect) =>
    effect.kind === 'send' && effect.session === session && effect.frame.$case === 'refuse'
      ? [[pairingErrorFromWire(effect.frame.value.code), effect.frame.value.triesLeft]]
      : [],
  )

describe('every step has its time', () => {
  test('a window, a frame, a count on the disk, a person, the last word', () => {
    const existing = new Existing(random, desk, roster)
    run(existing, new Attempt(random, laptop, desk, 1))
    const armed = existing.log.flatMap((effect) =>
      effect.kind === 'arm' ? [[effect.session, effect.afterMs]] : [],
    )
    expect(armed).toEqual([
      [undefined, WINDOW_MS],
      [1, STEP_DEADLINE_MS],
      [1, STEP_DEADLINE_MS],
      [1, STORE_DEADLINE_MS],
      [1, ANSWER_DEADLINE_MS],
      [1, STORE_DEADLINE_MS],
    ])
  })

  test('but for who is being enrolled: the roster may hold it any moment', () => {
    const { existing, attempt } = upTo('welcome')
    existing.event({ kind: 'answered', session: 1, add: true })
    const before = existing.log.length
    existing.event({ kind: 'timeout', session: 1 })
    expect(since(existing, before)).toEqual([])
    existing.settle()
    run(existing, attempt)
    expect(attempt.find('joined')).toBeDefined()
  })
})

describe('[E1] who knocks', () => {
  test('before it opens and after it closed is answered "closed", and the line is cut', () => {
    const window = new PairingWindow({
      natives,
      random,
      ed: desk.ed,
      pin: pinToBytes(PIN),
      practiceId: roster.practiceId,
      addresses: [],
    })
    const knock = () => window.step({ kind: 'frame', session: 7, remote: laptop.ed, roster, frame: hello() })
    const turnedAway = [
      { kind: 'send', session: 7, frame: refusal('closed') },
      { kind: 'hang-up', session: 7 },
    ]
    expect(knock()).toEqual(turnedAway)
    expect(window.step({ kind: 'close' })).toEqual([])
    expect(window.step({ kind: 'open' })).toHaveLength(1)
    expect(window.step({ kind: 'open' })).toEqual([])
    expect(window.step({ kind: 'close' })).toEqual([{ kind: 'closed', reason: 'closed' }])
    for (const event of [{ kind: 'open' }, { kind: 'close' }, { kind: 'timeout' }] as const)
      expect(window.step(event)).toEqual([])
    expect(knock()).toEqual(turnedAway)
  })

  test('while another device pairs, at whatever step, is "busy", and takes nothing from it', () => {
    for (const step of ['share', 'confirm', 'waiting'] as const) {
      const { existing } = upTo(step)
      existing.frame(2, other.ed, hello())
      expect(refusals(existing, 2)).toEqual([['busy', 0]])
      expect(existing.log.at(-1)).toEqual({ kind: 'hang-up', session: 2 })
      expect(existing.window.pairingWith).toBe(1)
    }
  })

  test('again itself takes the place of its older line until a person is asked, and never after', () => {
    for (const step of ['share', 'confirm'] as const) {
      const { existing } = upTo(step)
      const before = existing.log.length
      existing.frame(2, laptop.ed, hello())
      expect(since(existing, before)).toEqual([
        { kind: 'hang-up', session: 1 },
        'ready',
        { kind: 'arm', session: 2, afterMs: STEP_DEADLINE_MS },
      ])
      expect(existing.window.pairingWith).toBe(2)
    }
    const { existing } = upTo('waiting')
    existing.frame(2, laptop.ed, hello())
    expect(refusals(existing, 2)).toEqual([['busy', 0]])
    existing.event({ kind: 'answered', session: 1, add: true })
    existing.frame(3, laptop.ed, hello())
    expect(refusals(existing, 3)).toEqual([['busy', 0]])
  })

  test('with anything but a HELLO is turned away, but a farewell is not answered', () => {
    const existing = new Existing(random, desk, roster)
    const say = (frame: FrameKind | undefined) => {
      const before = existing.log.length
      existing.frame(4, laptop.ed, frame)
      return since(existing, before)
    }
    expect(say(undefined)).toEqual(['refuse', { kind: 'hang-up', session: 4 }])
    expect(say({ $case: 'confirm', value: { tag: random(32) } })).toHaveLength(2)
    expect(refusals(existing, 4)).toEqual([
      ['malformed', 0],
      ['malformed', 0],
    ])
    expect([say(refusal('lost')), say({ $case: 'done', value: {} })]).toEqual([[], []])
  })

  test('with a nonce or a key of another length is refused', () => {
    const existing = new Existing(random, desk, roster)
    const before = existing.log.length
    existing.frame(30, laptop.ed, hello())
    expect(since(existing, before)).toEqual([
      'ready',
      { kind: 'arm', session: 30, afterMs: STEP_DEADLINE_MS },
    ])
    existing.event({ kind: 'lost', session: 30 })
    for (const [session, length] of [31, 33, 0].entries()) {
      existing.frame(session, laptop.ed, hello(random(length)))
      existing.frame(session + 10, random(length), hello())
      for (const each of [session, session + 10]) expect(refusals(existing, each)).toEqual([['malformed', 0]])
    }
    expect(existing.window.pairingWith).toBeUndefined()
  })

  test('events of another session, and of a step that is over, change nothing', () => {
    const { existing } = upTo('waiting')
    const before = existing.log.length
    existing.event({ kind: 'answered', session: 2, add: true })
    existing.event({ kind: 'answered', session: 2, add: false })
    existing.event({ kind: 'counted', session: 1, roster })
    existing.event({ kind: 'enrolled', session: 1, roster })
    existing.event({ kind: 'lost', session: 2 })
    existing.event({ kind: 'timeout', session: 2 })
    existing.event({ kind: 'store-failed', session: 2 })
    expect(since(existing, before)).toEqual([])
    expect(existing.window.pairingWith).toBe(1)
  })

  test('at a step hears what belongs to it, and nothing else: no try is counted, and the window stays open', () => {
    const confirm: FrameKind = { $case: 'confirm', value: { tag: random(32) } }
    const done: FrameKind = { $case: 'done', value: {} }
    const early: [FrameKind['$case'], (FrameKind | 'share' | undefined)[]][] = [
      ['share', [confirm, done, hello(), undefined]],
      // The share that was taken before, or it could change what a person is asked about.
      ['confirm', ['share', done, hello(), undefined]],
      ['waiting', ['share', confirm, done, hello(), undefined]],
    ]
    for (const [step, frames] of early)
      for (const each of frames) {
        const { existing, said } = upTo(step)
        const frame = each === 'share' ? said.get(each) : each
        existing.frame(1, laptop.ed, frame)
        expect([step, frame?.$case, refusals(existing, 1)]).toEqual([
          step,
          frame?.$case,
          [['malformed', MAX_TRIES]],
        ])
        expect([existing.has('closed'), existing.window.pairingWith]).toEqual([0, undefined])
      }
    for (const kind of ['share', 'confirm', 'welcome'] as const) {
      const { existing, said } = upTo('done', 'add')
      existing.frame(1, laptop.ed, said.get(kind))
      expect([refusals(existing, 1), existing.has('closed')]).toEqual([[['malformed', MAX_TRIES]], 0])
    }
  })

  test('[E3] an answer before anybody was asked adds nobody', () => {
    for (const step of ['share', 'confirm'] as const) {
      const { existing } = upTo(step)
      const before = existing.log.length
      existing.event({ kind: 'answered', session: 1, add: true })
      existing.event({ kind: 'enrolled', session: 1, roster })
      expect(since(existing, before)).toEqual([])
    }
  })
})

describe('what a new device says of itself', () => {
  type Value = Extract<FrameKind, { $case: 'share' }>['value']
  /** How a window takes this share. */
  function answerTo(change: (value: Value) => Partial<Value>, held: Roster = roster) {
    const existing = new Existing(random, desk, held)
    const attempt = new Attempt(random, laptop, desk, 1)
    run(existing, attempt, (frame) =>
      frame.$case === 'share' ? { ...frame, value: { ...frame.value, ...change(frame.value) } } : frame,
    )
    return refusals(existing, 1)[0]?.[0]
  }
  const signed = (x: Uint8Array) => ({
    x,
    selfSignature: signEnrolment(natives, roster.practiceId, { ...laptop, x }),
  })

  test('is refused as malformed before anything is computed with the PIN', () => {
    const changes: Partial<Value>[] = [
      { share: random(31) },
      { share: random(33) },
      { name: '' },
      { name: 'a\nb' },
      { addresses: ['relay.example'] },
      { addresses: Array.from({ length: 17 }, (_, at) => `/ip4/192.0.2.1/tcp/${at}`) },
      { selfSignature: random(64) },
      { ed: other.ed },
      signed(new Uint8Array(32)),
      signed(random(31)),
    ]
    for (const change of changes) expect(answerTo(() => change)).toBe('malformed')
    // Nothing but an unusable share is wrong with this one.
    expect(answerTo(() => ({ share: new Uint8Array(32) }))).toBe('malformed')
    const addresses = Array.from({ length: 16 }, (_, at) => `/ip4/192.0.2.1/tcp/${at}`)
    expect([answerTo(() => ({})), answerTo(() => ({ addresses }))]).toEqual([undefined, 'wrong-pin'])
  })

  test('[R3] a member comes back with the key that it was enrolled with, not with another', () => {
    const held = enrol(random, roster, desk, laptop)
    expect(answerTo(() => signed(makeDevice(random, 'Else').x), held)).toBe('malformed')
    expect(answerTo(() => ({}), held)).toBeUndefined()
  })
})

describe('[E2] tries', () => {
  test('are told: how many are left, in the first answer and with a refusal', () => {
    const existing = new Existing(random, desk, roster)
    run(existing, new Attempt(random, laptop, desk, 1, { pin: '999999' }))
    expect(refusals(existing, 1)).toEqual([['wrong-pin', MAX_TRIES - 1]])
    existing.frame(2, laptop.ed, hello())
    const ready = existing.log.flatMap((effect) =>
      effect.kind === 'send' && effect.frame.$case === 'ready' ? [effect.frame.value.triesLeft] : [],
    )
    expect(ready).toEqual([MAX_TRIES, MAX_TRIES - 1])
    expect(existing.log).toContainEqual({ kind: 'failed', error: 'wrong-pin', triesLeft: MAX_TRIES - 1 })
  })

  test('that can’t be counted are not looked at, and stay spent', () => {
    const { existing, said } = upTo('confirm')
    existing.frame(1, laptop.ed, said.get('confirm'))
    existing.event({ kind: 'store-failed', session: 1 })
    expect(refusals(existing, 1)).toEqual([['failed', MAX_TRIES - 1]])
    expect(existing.log).toContainEqual({ kind: 'failed', error: 'failed', triesLeft: MAX_TRIES - 1 })
    existing.settle()
    expect([existing.has('ask'), existing.has('refund-try')]).toEqual([0, 0])
  })

  test('one that is being counted when time is up is looked at still, and a wrong one ends it', () => {
    const { existing } = upTo('confirm')
    existing.frame(1, laptop.ed, { $case: 'confirm', value: { tag: random(32) } })
    const before = existing.log.length
    existing.event({ kind: 'timeout' })
    expect([since(existing, before), existing.window.closed]).toEqual([[], false])
    existing.settle()
    expect(refusals(existing, 1)).toEqual([['wrong-pin', MAX_TRIES - 1]])
    expect(existing.log.at(-1)).toEqual({ kind: 'closed', reason: 'timed-out' })
  })
})

describe('a window that closes', () => {
  test('forgets the PIN and the keys of its session', () => {
    const pin = pinToBytes(PIN)
    const window = new PairingWindow({
      natives,
      random,
      ed: desk.ed,
      pin,
      practiceId: roster.practiceId,
      addresses: [],
    })
    window.step({ kind: 'open' })
    expect(pin).toEqual(pinToBytes(PIN))
    window.step({ kind: 'timeout' })
    expect(pin).toEqual(new Uint8Array(pin.length))
  })

  test('by hand takes the question back; while a device is being enrolled, it waits for that', () => {
    const asked = upTo('waiting').existing
    const before = asked.log.length
    asked.event({ kind: 'close' })
    expect(since(asked, before)).toEqual([
      { kind: 'withdraw', session: 1 },
      'refuse',
      { kind: 'hang-up', session: 1 },
      { kind: 'failed', error: 'cancelled', triesLeft: MAX_TRIES },
      { kind: 'closed', reason: 'closed' },
    ])
    const { existing, attempt } = upTo('welcome')
    existing.event({ kind: 'answered', session: 1, add: true })
    existing.event({ kind: 'close' })
    expect(existing.window.closed).toBe(false)
    existing.settle()
    run(existing, attempt)
    expect(attempt.find('joined')).toBeDefined()
    expect(existing.log.at(-1)).toEqual({ kind: 'closed', reason: 'paired' })
  })

  test('closes once, whatever comes together: the fifth try, time, "Not mine" and a person', () => {
    const closings = (existing: Existing) =>
      existing.log.flatMap((effect) => (effect.kind === 'closed' ? [effect.reason] : []))
    const { existing: asked } = upTo('waiting')
    asked.event({ kind: 'timeout' })
    asked.event({ kind: 'answered', session: 1, add: false })
    expect(closings(asked)).toEqual(['timed-out'])
    expect(asked.log.at(-1)).toEqual({ kind: 'closed', reason: 'timed-out' })
    const tried = new Existing(random, desk, roster)
    for (let n = 1; n < MAX_TRIES; n++) run(tried, new Attempt(random, laptop, desk, n, { pin: '999999' }))
    run(tried, new Attempt(random, laptop, desk, 9), (frame) =>
      frame.$case === 'confirm' ? undefined : frame,
    )
    tried.frame(9, laptop.ed, { $case: 'confirm', value: { tag: random(32) } })
    tried.event({ kind: 'close' })
    expect(closings(tried)).toEqual(['used-up'])
  })

  test('in its time says so to who has not come as far as the PIN', () => {
    const { existing } = upTo('share')
    existing.event({ kind: 'timeout' })
    expect(refusals(existing, 1)).toEqual([['timed-out', MAX_TRIES]])
    expect(existing.log.at(-1)).toEqual({ kind: 'closed', reason: 'timed-out' })
  })

  test('because somebody else knows the PIN tells only who was refused, and asks nobody again', () => {
    const existing = new Existing(random, desk, roster, 'not-mine')
    run(existing, new Attempt(random, laptop, desk, 1))
    expect(refusals(existing, 1)).toEqual([['not-mine', MAX_TRIES]])
    expect(existing.has('withdraw')).toBe(0)
  })
})

describe('[E4] after the welcome', () => {
  test('a device whose line is cut is not told of, nor counted as failed; the last word closes', () => {
    const { existing } = upTo('done', 'add')
    const before = existing.log.length
    existing.frame(1, laptop.ed, { $case: 'done', value: {} })
    expect(since(existing, before)).toEqual([
      { kind: 'hang-up', session: 1 },
      { kind: 'closed', reason: 'paired' },
    ])
    const lost = upTo('done', 'add').existing
    const mark = lost.log.length
    lost.event({ kind: 'lost', session: 1 })
    expect(since(lost, mark)).toEqual([{ kind: 'hang-up', session: 1 }])
  })

  test('who left while it was enrolled is in all the same; back again, it is welcomed without being new', () => {
    const { existing } = upTo('welcome')
    existing.event({ kind: 'answered', session: 1, add: true })
    const before = existing.log.length
    existing.event({ kind: 'lost', session: 1 })
    expect(since(existing, before)).toEqual([])
    existing.settle()
    expect(since(existing, before)).toEqual([
      { kind: 'paired', ed: laptop.ed, name: 'Laptop', addresses: ['/ip4/192.0.2.9/tcp/9'] },
      { kind: 'hang-up', session: 1 },
    ])
    const later = new Existing(random, desk, existing.roster)
    run(later, new Attempt(random, laptop, desk, 2), (frame) => (frame.$case === 'done' ? undefined : frame))
    const { id } = later.window
    expect(since(later, later.log.length - 4)).toEqual([
      { kind: 'arm', session: 2, afterMs: STORE_DEADLINE_MS },
      { kind: 'refund-try', window: id, used: 0 },
      'welcome',
      { kind: 'arm', session: 2, afterMs: STORE_DEADLINE_MS },
    ])
  })

  test('a lost line tells nobody why; what the device said on leaving is kept', () => {
    const { existing } = upTo('confirm')
    existing.event({ kind: 'lost', session: 1 })
    expect(refusals(existing, 1)).toEqual([])
    const left = upTo('confirm').existing
    left.frame(1, laptop.ed, refusal('cancelled'))
    expect(refusals(left, 1)).toEqual([])
    expect(left.log).toContainEqual({ kind: 'failed', error: 'cancelled', triesLeft: MAX_TRIES })
  })
})
