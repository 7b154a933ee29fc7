/** Who refused, or was refused: two that take nothing from each other meet later each time, for both verify rosters then. */
const FIRST_REST_MS = 200
const LAST_REST_MS = 20_000

export class PeerRests {
  private readonly rests = new Map<string, number>()

  refused(peer: string): void {
    const before = this.rests.get(peer)
    this.rests.set(peer, before === undefined ? FIRST_REST_MS : Math.min(LAST_REST_MS, 2 * before))
  }

  /** How long it is left alone from now on. */
  restMs(peer: string): number {
    return this.rests.get(peer) ?? 0
  }

  /** A session has stood for so long. */
  stood(peer: string, ms: number): void {
    if (ms > LAST_REST_MS) this.rests.delete(peer)
  }

  /** Something has changed that it may depend on. */
  forget(): void {
    this.rests.clear()
  }
}
