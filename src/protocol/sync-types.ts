/** What goes into and comes out of a sync session (sync.ts): events, effects, and the values they carry. */
import type { ChangeRun } from './door.js'
import type { ForkPoint } from './fork.js'
import type { HeldLog, LogClaim, Verdict } from './frontier.js'
import type { LogId, LogOpening } from './log.js'
import type { Item, Statement } from './sync.gen.js'
import type { CheckRange, CheckStretch, TargetLog } from './transfer.js'
import type { FrameKind, LogCut } from './wire.js'

/** What I durably hold, as a HELLO announces it. Built after a flush. */
export interface Summary {
  practice: Uint8Array
  rosterHead: Uint8Array
  /** Drawn at the start of this process; empty: not named. */
  run: Uint8Array
  open: HeldLog[]
  closed: HeldLog[]
  closedDigest: Uint8Array
  /** Claims that content was taken on but the frontier has not confirmed. */
  doubts: LogClaim[]
  statements: Uint8Array
  cases: number
  /** Nothing unclaimed, nothing damaged. */
  complete: boolean
  /** My log that I append to. */
  currentLog: LogId | undefined
  /** From where each log's changes are still retained. */
  retainedFrom: Map<LogId, number>
}

/** Changes just taken in, mine or another device's. */
export interface GrownRun {
  run: ChangeRun
  opening: LogOpening
}

export type SyncEvent =
  | { type: 'summary'; summary: Summary }
  | { type: 'frame'; frame: FrameKind; bytes: number }
  | { type: 'malformed' }
  | { type: 'judged'; verdicts: { claim: LogClaim; verdict: Verdict }[] }
  | { type: 'learned' }
  | { type: 'grown'; runs: GrownRun[]; caseKeys: Uint8Array[]; from: string | undefined }
  | {
      type: 'changesRead'
      runs: ChangeRun[]
      openings: LogOpening[]
      reached: Map<LogId, number>
      done: boolean
      pruned: LogId[]
    }
  | { type: 'checksRead'; stretches: CheckStretch[] }
  | {
      type: 'itemsRead'
      items: Item[]
      after: Uint8Array
      done: boolean
      missing?: Uint8Array[]
      /** Of what came to me after BEGIN. */
      claims?: LogClaim[]
    }
  | { type: 'casesRead'; items: Item[]; claims: LogClaim[]; openings: LogOpening[] }
  | { type: 'statesOpened'; target: TargetLog[]; openings: LogOpening[]; claims: LogClaim[]; cases: number }
  | {
      type: 'applied'
      advanced: LogId[]
      gaps: { log: LogId; from: number }[]
      forks: LogId[]
      refused: string[]
    }
  | { type: 'durable'; claims: LogClaim[]; cursor: Uint8Array | undefined; bytes: number }
  | { type: 'takeReady'; transfer: number; after: Uint8Array; claims: LogClaim[] }
  | { type: 'transferEnded' }
  | { type: 'rosterApplied'; member: boolean }
  | { type: 'neighbours'; devices: Uint8Array[] }
  | { type: 'statements'; statements: Statement[] }
  | { type: 'addresses'; addresses: string[] }
  | { type: 'roundAsked'; round: number }
  | { type: 'timer'; name: TimerName }

export type TimerName = 'alive' | 'early' | 'forward' | 'stranger'

export type SyncEffect =
  | { type: 'send'; lane: 'live' | 'bulk'; kind: FrameKind['$case']; bytes: Uint8Array; changes: number }
  /** Flush, then bring a `summary`. */
  | { type: 'summarise' }
  | { type: 'judge'; claims: LogClaim[] }
  | { type: 'learn'; cuts: LogCut[]; openings: LogOpening[]; claims: LogClaim[] }
  /** The peer's claim of `log` up to `seq` contradicts what is held. */
  | { type: 'sendFork'; log: LogId; seq: number }
  | { type: 'narrowFork'; log: LogId; points: ForkPoint[] }
  | { type: 'leaveLog' }
  | { type: 'apply'; openings: LogOpening[]; runs: ChangeRun[]; bytes: number }
  | { type: 'readChanges'; from: Map<LogId, number> }
  | { type: 'openStates'; frontier: Map<LogId, number> }
  | { type: 'readChecks'; ranges: CheckRange[] }
  | { type: 'readItems'; after: Uint8Array; frontier: Map<LogId, number> }
  /** `early`: nobody asked for them. */
  | { type: 'readCases'; keys: Uint8Array[]; early: boolean }
  | { type: 'wantTake' }
  | {
      type: 'beginTransfer'
      target: TargetLog[]
      openings: LogOpening[]
      claims: LogClaim[]
      cases: number
      bytes: number
    }
  | { type: 'takeChecks'; stretches: CheckStretch[]; bytes: number }
  | {
      type: 'takeItems'
      items: Item[]
      early: boolean
      claims: LogClaim[]
      openings: LogOpening[]
      /** Keys of cases that their giver could not read, up to the last of these. */
      missing: Uint8Array[]
      bytes: number
    }
  | { type: 'endTransfer'; missing: Uint8Array[] }
  /** Of what the peer was asked for, what it does not have whole, either, and what it has and can't give. */
  | { type: 'notGiven'; missing: Uint8Array[]; kept: Uint8Array[] }
  | { type: 'applyRoster'; entries: Uint8Array[] }
  | { type: 'sendRoster' }
  | { type: 'admitStatements'; statements: Statement[] }
  | { type: 'sendStatements' }
  /** The peer durably holds this much of these logs; `all` replaces what was known before. */
  | { type: 'peerHolds'; claims: LogClaim[]; all: boolean }
  /** Both words are compared: do we hold the same, and has it anything that I lack? Ends the rounds asked for. */
  | { type: 'round'; rounds: number[]; equal: boolean; complete: boolean; peerHasMore: boolean }
  | { type: 'addresses'; addresses: string[] }
  /** The peer names the run of its process. */
  | { type: 'run'; run: Uint8Array }
  /** The peer has seen another process with my key. */
  | { type: 'twin' }
  | { type: 'answerAsk'; question: number }
  | { type: 'fingerprints'; question: number; pairs: Uint8Array; last: boolean }
  | { type: 'arm'; name: TimerName; ms: number }
  | { type: 'disarm'; name: TimerName }
  | { type: 'close'; code: CloseCode }

export type CloseCode =
  | 'refused'
  | 'malformed'
  | 'peer-too-old'
  | 'peer-too-new'
  | 'other-practice'
  | 'silent'
