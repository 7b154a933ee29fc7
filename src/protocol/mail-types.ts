/** What goes into and comes out of a mail session (mail.ts): events, effects, and the values they carry. */

import type { Left } from './envelope.gen.js'
import type { LogRange } from './envelope.js'
import type { LogId } from './log.js'
import type { Asked } from './mail-answering.js'
import type { Reach } from './mail-ledger.js'
import type { Survey } from './mail-plan.js'
import type { Inventory, Mail } from './mailbox.gen.js'
import type { MailFrameKind } from './mailbox-wire.js'

/** What became of mail that was handed over. */
export interface Taken {
  /** Durable here, or of no use: the relay may forget it. */
  done: Uint8Array[]
  /** Content that something is still missing for. */
  held: Mail[]
  /** My own word, sealed: it covers what is done. */
  word: Uint8Array
}

/** Changes sealed in an envelope; without one nothing was left to give. */
export interface Written {
  envelope: Uint8Array
  id: Uint8Array
  ranges: LogRange[]
  /** Logs of which the changes are not retained any more: their reader needs whole states. */
  pruned: LogId[]
}

/** A transfer of whole states about to be written. */
export interface StatesOpened {
  set: Uint8Array
  ranges: { log: LogId; from: number; to: number }[]
  /** About how many bytes it will have. */
  bytes: number
  /** What it replaces may go with its first part: all that it holds could be read. */
  isSound?: boolean
}

export interface StatesPart {
  envelope: Uint8Array
  id: Uint8Array
  last: boolean
  /** Cases that could not be read here: what was left before may be the last that holds them. */
  missing?: Uint8Array[]
}

/** Another device's word, taken over. */
export interface Heard {
  /** Hex of its key. */
  device: string
  known: Reach
  unusable: Uint8Array[]
  /** The number of its newest word. */
  counter: number
  /** It has spoken since it was last heard. */
  fresh: boolean
  /** What it says it left at this relay; undefined where the word came another way. */
  left: Left[] | undefined
  incarnation: Uint8Array
  /** Which asking for damaged cases of its stands, and whether it waits for my answer no more; undefined: not known. */
  asking?: { id: Uint8Array; isOver: boolean } | undefined
}

export type MailEvent =
  | { type: 'frame'; frame: MailFrameKind }
  | { type: 'malformed' }
  /** My own roster may have changed, or the relay's was looked at. */
  | { type: 'rosterChanged' }
  | { type: 'taken'; taken: Taken }
  | { type: 'heard'; heard: Heard }
  /** Something grew, was acknowledged, connected, or was set: who lacks what is to be looked at again. */
  | { type: 'changed' }
  /** What I hold has changed: others shall hear it. */
  | { type: 'stated' }
  /** Somebody waits; `anew`: who has just begun to, so that a relay that was full is asked again. */
  | { type: 'hurry'; anew?: boolean }
  | { type: 'surveyed'; survey: Survey }
  | { type: 'written'; written: Written | undefined }
  | { type: 'statesOpened'; opened: StatesOpened }
  | { type: 'part'; part: StatesPart }
  | { type: 'worded'; word: Uint8Array }
  | { type: 'ask'; question: number }
  | { type: 'leave'; question: number }
  | { type: 'window'; open: boolean }
  | { type: 'timer'; name: MailTimer }

export type MailTimer =
  | 'greet'
  | 'gather'
  | 'again'
  | 'word'
  | 'ack'
  | 'suspect'
  | 'alive'
  | 'held'
  | 'more'
  | 'seek'

export type MailEffect =
  | { type: 'send'; lane: 'live' | 'bulk'; bytes: Uint8Array }
  | { type: 'applyRoster'; entries: Uint8Array[] }
  /**
   * Open each, let it in by the one door, flush, state. `held` came earlier and fits only behind something else.
   * `final`: what still misses something never gets it.
   */
  | { type: 'take'; mails: Mail[]; held: Mail[]; final: boolean }
  /** Others say that they left something for me: if that isn't here, I speak again, so that they stop counting on it. */
  | { type: 'seekLeft' }
  | { type: 'hear'; notices: { device: Uint8Array; sealed: Uint8Array }[] }
  | { type: 'survey' }
  | { type: 'write'; from: Map<LogId, number>; attempt: number }
  /** `mayLack`: all recipients count what is named as missing as damaged; `isAnew`: parts of broken-off ones are there. */
  | { type: 'openStates'; base: Map<LogId, number>; mayLack: boolean; isAnew?: boolean }
  | { type: 'openAnswer'; asked: Asked }
  | { type: 'writePart'; index: number }
  | { type: 'makeWord' }
  /** The ledger changed and is worth keeping; needs no flush. */
  | { type: 'keepLedger' }
  /** What a person sees may have changed. */
  | { type: 'status' }
  | { type: 'inventory'; question: number; inventory: Inventory }
  | { type: 'left'; question: number; ok: boolean }
  | { type: 'full'; full: boolean }
  | { type: 'arm'; name: MailTimer; ms: number }
  | { type: 'disarm'; name: MailTimer }
  | { type: 'close'; code: MailCloseCode }

export type MailCloseCode =
  | 'refused'
  | 'malformed'
  | 'relay-too-old'
  | 'relay-too-new'
  | 'contested'
  | 'silent'
  | 'stopping'
