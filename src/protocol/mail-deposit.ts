/**
 * One deposit at a time: letters of changes, or all parts of a transfer of whole states, each left at the relay before
 * the next is written. What it replaces goes with its last one; with its first one what was left of transfers that were
 * broken off.
 */

import { toHex } from './bytes.js'
import type { LogId } from './log.js'
import type { Asked } from './mail-answering.js'
import type { LiveMail, MailLedger } from './mail-ledger.js'
import type { MailEffect, StatesOpened, StatesPart, Written } from './mail-types.js'

export interface DepositJob {
  /** Hex of their keys. */
  recipients: string[]
  from: Map<LogId, number>
  attempt: number
  kind: 'changes' | 'states' | 'answer'
  /** Earlier deposits that this one stands for. */
  replaces: Uint8Array[]
  /** Where the last letter ends; without it one letter is enough. */
  until?: Map<LogId, number>
  /** Only if it takes fewer bytes. */
  unlessBytes?: number
  /** Of states: all recipients count what is named as missing as damaged. */
  mayLack?: boolean
  /** Of an answer: what was asked. */
  asked?: Asked
}

/** How a job ended: `dropped` where the relay or the content did not allow it. */
export type JobEnd = {
  outcome: 'done' | 'dropped' | 'nothing' | 'needs-states' | 'too-large'
  error?: string
}

const NOT_WHOLE = new Uint8Array(0)

/** What waits for the relay's answer. */
interface Sent {
  id: Uint8Array
  bytes: number
  ranges: LiveMail['ranges']
  last: boolean
  replaces: Uint8Array[]
}

/** The envelope to send now, and what stands for it in the ledger. */
export interface Outgoing {
  id: Uint8Array
  envelope: Uint8Array
  recipients: string[]
  replaces: Uint8Array[]
}

export class Depositing {
  private readonly mail: LiveMail = { ids: [], ranges: [], bytes: 0 }
  private readonly from: Map<LogId, number>
  private index = 0
  private sent: Sent | undefined
  private opened: StatesOpened | undefined
  private replaces: Uint8Array[]
  /** Parts of whole states that were broken off. */
  private brokenOff: Uint8Array[]
  private missing: Uint8Array[] = []

  constructor(
    readonly job: DepositJob,
    private readonly ledger: MailLedger,
  ) {
    this.from = new Map(job.from)
    this.replaces = job.replaces
    this.brokenOff = job.kind === 'states' ? ledger.brokenOff(job.recipients) : []
  }

  /** What to do first. */
  start(): MailEffect {
    const { kind, asked, mayLack = false } = this.job
    if (asked) return { type: 'openAnswer', asked }
    const isAnew = this.brokenOff.length > 0
    if (kind === 'states') return { type: 'openStates', base: this.from, mayLack, ...(isAnew && { isAnew }) }
    return { type: 'write', from: new Map(this.from), attempt: this.job.attempt }
  }

  onWritten(written: Written | undefined): Outgoing | JobEnd {
    if (!written) return { outcome: 'nothing' }
    if (written.pruned.length > 0 && written.ranges.length === 0) return { outcome: 'needs-states' }
    if (written.ranges.length === 0) return { outcome: 'nothing' }
    for (const { log, to } of written.ranges) this.from.set(log, to)
    return this.out(written.id, written.envelope, written.ranges, this.isAtEnd())
  }

  onOpened(opened: StatesOpened): MailEffect | JobEnd {
    if (opened.ranges.length === 0 && !this.job.asked) return { outcome: 'nothing' }
    if (this.job.unlessBytes !== undefined && opened.bytes > this.job.unlessBytes)
      return { outcome: 'too-large' }
    this.opened = opened
    if (this.job.asked && !opened.isSound) this.replaces = []
    if (!opened.isSound) this.brokenOff = []
    return { type: 'writePart', index: this.index }
  }

  onPart({ id, envelope, last, missing = [] }: StatesPart): Outgoing {
    this.missing = missing
    // [L11]
    if (missing.length > 0) this.replaces = []
    return this.out(id, envelope, last ? (this.opened?.ranges ?? []) : [], last)
  }

  /** The relay has answered. Returns what to do next, or how it ended. */
  onDone(error: string): MailEffect | JobEnd {
    const { sent, job, mail, ledger } = this
    if (!sent) return { outcome: 'dropped' }
    this.sent = undefined
    if (error !== '') return { outcome: 'dropped', error }
    if (job.kind !== 'changes') {
      mail.ids.push(sent.id)
      mail.bytes += sent.bytes
      mail.ranges = sent.ranges
      if (this.missing.length > 0) mail.lacks = true
      if (!job.asked) for (const recipient of job.recipients) ledger.add(recipient, mail, sent.replaces)
      else this.noteAnswer(job.asked, sent.last)
      if (sent.last) return { outcome: 'done' }
      return { type: 'writePart', index: ++this.index }
    }
    const left: LiveMail = { ids: [sent.id], ranges: sent.ranges, bytes: sent.bytes }
    for (const recipient of job.recipients) ledger.add(recipient, left, sent.replaces)
    if (sent.last) return { outcome: 'done' }
    return { type: 'write', from: new Map(this.from), attempt: job.attempt }
  }

  /** What was left before of an answer that was broken off has gone with the first part of this one, or stays. */
  private noteAnswer({ id }: Asked, isWhole: boolean): void {
    const { job, mail, ledger, missing, replaces } = this
    const gone = new Set(replaces.map(toHex))
    const old = job.replaces.filter((each) => !gone.has(toHex(each)))
    const [asking, ids] = isWhole ? [id, mail.ids] : [NOT_WHOLE, [...old, ...mail.ids]]
    for (const recipient of job.recipients) ledger.answered(recipient, { asking, ids, missing })
  }

  private isAtEnd(): boolean {
    const { until } = this.job
    return !until || [...until].every(([log, seq]) => (this.from.get(log) ?? 0) >= seq)
  }

  private out(id: Uint8Array, envelope: Uint8Array, ranges: LiveMail['ranges'], last: boolean): Outgoing {
    const plain = ranges.map(({ log, from, to }) => ({ log, from, to }))
    const replaces = this.replacedBy(last)
    this.sent = { id, bytes: envelope.length, ranges: plain, last, replaces }
    return { id, envelope, recipients: this.job.recipients, replaces }
  }

  /** What was broken off goes with the first part, or each that is broken off would stay and fill the mailbox. */
  private replacedBy(last: boolean): Uint8Array[] {
    if (this.job.asked) return this.index === 0 ? this.replaces : []
    if (last) return this.replaces
    return this.index === 0 ? this.brokenOff : []
  }
}
