/** Joining a practice from this device: performs what the joining machine decides, at one address after the other. */
import { toHex } from '../../protocol/bytes.js'
import { isName } from '../../protocol/epoch-keys.js'
import { parseInvitation } from '../../protocol/invitation.js'
import { type PairingError, pairingSentence } from '../../protocol/pairing-errors.js'
import { type JoinEffect, type JoinEvent, Joining } from '../../protocol/pairing-join.js'
import { decodePairFrame, encodePairFrame, MAX_PAIR_FRAME_BYTES } from '../../protocol/pairing-rules.js'
import { pinToBytes } from '../../protocol/pin.js'
import type { Roster } from '../../protocol/roster.js'
import { Refused } from '../api.js'
import type { RemotePeer } from '../host-remote.js'
import { peerIdToPublicKey } from '../peer-id.js'
import { PAIR_PROTOCOL } from './invite-driver.js'
import { byRelay } from './mailboxes.js'
import { meetAt, whenRelayed } from './meeting.js'
import type { Practice } from './practice-state.js'
import { hasPractice } from './roster-keeper.js'

/** Without an answer for so long nobody is there: scripts rely on it. */
const FIND_MS = 9_000
const DIAL_MS = 5_000
/** Of several addresses one is tried after the other, and one where nothing is said takes so long. */
const MORE_DIAL_MS = 3_000
const MAX_DIAL_MS = 20_000
/** A device that had no window is asked again after this. */
const ASK_AGAIN_MS = 1_500

/** Addresses of one device, or the peer id of one that a relay leads to. */
type Target = string[] | { relayed: string }

type Attempt =
  | { roster: Roster }
  | { error: PairingError | 'unreachable'; triesLeft?: number; spent?: boolean }
  | { error: 'bad-address'; sentence: string; spent?: boolean }

type Try = (target: Target, timeoutMs?: number) => Promise<Attempt>

export class JoinDriver {
  /** Windows in which this device spent tries. */
  private readonly spent = new Map<string, number>()
  private joining: { cancel: () => void } | undefined

  constructor(private readonly practice: Practice) {}

  get isJoining(): boolean {
    return this.joining !== undefined
  }

  close(): void {
    this.joining?.cancel()
  }

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
    if (options.keeper.current) throw hasPractice()
    if (this.joining) throw joining()
    if (!host) throw new Refused('no-network', 'This command runs without a network.')
    const name = input.device.trim()
    if (!isName(name)) throw new Refused('bad-name', 'Give this device a name of up to 128 bytes.')
    const invitation = readInvitation(input.code)
    const addresses = [...input.addresses, ...invitation.addresses]
    const relays = [...new Set([...input.relays, ...invitation.relays])]
    const end = new AbortController()
    this.joining = { cancel: () => end.abort() }
    input.signal?.addEventListener('abort', () => end.abort())
    // While the network was waited for, nobody listened.
    if (input.signal?.aborted) end.abort()
    const attempt: Try = (target, timeoutMs = DIAL_MS) =>
      this.attempt(target, {
        timeoutMs,
        name,
        pin: input.pin,
        code: invitation.code,
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
  private async joinAt(targets: Target[], attempt: Try): Promise<Roster> {
    let last: Attempt | undefined
    // A relay leads there as well.
    const isRelayed = targets.some((target) => 'relayed' in target)
    for (const target of targets) {
      const outcome = await attempt(target, isRelayed ? DIAL_MS : patienceMs(target))
      if ('roster' in outcome) return outcome.roster
      if (outcome.error !== 'unreachable' || !last) last = outcome
      if (outcome.spent || (outcome.error !== 'unreachable' && outcome.error !== 'closed')) break
    }
    throw last && 'error' in last ? joinRefusal(last) : joinRefusal({ error: 'closed' })
  }

  /** Asks every device that shows itself on the LAN until one has a window open, or time is over. */
  private async joinOnLan(attempt: Try, signal: AbortSignal): Promise<Roster> {
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

function patienceMs(target: Target): number {
  const more = 'relayed' in target ? 0 : target.length - 1
  return Math.min(MAX_DIAL_MS, DIAL_MS + more * MORE_DIAL_MS)
}

export const joining = () => new Refused('busy', 'This device is joining already.')

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
