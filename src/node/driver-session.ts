/** What the driver is given, and what it keeps of each connected peer. */
import { toHex } from '../protocol/bytes.js'
import type { LogClaim } from '../protocol/frontier.js'
import type { LogId } from '../protocol/log.js'
import { SyncSession } from '../protocol/sync.js'
import type { CloseCode, SyncEvent, TimerName } from '../protocol/sync-types.js'
import type { SaidClaims } from '../store/doubts.js'
import type { Told } from '../store/outgoing.js'
import type { Replica } from '../store/replica.js'
import type { Statements } from '../store/statements.js'
import type { IncomingTransfer } from '../store/transfers.js'

/** One connected peer, as the driver needs it. */
export interface Link {
  publicKey: Uint8Array
  send(lane: 'live' | 'bulk', bytes: Uint8Array): void
  /** What was sent leaves before anything else is done: somebody waits for it. */
  flush?(): void
  /** Resolves when most of the bulk that was sent has left; undefined if it has now, or where nothing is queued. */
  whenBulkLow?(): Promise<void> | undefined
  close(code: CloseCode | 'stopped'): void
}

export interface Timers {
  /** Calls back once; returns how to cancel. */
  after(ms: number, run: () => void): () => void
}

export interface DriverOptions {
  replica: Replica
  statements: Statements
  timers: Timers
  roster: {
    head(): Uint8Array
    entries(): Uint8Array[]
    isMember(ed: Uint8Array): boolean
    /** Takes entries over if they extend or win over mine; says whether anything changed. */
    apply(entries: Uint8Array[]): Promise<boolean>
    /** The chain of a stranger, who belongs in it, and that has lost against mine. */
    hasLost?(entries: Uint8Array[], ed: Uint8Array): boolean
    /** Keys of all members but me. */
    others(): readonly Uint8Array[]
  }
  /** Of this process, `RUN_BYTES`; without it nobody can notice another process with the same key. */
  run?: Uint8Array
  /** Mail that could bring what is missing is still to be looked at; false where it was all taken in. */
  mailPending?: () => boolean | undefined
  events?: DriverEvents
}

export interface DriverEvents {
  status?: () => void
  closed?: (peer: string, code: CloseCode | 'lost' | 'stopped') => void
  failed?: (error: unknown) => void
  /** A peer's word and mine were compared: we understand each other. */
  compared?: (peer: string) => void
  /** Something is held that was not before, here or by another device, as far as its word tells. */
  changed?: () => void
  /** What is held here was stated anew. */
  stated?: () => void
  /** A peer has seen another process with this device's key. */
  twin?: () => void
  /** Where a peer says that it can be reached. */
  addresses?: (peer: string, addresses: string[]) => void
}

/** A damaged case that a peer was asked for. */
export interface Wanted {
  /** What was held then, by the peer as well. */
  held: ReadonlyMap<LogId, number>
  /** Nothing has come; a copy has; whatever comes is of no more use, for more is claimed of the case by now. */
  state: 'open' | 'given' | 'over'
}

export interface RoundResult {
  equal: boolean
  complete: boolean
  peerHasMore: boolean
}

/** A session with what the driver keeps beside it. */
export class PeerSession {
  readonly peer: string
  /** The peer's key, an object of this session's own: what is taken in names by it who gave it, and in which session. */
  readonly giver: Uint8Array
  readonly machine: SyncSession
  /** Work that must happen in the order of the frames that caused it. */
  work: Promise<void> = Promise.resolve()
  pendingBytes = 0
  bytesDue = 0
  claimsDue = new Set<LogId>()
  incoming: IncomingTransfer | undefined
  wantsTake = false
  /** The cursor that the last TAKE named. */
  takeAfter: Uint8Array = new Uint8Array(0)
  /** What BEGIN has told of my logs. */
  told: Told | undefined
  /** What its cases came on that are ahead of its changes. */
  readonly said: SaidClaims = new Map()
  /** What it holds by its word. */
  readonly holds = new Map<LogId, LogClaim>()
  lastRound: RoundResult | undefined
  /** How far it gave each log: it holds that, though it acknowledges none of it. */
  readonly gave = new Map<LogId, number>()
  /** Damaged cases that were asked for since both words were compared. */
  readonly wanted = new Map<string, Wanted>()
  /** The peer believes that I am connected to others, too. */
  saidNeighbours = false
  /** The last claim in an acknowledgement that contradicted what is held: asked about once. */
  noticedFork: string | undefined
  readonly waiting = new Map<number, (result: RoundResult | undefined) => void>()
  readonly asked = new Map<
    number,
    { pairs: Uint8Array[]; resolve: (pairs: Uint8Array[] | undefined) => void }
  >()
  readonly timers = new Map<TimerName, () => void>()
  open = true

  constructor(
    readonly link: Link,
    member: boolean,
  ) {
    this.peer = toHex(link.publicKey)
    this.giver = link.publicKey.slice()
    this.machine = new SyncSession({ member, peer: this.peer })
  }
}

/** What the parts of the driver see of each other: all sessions, and how to bring an event to one. */
export interface Sessions {
  readonly all: ReadonlyMap<string, PeerSession>
  readonly isStopped: boolean
  step(session: PeerSession, event: SyncEvent): void
  /** Work on the store in the order of the session's frames; what it throws ends the session. */
  inOrder(session: PeerSession, work: () => Promise<void>): void
  /** A fresh HELLO on each session but `except`. */
  askRounds(except?: PeerSession): void
}

/** First byte of a ROSTER message: field 3, length-delimited. */
const ROSTER_TAG = 0x1a
/** First bytes of HELLO, REFUSE, ALIVE, NEIGHBOURS, ADDRESSES and TWIN. */
const GREETING_TAGS = [0x0a, 0x72, 0x7a, 0x8a, 0xa2, 0xb2]
const GREETING_BYTES = 64 * 1024
/** The largest roster that a stranger may show. */
const STRANGER_BYTES = 1024 * 1024

/**
 * What a stranger's message is, without decoding it. Of a stranger only a roster is read, and not a large one;
 * a device that takes me for one of its own has said a few small things before it was refused.
 */
export function strangersMessage(bytes: Uint8Array): 'roster' | 'greeting' | 'unwelcome' {
  if (bytes[0] === ROSTER_TAG && bytes.length <= STRANGER_BYTES) return 'roster'
  return bytes.length <= GREETING_BYTES && GREETING_TAGS.includes(bytes[0] ?? 0) ? 'greeting' : 'unwelcome'
}
