import { ED25519_TORSION_SUBGROUP, ed25519 } from '@noble/curves/ed25519.js'
import { describe, expect, test } from 'vitest'
import { concat, toHex } from '../../src/protocol/bytes.js'
import { edPublicKey } from '../../src/protocol/ed25519.js'
import { rosterSealKey, sealText } from '../../src/protocol/epoch-keys.js'
import { xPublicKey } from '../../src/protocol/hpke.js'
import { LABEL_SETTINGS } from '../../src/protocol/labels.js'
import { portableNatives } from '../../src/protocol/portable.js'
import {
  applyEntries,
  currentMembers,
  isMember,
  MAX_ROSTER_ENTRIES,
  memberByEd,
  type Roster,
} from '../../src/protocol/roster.js'
import {
  decodeEntry,
  type EntryBody,
  encodeUnsigned,
  MAX_MEMBERS,
  MAX_SEALED_SETTINGS_BYTES,
  signEntry,
  type UnsignedEntry,
} from '../../src/protocol/roster-format.js'
import { openRoster, textPlace } from '../../src/protocol/roster-open.js'
import {
  addDevice,
  changeSettings,
  createGenesis,
  registerRecovery,
  removeDevices,
  rotateEpoch,
} from '../../src/protocol/roster-write.js'
import {
  asking,
  enrol,
  genesis,
  makeDevice,
  must,
  natives,
  open,
  type TestDevice,
  writing,
} from './roster-helpers.js'
import { hex, seededRandom } from './vectors.js'

const random = seededRandom('roster')
const desk = makeDevice(random, 'Desk')
const laptop = makeDevice(random, 'Laptop')
const tablet = makeDevice(random, 'Tablet')
const rsSecret = random(32)
const rkSecret = random(32)
const recoveryKeys = { rs: edPublicKey(rsSecret), rk: xPublicKey(rkSecret), records: random(32) }
const recoveryAuthor = { ed: recoveryKeys.rs, edSecret: rsSecret }
const cut = { log: random(16), seq: 7, head: random(32) }

/** One entry of every kind: genesis, add, add, settings, recovery, remove, rotate. */
function fullChain(): Roster {
  let roster = enrol(random, genesis(random, desk), desk, laptop)
  roster = enrol(random, roster, laptop, tablet)
  const deviceNames = { [toHex(laptop.ed)]: 'Old laptop' }
  const relays = ['/dns4/relay.example/tcp/443/wss']
  roster = must(changeSettings(writing(random, roster, tablet), { deviceNames, relays })).roster
  roster = must(registerRecovery(writing(random, roster, desk), { generation: 1, ...recoveryKeys })).roster
  roster = must(removeDevices(writing(random, roster, desk), { ids: [tablet.ed], cuts: [cut] })).roster
  return must(rotateEpoch(writing(random, roster, laptop))).roster
}

const full = fullChain()

const apply = (entries: readonly Uint8Array[], roster?: Roster): ReturnType<typeof applyEntries> =>
  applyEntries(natives, roster, entries)

function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const changed = Uint8Array.from(bytes)
  changed[bit >> 3]! ^= 1 << (bit & 7)
  return changed
}

/** Signs an entry on `roster` whatever it says. */
function forge(
  roster: Roster,
  author: { ed: Uint8Array; edSecret: Uint8Array },
  body: EntryBody,
): Uint8Array {
  const place = { practice: roster.practiceId, height: roster.height + 1, prev: roster.head }
  return signEntry(natives, { ...place, author: author.ed, body }, author.edSecret)
}

function bodyOf<K extends EntryBody['kind']>(entry: Uint8Array, kind: K): EntryBody & { kind: K } {
  const { body } = decodeEntry(natives, entry)!
  if (body.kind !== kind) throw new Error(`not ${kind}`)
  return body as EntryBody & { kind: K }
}

