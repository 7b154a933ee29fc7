/** M1 to M3: two devices that meet for the first time, again, and after one of them was used. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { admit, caseId, folderBytes, median, SETTLED_MS, say } from './fixtures.mjs'
import { limitOnce } from './limits.mjs'
import { peakMegabytes } from './processes.mjs'
import { makeEdits } from './workload.mjs'

/** Meetings are short: more of them cost nothing. */
const MEETINGS = 7
/** What belongs to a meeting has been said by then. */
const MEETING_MS = 300

const connected = (...sides) => Math.min(...sides.map(({ connects }) => connects[0].at))

const cpuSince = ({ cpu, connects }) => cpu - connects[0].cpu

export async function firstSync(bench, n) {
  const { bytes: mergedBytes } = await bench.merged(n)
  const a = await bench.author(n)
  const runs = []
  for (let run = 0; run < bench.runs; run++) {
    say(`  M1 ${n}: run ${run + 1} of ${bench.runs}`)
    const limit = await limitOnce(bench, n)
    const last = run === bench.runs - 1
    if (run > 0) await a.restart()
    const b = await bench.device('newcomer').start()
    const profile = bench.profile && last
    await begin([a, b], profile)
    const upToDate = a.call('whenPeerUpToDate', b.id)
    await admit(a, b, `Newcomer ${run}`)
    const end = await upToDate
    const [aSeen, bSeen] = [await a.call('seen'), await b.call('seen')]
    if (profile) await writeProfiles(bench, `M1-${n}`, { a, b })
    const { cases } = await b.ask('status')
    if (cases.total !== n) throw new Error(`M1: ${cases.total} of ${n} cases arrived`)
    const memory = [a, b].map(({ worker }) => peakMegabytes(worker.child.pid))
    runs.push({
      ms: end - connected(aSeen, bSeen),
      limitMs: limit.ms,
      bytes: aSeen.wire + bSeen.wire,
      cpuMs: cpuSince(aSeen) + cpuSince(bSeen),
      rssMB: Math.max(...memory),
    })
    const sides = `${Math.round(cpuSince(aSeen))} and ${Math.round(cpuSince(bSeen))} ms of CPU, ${memory.map(Math.round).join(' and ')} MB`
    say(
      `    ${Math.round(runs.at(-1).ms)} ms, the limit ${Math.round(limit.ms)} ms; sender and newcomer ${sides}`,
    )
    if (last) await bench.keepPair(n, { a, b })
    else {
      await b.close()
      bench.disks.get(n).push(folderBytes(join(b.folder, 'store')))
      await bench.endDevice(b)
    }
  }
  const of = (name) => median(runs.map((run) => run[name]))
  const ratio = of('ms') / of('limitMs')
  return [
    {
      name: 'M1',
      n,
      ms: of('ms'),
      cpuMs: of('cpuMs'),
      bytes: of('bytes'),
      rssMB: of('rssMB'),
      limitMs: of('limitMs'),
      ratio,
      mergedBytes,
      runs: runs.map(({ ms }) => ms),
    },
  ]
}

/** Reconnects of two identical devices, until both know that they are. The sizes take turns. */
export async function reconnect(bench, sizes) {
  const runs = new Map(sizes.map((n) => [n, []]))
  for (const n of sizes) await bench.pair(n)
  for (let run = 0; run < Math.max(MEETINGS, bench.runs); run++) {
    for (const n of sizes) {
      const { a, b } = await bench.pair(n)
      await b.close()
      await begin([a, b])
      await b.start()
      const [aSeen, bSeen] = await meeting(a, b, (...sides) => sides.every(({ equal }) => equal.length > 0))
      const known = Math.max(aSeen.equal[0], bSeen.equal[0])
      runs.get(n).push({ ms: known - connected(aSeen, bSeen), bytes: aSeen.ours + bSeen.ours })
    }
    await sleep(SETTLED_MS)
  }
  return rowsOf('M2', runs)
}

/** One case is changed while the devices are apart. The sizes take turns. */
export async function changeApart(bench, sizes) {
  const runs = new Map(sizes.map((n) => [n, []]))
  for (const n of sizes) await bench.pair(n)
  const count = Math.max(MEETINGS, bench.runs)
  for (let run = 0; run < count; run++) {
    for (const n of sizes) runs.get(n).push(await changeOnce(bench, n, bench.profile && run === count - 1))
    await sleep(SETTLED_MS)
  }
  return rowsOf('M3', runs)
}

async function changeOnce(bench, n, profile) {
  const { a, b } = await bench.pair(n)
  const { m3 } = makeEdits()
  const id = caseId(m3.case)
  const path = `text:consultations/c${m3.cons}`
  await b.close()
  await a.call('openWindow', id)
  const before = await a.call('windowText', id, path)
  const { bytes: changeBytes } = await a.call('strike', id, path, [before.length, 0, m3.text])
  await a.ask('flush')
  await begin([a, b], profile)
  await b.start()
  const [aSeen, bSeen] = await meeting(a, b, (_, seen) => changeOf(seen, id))
  if (profile) await writeProfiles(bench, `M3-${n}`, { a, b })
  const { json } = await b.ask('cases.show', { id })
  const notes = JSON.parse(json).consultations.find((each) => each.id === `c${m3.cons}`).text
  if (notes.length !== before.length + m3.text.length) throw new Error('the change is not there')
  const ms = changeOf(bSeen, id).at - connected(aSeen, bSeen)
  return { ms, bytes: aSeen.ours + bSeen.ours, changeBytes }
}

function rowsOf(name, runsBySize) {
  return [...runsBySize].map(([n, runs]) => {
    say(`  ${name} ${n}: ${runs.map(({ ms }) => ms.toFixed(1)).join(', ')} ms`)
    return { name, n, ...medians(runs), runs: runs.map(({ ms }) => ms) }
  })
}

const changeOf = (seen, id) => seen.changes.find(({ ids }) => ids === null || ids.includes(id))

/** What both sides have seen when the meeting has come to its end, and what still belongs to it was said. */
async function meeting(a, b, done) {
  for (let waited = 0; waited < 60_000; waited += 50) {
    const [aSeen, bSeen] = [await a.call('seen'), await b.call('seen')]
    if (done(aSeen, bSeen)) {
      await sleep(MEETING_MS)
      return [await a.call('seen'), await b.call('seen')]
    }
    await sleep(50)
  }
  throw new Error('the devices did not meet within a minute')
}

/** Counts from here on. */
async function begin(devices, profile = false) {
  for (const device of devices) {
    if (profile) await device.call('profileStart')
    await device.call('mark')
  }
}

async function writeProfiles(bench, name, sides) {
  for (const [side, device] of Object.entries(sides)) {
    await device.call('profileStop', join(bench.profile, `${name}-${side}.cpuprofile`))
  }
}

function medians(runs) {
  const keys = Object.keys(runs[0])
  return Object.fromEntries(keys.map((key) => [key, median(runs.map((run) => run[key]))]))
}
