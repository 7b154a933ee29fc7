/**
 * Another process has this device's keys: its data folder was copied, and both copies run. Nobody can tell them apart
 * by their keys, so one of them gives its up and goes on as a device of its own.
 *
 * Both learn of each other, and can't agree on who it shall be. So the one whose folder has been elsewhere goes soon,
 * and any other only where it is still so after a long while: by then the first one has gone, and nothing is seen of it
 * any more. Chance decides between equals; if both go, nothing is lost by it.
 */

/** How long it must be seen by the one whose folder has been elsewhere, and by any other; chance adds as much again. */
export const MOVED_WAIT_MS = 1_500
export const WAIT_MS = 30_000
/** Not seen for so long: it is gone. */
const FORGET_MS = 20_000

export interface TwinsOptions {
  /** This folder has been elsewhere before. */
  isMoved: boolean
  /** From 0 to 1. */
  chance: () => number
  /** Milliseconds of a clock that only goes forward. */
  now: () => number
  goOwnWay: () => Promise<void>
  /** It could not; it is tried again when the other one is seen later. */
  failed: (error: unknown) => void
}

export class Twins {
  private since = 0
  private last = Number.NEGATIVE_INFINITY
  private waitMs = 0
  private hasGone = false

  constructor(private readonly options: TwinsOptions) {}

  /** Somebody has met the other one just now. */
  seen(): void {
    const { isMoved, chance, now, goOwnWay, failed } = this.options
    const at = now()
    if (at - this.last > FORGET_MS) {
      this.since = at
      this.waitMs = (isMoved ? MOVED_WAIT_MS : WAIT_MS) * (1 + chance())
    }
    this.last = at
    if (this.hasGone || at - this.since < this.waitMs) return
    this.hasGone = true
    goOwnWay().catch((error) => {
      failed(error)
      this.hasGone = false
      this.last = Number.NEGATIVE_INFINITY
    })
  }
}
