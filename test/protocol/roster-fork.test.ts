import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toHex } from '../../src/protocol/bytes.js'
import { edPublicKey } from '../../src/protocol/ed25519.js'
import { xPublicKey } from '../../src/protocol/hpke.js'
import { MAX_CHAIN_BYTES } from '../../src/protocol/mailbox-limits.js'
import { applyEntries, isMember, type Roster } from '../../src/protocol/roster.js'
import { forkHeight, hasLost, resolveFork } from '../../src/protocol/roster-fork.js'
import { reissue } from '../../src/protocol/roster-reissue.js'
import {
  changeSettings,
  registerRecovery,
  removeDevices,
  rotateEpoch,
  type WriteContext,
} from '../../src/protocol/roster-write.js'
import {
  enrol,
  genesis,
  makeDevice,
  must,
  natives,
  open,
  type TestDevice,
  writing,
} from './roster-helpers.js'
import { seededRandom } from './vectors.js'

const random = seededRandom('forks')
const [a, b, c] = ['A', 'B', 'C'].map((name) => makeDevice(random, name)) as [
  TestDevice,
  TestDevice,
  TestDevice,
]
const base = enrol(random, enrol(random, genesis(random, a), a, b), a, c)
const rsSecret = random(32)
const rkSecret = random(32)
const recovery = { rs: edPublicKey(rsSecret), rk: xPublicKey(rkSecret), records: random(32) }
const withRecovery = must(registerRecovery(writing(random, base, a), { generation: 1, ...recovery })).roster

const settings = (roster: Roster, by: TestDevice): Roster =>
  must(changeSettings(writing(random, roster, by), { n: toHex(random(4)) })).roster
const remove = (roster: Roster, by: TestDevice, gone: TestDevice): Roster =>
  must(removeDevices(writing(random, roster, by), { ids: [gone.ed], cuts: [] })).roster
const rotate = (roster: Roster, by: TestDevice): Roster =>
  must(rotateEpoch(writing(random, roster, by))).roster
const add = (roster: Roster, by: TestDevice): Roster => enrol(random, roster, by, makeDevice(random, 'New'))
const asRecovery = (roster: Roster, by: TestDevice): WriteContext => ({
  ...writing(random, roster, by),
  author: { ed: recovery.rs, edSecret: rsSecret },
})

/** Both views, which must be each other's mirror. */
function resolved(x: Roster, y: Roster): string {
  const verdict = resolveFork(natives, x, y)
  const mirror = { mine: 'theirs', theirs: 'mine', extends: 'behind', behind: 'extends' }
  expect(resolveFork(natives, y, x)).toBe(mirror[verdict as keyof typeof mirror] ?? verdict)
  return verdict
}

describe('no fork at all', () => {
  test('same, continued, and of another practice', () => {
    expect(resolved(base, base)).toBe('same')
    expect(resolved(base, settings(base, a))).toBe('extends')
    expect(resolved(base, genesis(random, a))).toBe('unrelated')
  })
})

describe('[F3] kinds, then enrolment, then hash', () => {
  test('REMOVE before RECOVERY before ROTATE before ADD before SETTINGS', () => {
    const registered = must(registerRecovery(writing(random, base, c), { generation: 1, ...recovery })).roster
    const branches = [remove(base, c, b), registered, rotate(base, c), add(base, c), settings(base, c)]
    const rival = [rotate(base, a), settings(base, a), settings(base, a)]
    expect(resolved(branches[0]!, rival[0]!)).toBe('mine')
    expect(resolved(branches[1]!, rival[0]!)).toBe('mine')
    expect(resolved(branches[2]!, add(base, a))).toBe('mine')
    expect(resolved(branches[3]!, rival[1]!)).toBe('mine')
    expect(resolved(branches[4]!, rival[2]!)).toBe('theirs')
  })

  test('equal kinds: the author enrolled earlier; one author twice: the lower hash', () => {
    // Several of each: of two the lower hash might be that of the earlier one by chance.
    for (const [earlier, later] of [
      [a, b],
      [a, c],
      [b, c],
    ] as const)
      for (let draw = 0; draw < 8; draw++)
        expect(resolved(settings(base, earlier), settings(base, later))).toBe('mine')
    const [x, y] = [settings(base, a), settings(base, a)]
    expect(resolved(x, y)).toBe(Buffer.compare(x.head, y.head) < 0 ? 'mine' : 'theirs')
  })

  test('only the first differing entry counts', () => {
    const long = remove(settings(settings(base, b), b), b, c)
    expect(resolved(long, add(base, a))).toBe('theirs')
  })
})

