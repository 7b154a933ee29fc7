/** One deposit against what is held: decided at once, without waiting, by the rules [B2], [B3] and [B4]. */
import { equalBytes, toHex } from '../../src/protocol/bytes.js'
import { MAX_PENDING_MAILS } from '../../src/protocol/mailbox-limits.js'
import type { Decision, View } from './committer.js'
import type { Write } from './database.js'
import { keys } from './keys.js'
import type { StoredDeposit } from './mail-store.js'
import { decodeMail, encodeMail, encodeWaiting, type MailRow } from './rows.js'
import { type PracticeState, release, sequenceWrite } from './state.js'

export type Deposited = { sequence: number; fresh: Uint8Array[] } | { error: 'full' | 'not-member' }

/** Which rows `decideDeposit` looks at. */
export function depositKeys(practice: Uint8Array, { id, replaces }: StoredDeposit): Uint8Array[] {
  return [id, ...replaces].map((each) => keys.mail(practice, each))
}

export function decideDeposit(
  state: PracticeState,
  deposit: StoredDeposit,
  quotaBytes: number,
  view: View,
): Decision<Deposited> {
  const { practice } = state
  const { id, depositor, recipients, envelope } = deposit
  const isMember = (key: Uint8Array) => state.members.has(toHex(key))
  if (!isMember(depositor) || recipients.length === 0 || !recipients.every(isMember))
    return { writes: [], value: { error: 'not-member' } }
  const held = mailOf(view, practice, id)
  const fresh = recipients.filter(
    (recipient) => !held?.pending.some((each) => equalBytes(each.recipient, recipient)),
  )
  const replaced = replace(state, deposit, view)
  const isOver =
    state.bytes - replaced.bytes + envelope.length > quotaBytes ||
    state.mails - replaced.mails >= MAX_PENDING_MAILS
  if (!held && isOver) return { writes: [], value: { error: 'full' } }

  const sequence = fresh.length > 0 ? state.sequence + 1 : newest(held, recipients)
  // Each that it waits for anew has as much time to come as for any other.
  const at = Math.max(held?.at ?? 0, !held || fresh.length > 0 ? deposit.at : 0)
  const mail: MailRow = { ...(held ?? { depositor, bytes: envelope.length, pending: [] }), at }
  const pending = [...mail.pending, ...fresh.map((recipient) => ({ recipient, sequence }))]
  const writes: Write[] = [...replaced.writes]
  if (!held) {
    writes.push({ key: keys.body(practice, id), value: envelope })
    state.mails += 1
    state.bytes += envelope.length
  }
  if (held?.at !== at) {
    if (held) writes.push({ key: keys.expiry(held.at, practice, id) })
    writes.push({ key: keys.expiry(at, practice, id), value: new Uint8Array(0) })
  }
  if (fresh.length > 0) {
    writes.push({ key: keys.mail(practice, id), value: encodeMail({ ...mail, pending }) })
    for (const recipient of fresh)
      writes.push({ key: keys.row(practice, recipient, sequence, id), value: encodeWaiting(mail) })
    state.sequence = sequence
    writes.push(sequenceWrite(state))
  }
  state.mails -= replaced.mails
  state.bytes -= replaced.bytes
  state.rows += fresh.length - replaced.rows
  const durable = () => {
    state.durableSequence = Math.max(state.durableSequence, sequence)
  }
  return { writes, value: { sequence, fresh }, durable }
}

/** [B4] What goes with the deposit, and what that frees. */
function replace(state: PracticeState, deposit: StoredDeposit, view: View) {
  const freed = { writes: [] as Write[], mails: 0, bytes: 0, rows: 0 }
  const done = new Set([toHex(deposit.id)])
  for (const id of deposit.replaces) {
    if (done.has(toHex(id))) continue
    done.add(toHex(id))
    const mail = mailOf(view, state.practice, id)
    if (!mail || !equalBytes(mail.depositor, deposit.depositor)) continue
    const isNamed = (recipient: Uint8Array) => deposit.recipients.some((each) => equalBytes(each, recipient))
    const { writes, left, released } = release(state.practice, id, mail, isNamed)
    freed.writes.push(...writes)
    freed.rows += released
    if (left) continue
    freed.mails += 1
    freed.bytes += mail.bytes
  }
  return freed
}

export function mailOf(view: View, practice: Uint8Array, id: Uint8Array): MailRow | undefined {
  const value = view(keys.mail(practice, id))
  return value && decodeMail(value)
}

/** Where the named recipients have it already. */
function newest(held: MailRow | undefined, recipients: readonly Uint8Array[]): number {
  const named = held?.pending.filter(({ recipient }) =>
    recipients.some((each) => equalBytes(each, recipient)),
  )
  return Math.max(0, ...(named ?? []).map(({ sequence }) => sequence))
}
