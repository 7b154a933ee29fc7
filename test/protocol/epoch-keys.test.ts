/** Epoch keys: what follows from one, and where each sealed thing opens. The formulas are those of PROTOCOL.md. */
import { describe, expect, test } from 'vitest'
import { concat, EMPTY, toHex, u32, utf8 } from '../../src/protocol/bytes.js'
import {
  envelopeKeys,
  epochKeyId,
  indexKeyOf,
  openEpochKey,
  openLadder,
  openText,
  rosterSealKey,
  type SealPlace,
  sealEpochKey,
  sealLadder,
  sealText,
} from '../../src/protocol/epoch-keys.js'
import { hkdf } from '../../src/protocol/hkdf.js'
import { hpkeSeal, xPublicKey } from '../../src/protocol/hpke.js'
import { natives } from './roster-helpers.js'
import { seededRandom } from './vectors.js'

const random = seededRandom('epoch keys')
const [practice, key, prev] = [random(32), random(32), random(32)]
const epoch = { practice, number: 7, key }
const none = new Uint8Array(24)

/** Each field of `value` replaced by another, one at a time. */
function othersOf<T extends object>(value: T): T[] {
  return Object.entries(value).map(([field, held]) => {
    const isBytes = held instanceof Uint8Array
    return {
      ...value,
      [field]: isBytes ? random(held.length) : typeof held === 'number' ? held + 1 : `${held}?`,
    }
  })
}

describe('keys that follow from an epoch key', () => {
  const labelled = (label: string, number = 7) => concat([utf8(`kartoteka/1 ${label}`), u32(number)])

  test('are those of PROTOCOL.md', () => {
    expect(epochKeyId(7, key)).toEqual(hkdf(key, EMPTY, labelled('epoch key id'), 16))
    expect(rosterSealKey(7, key)).toEqual(hkdf(key, EMPTY, labelled('roster seal key'), 32))
    expect(indexKeyOf(practice, key)).toEqual(hkdf(key, practice, utf8('kartoteka/1 index key'), 32))
    expect(envelopeKeys(epoch)).toEqual({
      keyId: epochKeyId(7, key),
      sealKey: hkdf(key, practice, labelled('envelope key'), 32),
      idKey: hkdf(key, practice, labelled('envelope id key'), 32),
    })
  })

  test('are different for each use, epoch, number and practice; the public id begins none of them', () => {
    const all = [epoch, ...othersOf(epoch)].flatMap((one) => {
      const { keyId, sealKey, idKey } = envelopeKeys(one)
      return [keyId, sealKey, idKey, rosterSealKey(one.number, one.key), indexKeyOf(one.practice, one.key)]
    })
    // Three of them don't depend on the practice, and one not on the number.
    const begins = new Set(all.map((bytes) => toHex(bytes.subarray(0, 16))))
    expect(begins.size).toBe(all.length - 3)
  })
})

describe('an epoch key that is sealed to a device', () => {
  const secret = random(32)
  const recipient = xPublicKey(secret)
  const place = { practice, height: 3, prev, number: 7, keyId: epochKeyId(7, key) }
  const sealed = sealEpochKey(random, place, recipient, key)!

  test('opens for that device in that entry, and nowhere else', () => {
    expect(openEpochKey(place, recipient, secret, sealed)).toEqual(key)
    for (const other of othersOf(place))
      expect(openEpochKey(other, recipient, secret, sealed)).toBeUndefined()
    expect(openEpochKey(place, xPublicKey(random(32)), secret, sealed)).toBeUndefined()
    const stranger = random(32)
    expect(openEpochKey(place, xPublicKey(stranger), stranger, sealed)).toBeUndefined()
    expect(openEpochKey(place, recipient, stranger, sealed)).toBeUndefined()
  })

  test('is bound to all of its place, as PROTOCOL.md writes it', () => {
    const info = concat([
      ...[utf8('kartoteka/1 epoch key for a device'), practice, u32(3), prev],
      ...[u32(7), place.keyId, recipient],
    ])
    const given = (bytes: Uint8Array) =>
      hpkeSeal({ recipient, ephemeralSecret: random(32), info, aad: EMPTY, plaintext: bytes })!
    expect(openEpochKey(place, recipient, secret, given(key))).toEqual(key)
    // Another key than the roster names, and one of another length, though its id is right.
    expect(openEpochKey(place, recipient, secret, given(random(32)))).toBeUndefined()
    const long = random(33)
    const longPlace = { ...place, keyId: epochKeyId(7, long) }
    const longSealed = sealEpochKey(random, longPlace, recipient, long)!
    expect(openEpochKey(longPlace, recipient, secret, longSealed)).toBeUndefined()
  })
})

