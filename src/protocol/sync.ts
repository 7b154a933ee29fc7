/**
 * Direct sync with one peer, /kartoteka/sync/1: a state machine without I/O, clock or randomness.
 * The driver performs the effects and brings their outcomes back as events. This file takes events and frames to
 * the part they belong to and plans what to send; the parts are in sync-hello, sync-changes, sync-states and
 * sync-receiving.
 *
 *  [X5] live changes go before bulk, and bulk only within the window.
 */
import { equalBytes, toHex } from './bytes.js'
import { decodePoints } from './fork.js'
import type { LogClaim, Verdict } from './frontier.js'
import { MAX_ADDRESSES, MAX_WANTED, WINDOW_BYTES } from './limits.js'
import type { LogId } from './log.js'
import type { Fork } from './sync.gen.js'
import { ChangeSender } from './sync-changes.js'
import { Hellos } from './sync-hello.js'
import { Outbox } from './sync-outbox.js'
import { Receiver } from './sync-receiving.js'
import { StatesSender } from './sync-states.js'
import type { GrownRun, Summary, SyncEffect, SyncEvent, TimerName } from './sync-types.js'
import { claimsFromWire, type FrameKind } from './wire.js'

/** Silence after which a question is asked, and after which the peer counts as gone. */
export const ALIVE_MS = 5_000
const SILENT_ROUNDS = 3
/** A stranger has this long to show by the roster that it belongs. */
export const STRANGER_MS = 10_000

export interface SessionOptions {
  /** The peer is in my roster now. */
  member: boolean
  /** Ed25519 key of the peer, hex. */
  peer: string
}

export class SyncSession {
  private member: boolean
  private readonly out = new Outbox()
  private readonly hellos: Hellos
  private readonly changes: ChangeSender
  private readonly states: StatesSender
  private readonly receiver: Receiver
  /** Where the peer stands is known, and what goes to it follows from that. */
  private planned = false
  /** A stranger shows one roster, no more. */
  private strangerSpoke = false
  private refusedOnce = false
  private silent = 0
  private aliveNumber = 0

  constructor(private readonly options: SessionOptions) {
    this.member = options.member
    this.hellos = new Hellos(this.out)
    this.changes = new ChangeSender(this.out, options.peer)
    this.states = new StatesSender(this.out)
    this.receiver = new Receiver(this.out)
  }

  /** The first effects: a HELLO to a member, a refusal that tells nothing to anybody else. */
  start(): SyncEffect[] {
    const effects = this.out.open()
    if (this.member) {
      this.hellos.ask()
      this.out.put({ type: 'arm', name: 'alive', ms: ALIVE_MS })
    } else {
      this.out.send('live', { $case: 'refuse', value: { code: 'refused' } })
      this.out.put({ type: 'arm', name: 'stranger', ms: STRANGER_MS })
    }
    return effects
  }

  step(event: SyncEvent): SyncEffect[] {
    const effects = this.out.open()
    this.take(event)
    return effects
  }

  /** Before it has shown that it belongs, a peer is hardly listened to. */
  get isStranger(): boolean {
    return !this.member
  }

  /** Whole states, or changes the peer has not acknowledged, are on their way. */
  get isSending(): boolean {
    return this.states.isSending || this.changes.isReading || this.out.inFlightBytes > 0
  }

  private take(event: SyncEvent): void {
    switch (event.type) {
      case 'frame':
        this.silent = 0
        return this.member ? this.onFrame(event.frame, event.bytes) : this.onStrangerFrame(event.frame)
      case 'malformed':
        return this.out.close('malformed')
      case 'summary':
        return this.onSummary(event.summary)
      case 'judged':
        return this.onJudged(event.verdicts)
      case 'learned':
        return this.hellos.compareAgain()
      case 'grown':
        return this.onGrown(event.runs, event.caseKeys, event.from)
      case 'changesRead':
        return this.onChangesRead(event)
      case 'statesOpened':
        if (this.states.onOpened(event)) this.pump()
        return
      case 'checksRead':
        this.states.onChecksRead(event.stretches)
        return this.pump()
      case 'itemsRead':
        this.states.onItemsRead(event)
        return this.pump()
      case 'casesRead':
        return this.states.sendCases(event.items, event.claims, event.openings)
      case 'applied':
        return this.onApplied(event)
      case 'durable':
        return this.receiver.onDurable(event, this.member)
      case 'takeReady':
        return this.receiver.take(event)
      case 'transferEnded':
        this.receiver.ended()
        return this.hellos.ask()
      case 'rosterApplied':
        return this.onRosterApplied(event.member)
      case 'neighbours':
        this.introduction.neighbours = { $case: 'neighbours', value: { devices: event.devices } }
        return this.introduce('neighbours')
      case 'statements':
        if (this.planned)
          this.out.send('live', { $case: 'statements', value: { statements: event.statements } })
        return
      case 'addresses':
        this.introduction.addresses = { $case: 'addresses', value: { addresses: event.addresses } }
        return this.introduce('addresses')
      case 'roundAsked':
        return this.hellos.askFor(event.round)
      case 'timer':
        return this.onTimer(event.name)
    }
  }

