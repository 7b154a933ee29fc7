/**
 * Direct sync with one peer, /kartoteka/sync/1: a state machine without I/O, clock or randomness.
 * The driver performs the effects and brings their outcomes back as events.
 *
 *  [X1] a HELLO announces durable things only: it is built from a summary taken after a flush;
 *  [X2] an ACK is sent only for what is durable;
 *  [X3] a HELLO replaces what was known of the peer: the newest word counts, not the largest;
 *  [X4] changes go to a peer only from where it is proven to stand; anything else waits for its word;
 *  [X5] live changes go before bulk, and bulk only within the window;
 *  [X6] while whole states flow to a peer, what changes meanwhile reaches it as a whole, early case.
 */
import { compareBytes, equalBytes, toHex } from './bytes.js'
import type { HeldLog, LogClaim, Verdict } from './frontier.js'
import { MAX_ADDRESSES, OLDEST_SYNC_VERSION, SYNC_VERSION, WINDOW_BYTES } from './limits.js'
import type { LogId, LogOpening } from './log.js'
import type { Claims, Hello, Items } from './sync.gen.js'
import type { CloseCode, GrownRun, Summary, SyncEffect, SyncEvent } from './sync-types.js'
import {
  claimsFromWire,
  claimToWire,
  cutsFromWire,
  cutToWire,
  encodeFrame,
  type FrameKind,
  openingToWire,
  runsFromWire,
  runToWire,
  targetsFromWire,
  targetToWire,
} from './wire.js'

/** Silence after which a question is asked, and after which the peer counts as gone. */
export const ALIVE_MS = 5_000
const SILENT_ROUNDS = 3
/** A case under a busy pen is sent early at most this often. */
export const EARLY_MS = 250
/** Others' changes go on to a peer that has the author itself only after this long. */
export const FORWARD_MS = 2_000
/** A stranger has this long to show by the roster that it belongs. */
export const STRANGER_MS = 10_000

interface Sending {
  after: Uint8Array
  frontier: Map<LogId, number>
  reading: boolean
  done: boolean
  ended: boolean
  /** Keys of cases that are damaged here. */
  missing: Uint8Array[]
}

export interface SessionOptions {
  /** The peer is in my roster now. */
  member: boolean
  /** Ed25519 key of the peer, hex. */
  peer: string
}

export class SyncSession {
  private member: boolean
  private summary: Summary | undefined
  /** What I hold now, ahead of the last summary. */
  private readonly mine = new Map<LogId, { seq: number; device: string }>()
  private readonly held = new Map<LogId, number>()
  private readonly sent = new Map<LogId, number>()
  private readonly forked = new Set<LogId>()
  private readonly needed = new Map<LogId, number>()
  private hello: Hello | undefined
  private peerOpen: LogClaim[] = []
  private peerClosed: LogClaim[] | undefined
  private claimsSentFor: Uint8Array | undefined
  private rosterSentFor: Uint8Array | undefined
  private statementsSentFor: Uint8Array | undefined
  private round = 0
  private owesHello = false
  private owesAnswer = 0
  /** Rounds somebody waits for, and the HELLO of mine whose answer ends each. */
  private asked: { id: number; round: number }[] = []
  private toPlan = false
  private planned = false
  private summarising = false
  private reading = false
  private sentBytes = 0
  private ackedBytes = 0
  private takenBytes = 0
  private sending: Sending | undefined
  private offered = false
  private receiving: number | undefined
  private peerHasMore = false
  private neighbours = new Set<string>()
  private earlyKeys = new Map<string, Uint8Array>()
  private earlyArmed = false
  /** What the last changes were refused for. */
  private misfits = ''
  private forwardArmed = false
  private silent = 0
  private aliveNumber = 0
  private out: SyncEffect[] = []

  constructor(private readonly options: SessionOptions) {
    this.member = options.member
  }

