/** The sweep over list rows that came from peers: in small slices, at leisure, never while whole states come in. */
import { type SweepPlace, sweepRows } from '../store/rows.js'
import type { DriverOptions } from './driver-session.js'

/** The sweep begins this long after there is something to do, and leaves this much time between two slices. */
export const SWEEP_DELAY_MS = 1_000
export const SWEEP_PAUSE_MS = 20

export class RowSweep {
  private timer: (() => void) | undefined
  private slice: Promise<void> | undefined
  private place: SweepPlace | undefined
  private stopped = false

  constructor(
    private readonly options: Pick<DriverOptions, 'replica' | 'timers' | 'events'>,
    private readonly isReceiving: () => boolean,
  ) {}

  /** Goes on, or begins, if there is something to do. */
  start(ms = SWEEP_DELAY_MS): void {
    const { replica, timers } = this.options
    if (this.stopped || this.timer || this.slice || !replica.meta.rowsUnproven) return
    this.timer = timers.after(ms, () => {
      this.timer = undefined
      // The end of the transfer starts it again.
      if (!this.isReceiving()) this.slice = this.run()
    })
  }

  private async run(): Promise<void> {
    try {
      this.place = await sweepRows(this.options.replica, this.place)
    } catch (error) {
      this.place = undefined
      if (!this.stopped) this.options.events?.failed?.(error)
    }
    this.slice = undefined
    if (this.place) this.start(SWEEP_PAUSE_MS)
  }

  async stop(): Promise<void> {
    this.stopped = true
    this.timer?.()
    await this.slice
  }
}
