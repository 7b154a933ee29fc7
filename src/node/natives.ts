/**
 * The natives of a device on Node: node:crypto and zlib where they are faster, the same rules everywhere.
 * Tested against the portable ones, crafted input included (test/protocol/natives.test.ts).
 */
import type { KeyObject } from 'node:crypto'
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  hash,
  sign,
  verify,
} from 'node:crypto'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { hchacha } from '@noble/ciphers/chacha.js'
import { concat, equalBytes, fromHex } from '../protocol/bytes.js'
import { ED_KEY_BYTES, followsRule } from '../protocol/ed25519.js'
import type { Natives } from '../protocol/natives.js'

/** DER around a raw Ed25519 key (RFC 8410): SubjectPublicKeyInfo, and PKCS #8 for the seed. */
const SPKI_PREFIX = fromHex('302a300506032b6570032100')
const PKCS8_PREFIX = fromHex('302e020100300506032b657004220420')

/** Public keys of a practice's devices, with room for a few practices in one process (tests, relays). */
const PUBLIC_KEY_CACHE = 256
const SECRET_KEY_CACHE = 4

const KEY_BYTES = 32
const NONCE_BYTES = 24
const TAG_BYTES = 16
const CIPHER = 'chacha20-poly1305'
const CIPHER_OPTIONS = { authTagLength: TAG_BYTES }
/** "expand 32-byte k", the ChaCha constant. */
const SIGMA = Uint32Array.of(0x61707865, 0x3320646e, 0x79622d32, 0x6b206574)

/** A Buffer's slice() is a view: nothing outside this file sees one. */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}

const publicKeys = new Map<string, KeyObject>()

/** Insertion order is age; a hit moves to the end. */
function publicKeyObject(raw: Uint8Array): KeyObject {
  const name = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('latin1')
  const known = publicKeys.get(name)
  const key =
    known ?? createPublicKey({ key: Buffer.from(concat([SPKI_PREFIX, raw])), format: 'der', type: 'spki' })
  publicKeys.delete(name)
  publicKeys.set(name, key)
  if (publicKeys.size > PUBLIC_KEY_CACHE) publicKeys.delete(publicKeys.keys().next().value!)
  return key
}

/** Kept as bytes, not as map keys: strings can't be wiped. */
const secretKeys: { raw: Uint8Array; key: KeyObject }[] = []

function secretKeyObject(raw: Uint8Array): KeyObject {
  const known = secretKeys.find((entry) => equalBytes(entry.raw, raw))
  if (known) return known.key
  if (raw.length !== ED_KEY_BYTES) throw new Error('an Ed25519 secret key has 32 bytes')
  const key = createPrivateKey({
    key: Buffer.from(concat([PKCS8_PREFIX, raw])),
    format: 'der',
    type: 'pkcs8',
  })
  secretKeys.unshift({ raw: Uint8Array.from(raw), key })
  secretKeys.length = Math.min(secretKeys.length, SECRET_KEY_CACHE)
  return key
}

/** Little-endian words of `bytes`, into `out`. */
function words(bytes: Uint8Array, out: Uint32Array): Uint32Array {
  for (let i = 0, at = 0; i < out.length; i++, at += 4) {
    out[i] = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
  }
  return out
}

/** Room for one derivation; everything here is synchronous, and each overwrites the one before. */
const keyWords = new Uint32Array(8)
const nonceWords = new Uint32Array(4)
const derived = new Uint32Array(8)
const subkey = new Uint8Array(KEY_BYTES)
const iv = new Uint8Array(12)

/** draft-irtf-cfrg-xchacha-03 §2.3: HChaCha20 of key and first 16 nonce bytes, then a 12-byte nonce. */
function deriveParameters(key: Uint8Array, nonce: Uint8Array): void {
  hchacha(SIGMA, words(key, keyWords), words(nonce, nonceWords), derived)
  for (let i = 0, at = 0; i < derived.length; i++) {
    const word = derived[i]!
    subkey[at++] = word
    subkey[at++] = word >>> 8
    subkey[at++] = word >>> 16
    subkey[at++] = word >>> 24
  }
  for (let i = 0; i < 8; i++) iv[4 + i] = nonce[16 + i]!
}

function seal(
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  aad: Uint8Array,
  room = 0,
): Uint8Array {
  if (key.length !== KEY_BYTES || nonce.length !== NONCE_BYTES) throw new Error('wrong key or nonce length')
  deriveParameters(key, nonce)
  const cipher = createCipheriv(CIPHER, subkey, iv, CIPHER_OPTIONS)
  cipher.setAAD(aad, { plaintextLength: plaintext.length })
  const sealed = new Uint8Array(room + plaintext.length + TAG_BYTES)
  sealed.set(cipher.update(plaintext), room)
  cipher.final()
  sealed.set(cipher.getAuthTag(), room + plaintext.length)
  return sealed
}

function open(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  aad: Uint8Array,
): Uint8Array | undefined {
  const length = sealed.length - TAG_BYTES
  if (length < 0 || key.length !== KEY_BYTES || nonce.length !== NONCE_BYTES) return undefined
  deriveParameters(key, nonce)
  const decipher = createDecipheriv(CIPHER, subkey, iv, CIPHER_OPTIONS)
  decipher.setAAD(aad, { plaintextLength: length })
  decipher.setAuthTag(sealed.subarray(length))
  const plaintext = decipher.update(sealed.subarray(0, length))
  try {
    decipher.final()
  } catch {
    return undefined
  }
  return plain(plaintext)
}

/** zlib's end of stream must be the end of the input, as in portable code. */
function inflate(bytes: Uint8Array, limitBytes: number): Uint8Array | undefined {
  try {
    // With `info` Node answers with the engine as well, which the types don't know.
    const options = { maxOutputLength: Math.max(1, limitBytes), info: true }
    const result = inflateRawSync(bytes, options) as unknown as {
      buffer: Buffer
      engine: { bytesWritten: number }
    }
    const whole = result.engine.bytesWritten === bytes.length && result.buffer.length <= limitBytes
    return whole ? plain(result.buffer) : undefined
  } catch {
    return undefined
  }
}

export const nodeNatives: Natives = {
  sha256: (bytes) => plain(hash('sha256', bytes, 'buffer')),
  sign: (secretKey, message) => plain(sign(null, message, secretKeyObject(secretKey))),
  verify(publicKey, message, signature) {
    if (!followsRule(publicKey, signature)) return false
    try {
      return verify(null, message, publicKeyObject(publicKey), signature)
    } catch {
      return false
    }
  },
  seal,
  open,
  deflate: (bytes) => plain(deflateRawSync(bytes, { level: 6 })),
  inflate,
}