  /** The first effects: a HELLO to a member, a refusal that tells nothing to anybody else. */
  start(): SyncEffect[] {
    this.out = []
    if (this.member) {
      this.askRound()
      this.out.push({ type: 'arm', name: 'alive', ms: ALIVE_MS })
    } else {
      this.send('live', { $case: 'refuse', value: { code: 'refused' } })
      this.out.push({ type: 'arm', name: 'stranger', ms: STRANGER_MS })
    }
    return this.out
  }

  step(event: SyncEvent): SyncEffect[] {
    this.out = []
    switch (event.type) {
      case 'frame':
        this.silent = 0
        if (this.member) this.onFrame(event.frame, event.bytes)
        else this.onStrangerFrame(event.frame)
        break
      case 'malformed':
        this.close('malformed')
        break
      case 'summary':
        this.onSummary(event.summary)
        break
      case 'judged':
        this.onJudged(event.verdicts)
        break
      case 'learned':
        this.toPlan = true
        this.summarise()
        break
      case 'grown':
        this.onGrown(event.runs, event.caseKeys, event.from)
        break
      case 'changesRead':
        this.onChangesRead(event)
        break
      case 'statesOpened':
        this.onStatesOpened(event)
        break
      case 'itemsRead':
        this.onItemsRead(event)
        break
      case 'casesRead':
        if (event.items.length > 0) this.sendItems('live', event.items, true, event.claims, event.openings)
        break
      case 'applied':
        this.onApplied(event)
        break
      case 'durable':
        this.onDurable(event)
        break
      case 'takeReady':
        this.receiving = event.transfer
        this.send('live', {
          $case: 'take',
          value: { transfer: event.transfer, after: event.after, frontier: event.claims.map(claimToWire) },
        })
        break
      case 'transferEnded':
        this.receiving = undefined
        this.askRound()
        break
      case 'rosterApplied':
        this.onRosterApplied(event.member)
        break
      case 'neighbours':
        if (this.member) this.send('live', { $case: 'neighbours', value: { devices: event.devices } })
        break
      case 'statements':
        if (this.planned) this.send('live', { $case: 'statements', value: { statements: event.statements } })
        break
      case 'addresses':
        if (this.member) this.send('live', { $case: 'addresses', value: { addresses: event.addresses } })
        break
      case 'roundAsked':
        // The first HELLOs crossed: only a second one is an answer.
        this.asked.push({ id: event.round, round: Math.max(2, this.round + 1) })
        this.askRound()
        break
      case 'timer':
        this.onTimer(event.name)
        break
    }
    return this.out
  }

  /** Before it has shown that it belongs, a peer is hardly listened to. */
  get isStranger(): boolean {
    return !this.member
  }

  /** Whole states, or changes the peer has not acknowledged, are on their way. */
  get isSending(): boolean {
    return this.sending !== undefined || this.reading || this.inFlight() > 0
  }

  // ---- HELLO and planning

  /** Sends a HELLO that wants an answer, as soon as there is a fresh summary. */
  private askRound(): void {
    this.owesHello = true
    this.summarise()
  }

  private summarise(): void {
    if (this.summarising) return
    this.summarising = true
    this.out.push({ type: 'summarise' })
  }

  private onSummary(summary: Summary): void {
    this.summarising = false
    this.summary = summary
    for (const log of [...summary.open, ...summary.closed]) {
      // What was taken in while the summary was made stands, but for a log that was cut meanwhile.
      const known = log.cut ? 0 : (this.mine.get(log.log)?.seq ?? 0)
      this.mine.set(log.log, { seq: Math.max(known, log.seq), device: toHex(log.device) })
    }
    if (!this.member) return
    if (this.owesHello || this.owesAnswer > 0) this.sendHello(summary)
    if (this.toPlan && this.hello) this.compare(summary, this.hello)
  }

