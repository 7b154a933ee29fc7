/** Collecting what waits at a relay, message by message. */
import { beforeEach, describe, expect, test } from 'vitest'
import { MAX_BATCH_MAILS, MAX_IDS } from '../../src/protocol/mailbox-limits.js'
import { mailId, mailOf, SessionBench, WORD } from '../support/mail-session.js'

let bench: SessionBench
beforeEach(() => {
  bench = new SessionBench()
})

test('[L1] nothing is acknowledged before it was taken in, and then with my word', () => {
  bench.welcome()
  bench.forget().batch([mailOf(1), mailOf(2)], false)
  expect(bench.sent()).toEqual([])
  expect(bench.take('take')).toMatchObject({ mails: [{ sequence: 1 }, { sequence: 2 }], final: false })
  bench.step({ type: 'taken', taken: { done: [mailId(1), mailId(2)], held: [], word: WORD } })
  expect(bench.takeSent('ack')).toMatchObject({ ids: [mailId(1), mailId(2)], notice: WORD })
  expect(bench.takeSent('collect')).toEqual({ after: 2 })
  // Only the end of it lets mail be left.
  expect(bench.timers.has('gather')).toBe(false)
})

test('[L1] is over only when the last acknowledgement is answered', () => {
  bench.welcome()
  bench.batch([mailOf(1)])
  bench.step({ type: 'taken', taken: { done: [mailId(1)], held: [], word: WORD } })
  const { number } = bench.takeSent('ack')!
  expect(bench.machine.isCollected).toBe(false)
  bench.done(number)
  expect(bench.machine.isCollected).toBe(true)
})

test('[L1] many ids go in several acknowledgements, the word with the first', () => {
  bench.welcome()
  bench.batch([mailOf(1)])
  const ids = Array.from({ length: 2 * MAX_IDS + 1 }, () => mailId(1))
  bench.step({ type: 'taken', taken: { done: ids, held: [], word: WORD } })
  const acks = [bench.takeSent('ack')!, bench.takeSent('ack')!, bench.takeSent('ack')!]
  expect(acks.map((ack) => [ack.ids.length, ack.notice.length])).toEqual([
    [MAX_IDS, 600],
    [MAX_IDS, 0],
    [1, 0],
  ])
  expect(bench.takeSent('ack')).toBeUndefined()
})

test('[L1] what the relay could not let go is acknowledged once more, with a new word', () => {
  bench.ready()
  const acknowledged = (n: number) => {
    bench.batch([mailOf(n)])
    bench.step({ type: 'taken', taken: { done: [mailId(n)], held: [], word: WORD } })
    return bench.takeSent('ack')!.number
  }
  const [first, second] = [acknowledged(1), acknowledged(2)]
  bench.done(first, 'failed')
  bench.done(second, 'full')
  expect(bench.machine.isCollected).toBe(true)
  expect(bench.timers.get('ack')).toBe(60_000)
  bench.forget().fire('ack')
  expect(bench.take('makeWord')).toBeDefined()
  bench.step({ type: 'worded', word: WORD })
  const again = bench.takeSent('ack')!
  expect(again).toMatchObject({ ids: [mailId(1), mailId(2)], notice: WORD })
  bench.done(again.number)
  expect(bench.timers.has('ack')).toBe(false)
  bench.step({ type: 'worded', word: WORD })
  expect(bench.takeSent('ack')!.ids).toEqual([])
})

test('[L1] a word that could not be stored is said again', () => {
  bench.ready()
  bench.step({ type: 'worded', word: WORD })
  bench.done(bench.takeSent('ack')!.number, 'failed')
  bench.forget().fire('ack')
  expect(bench.take('makeWord')).toBeDefined()
})

test('what comes while something is tried once more waits', () => {
  bench.welcome()
  bench.batch([mailOf(1)], false)
  bench.step({ type: 'taken', taken: { done: [], held: [mailOf(1)], word: WORD } })
  bench.step({ type: 'rosterChanged' })
  expect(bench.forget().machine.incoming).toBe(1)
  bench.batch([], false)
  bench.batch([mailOf(2)])
  expect(bench.machine.incoming).toBe(2)
  expect(bench.take('take')).toBeUndefined()
  bench.step({ type: 'taken', taken: { done: [mailId(1)], held: [], word: WORD } })
  expect(bench.take('take')).toMatchObject({ mails: [{ sequence: 2 }] })
  bench.step({ type: 'taken', taken: { done: [mailId(2)], held: [], word: WORD } })
  expect(bench.take('take')).toBeUndefined()
  expect(bench.timers.has('gather')).toBe(true)
})

