import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import { describe, expect, test } from 'vitest'
import { concat, utf8 } from '../../src/protocol/bytes.js'
import { HKDF_MAX_BYTES, hkdf, hmacSha256 } from '../../src/protocol/hkdf.js'
import {
  hpkeOpen,
  hpkeSeal,
  isUsableXKey,
  kemSharedSecret,
  keySchedule,
  xPublicKey,
  xSharedSecret,
} from '../../src/protocol/hpke.js'
import { hex, seededRandom, vectors, type Wycheproof } from './vectors.js'

type Rfc9180 = Record<
  'info' | 'skRm' | 'skEm' | 'pkRm' | 'enc' | 'shared_secret' | 'key' | 'base_nonce',
  string
> & {
  mode: number
  aead_id: number
  encryptions: { aad: string; ct: string; nonce: string; pt: string }[]
}

const all = vectors<Rfc9180[]>('rfc9180-vectors.json')
const random = seededRandom('hpke')

test('KEM of every base mode vector of RFC 9180 for X25519', () => {
  const base = all.filter((v) => v.mode === 0)
  expect(base.length).toBe(4)
  for (const v of base) {
    expect(xPublicKey(hex(v.skRm))).toEqual(hex(v.pkRm))
    expect(xPublicKey(hex(v.skEm))).toEqual(hex(v.enc))
    for (const shared of [xSharedSecret(hex(v.skEm), hex(v.pkRm)), xSharedSecret(hex(v.skRm), hex(v.enc))]) {
      expect(kemSharedSecret(shared!, hex(v.enc), hex(v.pkRm))).toEqual(hex(v.shared_secret))
    }
  }
})

test('base mode with ChaCha20Poly1305 of RFC 9180: key schedule, and every encryption', () => {
  const v = all.find((vector) => vector.mode === 0 && vector.aead_id === 3)!
  const { key, baseNonce } = keySchedule(hex(v.shared_secret), hex(v.info))
  expect([key, baseNonce]).toEqual([hex(v.key), hex(v.base_nonce)])
  expect(v.encryptions.length).toBe(10)
  v.encryptions.forEach((e) => {
    expect(chacha20poly1305(key, hex(e.nonce), hex(e.aad)).encrypt(hex(e.pt))).toEqual(hex(e.ct))
  })
  const [first, second] = v.encryptions
  const sealed = hpkeSeal({
    recipient: hex(v.pkRm),
    ephemeralSecret: hex(v.skEm),
    info: hex(v.info),
    aad: hex(first!.aad),
    plaintext: hex(first!.pt),
  })
  expect(sealed).toEqual(concat([hex(v.enc), hex(first!.ct)]))
  const open = {
    recipient: hex(v.pkRm),
    secretKey: hex(v.skRm),
    info: hex(v.info),
    aad: hex(first!.aad),
    sealed: sealed!,
  }
  expect(hpkeOpen(open)).toEqual(hex(first!.pt))
  expect(hpkeOpen({ ...open, sealed: concat([hex(v.enc), hex(second!.ct)]) })).toBeUndefined()
})

test('what was sealed opens for its recipient, info and associated data only', () => {
  const [secretKey, info, aad, plaintext] = [random(32), utf8('info'), utf8('aad'), random(32)]
  const recipient = xPublicKey(secretKey)
  const sealed = hpkeSeal({ recipient, ephemeralSecret: random(32), info, aad, plaintext })!
  expect(hpkeOpen({ recipient, secretKey, info, aad, sealed })).toEqual(plaintext)
  const nothing = hpkeSeal({
    recipient,
    ephemeralSecret: random(32),
    info,
    aad,
    plaintext: new Uint8Array(0),
  })!
  expect(hpkeOpen({ recipient, secretKey, info, aad, sealed: nothing })).toEqual(new Uint8Array(0))
  const keys = [recipient, recipient.subarray(1), concat([recipient, Uint8Array.of(0)])]
  expect(keys.map(isUsableXKey)).toEqual([true, false, false])
  const other = random(32)
  expect(hpkeOpen({ recipient, secretKey: other, info, aad, sealed })).toBeUndefined()
  expect(hpkeOpen({ recipient: xPublicKey(other), secretKey: other, info, aad, sealed })).toBeUndefined()
  expect(hpkeOpen({ recipient: xPublicKey(other), secretKey, info, aad, sealed })).toBeUndefined()
  expect(hpkeOpen({ recipient, secretKey, info: aad, aad, sealed })).toBeUndefined()
  expect(hpkeOpen({ recipient, secretKey, info, aad: info, sealed })).toBeUndefined()
  expect(hpkeOpen({ recipient, secretKey, info, aad, sealed: sealed.subarray(0, 40) })).toBeUndefined()
  for (let i = 0; i < sealed.length; i++) {
    const changed = Uint8Array.from(sealed)
    changed[i]! ^= 0x80 >> (i % 8)
    // X25519 ignores the top bit of a public key, but the key schedule does not.
    expect(hpkeOpen({ recipient, secretKey, info, aad, sealed: changed })).toBeUndefined()
  }
})