describe('[F2] back-dating', () => {
  test('a branch begun by someone who signed in the other branch loses, whatever it says', () => {
    const honest = settings(settings(base, a), c)
    expect(resolved(honest, remove(base, c, b))).toBe('mine')
  })
})

describe('[F4] contested', () => {
  test('a branch begun by a device that the other branch removed is not adopted', () => {
    // A, enrolled first, and C remove each other.
    expect(resolved(remove(base, c, a), remove(base, a, c))).toBe('contested')
    // C's older branch would win by its kind, but this branch has removed C since.
    const mine = remove(settings(base, a), a, c)
    expect(resolved(mine, rotate(base, c))).toBe('contested')
  })

  test('a removal stands against what the removed device wrote', () => {
    expect(resolved(remove(base, a, c), add(base, c))).toBe('mine')
    expect(resolved(remove(base, c, a), rotate(base, a))).toBe('mine')
  })

  test('the recovery key decides a contest', () => {
    const [x, y] = [remove(withRecovery, c, a), remove(withRecovery, a, c)]
    expect(resolved(x, y)).toBe('contested')
    const decided = must(rotateEpoch(asRecovery(x, c))).roster
    expect(resolved(decided, y)).toBe('mine')
    // Or from the common ancestor, voiding both.
    const third = must(removeDevices(asRecovery(withRecovery, a), { ids: [b.ed], cuts: [] })).roster
    expect(resolved(third, x)).toBe('mine')
    expect(resolved(third, y)).toBe('mine')
  })
})

describe('[F1] the recovery key', () => {
  test('voids what members wrote after the ancestor it names', () => {
    const members = remove(rotate(withRecovery, a), a, b)
    const voided = must(changeSettings(asRecovery(withRecovery, a), { n: 1 })).roster
    expect(resolved(voided, members)).toBe('mine')
  })

  test('a higher generation wins', () => {
    const next = { rs: edPublicKey(random(32)), rk: recovery.rk, records: recovery.records }
    const changed = must(registerRecovery(asRecovery(withRecovery, a), { generation: 2, ...next })).roster
    const twice = must(
      rotateEpoch(asRecovery(must(rotateEpoch(asRecovery(withRecovery, a))).roster, a)),
    ).roster
    expect(resolved(changed, twice)).toBe('mine')
  })

  test('a key registered inside a branch outranks nothing', () => {
    const removed = remove(base, a, c)
    const own = must(registerRecovery(writing(random, base, c), { generation: 9, ...recovery })).roster
    const signed = must(rotateEpoch(asRecovery(own, c))).roster
    expect(resolved(removed, signed)).toBe('mine')
  })
})

