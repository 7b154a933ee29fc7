/**
 * Opening and writing letters: between envelopes and the store. What opens enters by the same door as a direct change;
 * who may have written it is decided by the roster.
 */
import { equalBytes, fromHex, isZero } from '../protocol/bytes.js'
import type { Asking, Left, States, Word } from '../protocol/envelope.gen.js'
import {
  changesId,
  envelopeHeader,
  type LetterBody,
  type OpenedLetter,
  openEnvelope,
  sealEnvelope,
  statesId,
  wordId,
} from '../protocol/envelope.js'
import type { EnvelopeKeys } from '../protocol/epoch-keys.js'
import type { LogClaim } from '../protocol/frontier.js'
import type { LogId } from '../protocol/log.js'
import type { Written } from '../protocol/mail-types.js'
import { MAX_NOTICE_BYTES } from '../protocol/mailbox-limits.js'
import {
  claimsFromWire,
  claimToWire,
  cutsFromWire,
  cutToWire,
  openingToWire,
  runsFromWire,
} from '../protocol/wire.js'
import type { Given } from '../store/admitting.js'
import { cutLog, learnCuts } from '../store/healing.js'
import { changesLetter, LETTER_BYTES, ladderOf } from '../store/mail-out.js'
import { takeStates } from '../store/mail-sets.js'
import type { Replica } from '../store/replica.js'
import type { Statements } from '../store/statements.js'
import { type GivenAnswer, isSoundAsking } from './mail-asking.js'

/** What the roster says, as far as letters need it. */
export interface OfficeRoster {
  head(): Uint8Array
  /** A head of this device's own chain. */
  knows(head: Uint8Array): boolean
  isMember(ed: Uint8Array): boolean
  /** Keys of the newest epoch; undefined while this device lacks them. */
  newestKeys(): EnvelopeKeys | undefined
  keysOf(keyId: Uint8Array): EnvelopeKeys | undefined
}

export interface OfficeOptions {
  replica: Replica
  statements: Statements
  random: (bytes: number) => Uint8Array
  roster: OfficeRoster
}

/**
 * `taken`: all of it is in. `gap`: something before it is missing. `unknown`: written under a roster that isn't known
 * here. `useless`: it will never be of use.
 */
export type Admission =
  | { kind: 'taken'; advanced: LogId[]; changes: number; answer?: GivenAnswer }
  | { kind: 'gap'; advanced: LogId[]; changes: number }
  | { kind: 'unknown'; head: Uint8Array }
  | { kind: 'useless' }

export interface HeardWord {
  device: Uint8Array
  fresh: boolean
  left: Left[]
  incarnation: Uint8Array
  /** Its word newly shows another branch of some log than the one held here. */
  isDisputed: boolean
  /** It is older than what is known of this device. */
  isOutdated: boolean
  healed: boolean
  asking: Asking | undefined
}

interface Dispute {
  /** Where the log was cut when this began: another cut settles it. */
  cut: number | undefined
  /** Where others have claimed another branch: who holds no more than that must find a check of mine there. */
  places: Set<number>
}

interface Changes extends Given {
  kind: 'changes'
  sender: Uint8Array
  /** Of its payloads. */
  bytes: number
}

interface OtherLetter {
  kind: 'letter'
  sender: Uint8Array
  body: Exclude<LetterBody, { $case: 'changes' }>
}

/** Places of one log that are shown besides its ladder: the newest claims of a few devices. */
const MAX_PLACES = 16

export class MailOffice {
  /** Logs of which others hold another branch: my words show some of their checks. */
  private readonly disputed = new Map<LogId, Dispute>()

  constructor(private readonly options: OfficeOptions) {}

  // ---- in

  /** The letter in an envelope; undefined where it doesn't open. */
  open(envelope: Uint8Array): OpenedLetter | undefined {
    const { replica, roster } = this.options
    const header = envelopeHeader(envelope)
    const keys = header && roster.keysOf(header.keyId)
    return keys && openEnvelope(replica.natives, replica.options.practice, keys, envelope)
  }

