/**
 * HELLO: rounds of asking and answering, and what each side's newest word says of the other.
 *
 *  [X1] a HELLO announces durable things only: it is built from a summary taken after a flush;
 *  [X3] a HELLO replaces what was known of the peer: the newest word counts, not the largest.
 */
import { concat, equalBytes } from './bytes.js'
import type { HeldLog, LogClaim } from './frontier.js'
import { OLDEST_SYNC_VERSION, SYNC_VERSION } from './limits.js'
import { RUN_BYTES } from './runs.js'
import type { Claims, Hello } from './sync.gen.js'
import type { Outbox } from './sync-outbox.js'
import type { Summary } from './sync-types.js'
import { claimsFromWire, claimToWire, cutsFromWire, cutToWire, openingToWire } from './wire.js'

/** Both words, when everything needed to compare them is here. */
export interface BothWords {
  /** What the peer holds: open and closed logs. */
  claims: LogClaim[]
  /** Its claims, doubts included, that are not mine. */
  unlike: LogClaim[]
}

export class Hellos {
  /** What I hold, as last announced. */
  summary: Summary | undefined
  /** The peer's newest word. */
  hello: Hello | undefined
  private peerOpen: LogClaim[] = []
  private peerClosed: LogClaim[] | undefined
  private peerDoubts: LogClaim[] = []
  /** The peer holds the claims of my closed logs with this digest. */
  private claimsSentFor: Uint8Array | undefined
  /** The digest of my closed logs that the peer has heard last. */
  private closedSaid: Uint8Array | undefined
  /** Both heads, mine first, at which the peer was sent my roster last. */
  private rosterSentFor: Uint8Array | undefined
  private statementsSentFor: Uint8Array | undefined
  private round = 0
  private owesHello = false
  private isUnheard = false
  private owesAnswer = 0
  /** Rounds somebody waits for, and the HELLO of mine whose answer ends each. */
  private asked: { id: number; round: number }[] = []
  private toCompare = false
  private summarising = false

  constructor(private readonly out: Outbox) {}

  /** Sends a HELLO that wants an answer, as soon as there is a fresh summary. */
  ask(): void {
    this.owesHello = true
    this.summarise()
  }

  /** Somebody waits for the peer's answer to a new HELLO. */
  askFor(id: number): void {
    // The first HELLOs crossed: only a second one is an answer.
    this.asked.push({ id, round: Math.max(2, this.round + 1) })
    this.ask()
  }

  /** Nothing shows that the peer has refused what I said. */
  get isHeard(): boolean {
    return !this.isUnheard
  }

  /** The peer doesn't know me yet: until its first HELLO it takes nothing that I say. */
  restart(): void {
    this.isUnheard = true
  }

  private beginAnew(): void {
    this.isUnheard = false
    this.owesHello = true
    this.round = 0
    this.closedSaid = undefined
    this.claimsSentFor = undefined
    this.statementsSentFor = undefined
  }

  /** Compares again, with a fresh summary. */
  compareAgain(): void {
    this.toCompare = true
    this.summarise()
  }

  private summarise(): void {
    if (this.summarising) return
    this.summarising = true
    this.out.put({ type: 'summarise' })
  }

  onSummary(summary: Summary): void {
    this.summarising = false
    this.summary = summary
  }

  sendDue(summary: Summary): void {
    const hasMoved = this.closedSaid !== undefined && !equalBytes(this.closedSaid, summary.closedDigest)
    // While my closed logs are not those that the peer has heard of, it may see nothing to tell me, and I would wait.
    if (!this.owesHello && this.owesAnswer === 0 && !hasMoved) return
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
      run: summary.run,
    }
    // Another digest makes the peer forget the claims that it holds, be they those of this one.
    if (hasMoved) this.claimsSentFor = undefined
    this.closedSaid = summary.closedDigest
    this.owesHello = false
    this.owesAnswer = 0
    this.out.send('live', { $case: 'hello', value: hello })
  }

  /** False if it ends the session. */
  onHello(hello: Hello): boolean {
    const code = refusalOf(hello)
    const open = claimsFromWire(hello.open)
    const doubts = claimsFromWire(hello.doubts)
    if (code || !open || !doubts) {
      this.out.close(code ?? 'malformed')
      return false
    }
    const first = this.hello === undefined
    if (!this.hello || !equalBytes(this.hello.closed, hello.closed)) this.peerClosed = undefined
    this.hello = hello
    if (hello.run.length === RUN_BYTES) this.out.put({ type: 'run', run: hello.run })
    this.peerOpen = open
    this.peerDoubts = doubts
    if (this.isUnheard) this.beginAnew()
    const answersOurFirst = first && hello.round === 1
    if (hello.round > 0 && !answersOurFirst) this.owesAnswer = hello.round
    this.compareAgain()
    return true
  }

  onClaims(claims: Claims): void {
    const closed = claimsFromWire(claims.closed)
    const cuts = cutsFromWire(claims.cuts)
    if (!closed || !cuts) return this.out.close('malformed')
    this.peerClosed = closed
    // An open log of mine may be closed or cut there: the peer must hear my word too.
    this.out.put({ type: 'learn', cuts, openings: claims.openings, claims: closed })
  }

  /** [X3] Both words, if there is something to compare; where closed logs differ, their claims and cuts come first. */
  compare(summary: Summary): BothWords | undefined {
    const { hello } = this
    if (!this.toCompare || !hello) return undefined
    if (!equalBytes(summary.practice, hello.practice)) {
      this.out.close('other-practice')
      return undefined
    }
    this.sendWhatDiffers(summary, hello)
    if (!equalBytes(summary.closedDigest, hello.closed) && !this.peerClosed) return undefined
    this.toCompare = false
    const claims = [...this.peerOpen, ...(this.peerClosed ?? summary.closed)]
    const own = new Map([...summary.open, ...summary.closed].map((log) => [log.log, log]))
    const unlike = [...claims, ...this.peerDoubts].filter((claim) => !sameClaim(claim, own.get(claim.log)))
    return { claims, unlike }
  }

  private sendWhatDiffers(summary: Summary, hello: Hello): void {
    // Mine may be another one since, with what I wrote again after my branch had lost.
    const heads = concat([summary.rosterHead, hello.rosterHead])
    if (!equalBytes(summary.rosterHead, hello.rosterHead) && !same(this.rosterSentFor, heads)) {
      this.rosterSentFor = heads
      this.out.put({ type: 'sendRoster' })
    }
    if (
      !equalBytes(summary.statements, hello.statements) &&
      !same(this.statementsSentFor, summary.statements)
    ) {
      this.statementsSentFor = summary.statements
      this.out.put({ type: 'sendStatements' })
    }
    if (!equalBytes(summary.closedDigest, hello.closed) && !same(this.claimsSentFor, summary.closedDigest)) {
      this.claimsSentFor = summary.closedDigest
      this.out.send('live', { $case: 'claims', value: closedToWire(summary.closed) })
    }
  }

  /** The rounds that this HELLO of the peer ends. Those of a HELLO that is still to go ask again. */
  answered(hello: Hello): number[] {
    const rounds = this.asked.filter(({ round }) => round <= hello.answers).map(({ id }) => id)
    this.asked = this.asked.filter(({ round }) => round > hello.answers)
    if (this.asked.some(({ round }) => round > this.round)) this.ask()
    return rounds
  }
}

function refusalOf(hello: Hello): 'peer-too-new' | 'peer-too-old' | undefined {
  if (hello.oldest > SYNC_VERSION) return 'peer-too-new'
  if (hello.newest < OLDEST_SYNC_VERSION) return 'peer-too-old'
  return undefined
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
