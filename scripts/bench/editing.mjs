/** M4, M5 and M7: keystrokes that are seen elsewhere, edits that meet, and what is left of both on the disk. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { admit, folderBytes, median, PIN, percentile, SETTLED_MS, say } from './fixtures.mjs'
import { clock } from './worker.mjs'
import { makeEdits } from './workload.mjs'

/** The next keystroke follows no sooner, and not before the last one has arrived. */
const KEYSTROKE_MS = 10
const NOTES = 'text:consultations/c0'
const SHARED_CASES = 50
/** Before so long everybody listens, and has nothing else to do. */
const READY_MS = 1_000
/** Once they agree, and have said so in their statements, nothing is said of others for so long. */
const QUIET_MS = 2_500

/** A case with empty notes, to be typed into. */
async function emptyCase(device) {
  const json = JSON.stringify({
    consultations: [{ id: 'c0', date: '2025-01-01', kind: 'first', text: '', marks: [] }],
  })
  return (await device.ask('cases.create', { json })).id
}

/** Keystrokes on one device until they are in the open document of another. */
export async function keystrokes(bench, n) {
  return typing(bench, await bench.pair(n), { name: 'M4', n })
}

export async function typing(bench, { a, b }, named) {
  const { m4 } = makeEdits()
  const label = [named.name, named.n].join(' ').trim()
  const runs = []
  for (let run = 0; run < bench.runs; run++) {
    const id = await emptyCase(a)
    await a.ask('flush')
    await untilHeld(b, id)
    await Promise.all([a.call('openWindow', id), b.call('openWindow', id)])
    const before = (await a.call('cpu')) + (await b.call('cpu'))
    const delays = []
    for (const operation of m4) {
      const arrived = b.worker.next('arrived')
      const { struck } = await a.call('strike', id, NOTES, operation)
      delays.push((await arrived).at - struck)
      await sleep(Math.max(0, KEYSTROKE_MS - delays.at(-1)))
    }
    const cpuMs = ((await a.call('cpu')) + (await b.call('cpu')) - before) / m4.length
    if ((await a.call('windowText', id, NOTES)) !== (await b.call('windowText', id, NOTES)))
      throw new Error(`${label}: the documents differ`)
    runs.push({ p50: percentile(delays, 0.5), p99: percentile(delays, 0.99), cpuMs })
    say(`  ${label}: p50 ${runs.at(-1).p50.toFixed(2)} ms, p99 ${runs.at(-1).p99.toFixed(2)} ms`)
    if (run < bench.runs - 1) await sleep(SETTLED_MS)
  }
  const of = (name) => median(runs.map((run) => run[name]))
  return [{ ...named, p50: of('p50'), p99: of('p99'), cpuMs: of('cpuMs'), runs: runs.map(({ p50 }) => p50) }]
}

async function untilHeld(device, id) {
  for (let waited = 0; waited < 10_000; waited += 20) {
    const held = await device.ask('cases.show', { id }).catch(() => undefined)
    if (held) return
    await sleep(20)
  }
  throw new Error(`the case ${id} did not arrive`)
}

/** Three devices, 200 offline edits each on 50 shared cases; they meet, and all know that they agree. */
export async function offlineEdits(bench) {
  const { m5 } = makeEdits()
  const runs = []
  for (let run = 0; run < bench.runs; run++) {
    say(`  M5: run ${run + 1} of ${bench.runs}`)
    runs.push(await joinThree(bench, m5))
  }
  const of = (name) => median(runs.map((each) => each[name]))
  const [ms, bytes, cpuMs] = [of('ms'), of('bytes'), of('cpuMs')]
  const identical = runs.every((each) => each.identical)
  return [{ name: 'M5', n: SHARED_CASES, ms, bytes, cpuMs, identical, runs: runs.map((each) => each.ms) }]
}

async function joinThree(bench, edits) {
  const devices = [await bench.author(SHARED_CASES)]
  try {
    for (const name of ['Second', 'Third']) {
      const device = await bench.device('other').start()
      devices.push(device)
      await admit(devices[0], device, name)
      await devices[0].call('whenPeerUpToDate', device.id)
    }
    await sleep(SETTLED_MS)
    await editApart(devices, edits)
    return await meetAgain(devices)
  } finally {
    for (const device of devices) await bench.endDevice(device)
  }
}

async function editApart(devices, edits) {
  for (const device of devices) await device.close()
  for (const [at, device] of devices.entries()) {
    await device.start({ network: false })
    await device.call('edit', edits[at])
    await device.close()
  }
}

async function meetAgain(devices) {
  // They listen at new ports, so nobody finds anybody before being told.
  for (const device of devices) {
    await device.start()
    await device.call('watchOthers')
    await device.call('mark')
  }
  await sleep(READY_MS)
  const [a, b, c] = devices
  const introduce = (from, to) => from.ask('device.address', { id: to.id, addresses: to.addresses })
  await Promise.all([introduce(a, b), introduce(a, c), introduce(b, c)])
  const ends = []
  for (const device of devices) ends.push(await endOf(device))
  const seen = await Promise.all(devices.map((device) => device.call('seen')))
  const exports = await Promise.all(devices.map((device) => device.call('exportLines')))
  const began = Math.min(...seen.map(({ connects }) => connects[0].at))
  return {
    ms: Math.max(...ends) - began,
    bytes: seen.reduce((sum, { wire }) => sum + wire, 0),
    cpuMs: seen.reduce((sum, { cpu, connects }) => sum + cpu - connects[0].cpu, 0),
    identical: exports.every((text) => text === exports[0]),
  }
}

/**
 * When all others were first known to hold everything, for good. What follows is housekeeping (statements, after two
 * seconds), and is waited for: it could still show that something is missing.
 */
async function endOf(device) {
  for (let waited = 0; waited < 60_000; waited += 100) {
    const notes = await device.call('others')
    const end = notes[notes.findLastIndex(({ upToDate }) => !upToDate) + 1]
    if (end && clock() - notes.at(-1).at > QUIET_MS) return end.at
    await sleep(100)
  }
  throw new Error('after a minute the devices do not agree yet')
}

/** What the store takes on the disk, after a clean stop. */
export async function disk(bench, n) {
  const { bytes: mergedBytes } = await bench.merged(n)
  if (!bench.disks.has(n)) await bench.pair(n)
  const runs = bench.disks.get(n)
  return [
    { name: 'M7', n, bytes: Math.max(...runs), ratio: Math.max(...runs) / mergedBytes, mergedBytes, runs },
  ]
}

export async function longTyping(bench) {
  const { m7 } = makeEdits()
  const runs = []
  for (let run = 0; run < bench.runs; run++) {
    const device = await bench.device('typist').start()
    await device.ask('practice.create', { name: 'Bench', device: 'Typist', pin: PIN })
    const id = await emptyCase(device)
    await device.close()
    const before = folderBytes(join(device.folder, 'store'))
    await device.start()
    await device.call('openWindow', id)
    const { cpuMs, ms } = await device.call('strikeAll', id, NOTES, m7)
    await device.close()
    runs.push({ cpuMs, ms, bytes: folderBytes(join(device.folder, 'store')) - before })
    say(`  M7 keystrokes: ${Math.round(cpuMs)} ms of CPU, ${runs.at(-1).bytes} bytes`)
    await bench.endDevice(device)
  }
  const of = (name) => median(runs.map((run) => run[name]))
  return [
    {
      name: 'M7 keystrokes',
      n: m7.length,
      ms: of('ms'),
      cpuMs: of('cpuMs'),
      bytes: of('bytes'),
      runs: runs.map(({ cpuMs }) => cpuMs),
    },
  ]
}
