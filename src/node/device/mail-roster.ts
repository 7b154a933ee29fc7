/** What mail asks of the roster: its head, the keys of its epochs, who collects, and where its relays are. */
import { equalBytes, toHex } from '../../protocol/bytes.js'
import { type EnvelopeKeys, envelopeKeys } from '../../protocol/epoch-keys.js'
import { isAddress } from '../../protocol/invitation.js'
import type { MailDriverOptions } from '../mail-driver-session.js'
import type { RosterKeeper } from './roster-keeper.js'

/** Relays of one practice: more help nobody. */
export const MAX_RELAYS = 8

/** Addresses of the practice's relays, as its settings name them. */
export function relayAddresses(keeper: RosterKeeper): string[] {
  const relays = keeper.current?.opened.settings.get('relays')
  if (!Array.isArray(relays)) return []
  return relays
    .filter((address): address is string => typeof address === 'string' && isAddress(address))
    .slice(0, MAX_RELAYS)
}

/** Whether a device of the practice uses the cloud mailbox. */
export function collectsMail(keeper: RosterKeeper, ed: Uint8Array): boolean {
  const collects = keeper.current?.opened.settings.get('collectsMail')
  return (
    typeof collects === 'object' &&
    collects !== null &&
    Reflect.get(collects, toHex(ed)) === true &&
    keeper.isMember(ed)
  )
}

export function mailRoster(
  keeper: RosterKeeper,
  apply: (entries: Uint8Array[]) => Promise<boolean>,
): MailDriverOptions['roster'] {
  const state = () => {
    if (!keeper.current) throw new Error('mail needs a practice')
    return keeper.current
  }
  const keysByEpoch = new Map<number, EnvelopeKeys>()
  const keysOfEpoch = (number: number): EnvelopeKeys | undefined => {
    const key = state().opened.epochKeys.get(number)
    if (!key) return undefined
    const known = keysByEpoch.get(number)
    // Of two branches of a roster each may have begun the same epoch.
    if (known && equalBytes(known.keyId, state().roster.keyIds[number - 1]!)) return known
    const derived = envelopeKeys({ practice: state().roster.practiceId, number, key })
    keysByEpoch.set(number, derived)
    return derived
  }
  return {
    head: () => state().roster.head,
    knows: (head) => state().roster.hashes.some((hash) => equalBytes(hash, head)),
    entries: () => [...state().roster.entries],
    isMember: (ed) => keeper.isMember(ed),
    apply,
    newestKeys: () => keysOfEpoch(state().roster.epoch),
    keysOf: (keyId) => {
      const at = state().roster.keyIds.findIndex((each) => equalBytes(each, keyId))
      return at < 0 ? undefined : keysOfEpoch(at + 1)
    },
    others: () => keeper.others(),
    collectors: () => keeper.others().filter((ed) => collectsMail(keeper, ed)),
  }
}
