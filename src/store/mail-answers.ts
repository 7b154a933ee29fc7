/**
 * Damaged cases that another device asks for by mail (PROTOCOL.md, section 10): what goes into the answer, and whether an
 * answer's giver was far enough for it to count.
 */
import { toHex } from '../protocol/bytes.js'
import type { States } from '../protocol/envelope.gen.js'
import type { LogClaim } from '../protocol/frontier.js'
import { itemMessages } from '../protocol/items.js'
import type { Asked } from '../protocol/mail-answering.js'
import type { Reach } from '../protocol/mail-ledger.js'
import type { Item } from '../protocol/sync.gen.js'
import { claimToWire } from '../protocol/wire.js'
import { ForeignLogs, reachOf } from './foreign.js'
import { emptyPart, type PartsWriter } from './mail-out.js'
import { notGiven, readClaimed } from './reading.js'
import type { Replica } from './replica.js'
import { isRetained } from './retained.js'

/**
 * The cases that were asked for, one after the other, behind claims that show that I hold as much as was stated, and on the
 * same branch. Of those that aren't whole here what can be read; the last part names them.
 */
export class AnswerWriter implements PartsWriter {
  readonly ranges = []
  readonly bytes = 0
  private readonly rest: Uint8Array[]
  private messages: Item[][] = []
  private laterClaims: LogClaim[] = []

  private constructor(
    private readonly replica: Replica,
    private readonly set: Uint8Array,
    private readonly asked: Asked,
    private readonly claims: LogClaim[],
    /** Those of the cases that were not whole here when this began. */
    private readonly missing: Uint8Array[],
  ) {
    this.rest = [...asked.wanted]
  }

  static async open(replica: Replica, set: Uint8Array, asked: Asked): Promise<AnswerWriter> {
    // As they are stored, that what has rotted unnoticed is known; and before they are read, so that what comes to be whole
    // from here on is told to whoever hears that it isn't.
    for (const key of asked.wanted)
      await replica.exclusive(async () => {
        if (await replica.caseState(key).catch(() => undefined)) await replica.cases.unreadable([key])
      })
    const { missing } = await notGiven(replica, asked.wanted)
    const claims = await claimsUpTo(replica, asked.frontier)
    await replica.flush()
    return new AnswerWriter(replica, set, asked, claims, missing)
  }

  async next(index: number): Promise<States> {
    const part = { ...emptyPart(this.set, index), answers: this.asked.id }
    if (index === 0) return { ...part, claims: this.claims.map(claimToWire) }
    while (this.messages.length === 0 && this.rest.length > 0) {
      const read = await readClaimed(this.replica, [this.rest.shift()!], true)
      this.messages = itemMessages(read.items)
      this.laterClaims = read.claims
    }
    const items = this.messages.shift()
    if (items) return { ...part, items, claims: this.laterClaims.map(claimToWire) }
    return { ...part, missing: await this.notWhole(), last: true }
  }

  /** All of them can be read: what was left before may go. */
  get isSound(): boolean {
    return this.missing.length === 0
  }

  /** What has come to be damaged while they were read included; that it is said must be known after a power cut, too. */
  private async notWhole(): Promise<Uint8Array[]> {
    const { missing } = await notGiven(this.replica, this.asked.wanted)
    await this.replica.flush()
    return [...new Map([...this.missing, ...missing].map((key) => [toHex(key), key])).values()]
  }
}

/** All of an answer is in. */
export interface TakenAnswer {
  /** The asking's id. */
  asking: Uint8Array
  /** Those of the cases that aren't whole at its giver, either. */
  missing: Uint8Array[]
  /** Its giver held all that is held here, but for what is retained. */
  isAsFar: boolean
}

/** What I hold of each of these logs, as far as it goes there. */
async function claimsUpTo({ logs }: Replica, frontier: Reach): Promise<LogClaim[]> {
  const claims: LogClaim[] = []
  for (const [log, to] of frontier) {
    const held = logs.get(log)
    if (!held?.seq) continue
    const seq = Math.min(to, held.seq)
    const check = await logs.checkAt(log, seq)
    // Of a place whose check has rotted only the end of the log shows that I hold it.
    claims.push(check ? { log, seq, check } : { log, seq: held.seq, check: held.check })
  }
  return claims
}

/**
 * Whoever made these claims held all that I hold, on the same branch, but for what I retain: what it can't give whole is
 * nowhere in what I claim by its word.
 */
export async function isAsFar(replica: Replica, claims: LogClaim[]): Promise<boolean> {
  if ((await new ForeignLogs(replica, claims).among()).size > 0) return false
  const reach = reachOf(claims)
  for (const log of replica.logs.all()) {
    const from = reach(log.log)
    if (from < log.seq && !(await isRetained(replica, log, from))) return false
  }
  return true
}

/** Is any of these whole here by now? */
export async function isAnyWhole(replica: Replica, cases: Uint8Array[]): Promise<boolean> {
  for (const key of cases)
    if (!replica.damaged.has(toHex(key)) && (await replica.caseState(key).catch(() => undefined))) return true
  return false
}