  /**
   * Lets an envelope in. Written when it returns; durable after a flush.
   *
   * @param anyHead also if it was written under a roster that isn't known here, as after a fork of the roster.
   */
  async admit(envelope: Uint8Array, anyHead = false): Promise<Admission> {
    const [admission] = await this.admitEach([envelope], anyHead)
    return admission!
  }

  /** The same for several, one after the other; changes of one sender that follow each other are written together. */
  async admitEach(envelopes: Uint8Array[], anyHead = false): Promise<Admission[]> {
    const admissions: Admission[] = []
    let gathered: Changes[] = []
    const admitGathered = async () => {
      if (gathered.length > 0) admissions.push(...(await this.admitChanges(gathered)))
      gathered = []
    }
    for (const envelope of envelopes) {
      const letter = this.look(envelope, anyHead)
      const isChanges = letter.kind === 'changes'
      if (!isChanges || !mayFollow(letter, gathered)) await admitGathered()
      if (isChanges) gathered.push(letter)
      else admissions.push(letter.kind === 'letter' ? await this.admitLetter(letter) : letter)
    }
    await admitGathered()
    return admissions
  }

  private look(envelope: Uint8Array, anyHead: boolean): Admission | Changes | OtherLetter {
    const letter = this.open(envelope)
    if (!letter) return { kind: 'useless' }
    const { sender, body, rosterHead } = letter
    if (!anyHead && !this.options.roster.knows(rosterHead)) return { kind: 'unknown', head: rosterHead }
    if (body.$case !== 'changes') return { kind: 'letter', sender, body }
    const runs = runsFromWire(body.value)
    if (!runs || !this.mayGive(sender, runs)) return { kind: 'useless' }
    const bytes = runs.reduce(
      (sum, run) => run.changes.reduce((sum, { payload }) => sum + payload.length, sum),
      0,
    )
    return { kind: 'changes', sender, openings: body.value.openings, runs, bytes }
  }

  private async admitChanges(letters: Changes[]): Promise<Admission[]> {
    const outcomes = await this.options.replica.admitEach(letters, letters[0]!.sender)
    return outcomes.map(({ advanced, gaps, forks, refused }, at): Admission => {
      const changes = letters[at]!.runs.reduce(
        (sum, run) => sum + (advanced.includes(run.log) ? run.changes.length : 0),
        0,
      )
      for (const log of [...forks, ...refused.map((text) => text.slice(0, 32))]) this.dispute(log)
      if (gaps.length > 0) return { kind: 'gap', advanced, changes }
      if (forks.length + refused.length > 0 && advanced.length === 0) return { kind: 'useless' }
      return { kind: 'taken', advanced, changes }
    })
  }

  private async admitLetter({ sender, body }: OtherLetter): Promise<Admission> {
    const { replica, roster } = this.options
    if (body.$case === 'word') {
      await this.hear(sender, body.value)
      return { kind: 'taken', advanced: [], changes: 0 }
    }
    if (!roster.isMember(sender)) return { kind: 'useless' }
    const taken = await takeStates(replica, body.value)
    if (taken.kind === 'useless') return taken
    if (taken.kind === 'waits') return { kind: 'gap', advanced: [], changes: 0 }
    const { answer, advanced } = taken
    const changes = body.value.items.length
    return { kind: 'taken', advanced, changes, ...(answer && { answer: { ...answer, sender } }) }
  }

  /** Members give anything; who was removed gives its own logs only, up to their cuts. */
  private mayGive(sender: Uint8Array, runs: { log: LogId }[]): boolean {
    const { replica, roster } = this.options
    if (roster.isMember(sender)) return true
    return runs.every(({ log }) => {
      const held = replica.logs.get(log)
      return held?.cut !== undefined && equalBytes(held.device, sender)
    })
  }

  /** Takes over a notice of a device; undefined where it doesn't open or isn't its own. */
  async hearNotice(device: Uint8Array, sealed: Uint8Array): Promise<HeardWord | undefined> {
    const letter = this.open(sealed)
    if (letter?.body.$case !== 'word' || !equalBytes(letter.sender, device)) return undefined
    return this.hear(letter.sender, letter.body.value)
  }

