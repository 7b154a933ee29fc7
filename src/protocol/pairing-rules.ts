/**
 * What both sides of /kartoteka/pair/1 share: versions, deadlines, bounds, and what the PIN exchange and its
 * confirmations are bound to.
 */
import { concat, EMPTY, lv, utf8 } from './bytes.js'
import { hkdf, hmacSha256 } from './hkdf.js'
import { isAddress, MAX_INVITATION_ADDRESSES } from './invitation.js'
import {
  LABEL_PAIR_CHANNEL,
  LABEL_PAIR_CONFIRMATION_KEY,
  LABEL_PAIR_EXISTING,
  LABEL_PAIR_NEW,
  LABEL_PAIR_SESSION,
} from './labels.js'
import { hasSoundCounts, type Nested } from './message-guard.js'
import type { Natives } from './natives.js'
import { PairFrame } from './pair.gen.js'
import type { PairingError } from './pairing-errors.js'
import { pairingErrorToWire } from './pairing-errors.js'
import type { PakeInputs } from './pake.js'
import { pakeKey } from './pake.js'

export const PAIR_VERSION = 1
export const NONCE_BYTES = 32
export const WINDOW_ID_BYTES = 16
export const TAG_BYTES = 32

/** Wrong PINs before a window closes; a new device stops after as many. */
export const MAX_TRIES = 5
/** Each step that needs no person: a slow relay answers well within it. */
export const STEP_DEADLINE_MS = 20_000
/** A person at the existing device reads and chooses. */
export const ANSWER_DEADLINE_MS = 5 * 60_000
/** Storing a roster on a slow disk. */
export const STORE_DEADLINE_MS = 60_000
/** A window that nobody uses closes by itself. */
export const WINDOW_MS = 15 * 60_000
/** A whole roster fits a frame; everything else is far smaller. */
export const MAX_PAIR_FRAME_BYTES = 4 * 1024 * 1024
/** Every other frame: keys, a name, addresses. */
export const MAX_SMALL_FRAME_BYTES = 16 * 1024

export type FrameKind = NonNullable<PairFrame['kind']>

/** Each kind is one message without messages in it. */
const NESTED: Nested = { 1: {}, 2: {}, 3: {}, 4: {}, 5: {}, 6: {}, 7: {}, 8: {}, 9: {} }

/** undefined for anything that is no frame. */
export function decodePairFrame(bytes: Uint8Array): FrameKind | undefined {
  if (bytes.length > MAX_PAIR_FRAME_BYTES || !hasSoundCounts(bytes, NESTED)) return undefined
  try {
    // Fields are views: of a plain Uint8Array even where the transport hands over a Buffer.
    const { kind } = PairFrame.decode(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length))
    return kind?.$case === 'welcome' || bytes.length <= MAX_SMALL_FRAME_BYTES ? kind : undefined
  } catch {
    return undefined
  }
}

export function encodePairFrame(kind: FrameKind): Uint8Array {
  return PairFrame.encode({ kind }).finish()
}

/** What a device without an open window answers to anything, and how every refusal looks. */
export function refusal(error: PairingError, triesLeft = 0): FrameKind {
  return { $case: 'refuse', value: { code: pairingErrorToWire(error), triesLeft } }
}

export function areAddresses(addresses: readonly string[]): boolean {
  return addresses.length <= MAX_INVITATION_ADDRESSES && addresses.every(isAddress)
}

/** CPace inputs: fresh session from both nonces; practice, both peers and their roles as channel. */
export function pairInputs(
  natives: Natives,
  run: {
    pin: Uint8Array
    practice: Uint8Array
    newDevice: Uint8Array
    existing: Uint8Array
    newNonce: Uint8Array
    existingNonce: Uint8Array
  },
): PakeInputs {
  const session = natives.sha256(concat([utf8(LABEL_PAIR_SESSION), run.newNonce, run.existingNonce]))
  const { practice, newDevice, existing } = run
  const channel = lv([
    utf8(LABEL_PAIR_CHANNEL),
    practice,
    utf8('new device'),
    newDevice,
    utf8('existing device'),
    existing,
  ])
  return { password: run.pin, channel, session }
}

/** Everything both sides have said before the confirmations. */
export interface Transcript {
  practice: Uint8Array
  rosterHead: Uint8Array
  window: Uint8Array
  session: Uint8Array
  ed: Uint8Array
  x: Uint8Array
  selfSignature: Uint8Array
  name: string
  addresses: readonly string[]
  newShare: Uint8Array
  existingShare: Uint8Array
}

function listBytes(addresses: readonly string[]): Uint8Array {
  return lv(addresses.map(utf8))
}

function transcriptBytes(t: Transcript): Uint8Array {
  const exchange = [t.practice, t.rosterHead, t.window, t.session]
  const device = [t.ed, t.x, t.selfSignature, utf8(t.name), listBytes(t.addresses)]
  return lv([...exchange, ...device, t.newShare, t.existingShare])
}

/** The key of both confirmations; undefined where the other side's share is no group element. */
export function confirmationKey(
  transcript: Transcript,
  scalar: Uint8Array,
  role: 'new' | 'existing',
): Uint8Array | undefined {
  const isk = pakeKey({
    session: transcript.session,
    scalar,
    initiator: { share: transcript.newShare, data: EMPTY },
    responder: { share: transcript.existingShare, data: EMPTY },
    role: role === 'new' ? 'initiator' : 'responder',
  })
  return isk && hkdf(isk, transcript.session, utf8(LABEL_PAIR_CONFIRMATION_KEY), 32)
}

/** N's confirmation: over everything said so far. */
export function newDeviceTag(key: Uint8Array, transcript: Transcript): Uint8Array {
  return hmacSha256(key, lv([utf8(LABEL_PAIR_NEW), transcriptBytes(transcript)]))
}

/** E's confirmation: the same, and the roster head and addresses that it hands over. */
export function existingDeviceTag(
  key: Uint8Array,
  transcript: Transcript,
  rosterHead: Uint8Array,
  addresses: readonly string[],
): Uint8Array {
  const handed = [rosterHead, listBytes(addresses)]
  return hmacSha256(key, lv([utf8(LABEL_PAIR_EXISTING), transcriptBytes(transcript), ...handed]))
}
