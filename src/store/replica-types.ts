/** What a replica (replica.ts) is given, and what it gives. */
import type { Doc } from 'yjs'
import type { ChangeRun } from '../protocol/door.js'
import type { LogId, LogOpening } from '../protocol/log.js'
import type { Natives } from '../protocol/natives.js'
import type { Notepad } from './jottings.js'
import type { SealedDb } from './sealed-db.js'

export interface ReplicaOptions {
  db: SealedDb
  natives: Natives
  random: (bytes: number) => Uint8Array
  /** Milliseconds, for display only. */
  now: () => number
  /** A fresh Yjs client id for every opened document. */
  newClientId: () => number
  practice: Uint8Array
  indexKey: Uint8Array
  device: { ed: Uint8Array; secret: Uint8Array }
  /** May this device write? Asked for every log that is not known yet. */
  isMember: (ed: Uint8Array) => boolean
  /** False while this device is the only one: payloads are then not retained for anybody. */
  hasOthers: () => boolean
  /** Where letters are jotted down while nobody could take them; without one each edit becomes a change at once. */
  notepad?: Notepad | undefined
  /** With others in the practice: is anybody connected who could take a change now? Without it, always. */
  isAwaited?: () => boolean
  /** Resolves when windows have been given what has just reached their documents; without it, storing goes first. */
  whenShown?: () => Promise<void>
  /** Machine, path and inode of the folder; another one means a copy, and a new log. */
  binding: string
}

/** One change to append to my own log. `update` is a raw Yjs update, empty for a tombstone. */
export interface LocalChange {
  caseId: string
  kind: number
  update: Uint8Array
  /** The update as it came coded. Coded here, it might be longer than a payload may be. */
  payload?: Uint8Array
  /** Of a tombstone; otherwise the case's own. */
  generation?: number
  /** The open document that the update came from: it holds it already. */
  from?: Doc
  /** It was confirmed before: it is taken even where others have filled the case meanwhile. */
  isConfirmed?: boolean
}

export type AppendOutcome = { ok: true } | { ok: false; code: 'too-large' | 'case-full'; caseId: string }

/** Runs that were just taken in, from me or from another device. */
export interface Growth {
  runs: { run: ChangeRun; opening: LogOpening }[]
  caseKeys: Uint8Array[]
  /** The device that handed them over; undefined for my own. */
  from: Uint8Array | undefined
}

export interface ReplicaEvents {
  grown?: (growth: Growth) => void
  /** Something was jotted down: it becomes a change when the documents are settled. */
  jotted?: () => void
  /** Rows changed; undefined ids mean many. */
  cases?: (ids: string[]) => void
  /** A sentence worth keeping in the device's log. */
  healed?: (what: 'old-copy' | 'fork') => void
  /**
   * Nothing of a damaged case can be read on any device, or only what it holds: that goes on under another id; or
   * something waits in one that ended for what is not there.
   */
  ended?: (how: 'lost' | 'renamed' | 'waiting') => void
}

export interface AdmitOutcome {
  /** Logs that now reach further. */
  advanced: LogId[]
  gaps: { log: LogId; from: number }[]
  /** Branches that can't be brought together without a cut. */
  forks: LogId[]
  refused: string[]
}
