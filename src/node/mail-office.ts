/**
 * Opening and writing letters: between envelopes and the store. What opens enters by the same door as a direct change;
 * who may have written it is decided by the roster.
 */
import { equalBytes, fromHex } from '../protocol/bytes.js'
import type { Left, States, Word } from '../protocol/envelope.gen.js'
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
import {
  claimsFromWire,
  claimToWire,
  cutsFromWire,
  cutToWire,
  openingToWire,
  runsFromWire,
} from '../protocol/wire.js'
import { cutLog, learnCuts } from '../store/healing.js'
import { changesLetter, ladderOf } from '../store/mail-out.js'
import { takeStates } from '../store/mail-sets.js'
import type { Replica } from '../store/replica.js'
import type { Statements } from '../store/statements.js'

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
  | { kind: 'taken'; advanced: LogId[]; changes: number }
  | { kind: 'gap'; advanced: LogId[]; changes: number }
  | { kind: 'unknown'; head: Uint8Array }
  | { kind: 'useless' }

export interface HeardWord {
  device: Uint8Array
  fresh: boolean
  left: Left[]
  incarnation: Uint8Array
  /** Its statement holds another branch of these logs than this device does. */
  disputed: LogId[]
  healed: boolean
}

export class MailOffice {
  /** Logs of which others hold another branch: the next word shows some of their checks. */
  readonly disputed = new Set<LogId>()

  constructor(private readonly options: OfficeOptions) {}

  // ---- in

  /** The letter in an envelope; undefined where it doesn't open. */
  open(envelope: Uint8Array): OpenedLetter | undefined {
    const { replica, roster } = this.options
    const header = envelopeHeader(envelope)
    const keys = header && roster.keysOf(header.keyId)
    return keys && openEnvelope(replica.natives, replica.options.practice, keys, envelope)
  }

  /** Lets an envelope in. Written when it returns; durable after a flush. */
  async admit(envelope: Uint8Array): Promise<Admission> {
    const { replica, roster } = this.options
    const letter = this.open(envelope)
    if (!letter) return { kind: 'useless' }
    if (!roster.knows(letter.rosterHead)) return { kind: 'unknown', head: letter.rosterHead }
    const { sender, body } = letter
    switch (body.$case) {
      case 'changes': {
        const runs = runsFromWire(body.value)
        if (!runs || !this.mayGive(sender, runs)) return { kind: 'useless' }
        const outcome = await replica.admit(body.value.openings, runs, sender)
        const { advanced } = outcome
        const changes = runs.reduce(
          (sum, run) => sum + (advanced.includes(run.log) ? run.changes.length : 0),
          0,
        )
        for (const log of [...outcome.forks, ...outcome.refused.map((text) => text.slice(0, 32))])
          if (replica.logs.get(log)) this.disputed.add(log)
        if (outcome.gaps.length > 0) return { kind: 'gap', advanced, changes }
        if (outcome.forks.length + outcome.refused.length > 0 && advanced.length === 0)
          return { kind: 'useless' }
        return { kind: 'taken', advanced, changes }
      }
      case 'states': {
        if (!roster.isMember(sender)) return { kind: 'useless' }
        const taken = await takeStates(replica, body.value)
        if (taken.kind === 'useless') return taken
        if (taken.kind === 'waits') return { kind: 'gap', advanced: [], changes: 0 }
        return { ...taken, changes: body.value.items.length }
      }
      case 'word':
        await this.hear(sender, body.value)
        return { kind: 'taken', advanced: [], changes: 0 }
    }
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
    const cuts = cutsFromWire(word.cuts)
    let healed = cuts !== undefined && (await learnCuts(replica, cuts, word.openings))
    const claims = claimsFromWire(statement.frontier) ?? []
    const ladder = claimsFromWire(word.ladder) ?? []
    const disputed: LogId[] = []
    for (const { claim, verdict } of await replica.judge(claims)) {
      if (verdict === 'ahead' && claim.log === replica.liveLog) replica.leaveLog()
      if (verdict !== 'fork') continue
      disputed.push(claim.log)
      this.disputed.add(claim.log)
      const rungs = ladder.filter(({ log }) => log === claim.log)
      if (rungs.length > 0 && (await this.cutByLadder(claim.log, rungs))) healed = true
    }
    return { device, fresh, left: word.left, incarnation: word.incarnation, disputed, healed }
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

  /** This device's word: what it durably holds, and how others can heal by it. Flushes first. */
  async writeWord(left: Left[], incarnation: Uint8Array): Promise<Uint8Array | undefined> {
    const { replica, statements, roster } = this.options
    const keys = roster.newestKeys()
    if (!keys) return undefined
    await replica.flush()
    await statements.state()
    const own = statements.of(replica.options.device.ed)
    const logs = [...replica.logs.all()]
    const cut = logs.filter((log) => log.cut)
    const ladder: LogClaim[] = []
    for (const log of this.disputed) {
      // Once it is cut there is nothing to dispute.
      if (replica.logs.get(log)?.cut) this.disputed.delete(log)
      else for (const rung of await ladderOf(replica, log)) ladder.push({ log, ...rung })
    }
    const value: Word = {
      statement: own?.row,
      openings: cut.map(openingToWire),
      cuts: cut.map(cutToWire),
      ladder: ladder.map(claimToWire),
      left,
      incarnation,
    }
    return this.seal(keys, wordId(keys, replica.options.device.ed), { $case: 'word', value })
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

/** How far what waits for a recipient reaches, as a word says it. */
export function leftToWire(recipient: string, reach: ReadonlyMap<LogId, number>): Left {
  const frontier = [...reach].map(([log, seq]) => ({ log: fromHex(log), seq, check: NO_CHECK }))
  return { recipient: fromHex(recipient), frontier }
}

const NO_CHECK = new Uint8Array(0)
