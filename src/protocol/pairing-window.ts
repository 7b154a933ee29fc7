/**
 * Pairing, the existing device's side (E): an open window, as a state machine over all who knock.
 *
 * [E1] One session at a time; the second gets `busy`. No window, or a window that closed: `closed`.
 * [E2] A try is counted durably before N's confirmation is looked at, and refunded when it holds. Five
 *      counted tries close the window.
 * [E3] E confirms nothing and enrols nobody before a person has said Add. "Not mine" closes the window:
 *      someone else knows the PIN.
 * [E4] One success closes the window. Until N has acknowledged, N alone may come back and gets the same
 *      welcome again, whether or not its first one arrived; it is asked for once and enrolled once.
 * [E5] A device that was removed is told so and never asked about.
 */
import { equalBytes } from './bytes.js'
import { ED_KEY_BYTES } from './ed25519.js'
import { isName } from './epoch-keys.js'
import { isUsableXKey } from './hpke.js'
import type { Natives, Random } from './natives.js'
import type { Hello, Share } from './pair.gen.js'
import type { PairingError } from './pairing-errors.js'
import { pairingErrorFromWire } from './pairing-errors.js'
import type { Transcript } from './pairing-rules.js'
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
  STORE_DEADLINE_MS,
  WINDOW_ID_BYTES,
  WINDOW_MS,
} from './pairing-rules.js'
import type { CloseReason, PairSession, WindowEffect, WindowEvent } from './pairing-window-events.js'
import { PAKE_SCALAR_BYTES, PAKE_SHARE_BYTES, pakeShare } from './pake.js'
import type { Roster } from './roster.js'
import { enrolmentBytes, isMember, memberByEd } from './roster.js'

export interface WindowInput {
  natives: Natives
  random: Random
  /** This device. */
  ed: Uint8Array
  /** Wiped when the window closes. */
  pin: Uint8Array
  practiceId: Uint8Array
  /** Where this device can be reached. */
  addresses: string[]
}

type Phase = 'share' | 'confirm' | 'counting' | 'asking' | 'enrolling' | 'done'

interface Session {
  id: PairSession
  remote: Uint8Array
  phase: Phase
  newNonce: Uint8Array
  nonce: Uint8Array
  rosterHead: Uint8Array
  transcript?: Transcript
  key?: Uint8Array
  tag?: Uint8Array
  /** Nobody listens any more, but its device is being enrolled. */
  gone?: boolean
}

/** Where a newer session of the same device replaces the older one, whose end may not have been noticed. */
const REPLACEABLE: readonly Phase[] = ['share', 'confirm', 'done']

export class PairingWindow {
  /** Random, durable beside the count of tries. */
  readonly id: Uint8Array
  private used = 0
  private state: 'new' | 'open' | 'closed' = 'new'
  /** Closes, for this reason, as soon as nothing is at stake any more. */
  private closing: CloseReason | undefined
  private session: Session | undefined
  /** [E4] */
  private enrolled: Uint8Array | undefined

  constructor(private readonly input: WindowInput) {
    this.id = input.random(WINDOW_ID_BYTES)
  }

  get triesLeft(): number {
    return MAX_TRIES - this.used
  }

  /** The one session that is under way; all others only knock. */
  get pairingWith(): PairSession | undefined {
    return this.session?.id
  }

  get closed(): boolean {
    return this.state === 'closed'
  }

  step(event: WindowEvent): WindowEffect[] {
    if (event.kind === 'open' && this.state === 'new') {
      this.state = 'open'
      return [{ kind: 'arm', afterMs: WINDOW_MS }]
    }
    if (event.kind === 'frame') return this.frame(event)
    if (this.state !== 'open' || event.kind === 'open') return []
    if (event.kind === 'close') return this.wind('closed')
    if (event.kind === 'timeout' && event.session === undefined) return this.wind('timed-out')
    if (event.session !== this.session?.id) return []
    return this.sessionStep(this.session!, event)
  }

  private sessionStep(session: Session, event: WindowEvent): WindowEffect[] {
    switch (event.kind) {
      case 'counted':
        return session.phase === 'counting' ? this.verify(session, event.roster) : []
      case 'answered':
        return session.phase === 'asking' ? this.answered(session, event.add) : []
      case 'enrolled':
        return session.phase === 'enrolling' ? this.welcome(session, event.roster, true) : []
      case 'store-failed':
        session.phase = session.phase === 'enrolling' ? 'counting' : session.phase
        return this.drop('failed')
      case 'timeout':
        return session.phase === 'enrolling' ? [] : this.drop('timed-out')
      case 'lost':
        return this.drop('lost')
      default:
        return []
    }
  }

