/** Adding a device at this one: performs what the pairing window decides. Joining from the new one is in join-driver.ts. */
import { toHex } from '../../protocol/bytes.js'
import { formatInvitation } from '../../protocol/invitation.js'
import { pairingSentence } from '../../protocol/pairing-errors.js'
import {
  decodePairFrame,
  encodePairFrame,
  MAX_SMALL_FRAME_BYTES,
  MAX_TRIES,
  refusal,
} from '../../protocol/pairing-rules.js'
import { PairingWindow } from '../../protocol/pairing-window.js'
import type { PairSession, WindowEffect, WindowEvent } from '../../protocol/pairing-window-events.js'
import { pinToBytes } from '../../protocol/pin.js'
import { practiceCode } from '../../protocol/practice-code.js'
import { addDevice } from '../../protocol/roster-write.js'
import { Refused } from '../api.js'
import type { InviteState } from '../contract.js'
import type { Channel } from '../frames.js'
import type { RemotePeer } from '../host-remote.js'
import { publicKeyToPeerId } from '../peer-id.js'
import { collectsMail, relayAddresses } from './mail-roster.js'
import type { Practice } from './practice-state.js'

export const PAIR_PROTOCOL = '/kartoteka/pair/1'

/** Streams of those who knock; one pairs, and the others are told so, or say nothing. */
const MAX_SESSIONS = 32

interface SavedWindow {
  id: string
  used: number
}

interface OpenWindow {
  machine: PairingWindow
  yes: boolean
  expiresAt: number
  timers: Map<PairSession | undefined, NodeJS.Timeout>
  channels: Map<PairSession, Channel>
}

/** Of no window yet: who was added in one is not shown as added in the next. */
const blank = (): InviteState => ({
  open: false,
  asking: null,
  added: [],
  triesLeft: MAX_TRIES,
  expiresAt: null,
  closed: null,
})

export class InviteDriver {
  private window: OpenWindow | undefined
  private state = blank()
  private asking: PairSession | undefined
  private nextSession = 1
  /** Who knocks, in order of arrival. */
  private readonly knocks = new Map<PairSession, { channel: Channel; window: OpenWindow }>()

  constructor(private readonly practice: Practice) {}

  async open(): Promise<void> {
    const { host, options } = this.practice
    const saved = await options.notes.read<SavedWindow>('window')
    // The window itself ended with the process; what was counted in it stays known.
    if (saved && saved.used > 0) this.state.triesLeft = Math.max(0, MAX_TRIES - saved.used)
    await host?.handle(PAIR_PROTOCOL, (channel, remote) => void this.knock(channel, remote), {
      // Who knocks says nothing long; dozens may, and each is held in memory until it is whole.
      maxMessageBytes: MAX_SMALL_FRAME_BYTES,
    })
  }

  /** Opens the window; one that is open is replaced. */
  async invite(
    pin: string,
    minutes: number,
    yes: boolean,
  ): Promise<{ code: string; invitation: string; expiresAt: number; triesLeft: number }> {
    await this.practice.online
    const { host, options } = this.practice
    const { roster } = this.practice.state()
    if (!host) throw new Refused('no-network', 'This command runs without a network.')
    if (pin === '') throw new Refused('pin-too-short', 'Type the Cloud PIN.')
    if (this.window) {
      this.step({ kind: 'close' })
      this.state.closed = 'replaced'
    }
    const expiresAt = options.now() + minutes * 60_000
    const machine = new PairingWindow({
      natives: options.natives,
      random: options.random,
      ed: options.identity.ed,
      pin: pinToBytes(pin),
      practiceId: roster.practiceId,
      addresses: host.addresses().slice(0, 16),
    })
    this.window = { machine, yes, expiresAt, timers: new Map(), channels: new Map() }
    this.state = { ...blank(), open: true, expiresAt }
    this.step({ kind: 'open' })
    this.practice.mailboxes?.setWindow(true)
    this.changed()
    return { ...this.code(), expiresAt, triesLeft: machine.triesLeft }
  }

  code(): { code: string; invitation: string } {
    const { natives } = this.practice.options
    const code = practiceCode(natives, this.practice.state().roster.practiceId)
    const { keeper, identity } = this.practice.options
    const addresses = (this.practice.host?.addresses() ?? [])
      .filter((address) => !address.includes('/127.0.0.1/') && !address.includes('/p2p-circuit'))
      .slice(0, 6)
    const relays = collectsMail(keeper, identity.ed) ? relayAddresses(keeper) : []
    return { code, invitation: formatInvitation({ code, addresses, relays }) }
  }

  current(): InviteState {
    this.expire()
    return { ...this.state, ...(this.window ? { triesLeft: this.window.machine.triesLeft } : {}) }
  }

  answer(add: boolean): void {
    if (this.asking === undefined) throw new Refused('nobody-asks', 'No device is waiting for an answer.')
    const session = this.asking
    this.asking = undefined
    this.state.asking = null
    this.step({ kind: 'answered', session, add })
  }

