/**
 * Less memory for a long-running device. Node lets the part of the heap for short-lived objects grow to 48 MB when
 * much is made at once, as in a first sync, and never gives it back. Most of what a device makes then is bytes
 * outside the heap, so a small part does as well.
 */
import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/** Both halves of that part together. */
const YOUNG_BYTES = 4 * 1024 * 1024

/** Stops the growth at about 4 MB. For the whole process; to be called once, as it starts. */
export function keepYoungHeapSmall(): void {
  const observer = new PerformanceObserver(() => {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')
    if (young && young.space_size < YOUNG_BYTES) return
    setFlagsFromString('--semi-space-growth-factor=1')
    observer.disconnect()
  })
  observer.observe({ entryTypes: ['gc'] })
}
