/**
 * `npm run bench -- [measures] [--n 1000,10000] [--runs N] [--devices N] [--json] [--compare] [--write FILE]
 * [--profile DIR] [--keep DIR]`:
 * the numbers of docs/bench.md. Progress goes to standard error.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { checkNode, ensureBuilt, ensureInstalled, root } from './lib/build.mjs'

/** Parts of M4 that can be asked for by themselves. */
const FAR = ['M4 circuit', 'M4 webrtc', 'M4 mailbox']
const MEASURES = ['limits', 'M1', 'M2', 'M3', 'M4', 'M5', 'M6', 'M7', 'M8', 'M9', 'M10', 'M11', 'M12']
/** Only where they are asked for: the limits stand in other rows, too, and 5,000 devices take minutes to come. */
const ASKED_FOR = ['limits', 'M10']
/** Several under one name. */
const GROUPS = { relay: ['M4 mailbox', 'M4 circuit', 'M8', 'M9', 'M10'] }

function usage(sentence) {
  process.stderr.write(
    `${sentence}\nUsage: npm run bench -- [${[...MEASURES, ...Object.keys(GROUPS)].join('|')}]… [--n 1000,10000] [--runs N] [--devices N]`,
  )
  process.stderr.write(' [--json] [--compare] [--write FILE] [--profile DIR] [--keep DIR]\n')
  process.exit(2)
}

function read() {
  const options = {
    n: { type: 'string', default: '1000' },
    runs: { type: 'string', default: '3' },
    devices: { type: 'string', default: '5000' },
    json: { type: 'boolean', default: false },
    compare: { type: 'boolean', default: false },
    write: { type: 'string' },
    profile: { type: 'string' },
    keep: { type: 'string' },
  }
  try {
    return parseArgs({ options, allowPositionals: true })
  } catch (error) {
    return usage(error.message)
  }
}

const { values, positionals } = read()
const named = positionals.flatMap((name) => GROUPS[name] ?? name)
const unknown = named.find((name) => !MEASURES.includes(name) && !FAR.includes(name))
if (unknown !== undefined) usage(`There is no measure "${unknown}".`)
const sizes = values.n.split(',').map(Number)
if (sizes.some((n) => !Number.isInteger(n) || n < 100)) usage('--n takes numbers of cases from 100 up.')
const runs = Number(values.runs)
if (!Number.isInteger(runs) || runs < 1) usage('--runs takes a number of runs.')
const devices = Number(values.devices)
if (!Number.isInteger(devices) || devices < 2) usage('--devices takes a number of devices.')
const wanted = named.length > 0 ? named : MEASURES.filter((name) => !ASKED_FOR.includes(name))

checkNode()
ensureInstalled()
ensureBuilt()

// Only now: they read what was built.
const { Bench, say } = await import('./bench/fixtures.mjs')
const { limits } = await import('./bench/limits.mjs')
const { changeApart, firstSync, reconnect } = await import('./bench/meeting.mjs')
const { disk, keystrokes, longTyping, offlineEdits } = await import('./bench/editing.mjs')
const { idle, start } = await import('./bench/running.mjs')
const { deposits } = await import('./bench/mail.mjs')
const { crowd } = await import('./bench/crowd.mjs')
const { pairing } = await import('./bench/pairing.mjs')
const { keystrokesByCircuit, keystrokesByMail, keystrokesByRtc } = await import('./bench/far.mjs')
const { collect } = await import('./bench/mailbox.mjs')
const { judge, machine, table, writeTable } = await import('./bench/report.mjs')
const { besideKept, keep } = await import('./bench/kept.mjs')
const { comparison } = await import('./bench/peers.mjs')

const apart = (measure) => ({ measure, together: false })
const together = (measure) => ({ measure, together: true })
/**
 * In this order: what an earlier one leaves (two devices that hold the same) serves the later ones. Those that
 * must not depend on N measure all sizes together, in turns.
 */
const BY_SIZE = {
  limits: apart(limits),
  M1: apart(firstSync),
  M2: together(reconnect),
  M3: together(changeApart),
  M4: apart(keystrokes),
  M6: together(start),
  M7: apart(disk),
  M11: apart(idle),
}
/** By the name of their row, which begins with that of the measure. */
const ONCE = {
  'M4 circuit': keystrokesByCircuit,
  'M4 webrtc': keystrokesByRtc,
  'M4 mailbox': keystrokesByMail,
  M5: offlineEdits,
  'M7 keystrokes': longTyping,
  M8: collect,
  M9: deposits,
  M10: crowd,
  M12: pairing,
}

if (values.profile) mkdirSync(values.profile, { recursive: true })
const bench = new Bench({ runs, devices, profile: values.profile, keep: values.keep })
const rows = []

/** A measure that fails is a row too: the others go on, with new devices. */
async function add(name, counts, measure) {
  try {
    rows.push(...(await measure()))
  } catch (error) {
    say(`  failed: ${error.stack}`)
    for (const n of counts) {
      rows.push({ name, n, failed: error.message.split('\n')[0] })
      await bench.endPair(n)
    }
  }
}

try {
  for (const [name, { measure, together }] of Object.entries(BY_SIZE)) {
    if (!wanted.includes(name)) continue
    say(`${name}, ${sizes.join(' and ')} cases`)
    if (together) await add(name, sizes, () => measure(bench, sizes))
    else for (const n of sizes) await add(name, [n], () => measure(bench, n))
  }
  for (const n of sizes) await bench.endPair(n)
  for (const [name, measure] of Object.entries(ONCE)) {
    if (!wanted.includes(name) && !wanted.includes(name.split(' ')[0])) continue
    say(name)
    await add(name, [undefined], () => measure(bench))
  }
} finally {
  await bench.close()
}

const order = (row) => MEASURES.indexOf(row.name.split(' ')[0])
const judged = judge(rows).sort((a, b) => order(a) - order(b) || (a.n ?? 0) - (b.n ?? 0))
const beside = values.compare ? besideKept(values.write ?? join(root, 'docs/bench.md'), judged) : undefined
if (values.write) {
  writeTable(values.write, judged, runs)
  keep(values.write, judged, machine())
}
if (values.json) console.log(JSON.stringify(judged, null, 1))
else console.log(table(judged))
const others = values.compare ? comparison(judged) : undefined
for (const text of [beside, others]) if (text) (values.json ? say : console.log)(`\n${text}`)
if (values.profile) {
  const { hotspots } = await import('./bench/profile.mjs')
  say(hotspots(values.profile))
}
