/** What a device has left at its relays, as it is kept. Losing it costs a repeated deposit, no more: no flush. */
import { fromHex, toHex } from '../protocol/bytes.js'
import type { LedgerState } from '../protocol/mail-ledger.js'
import { keys } from './keyspace.js'
import { LedgerRow } from './records.gen.js'
import type { Replica } from './replica.js'
import type { Write } from './sealed-db.js'

export async function readLedger(replica: Replica, relay: Uint8Array): Promise<LedgerState> {
  const stored = await replica.db.get(keys.ledger(relay)).catch(() => undefined)
  const row = LedgerRow.decode(stored ?? new Uint8Array(0))
  const rows = row.recipients.map(({ recipient, attempt, live, answer }) => {
    const mails = live.map(({ ids, ranges, bytes, lacks }) => ({
      ids,
      ranges: ranges.map(({ log, from, to }) => ({ log: toHex(log), from, to })),
      bytes,
      lacks,
    }))
    return [toHex(recipient), { attempt, live: mails, answer }] as const
  })
  return { incarnation: row.incarnation, sequence: row.sequence, rows: new Map(rows) }
}

export function ledgerWrite(relay: Uint8Array, { incarnation, sequence, rows }: LedgerState): Write {
  const recipients = [...rows].map(([recipient, { attempt, live, answer }]) => ({
    recipient: fromHex(recipient),
    attempt,
    answer,
    live: live.map(({ ids, ranges, bytes, lacks = false }) => ({
      ids,
      ranges: ranges.map(({ log, from, to }) => ({ log: fromHex(log), from, to })),
      bytes,
      lacks,
    })),
  }))
  return { key: keys.ledger(relay), value: LedgerRow.encode({ incarnation, sequence, recipients }).finish() }
}
