import { describe, expect, test } from 'vitest'
import { toHex } from '../../src/protocol/bytes.js'
import {
  type PairingError,
  pairingErrorFromWire,
  pairingErrorToWire,
  pairingSentence,
} from '../../src/protocol/pairing-errors.js'
import { decodePairFrame, type FrameKind, MAX_TRIES, refusal } from '../../src/protocol/pairing-rules.js'
import { practiceCode } from '../../src/protocol/practice-code.js'
import { isMember } from '../../src/protocol/roster.js'
import { removeDevices } from '../../src/protocol/roster-write.js'
import { Attempt, Existing, overTheWire, run, spend, windowHex } from './pairing-helpers.js'
import { beginPractice, desk, laptop, other, random, roster } from './pairing-practice.js'
import { asking, enrol, makeDevice, must, natives, open, type TestDevice, writing } from './roster-helpers.js'

beginPractice('pairing')

const attempt = (
  device: TestDevice,
  session = 1,
  options: ConstructorParameters<typeof Attempt>[4] = {},
): Attempt => new Attempt(random, device, desk, session, options)

/** The refusal that waits for a session. */
function refused(existing: Existing, session: number): PairingError | undefined {
  const frame = existing.out.get(session)?.find((f) => f.$case === 'refuse')
  return frame?.$case === 'refuse' ? pairingErrorFromWire(frame.value.code) : undefined
}

describe('success', () => {
  test('the new device is enrolled, opens the roster, and the window closes', () => {
    const existing = new Existing(random, desk, roster)
    const joining = attempt(laptop, 1, { code: practiceCode(natives, roster.practiceId) })
    run(existing, joining)
    const joined = joining.find('joined')!.roster
    expect(joined).toEqual(existing.roster)
    expect(isMember(joined, laptop.ed)).toBe(true)
    expect(open(joined, laptop).deviceNames.get(toHex(laptop.ed))).toBe('Laptop')
    expect(open(joined, laptop).indexKey).toEqual(open(roster, desk).indexKey)
    expect(joining.find('waiting')).toBeDefined()
    expect(joining.find('store')?.addresses).toEqual(['/ip4/192.0.2.1/tcp/1'])
    expect(existing.log).toContainEqual({ kind: 'ask', session: 1, name: 'Laptop', ed: laptop.ed })
    const paired = { kind: 'paired', ed: laptop.ed, name: 'Laptop', addresses: ['/ip4/192.0.2.9/tcp/9'] }
    expect(existing.log).toContainEqual(paired)
    expect(existing.log.at(-1)).toEqual({ kind: 'closed', reason: 'paired' })
    expect(existing.durableTries).toBe(0)
    const late = attempt(other, 2)
    run(existing, late)
    expect(late.find('failed')).toEqual({ kind: 'failed', error: 'closed' })
  })

  test('[N1] [E3] N confirms first; E sends no confirmation and enrols nobody before Add', () => {
    const existing = new Existing(random, desk, roster, 'silent')
    const joining = attempt(laptop)
    run(existing, joining)
    expect(existing.has('ask')).toBe(1)
    expect(existing.has('enrol')).toBe(0)
    const sent = existing.log.flatMap((e) => (e.kind === 'send' ? [e.frame.$case] : []))
    expect(sent).toEqual(['ready', 'answer', 'waiting'])
    existing.event({ kind: 'answered', session: 1, add: true })
    existing.settle()
    run(existing, joining)
    expect(joining.find('joined')).toBeDefined()
  })
})

