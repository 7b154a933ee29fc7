/**
 * One deposit at a time: letters of changes, or all parts of a transfer of whole states, each left at the relay before
 * the next is written. What it replaces goes with its last one.
 */

import type { LogId } from './log.js'
import type { LiveMail, MailLedger } from './mail-ledger.js'
import type { MailEffect, StatesOpened, StatesPart, Written } from './mail-types.js'

export interface DepositJob {
  /** Hex of their keys. */
  recipients: string[]
  from: Map<LogId, number>
  attempt: number
  kind: 'changes' | 'states'
  /** Earlier deposits that this one stands for. */
  replaces: Uint8Array[]
  /** Where the last letter ends; without it one letter is enough. */
  until?: Map<LogId, number>
  /** Only if it takes fewer bytes. */
  unlessBytes?: number
}

/** How a job ended: `dropped` where the relay or the content did not allow it. */
export type JobEnd = {
  outcome: 'done' | 'dropped' | 'nothing' | 'needs-states' | 'too-large'
  error?: string
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
  private sent: { id: Uint8Array; bytes: number; ranges: LiveMail['ranges']; last: boolean } | undefined
  private opened: StatesOpened | undefined

  constructor(
    readonly job: DepositJob,
    private readonly ledger: MailLedger,
  ) {
    this.from = new Map(job.from)
  }

  /** What to do first. */
  start(): MailEffect {
    if (this.job.kind === 'states') return { type: 'openStates', base: this.from }
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
    if (opened.ranges.length === 0) return { outcome: 'nothing' }
    if (this.job.unlessBytes !== undefined && opened.bytes > this.job.unlessBytes)
      return { outcome: 'too-large' }
    this.opened = opened
    return { type: 'writePart', index: this.index }
  }

  onPart({ id, envelope, last }: StatesPart): Outgoing {
    return this.out(id, envelope, last ? (this.opened?.ranges ?? []) : [], last)
  }

  /** The relay has answered. Returns what to do next, or how it ended. */
  onDone(error: string): MailEffect | JobEnd {
    const { sent, job, mail, ledger } = this
    if (!sent) return { outcome: 'dropped' }
    this.sent = undefined
    if (error !== '') return { outcome: 'dropped', error }
    if (job.kind === 'states') {
      mail.ids.push(sent.id)
      mail.bytes += sent.bytes
      mail.ranges = sent.ranges
      for (const recipient of job.recipients) ledger.add(recipient, mail, sent.last ? job.replaces : [])
      if (sent.last) return { outcome: 'done' }
      return { type: 'writePart', index: ++this.index }
    }
    const left: LiveMail = { ids: [sent.id], ranges: sent.ranges, bytes: sent.bytes }
    for (const recipient of job.recipients) ledger.add(recipient, left, sent.last ? job.replaces : [])
    if (sent.last) return { outcome: 'done' }
    return { type: 'write', from: new Map(this.from), attempt: job.attempt }
  }

  private isAtEnd(): boolean {
    const { until } = this.job
    return !until || [...until].every(([log, seq]) => (this.from.get(log) ?? 0) >= seq)
  }

  private out(id: Uint8Array, envelope: Uint8Array, ranges: LiveMail['ranges'], last: boolean): Outgoing {
    const plain = ranges.map(({ log, from, to }) => ({ log, from, to }))
    this.sent = { id, bytes: envelope.length, ranges: plain, last }
    return { id, envelope, recipients: this.job.recipients, replaces: last ? this.job.replaces : [] }
  }
}
