import { deflateRawSync } from 'node:zlib'
import { ED25519_TORSION_SUBGROUP, ed25519 } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nodeNatives } from '../../src/node/natives.js'
import { concat, equalBytes, toHex, utf8 } from '../../src/protocol/bytes.js'
import { edPublicKey, followsRule, isEnrollableKey } from '../../src/protocol/ed25519.js'
import type { Natives } from '../../src/protocol/natives.js'
import { portableNatives } from '../../src/protocol/portable.js'
import { hex, seededRandom, vectors, type Wycheproof } from './vectors.js'

const implementations: [string, Natives][] = [
  ['portable', portableNatives],
  ['node', nodeNatives],
]
const random = seededRandom('natives')
const order = ed25519.Point.Fn.ORDER

function scalarBytes(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n))
}

describe.each(implementations)('%s natives', (_name, natives) => {
  test('Ed25519, Wycheproof: every valid signature holds, every invalid one fails', () => {
    const file = vectors<Wycheproof<{ msg: string; sig: string }>>('wycheproof-ed25519_test.json')
    let run = 0
    for (const group of file.testGroups) {
      for (const { tcId, msg, sig, result } of group.tests) {
        const verdict = natives.verify(hex(group.publicKey!.pk), hex(msg), hex(sig))
        expect([tcId, verdict]).toEqual([tcId, result === 'valid'])
        run++
      }
    }
    expect(run).toBeGreaterThan(100)
  })

  test('XChaCha20-Poly1305, Wycheproof', () => {
    type Test = { key: string; iv: string; aad: string; msg: string; ct: string; tag: string }
    const file = vectors<Wycheproof<Test>>('wycheproof-xchacha20_poly1305_test.json')
    for (const group of file.testGroups) {
      for (const { tcId, result, ...t } of group.tests) {
        const sealed = concat([hex(t.ct), hex(t.tag)])
        const opened = natives.open(hex(t.key), hex(t.iv), sealed, hex(t.aad))
        if (result === 'valid') {
          expect([tcId, opened]).toEqual([tcId, hex(t.msg)])
          expect(natives.seal(hex(t.key), hex(t.iv), hex(t.msg), hex(t.aad))).toEqual(sealed)
        } else {
          expect([tcId, opened]).toEqual([tcId, undefined])
        }
      }
    }
  })

  test('a sealed value opens under its key, nonce and associated data only', () => {
    const [key, nonce, aad] = [random(32), random(24), utf8('where')]
    for (const length of [0, 1, 99, 100, 101, 5000]) {
      const plaintext = random(length)
      const sealed = natives.seal(key, nonce, plaintext, aad)
      expect(natives.open(key, nonce, sealed, aad)).toEqual(plaintext)
      expect(natives.seal(key, nonce, plaintext, aad, 24)).toEqual(concat([new Uint8Array(24), sealed]))
      expect(natives.open(random(32), nonce, sealed, aad)).toBeUndefined()
      expect(natives.open(key, random(24), sealed, aad)).toBeUndefined()
      expect(natives.open(key, nonce, sealed, utf8('elsewhere'))).toBeUndefined()
      expect(natives.open(key, nonce, sealed.subarray(1), aad)).toBeUndefined()
      sealed[length >> 1]! ^= 1
      expect(natives.open(key, nonce, sealed, aad)).toBeUndefined()
    }
    expect(natives.open(key, nonce, new Uint8Array(15), aad)).toBeUndefined()
    expect(natives.open(random(31), nonce, new Uint8Array(200), aad)).toBeUndefined()
    expect(natives.open(key, random(12), new Uint8Array(200), aad)).toBeUndefined()
  })

  test('results are plain Uint8Arrays, so that slice() copies', () => {
    const [key, nonce] = [random(32), random(24)]
    const sealed = natives.seal(key, nonce, random(100), random(0))
    const values = [
      natives.sha256(key),
      natives.sign(key, nonce),
      sealed,
      natives.open(key, nonce, sealed, random(0))!,
      natives.deflate(key),
      natives.inflate(natives.deflate(key), 100)!,
    ]
    for (const value of values) expect(Object.getPrototypeOf(value)).toBe(Uint8Array.prototype)
  })

  test('a bomb stops at the limit, exact sizes pass', () => {
    const bomb = deflateRawSync(new Uint8Array(50_000_000))
    expect(natives.inflate(bomb, 1_000_000)).toBeUndefined()
    const text = random(3000)
    const packed = natives.deflate(text)
    expect(natives.inflate(packed, 3000)).toEqual(text)
    expect(natives.inflate(packed, 2999)).toBeUndefined()
    expect(natives.inflate(natives.deflate(random(0)), 0)).toEqual(random(0))
    expect(natives.inflate(concat([packed, Uint8Array.of(0)]), 3000)).toBeUndefined()
    expect(natives.inflate(packed.subarray(0, packed.length - 1), 3000)).toBeUndefined()
  })
})