describe('any two branches', () => {
  const step = fc.record({
    kind: fc.constantFrom('settings', 'add', 'rotate', 'remove', 'rs'),
    who: fc.nat(2),
    whom: fc.nat(2),
  })
  const devices = [a, b, c]

  function grow(from: Roster, steps: { kind: string; who: number; whom: number }[]): Roster {
    let roster = from
    for (const { kind, who, whom } of steps) {
      const [author, other] = [devices[who]!, devices[whom]!]
      if (!isMember(roster, author.ed)) continue
      if (kind === 'settings') roster = settings(roster, author)
      else if (kind === 'add') roster = add(roster, author)
      else if (kind === 'rotate') roster = rotate(roster, author)
      else if (kind === 'rs') {
        if (roster.recovery) roster = must(rotateEpoch(asRecovery(roster, author))).roster
      } else if (author !== other && isMember(roster, other.ed)) roster = remove(roster, author, other)
    }
    return roster
  }

  test('both sides choose the same one, and it is the one of the two', { timeout: 60_000 }, () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(
        fc.constantFrom(base, withRecovery),
        fc.array(step, { minLength: 1, maxLength: 3 }),
        fc.array(step, { minLength: 1, maxLength: 3 }),
        (from, one, two) => {
          seen.add(resolved(grow(from, one), grow(from, two)))
        },
      ),
      { numRuns: 60 },
    )
    expect(seen.size).toBeGreaterThanOrEqual(3)
  })
})

describe('who belongs only in a chain that has lost is shown the one that stands', () => {
  const [phone, other] = [makeDevice(random, 'Phone'), makeDevice(random, 'Other')]
  const lost = enrol(random, enrol(random, base, b, other), c, phone)
  const isShown = (standing: Roster, chain: Roster, device: TestDevice) =>
    hasLost(natives, standing, chain.entries, device.ed)

  test('where a member of mine has enrolled it', () => {
    expect(isShown(rotate(base, a), lost, phone)).toBe(true)
    const withoutB = remove(base, a, b)
    expect([isShown(withoutB, lost, phone), isShown(withoutB, lost, other)]).toEqual([true, false])
  })

  test('not where the chain has not lost, or is none', () => {
    expect(isShown(settings(base, a), lost, phone)).toBe(false)
    expect(isShown(base, lost, phone)).toBe(false)
    expect(hasLost(natives, rotate(base, a), lost.entries.slice(1), phone.ed)).toBe(false)
  })

  test('nothing is verified of a chain that is too long, is of another practice, or parts from nothing', () => {
    let verified = 0
    const counting = { ...natives, verify: () => ++verified < 0 }
    const standing = rotate(base, a)
    const shown = (entries: Uint8Array[]) => hasLost(counting, standing, entries, phone.ed)
    const long = new Uint8Array(MAX_CHAIN_BYTES)
    const foreign = enrol(random, genesis(random, a), a, phone)
    for (const entries of [[...lost.entries, long], foreign.entries, base.entries, standing.entries, []])
      expect(shown([...entries])).toBe(false)
    expect(verified).toBe(0)
    expect(shown([...lost.entries])).toBe(false)
    expect(verified).toBe(1)
  })

  test('not who was removed there or here, belongs here, or is in neither', () => {
    const standing = rotate(base, a)
    expect(isShown(remove(base, a, b), remove(lost, c, phone), phone)).toBe(false)
    expect(isShown(remove(base, a, b), lost, b)).toBe(false)
    expect(isShown(standing, lost, b)).toBe(false)
    const stranger = makeDevice(random, 'Stranger')
    expect(isShown(standing, lost, stranger)).toBe(false)
    expect(isShown(standing, enrol(random, genesis(random, stranger), stranger, phone), stranger)).toBe(false)
    expect(isShown(standing, enrol(random, genesis(random, a), a, phone), phone)).toBe(false)
  })
})