  private sendHello(summary: Summary): void {
    // The first HELLOs of both sides answer each other.
    if (this.owesHello) this.round++
    const hello: Hello = {
      oldest: OLDEST_SYNC_VERSION,
      newest: SYNC_VERSION,
      practice: summary.practice,
      rosterHead: summary.rosterHead,
      round: this.owesHello ? this.round : 0,
      answers: this.owesAnswer,
      open: summary.open.map(claimToWire),
      closed: summary.closedDigest,
      doubts: summary.doubts.map(claimToWire),
      statements: summary.statements,
      complete: summary.complete,
    }
    this.owesHello = false
    this.owesAnswer = 0
    this.send('live', { $case: 'hello', value: hello })
  }

  private onHello(hello: Hello): void {
    if (hello.oldest > SYNC_VERSION) return this.close('peer-too-new')
    if (hello.newest < OLDEST_SYNC_VERSION) return this.close('peer-too-old')
    const open = claimsFromWire(hello.open)
    if (!open || !claimsFromWire(hello.doubts)) return this.close('malformed')
    const first = this.hello === undefined
    if (!this.hello || !equalBytes(this.hello.closed, hello.closed)) this.peerClosed = undefined
    this.hello = hello
    this.peerOpen = open
    const answersOurFirst = first && hello.round === 1
    if (hello.round > 0 && !answersOurFirst) this.owesAnswer = hello.round
    if (first && this.round === 0) this.owesHello = true
    this.toPlan = true
    this.planned = false
    this.summarise()
  }

  /** [X3] Compares both words; where closed logs differ, their claims and cuts come first. */
  private compare(summary: Summary, hello: Hello): void {
    if (!equalBytes(summary.practice, hello.practice)) return this.close('other-practice')
    if (!equalBytes(summary.rosterHead, hello.rosterHead) && !same(this.rosterSentFor, hello.rosterHead)) {
      this.rosterSentFor = hello.rosterHead
      this.out.push({ type: 'sendRoster' })
    }
    if (
      !equalBytes(summary.statements, hello.statements) &&
      !same(this.statementsSentFor, summary.statements)
    ) {
      this.statementsSentFor = summary.statements
      this.out.push({ type: 'sendStatements' })
    }
    if (!equalBytes(summary.closedDigest, hello.closed)) {
      if (!same(this.claimsSentFor, summary.closedDigest)) {
        this.claimsSentFor = summary.closedDigest
        this.send('live', { $case: 'claims', value: closedToWire(summary.closed) })
      }
      if (!this.peerClosed) return
    }
    this.toPlan = false
    const closed = this.peerClosed ?? summary.closed
    const claims = [...this.peerOpen, ...closed]
    this.held.clear()
    for (const claim of claims) this.held.set(claim.log, claim.seq)
    this.out.push({ type: 'peerHolds', claims, all: true })
    const own = new Map([...summary.open, ...summary.closed].map((log) => [log.log, log]))
    const unlike = [...claims, ...(claimsFromWire(hello.doubts) ?? [])].filter(
      (claim) => !sameClaim(claim, own.get(claim.log)),
    )
    if (unlike.length > 0) this.out.push({ type: 'judge', claims: unlike })
    else this.onJudged([])
  }

  private onClaims(claims: Claims): void {
    const closed = claimsFromWire(claims.closed)
    const cuts = cutsFromWire(claims.cuts)
    if (!closed || !cuts) return this.close('malformed')
    this.peerClosed = closed
    this.toPlan = true
    // An open log of mine may be closed or cut there: the peer must hear my word too.
    this.out.push({ type: 'learn', cuts, openings: claims.openings })
  }