describe('mail that nobody asked for is not taken in, and ends the session', () => {
  const closed = () => bench.take('close')?.code
  const expectRefused = () => {
    expect([closed(), bench.take('take'), bench.machine.incoming]).toEqual(['malformed', undefined, 0])
  }

  test('before the relay knows me', () => {
    bench.welcome(new Uint8Array(0))
    bench.batch([mailOf(1)])
    expectRefused()
  })

  test('where I only come to leave', () => {
    bench = new SessionBench(undefined, { visit: 'leave' })
    bench.welcome()
    bench.batch([mailOf(1)])
    expectRefused()
    expect(bench.sent().map(({ $case }) => $case)).not.toContain('collect')
  })

  test('on top of what is being taken in', () => {
    bench.welcome()
    bench.batch([mailOf(1)], false)
    bench.take('take')
    bench.batch([mailOf(2)])
    expectRefused()
  })

  test('more of it than one batch has', () => {
    bench.welcome()
    bench.batch(Array.from({ length: MAX_BATCH_MAILS + 1 }, (_, at) => mailOf(at + 1)))
    expectRefused()
  })

  test('but as much as one batch has is taken', () => {
    bench.welcome()
    bench.batch(Array.from({ length: MAX_BATCH_MAILS }, (_, at) => mailOf(at + 1)))
    expect(bench.take('take')?.mails).toHaveLength(MAX_BATCH_MAILS)
    expect(bench.take('close')).toBeUndefined()
  })

  test('and what is asked for is: empty ones leave the grant, each that was taken in gives another', () => {
    bench.welcome()
    for (let at = 1; at < 4; at++) {
      bench.batch([])
      bench.batch([])
      bench.batch([mailOf(at)], false)
      expect(bench.take('take')?.mails).toHaveLength(1)
      bench.step({ type: 'taken', taken: { done: [mailId(at)], held: [], word: WORD } })
    }
    expect(closed()).toBeUndefined()
  })
})

test('[L2] what misses something waits for what comes later, and is of no use only a while after the end', () => {
  bench.welcome()
  bench.batch([mailOf(1)], false)
  expect(bench.take('take')).toMatchObject({ mails: [{ sequence: 1 }], held: [], final: false })
  bench.step({ type: 'taken', taken: { done: [], held: [mailOf(1)], word: WORD } })
  expect(bench.takeSent('ack')).toBeUndefined()
  // More is to come.
  expect(bench.timers.has('held')).toBe(false)
  bench.batch([mailOf(2)], true)
  expect(bench.take('take')).toMatchObject({
    mails: [{ sequence: 2 }],
    held: [{ sequence: 1 }],
    final: false,
  })
  bench.step({ type: 'taken', taken: { done: [mailId(2)], held: [mailOf(1)], word: WORD } })
  expect(bench.takeSent('ack')?.ids).toEqual([mailId(2)])
  expect(bench.take('take')).toBeUndefined()
  expect(bench.timers.get('held')).toBe(10_000)
  expect(bench.machine.isCollected).toBe(false)
  bench.fire('held')
  expect(bench.take('take')).toMatchObject({ mails: [], held: [{ sequence: 1 }], final: true })
  bench.step({ type: 'taken', taken: { done: [mailId(1)], held: [], word: WORD } })
  expect(bench.takeSent('ack')?.ids).toEqual([mailId(1)])
  expect(bench.take('take')).toBeUndefined()
  expect(bench.timers.has('held')).toBe(false)
  // Tried once more, not asked for once more.
  expect(bench.sent().filter(({ $case }) => $case === 'collect')).toHaveLength(3)
})

