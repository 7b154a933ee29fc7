/**
 * What to leave at the relay now: which recipients lack which logs from where, and whose turn it is to give them.
 *
 *  [P1] an author gives its own changes at once; a device that is connected directly has a few seconds to take them;
 *  [P2] others' changes are given on by a device that holds them only when their author didn't in time, and given back to
 *       it only when it didn't say in time that it has them; at once where the author has no mailbox;
 *  [P3] several devices that could do it take turns in an order of their own for each log;
 *  [P4] what another device says it has left for a recipient counts, until that recipient has spoken since.
 */
import { concat, fromHex, toHex } from './bytes.js'
import type { LogId } from './log.js'
import { type Asks, mayLack } from './mail-answering.js'
import type { LeftClaims } from './mail-claims.js'
import type { DepositJob } from './mail-deposit.js'
import type { MailLedger, Reach } from './mail-ledger.js'
import type { Rests } from './mail-rests.js'
import { MAX_REPLACES } from './mailbox-limits.js'
import type { Natives } from './natives.js'

/** A direct acknowledgement comes in milliseconds; after this the mailbox is the safer way. */
export const DIRECT_WAIT_MS = 4_000
/** An author that is online has left its changes long before, and has said that it has them. */
export const FORWARD_MAIL_MS = 12_000
/** Each further device that could step in waits so much longer. */
export const TURN_MS = 3_000
/** What two envelopes of changes could not bring, whole states may. */
const STATES_FROM_ATTEMPT = 2

export interface SurveyLog {
  log: LogId
  seq: number
  /** Hex of its author's key. */
  device: string
}

export interface SurveyRecipient {
  device: string
  /** By its own newest word. */
  known: Reach
  /** The number of that word; 0 if it has never spoken. */
  counter: number
  /** A session with it stands. */
  connected: boolean
  /** What it asks for; undefined where its word doesn't say: it knows nothing of cases that are named as missing. */
  asks?: Asks | undefined
}

/** What is held, and who collects mail: taken after a flush. */
export interface Survey {
  /** Monotonic milliseconds. */
  now: number
  self: string
  logs: SurveyLog[]
  /** All devices that collect mail, but this one. */
  recipients: SurveyRecipient[]
  /** Devices that collect mail and could give as well as this one can: those connected directly. */
  near: string[]
}

export interface Due {
  recipients: string[]
  /** Logs to give, and where each begins. */
  from: Map<LogId, number>
}

export interface Plan {
  due: Due[]
  /** When something not yet due becomes so; undefined if nothing waits. */
  againMs: number | undefined
}

/** Since when a recipient lacks a log, by its place: begins anew with every step forward. */
export type Lacks = Map<string, { from: number; since: number }>

export interface PlanInput {
  natives: Natives
  survey: Survey
  ledger: MailLedger
  claims: LeftClaims
  rests: Rests
  lacks: Lacks
  /** Somebody waits: nobody is given time to do it instead. */
  hurry: boolean
}

export function planDeposits(input: PlanInput): Plan {
  const { survey, ledger, claims, lacks, rests } = input
  const groups = new Map<string, Due>()
  const seen = new Set<string>()
  let againMs: number | undefined
  for (const recipient of survey.recipients) {
    const reach = ledger.reach(recipient.device, recipient.known, claims.for(recipient.device))
    const restMs = rests.leftMs(recipient.device, survey.now)
    const from = new Map<LogId, number>()
    for (const log of survey.logs) {
      const at = reach.get(log.log) ?? 0
      if (log.seq <= at) continue
      const place = `${recipient.device} ${log.log}`
      seen.add(place)
      const lack = lacks.get(place)
      const since = lack?.from === at ? lack.since : survey.now
      lacks.set(place, { from: at, since })
      const leftMs = Math.max(restMs, since + delayMs(input, recipient, log) - survey.now)
      if (leftMs <= 0) from.set(log.log, at)
      else againMs = Math.min(againMs ?? leftMs, leftMs)
    }
    if (from.size === 0) continue
    const key = [...from].map(([log, at]) => `${log}:${at}`).join()
    const group = groups.get(key)
    if (group) group.recipients.push(recipient.device)
    else groups.set(key, { recipients: [recipient.device], from })
  }
  for (const place of lacks.keys()) if (!seen.has(place)) lacks.delete(place)
  return { due: [...groups.values()], againMs }
}

function delayMs({ natives, survey, hurry }: PlanInput, recipient: SurveyRecipient, log: SurveyLog): number {
  const direct = recipient.connected ? DIRECT_WAIT_MS : 0
  if (hurry || log.device === survey.self) return direct
  const speaksItself = survey.recipients.some(({ device }) => device === log.device)
  return Math.max(direct, (speaksItself ? FORWARD_MAIL_MS : 0) + TURN_MS * turnOf(natives, survey, log.log))
}

/** [P3] How many of those near come before this device. */
function turnOf(natives: Natives, { self, near }: Survey, log: LogId): number {
  const rank = (device: string) => toHex(natives.sha256(concat([fromHex(device), fromHex(log)])))
  const own = rank(self)
  return near.filter((device) => rank(device) < own).length
}

/** How to give what is due: as changes, or as whole states where one of the recipients needs these. */
export function depositFor(
  due: Due,
  survey: Survey,
  ledger: MailLedger,
  wantsStates: ReadonlySet<string>,
): DepositJob {
  const attempt = Math.max(...due.recipients.map((recipient) => ledger.row(recipient).attempt))
  const first = due.recipients.find((recipient) => wantsStates.has(recipient))
  if (first === undefined && attempt < STATES_FROM_ATTEMPT)
    return { kind: 'changes', recipients: due.recipients, from: due.from, attempt, replaces: [] }
  // Whole states begin at what the recipients have said themselves, and stand for what was left before.
  const of = first ?? due.recipients[0]!
  const known = knownOf(survey, of)
  // Who may lack nothing, as one that has never spoken, keeps nobody else from what can be given.
  const isLike = (recipient: string) => mayLack(survey, [recipient]) === mayLack(survey, [of])
  const recipients = due.recipients.filter(
    (recipient) => isLike(recipient) && isSame(knownOf(survey, recipient), known),
  )
  const held = new Map(survey.logs.map(({ log, seq }) => [log, seq]))
  const ids = recipients.flatMap((recipient) =>
    ledger.replaceable(recipient, held).flatMap((mail) => mail.ids),
  )
  const replaces = [...new Map(ids.map((id) => [toHex(id), id])).values()].slice(0, MAX_REPLACES)
  return {
    kind: 'states',
    recipients,
    from: new Map(known),
    attempt,
    replaces,
    mayLack: mayLack(survey, recipients),
  }
}

const knownOf = (survey: Survey, recipient: string): Reach =>
  survey.recipients.find(({ device }) => device === recipient)?.known ?? new Map()

const isSame = (a: Reach, b: Reach) => a.size === b.size && [...a].every(([log, seq]) => b.get(log) === seq)