  private onFrame(frame: FrameKind, bytes: number): void {
    switch (frame.$case) {
      case 'hello': {
        const wasHeard = this.hellos.isHeard
        if (this.hellos.onHello(frame.value)) this.planned = false
        this.ackedSince.clear()
        if (!wasHeard) this.introduceAgain()
        return
      }
      case 'claims':
        return this.hellos.onClaims(frame.value)
      case 'roster':
        return this.out.put({ type: 'applyRoster', entries: frame.value.entries })
      case 'statements':
        return this.out.put({ type: 'admitStatements', statements: frame.value.statements })
      case 'changes':
        return this.receiver.onChanges(frame.value, bytes)
      case 'offer':
        return this.receiver.onOffer()
      case 'take':
        return this.states.onTake(frame.value)
      case 'begin':
        return this.receiver.onBegin(frame.value, bytes)
      case 'checks':
        return this.receiver.onChecks(frame.value, bytes)
      case 'items':
        return this.receiver.onItems(frame.value, bytes)
      case 'end':
        return this.receiver.onEnd(frame.value)
      case 'ack':
        return this.onAck(frame.value.claims, frame.value.bulkBytes)
      case 'need':
        if (frame.value.log.length !== 16) return this.out.close('malformed')
        this.changes.onNeed(toHex(frame.value.log), frame.value.from)
        return this.pump()
      case 'want':
        return this.out.put({ type: 'readCases', keys: frame.value.keys.slice(0, MAX_WANTED), early: false })
      case 'fork':
        return this.onFork(frame.value)
      case 'alive':
        if (!frame.value.answer)
          this.out.send('live', { $case: 'alive', value: { number: frame.value.number, answer: true } })
        return
      case 'refuse':
        return this.onRefuse(frame.value.code)
      case 'neighbours':
        this.changes.onNeighbours(frame.value.devices)
        // What waited for an author that has left it goes now.
        return this.pump()
      case 'addresses':
        return this.out.put({ type: 'addresses', addresses: frame.value.addresses.slice(0, MAX_ADDRESSES) })
      case 'twin':
        return this.out.put({ type: 'twin' })
      case 'ask':
        return this.out.put({ type: 'answerAsk', question: frame.value.question })
      case 'fingerprints':
        return this.out.put({ type: 'fingerprints', ...frame.value })
    }
  }

  // ---- comparing and planning

  /** What the peer has acknowledged since its last HELLO, while that is not compared yet. */
  private readonly ackedSince = new Map<LogId, LogClaim>()

  private onSummary(summary: Summary): void {
    this.hellos.onSummary(summary)
    this.changes.onSummary(summary)
    if (!this.member) return
    this.hellos.sendDue(summary)
    const words = this.hellos.compare(summary)
    if (!words) return
    this.changes.peerHolds(words.claims)
    if (words.unlike.length > 0) this.out.put({ type: 'judge', claims: words.unlike })
    else this.onJudged([])
  }

  /** Everything is compared: heal forks, then send what the peer lacks. */
  private onJudged(verdicts: { claim: LogClaim; verdict: Verdict }[]): void {
    const { summary, hello } = this.hellos
    if (!summary || !hello) return
    const forked = verdicts.filter(({ verdict }) => verdict === 'fork').map(({ claim }) => claim.log)
    for (const { claim, verdict } of verdicts)
      if (verdict === 'fork') this.out.put({ type: 'sendFork', log: claim.log, seq: claim.seq })
    const ahead = verdicts.filter(({ claim, verdict }) => verdict === 'ahead' && this.changes.isHeld(claim))
    for (const { claim } of ahead) if (claim.log === summary.currentLog) this.out.put({ type: 'leaveLog' })
    // Newer than the HELLO, which had to wait for my own summary. [X3]
    this.changes.onAck([...this.ackedSince.values()].filter(({ log }) => !forked.includes(log)))
    this.ackedSince.clear()
    this.changes.restart(forked)
    this.receiver.restart()
    this.states.restart()
    this.planned = true
    const equal =
      verdicts.length === 0 &&
      this.changes.behind().size === 0 &&
      equalBytes(summary.closedDigest, hello.closed) &&
      equalBytes(summary.rosterHead, hello.rosterHead)
    this.out.put({
      type: 'round',
      rounds: this.hellos.answered(hello),
      equal,
      complete: summary.complete && hello.complete,
      peerHasMore: ahead.length > 0,
    })
    this.sendMissing(summary)
  }