  /** Everything is compared: heal forks, then send what the peer lacks. */
  private onJudged(verdicts: { claim: LogClaim; verdict: Verdict }[]): void {
    const { summary, hello } = this
    if (!summary || !hello) return
    this.forked.clear()
    this.peerHasMore = false
    for (const { claim, verdict } of verdicts) {
      if (verdict === 'fork') {
        this.forked.add(claim.log)
        this.out.push({ type: 'sendFork', log: claim.log })
      }
      if (verdict === 'ahead' && this.held.get(claim.log) === claim.seq) {
        this.peerHasMore = true
        if (claim.log === summary.currentLog) this.out.push({ type: 'leaveLog' })
      }
    }
    this.sent.clear()
    for (const [log, seq] of this.held) this.sent.set(log, seq)
    this.needed.clear()
    this.planned = true
    if (!this.sending) this.offered = false
    const equal =
      verdicts.length === 0 &&
      this.behind().size === 0 &&
      equalBytes(summary.closedDigest, hello.closed) &&
      equalBytes(summary.rosterHead, hello.rosterHead)
    const rounds = this.asked.filter(({ round }) => round <= hello.answers).map(({ id }) => id)
    this.asked = this.asked.filter(({ round }) => round > hello.answers)
    if (this.asked.some(({ round }) => round > this.round)) this.askRound()
    const complete = summary.complete && hello.complete
    this.out.push({ type: 'round', rounds, equal, complete, peerHasMore: this.peerHasMore })
    this.sendMissing(summary)
  }

  /** Logs of which I hold more than was sent. */
  private behind(): Map<LogId, number> {
    const from = new Map<LogId, number>()
    for (const [log, { seq }] of this.mine) {
      const sent = this.sent.get(log) ?? 0
      if (seq > sent && !this.forked.has(log)) from.set(log, sent)
    }
    return from
  }

  private sendMissing(summary: Summary): void {
    const from = this.behind()
    const pruned = [...from].some(([log, seq]) => seq < (summary.retainedFrom.get(log) ?? 0))
    const empty = this.held.size === 0
    // A transfer under way goes on, whatever was compared meanwhile.
    const needsStates = from.size > 0 && (pruned || (empty && summary.cases > 0))
    if (needsStates && !this.sending) this.offer(summary.cases)
    else this.pump()
  }

  private offer(cases: number): void {
    if (this.offered || this.sending) return
    this.offered = true
    this.send('live', { $case: 'offer', value: { cases } })
  }

  // ---- sending changes

  /** [X5] Reads and sends more, as the window allows. */
  private pump(): void {
    if (!this.planned || this.reading || this.inFlight() >= WINDOW_BYTES) return
    if (this.sending) return this.pumpStates(this.sending)
    if (this.offered) return
    const from = this.behind()
    for (const log of [...from.keys()]) {
      if (!this.waitsForAuthor(log)) continue
      from.delete(log)
      // The author may have lost what it wrote: what it doesn't give, I do.
      this.armForward()
    }
    if (from.size === 0) return
    this.reading = true
    this.out.push({ type: 'readChanges', from })
  }

  private onChangesRead(read: Extract<SyncEvent, { type: 'changesRead' }>): void {
    this.reading = false
    if (!this.planned) return
    // Several runs of one log follow each other: each is held against what goes before it.
    const runs = read.runs.filter((run) => {
      if ((this.sent.get(run.log) ?? 0) !== run.from) return false
      this.sent.set(run.log, run.from + run.changes.length)
      return true
    })
    if (runs.length > 0) this.sendChanges('bulk', runs, read.openings)
    if (read.pruned.length > 0) this.offer(this.summary?.cases ?? 0)
    else if (runs.length > 0) this.pump()
  }

  private sendChanges(lane: 'live' | 'bulk', runs: GrownRun['run'][], openings: LogOpening[]): void {
    this.send(
      lane,
      { $case: 'changes', value: { openings: openings.map(openingToWire), runs: runs.map(runToWire) } },
      true,
    )
  }

  /** [X4] What was just taken in goes on at once to a peer that stands right before it. */
  private onGrown(runs: GrownRun[], caseKeys: Uint8Array[], from: string | undefined): void {
    for (const { run, opening } of runs) {
      this.mine.set(run.log, { seq: run.from + run.changes.length, device: toHex(opening.device) })
      if (from === this.options.peer) {
        // The peer gave it: it holds it.
        if ((this.sent.get(run.log) ?? 0) === run.from) this.sent.set(run.log, run.from + run.changes.length)
      }
    }
    if (!this.planned || from === this.options.peer) return
    if (this.sending) return this.early(caseKeys)
    if (this.offered) return
    const live: GrownRun[] = []
    const isOpen = this.inFlight() < 2 * WINDOW_BYTES && !this.reading
    for (const grown of isOpen ? runs : []) {
      const { run } = grown
      if (this.forked.has(run.log) || (this.sent.get(run.log) ?? 0) !== run.from) continue
      if (this.waitsForAuthor(run.log)) this.armForward()
      else {
        live.push(grown)
        this.sent.set(run.log, run.from + run.changes.length)
      }
    }
    if (live.length > 0) {
      this.sendChanges(
        'live',
        live.map(({ run }) => run),
        live.map(({ opening }) => opening),
      )
    }
    this.pump()
  }