  private frame(event: WindowEvent & { kind: 'frame' }): WindowEffect[] {
    const { session: id, frame } = event
    const session = this.session?.id === id ? this.session : undefined
    if (!session) {
      if (frame?.$case === 'hello') return this.hello(event, frame.value)
      return frame?.$case === 'refuse' || frame?.$case === 'done' ? [] : this.turnAway(id, 'malformed')
    }
    if (frame?.$case === 'refuse') return this.drop(pairingErrorFromWire(frame.value.code), false)
    if (frame?.$case === 'share' && session.phase === 'share')
      return this.share(session, frame.value, event.roster)
    if (frame?.$case === 'confirm' && session.phase === 'confirm')
      return this.confirm(session, frame.value.tag)
    if (frame?.$case === 'done' && session.phase === 'done') return this.acknowledged(session)
    return this.drop('malformed')
  }

  /** [E1] [E4] [E5] */
  private hello(event: WindowEvent & { kind: 'frame' }, hello: Hello): WindowEffect[] {
    const { session: id, remote, roster } = event
    if (this.state !== 'open') return this.turnAway(id, 'closed')
    if (this.enrolled && !equalBytes(this.enrolled, remote)) return this.turnAway(id, 'closed')
    if (hello.newest < PAIR_VERSION) return this.turnAway(id, 'too-old')
    if (hello.oldest > PAIR_VERSION) return this.turnAway(id, 'too-new')
    if (hello.nonce.length !== NONCE_BYTES || remote.length !== ED_KEY_BYTES)
      return this.turnAway(id, 'malformed')
    if (memberByEd(roster, remote)?.removedAt !== undefined) return this.turnAway(id, 'removed')
    const before = this.session
    if (before && !(equalBytes(before.remote, remote) && REPLACEABLE.includes(before.phase))) {
      return this.turnAway(id, 'busy')
    }
    const nonce = this.input.random(NONCE_BYTES)
    this.session = { id, remote, phase: 'share', newNonce: hello.nonce, nonce, rosterHead: roster.head }
    const value = {
      version: PAIR_VERSION,
      nonce,
      practice: this.input.practiceId,
      rosterHead: roster.head,
      window: this.id,
      triesLeft: this.triesLeft,
    }
    return [
      ...(before ? [{ kind: 'hang-up' as const, session: before.id }] : []),
      { kind: 'send', session: id, frame: { $case: 'ready', value } },
      { kind: 'arm', session: id, afterMs: STEP_DEADLINE_MS },
    ]
  }

  private share(session: Session, share: Share, roster: Roster): WindowEffect[] {
    const { natives, random, ed, pin, practiceId } = this.input
    const enrolment = enrolmentBytes(practiceId, share.ed, share.x)
    const sound =
      share.share.length === PAKE_SHARE_BYTES &&
      equalBytes(share.ed, session.remote) &&
      isUsableXKey(share.x) &&
      isName(share.name) &&
      areAddresses(share.addresses) &&
      natives.verify(share.ed, enrolment, share.selfSignature)
    // A key that is enrolled with another X25519 key can't be enrolled again.
    const known = memberByEd(roster, share.ed)
    if (!sound || (known && !equalBytes(known.x, share.x))) return this.drop('malformed')

    const inputs = pairInputs(natives, {
      pin,
      practice: practiceId,
      newDevice: session.remote,
      existing: ed,
      newNonce: session.newNonce,
      existingNonce: session.nonce,
    })
    const own = pakeShare(inputs, random(PAKE_SCALAR_BYTES))
    const transcript: Transcript = {
      practice: practiceId,
      rosterHead: session.rosterHead,
      window: this.id,
      session: inputs.session,
      ed: share.ed,
      x: share.x,
      selfSignature: share.selfSignature,
      name: share.name,
      addresses: share.addresses,
      newShare: share.share,
      existingShare: own.share,
    }
    const key = confirmationKey(transcript, own.scalar, 'existing')
    own.scalar.fill(0)
    if (!key) return this.drop('malformed')
    Object.assign(session, { transcript, key, phase: 'confirm' })
    return [
      { kind: 'send', session: session.id, frame: { $case: 'answer', value: { share: own.share } } },
      { kind: 'arm', session: session.id, afterMs: STEP_DEADLINE_MS },
    ]
  }

