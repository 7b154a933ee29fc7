/**
 * Whether two processes speak with one device's key, as where a data folder was copied. A process that another one has
 * taken the place of is gone; one that comes back after it is not. What is late may look like that once, so it must
 * have come back twice.
 */
import { toHex } from './bytes.js'

/** Drawn at each start of a device. */
export const RUN_BYTES = 8
const RETURNS = 2
/** Of one device. Two that alternate are always among the last. */
const MAX_RUNS = 8

export class Runs {
  /** By device: how often each of its runs came back, the one that spoke last at the end. */
  private readonly byDevice = new Map<string, Map<string, number>>()

  /** A run of the device says who it is; true: another one lives, too. */
  heard(device: string, run: Uint8Array): boolean {
    const runs = this.byDevice.get(device) ?? new Map<string, number>()
    this.byDevice.set(device, runs)
    const name = toHex(run)
    if ([...runs.keys()].at(-1) === name) return false
    const returns = runs.has(name) ? runs.get(name)! + 1 : 0
    runs.delete(name)
    runs.set(name, returns)
    if (runs.size > MAX_RUNS) runs.delete(runs.keys().next().value!)
    return returns >= RETURNS
  }
}