  /** The peer is connected to the log's author itself: it gets the change from there. */
  private waitsForAuthor(log: LogId): boolean {
    const author = this.mine.get(log)?.device
    return !this.forwardDue && author !== undefined && this.neighbours.has(author)
  }
  private forwardDue = false

  private armForward(): void {
    if (this.forwardArmed) return
    this.forwardArmed = true
    this.out.push({ type: 'arm', name: 'forward', ms: FORWARD_MS })
  }

  private inFlight(): number {
    return this.sentBytes - this.ackedBytes
  }

  // ---- sending whole states

  private onStatesOpened(opened: Extract<SyncEvent, { type: 'statesOpened' }>): void {
    if (!this.sending || this.receivingTransfer === undefined) return
    const value = {
      transfer: this.receivingTransfer,
      openings: opened.openings.map(openingToWire),
      target: opened.target.map(targetToWire),
      cases: opened.cases,
    }
    this.send('bulk', { $case: 'begin', value }, true)
    this.pump()
  }
  /** The transfer number that the peer chose in its TAKE. */
  private receivingTransfer: number | undefined

  private pumpStates(sending: Sending): void {
    if (sending.reading || sending.ended) return
    if (sending.done) {
      sending.ended = true
      this.send('bulk', {
        $case: 'end',
        value: { transfer: this.receivingTransfer ?? 0, missing: sending.missing },
      })
      this.sending = undefined
      this.offered = false
      // The peer's next HELLO says what it made of it. [X4]
      this.planned = false
      return
    }
    sending.reading = true
    this.out.push({ type: 'readItems', after: sending.after, frontier: sending.frontier })
  }

  private onItemsRead(read: Extract<SyncEvent, { type: 'itemsRead' }>): void {
    const { sending } = this
    if (!sending) return
    sending.reading = false
    sending.done = read.done
    sending.after = read.after
    sending.missing.push(...(read.missing ?? []))
    if (read.items.length > 0) this.sendItems('bulk', read.items, false, [], [])
    this.pump()
  }

  private sendItems(
    lane: 'live' | 'bulk',
    items: Items['items'],
    early: boolean,
    claims: LogClaim[],
    openings: LogOpening[],
  ): void {
    const value: Items = {
      transfer: this.receivingTransfer ?? 0,
      early,
      items,
      claims: claims.map(claimToWire),
      openings: openings.map(openingToWire),
    }
    this.send(lane, { $case: 'items', value }, true)
  }

  /** [X6] */
  private early(caseKeys: Uint8Array[]): void {
    for (const key of caseKeys) this.earlyKeys.set(toHex(key), key)
    if (this.earlyArmed || this.earlyKeys.size === 0) return
    this.earlyArmed = true
    this.out.push({ type: 'arm', name: 'early', ms: EARLY_MS })
  }

  // ---- receiving

  /** A stranger shows one roster, no more. */
  private strangerSpoke = false

  private onStrangerFrame(frame: FrameKind): void {
    if (frame.$case === 'roster' && !this.strangerSpoke) {
      this.strangerSpoke = true
      this.out.push({ type: 'applyRoster', entries: frame.value.entries })
    }
  }