describe('a chain', () => {
  test('applies whole, piecewise and again, with either natives', () => {
    expect(apply(full.entries)).toEqual({ roster: full })
    expect(applyEntries(portableNatives, undefined, full.entries)).toEqual({ roster: full })
    let roster: Roster | undefined
    for (const entry of full.entries) roster = must(apply([entry], roster)).roster
    expect(roster).toEqual(full)
    expect(apply(full.entries, full)).toEqual({ roster: full })
    expect(must(apply(full.entries, genesisOf(full))).roster.head).toEqual(full.head)
  })

  test('says who belongs, in the order of enrolment', () => {
    expect(full.members.map((m) => [toHex(m.ed), m.addedAt, m.removedAt])).toEqual([
      [toHex(desk.ed), 0, undefined],
      [toHex(laptop.ed), 1, undefined],
      [toHex(tablet.ed), 2, 5],
    ])
    expect(currentMembers(full).length).toBe(2)
    expect(isMember(full, laptop.ed)).toBe(true)
    expect(isMember(full, tablet.ed)).toBe(false)
    expect(memberByEd(full, tablet.ed)?.removedAt).toBe(5)
    expect(memberByEd(full, random(32))).toBeUndefined()
    expect(full.epoch).toBe(4)
    expect(full.cuts).toEqual([cut])
    expect(full.recovery).toMatchObject({ generation: 1, rs: recoveryKeys.rs, at: 4 })
  })

  test('encoding is canonical: what decodes encodes to the same bytes', () => {
    for (const bytes of full.entries) {
      const entry = decodeEntry(natives, bytes)!
      expect(concat([encodeUnsigned(entry), entry.signature])).toEqual(bytes)
    }
  })
})

function genesisOf(roster: Roster): Roster {
  return must(apply(roster.entries.slice(0, 1))).roster
}

describe('damage and attack', () => {
  test('every flipped bit of every kind of entry is refused', { timeout: 60_000 }, () => {
    for (const [height, bytes] of full.entries.entries()) {
      const before = height === 0 ? undefined : must(apply(full.entries.slice(0, height))).roster
      // All bits of GENESIS and ADD, a prime stride through the longer ones that share their decoder.
      const stride = height < 2 ? 1 : 7
      for (let bit = height % stride; bit < bytes.length * 8; bit += stride) {
        const result = applyEntries(natives, before, [flip(bytes, bit)])
        if (!('error' in result)) throw new Error(`entry ${height} stood with bit ${bit} flipped`)
      }
    }
  })

  test('truncated and extended entries are refused', () => {
    for (const [height, bytes] of full.entries.entries()) {
      const before = height === 0 ? undefined : must(apply(full.entries.slice(0, height))).roster
      for (let length = 0; length < bytes.length; length += 3) {
        expect(apply([bytes.subarray(0, length)], before)).toHaveProperty('error')
      }
      expect(apply([concat([bytes, Uint8Array.of(0)])], before)).toHaveProperty('error')
    }
    expect(apply([new Uint8Array(100_000)])).toEqual({ error: 'malformed' })
    expect(apply([])).toEqual({ error: 'gap' })
  })

  test('reordered, left out and doubled entries are refused', () => {
    const [g, a, b] = full.entries
    expect(apply([a!, g!])).toEqual({ error: 'gap' })
    expect(apply([g!, b!, a!])).toEqual({ error: 'gap' })
    expect(apply([g!, b!])).toEqual({ error: 'gap' })
    expect(apply([g!, a!, a!, g!])).toHaveProperty('roster')
  })

  test('entries of another practice are refused', () => {
    const other = enrol(random, genesis(random, desk), desk, laptop)
    expect(apply([other.entries[1]!], genesisOf(full))).toEqual({ error: 'other-practice' })
    expect(apply([other.entries[0]!], full)).toEqual({ error: 'other-practice' })
    // A self-signature for one practice doesn't enrol in another.
    const context = writing(random, genesisOf(full), desk)
    expect(addDevice(context, asking(other, laptop))).toEqual({ error: 'bad-signature' })
  })

  test('another branch is told apart from a gap', () => {
    const g = genesisOf(full)
    const branch = enrol(random, g, desk, tablet)
    expect(apply([branch.entries[1]!], full)).toEqual({ error: 'fork' })
    const longer = enrol(random, branch, desk, makeDevice(random, 'Phone'))
    expect(apply([longer.entries[2]!], must(apply(full.entries.slice(0, 2))).roster)).toEqual({
      error: 'fork',
    })
  })

  test('strangers and removed devices write nothing', () => {
    const stranger = makeDevice(random, 'Stranger')
    const settings = bodyOf(full.entries[3]!, 'settings')
    for (const author of [stranger, tablet]) {
      expect(apply([forge(full, author, settings)], full)).toEqual({ error: 'not-a-member' })
    }
    const notMine = signEntry(
      natives,
      {
        practice: full.practiceId,
        height: full.height + 1,
        prev: full.head,
        author: desk.ed,
        body: settings,
      },
      stranger.edSecret,
    )
    expect(apply([notMine], full)).toEqual({ error: 'bad-signature' })
  })
})

