/**
 * Less memory for a long-running device. Most of what a device makes, as in a first sync, is bytes outside the heap,
 * used once. Node would let the part of the heap for short-lived objects grow to 48 MB and never give it back, and
 * would let the rest grow to several times what is in use before it looks for what isn't; such bytes wait for that.
 */
import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/** Both halves of the part for short-lived objects together. */
const YOUNG_BYTES = 4 * 1024 * 1024
/** The rest is looked through when it has grown by so much (V8 waits for 8 MB at least). */
const GROWTH_PERCENT = 30

/** For the whole process; to be called once, before anything large is loaded. */
export function keepHeapSmall(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`)
  const observer = new PerformanceObserver(() => {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')
    if (young && young.space_size < YOUNG_BYTES) return
    setFlagsFromString('--semi-space-growth-factor=1')
    observer.disconnect()
  })
  observer.observe({ entryTypes: ['gc'] })
}

/** The V8 of Node 20 has another word for it. */
const ONCE =
  Number.parseInt(process.versions.v8, 10) < 12 ? '--memory-reducer-single-gc' : '--memory-reducer-gc-count=1'

/**
 * For the whole process; to be called once. When a process has become idle, V8 looks through its heap to give memory
 * back, and does so once or twice more. At a relay the first time gives back four fifths of what all do.
 */
export function giveBackOnce(): void {
  setFlagsFromString(ONCE)
}
