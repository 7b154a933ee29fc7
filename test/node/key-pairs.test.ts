import { expect, it } from 'vitest'
import { publicKeyOf } from '../../src/node/key-pairs.js'
import { edPublicKey } from '../../src/protocol/ed25519.js'
import { xPublicKey } from '../../src/protocol/hpke.js'
import { seeded } from '../support/random.js'

it('the platform finds the same public keys as portable code, and refuses secrets of another length', () => {
  const random = seeded(11)
  for (let i = 0; i < 20; i++) {
    const secret = random.bytes(32)
    expect(publicKeyOf('ed25519', secret)).toEqual(edPublicKey(secret))
    expect(publicKeyOf('x25519', secret)).toEqual(xPublicKey(secret))
  }
  for (const length of [0, 31, 33]) expect(() => publicKeyOf('ed25519', random.bytes(length))).toThrow()
})