  private sendMissing(summary: Summary): void {
    const from = this.changes.behind()
    const pruned = [...from].some(([log, seq]) => seq < (summary.retainedFrom.get(log) ?? 0))
    const needsStates = from.size > 0 && (pruned || (this.changes.peerIsEmpty && summary.cases > 0))
    if (needsStates && !this.states.isSending) this.states.offer(summary.cases)
    else this.pump()
  }

  private onFork(fork: Fork): void {
    const points = decodePoints(fork.points)
    if (fork.log.length !== 16 || !points) return this.out.close('malformed')
    this.out.put({ type: 'narrowFork', log: toHex(fork.log), points })
  }

  // ---- sending

  /** The peer was found to lack something else while changes were read: they may be of no use, and nothing else follows. */
  private pumpAgain = false

  /** [X5] Reads and sends more, as the window allows. */
  private pump(): void {
    this.pumpAgain = this.changes.isReading
    if (!this.planned || this.changes.isReading || this.out.inFlightBytes >= WINDOW_BYTES) return
    if (this.states.isSending) {
      // The peer's next HELLO says what it made of it. [X4]
      if (this.states.pump()) this.planned = false
    } else if (!this.states.isOffered) this.changes.read()
  }

  private onChangesRead(read: Extract<SyncEvent, { type: 'changesRead' }>): void {
    this.changes.isReading = false
    if (!this.planned) return
    const wasSent = this.changes.onRead(read)
    if (read.pruned.length > 0) this.states.offer(this.hellos.summary?.cases ?? 0)
    else if (wasSent || this.pumpAgain) this.pump()
  }

  private onGrown(runs: GrownRun[], caseKeys: Uint8Array[], from: string | undefined): void {
    this.changes.noteGrown(runs, from)
    if (!this.planned || from === this.options.peer) return
    if (this.states.isSending) return this.states.early(caseKeys)
    if (this.states.isOffered) return
    this.changes.sendGrown(runs)
    this.pump()
  }

  private onAck(wire: { log: Uint8Array; seq: number; check: Uint8Array }[], bytes: number): void {
    const claims = claimsFromWire(wire)
    if (!claims) return this.out.close('malformed')
    this.out.acknowledged(bytes)
    if (!this.planned) for (const claim of claims) this.ackedSince.set(claim.log, claim)
    this.changes.onAck(claims)
    this.pump()
  }

  private onApplied(applied: Extract<SyncEvent, { type: 'applied' }>): void {
    if (this.receiver.onApplied(applied)) this.hellos.ask()
  }

  // ---- belonging, time

  /** What I say of myself besides: a member hears it, and again if it took nothing before. */
  private readonly introduction: Partial<Record<'neighbours' | 'addresses', FrameKind>> = {}

  private introduce(what: 'neighbours' | 'addresses'): void {
    const frame = this.introduction[what]
    if (this.member && frame) this.out.send('live', frame)
  }

  private introduceAgain(): void {
    this.introduce('neighbours')
    this.introduce('addresses')
  }

  private onStrangerFrame(frame: FrameKind): void {
    if (frame.$case === 'roster' && !this.strangerSpoke) {
      this.strangerSpoke = true
      this.out.put({ type: 'applyRoster', entries: frame.value.entries })
    }
  }

  private onRosterApplied(member: boolean): void {
    if (member && !this.member) {
      this.member = true
      this.out.put({ type: 'disarm', name: 'stranger' }, { type: 'arm', name: 'alive', ms: ALIVE_MS })
      this.hellos.ask()
      this.introduceAgain()
    } else if (!member && this.member) {
      this.out.close('refused')
    } else if (this.refusedOnce && !this.hellos.hello) {
      // It has told of a branch that stands against mine, and listens no more: once more from the beginning.
      this.out.close('refused')
    } else if (member) this.hellos.ask()
  }

  /** The peer doesn't know me yet: the roster shows it. Said once; a second refusal ends it. */
  private onRefuse(code: string): void {
    if (code !== 'refused' || this.refusedOnce)
      return this.out.close(code === 'peer-too-old' || code === 'peer-too-new' ? code : 'refused')
    this.refusedOnce = true
    this.hellos.restart()
    this.out.put({ type: 'sendRoster' }, { type: 'arm', name: 'stranger', ms: STRANGER_MS })
  }

  private onTimer(name: TimerName): void {
    switch (name) {
      case 'alive':
        if (++this.silent > SILENT_ROUNDS) return this.out.close('silent')
        if (this.silent > 1)
          this.out.send('live', { $case: 'alive', value: { number: ++this.aliveNumber, answer: false } })
        return this.out.put({ type: 'arm', name: 'alive', ms: ALIVE_MS })
      case 'early':
        return this.states.onEarlyTimer()
      case 'forward':
        this.changes.onForwardTimer()
        return this.pump()
      case 'stranger':
        if (!this.member || !this.hellos.hello) this.out.close('refused')
        return
    }
  }
}
