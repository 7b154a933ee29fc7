/**
 * Pairing, the new device's side (N): one attempt with one existing device, as a state machine.
 *
 * [N1] N confirms first: an impostor learns from it whether one guess of the PIN was right, no more. So every
 *      confirmation sent is a try spent, and after five in one window N stops.
 * [N2] Nothing of E is believed before its confirmation holds; then its roster is verified whole, must hold
 *      N and E as members, and must open with N's key.
 * [N3] N is in only when the roster is durable; a Done that gets lost costs nothing.
 */
import { equalBytes, toHex } from './bytes.js'
import type { Natives, Random } from './natives.js'
import type { Ready, Welcome } from './pair.gen.js'
import type { PairingError } from './pairing-errors.js'
import { pairingErrorFromWire } from './pairing-errors.js'
import type { FrameKind, Transcript } from './pairing-rules.js'
import {
  ANSWER_DEADLINE_MS,
  areAddresses,
  confirmationKey,
  existingDeviceTag,
  MAX_TRIES,
  NONCE_BYTES,
  newDeviceTag,
  PAIR_VERSION,
  pairInputs,
  refusal,
  STEP_DEADLINE_MS,
  TAG_BYTES,
  WINDOW_ID_BYTES,
} from './pairing-rules.js'
import type { PakeShare } from './pake.js'
import { PAKE_SCALAR_BYTES, PAKE_SHARE_BYTES, pakeShare } from './pake.js'
import { practiceCode } from './practice-code.js'
import type { Roster } from './roster.js'
import { applyEntries, isMember, memberByEd } from './roster.js'
import { HASH_BYTES } from './roster-format.js'
import { openRoster } from './roster-open.js'
import type { Author } from './roster-write.js'
import { signEnrolment } from './roster-write.js'

export type JoinEvent =
  | { kind: 'start' }
  | { kind: 'frame'; frame: FrameKind | undefined }
  /** The roster is durable, or could not be stored. */
  | { kind: 'stored' }
  | { kind: 'store-failed' }
  | { kind: 'timeout' }
  | { kind: 'lost' }
  | { kind: 'cancel' }

export type JoinEffect =
  | { kind: 'send'; frame: FrameKind }
  /** One timer; arming replaces it. It ends with the attempt. */
  | { kind: 'arm'; afterMs: number }
  /** Count a try for this window (hex): hand the counts to the next attempt. */
  | { kind: 'spend'; window: string }
  /** The PIN seems right: a person at the other device is asked. For display. */
  | { kind: 'waiting' }
  /** Make the roster and where E can be reached durable; then `stored` or `store-failed` must follow. */
  | { kind: 'store'; roster: Roster; addresses: string[] }
  | { kind: 'joined'; roster: Roster }
  | { kind: 'failed'; error: PairingError; triesLeft?: number }

export interface JoinInput {
  natives: Natives
  random: Random
  device: Author & { x: Uint8Array; xSecret: Uint8Array; name: string }
  /** See pin.ts. */
  pin: Uint8Array
  /** E's Ed25519 key, as the transport proved it. */
  remote: Uint8Array
  /** The practice code in its shown form, if the person gave one. */
  code?: string
  /** Where this device can be reached. */
  addresses: string[]
  /** Tries already spent, by window (hex). */
  spent: ReadonlyMap<string, number>
}

type Phase = 'new' | 'ready' | 'answer' | 'welcome' | 'storing' | 'ended'

export class Joining {
  private phase: Phase = 'new'
  private readonly nonce: Uint8Array
  private own: PakeShare | undefined
  private transcript: Transcript | undefined
  private key: Uint8Array | undefined
  private roster: Roster | undefined

  constructor(private readonly input: JoinInput) {
    this.nonce = input.random(NONCE_BYTES)
  }

  get ended(): boolean {
    return this.phase === 'ended'
  }

  step(event: JoinEvent): JoinEffect[] {
    if (this.phase === 'ended') return []
    // What is being stored becomes durable whatever the other side does now.
    if (this.phase === 'storing' && event.kind !== 'stored' && event.kind !== 'store-failed') return []
    switch (event.kind) {
      case 'start':
        return this.start()
      case 'frame':
        return this.frame(event.frame)
      case 'stored':
        return this.stored()
      case 'store-failed':
        return this.refuse('failed')
      case 'timeout':
        return this.refuse('timed-out')
      case 'cancel':
        return this.refuse('cancelled')
      case 'lost':
        return this.fail('lost')
    }
  }

  private start(): JoinEffect[] {
    if (this.phase !== 'new') return []
    this.phase = 'ready'
    const value = { oldest: PAIR_VERSION, newest: PAIR_VERSION, nonce: this.nonce }
    return [
      { kind: 'send', frame: { $case: 'hello', value } },
      { kind: 'arm', afterMs: STEP_DEADLINE_MS },
    ]
  }