describe('writing again on the winner', () => {
  test('my ADD, SETTINGS and REMOVE stand on the winner, readable by all', () => {
    const phone = makeDevice(random, 'Phone')
    let loser = enrol(random, base, c, phone)
    loser = must(
      changeSettings(writing(random, loser, c), { deviceNames: { [toHex(c.ed)]: 'Cellar' } }),
    ).roster
    loser = rotate(loser, c)
    loser = remove(loser, c, b)
    const winner = rotate(base, a)
    expect(resolved(loser, winner)).toBe('theirs')
    expect(forkHeight(loser, winner)).toBe(3)

    const again = reissue(writing(random, winner, c), loser, open(loser, c))
    expect(again.dropped).toEqual([{ kind: 'rotate', reason: 'not-needed' }])
    expect(applyEntries(natives, winner, again.entries)).toEqual({ roster: again.roster })
    expect(isMember(again.roster, phone.ed)).toBe(true)
    expect(isMember(again.roster, b.ed)).toBe(false)
    for (const device of [a, c, phone]) {
      const opened = open(again.roster, device)
      expect(opened.missing).toEqual([])
      expect(opened.epochKeys.get(again.roster.epoch)).toEqual(again.epochKey)
      expect([...opened.deviceNames.values()]).toEqual(['A', 'B', 'Cellar', 'Phone'])
    }
  })

  test('what cannot stand is dropped with its reason, and entries of others are left to them', () => {
    const phone = makeDevice(random, 'Phone')
    const loser = settings(enrol(random, base, c, phone), b)
    const winner = rotate(enrol(random, base, a, phone), a)
    const again = reissue(writing(random, winner, c), loser, open(loser, c))
    expect(again).toMatchObject({ entries: [], dropped: [{ kind: 'add', reason: 'already-enrolled' }] })
  })

  test('removals and renames are written again, but for who is gone meanwhile', () => {
    const context = writing(random, base, c)
    const renamed = must(changeSettings(context, { practiceName: 'Cellar’s' })).roster
    const loser = remove(renamed, c, b)
    const rotated = rotate(base, a)
    const again = reissue(writing(random, rotated, c), loser, open(loser, c))
    expect(again.dropped).toEqual([])
    expect(again.entries).toHaveLength(2)
    expect(isMember(again.roster, b.ed)).toBe(false)
    expect(open(again.roster, a).practiceName).toBe('Cellar’s')
    expect(open(again.roster, a).epochKeys.get(again.roster.epoch)).toEqual(again.epochKey)

    const gone = remove(base, a, b)
    const second = reissue(writing(random, gone, c), loser, open(loser, c))
    expect(second.dropped).toEqual([{ kind: 'remove', reason: 'not-needed' }])
    expect(second.entries).toHaveLength(1)
  })

  test('what stands in both branches is not written again: an older name would come back', () => {
    const named = (roster: Roster, practiceName: string, by: TestDevice) =>
      must(changeSettings(writing(random, roster, by), { practiceName })).roster
    const shared = named(base, 'Old', c)
    const winner = rotate(named(shared, 'New', a), a)
    const loser = enrol(random, shared, c, makeDevice(random, 'Phone'))
    const again = reissue(writing(random, winner, c), loser, open(loser, c))
    expect(again).toMatchObject({ dropped: [] })
    expect(again.entries).toHaveLength(1)
    expect(open(again.roster, a).practiceName).toBe('New')
  })

  test('what I can’t read any more of my own is dropped, not guessed', () => {
    const loser = settings(base, c)
    const unread = { ...open(loser, c), epochKeys: new Map<number, Uint8Array>() }
    const again = reissue(writing(random, rotate(base, a), c), loser, unread)
    expect(again).toMatchObject({ entries: [], dropped: [{ kind: 'settings', reason: 'wrong-epoch-key' }] })
  })

  test('a device without a name that I can read and write is enrolled again under a placeholder, never left out', () => {
    const phone = makeDevice(random, 'Phone')
    const loser = enrol(random, base, c, phone)
    // Whoever renames it writes what it likes.
    for (const name of [undefined, ' ', 'a\nb', 'x'.repeat(500)]) {
      const deviceNames = new Map(name === undefined ? [] : [[toHex(phone.ed), name]])
      const again = reissue(writing(random, rotate(base, a), c), loser, { ...open(loser, c), deviceNames })
      expect([again.dropped, isMember(again.roster, phone.ed)]).toEqual([[], true])
      expect(open(again.roster, a).deviceNames.get(toHex(phone.ed))).toBe('?')
    }
  })
})