  private onFrame(frame: FrameKind, bytes: number): void {
    switch (frame.$case) {
      case 'hello':
        return this.onHello(frame.value)
      case 'claims':
        return this.onClaims(frame.value)
      case 'roster':
        this.out.push({ type: 'applyRoster', entries: frame.value.entries })
        return
      case 'statements':
        this.out.push({ type: 'admitStatements', statements: frame.value.statements })
        return
      case 'changes': {
        const runs = runsFromWire(frame.value)
        if (!runs) return this.close('malformed')
        this.out.push({ type: 'apply', openings: frame.value.openings, runs, bytes })
        return
      }
      case 'offer':
        if (this.receiving === undefined) this.out.push({ type: 'wantTake' })
        return
      case 'take': {
        const claims = claimsFromWire(frame.value.frontier)
        if (!claims) return this.close('malformed')
        if (this.sending) return
        const frontier = new Map(claims.map((claim) => [claim.log, claim.seq]))
        this.offered = true
        this.receivingTransfer = frame.value.transfer
        this.sending = {
          after: frame.value.after,
          frontier,
          reading: false,
          done: false,
          ended: false,
          missing: [],
        }
        this.out.push({ type: 'openStates', frontier })
        return
      }
      case 'begin': {
        const target = targetsFromWire(frame.value.target)
        if (!target) return this.close('malformed')
        if (frame.value.transfer !== this.receiving) return
        this.out.push({
          type: 'beginTransfer',
          target,
          openings: frame.value.openings,
          cases: frame.value.cases,
          bytes,
        })
        return
      }
      case 'items': {
        const claims = claimsFromWire(frame.value.claims)
        if (!claims) return this.close('malformed')
        const { items, early, openings } = frame.value
        if (!early && frame.value.transfer !== this.receiving) return
        this.out.push({ type: 'takeItems', items, early, claims, openings, bytes })
        return
      }
      case 'end':
        if (frame.value.transfer !== this.receiving) return
        this.out.push({ type: 'endTransfer', missing: frame.value.missing })
        return
      case 'ack':
        return this.onAck(frame.value.claims, frame.value.bulkBytes)
      case 'need': {
        if (frame.value.log.length !== 16) return this.close('malformed')
        this.sent.set(toHex(frame.value.log), frame.value.from)
        return this.pump()
      }
      case 'want':
        this.out.push({ type: 'readCases', keys: frame.value.keys.slice(0, 64) })
        return
      case 'fork':
        if (frame.value.log.length !== 16) return this.close('malformed')
        this.out.push({ type: 'cutByChecks', log: toHex(frame.value.log), checks: frame.value.checks })
        return
      case 'alive':
        if (!frame.value.answer)
          this.send('live', { $case: 'alive', value: { number: frame.value.number, answer: true } })
        return
      case 'refuse':
        return this.onRefuse(frame.value.code)
      case 'neighbours':
        this.neighbours = new Set(frame.value.devices.slice(0, 1024).map(toHex))
        return
      case 'addresses':
        this.out.push({ type: 'addresses', addresses: frame.value.addresses.slice(0, MAX_ADDRESSES) })
        return
      case 'ask':
        this.out.push({ type: 'answerAsk', question: frame.value.question })
        return
      case 'fingerprints':
        this.out.push({ type: 'fingerprints', ...frame.value })
        return
    }
  }

  private onAck(wire: { log: Uint8Array; seq: number; check: Uint8Array }[], bytes: number): void {
    const claims = claimsFromWire(wire)
    if (!claims) return this.close('malformed')
    this.ackedBytes = Math.min(this.sentBytes, Math.max(this.ackedBytes, bytes))
    for (const { log, seq } of claims) {
      this.held.set(log, seq)
      if (seq > (this.sent.get(log) ?? 0)) this.sent.set(log, seq)
    }
    if (claims.length > 0) this.out.push({ type: 'peerHolds', claims, all: false })
    this.pump()
  }

  private onApplied(applied: Extract<SyncEvent, { type: 'applied' }>): void {
    for (const { log, from } of applied.gaps) {
      if (this.needed.get(log) === from) continue
      this.needed.set(log, from)
      this.send('live', { $case: 'need', value: { log: hexToBytes(log), from } })
    }
    // A branch that doesn't fit shows in the claims: compare again, but once for what stays as it is.
    const misfits = [...applied.forks, ...applied.refused].sort().join()
    if (misfits !== '' && misfits !== this.misfits) this.askRound()
    if (misfits !== '' || applied.advanced.length > 0) this.misfits = misfits
  }