test('what the bytes of a signature show decides, whatever a library takes: S < L, A and R reduced', () => {
  const secret = random(32)
  const [key, signature] = [edPublicKey(secret), nodeNatives.sign(secret, utf8('message'))]
  const [r, p] = [signature.subarray(0, 32), 2n ** 255n - 19n]
  const withS = (s: bigint) => followsRule(key, concat([r, scalarBytes(s)]))
  expect([withS(order - 1n), withS(order), withS(order + 1n), withS(2n ** 256n - 1n)]).toEqual([
    true,
    false,
    false,
    false,
  ])
  for (const [y, isReduced] of [
    [p - 2n, true],
    [p, false],
    [p + 3n, false],
    [p + 18n, false],
  ] as const) {
    expect(followsRule(scalarBytes(y), signature)).toBe(isReduced)
    expect(followsRule(key, concat([scalarBytes(y), signature.subarray(32)]))).toBe(isReduced)
  }
  expect(followsRule(concat([key, Uint8Array.of(0)]), signature)).toBe(false)
})

describe('both natives agree', () => {
  const agreeOnVerify = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean => {
    const [a, b] = [portableNatives, nodeNatives].map((n) => n.verify(publicKey, message, signature))
    expect(a, toHex(publicKey)).toBe(b)
    return a!
  }

  test('hashes, signatures, sealed bytes and compressed bytes are interchangeable', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        (m, k) => {
          expect(nodeNatives.sha256(m)).toEqual(portableNatives.sha256(m))
          const signature = nodeNatives.sign(k, m)
          expect(signature).toEqual(portableNatives.sign(k, m))
          expect(agreeOnVerify(edPublicKey(k), m, signature)).toBe(true)
          const nonce = k.subarray(0, 24)
          expect(nodeNatives.seal(k, nonce, m, k)).toEqual(portableNatives.seal(k, nonce, m, k))
          expect(nodeNatives.inflate(portableNatives.deflate(m), 300)).toEqual(m)
          expect(portableNatives.inflate(nodeNatives.deflate(m), 300)).toEqual(m)
        },
      ),
      { numRuns: 40 },
    )
  })

  test('identity, small orders and unreduced encodings are refused, whatever is signed', () => {
    const message = utf8('message')
    for (const point of ED25519_TORSION_SUBGROUP.map(hex)) {
      for (const sign of [0, 0x80]) {
        const key = Uint8Array.from(point)
        key[31]! ^= sign
        expect(isEnrollableKey(key)).toBe(false)
        // S = 0 and R = the identity satisfy the equation for the identity as key, on Node.
        for (const r of [point, key, scalarBytes(1n)]) {
          expect(agreeOnVerify(key, message, concat([r, new Uint8Array(32)]))).toBe(false)
        }
      }
    }
    const p = 2n ** 255n - 19n
    for (let small = 0n; small < 19n; small++) {
      for (const sign of [0n, 1n << 255n]) {
        const key = scalarBytes((p + small) | sign)
        expect(isEnrollableKey(key)).toBe(false)
        expect(agreeOnVerify(key, message, concat([key, new Uint8Array(32)]))).toBe(false)
      }
    }
  })

  test('S + L, and R or A with a part of small order', () => {
    const secret = random(32)
    const message = utf8('message')
    const signature = nodeNatives.sign(secret, message)
    const key = edPublicKey(secret)
    const s = BigInt(`0x${toHex(signature.slice(32).reverse())}`)
    expect(agreeOnVerify(key, message, concat([signature.slice(0, 32), scalarBytes(s + order)]))).toBe(false)
    for (const torsion of ED25519_TORSION_SUBGROUP.slice(1)) {
      const t = ed25519.Point.fromHex(torsion)
      if (t.is0()) continue
      const mixedKey = ed25519.Point.fromBytes(key).add(t).toBytes()
      const mixedR = ed25519.Point.fromBytes(signature.slice(0, 32)).add(t).toBytes()
      expect(isEnrollableKey(mixedKey)).toBe(false)
      agreeOnVerify(mixedKey, message, signature)
      expect(agreeOnVerify(key, message, concat([mixedR, signature.slice(32)]))).toBe(false)
    }
    expect(isEnrollableKey(key)).toBe(true)
    expect(isEnrollableKey(key.slice(1))).toBe(false)
    // No point of the curve has these.
    for (const y of [2n, 7n, 8n, 11n]) expect(isEnrollableKey(scalarBytes(y))).toBe(false)
  })

  test('a mixed-order key whose cofactorless equation holds by chance gets the same answer', () => {
    // A = aB + T: k·T vanishes for one message in eight, so some of these verify and most do not.
    const t = ed25519.Point.fromHex(
      ED25519_TORSION_SUBGROUP.find((p) => !ed25519.Point.fromHex(p).double().double().is0())!,
    )
    const { scalar, pointBytes, point } = ed25519.utils.getExtendedPublicKey(random(32))
    expect(pointBytes.length).toBe(32)
    const key = point.add(t).toBytes()
    const verdicts = new Set<boolean>()
    for (let i = 0; i < 40; i++) {
      const message = utf8(`message ${i}`)
      const nonce = BigInt(`0x${toHex(random(31))}`)
      const r = ed25519.Point.BASE.multiply(nonce).toBytes()
      const k = ed25519.Point.Fn.create(
        BigInt(`0x${toHex(Uint8Array.from(sha512(concat([r, key, message]))).reverse())}`),
      )
      const s = ed25519.Point.Fn.create(nonce + k * scalar)
      verdicts.add(agreeOnVerify(key, message, concat([r, scalarBytes(s)])))
    }
    expect(verdicts.size).toBe(2)
  })

  test('flipped bits of a signature or a key', () => {
    const secret = random(32)
    const message = utf8('message')
    const signature = nodeNatives.sign(secret, message)
    const key = edPublicKey(secret)
    for (let bit = 0; bit < 512; bit += 5) {
      const changed = Uint8Array.from(signature)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      expect(agreeOnVerify(key, message, changed)).toBe(false)
      const otherKey = Uint8Array.from(key)
      otherKey[(bit >> 3) % 32]! ^= 1 << (bit & 7)
      expect(agreeOnVerify(otherKey, message, signature)).toBe(false)
    }
    for (const length of [0, 31, 33]) agreeOnVerify(random(length), message, signature)
    for (const length of [0, 63, 65]) agreeOnVerify(key, message, random(length))
  })

  test('damaged and random deflate streams: the same verdict and the same bytes', () => {
    const texts = [utf8('kartoteka '.repeat(50)), random(400), utf8('a'), concat([random(40), random(40)])]
    const streams = texts.flatMap((t) => [
      deflateRawSync(t, { level: 9 }),
      deflateRawSync(t, { level: 0 }),
      deflateRawSync(concat([t, t, t, utf8(`${t}`)]), { level: 9 }),
    ])
    const agree = (stream: Uint8Array): boolean => {
      const a = portableNatives.inflate(stream, 20_000)
      const b = nodeNatives.inflate(stream, 20_000)
      const same = a === undefined ? b === undefined : b !== undefined && equalBytes(a, b)
      if (!same) throw new Error(`differ on ${toHex(stream)}: ${a?.length} ${b?.length}`)
      return a !== undefined
    }
    for (const stream of streams) expect(agree(stream)).toBe(true)
    fc.assert(
      fc.property(
        fc.constantFrom(...streams),
        fc.array(fc.tuple(fc.nat(10_000), fc.nat(255)), { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        (stream, edits, cut) => {
          const changed = Uint8Array.from(stream)
          for (const [at, value] of edits) changed[at % changed.length] = value
          agree(cut ? changed.subarray(0, edits[0]![0] % changed.length) : changed)
        },
      ),
      { numRuns: 4000 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (stream) => {
        agree(stream)
      }),
      { numRuns: 4000 },
    )
  })
})
