import { expect, test } from 'vitest'
import { concat, toHex, utf8 } from '../../src/protocol/bytes.js'
import {
  calculateGenerator,
  generatorString,
  pakeKey,
  pakeShare,
  prependLength,
  scalarMultVerify,
} from '../../src/protocol/pake.js'
import { hex, seededRandom, vectors } from './vectors.js'

interface CpaceFile {
  G_Coffee25519: Record<
    'PRS' | 'CI' | 'sid' | 'g' | 'ya' | 'ADa' | 'Ya' | 'yb' | 'ADb' | 'Yb' | 'K',
    string
  > & {
    ISK_IR: string
  }
  G_Coffee25519_points: {
    Valid: { s: string; X: string; 'G.scalar_mult_vfy(s,X)': string }
    'Invalid Y1': string
    'Invalid Y2': string
  }
}

const file = vectors<CpaceFile>('cpace-testvectors.json')
const vector = file.G_Coffee25519
const random = seededRandom('pake')
const inputs = { password: hex(vector.PRS), channel: hex(vector.CI), session: hex(vector.sid) }

test('prepend_len, from the draft', () => {
  expect(toHex(prependLength(utf8('')))).toBe('00')
  expect(toHex(prependLength(utf8('1234')))).toBe('0431323334')
  expect(toHex(prependLength(new Uint8Array(127))).slice(0, 4)).toBe('7f00')
  expect(toHex(prependLength(new Uint8Array(128))).slice(0, 6)).toBe('800100')
  expect(toHex(prependLength(new Uint8Array(300))).slice(0, 6)).toBe('ac0200')
})

test('generator, from the draft', () => {
  expect(generatorString(inputs).length).toBe(170)
  expect(calculateGenerator(inputs)).toEqual(hex(vector.g))
})

test('shares, secret point and intermediate key, from the draft (initiator and responder)', () => {
  expect(pakeShare(inputs, hex(vector.ya))).toEqual({ scalar: hex(vector.ya), share: hex(vector.Ya) })
  expect(pakeShare(inputs, hex(vector.yb)).share).toEqual(hex(vector.Yb))
  expect(scalarMultVerify(hex(vector.ya), hex(vector.Yb))).toEqual(hex(vector.K))
  expect(scalarMultVerify(hex(vector.yb), hex(vector.Ya))).toEqual(hex(vector.K))
  const initiator = { share: hex(vector.Ya), data: hex(vector.ADa) }
  const responder = { share: hex(vector.Yb), data: hex(vector.ADb) }
  const run = { session: inputs.session, initiator, responder }
  // The draft's file cuts 64 bytes to 50.
  const key = hex(vector.ISK_IR)
  expect(pakeKey({ ...run, scalar: hex(vector.ya), role: 'initiator' })!.slice(0, key.length)).toEqual(key)
  expect(pakeKey({ ...run, scalar: hex(vector.yb), role: 'responder' })!.slice(0, key.length)).toEqual(key)
})

test('invalid points and the neutral element abort, from the draft', () => {
  const points = file.G_Coffee25519_points
  const { s, X } = points.Valid
  expect(scalarMultVerify(hex(s), hex(X))).toEqual(hex(points.Valid['G.scalar_mult_vfy(s,X)']))
  for (const invalid of [points['Invalid Y1'], points['Invalid Y2']]) {
    expect(scalarMultVerify(hex(s), hex(invalid))).toBeUndefined()
    const own = pakeShare(inputs, random(32))
    const initiator = { share: own.share, data: new Uint8Array(0) }
    const responder = { share: hex(invalid), data: new Uint8Array(0) }
    const run = { session: inputs.session, initiator, responder, scalar: own.scalar }
    expect(pakeKey({ ...run, role: 'initiator' })).toBeUndefined()
  }
  expect(scalarMultVerify(new Uint8Array(32), hex(X))).toBeUndefined()
  expect(scalarMultVerify(hex(s), hex(X).slice(1))).toBeUndefined()
})

test('equal inputs give equal keys; another PIN, channel, session or message gives another', () => {
  const data = utf8('data')
  const agree = (a: typeof inputs, b: typeof inputs, dataSeen = data): boolean => {
    const [ours, theirs] = [pakeShare(a, random(32)), pakeShare(b, random(32))]
    const initiator = { share: ours.share, data }
    const responder = { share: theirs.share, data }
    const first = pakeKey({
      session: a.session,
      initiator,
      responder,
      scalar: ours.scalar,
      role: 'initiator',
    })
    const second = pakeKey({
      session: b.session,
      initiator: { share: ours.share, data: dataSeen },
      responder,
      scalar: theirs.scalar,
      role: 'responder',
    })
    return toHex(first!) === toHex(second!)
  }
  const other = concat([inputs.session, utf8('x')])
  expect(agree(inputs, inputs)).toBe(true)
  expect(agree(inputs, { ...inputs, password: other })).toBe(false)
  expect(agree(inputs, { ...inputs, channel: other })).toBe(false)
  expect(agree(inputs, { ...inputs, session: other })).toBe(false)
  expect(agree(inputs, inputs, other)).toBe(false)
})

test('randomness of a wrong length, and a zero scalar, are faults of the caller', () => {
  expect(() => pakeShare(inputs, random(31))).toThrow('32 random bytes')
  expect(() => pakeShare(inputs, new Uint8Array(32))).toThrow('zero scalar')
  // The upper four bits are no part of it.
  expect(() => pakeShare(inputs, new Uint8Array(32).fill(0xf0, 31))).toThrow('zero scalar')
})
