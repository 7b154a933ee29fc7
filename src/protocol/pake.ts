/**
 * CPace over ristretto255 with SHA-512 (CPACE-Ristretto255-SHA512), draft-irtf-cfrg-cpace-21, in the
 * initiator-responder setting. Nothing else: confirmation and what it covers are pairing's business.
 *
 * Both sides must confirm before the result is used; ISK goes through HKDF first (§ key derivation).
 */
import { ristretto255, ristretto255_hasher } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { concat, utf8 } from './bytes.js'

export const PAKE_SCALAR_BYTES = 32
export const PAKE_SHARE_BYTES = 32

const DSI = utf8('CPaceRistretto255')
const DSI_ISK = utf8('CPaceRistretto255_ISK')
/** SHA-512's input block. */
const HASH_BLOCK_BYTES = 128
/** group_size_bits is 252: the upper four bits of a sampled scalar are cleared. */
const SCALAR_TOP_MASK = 0x0f

/** What both sides know before the first message. */
export interface PakeInputs {
  /** PRS: the PIN as bytes. */
  password: Uint8Array
  /** CI: both parties and their roles. */
  channel: Uint8Array
  /** sid: fresh for this run. */
  session: Uint8Array
}

export interface PakeShare {
  /** y, to be kept secret and used once. */
  scalar: Uint8Array
  /** Y, for the other side. */
  share: Uint8Array
}

/** One side's message: its share and the data it sends along (may be empty). */
export interface PakeMessage {
  share: Uint8Array
  data: Uint8Array
}

/** The length as LEB128, then the bytes (appendix, prepend_len). */
export function prependLength(bytes: Uint8Array): Uint8Array {
  const length: number[] = []
  let rest = bytes.length
  do {
    length.push(rest > 127 ? (rest & 127) | 128 : rest)
    rest >>>= 7
  } while (rest > 0)
  return concat([Uint8Array.from(length), bytes])
}

function lvCat(...parts: Uint8Array[]): Uint8Array {
  return concat(parts.map(prependLength))
}

/** lv_cat(DSI, PRS, zero padding to one hash block, CI, sid). */
export function generatorString({ password, channel, session }: PakeInputs): Uint8Array {
  const used = prependLength(password).length + prependLength(DSI).length + 1
  return lvCat(DSI, password, new Uint8Array(Math.max(0, HASH_BLOCK_BYTES - used)), channel, session)
}

/** The generator's encoding; it depends on the PIN and must not leave the device. */
export function calculateGenerator(inputs: PakeInputs): Uint8Array {
  return ristretto255_hasher.deriveToCurve!(sha512(generatorString(inputs))).toBytes()
}

function scalarNumber(scalar: Uint8Array): bigint {
  let value = 0n
  for (let i = PAKE_SCALAR_BYTES - 1; i >= 0; i--) value = (value << 8n) | BigInt(scalar[i]!)
  return ristretto255.Point.Fn.create(value)
}

/** G.scalar_mult_vfy(y, X): undefined where the draft returns the neutral element (invalid point, or zero). */
export function scalarMultVerify(scalar: Uint8Array, point: Uint8Array): Uint8Array | undefined {
  const y = scalarNumber(scalar)
  if (y === 0n) return undefined
  try {
    const product = ristretto255.Point.fromBytes(point).multiply(y)
    return product.is0() ? undefined : product.toBytes()
  } catch {
    return undefined // not an encoding of a group element, or the neutral element
  }
}

/** Y = y·g, from 32 fresh random bytes. */
export function pakeShare(inputs: PakeInputs, randomBytes: Uint8Array): PakeShare {
  if (randomBytes.length !== PAKE_SCALAR_BYTES) throw new Error('a CPace scalar takes 32 random bytes')
  const scalar = Uint8Array.from(randomBytes)
  scalar[31]! &= SCALAR_TOP_MASK
  const share = scalarMultVerify(scalar, calculateGenerator(inputs))
  if (!share) throw new Error('the random source gave a zero scalar')
  return { scalar, share }
}

/**
 * ISK = H(lv_cat(DSI_ISK, sid, K) ‖ lv_cat(Ya, ADa) ‖ lv_cat(Yb, ADb)), 64 bytes, or undefined where the
 * protocol must be aborted: the other side's share is no group element, or the neutral one.
 */
export function pakeKey(run: {
  session: Uint8Array
  scalar: Uint8Array
  initiator: PakeMessage
  responder: PakeMessage
  role: 'initiator' | 'responder'
}): Uint8Array | undefined {
  const { session, initiator, responder } = run
  const other = run.role === 'initiator' ? responder : initiator
  const secret = scalarMultVerify(run.scalar, other.share)
  if (!secret) return undefined
  return sha512(
    concat([
      lvCat(DSI_ISK, session, secret),
      lvCat(initiator.share, initiator.data),
      lvCat(responder.share, responder.data),
    ]),
  )
}
