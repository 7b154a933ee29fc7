/** Logs of a test's own: opened, chained and signed as a device would, without a store. */
import { nodeNatives } from '../../src/node/natives.js'
import { concat } from '../../src/protocol/bytes.js'
import type { ChangeRun, LogTip } from '../../src/protocol/door.js'
import { edPublicKey } from '../../src/protocol/ed25519.js'
import type { LogClaim } from '../../src/protocol/frontier.js'
import {
  checkOf,
  KIND_UPDATE,
  type LogChange,
  type LogId,
  type LogOpening,
  logIdBytes,
  logIdOf,
  nextHead,
  openingHead,
  signedHeadBytes,
} from '../../src/protocol/log.js'
import type { CheckStretch, TargetLog } from '../../src/protocol/transfer.js'
import type { Random } from './random.js'

const NONE = new Uint8Array(0)

export interface Keys {
  secret: Uint8Array
  ed: Uint8Array
}

export function makeKeys(random: Random): Keys {
  const secret = random.bytes(32)
  return { secret, ed: edPublicKey(secret) }
}

/** A change with some payload; what matters to a test is given. */
export function change(given: Partial<LogChange> = {}): LogChange {
  return {
    caseId: 'case-1',
    generation: 0,
    at: 1_700_000_000_000,
    kind: KIND_UPDATE,
    payload: Uint8Array.of(0, 0, 0),
    ...given,
  }
}

/** One author's log. Everything that others may hear of it can be asked for. */
export class TestLog {
  readonly opening: LogOpening
  readonly id: LogId
  readonly changes: LogChange[] = []
  /** Index is the sequence; 0 is the opening. */
  readonly heads: Uint8Array[]

  constructor(
    readonly practice: Uint8Array,
    readonly keys: Keys,
    random: Random,
    predecessor?: TestLog,
  ) {
    this.opening = {
      device: keys.ed,
      random: random.bytes(16),
      predecessor: predecessor ? logIdBytes(nodeNatives, predecessor.opening) : NONE,
    }
    this.id = logIdOf(nodeNatives, this.opening)
    this.heads = [openingHead(nodeNatives, this.opening)]
  }

  get seq(): number {
    return this.changes.length
  }

  add(...changes: LogChange[]): this {
    for (const each of changes) {
      this.changes.push(each)
      this.heads.push(nextHead(nodeNatives, this.heads.at(-1)!, this.changes.length, each))
    }
    return this
  }

  /** The same log up to `seq`, to be continued another way: what a restored copy does. */
  branch(seq: number): TestLog {
    const copy = Object.create(TestLog.prototype) as TestLog
    return Object.assign(copy, this, {
      changes: this.changes.slice(0, seq),
      heads: this.heads.slice(0, seq + 1),
    })
  }

  signature(seq: number): Uint8Array {
    const log = logIdBytes(nodeNatives, this.opening)
    const signed = signedHeadBytes(this.practice, log, seq, this.heads[seq]!)
    return nodeNatives.sign(this.keys.secret, signed)
  }

  /** The signed range (from..to]. */
  run(from = 0, to = this.seq): ChangeRun {
    return { log: this.id, from, changes: this.changes.slice(from, to), signature: this.signature(to) }
  }

  check(seq: number): Uint8Array {
    return checkOf(this.heads[seq]!)
  }

  checks(from = 0, to = this.seq): Uint8Array {
    return concat(this.heads.slice(from + 1, to + 1).map(checkOf))
  }

  claim(seq = this.seq): LogClaim {
    return { log: this.id, seq, check: this.check(seq) }
  }

  tip(seq: number, cut?: number): LogTip {
    const head = this.heads[seq]!
    const cutAt = cut === undefined ? undefined : { seq: cut, check: this.check(cut) }
    return { log: this.id, device: this.keys.ed, seq, head, cut: cutAt }
  }

  target(seq = this.seq, from = 0): TargetLog {
    return {
      log: this.id,
      seq,
      head: this.heads[seq]!,
      check: this.check(seq),
      signature: this.signature(seq),
      from,
      fromCheck: from > 0 ? this.check(from) : new Uint8Array(0),
    }
  }

  /** The checks behind a short target. */
  stretch(target: TargetLog): CheckStretch {
    const { seq, from } = target
    return { log: this.id, from, checks: this.checks(from, seq) }
  }
}
