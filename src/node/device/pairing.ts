/** Adding devices: the window on this one, and joining from this one. Performs what the pairing machines decide. */
import { toHex } from '../../protocol/bytes.js'
import { formatInvitation, parseInvitation } from '../../protocol/invitation.js'
import { type PairingError, pairingSentence } from '../../protocol/pairing-errors.js'
import { type JoinEffect, type JoinEvent, Joining } from '../../protocol/pairing-join.js'
import {
  decodePairFrame,
  encodePairFrame,
  MAX_PAIR_FRAME_BYTES,
  MAX_TRIES,
  refusal,
} from '../../protocol/pairing-rules.js'
import { PairingWindow } from '../../protocol/pairing-window.js'
import type { PairSession, WindowEffect, WindowEvent } from '../../protocol/pairing-window-events.js'
import { pinToBytes } from '../../protocol/pin.js'
import { practiceCode } from '../../protocol/practice-code.js'
import type { Roster } from '../../protocol/roster.js'
import { addDevice, isName } from '../../protocol/roster-write.js'
import { Refused } from '../api.js'
import type { InviteState } from '../contract.js'
import type { Channel } from '../frames.js'
import type { RemotePeer } from '../host.js'
import { peerIdToPublicKey, publicKeyToPeerId } from '../peer-id.js'
import { collectsMail, relayAddresses } from './mail-roster.js'
import { byRelay } from './mailboxes.js'
import { meetAt, whenRelayed } from './meeting.js'
import type { Practice } from './practice-state.js'

export const PAIR_PROTOCOL = '/kartoteka/pair/1'

/** Without an answer for so long nobody is there: scripts rely on it. */
const FIND_MS = 9_000
const DIAL_MS = 5_000
/** A device that had no window is asked again after this. */
const ASK_AGAIN_MS = 1_500
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

const CLOSED: InviteState = {
  open: false,
  asking: null,
  added: [],
  triesLeft: MAX_TRIES,
  expiresAt: null,
  closed: null,
}

export class Pairing {
  private window: OpenWindow | undefined
  private state: InviteState = { ...CLOSED }
  private asking: PairSession | undefined
  private nextSession = 1
  /** Who knocks, in order of arrival. */
  private readonly knocks = new Map<PairSession, { channel: Channel; window: OpenWindow }>()
  /** Windows in which this device spent tries, as a new one. */
  private readonly spent = new Map<string, number>()
  private joining: { cancel: () => void } | undefined

  constructor(private readonly practice: Practice) {}

  async open(): Promise<void> {
    const { host, options } = this.practice
    const saved = await options.notes.read<SavedWindow>('window')
    // The window itself ended with the process; what was counted in it stays known.
    if (saved && saved.used > 0) this.state.triesLeft = Math.max(0, MAX_TRIES - saved.used)
    await host?.handle(PAIR_PROTOCOL, (channel, remote) => void this.knock(channel, remote), {
      maxMessageBytes: MAX_PAIR_FRAME_BYTES,
    })
  }

  async close(): Promise<void> {
    this.joining?.cancel()
    this.step({ kind: 'close' })
  }

  // ---- the window

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
    this.state = { ...CLOSED, open: true, expiresAt }
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

  inviteState(): InviteState {
    return { ...this.state, ...(this.window ? { triesLeft: this.window.machine.triesLeft } : {}) }
  }

  answer(add: boolean): void {
    if (this.asking === undefined) throw new Refused('nobody-asks', 'No device is waiting for an answer.')
    const session = this.asking
    this.asking = undefined
    this.state.asking = null
    this.step({ kind: 'answered', session, add })
  }

  closeInvite(): void {
    this.step({ kind: 'close' })
  }