test('HMAC-SHA-256, from RFC 4231', () => {
  const mac = hmacSha256(utf8('Jefe'), utf8('what do ya want for nothing?'))
  expect(mac).toEqual(hex('5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'))
})

test('a key is usable where a secret makes something of it, and nowhere else', () => {
  const secret = new Uint8Array(32).fill(1)
  const p = 2n ** 255n - 19n
  const ofOrder8 = [
    325606250916557431795983626356110631294008115727848805560023387167927233504n,
    39382357235489614581723060781553021112529911719440698176882885853963445705823n,
  ]
  const around = [0n, p - 1n, ...ofOrder8].flatMap((u) => [u, u + 1n, u + 2n])
  const littleEndian = (u: bigint) => hex(u.toString(16).padStart(64, '0')).reverse()
  const usable = around.flatMap((u) => {
    const plain = littleEndian(u)
    const withTopBit = Uint8Array.from(plain)
    withTopBit[31]! |= 0x80
    return [plain, withTopBit].map((key) => {
      expect([key, isUsableXKey(key)]).toEqual([key, xSharedSecret(secret, key) !== undefined])
      return isUsableXKey(key)
    })
  })
  expect(usable.filter((is) => !is)).toHaveLength(14)
})

describe('Wycheproof', () => {
  test('X25519: every shared secret, and an all-zero one is refused', () => {
    type Test = { public: string; private: string; shared: string }
    let zeros = 0
    for (const { tests } of vectors<Wycheproof<Test>>('wycheproof-x25519_test.json').testGroups) {
      for (const t of tests) {
        const zero = /^0+$/.test(t.shared)
        if (zero) zeros++
        const shared = xSharedSecret(hex(t.private), hex(t.public))
        expect([t.tcId, shared]).toEqual([t.tcId, zero ? undefined : hex(t.shared)])
        if (zero) {
          expect(isUsableXKey(hex(t.public))).toBe(false)
          const message = { info: utf8(''), aad: utf8('') }
          expect(
            hpkeSeal({
              ...message,
              recipient: hex(t.public),
              ephemeralSecret: hex(t.private),
              plaintext: hex(''),
            }),
          ).toBeUndefined()
          const sealed = concat([hex(t.public), new Uint8Array(16)])
          expect(
            hpkeOpen({ ...message, recipient: hex(t.public), secretKey: hex(t.private), sealed }),
          ).toBeUndefined()
        }
      }
    }
    expect(zeros).toBeGreaterThan(20)
  })

  test('HKDF-SHA-256', () => {
    type Test = { ikm: string; salt: string; info: string; size: number; okm: string }
    for (const { tests } of vectors<Wycheproof<Test>>('wycheproof-hkdf_sha256_test.json').testGroups) {
      for (const t of tests) {
        const derive = (): Uint8Array => hkdf(hex(t.ikm), hex(t.salt), hex(t.info), t.size)
        if (t.result === 'valid') expect([t.tcId, derive()]).toEqual([t.tcId, hex(t.okm)])
        else {
          expect(t.size).toBeGreaterThan(HKDF_MAX_BYTES)
          expect(derive).toThrow()
        }
      }
    }
  })
})