  private frame(frame: FrameKind | undefined): JoinEffect[] {
    if (frame?.$case === 'refuse') {
      const error = pairingErrorFromWire(frame.value.code)
      return this.fail(error, error === 'wrong-pin' ? Math.min(frame.value.triesLeft, MAX_TRIES) : undefined)
    }
    if (frame?.$case === 'ready' && this.phase === 'ready') return this.ready(frame.value)
    if (frame?.$case === 'answer' && this.phase === 'answer') return this.answer(frame.value.share)
    if (frame?.$case === 'waiting' && this.phase === 'welcome') {
      return [{ kind: 'waiting' }, { kind: 'arm', afterMs: ANSWER_DEADLINE_MS + STEP_DEADLINE_MS }]
    }
    if (frame?.$case === 'welcome' && this.phase === 'welcome') return this.welcome(frame.value)
    return this.refuse('malformed')
  }

  private ready(ready: Ready): JoinEffect[] {
    const { natives, random, device, code, remote } = this.input
    const sound =
      ready.nonce.length === NONCE_BYTES &&
      ready.practice.length === HASH_BYTES &&
      ready.rosterHead.length === HASH_BYTES &&
      ready.window.length === WINDOW_ID_BYTES
    if (!sound || ready.version !== PAIR_VERSION) return this.refuse('malformed')
    if (code !== undefined && practiceCode(natives, ready.practice) !== code)
      return this.refuse('other-practice')
    if ((this.input.spent.get(toHex(ready.window)) ?? 0) >= MAX_TRIES) return this.refuse('used-up')

    const inputs = pairInputs(natives, {
      pin: this.input.pin,
      practice: ready.practice,
      newDevice: device.ed,
      existing: remote,
      newNonce: this.nonce,
      existingNonce: ready.nonce,
    })
    const own = pakeShare(inputs, random(PAKE_SCALAR_BYTES))
    const { ed, x, name } = device
    const { addresses } = this.input
    const selfSignature = signEnrolment(natives, ready.practice, device)
    this.own = own
    this.transcript = {
      practice: ready.practice,
      rosterHead: ready.rosterHead,
      window: ready.window,
      session: inputs.session,
      ed,
      x,
      selfSignature,
      name,
      addresses,
      newShare: own.share,
      existingShare: new Uint8Array(0),
    }
    this.phase = 'answer'
    const value = { share: own.share, ed, x, selfSignature, name, addresses }
    return [
      { kind: 'send', frame: { $case: 'share', value } },
      { kind: 'arm', afterMs: STEP_DEADLINE_MS },
    ]
  }

  /** [N1] */
  private answer(share: Uint8Array): JoinEffect[] {
    if (share.length !== PAKE_SHARE_BYTES) return this.refuse('malformed')
    const transcript = { ...this.transcript!, existingShare: share }
    const key = confirmationKey(transcript, this.own!.scalar, 'new')
    this.forgetScalar()
    if (!key) return this.refuse('malformed')
    this.transcript = transcript
    this.key = key
    this.phase = 'welcome'
    return [
      { kind: 'spend', window: toHex(transcript.window) },
      { kind: 'send', frame: { $case: 'confirm', value: { tag: newDeviceTag(key, transcript) } } },
      { kind: 'arm', afterMs: STEP_DEADLINE_MS },
    ]
  }

  /** [N2] */
  private welcome(welcome: Welcome): JoinEffect[] {
    const { natives, device, remote } = this.input
    const transcript = this.transcript!
    if (!areAddresses(welcome.addresses) || welcome.tag.length !== TAG_BYTES) return this.refuse('malformed')
    const expected = existingDeviceTag(this.key!, transcript, welcome.rosterHead, welcome.addresses)
    if (!equalBytes(welcome.tag, expected)) return this.refuse('wrong-pin')

    const applied = applyEntries(natives, undefined, welcome.entries)
    if ('error' in applied) return this.refuse('malformed')
    const { roster } = applied
    const me = memberByEd(roster, device.ed)
    const sound =
      equalBytes(roster.practiceId, transcript.practice) &&
      equalBytes(roster.head, welcome.rosterHead) &&
      isMember(roster, device.ed) &&
      isMember(roster, remote) &&
      me !== undefined &&
      equalBytes(me.x, device.x)
    if (!sound) return this.refuse('malformed')
    if (openRoster(natives, roster, device).missing.includes(roster.epoch)) return this.refuse('failed')
    this.roster = roster
    this.phase = 'storing'
    return [{ kind: 'store', roster, addresses: welcome.addresses }]
  }

  /** [N3] */
  private stored(): JoinEffect[] {
    if (this.phase !== 'storing') return []
    this.end()
    return [
      { kind: 'send', frame: { $case: 'done', value: {} } },
      { kind: 'joined', roster: this.roster! },
    ]
  }

  /** Ends the attempt and tells the other side why. */
  private refuse(error: PairingError): JoinEffect[] {
    const started = this.phase !== 'new'
    return [...(started ? [{ kind: 'send' as const, frame: refusal(error) }] : []), ...this.fail(error)]
  }

  private fail(error: PairingError, triesLeft?: number): JoinEffect[] {
    this.end()
    return [{ kind: 'failed', error, ...(triesLeft === undefined ? {} : { triesLeft }) }]
  }

  private end(): void {
    this.phase = 'ended'
    this.key?.fill(0)
    this.forgetScalar()
  }

  private forgetScalar(): void {
    this.own?.scalar.fill(0)
    this.own = undefined
  }
}
