/** The one encoding of a roster entry: nothing else decodes, whoever signed it. What entries mean is in roster.test.ts. */
import { describe, expect, test } from 'vitest'
import { nodeNatives as natives } from '../../src/node/natives.js'
import { concat, u16, utf8 } from '../../src/protocol/bytes.js'
import { edPublicKey } from '../../src/protocol/ed25519.js'
import {
  decodeEntry,
  type EntryBody,
  type EpochPart,
  encodeUnsigned,
  type LogCut,
  MAX_CUTS,
  MAX_ENTRY_BYTES,
  MAX_MEMBERS,
  MAX_SEALED_NAME_BYTES,
  MAX_SEALED_SETTINGS_BYTES,
  signEntry,
} from '../../src/protocol/roster-format.js'
import { seededRandom } from './vectors.js'

const random = seededRandom('roster format')
const place = { practice: random(32), height: 70_000, prev: random(32), author: random(32) }
/** Keys in ascending order. */
const ascending = (count: number, length = 32) =>
  Array.from({ length: count }, (_, at) => {
    const key = new Uint8Array(length).fill(7)
    key.set(u16(at))
    return key
  })
const [sealed80, name] = [random(80), random(104)]
const epochOf = (members: number, given: Partial<EpochPart> = {}): EpochPart => ({
  number: 3,
  keyId: random(16),
  parts: ascending(members).map((ed) => ({ ed, sealed: sealed80 })),
  ladder: random(48),
  ...given,
})
const cutsOf = (count: number): LogCut[] =>
  ascending(count, 16).map((log) => ({ log, seq: 1, head: place.prev }))
const remove = (given: Partial<EntryBody & { kind: 'remove' }> = {}): EntryBody => ({
  kind: 'remove',
  ids: ascending(2),
  cuts: cutsOf(3),
  wipe: true,
  epoch: epochOf(2, { recovery: sealed80 }),
  ...given,
})
const genesis = { kind: 'genesis', seed: random(32), x: random(32), keyId: random(16) } as const
const add = { kind: 'add', ed: random(32), x: random(32), selfSignature: random(64) } as const
const bodies: EntryBody[] = [
  { ...genesis, sealedKey: sealed80, sealedName: name, sealedPracticeName: random(168) },
  { ...add, sealedKey: sealed80, sealedName: name },
  remove(),
  remove({ cuts: [], wipe: false, epoch: epochOf(0) }),
  { kind: 'rotate', epoch: epochOf(3) },
  { kind: 'recovery', generation: 4, rs: random(32), rk: random(32), records: random(32), epoch: epochOf(1) },
  { kind: 'settings', sealed: random(296) },
]
const encoded = (body: EntryBody) => concat([encodeUnsigned({ ...place, body }), new Uint8Array(64)])
const decoded = (body: EntryBody) => decodeEntry(natives, encoded(body))?.body
/** With one byte of what is signed replaced. */
const withByte = (bytes: Uint8Array, at: number, value: number) =>
  decodeEntry(natives, Uint8Array.from(bytes).fill(value, at, at + 1))