describe('wrong PIN [E2]', () => {
  test('five wrong tries close the window, each counted before it is looked at', () => {
    const existing = new Existing(random, desk, roster)
    for (let n = 1; n <= MAX_TRIES; n++) {
      const joining = attempt(laptop, n, { pin: '999999' })
      run(existing, joining)
      expect(joining.find('failed')).toEqual({ kind: 'failed', error: 'wrong-pin', triesLeft: MAX_TRIES - n })
      expect(existing.durableTries).toBe(n)
    }
    expect(existing.log.at(-1)).toEqual({ kind: 'closed', reason: 'used-up' })
    expect(existing.has('ask')).toBe(0)
    const right = attempt(laptop, 9)
    run(existing, right)
    expect(right.find('failed')?.error).toBe('closed')
  })

  test('the right PIN after wrong ones is refunded, wrong ones stay counted', () => {
    const existing = new Existing(random, desk, roster)
    run(existing, attempt(laptop, 1, { pin: '999999' }))
    run(existing, attempt(laptop, 2, { pin: '999998' }))
    const right = attempt(laptop, 3)
    run(existing, right)
    expect(right.find('joined')).toBeDefined()
    expect(existing.durableTries).toBe(2)
  })

  test('the count survives a crash between count and verification', () => {
    const existing = new Existing(random, desk, roster)
    const joining = attempt(laptop)
    run(existing, joining, (frame) => (frame.$case === 'confirm' ? undefined : frame))
    existing.frame(1, laptop.ed, { $case: 'confirm', value: { tag: new Uint8Array(32) } })
    // Not settled: the write is durable, nothing else has happened, and nobody was told anything.
    expect(existing.durableTries).toBe(1)
    expect(existing.out.get(1)).toEqual([])
    // Leaving now does not give the try back.
    existing.event({ kind: 'lost', session: 1 })
    existing.settle()
    expect(existing.window.triesLeft).toBe(MAX_TRIES - 1)
  })

  test('tries that are cut off after the confirmation close the window too', () => {
    const existing = new Existing(random, desk, roster)
    for (let n = 1; n <= MAX_TRIES; n++) {
      run(existing, attempt(laptop, n), (frame) => (frame.$case === 'confirm' ? undefined : frame))
      existing.frame(n, laptop.ed, { $case: 'confirm', value: { tag: new Uint8Array(32) } })
      existing.event({ kind: 'lost', session: n })
    }
    expect(existing.log.at(-1)).toEqual({ kind: 'closed', reason: 'used-up' })
  })

  test('going no further than the shares costs no try and tells nothing', () => {
    const existing = new Existing(random, desk, roster)
    for (let n = 1; n <= 10; n++) {
      run(existing, attempt(laptop, n), (frame) => (frame.$case === 'confirm' ? undefined : frame))
      existing.event({ kind: 'timeout', session: n })
    }
    expect(existing.window.triesLeft).toBe(MAX_TRIES)
    const frames = existing.log.flatMap((e) => (e.kind === 'send' ? [e.frame.$case] : []))
    expect(new Set(frames)).toEqual(new Set(['ready', 'answer', 'refuse']))
  })

  test('N stops after five confirmations in one window, and begins anew in another', () => {
    const spent = new Map<string, number>()
    const existing = new Existing(random, desk, roster)
    for (let n = 1; n <= MAX_TRIES; n++) {
      const joining = attempt(laptop, n, { spent })
      run(existing, joining, (frame) => (frame.$case === 'confirm' ? undefined : frame))
      spend(spent, joining)
      existing.event({ kind: 'lost', session: n })
    }
    expect(spent.get(windowHex(existing))).toBe(MAX_TRIES)
    const sixth = attempt(laptop, 6, { spent })
    run(existing, sixth)
    expect(sixth.find('failed')?.error).toBe('used-up')
    expect(sixth.find('spend')).toBeUndefined()
    const next = new Existing(random, desk, roster)
    const again = attempt(laptop, 7, { spent })
    run(next, again)
    expect(again.find('joined')).toBeDefined()
  })

  test('an impostor without the PIN is not believed by N', () => {
    const impostor = new Existing(random, desk, roster, 'add', '111222')
    const joining = attempt(laptop)
    // It says yes to everything: it welcomes with a confirmation of its own.
    run(impostor, joining, (frame, to) => {
      if (to === 'existing' || frame.$case !== 'refuse') return frame
      const value = { tag: random(32), rosterHead: roster.head, entries: [...roster.entries], addresses: [] }
      return { $case: 'welcome', value }
    })
    expect(joining.find('failed')?.error).toBe('wrong-pin')
    expect(joining.find('store')).toBeUndefined()
  })
})