  private async hear(device: Uint8Array, word: Word): Promise<HeardWord | undefined> {
    const { replica, statements, roster } = this.options
    const { statement } = word
    if (!statement || !equalBytes(statement.device, device) || !roster.isMember(device)) return undefined
    const fresh = (await statements.admitEach([statement])).length > 0
    await statements.admitEach(word.newer)
    const held = statements.of(device)
    const isOutdated = held !== undefined && !equalBytes(held.row.signature, statement.signature)
    const claims = claimsFromWire(statement.frontier)
    const cuts = cutsFromWire(word.cuts)
    let healed = cuts !== undefined && (await learnCuts(replica, cuts, word.openings, claims))
    const ladder = claimsFromWire(word.ladder) ?? []
    const contradicted = await this.contradicted(claims ?? [], ladder)
    let isDisputed = false
    for (const [log, place] of contradicted) {
      if (this.dispute(log, place)) isDisputed = true
      const rungs = ladder.filter((rung) => rung.log === log)
      if (rungs.length > 0 && (await this.cutByLadder(log, rungs))) healed = true
    }
    const { left, incarnation, asking } = word
    return {
      device,
      fresh,
      left,
      incarnation,
      isDisputed: isDisputed || (fresh && contradicted.size > 0),
      isOutdated,
      healed,
      asking: asking && isSoundAsking(asking) ? asking : undefined,
    }
  }

  /** Logs of which a word shows another branch: by its claims, or, where these are ahead of mine, by its ladder. */
  private async contradicted(claims: LogClaim[], ladder: LogClaim[]): Promise<Map<LogId, number>> {
    const { replica } = this.options
    const logs = new Map<LogId, number>()
    for (const { claim, verdict } of await replica.judge(claims)) {
      if (verdict === 'ahead' && claim.log === replica.liveLog) replica.leaveLog()
      if (verdict === 'fork') logs.set(claim.log, claim.seq)
    }
    for (const { log, seq, check } of ladder) {
      const mine = await replica.logs.checkAt(log, seq)
      // Who doesn't know its own any more can't prove what I claim, and has another branch for all that it can give me.
      const isUnknown = isZero(check) && seq !== replica.logs.get(log)?.seq
      if (mine && !isUnknown && !equalBytes(mine, check)) logs.set(log, seq)
    }
    return logs
  }

  /** True if that is new. */
  private dispute(log: LogId, place?: number): boolean {
    const held = this.options.replica.logs.get(log)
    if (!held) return false
    const known = this.disputed.get(log)
    const dispute =
      known && known.cut === held.cut?.seq ? known : { cut: held.cut?.seq, places: new Set<number>() }
    this.disputed.set(log, dispute)
    const isNew = dispute !== known || (place !== undefined && !dispute.places.has(place))
    if (place !== undefined) dispute.places = new Set([...dispute.places, place].slice(-MAX_PLACES))
    return isNew
  }

  /** Another branch of a log is told by some of its checks: cut at the highest that both hold. */
  private async cutByLadder(log: LogId, rungs: LogClaim[]): Promise<boolean> {
    const { replica } = this.options
    let common: { seq: number; check: Uint8Array } = { seq: 0, check: new Uint8Array(8) }
    for (const { seq, check } of rungs) {
      const mine = await replica.logs.checkAt(log, seq)
      if (mine && equalBytes(mine, check) && seq > common.seq) common = { seq, check }
    }
    return cutLog(replica, log, common.seq, common.check)
  }

  // ---- out

  /** undefined while this device lacks the newest epoch's key, or where there is nothing to give. */
  async writeChanges(from: Map<LogId, number>, attempt: number): Promise<Written | undefined> {
    const keys = this.options.roster.newestKeys()
    if (!keys) return undefined
    const { body, ranges, pruned } = await changesLetter(this.options.replica, from)
    if (ranges.length === 0) return { envelope: new Uint8Array(0), id: new Uint8Array(0), ranges, pruned }
    const id = changesId(keys, ranges, attempt)
    return { envelope: this.seal(keys, id, body), id, ranges, pruned }
  }