describe('an entry', () => {
  test('of every kind comes back as it went', () => {
    for (const body of bodies) {
      const entry = decodeEntry(natives, encoded(body))!
      expect(entry).toEqual({ ...place, body, signature: new Uint8Array(64), hash: entry.hash })
    }
  })

  test('is named by the hash of what is signed, and signed over that', () => {
    const secret = random(32)
    const entry = { ...place, author: edPublicKey(secret), body: bodies[6]! }
    const bytes = signEntry(natives, entry, secret)
    const hash = natives.sha256(concat([utf8('kartoteka/1 roster entry hash'), encodeUnsigned(entry)]))
    const { signature, ...decoded } = decodeEntry(natives, bytes)!
    expect(decoded).toEqual({ ...entry, hash })
    const signed = concat([utf8('kartoteka/1 roster entry signature'), hash])
    expect(signature).toEqual(natives.sign(secret, signed))
  })

  test('is of this version, and of a kind that there is', () => {
    const bytes = encoded(bodies[6]!)
    expect(bytes[0]).toBe(1)
    for (const version of [0, 2, 255]) expect(withByte(bytes, 0, version)).toBeUndefined()
    const bodiless = concat([bytes.subarray(0, 102), new Uint8Array(64)])
    for (const kind of [6, 7, 255])
      expect([withByte(bytes, 69, kind), withByte(bodiless, 69, kind)]).toEqual([undefined, undefined])
  })

  test('ends where it ends', () => {
    for (const body of bodies) {
      const unsigned = encodeUnsigned({ ...place, body })
      for (const length of [0, 1, 68, 69, 70, 101, 102, unsigned.length - 1])
        expect(
          decodeEntry(natives, concat([unsigned.subarray(0, length), new Uint8Array(64)])),
        ).toBeUndefined()
      expect(decodeEntry(natives, concat([unsigned, new Uint8Array(65)]))).toBeUndefined()
    }
    expect(decodeEntry(natives, new Uint8Array(63).fill(1))).toBeUndefined()
  })

  test('has no other flags than 0 and 1', () => {
    const bytes = encoded(remove())
    // wipe, and recovery, which is followed by its part, the ladder and the signature.
    const wipe = 102 + 1 + 2 * 32 + 2 + 3 * (16 + 4 + 32)
    const recovery = bytes.length - 64 - 48 - 80 - 1
    expect([bytes[wipe], bytes[recovery]]).toEqual([1, 1])
    expect(withByte(bytes, wipe, 0)?.body).toMatchObject({ wipe: false })
    for (const value of [2, 255])
      for (const at of [wipe, recovery]) expect(withByte(bytes, at, value)).toBeUndefined()
  })

  test('lists what it lists once, in ascending order', () => {
    const [first, second] = ascending(2)
    const [cut, nextCut] = cutsOf(2)
    const part = (ed: Uint8Array) => ({ ed, sealed: sealed80 })
    const unordered = (parts: EpochPart['parts']): EntryBody => ({
      kind: 'rotate',
      epoch: epochOf(0, { parts }),
    })
    for (const pair of [
      [first!, first!],
      [second!, first!],
    ]) {
      expect(decoded(remove({ ids: pair }))).toBeUndefined()
      expect(decoded(unordered(pair.map(part)))).toBeUndefined()
    }
    expect(decoded(remove({ cuts: [cut!, cut!] }))).toBeUndefined()
    expect(decoded(remove({ cuts: [nextCut!, cut!] }))).toBeUndefined()
    expect(decoded(remove({ ids: [] }))).toBeUndefined()
  })

  test('lists no more devices and logs, and no longer texts, than there may be', () => {
    const few = epochOf(0)
    expect(decoded(remove({ ids: ascending(MAX_MEMBERS), epoch: few }))).toBeDefined()
    expect(decoded(remove({ ids: ascending(MAX_MEMBERS + 1), epoch: few }))).toBeUndefined()
    expect(decoded({ kind: 'rotate', epoch: epochOf(MAX_MEMBERS) })).toBeDefined()
    expect(decoded({ kind: 'rotate', epoch: epochOf(MAX_MEMBERS + 1) })).toBeUndefined()
    expect(decoded(remove({ cuts: cutsOf(MAX_CUTS), epoch: few }))).toBeDefined()
    expect(decoded(remove({ cuts: cutsOf(MAX_CUTS + 1), epoch: few }))).toBeUndefined()
    for (const more of [0, 1]) {
      const sealedName = new Uint8Array(MAX_SEALED_NAME_BYTES + more)
      const sealed = new Uint8Array(MAX_SEALED_SETTINGS_BYTES + more)
      const texts: EntryBody[] = [
        { ...add, sealedKey: sealed80, sealedName },
        { ...genesis, sealedKey: sealed80, sealedName, sealedPracticeName: name },
        { ...genesis, sealedKey: sealed80, sealedName: name, sealedPracticeName: sealedName },
        { kind: 'settings', sealed },
      ]
      for (const body of texts)
        expect([body.kind, decoded(body) !== undefined]).toEqual([body.kind, more === 0])
    }
  })

  test('with as much of everything as there may be is within the size of an entry', () => {
    const epoch = epochOf(MAX_MEMBERS, { recovery: sealed80 })
    const most = encoded(remove({ ids: ascending(MAX_MEMBERS), cuts: cutsOf(MAX_CUTS), epoch }))
    expect(most.length).toBeLessThanOrEqual(MAX_ENTRY_BYTES)
    expect(decodeEntry(natives, most)).toBeDefined()
  })
})
