/**
 * The loop around every fuzzer: so many inputs of one seed, each made from its own number, so that a failing one is
 * replayed alone. An input must give a value or an error, within a second and within 64 MB, and break nothing.
 *
 *   npm run fuzz -- --inputs N --seed S --at I
 */
import { getHeapStatistics } from 'node:v8'
import { expect } from 'vitest'
import { type Random, seeded } from '../support/random.js'

/** In every run; `npm run fuzz -- --inputs 200000` tries more, for which a run of all tests has no time. */
const INPUTS = Number(process.env.KARTOTEKA_FUZZ_INPUTS ?? 50_000)
/** The same for readers that take tens of microseconds, of which there is time for as many as docs/proof.md wants. */
const QUICK_INPUTS = Number(process.env.KARTOTEKA_FUZZ_INPUTS ?? 200_000)
const SEED = Number(process.env.KARTOTEKA_FUZZ_SEED ?? 1)
/** The one input to replay. */
const AT = process.env.KARTOTEKA_FUZZ_AT === undefined ? undefined : Number(process.env.KARTOTEKA_FUZZ_AT)

/** Of fewer, as of one that is replayed, nothing can be said of how they end as a whole. */
export const ARE_MANY = AT === undefined && INPUTS >= 50_000

export const MAX_MS = 1_000
export const MAX_BYTES = 64 * 1024 * 1024
/** A machine that does something else as well may take long over one input by chance: it is tried again. */
const TRIES = 3
/** An asynchronous input that is still not done after this long hangs. */
export const HANG_MS = 20_000
/** Looking at the memory costs more than most inputs do. */
const MEASURED_FROM_BYTES = 4_096
const MEASURED_EVERY = 16
const SHOWN_BYTES = 64 * 1024

/** What came of an input: it was taken, or refused with an error. */
export type Outcome = 'value' | 'error'

export interface Fuzzer<T> {
  name: string
  make: (random: Random) => T
  run: (input: T) => Outcome | Promise<Outcome>
  /** For the report of a failing input; bytes and texts show themselves. */
  show?: (input: T) => string
  /** An input takes tens of microseconds. */
  quick?: boolean
  /** Of all inputs; where one input is a conversation, fewer are enough. */
  share?: number
}

export interface Tally {
  value: number
  error: number
  slowestMs: number
  mostBytes: number
}

/** Runs all inputs; throws at the first that breaks something, with what replays it. */
export async function fuzz<T>(fuzzer: Fuzzer<T>): Promise<Tally> {
  const { name, make, run, show = shown, quick = false, share = 1 } = fuzzer
  const tally: Tally = { value: 0, error: 0, slowestMs: 0, mostBytes: 0 }
  const count = Math.ceil((quick ? QUICK_INPUTS : INPUTS) * share)
  const first = AT ?? 0
  const { stackTraceLimit } = Error
  try {
    for (let at = first; at < (AT === undefined ? count : first + 1); at++) {
      // Most inputs end in an error, and to note where costs more than the rest.
      if (AT === undefined) Error.stackTraceLimit = 0
      const input = make(seeded(numberOf(name, at)))
      try {
        const isMeasured = at % MEASURED_EVERY === 0 || sizeOf(input) >= MEASURED_FROM_BYTES
        const outcome = attempt(input, run, isMeasured, tally)
        tally[outcome instanceof Promise ? await outcome : outcome]++
      } catch (error) {
        const replay = `--seed ${SEED} --at ${at}`
        throw new Error(`${name}, ${replay}: ${(error as Error).stack ?? error}\ninput ${show(input)}`)
      }
    }
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
  return tally
}

/** Inputs of which nearly none is taken, or nearly none refused, try little: more than this share must end in each way. */
export function expectBoth({ value, error }: Tally, share = 1 / 50): void {
  if (ARE_MANY) expect(Math.min(value, error)).toBeGreaterThan((value + error) * share)
}

/** Neighbouring numbers give unrelated inputs, and each fuzzer its own. */
function numberOf(name: string, at: number): number {
  let hash = SEED | 0
  for (const unit of name) hash = Math.imul(hash ^ unit.charCodeAt(0), 0x01000193)
  return (Math.imul(at + 1, 0x9e3779b1) ^ hash) >>> 0
}

/** At once where the run is: to wait for each of so many costs a third of their time. */
function attempt<T>(
  input: T,
  run: Fuzzer<T>['run'],
  isMeasured: boolean,
  tally: Tally,
  left = TRIES,
): Outcome | Promise<Outcome> {
  const before = isMeasured ? usedBytes() : 0
  const began = performance.now()
  const ended = (outcome: Outcome): Outcome | Promise<Outcome> => {
    const ms = performance.now() - began
    const bytes = isMeasured ? usedBytes() - before : 0
    if ((ms > MAX_MS || bytes > MAX_BYTES) && left > 1)
      return attempt(input, run, isMeasured, tally, left - 1)
    tally.slowestMs = Math.max(tally.slowestMs, ms)
    tally.mostBytes = Math.max(tally.mostBytes, bytes)
    if (ms > MAX_MS) throw new Error(`it took ${Math.round(ms)} ms`)
    if (bytes > MAX_BYTES) throw new Error(`it took ${Math.round(bytes / 1e6)} MB`)
    return outcome
  }
  const running = run(input)
  return running instanceof Promise ? inTime(running).then(ended) : ended(running)
}

async function inTime(running: Promise<Outcome>): Promise<Outcome> {
  let timer: NodeJS.Timeout | undefined
  const hangs = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('it hangs')), HANG_MS)
  })
  try {
    return await Promise.race([running, hangs])
  } finally {
    clearTimeout(timer)
  }
}

/** Of the heap and of buffers, garbage included: an upper bound of what one input takes. */
export function usedBytes(): number {
  const { used_heap_size, external_memory } = getHeapStatistics()
  return used_heap_size + external_memory
}

function sizeOf(input: unknown): number {
  return input instanceof Uint8Array || typeof input === 'string' ? input.length : 0
}

function shown(input: unknown): string {
  if (input instanceof Uint8Array) return Buffer.from(input.subarray(0, SHOWN_BYTES)).toString('hex')
  return JSON.stringify(input)?.slice(0, SHOWN_BYTES) ?? String(input)
}
