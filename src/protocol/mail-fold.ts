/**
 * Folding: many small deposits that wait for one recipient become one, so that what waits is bounded by what changed
 * and not by how long somebody was away.
 */
import { mayLack } from './mail-answering.js'
import type { DepositJob } from './mail-deposit.js'
import { type LiveMail, type MailLedger, reachWith } from './mail-ledger.js'
import type { Survey } from './mail-plan.js'
import type { Rests } from './mail-rests.js'
import { MAX_REPLACES } from './mailbox-limits.js'

/** So many small envelopes are taken together. */
export const FOLD_AT = 24
/** An envelope of this size is not written again for the sake of folding. */
export const FULL_BYTES = 256 * 1024
/** From here on whole states may take less room than all the changes. */
export const WEIGH_BYTES = 4 * 1024 * 1024

const sum = (live: readonly LiveMail[]) => live.reduce((bytes, mail) => bytes + mail.bytes, 0)

/** The next folding worth doing, if there is one. `weighed`: where whole states were found to be larger. */
export function foldingFor(
  survey: Survey,
  ledger: MailLedger,
  weighed: ReadonlyMap<string, number>,
  wantsStates: ReadonlySet<string>,
  rests: Rests,
): DepositJob | undefined {
  const held = new Map(survey.logs.map(({ log, seq }) => [log, seq]))
  for (const { device, known } of survey.recipients) {
    if (rests.leftMs(device, survey.now) > 0) continue
    const { live: all, attempt } = ledger.row(device)
    const live = ledger.replaceable(device, held)
    const bytes = sum(live)
    const replaces = live.flatMap(({ ids }) => ids).slice(0, MAX_REPLACES)
    if (wantsStates.has(device) && live.length > 1)
      return {
        kind: 'states',
        recipients: [device],
        from: new Map(known),
        attempt,
        replaces,
        mayLack: mayLack(survey, [device]),
      }
    if (bytes >= WEIGH_BYTES && bytes >= 2 * (weighed.get(device) ?? 0) && live.length > 1) {
      const unlessBytes = Math.floor(bytes / 2)
      return { kind: 'states', recipients: [device], from: new Map(known), attempt, replaces, unlessBytes }
    }
    const small = live.filter(
      (mail) => mail.bytes < FULL_BYTES && mail.ranges.length > 0 && mail.ids.length === 1,
    )
    if (small.length < FOLD_AT) continue
    const base = reachWith(
      known,
      all.filter((mail) => !small.includes(mail)),
    )
    const until = reachWith(base, small)
    const from = new Map(
      [...until].filter(([log, seq]) => seq > (base.get(log) ?? 0)).map(([log]) => [log, base.get(log) ?? 0]),
    )
    if (from.size === 0) continue
    const end = new Map([...until].filter(([log]) => from.has(log)))
    return {
      kind: 'changes',
      recipients: [device],
      from,
      attempt,
      replaces: small.flatMap(({ ids }) => ids).slice(0, MAX_REPLACES),
      until: end,
    }
  }
  return undefined
}
