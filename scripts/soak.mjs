// @ts-check
/**
 * `npm run soak -- [--minutes 60] [--rate 2] [--cases 20]`: two connected devices, steady typing on one of them, and
 * how the heaps of both grow, by a line through what is left after each collection of garbage. The goal is at most
 * 1 MB an hour, and at most 1 MB for what one hour of typing at two keystrokes a second comes to. Ends with 1 beyond.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { checkNode, ensureBuilt, ensureInstalled } from './lib/build.mjs'

/** Two a second, for an hour. */
const KEYSTROKES_AN_HOUR = 7_200
const MAX_MEGABYTES = 1
/** Caches fill and code is compiled before this share of the run. */
const WARM_SHARE = 0.25
const SAMPLES = 40
/** As long as a person stays in a case. */
const STROKES_IN_A_CASE = 160

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    rate: { type: 'string', default: '2' },
    cases: { type: 'string', default: '20' },
  },
})
const [minutes, rate, cases] = [Number(values.minutes), Number(values.rate), Number(values.cases)]
if (!(minutes > 0) || !(rate > 0) || !(cases >= 1)) {
  console.error('Usage: npm run soak -- [--minutes M] [--rate KEYSTROKES_A_SECOND] [--cases N]')
  process.exit(2)
}
checkNode()
ensureInstalled()
ensureBuilt()

// Only now: they read what was built.
const { Bench, caseId } = await import('./bench/fixtures.mjs')
const NOTES = 'text:consultations/c0'
const bench = new Bench({ runs: 1, profile: undefined })
try {
  const { a, b } = await bench.pair(Math.max(100, cases))
  const samples = await type(a, b)
  const { strokes, ms } = samples[samples.length - 1] ?? { strokes: 0, ms: 0 }
  const [hours, typed] = [ms / 3_600_000, strokes / KEYSTROKES_AN_HOUR]
  let isWithin = true
  for (const name of ['a', 'b']) {
    const slope = slopeOf(samples.slice(Math.floor(SAMPLES * WARM_SHARE)), name)
    const [byTime, byTyping] = [(slope * strokes) / hours, (slope * strokes) / typed]
    // At a greater rate than a person's, an hour of the clock holds more than an hour of typing.
    const judged = rate > 2 ? byTyping : Math.max(byTime, byTyping)
    if (judged > MAX_MEGABYTES) isWithin = false
    const who = name === 'a' ? 'where is typed' : 'where it arrives'
    console.log(
      `heap ${who}: ${byTyping.toFixed(3)} MB for an hour of typing, ${byTime.toFixed(3)} MB an hour of this run`,
    )
  }
  console.log(
    `${strokes} keystrokes in ${(hours * 60).toFixed(1)} minutes; at most ${MAX_MEGABYTES} MB: ${isWithin}`,
  )
  if (!isWithin) process.exitCode = 1
} finally {
  await bench.close()
}

/**
 * Types, and erases as much again, in one case after the other; samples both heaps, in MB.
 * @param {any} a
 * @param {any} b
 */
async function type(a, b) {
  const began = performance.now()
  const total = Math.max(SAMPLES, Math.round(minutes * 60 * rate))
  const samples = [await sample(0)]
  let open
  for (let stroke = 0; stroke < total; stroke++) {
    const within = stroke % STROKES_IN_A_CASE
    if (within === 0) {
      if (open) for (const device of [a, b]) await device.call('closeWindow', open)
      open = caseId(Math.floor(stroke / STROKES_IN_A_CASE) % cases)
      for (const device of [a, b]) await device.call('openWindow', open)
    }
    const half = STROKES_IN_A_CASE / 2
    const operation = within < half ? [within, 0, 'x'] : [STROKES_IN_A_CASE - 1 - within, 1, '']
    await a.call('strike', open, NOTES, operation)
    const due = began + ((stroke + 1) / rate) * 1000
    if (due > performance.now()) await sleep(due - performance.now())
    if (stroke + 1 >= (samples.length * total) / SAMPLES) samples.push(await sample(stroke + 1))
  }
  return samples

  /** @param {number} strokes */
  async function sample(strokes) {
    // What the process itself has noted of the run is none of the device's.
    await Promise.all([a.call('mark'), b.call('mark')])
    const [heapA, heapB] = await Promise.all([a.call('heapMegabytes'), b.call('heapMegabytes')])
    process.stderr.write(`  ${strokes} keystrokes: ${heapA.toFixed(2)} and ${heapB.toFixed(2)} MB\n`)
    return { ms: performance.now() - began, strokes, a: heapA, b: heapB }
  }
}

/**
 * MB for a keystroke, by least squares.
 * @param {any[]} samples
 * @param {string} name
 */
function slopeOf(samples, name) {
  const mean = (/** @type {string} */ key) =>
    samples.reduce((sum, each) => sum + each[key], 0) / samples.length
  const [x, y] = [mean('strokes'), mean(name)]
  const over = samples.reduce((sum, each) => sum + (each.strokes - x) * (each[name] - y), 0)
  return over / samples.reduce((sum, each) => sum + (each.strokes - x) ** 2, 0)
}