describe('[R1] a first entry', () => {
  const { practice, height, prev, author, body } = decodeEntry(natives, full.entries[0]!)!
  const begin = (given: Partial<UnsignedEntry>) =>
    apply([signEntry(natives, { practice, height, prev, author, body, ...given }, desk.edSecret)])

  test('begins a practice only from nothing, whoever signed it', () => {
    expect(begin({})).toHaveProperty('roster')
    for (const wrong of [{ height: 1 }, { practice: random(32) }, { prev: random(32) }])
      expect(begin(wrong)).toEqual({ error: 'malformed' })
    expect(begin({ author: laptop.ed })).toEqual({ error: 'bad-signature' })
    expect(begin({ author: hex(ED25519_TORSION_SUBGROUP[1]!) })).toEqual({ error: 'bad-key' })
    expect(begin({ body: { ...bodyOf(full.entries[0]!, 'genesis'), x: new Uint8Array(32) } })).toEqual({
      error: 'bad-key',
    })
  })

  test('is the only one of its kind', () => {
    const again = forge(full, desk, bodyOf(full.entries[0]!, 'genesis'))
    expect(apply([again], full)).toEqual({ error: 'other-practice' })
  })
})

describe('enrolment [R3]', () => {
  const small = genesis(random, desk)

  test('no more devices belong at one time, and no more entries follow, than anybody needs', () => {
    const crowd = (count: number): Roster => ({
      ...small,
      members: [
        ...small.members,
        ...Array.from({ length: count }, () => ({ ed: random(32), x: random(32), addedAt: 0 })),
      ],
    })
    const entry = enrol(random, small, desk, laptop).entries[1]!
    expect(apply([entry], crowd(MAX_MEMBERS - 2))).toHaveProperty('roster')
    expect(apply([entry], crowd(MAX_MEMBERS - 1))).toEqual({ error: 'too-many' })
    const long = (count: number) => ({ ...small, entries: Array<Uint8Array>(count).fill(entry) })
    expect(apply([entry], long(MAX_ROSTER_ENTRIES - 1))).toHaveProperty('roster')
    expect(apply([entry], long(MAX_ROSTER_ENTRIES))).toEqual({ error: 'too-many' })
  })

  test('nobody is enrolled twice, and a removed device never comes back', () => {
    expect(addDevice(writing(random, full, desk), asking(full, laptop))).toEqual({
      error: 'already-enrolled',
    })
    expect(addDevice(writing(random, full, desk), asking(full, tablet))).toEqual({
      error: 'already-enrolled',
    })
    const sameX = { ...makeDevice(random, 'Phone'), x: tablet.x }
    expect(addDevice(writing(random, full, desk), asking(full, sameX))).toEqual({ error: 'already-enrolled' })
    const asRecovery = { ...makeDevice(random, 'Phone'), ...recoveryAuthor }
    expect(addDevice(writing(random, full, desk), asking(full, asRecovery))).toEqual({ error: 'bad-key' })
  })

  test('crafted Ed25519 keys are refused', () => {
    const body = bodyOf(enrol(random, small, desk, laptop).entries[1]!, 'add')
    const crafted = ED25519_TORSION_SUBGROUP.map(hex)
    for (const torsion of ED25519_TORSION_SUBGROUP.map((p) => ed25519.Point.fromHex(p))) {
      if (!torsion.is0()) crafted.push(ed25519.Point.fromBytes(laptop.ed).add(torsion).toBytes())
    }
    for (const ed of crafted) {
      expect(apply([forge(small, desk, { ...body, ed })], small)).toEqual({ error: 'bad-key' })
    }
  })

  test('a practice is not begun with a crafted key, and names tell their length in steps of 64', () => {
    const crafted = { ...desk, ed: hex(ED25519_TORSION_SUBGROUP[1]!) }
    expect(createGenesis({ natives, random, device: crafted, practiceName: 'P' })).toEqual({
      error: 'bad-key',
    })
    const [first, second] = enrol(random, genesis(random, desk), desk, laptop).entries
    const { sealedName, sealedPracticeName } = bodyOf(first!, 'genesis')
    const sizes = [sealedName, sealedPracticeName, bodyOf(second!, 'add').sealedName].map(
      (name) => name.length,
    )
    expect(sizes).toEqual(Array(3).fill(24 + 64 + 16))
  })

  test('X25519 keys that nothing can be sealed to are refused', () => {
    const body = bodyOf(enrol(random, small, desk, laptop).entries[1]!, 'add')
    for (const x of [new Uint8Array(32), Uint8Array.of(1, ...new Uint8Array(31))]) {
      expect(apply([forge(small, desk, { ...body, x })], small)).toEqual({ error: 'bad-key' })
      expect(addDevice(writing(random, small, desk), { ...asking(small, laptop), x })).toEqual({
        error: 'bad-key',
      })
      expect(createGenesis({ natives, random, device: { ...desk, x }, practiceName: 'P' })).toEqual({
        error: 'bad-key',
      })
    }
  })

  test('a device must have signed its own enrolment, with both keys', () => {
    const phone = makeDevice(random, 'Phone')
    const other = asking(small, { ...phone, x: laptop.x })
    expect(addDevice(writing(random, small, desk), { ...other, x: phone.x })).toEqual({
      error: 'bad-signature',
    })
  })

  test('names are there, visible and short', () => {
    for (const name of ['x', 'a b', 'x'.repeat(128), 'ß'.repeat(64)])
      expect(addDevice(writing(random, small, desk), { ...asking(small, laptop), name })).toHaveProperty(
        'roster',
      )
    const bad = ['', ' x', 'x ', 'a\nb', 'a\u007fb', 'a\u0085b', 'x'.repeat(129), 'ß'.repeat(65)]
    for (const name of bad) {
      expect(createGenesis({ natives, random, device: { ...desk, name }, practiceName: 'P' })).toEqual({
        error: 'bad-name',
      })
      expect(addDevice(writing(random, small, desk), { ...asking(small, laptop), name })).toEqual({
        error: 'bad-name',
      })
      expect(createGenesis({ natives, random, device: desk, practiceName: name })).toEqual({
        error: 'bad-name',
      })
    }
  })
})

