/** A sync session without a store: the test brings every event and looks at every effect. */
import { nodeNatives } from '../../src/node/natives.js'
import { toHex } from '../../src/protocol/bytes.js'
import { claimsDigest, type HeldLog, splitLogs } from '../../src/protocol/frontier.js'
import { OLDEST_SYNC_VERSION, SYNC_VERSION } from '../../src/protocol/limits.js'
import type { Hello } from '../../src/protocol/sync.gen.js'
import { type SessionOptions, SyncSession } from '../../src/protocol/sync.js'
import type { GrownRun, Summary, SyncEffect, SyncEvent } from '../../src/protocol/sync-types.js'
import { claimToWire, decodeFrame, type FrameKind } from '../../src/protocol/wire.js'
import type { TestLog } from './logs.js'

export const PEER = 'bb'.repeat(32)
export const PRACTICE = new Uint8Array(32).fill(7)

export type Effect<T extends SyncEffect['type']> = Extract<SyncEffect, { type: T }>
export type FrameOf<T extends FrameKind['$case']> = Extract<FrameKind, { $case: T }>['value']

/** A log as its holder keeps it, up to `seq`. */
export function heldLog(log: TestLog, seq = log.seq, cut?: number): HeldLog {
  const cutAt = cut === undefined ? undefined : { seq: cut, check: log.check(cut) }
  return { ...log.opening, ...log.claim(seq), cut: cutAt }
}

export function summaryOf(held: HeldLog[] = [], given: Partial<Summary> = {}): Summary {
  const { open, closed } = splitLogs(held, toHex)
  return {
    practice: PRACTICE,
    rosterHead: new Uint8Array(32),
    run: new Uint8Array(0),
    open,
    closed,
    closedDigest: claimsDigest(nodeNatives, closed),
    doubts: [],
    statements: new Uint8Array(16),
    cases: 0,
    complete: true,
    currentLog: undefined,
    retainedFrom: new Map(),
    ...given,
  }
}

/** The HELLO that a device with this summary sends. */
export function helloOf(summary: Summary, given: Partial<Hello> = {}): FrameKind {
  const value: Hello = {
    oldest: OLDEST_SYNC_VERSION,
    newest: SYNC_VERSION,
    practice: summary.practice,
    rosterHead: summary.rosterHead,
    round: 1,
    answers: 0,
    open: summary.open.map(claimToWire),
    closed: summary.closedDigest,
    doubts: summary.doubts.map(claimToWire),
    statements: summary.statements,
    complete: summary.complete,
    run: summary.run,
    ...given,
  }
  return { $case: 'hello', value }
}

export const grown = (log: TestLog, from: number, to = log.seq): GrownRun => ({
  run: log.run(from, to),
  opening: log.opening,
})

const BULK_KINDS: readonly FrameKind['$case'][] = ['begin', 'checks', 'items', 'end', 'fingerprints']

/** [X5] Every kind of message has its lane; CHANGES go in either, ITEMS that are early on the live one. */
function checkLane({ kind, lane, bytes }: Effect<'send'>): void {
  const frame = kind === 'items' ? decodeFrame(bytes) : undefined
  const isEarly = frame?.$case === 'items' && frame.value.early
  const own = BULK_KINDS.includes(kind) && !isEarly ? 'bulk' : 'live'
  const isRight = kind === 'changes' ? ['live', 'bulk'].includes(lane) : lane === own
  if (!isRight) throw new Error(`${kind} in lane "${lane}"`)
}

export class Machine {
  readonly session: SyncSession
  /** Effects of the newest event. */
  last: SyncEffect[] = []
  /** Effects of all events. */
  readonly all: SyncEffect[] = []

  constructor(options: Partial<SessionOptions> = {}) {
    this.session = new SyncSession({ member: true, peer: PEER, ...options })
  }

  start(): this {
    return this.note(this.session.start())
  }

  step(event: SyncEvent): this {
    return this.note(this.session.step(event))
  }

  receive(frame: FrameKind, bytes = 100): this {
    return this.step({ type: 'frame', frame, bytes })
  }

  private note(effects: SyncEffect[]): this {
    for (const sent of this.effects('send', effects)) checkLane(sent)
    this.last = effects
    this.all.push(...effects)
    return this
  }

  effects<T extends SyncEffect['type']>(type: T, of = this.last): Effect<T>[] {
    return of.filter((effect): effect is Effect<T> => effect.type === type)
  }

  /** Frames of one kind that the newest event sent. */
  sent<T extends FrameKind['$case']>($case: T, of = this.last): FrameOf<T>[] {
    const found: FrameOf<T>[] = []
    for (const { kind, bytes } of this.effects('send', of)) {
      if (kind === $case) found.push(decodeFrame(bytes)!.value as FrameOf<T>)
    }
    return found
  }

  /** Names of all frames that the newest event sent. */
  get kinds(): string[] {
    return this.effects('send').map(({ kind }) => kind)
  }

  get closed(): string | undefined {
    return this.effects('close', this.all)[0]?.code
  }

  /** Both HELLOs are exchanged: mine is `mine`, the peer's is of `theirs`; claims that differ aren't judged yet. */
  greet(mine: Summary, theirs: Summary, hello: Partial<Hello> = {}): this {
    return this.start()
      .step({ type: 'summary', summary: mine })
      .receive(helloOf(theirs, hello))
      .step({ type: 'summary', summary: mine })
  }
}
