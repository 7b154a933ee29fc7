/** At which addresses a device is dialled: those that it tells of itself, and where it shows itself on this network. */

export interface KnownPeer {
  addresses: string[]
  lastSeen: number | null
}

const MAX_SIGHTED = 8
/** So many are tried in the time of one dial where nothing answers at all. */
const PORTION = 2

/**
 * Where devices show themselves on this network. Anybody there can say anything of anybody, so it is kept apart from what
 * they tell of themselves, and no longer than this process runs.
 */
export class PeerSightings {
  private readonly last = new Map<string, readonly string[]>()

  /** True if somewhere else than the last time. */
  note(peer: string, addresses: readonly string[]): boolean {
    const before = this.last.get(peer) ?? []
    const now = addresses.slice(0, MAX_SIGHTED)
    this.last.set(peer, now)
    return now.some((address) => !before.includes(address))
  }

  of(peer: string): readonly string[] {
    return this.last.get(peer) ?? []
  }
}

/**
 * What a dial tries after so many in vain. They are tried one after the other, and one that leads nowhere takes its time:
 * so every other dial tries a few only, each time the next ones, that all of them have their turn.
 */
export function addressesToDial(
  known: readonly string[],
  sighted: readonly string[],
  failures: number,
): string[] {
  const all = [...new Set([...sighted, ...known])]
  if (failures % 2 === 0 || all.length === 0) return all
  const from = (((failures + 1) / 2) * PORTION) % all.length
  return all.slice(from, from + PORTION)
}
