/**
 * Damaged cases by mail: whom to give those that it asks for, and who may be told that some can't be read here.
 *
 *  [L10] who asks for damaged cases is given them once for each asking, by whoever holds all that it has stated;
 *  [L11] cases that their giver can't read are named in whole states only to who counts them as damaged then, too, and
 *        such states take the place of nothing.
 */
import { equalBytes } from './bytes.js'
import type { LogId } from './log.js'
import type { DepositJob } from './mail-deposit.js'
import type { MailLedger, Reach } from './mail-ledger.js'
import type { Survey } from './mail-plan.js'
import type { Rests } from './mail-rests.js'
import { MAX_REPLACES } from './mailbox-limits.js'

/** Damaged cases that a device asks for. */
export interface Asked {
  /** The asking's id. */
  id: Uint8Array
  wanted: Uint8Array[]
  /** How far who asks has stated to hold each log. */
  frontier: Reach
}

export interface Asks extends Asked {
  /** Something that I said wasn't whole here is by now. */
  isMended: boolean
}

/** [L11] Each of them counts cases as damaged that whole states name as missing. */
export const mayLack = (survey: Survey, recipients: readonly string[]): boolean =>
  recipients.every((recipient) => survey.recipients.find(({ device }) => device === recipient)?.asks)

/** Under which name answers to a device rest [L7]: what else it lacks is given meanwhile. */
export const answerTo = (device: string) => `answer to ${device}`

/**
 * [L10] Whom to give damaged cases now: not who has stated more than I hold, and may lack of them what I lack myself; and
 * not by mail who is connected, and asks directly.
 *
 * @returns the answer that is due, or when one is that was in vain.
 */
export function answerFor(
  { recipients, logs, now }: Survey,
  ledger: MailLedger,
  rests: Rests,
): { job?: DepositJob; againMs?: number } {
  const held = new Map(logs.map(({ log, seq }) => [log, seq]))
  let againMs: number | undefined
  for (const { device, connected, asks } of recipients) {
    if (!asks || connected || asks.wanted.length === 0) continue
    const { answer } = ledger.row(device)
    const isAnswered = answer !== undefined && equalBytes(answer.asking, asks.id) && !asks.isMended
    if (isAnswered || [...asks.frontier].some(([log, seq]) => (held.get(log) ?? 0) < seq)) continue
    // Parts of answers that were broken off: no more before they are collected.
    const unfinished = answer?.asking.length === 0 ? answer.ids : []
    if (unfinished.length >= MAX_REPLACES) continue
    const restMs = Math.max(rests.leftMs(device, now), rests.leftMs(answerTo(device), now))
    if (restMs > 0) againMs = Math.min(againMs ?? restMs, restMs)
    else {
      const from = new Map<LogId, number>()
      return {
        job: { kind: 'answer', recipients: [device], from, attempt: 0, replaces: unfinished, asked: asks },
      }
    }
  }
  return againMs === undefined ? {} : { againMs }
}