  close(): void {
    this.step({ kind: 'close' })
  }

  /** Timers stand still while a computer sleeps; the time that was promised does not. */
  private expire(): void {
    if (this.window && this.practice.options.now() >= this.window.expiresAt) this.step({ kind: 'timeout' })
  }

  private async knock(channel: Channel, remote: RemotePeer): Promise<void> {
    this.expire()
    const window = this.window
    if (!window || !this.practice.hasPractice) {
      channel.send('live', encodePairFrame(refusal('closed')))
      await channel.close()
      return
    }
    const session = this.nextSession++
    this.makeRoom()
    this.knocks.set(session, { channel, window })
    window.channels.set(session, channel)
    try {
      for await (const { bytes } of channel.messages) {
        const { roster } = this.practice.state()
        this.step(
          { kind: 'frame', session, remote: remote.publicKey, roster, frame: decodePairFrame(bytes) },
          window,
        )
      }
    } finally {
      this.knocks.delete(session)
      window.channels.delete(session)
      this.step({ kind: 'lost', session }, window)
    }
  }

  /** Who has knocked longest without getting anywhere goes: to say nothing keeps nobody out. */
  private makeRoom(): void {
    if (this.knocks.size < MAX_SESSIONS) return
    for (const [session, { channel, window }] of this.knocks)
      if (window.machine.pairingWith !== session) {
        this.knocks.delete(session)
        channel.abort(new Error('Somebody else is waiting.'))
        return
      }
  }

  private step(event: WindowEvent, window = this.window): void {
    if (!window) return
    for (const effect of window.machine.step(event)) this.perform(window, effect)
  }

  private perform(window: OpenWindow, effect: WindowEffect): void {
    const { options } = this.practice
    switch (effect.kind) {
      case 'send':
        window.channels.get(effect.session)?.send('live', encodePairFrame(effect.frame))
        return
      case 'hang-up':
        clearTimeout(window.timers.get(effect.session))
        void window.channels.get(effect.session)?.close()
        return
      case 'arm': {
        const { session } = effect
        clearTimeout(window.timers.get(session))
        const afterMs = session === undefined ? window.expiresAt - options.now() : effect.afterMs
        const run = () =>
          this.step(session === undefined ? { kind: 'timeout' } : { kind: 'timeout', session }, window)
        window.timers.set(session, setTimeout(run, afterMs).unref())
        return
      }
      case 'count-try': {
        const { session, used } = effect
        options.notes
          .saveDurably('window', { id: toHex(effect.window), used })
          .then(() => this.step({ kind: 'counted', session, roster: this.practice.state().roster }, window))
          // Not counted, so not looked at.
          .catch(() => this.step({ kind: 'store-failed', session }, window))
        return
      }
      case 'refund-try':
        void options.notes
          .saveDurably('window', { id: toHex(effect.window), used: effect.used })
          .catch(() => {})
        return
      case 'ask':
        this.asking = effect.session
        this.state.asking = { name: effect.name, id: publicKeyToPeerId(effect.ed) }
        this.changed()
        if (window.yes) this.answer(true)
        return
      case 'withdraw':
        this.asking = undefined
        this.state.asking = null
        return this.changed()
      case 'enrol':
        return void this.enrol(window, effect)
      case 'paired':
        this.state.added.push({ id: publicKeyToPeerId(effect.ed), name: effect.name })
        this.practice.peers?.remember(toHex(effect.ed), effect.addresses)
        this.practice.peers?.seen(toHex(effect.ed))
        void options.notes.say('device-added', `"${effect.name}" was added.`)
        return this.changed()
      case 'failed':
        void options.notes.say(
          'pairing-failed',
          `A device was not added: ${pairingSentence(effect.error, effect.triesLeft)}`,
        )
        return this.changed()
      case 'closed': {
        for (const timer of window.timers.values()) clearTimeout(timer)
        if (this.window !== window) return
        this.window = undefined
        this.practice.mailboxes?.setWindow(false)
        const reasons = {
          paired: 'used',
          'used-up': 'tries',
          'not-mine': 'cancelled',
          'timed-out': 'expired',
          closed: 'cancelled',
        } as const
        this.state = {
          ...this.state,
          open: false,
          asking: null,
          triesLeft: window.machine.triesLeft,
          closed: reasons[effect.reason],
        }
        return this.changed()
      }
    }
  }

  private async enrol(window: OpenWindow, effect: Extract<WindowEffect, { kind: 'enrol' }>): Promise<void> {
    const { session, device } = effect
    try {
      const written = await this.practice.options.keeper.write((context) => addDevice(context, device))
      if ('error' in written) throw new Error(written.error)
      this.practice.rosterChanged()
      this.step({ kind: 'enrolled', session, roster: written.roster }, window)
    } catch {
      this.step({ kind: 'store-failed', session }, window)
    }
  }

  private changed(): void {
    this.practice.options.emit({ type: 'invite' })
    this.practice.options.emit({ type: 'status' })
  }
}