  /** [X2] */
  private onDurable(durable: Extract<SyncEvent, { type: 'durable' }>): void {
    this.takenBytes += durable.bytes
    if (!this.member || (durable.claims.length === 0 && durable.bytes === 0)) return
    this.send('live', {
      $case: 'ack',
      value: {
        claims: durable.claims.map(claimToWire),
        transfer: this.receiving ?? 0,
        cursor: durable.cursor ?? new Uint8Array(0),
        bulkBytes: this.takenBytes,
      },
    })
  }

  // ---- belonging, time

  private onRosterApplied(member: boolean): void {
    if (member && !this.member) {
      this.member = true
      this.out.push({ type: 'disarm', name: 'stranger' }, { type: 'arm', name: 'alive', ms: ALIVE_MS })
      this.askRound()
    } else if (!member && this.member) {
      this.close('refused')
    } else if (member) this.askRound()
  }

  /** The peer doesn't know me yet: the roster shows it. Said once; a second refusal ends it. */
  private onRefuse(code: string): void {
    if (code !== 'refused' || this.refusedOnce)
      return this.close(code === 'peer-too-old' || code === 'peer-too-new' ? code : 'refused')
    this.refusedOnce = true
    this.round = 0
    this.out.push({ type: 'sendRoster' }, { type: 'arm', name: 'stranger', ms: STRANGER_MS })
  }
  private refusedOnce = false

  private onTimer(name: 'alive' | 'early' | 'forward' | 'stranger'): void {
    switch (name) {
      case 'alive':
        if (++this.silent > SILENT_ROUNDS) return this.close('silent')
        if (this.silent > 1)
          this.send('live', { $case: 'alive', value: { number: ++this.aliveNumber, answer: false } })
        this.out.push({ type: 'arm', name: 'alive', ms: ALIVE_MS })
        return
      case 'early': {
        this.earlyArmed = false
        const due = [...this.earlyKeys.values()]
        this.earlyKeys.clear()
        if (this.sending && due.length > 0) this.out.push({ type: 'readCases', keys: due.sort(compareBytes) })
        return
      }
      case 'forward':
        this.forwardArmed = false
        this.forwardDue = true
        this.pump()
        this.forwardDue = false
        return
      case 'stranger':
        if (!this.member || !this.hello) this.close('refused')
        return
    }
  }

  private close(code: CloseCode): void {
    if (code === 'peer-too-new') this.send('live', { $case: 'refuse', value: { code: 'peer-too-old' } })
    if (code === 'peer-too-old') this.send('live', { $case: 'refuse', value: { code: 'peer-too-new' } })
    this.out.push({ type: 'close', code })
  }

  private send(lane: 'live' | 'bulk', frame: FrameKind, counted = false): void {
    const bytes = encodeFrame(frame)
    if (counted) this.sentBytes += bytes.length
    const changes =
      frame.$case === 'changes' ? frame.value.runs.reduce((sum, run) => sum + run.changes.length, 0) : 0
    this.out.push({ type: 'send', lane, kind: frame.$case, bytes, changes })
  }
}

const same = (a: Uint8Array | undefined, b: Uint8Array) => a !== undefined && equalBytes(a, b)

function sameClaim(claim: LogClaim, own: HeldLog | undefined): boolean {
  return own !== undefined && own.seq === claim.seq && equalBytes(own.check, claim.check)
}

function closedToWire(closed: HeldLog[]): Claims {
  return {
    closed: closed.map(claimToWire),
    cuts: closed.filter((log) => log.cut).map(cutToWire),
    openings: closed.map(openingToWire),
  }
}

function hexToBytes(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, at) =>
    Number.parseInt(hex.slice(at * 2, at * 2 + 2), 16),
  )
}
