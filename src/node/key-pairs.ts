/** Public keys by the platform: portable code takes 50 ms for its tables, at every start. */
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { concat, fromHex } from '../protocol/bytes.js'

const SECRET_BYTES = 32
/** What stands before the raw secret in PKCS #8 (RFC 8410), up to and with the curve's number and the lengths. */
const PREFIX = {
  ed25519: fromHex('302e020100300506032b657004220420'),
  x25519: fromHex('302e020100300506032b656e04220420'),
}

/** @param secret 32 bytes: the seed of an Ed25519 key, the scalar of an X25519 key. Throws for any other length. */
export function publicKeyOf(curve: keyof typeof PREFIX, secret: Uint8Array): Uint8Array {
  // What follows a secret of the right length would be passed over.
  if (secret.length !== SECRET_BYTES) throw new Error('a secret key has 32 bytes')
  const key = Buffer.from(concat([PREFIX[curve], secret]))
  const spki = createPublicKey(createPrivateKey({ key, format: 'der', type: 'pkcs8' })).export({
    format: 'der',
    type: 'spki',
  })
  return Uint8Array.from(spki.subarray(-secret.length))
}