  /** [E2] The count first; the tag waits. */
  private confirm(session: Session, tag: Uint8Array): WindowEffect[] {
    session.tag = tag
    session.phase = 'counting'
    this.used++
    return [
      { kind: 'count-try', session: session.id, window: this.id, used: this.used },
      { kind: 'arm', session: session.id, afterMs: STORE_DEADLINE_MS },
    ]
  }

  private verify(session: Session, roster: Roster): WindowEffect[] {
    const { tag, key, transcript } = session
    if (!equalBytes(tag!, newDeviceTag(key!, transcript!))) {
      return this.drop('wrong-pin')
    }
    this.used--
    const refund: WindowEffect = { kind: 'refund-try', window: this.id, used: this.used }
    if (isMember(roster, session.remote)) return [refund, ...this.welcome(session, roster, false)]
    session.phase = 'asking'
    return [
      refund,
      { kind: 'send', session: session.id, frame: { $case: 'waiting', value: {} } },
      { kind: 'ask', session: session.id, name: transcript!.name, ed: session.remote },
      { kind: 'arm', session: session.id, afterMs: ANSWER_DEADLINE_MS },
    ]
  }

  /** [E3] */
  private answered(session: Session, add: boolean): WindowEffect[] {
    if (!add) return [...this.drop('not-mine'), ...this.close('not-mine')]
    const { ed, x, selfSignature, name } = session.transcript!
    session.phase = 'enrolling'
    return [{ kind: 'enrol', session: session.id, device: { ed, x, selfSignature, name } }]
  }

  /** [E4] The confirmation of E, with the roster that holds N. */
  private welcome(session: Session, roster: Roster, isNew: boolean): WindowEffect[] {
    const { addresses } = this.input
    const transcript = session.transcript!
    session.phase = 'done'
    this.enrolled = session.remote
    const tag = existingDeviceTag(session.key!, transcript, roster.head, addresses)
    const value = { tag, rosterHead: roster.head, entries: [...roster.entries], addresses }
    const { ed, name } = transcript
    const news: WindowEffect[] = isNew
      ? [{ kind: 'paired', ed, name, addresses: [...transcript.addresses] }]
      : []
    if (session.gone) return [...news, ...this.drop('lost')]
    return [
      ...news,
      { kind: 'send', session: session.id, frame: { $case: 'welcome', value } },
      { kind: 'arm', session: session.id, afterMs: STORE_DEADLINE_MS },
    ]
  }

  private acknowledged(session: Session): WindowEffect[] {
    this.session = undefined
    return [{ kind: 'hang-up', session: session.id }, ...this.close('paired')]
  }

  /** Ends the session. `tell`: the other side still listens and may be told why. */
  private drop(error: PairingError, tell = error !== 'lost'): WindowEffect[] {
    const session = this.session
    if (!session) return []
    if (session.phase === 'enrolling') {
      // The roster may hold it any moment: wait for what becomes of that.
      session.gone = true
      return []
    }
    this.session = undefined
    session.key?.fill(0)
    const effects: WindowEffect[] = []
    if (session.phase === 'asking' && error !== 'not-mine')
      effects.push({ kind: 'withdraw', session: session.id })
    if (tell) effects.push({ kind: 'send', session: session.id, frame: refusal(error, this.triesLeft) })
    effects.push({ kind: 'hang-up', session: session.id })
    // After the welcome the device is enrolled, whatever became of its answer.
    if (session.phase !== 'done') effects.push({ kind: 'failed', error, triesLeft: this.triesLeft })
    if (this.triesLeft <= 0) return [...effects, ...this.close('used-up')]
    return this.closing ? [...effects, ...this.close(this.closing)] : effects
  }

  private turnAway(id: PairSession, error: PairingError): WindowEffect[] {
    return [
      { kind: 'send', session: id, frame: refusal(error) },
      { kind: 'hang-up', session: id },
    ]
  }

  /** Time is up, or a person closes. A device that is being enrolled is let finish; so is a question on time-out. */
  private wind(reason: CloseReason): WindowEffect[] {
    const phase = this.session?.phase
    if (phase === 'enrolling' || (reason === 'timed-out' && (phase === 'asking' || phase === 'counting'))) {
      this.closing = reason
      return []
    }
    const error = reason === 'timed-out' ? 'timed-out' : 'cancelled'
    return [...this.drop(error), ...this.close(reason)]
  }

  private close(reason: CloseReason): WindowEffect[] {
    if (this.state === 'closed') return []
    this.state = 'closed'
    this.input.pin.fill(0)
    return [{ kind: 'closed', reason: this.enrolled ? 'paired' : reason }]
  }
}