describe('epochs, removal, recovery', () => {
  const two = enrol(random, genesis(random, desk), desk, laptop)
  const three = enrol(random, two, laptop, tablet)

  test('[R4] an epoch names exactly who stays, and comes right after the last', () => {
    const good = bodyOf(must(rotateEpoch(writing(random, two, desk))).entry, 'rotate')
    const { epoch } = good
    const bad: EntryBody[] = [
      { ...good, epoch: { ...epoch, number: 1 } },
      { ...good, epoch: { ...epoch, number: 3 } },
      { ...good, epoch: { ...epoch, parts: epoch.parts.slice(1) } },
      {
        ...good,
        epoch: {
          ...epoch,
          parts: [epoch.parts[0]!, { ...epoch.parts[1]!, ed: new Uint8Array(32).fill(255) }],
        },
      },
      { ...good, epoch: { ...epoch, recovery: epoch.parts[0]!.sealed } },
      { ...good, epoch: { ...epoch, keyId: two.keyIds[0]! } },
    ]
    for (const body of bad) expect(apply([forge(two, desk, body)], two)).toEqual({ error: 'bad-epoch' })
    const doubled = { ...good, epoch: { ...epoch, parts: [epoch.parts[0]!, epoch.parts[0]!] } }
    expect(apply([forge(two, desk, doubled)], two)).toEqual({ error: 'malformed' })
    const withoutRecovery = bodyOf(full.entries[6]!, 'rotate')
    delete withoutRecovery.epoch.recovery
    const beforeLast = must(apply(full.entries.slice(0, 6))).roster
    expect(apply([forge(beforeLast, desk, withoutRecovery)], beforeLast)).toEqual({ error: 'bad-epoch' })
  })

  test('[R5] nobody removes himself, a stranger, or the last device; members order no wipe', () => {
    const context = writing(random, three, laptop)
    const remove = (ids: Uint8Array[], wipe = false): unknown =>
      removeDevices(context, { ids, cuts: [], wipe })
    expect(remove([laptop.ed])).toEqual({ error: 'bad-removal' })
    expect(remove([laptop.ed, tablet.ed])).toEqual({ error: 'bad-removal' })
    expect(remove([random(32)])).toHaveProperty('error')
    expect(remove([])).toEqual({ error: 'malformed' })
    expect(remove([tablet.ed], true)).toEqual({ error: 'bad-removal' })
    expect(remove([tablet.ed, desk.ed])).toHaveProperty('roster')
  })

  test('a removal closes all logs that it is told of, in whatever order, whoever is removed with them', () => {
    const cuts = [9, 3, 200].map((first) => ({
      log: new Uint8Array(16).fill(first),
      seq: first,
      head: random(32),
    }))
    const ids = [tablet.ed, desk.ed]
    for (const removed of [ids, [...ids].reverse()]) {
      const { roster } = must(removeDevices(writing(random, three, laptop), { ids: removed, cuts }))
      expect(roster.cuts.map(({ seq }) => seq)).toEqual([3, 9, 200])
      expect(currentMembers(roster).map(({ ed }) => ed)).toEqual([laptop.ed])
    }
  })

  test('[R6] the recovery key acts, replaces itself and orders wipes; members cannot replace it', () => {
    const context = { ...writing(random, full, desk), author: recoveryAuthor }
    const phone = makeDevice(random, 'Phone')
    expect(addDevice(context, asking(full, phone))).toHaveProperty('roster')
    const wiped = must(removeDevices(context, { ids: [laptop.ed], cuts: [], wipe: true })).roster
    expect(wiped.wiped).toEqual([laptop.ed])
    expect(removeDevices(context, { ids: [laptop.ed, desk.ed], cuts: [] })).toEqual({ error: 'bad-removal' })

    const nextSecret = random(32)
    const next = { rs: edPublicKey(nextSecret), rk: xPublicKey(random(32)), records: random(32) }
    expect(registerRecovery(context, { generation: 1, ...next })).toEqual({ error: 'bad-recovery' })
    const member = writing(random, full, desk)
    expect(registerRecovery(member, { generation: 2, ...next })).toEqual({ error: 'bad-recovery' })
    expect(registerRecovery(context, { generation: 2, ...next, rs: desk.ed })).toEqual({
      error: 'bad-recovery',
    })
    expect(registerRecovery(context, { generation: 2, ...next, rs: tablet.ed })).toEqual({
      error: 'bad-recovery',
    })
    expect(registerRecovery(context, { generation: 2, ...next, rk: new Uint8Array(32) })).toEqual({
      error: 'bad-key',
    })
    const torsion = hex(ED25519_TORSION_SUBGROUP[1]!)
    expect(registerRecovery(context, { generation: 2, ...next, rs: torsion })).toEqual({ error: 'bad-key' })
    expect(registerRecovery(writing(random, two, desk), { generation: 0, ...next })).toEqual({
      error: 'bad-recovery',
    })
    const changed = must(registerRecovery(context, { generation: 2, ...next }))
    const old = { ...context, roster: changed.roster, epochKey: changed.epochKey }
    expect(rotateEpoch(old)).toEqual({ error: 'not-a-member' })
    expect(rotateEpoch({ ...old, author: { ed: next.rs, edSecret: nextSecret } })).toHaveProperty('roster')
  })

  test('the wrong epoch key is noticed before anything is written', () => {
    const context = { ...writing(random, two, desk), epochKey: random(32) }
    expect(addDevice(context, asking(two, tablet))).toEqual({ error: 'wrong-epoch-key' })
    expect(changeSettings(context, {})).toEqual({ error: 'wrong-epoch-key' })
    expect(rotateEpoch(context)).toEqual({ error: 'wrong-epoch-key' })
  })
})