describe('the rung from an epoch to the one before it', () => {
  const previous = random(32)
  const rung = sealLadder(natives, epoch, previous)
  const id = epochKeyId(6, previous)

  test('opens with the key of its epoch in its practice, and leads to the key that the roster names', () => {
    expect(openLadder(natives, epoch, rung, id)).toEqual(previous)
    for (const other of othersOf(epoch)) expect(openLadder(natives, other, rung, id)).toBeUndefined()
    expect(openLadder(natives, epoch, rung, epochKeyId(7, previous))).toBeUndefined()
    expect(openLadder(natives, epoch, rung, random(16))).toBeUndefined()
    expect(openLadder(natives, epoch, sealLadder(natives, epoch, random(32)), id)).toBeUndefined()
  })

  test('is sealed as PROTOCOL.md writes it', () => {
    const ladderKey = hkdf(key, practice, concat([utf8('kartoteka/1 ladder key'), u32(7)]), 32)
    const data = concat([utf8('kartoteka/1 ladder'), practice, u32(7)])
    expect(rung).toEqual(natives.seal(ladderKey, none, previous, data))
  })
})

describe('a text that is sealed in the roster', () => {
  const sealKey = rosterSealKey(7, key)
  const place: SealPlace = { label: 'kartoteka/1 device name', practice, device: random(32), prev }
  const seal = (text: string, size: 'name' | 'settings' = 'name') =>
    sealText(natives, random, sealKey, place, text, size)
  /** What a holder of the key can seal in this place: any bytes. */
  const raw = (padded: Uint8Array) => {
    const data = concat([utf8(place.label), place.practice, place.device, place.prev])
    return concat([none, natives.seal(sealKey, none, padded, data)])
  }

  test('opens in its place with its key, and nowhere else', () => {
    for (const text of ['', 'Büro', '🙂'.repeat(70)])
      expect(openText(natives, sealKey, place, seal(text))).toBe(text)
    const sealed = seal('Office')
    for (const other of othersOf(place)) expect(openText(natives, sealKey, other, sealed)).toBeUndefined()
    expect(openText(natives, rosterSealKey(8, key), place, sealed)).toBeUndefined()
    for (const length of [0, 23, 24, 39, 40, sealed.length - 1])
      expect(openText(natives, sealKey, place, sealed.subarray(0, length))).toBeUndefined()
  })

  test('tells its length in steps of 64 bytes, settings in steps of 256', () => {
    const sizes = (lengths: number[], size: 'name' | 'settings') =>
      lengths.map((length) => seal('x'.repeat(length), size).length - 24 - 16)
    expect(sizes([0, 1, 62, 63, 126, 127], 'name')).toEqual([64, 64, 64, 128, 128, 192])
    expect(sizes([0, 254, 255], 'settings')).toEqual([256, 256, 512])
  })

  test('of a length that isn’t there, or of bytes that are no text, gives nothing', () => {
    const opens = (padded: number[]) => openText(natives, sealKey, place, raw(Uint8Array.from(padded)))
    expect(opens([0, 1, 97])).toBe('a')
    expect([opens([]), opens([0]), opens([0, 2, 97]), opens([0, 1, 255])]).toEqual(Array(4).fill(undefined))
    expect(opens([0, 0])).toBe('')
  })
})