describe('who may knock [E1] [E5]', () => {
  test('the second of two at once gets busy, and succeeds when the first is gone', () => {
    const existing = new Existing(random, desk, roster, 'silent')
    const first = attempt(laptop, 1)
    run(existing, first)
    const second = attempt(other, 2)
    run(existing, second)
    expect(second.find('failed')?.error).toBe('busy')
    existing.event({ kind: 'lost', session: 1 })
    expect(existing.log).toContainEqual({ kind: 'withdraw', session: 1 })
    run(existing, attempt(other, 3))
    expect(existing.has('ask')).toBe(2)
  })

  test('a session whose end went unnoticed is replaced by a newer one of the same device', () => {
    const existing = new Existing(random, desk, roster)
    const first = attempt(laptop, 1)
    run(existing, first, (frame) => (frame.$case === 'share' ? undefined : frame))
    const second = attempt(laptop, 2)
    run(existing, second)
    expect(second.find('joined')).toBeDefined()
    expect(existing.log).toContainEqual({ kind: 'hang-up', session: 1 })
  })

  test('closed before it opens again, after its time, and when a person closes it', () => {
    const timedOut = new Existing(random, desk, roster)
    timedOut.event({ kind: 'timeout' })
    expect(timedOut.log.at(-1)).toEqual({ kind: 'closed', reason: 'timed-out' })
    const byHand = new Existing(random, desk, roster)
    const waiting = attempt(laptop, 1)
    run(byHand, waiting, (frame) => (frame.$case === 'share' ? undefined : frame))
    byHand.event({ kind: 'close' })
    run(byHand, waiting)
    expect(waiting.find('failed')?.error).toBe('cancelled')
    for (const existing of [timedOut, byHand]) {
      const joining = attempt(laptop, 5)
      run(existing, joining)
      expect(joining.find('failed')?.error).toBe('closed')
      expect(existing.window.closed).toBe(true)
    }
  })

  test('a removed device is told so, before anything else', () => {
    const enrolled = enrol(random, roster, desk, laptop)
    const without = must(
      removeDevices(writing(random, enrolled, desk), { ids: [laptop.ed], cuts: [] }),
    ).roster
    const joining = attempt(laptop)
    run(new Existing(random, desk, without), joining)
    expect(joining.find('failed')?.error).toBe('removed')
  })

  test('a typed practice code of another practice stops N before the PIN is used', () => {
    const joining = attempt(laptop, 1, { code: practiceCode(natives, random(32)) })
    const existing = new Existing(random, desk, roster)
    run(existing, joining)
    expect(joining.find('failed')?.error).toBe('other-practice')
    expect(existing.log).toContainEqual({ kind: 'failed', error: 'other-practice', triesLeft: MAX_TRIES })
  })

  test('versions that do not meet are told apart', () => {
    const existing = new Existing(random, desk, roster)
    const hello = (oldest: number, newest: number): FrameKind => ({
      $case: 'hello',
      value: { oldest, newest, nonce: random(32) },
    })
    existing.frame(1, laptop.ed, hello(0, 0))
    existing.frame(2, laptop.ed, hello(2, 3))
    expect([refused(existing, 1), refused(existing, 2)]).toEqual(['too-old', 'too-new'])
    existing.frame(3, laptop.ed, hello(1, 7))
    expect(refused(existing, 3)).toBeUndefined()
  })
})