describe('opening', () => {
  test('every member opens all epochs, names and settings; the index key never changes', () => {
    const atGenesis = open(genesisOf(full), desk)
    for (const device of [desk, laptop]) {
      const opened = open(full, device)
      expect([...opened.epochKeys.keys()].sort()).toEqual([1, 2, 3, 4])
      expect(opened.missing).toEqual([])
      expect(opened.indexKey).toEqual(atGenesis.indexKey)
      expect(opened.practiceName).toBe('Praxis')
      expect(Object.fromEntries(opened.deviceNames)).toEqual({
        [toHex(desk.ed)]: 'Desk',
        [toHex(laptop.ed)]: 'Old laptop',
        [toHex(tablet.ed)]: 'Tablet',
      })
      expect(opened.settings.get('relays')).toEqual(['/dns4/relay.example/tcp/443/wss'])
    }
  })

  test('a removed device opens nothing of later epochs, a stranger nothing at all', () => {
    const opened = open(full, tablet)
    expect([...opened.epochKeys.keys()].sort()).toEqual([1, 2])
    expect(opened.missing).toEqual([3, 4])
    const nothing = open(full, makeDevice(random, 'Stranger'))
    expect(nothing.epochKeys.size).toBe(0)
    expect(nothing.practiceName).toBe('')
    expect(nothing.indexKey).toBeUndefined()
  })

  test('the recovery key opens every epoch, those before it included', () => {
    const opened = openRoster(natives, full, { recoverySecret: rkSecret })
    expect(opened.missing).toEqual([])
    expect(opened.practiceName).toBe('Praxis')
    expect(openRoster(natives, full, { recoverySecret: random(32) }).missing).toEqual([1, 2, 3, 4])
  })

  test('a part sealed badly is reported as missing, a broken rung is stepped over', () => {
    const two = enrol(random, genesis(random, desk), desk, laptop)
    const good = bodyOf(must(rotateEpoch(writing(random, two, laptop))).entry, 'rotate')
    const parts = good.epoch.parts.map((part) =>
      part.ed[0] === desk.ed[0] ? { ...part, sealed: random(80) } : part,
    )
    const without = must(
      apply([forge(two, laptop, { ...good, epoch: { ...good.epoch, parts } })], two),
    ).roster
    expect(open(without, desk).missing).toEqual([2])
    expect(open(without, laptop).missing).toEqual([])
    const broken = { ...good, epoch: { ...good.epoch, ladder: random(48) } }
    const rungless = must(apply([forge(two, laptop, broken)], two)).roster
    expect(open(rungless, laptop).missing).toEqual([])
    const later = must(rotateEpoch(writing(random, rungless, laptop))).roster
    expect(open(later, desk).missing).toEqual([])
  })

  test('a name that was sealed badly is missing, and nothing else is', () => {
    const { body, ...place } = decodeEntry(natives, genesis(random, desk).entries[0]!)!
    const unnamed = { ...body, sealedName: random(80), sealedPracticeName: random(80) } as EntryBody
    const entry = signEntry(natives, { ...place, body: unnamed }, desk.edSecret)
    const opened = open(must(apply([entry])).roster, desk)
    expect(opened).toMatchObject({ missing: [], practiceName: '' })
    expect(opened.deviceNames.size).toBe(0)
  })

  describe('settings', () => {
    const two = enrol(random, genesis(random, desk), desk, laptop)
    const known = [...open(two, desk).deviceNames.values()]
    /** An entry of settings with this text, as a device of another version or a hostile member writes it. */
    function saying(text: string, roster = two): Roster {
      const { epochKey } = writing(random, roster, laptop)
      const sealKey = rosterSealKey(roster.epoch, epochKey)
      const place = textPlace({ practice: roster.practiceId, prev: roster.head }, LABEL_SETTINGS, laptop.ed)
      const sealed = sealText(natives, random, sealKey, place, text, 'settings')
      return must(apply([forge(roster, laptop, { kind: 'settings', sealed })], roster)).roster
    }

    test.each(['', 'no JSON', '{"practiceName":', '7', 'null', '["practiceName"]', '"practiceName"'])(
      'that are no object change nothing: %s',
      (text) => {
        const opened = open(saying(text), desk)
        expect(opened.practiceName).toBe('Praxis')
        expect(opened.settings.size).toBe(0)
      },
    )

    test('of wrong types, or about strangers, change nothing', () => {
      for (const wrong of ['7', 'null', '[]', '""', '{}', 'true']) {
        const opened = open(saying(`{"practiceName":${wrong}}`), desk)
        expect(opened.practiceName).toBe('Praxis')
      }
      for (const wrong of ['7', 'null', '"x"', '[]', '{}']) {
        expect([...open(saying(`{"deviceNames":${wrong}}`), desk).deviceNames.values()]).toEqual(known)
      }
      const names = `{"${toHex(laptop.ed)}":7,"${toHex(desk.ed)}":"","aa":"x","__proto__":"y"}`
      const opened = open(saying(`{"deviceNames":${names},"__proto__":{"a":1}}`), desk)
      expect([...opened.deviceNames.values()]).toEqual(known)
      expect(({} as { a?: unknown }).a).toBeUndefined()
    })

    test('a name that nobody may write changes nothing, and takes nothing else with it', () => {
      const odd = [
        'x'.repeat(129),
        'ł'.repeat(65),
        ' x',
        'a\nb',
        'a\u0085b',
        'a\u2028b',
        '\u202ekseD',
        'a\u2066b',
      ]
      for (const name of odd) {
        const names = { [toHex(laptop.ed)]: name, [toHex(desk.ed)]: 'Desk 2' }
        const opened = open(saying(JSON.stringify({ practiceName: name, deviceNames: names })), desk)
        expect(opened.practiceName).toBe('Praxis')
        expect([...opened.deviceNames.values()]).toEqual(known.with(0, 'Desk 2'))
      }
      const longest = { practiceName: 'ł'.repeat(64) }
      expect(open(saying(JSON.stringify(longest)), desk)).toMatchObject(longest)
    })

    test('that don’t open change nothing', () => {
      const sealed = random(60)
      const garbage = must(apply([forge(two, laptop, { kind: 'settings', sealed })], two)).roster
      expect(open(garbage, desk).practiceName).toBe('Praxis')
    })

    test('name by name the newest holds; a name of nobody’s version is kept', () => {
      const first = saying('{"practiceName":"First","later":[1],"relays":["a"]}')
      const opened = open(saying(`{"relays":["b"],"deviceNames":{"${toHex(laptop.ed)}":"Lap"}}`, first), desk)
      expect(opened.practiceName).toBe('First')
      expect(opened.settings.get('later')).toEqual([1])
      expect(opened.settings.get('relays')).toEqual(['b'])
      expect(opened.deviceNames.get(toHex(laptop.ed))).toBe('Lap')
    })

    test('who collects mail is kept for each device by itself, whatever was written before', () => {
      let roster = two
      for (const value of ['{"a":true}', '{"b":false}', '7', 'null', '[1]', '{"a":false,"c":true}'])
        roster = saying(`{"collectsMail":${value}}`, roster)
      expect(open(roster, desk).settings.get('collectsMail')).toEqual({ a: false, b: false, c: true })
      expect(open(saying('{"collectsMail":"x"}'), desk).settings.get('collectsMail')).toEqual({})
    })

    test('are refused before they are written where nobody could read them', () => {
      const context = writing(random, two, desk)
      for (const name of ['', ' x', 'x\n', 'x'.repeat(200)])
        expect(changeSettings(context, { practiceName: name })).toEqual({ error: 'bad-name' })
      expect(changeSettings(context, { deviceNames: { [toHex(desk.ed)]: '' } })).toEqual({
        error: 'bad-name',
      })
      // As text it takes 10 more, and sealed at most 512.
      const big = (length: number) => changeSettings(context, { big: 'x'.repeat(length - 10) })
      expect(big(MAX_SEALED_SETTINGS_BYTES - 512)).toHaveProperty('roster')
      expect(big(MAX_SEALED_SETTINGS_BYTES - 511)).toEqual({ error: 'too-large' })
      const renamed = must(changeSettings(context, { practiceName: 'New name' })).roster
      expect(open(renamed, laptop).practiceName).toBe('New name')
    })

    test('of an epoch whose key is missing are passed over, and the others are read', () => {
      const removed = must(removeDevices(writing(random, two, laptop), { ids: [desk.ed], cuts: [] })).roster
      const roster = must(changeSettings(writing(random, removed, laptop), { practiceName: 'Later' })).roster
      expect(open(roster, laptop).practiceName).toBe('Later')
      const opened = open(roster, desk)
      expect(opened.missing).toEqual([2])
      expect(opened.practiceName).toBe('Praxis')
    })
  })

  test('nothing of a chain names anybody in clear', () => {
    const names: TestDevice[] = [desk, laptop, tablet]
    const bytes = Buffer.from(concat([...full.entries]))
    for (const name of ['Praxis', 'Old laptop', 'relay', ...names.map((d) => d.name)]) {
      expect(bytes.includes(name)).toBe(false)
    }
  })
})