  /** One part of a transfer of whole states. */
  writePart(part: States): { envelope: Uint8Array; id: Uint8Array } | undefined {
    const keys = this.options.roster.newestKeys()
    if (!keys) return undefined
    const id = statesId(keys, part.set, part.index)
    return { envelope: this.seal(keys, id, { $case: 'states', value: part }), id }
  }

  /**
   * This device's word: what it durably holds, and how others can heal by it. Flushes first.
   *
   * @param outdated devices of which this relay shows an older word than the one that is held here.
   * @param asking which damaged cases it asks for; undefined where no answer could come.
   */
  async writeWord(
    left: Left[],
    incarnation: Uint8Array,
    outdated: Iterable<Uint8Array> = [],
    asking?: Asking,
  ): Promise<Uint8Array | undefined> {
    const { replica, statements, roster } = this.options
    const keys = roster.newestKeys()
    if (!keys) return undefined
    await replica.flush()
    await statements.state()
    const own = statements.of(replica.options.device.ed)
    const cut = [...replica.logs.all()].filter((log) => log.cut)
    const value: Word = {
      statement: own?.row,
      openings: cut.map(openingToWire),
      cuts: cut.map(cutToWire),
      ladder: (await this.ladders()).map(claimToWire),
      left,
      incarnation,
      newer: [...outdated].flatMap((device) => statements.of(device)?.row ?? []),
      asking,
    }
    const id = wordId(keys, replica.options.device.ed)
    let sealed = this.seal(keys, id, { $case: 'word', value })
    for (const shorten of SHORTER) {
      if (sealed.length <= MAX_NOTICE_BYTES) break
      shorten(value)
      sealed = this.seal(keys, id, { $case: 'word', value })
    }
    return sealed
  }

  private async ladders(): Promise<LogClaim[]> {
    const { replica } = this.options
    const ladder: LogClaim[] = []
    for (const [log, { cut, places }] of this.disputed) {
      // A cut that has fallen since has settled it.
      if (replica.logs.get(log)?.cut?.seq !== cut) this.disputed.delete(log)
      else for (const rung of await ladderOf(replica, log, places)) ladder.push({ log, ...rung })
    }
    return ladder
  }

  private seal(keys: EnvelopeKeys, id: Uint8Array, body: LetterBody): Uint8Array {
    const { replica, random, roster } = this.options
    const { natives, options } = replica
    return sealEnvelope({
      natives,
      random,
      practice: options.practice,
      keys,
      id,
      sender: { ed: options.device.ed, secret: options.device.secret },
      rosterHead: roster.head(),
      body,
    })
  }
}

/** What a word that is too large for a relay can go without, the least missed first; its statement always stays. */
const SHORTER: ((word: Word) => void)[] = [
  (word) => {
    word.newer = []
  },
  (word) => {
    word.left = []
  },
  (word) => {
    word.ladder = word.ladder.slice(0, MAX_RUNGS)
  },
  (word) => {
    word.cuts = word.cuts.slice(-MAX_CUTS)
    word.openings = word.openings.slice(-MAX_CUTS)
  },
]
const MAX_RUNGS = 4_096
const MAX_CUTS = 1_024

/** As much as one letter may hold is written together: it is all in memory until then. */
function mayFollow({ sender, bytes }: Changes, gathered: Changes[]): boolean {
  const sum = gathered.reduce((sum, each) => sum + each.bytes, bytes)
  return sum <= LETTER_BYTES && gathered.every((each) => equalBytes(each.sender, sender))
}

/** How far what waits for a recipient reaches, as a word says it; `counter`: of the recipient's newest word. */
export function leftToWire(recipient: string, reach: ReadonlyMap<LogId, number>, counter: number): Left {
  const frontier = [...reach].map(([log, seq]) => ({ log: fromHex(log), seq, check: NO_CHECK }))
  return { recipient: fromHex(recipient), frontier, counter }
}

const NO_CHECK = new Uint8Array(0)
