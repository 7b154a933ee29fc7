/**
 * Noise with less work for the same bytes. The library learns from an exception that nothing more has come; and in each
 * handshake it reads every secret key anew, which takes the system eight times as long as what it is read for, and signs
 * its static key, though that stays the same.
 */
import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'
import { noise } from '@chainsafe/libp2p-noise'
import type { PrivateKey } from '@libp2p/interface'
import { equalBytes } from '../protocol/bytes.js'
import { joinPieces, type Pieces } from './host-streams.js'

type Bytes = Uint8Array | Pieces

/** What the library has inside; instances are adapted, never its classes. */
interface InnerNoise {
  components: { privateKey: PrivateKey }
  crypto: {
    generateKeypair(): KeyPair
    dh(own: KeyPair, theirs: Bytes): Uint8Array
  }
}

interface KeyPair {
  publicKey: Bytes
  privateKey: Bytes
}

interface InnerCipher {
  decoder: { lengthDecoder(data: Pieces): number }
}

/** Of a Noise message. */
const LENGTH_BYTES = 2
/** What comes before the 32 bytes of an X25519 secret key in PKCS #8 (RFC 8410). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex')

export function thriftyNoise(): ReturnType<typeof noise> {
  const make = noise()
  return (components) => {
    const encrypter = make(components)
    const inner = encrypter as unknown as InnerNoise
    const privateKey = signingOnce(inner.components.privateKey)
    inner.components = Object.create(inner.components, { privateKey: { value: privateKey } })
    keepKeys(inner.crypto)
    const inbound = encrypter.secureInbound.bind(encrypter)
    const outbound = encrypter.secureOutbound.bind(encrypter)
    encrypter.secureInbound = async (...values) => lookBeforeDecoding(await inbound(...values))
    encrypter.secureOutbound = async (...values) => lookBeforeDecoding(await outbound(...values))
    return encrypter
  }
}

/** The same key. What it has signed last it does not sign again: Ed25519 would give the same. */
function signingOnce(key: PrivateKey): PrivateKey {
  let last: { message: Uint8Array; signature: ReturnType<PrivateKey['sign']> } | undefined
  const sign: PrivateKey['sign'] = (message, options) => {
    const bytes = Uint8Array.from(message.subarray())
    if (last === undefined || !equalBytes(last.message, bytes))
      last = { message: bytes, signature: key.sign(bytes, options) }
    return last.signature
  }
  return Object.create(key, { sign: { value: sign } })
}

/** Secret keys stay as the system has them, for as long as the library keeps them. */
function keepKeys(crypto: InnerNoise['crypto']): void {
  const kept = new WeakMap<KeyPair, KeyObject>()
  crypto.generateKeypair = () => {
    const { publicKey, privateKey } = generateKeyPairSync('x25519')
    // The library hands the secret key back to `dh`, and uses it for nothing else.
    const pair = { publicKey: rawOf(publicKey), privateKey: new Uint8Array(0) }
    kept.set(pair, privateKey)
    return pair
  }
  crypto.dh = (own, theirs) => {
    const privateKey = kept.get(own) ?? readSecret(own.privateKey)
    kept.set(own, privateKey)
    return diffieHellman({ privateKey, publicKey: readPublic(theirs) })
  }
}

function rawOf(key: KeyObject): Uint8Array {
  return Uint8Array.from(Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url'))
}

function readSecret(raw: Bytes): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, raw.subarray()]), format: 'der', type: 'pkcs8' })
}

/** Throws where it is no key; `diffieHellman` does for one of small order. */
function readPublic(raw: Bytes): KeyObject {
  const x = Buffer.from(raw.subarray()).toString('base64url')
  return createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' })
}

function lookBeforeDecoding<T extends { connection: unknown }>(secured: T): T {
  const { decoder } = secured.connection as InnerCipher
  const decode = decoder.lengthDecoder
  decoder.lengthDecoder = (data) => {
    joinPieces(data)
    // Even an empty message would be longer than what is there, so the decoder waits for more.
    return data.byteLength < LENGTH_BYTES ? 0 : decode(data)
  }
  return secured
}