test('[L2] mail that comes later is taken in with what still waits, and the wait begins anew', () => {
  bench.ready()
  bench.batch([mailOf(4)])
  bench.take('take')
  bench.step({ type: 'taken', taken: { done: [], held: [mailOf(4)], word: WORD } })
  expect(bench.machine.incoming).toBe(1)
  bench.timers.delete('held')
  bench.batch([mailOf(5)])
  expect(bench.take('take')).toMatchObject({
    mails: [{ sequence: 5 }],
    held: [{ sequence: 4 }],
    final: false,
  })
  bench.step({ type: 'taken', taken: { done: [mailId(5)], held: [mailOf(4)], word: WORD } })
  expect(bench.timers.get('held')).toBe(10_000)
  bench.batch([])
  expect(bench.take('take')).toBeUndefined()
})

test('[L2] while something is taken in, or more waits at the relay, nothing is of no use', () => {
  bench.ready()
  const held = [mailOf(4)]
  bench.batch(held)
  bench.take('take')
  bench.step({ type: 'taken', taken: { done: [], held, word: WORD } })
  bench.batch([mailOf(5)], false)
  bench.take('take')
  bench.step({ type: 'taken', taken: { done: [mailId(5)], held, word: WORD } })
  bench.fire('held')
  expect(bench.take('take')).toBeUndefined()
  bench.batch([mailOf(6)])
  bench.take('take')
  bench.step({ type: 'taken', taken: { done: [mailId(6)], held, word: WORD } })
  // A roster lets it be tried between times, just when the wait ends.
  bench.step({ type: 'rosterChanged' })
  expect(bench.take('take')?.final).toBe(false)
  bench.fire('held')
  expect(bench.take('take')).toBeUndefined()
  bench.step({ type: 'taken', taken: { done: [], held, word: WORD } })
  expect(bench.take('take')).toMatchObject({ mails: [], held: [{ sequence: 4 }], final: false })
  bench.step({ type: 'taken', taken: { done: [], held, word: WORD } })
  bench.fire('held')
  expect(bench.take('take')).toMatchObject({ mails: [], held: [{ sequence: 4 }], final: true })
})

test('[L2] an empty batch ends the collecting, whatever a relay says of more: what is held waits no longer', () => {
  bench.welcome()
  bench.batch([mailOf(1)], false)
  bench.take('take')
  bench.step({ type: 'taken', taken: { done: [], held: [mailOf(1)], word: WORD } })
  expect(bench.timers.has('held')).toBe(false)
  bench.batch([], false)
  expect(bench.timers.get('held')).toBe(10_000)
  bench.fire('held')
  expect(bench.take('take')).toMatchObject({ mails: [], held: [{ sequence: 1 }], final: true })
  bench.step({ type: 'taken', taken: { done: [mailId(1)], held: [], word: WORD } })
  expect(bench.take('take')).toBeUndefined()
  const { number } = bench.takeSent('ack')!
  bench.done(number)
  expect(bench.machine.isCollected).toBe(true)
})

test('[L9] while a relay leaves open whether more waits, it is looked at again whether it is waited for', () => {
  bench.welcome()
  for (let again = 0; again < 3; again++) {
    expect(bench.timers.get('more')).toBe(10_000)
    expect(bench.fire('more')).toContainEqual({ type: 'status' })
  }
  bench.batch([])
  expect(bench.fire('more')).toEqual([])
  expect(bench.timers.has('more')).toBe(false)
  bench.batch([mailOf(4)], false)
  expect(bench.timers.get('more')).toBe(10_000)
})

test('[L8] what others say they left for me is sought: at the end, and a while after they say more', () => {
  bench.welcome()
  bench.heard({ left: [] })
  expect(bench.timers.has('seek')).toBe(false)
  bench.batch([])
  expect(bench.take('seekLeft')).toBeDefined()
  bench.heard({ left: undefined })
  bench.heard({ left: [], incarnation: mailId(6) })
  expect(bench.timers.has('seek')).toBe(false)
  const waits: number[] = []
  for (let round = 0; round < 9; round++) {
    bench.heard({ left: [] })
    waits.push(bench.timers.get('seek')!)
    bench.timers.set('seek', 0)
    // One that is under way is not put off.
    bench.heard({ left: [] })
    expect(bench.timers.get('seek')).toBe(0)
    expect(bench.take('seekLeft')).toBeUndefined()
    bench.fire('seek')
    expect(bench.take('seekLeft')).toBeDefined()
    expect(bench.timers.has('seek')).toBe(false)
  }
  expect(waits.map((ms) => ms / 1_000)).toEqual([10, 20, 40, 80, 160, 320, 600, 600, 600])
})