  private async knock(channel: Channel, remote: RemotePeer): Promise<void> {
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

  // ---- joining

  /** Joins through an open window: at the addresses given, or on this LAN. Returns when membership is durable. */
  async join(input: {
    code: string | undefined
    addresses: string[]
    relays: string[]
    device: string
    pin: string
    signal: AbortSignal | undefined
  }): Promise<Roster> {
    await this.practice.online
    const { host, options } = this.practice
    if (this.practice.hasPractice)
      throw new Refused('has-practice', 'This device already belongs to a practice.')
    if (this.joining) throw new Refused('busy', 'This device is joining already.')
    if (!host) throw new Refused('no-network', 'This command runs without a network.')
    const name = input.device.trim()
    if (!isName(name)) throw new Refused('bad-name', 'Give this device a name of up to 128 bytes.')
    const invitation = readInvitation(input.code)
    const addresses = [...input.addresses, ...invitation.addresses]
    const relays = [...new Set([...input.relays, ...invitation.relays])]
    const end = new AbortController()
    this.joining = { cancel: () => end.abort() }
    input.signal?.addEventListener('abort', () => end.abort())
    const attempt = (target: Target) =>
      this.attempt(target, {
        name,
        pin: input.pin,
        code: invitation.code,
        timeoutMs: DIAL_MS,
        signal: end.signal,
      })
    let joined = false
    try {
      if (relays.length > 0) host.setRelays(byRelay(relays).map((each) => ({ addresses: each })))
      const found =
        relays.length > 0 ? await meetAt(host, relays, invitation.code, addresses.length > 0, end.signal) : []
      if (found.length > 0) await whenRelayed(host, end.signal)
      const roster =
        addresses.length + relays.length > 0
          ? await this.joinAt([...byPeer(addresses), ...found.map((relayed) => ({ relayed }))], attempt)
          : await this.joinOnLan(attempt, end.signal)
      joined = true
      // Until this process ends they lead to the other devices, whether or not mail is collected here.
      this.practice.meetingRelays = relays
      await options.notes.savePeers()
      return roster
    } finally {
      this.joining = undefined
      if (!joined) host.setRelays([])
    }
  }

  /** All addresses together are one try: the first that answers decides. */
  private async joinAt(targets: Target[], attempt: (target: Target) => Promise<Attempt>): Promise<Roster> {
    let last: Attempt | undefined
    for (const target of targets) {
      const outcome = await attempt(target)
      if ('roster' in outcome) return outcome.roster
      if (outcome.error !== 'unreachable' || !last) last = outcome
      if (outcome.spent || (outcome.error !== 'unreachable' && outcome.error !== 'closed')) break
    }
    throw last && 'error' in last ? joinRefusal(last) : joinRefusal({ error: 'closed' })
  }

  /** Asks every device that shows itself on the LAN until one has a window open, or time is over. */
  private async joinOnLan(
    attempt: (target: Target) => Promise<Attempt>,
    signal: AbortSignal,
  ): Promise<Roster> {
    const found = new Map<string, string[]>()
    const off = this.practice.host!.onPeerFound(({ id, addresses }) => found.set(id, addresses))
    const asked = new Map<string, number>()
    const until = performance.now() + FIND_MS
    let last: Attempt & { error: unknown } = { error: 'closed' }
    try {
      while (performance.now() < until && !signal.aborted) {
        for (const [id, addresses] of found) {
          if (performance.now() - (asked.get(id) ?? Number.NEGATIVE_INFINITY) < ASK_AGAIN_MS) continue
          asked.set(id, performance.now())
          const outcome = await attempt(
            addresses.map((address) => (address.includes('/p2p/') ? address : `${address}/p2p/${id}`)),
          )
          if ('roster' in outcome) return outcome.roster
          // Once a confirmation was sent a guess is spent: nobody else on this network is given another.
          const harmless = ['unreachable', 'closed', 'other-practice'].includes(outcome.error)
          if (!harmless || outcome.spent) throw joinRefusal(outcome)
          if (outcome.error !== 'unreachable') last = outcome
        }
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    } finally {
      off()
    }
    throw joinRefusal(last)
  }

  private async attempt(
    target: Target,
    options: { name: string; pin: string; code: string | undefined; timeoutMs: number; signal: AbortSignal },
  ): Promise<Attempt> {
    const { host, options: practice } = this.practice
    const dialling = {
      timeoutMs: options.timeoutMs,
      signal: options.signal,
      maxMessageBytes: MAX_PAIR_FRAME_BYTES,
    }
    const opened = await ('relayed' in target
      ? host!.dialRelayed(target.relayed, PAIR_PROTOCOL, dialling)
      : host!.dial(target, PAIR_PROTOCOL, dialling))
    if ('code' in opened) {
      if (opened.code === 'bad-address') return { error: 'bad-address', sentence: opened.sentence }
      return { error: 'unreachable' }
    }
    const { channel, remote } = opened
    const { ed, edSecret, x, xSecret } = practice.identity
    const machine = new Joining({
      natives: practice.natives,
      random: practice.random,
      device: { ed, edSecret, x, xSecret, name: options.name },
      pin: pinToBytes(options.pin),
      remote: remote.publicKey,
      addresses: host!.addresses().slice(0, 16),
      spent: this.spent,
      ...(options.code === undefined ? {} : { code: options.code }),
    })
    return new Promise<Attempt>((resolve) => {
      let timer: NodeJS.Timeout | undefined
      let spent = false
      const finish = (outcome: Attempt) => {
        clearTimeout(timer)
        void channel.close()
        resolve(outcome)
      }
      const perform = (effect: JoinEffect) => {
        switch (effect.kind) {
          case 'send':
            channel.send('live', encodePairFrame(effect.frame))
            return
          case 'arm':
            clearTimeout(timer)
            timer = setTimeout(() => step({ kind: 'timeout' }), effect.afterMs)
            return
          case 'spend':
            spent = true
            this.spent.set(effect.window, (this.spent.get(effect.window) ?? 0) + 1)
            return
          case 'waiting':
            practice.emit({ type: 'invite' })
            return
          case 'store':
            practice.keeper
              .begin(effect.roster)
              .then(() => {
                this.remember(remote, effect.addresses)
                step({ kind: 'stored' })
              })
              .catch(() => step({ kind: 'store-failed' }))
            return
          case 'joined':
            return finish({ roster: effect.roster })
          case 'failed':
            return finish({
              error: effect.error,
              spent,
              ...(effect.triesLeft === undefined ? {} : { triesLeft: effect.triesLeft }),
            })
        }
      }
      const step = (event: JoinEvent) => {
        for (const effect of machine.step(event)) perform(effect)
      }
      options.signal.addEventListener('abort', () => step({ kind: 'cancel' }))
      void (async () => {
        for await (const { bytes } of channel.messages) step({ kind: 'frame', frame: decodePairFrame(bytes) })
        step({ kind: 'lost' })
      })()
      step({ kind: 'start' })
    })
  }

  /** Addresses that a join used or that the other device named are kept. */
  private remember(remote: RemotePeer, addresses: string[]): void {
    const peer = toHex(remote.publicKey)
    const { peers } = this.practice.options.notes
    const known = peers.get(peer) ?? { addresses: [], lastSeen: null }
    known.addresses = [...new Set([remote.address, ...addresses, ...known.addresses])].slice(0, 8)
    peers.set(peer, known)
  }
}

/** Addresses of one device, or the peer id of one that a relay leads to. */
type Target = string[] | { relayed: string }

type Attempt =
  | { roster: Roster }
  | { error: PairingError | 'unreachable'; triesLeft?: number; spent?: boolean }
  | { error: 'bad-address'; sentence: string; spent?: boolean }

function joinRefusal(outcome: Attempt): Refused {
  if (!('error' in outcome)) return new Refused('failed', pairingSentence('failed'))
  if (outcome.error === 'bad-address') return new Refused('bad-address', outcome.sentence)
  if (outcome.error === 'unreachable') return new Refused('closed', pairingSentence('closed'))
  return new Refused(outcome.error, pairingSentence(outcome.error, outcome.triesLeft))
}

/** Nothing, a practice code, or a whole invitation. */
function readInvitation(text: string | undefined): {
  code: string | undefined
  addresses: string[]
  relays: string[]
} {
  if (text === undefined || text.trim() === '') return { code: undefined, addresses: [], relays: [] }
  const parsed = parseInvitation(text.trim())
  if (!('error' in parsed)) return parsed
  const sentences = {
    'not-a-code': "That isn't a practice code. It has 18 characters, in three groups of six.",
    mistyped: 'The practice code is mistyped. Compare it with the other device.',
    'bad-address': 'An address in the invitation is malformed.',
    'too-long': 'That is too long for an invitation.',
  }
  throw new Refused(parsed.error === 'mistyped' ? 'code-mistyped' : parsed.error, sentences[parsed.error])
}

/** Addresses of one device are dialled together. */
function byPeer(addresses: string[]): string[][] {
  const groups = new Map<string, string[]>()
  for (const address of addresses) {
    const id = /\/p2p\/([^/]+)$/.exec(address)?.[1] ?? ''
    const known = id !== '' && peerIdToPublicKey(id) ? id : ''
    groups.set(known, [...(groups.get(known) ?? []), address])
  }
  return [...groups.values()]
}