describe('ends', () => {
  test('"Not mine" enrols nobody, tells N, and closes the window', () => {
    const existing = new Existing(random, desk, roster, 'not-mine')
    const joining = attempt(laptop)
    run(existing, joining)
    expect(joining.find('failed')?.error).toBe('not-mine')
    expect(existing.roster).toBe(roster)
    expect(existing.log.at(-1)).toEqual({ kind: 'closed', reason: 'not-mine' })
  })

  test('N cancels at any step: E is ready for the next at once', () => {
    for (const until of ['ready', 'answer', 'waiting']) {
      const existing = new Existing(random, desk, roster, 'silent')
      const joining = attempt(laptop)
      run(existing, joining, (frame) => (frame.$case === until ? undefined : frame))
      joining.step({ kind: 'cancel' })
      run(existing, joining)
      expect(joining.find('failed')?.error).toBe('cancelled')
      expect(existing.log.filter((e) => e.kind === 'failed').map((e) => e.error)).toEqual(['cancelled'])
      run(existing, attempt(other, 2))
      expect(existing.log.some((e) => e.kind === 'ask' && e.name === 'Other')).toBe(true)
    }
  })

  test('deadlines end both sides', () => {
    const existing = new Existing(random, desk, roster, 'silent')
    const joining = attempt(laptop)
    run(existing, joining)
    existing.event({ kind: 'timeout', session: 1 })
    expect(existing.log).toContainEqual({ kind: 'withdraw', session: 1 })
    run(existing, joining)
    expect(joining.find('failed')?.error).toBe('timed-out')
    const alone = attempt(laptop)
    alone.step({ kind: 'timeout' })
    expect(alone.find('failed')?.error).toBe('timed-out')
    alone.step({ kind: 'frame', frame: refusal('busy') })
    expect(alone.log.filter((e) => e.kind === 'failed').length).toBe(1)
  })

  test('a window whose time is up lets a person finish answering', () => {
    const existing = new Existing(random, desk, roster, 'silent')
    const joining = attempt(laptop)
    run(existing, joining)
    existing.event({ kind: 'timeout' })
    expect(existing.window.closed).toBe(false)
    existing.event({ kind: 'answered', session: 1, add: true })
    existing.settle()
    run(existing, joining)
    expect(joining.find('joined')).toBeDefined()
    expect(existing.log.at(-1)).toEqual({ kind: 'closed', reason: 'paired' })
  })

  test('a store that fails at E enrols nobody and tells N', () => {
    const existing = new Existing(random, desk, roster, 'silent')
    const joining = attempt(laptop)
    run(existing, joining)
    existing.event({ kind: 'answered', session: 1, add: true })
    existing.event({ kind: 'store-failed', session: 1 })
    run(existing, joining)
    expect(joining.find('failed')?.error).toBe('failed')
    expect(existing.window.closed).toBe(false)
  })

  test('a store that fails at N leaves it out, and it may try again', () => {
    const existing = new Existing(random, desk, roster)
    const joining = attempt(laptop)
    run(existing, joining, (frame) => (frame.$case === 'welcome' ? undefined : frame))
    const second = attempt(laptop, 2)
    run(existing, second)
    expect(second.find('joined')).toBeDefined()
  })
})

describe('a lost end, repeated [E4] [N3]', () => {
  test('N that never got its welcome comes back: welcomed again, asked and enrolled once', () => {
    const existing = new Existing(random, desk, roster)
    const first = attempt(laptop, 1)
    run(existing, first, (frame) => (frame.$case === 'welcome' ? undefined : frame))
    first.step({ kind: 'lost' })
    existing.event({ kind: 'lost', session: 1 })
    expect(existing.window.closed).toBe(false)
    const height = existing.roster.height

    const stranger = attempt(other, 2)
    run(existing, stranger)
    expect(stranger.find('failed')?.error).toBe('closed')
    const second = attempt(laptop, 3)
    run(existing, second)
    expect(second.find('joined')?.roster.height).toBe(height)
    expect([existing.has('ask'), existing.has('enrol'), existing.has('paired')]).toEqual([1, 1, 1])
    expect(existing.log.at(-1)).toEqual({ kind: 'closed', reason: 'paired' })
  })

  test('the connection is lost while E enrols: N is reported as paired and welcomed when it is back', () => {
    const existing = new Existing(random, desk, roster, 'silent')
    const first = attempt(laptop, 1)
    run(existing, first)
    existing.event({ kind: 'answered', session: 1, add: true })
    existing.event({ kind: 'lost', session: 1 })
    existing.event({ kind: 'close' })
    existing.settle()
    expect(existing.has('paired')).toBe(1)
    expect(existing.log.some((e) => e.kind === 'failed')).toBe(false)
    expect(existing.log.at(-1)).toEqual({ kind: 'closed', reason: 'paired' })
    // In a later window too, without being asked about again.
    const later = new Existing(random, desk, existing.roster)
    const second = attempt(laptop, 2)
    run(later, second)
    expect(second.find('joined')).toBeDefined()
    expect(later.has('ask')).toBe(0)
  })

  test('a lost Done costs nothing: N is in, E closes in time', () => {
    const existing = new Existing(random, desk, roster)
    const joining = attempt(laptop)
    run(existing, joining, (frame) => (frame.$case === 'done' ? undefined : frame))
    expect(joining.find('joined')).toBeDefined()
    existing.event({ kind: 'lost', session: 1 })
    existing.event({ kind: 'timeout' })
    expect(existing.log.at(-1)).toEqual({ kind: 'closed', reason: 'paired' })
    expect(existing.log.some((e) => e.kind === 'failed')).toBe(false)
    existing.frame(1, laptop.ed, { $case: 'done', value: {} })
    expect(existing.log.at(-1)).toEqual({ kind: 'closed', reason: 'paired' })
  })

  test('while it stores, N listens to nobody: it says joined exactly when the roster is durable', () => {
    const existing = new Existing(random, desk, roster)
    const joining = attempt(laptop)
    let welcome: FrameKind | undefined
    run(existing, joining, (frame) => {
      if (frame.$case === 'welcome') welcome = frame
      return frame.$case === 'welcome' ? undefined : frame
    })
    joining.step({ kind: 'frame', frame: overTheWire(welcome!) })
    for (const event of [{ kind: 'lost' }, { kind: 'timeout' }, { kind: 'cancel' }] as const)
      joining.step(event)
    expect(joining.find('failed')).toBeUndefined()
    joining.step({ kind: 'stored' })
    expect(joining.find('joined')).toBeDefined()
  })
})

describe('attack', () => {
  test('frames recorded from a success are worth nothing in another session or window', () => {
    const recorded: FrameKind[] = []
    run(new Existing(random, desk, roster), attempt(laptop), (frame, to) => {
      if (to === 'existing') recorded.push(frame)
      return frame
    })
    expect(recorded.map((f) => f.$case)).toEqual(['hello', 'share', 'confirm', 'done'])
    const existing = new Existing(random, desk, roster)
    for (const frame of recorded) {
      existing.frame(1, laptop.ed, overTheWire(frame))
      existing.settle()
    }
    expect(refused(existing, 1)).toBe('wrong-pin')
    expect(existing.durableTries).toBe(1)
    expect(existing.has('ask')).toBe(0)
  })

  test('a relay in the middle cannot use its own keys: the transport names other peers', () => {
    const middle = makeDevice(random, 'Middle')
    const existing = new Existing(random, desk, roster)
    const joining = new Attempt(random, laptop, middle, 1)
    const { session } = joining
    for (let round = 0; round < 8; round++) {
      for (const frame of joining.out.splice(0)) {
        // It hands on N's messages under its own peer id, with its own keys where N's stand.
        const own = { ...middle, selfSignature: new Uint8Array(64) }
        const changed: FrameKind =
          frame.$case === 'share' ? { $case: 'share', value: { ...frame.value, ed: own.ed } } : frame
        existing.frame(session, middle.ed, overTheWire(changed))
      }
      existing.settle()
      for (const frame of (existing.out.get(session) ?? []).splice(0)) joining.step({ kind: 'frame', frame })
    }
    expect(joining.find('joined')).toBeUndefined()
    expect(existing.has('ask')).toBe(0)
  })

  test("another device's keys, rightly signed by it, are refused from this connection", () => {
    const existing = new Existing(random, desk, roster)
    const joining = attempt(laptop)
    const keys = asking(roster, other)
    run(existing, joining, (frame) =>
      frame.$case === 'share' ? { $case: 'share', value: { ...frame.value, ...keys } } : frame,
    )
    expect(joining.find('failed')?.error).toBe('malformed')
    expect(joining.find('spend')).toBeUndefined()
  })

  test('every changed field is noticed by one side, and nobody is enrolled by it', () => {
    const flipped = (bytes: Uint8Array): Uint8Array => {
      const changed = Uint8Array.from(bytes)
      changed[changed.length >> 1]! ^= 4
      return changed
    }
    type Change = (value: Record<string, unknown>) => Record<string, unknown>
    const changes: [FrameKind['$case'], string, Change][] = []
    const bytesOf: [FrameKind['$case'], string[]][] = [
      ['hello', ['nonce']],
      ['ready', ['nonce', 'practice', 'rosterHead', 'window']],
      ['share', ['share', 'ed', 'x', 'selfSignature']],
      ['answer', ['share']],
      ['confirm', ['tag']],
      ['welcome', ['tag', 'rosterHead']],
    ]
    for (const [kind, fields] of bytesOf) {
      for (const field of fields) {
        changes.push([kind, field, (v) => ({ ...v, [field]: flipped(v[field] as Uint8Array) })])
        changes.push([kind, field, (v) => ({ ...v, [field]: new Uint8Array(0) })])
        changes.push([kind, field, (v) => ({ ...v, [field]: new Uint8Array(32) })])
      }
    }
    changes.push(['share', 'name', (v) => ({ ...v, name: 'Desktop' })])
    changes.push(['share', 'name', (v) => ({ ...v, name: '' })])
    changes.push(['share', 'addresses', (v) => ({ ...v, addresses: ['/ip4/198.51.100.1/tcp/6'] })])
    changes.push(['share', 'addresses', (v) => ({ ...v, addresses: ['nonsense'] })])
    changes.push(['welcome', 'addresses', (v) => ({ ...v, addresses: ['/ip4/198.51.100.1/tcp/6'] })])
    changes.push(['welcome', 'entries', (v) => ({ ...v, entries: (v.entries as Uint8Array[]).slice(0, 1) })])
    changes.push(['welcome', 'entries', (v) => ({ ...v, entries: (v.entries as Uint8Array[]).map(flipped) })])
    for (const [kind, field, change] of changes) {
      const existing = new Existing(random, desk, roster)
      const joining = attempt(laptop)
      run(existing, joining, (frame) =>
        frame.$case === kind ? ({ ...frame, value: change(frame.value as never) } as FrameKind) : frame,
      )
      expect([kind, field, joining.find('store')]).toEqual([kind, field, undefined])
      if (kind !== 'welcome') expect([kind, field, existing.has('enrol')]).toEqual([kind, field, 0])
    }
  })

  test('frames out of turn and garbage end the session and nothing else', () => {
    const frames: (FrameKind | undefined)[] = [
      undefined,
      { $case: 'confirm', value: { tag: new Uint8Array(32) } },
      {
        $case: 'ready',
        value: {
          version: 1,
          nonce: random(32),
          practice: random(32),
          rosterHead: random(32),
          window: random(16),
          triesLeft: 5,
        },
      },
      { $case: 'welcome', value: { tag: random(32), rosterHead: random(32), entries: [], addresses: [] } },
      { $case: 'hello', value: { oldest: 1, newest: 1, nonce: random(32) } },
    ]
    for (const frame of frames) {
      const existing = new Existing(random, desk, roster)
      const first = attempt(laptop)
      run(existing, first, (f) => (f.$case === 'share' ? undefined : f))
      existing.frame(1, laptop.ed, frame)
      expect(refused(existing, 1)).toBe('malformed')
      expect(existing.window.triesLeft).toBe(MAX_TRIES)
      if (frame?.$case !== 'ready') {
        const joining = attempt(laptop)
        joining.step({ kind: 'frame', frame })
        expect(joining.find('failed')?.error).toBe('malformed')
      }
    }
    expect(decodePairFrame(Uint8Array.of(0xff, 0xff))).toBeUndefined()
    expect(decodePairFrame(new Uint8Array(0))).toBeUndefined()
    expect(decodePairFrame(new Uint8Array(5_000_000))).toBeUndefined()
  })
})

test('every error has its own number and a sentence', () => {
  const errors = Array.from({ length: 14 }, (_, i) => pairingErrorFromWire(i + 1))
  expect(new Set(errors).size).toBe(14)
  for (const error of errors) {
    expect(pairingErrorFromWire(pairingErrorToWire(error))).toBe(error)
    expect(pairingSentence(error)).toMatch(/\.$/)
  }
  expect(pairingErrorFromWire(0)).toBe('failed')
  expect(pairingErrorFromWire(99)).toBe('failed')
  expect(pairingSentence('wrong-pin', 3)).toBe(
    "The PIN doesn't match, or that isn't your device. 3 tries left.",
  )
  expect(pairingSentence('wrong-pin', 1)).toMatch(/1 try left\.$/)
  // Tries are told of where a PIN was wrong, and known.
  expect(pairingSentence('wrong-pin')).toMatch(/isn't your device\.$/)
  expect(pairingSentence('busy', 3)).toBe(pairingSentence('busy'))
})
