/** M6 and M11: the program as it is started, until a case can be read, and when nobody does anything. */
import { setTimeout as sleep } from 'node:timers/promises'
import { connectLink } from '../../dist/src/node/link-client.js'
import { caseId, median, say } from './fixtures.mjs'
import { cpuMilliseconds, peakMegabytes, startProgram, writtenBytes } from './processes.mjs'

const STARTS = 5
const CALM_MS = 6_000
/** By then V8 has made the heap as small as it gets, and all tables of the store were looked through once. */
const IDLE_AFTER_MS = 45_000
const IDLE_MS = 10_000
const POLL_MS = 5

const startOn = (folder) =>
  startProgram([
    'start',
    '--no-window',
    '--no-lan',
    '--listen',
    '/ip4/127.0.0.1/tcp/0',
    '--data',
    folder,
    '--json',
  ])

/** From the start of the process until a case has come over the local link, as to a window. The sizes take turns. */
export async function start(bench, sizes) {
  const runs = new Map(sizes.map((n) => [n, []]))
  for (const n of sizes) await (await bench.pair(n)).a.close()
  for (let run = 0; run < Math.max(STARTS, bench.runs); run++) {
    for (const n of sizes) runs.get(n).push(await startOnce((await bench.pair(n)).a.folder, caseId(run)))
  }
  // The pairs stand again for others that want them.
  for (const n of sizes) {
    const { a, b } = await bench.pair(n)
    await a.start()
    await a.ask('device.address', { id: b.id, addresses: b.addresses })
  }
  return [...runs].map(([n, each]) => {
    say(`  M6 ${n}: ${each.map(({ ms }) => Math.round(ms)).join(', ')} ms`)
    const of = (name) => median(each.map((run) => run[name]))
    return { name: 'M6', n, ms: of('ms'), rssMB: of('rssMB'), runs: each.map(({ ms }) => ms) }
  })
}

async function startOnce(folder, id) {
  const began = performance.now()
  const running = startOn(folder)
  // The link stands before the network does.
  let link = await connectLink(folder)
  for (; !link; link = await connectLink(folder)) await sleep(POLL_MS)
  await link.client.cases.show({ id })
  const ms = performance.now() - began
  const rssMB = peakMegabytes(running.pid)
  link.close()
  await running.line
  await running.end()
  return { ms, rssMB }
}

/** Two connected devices that nobody uses. */
export async function idle(bench, n) {
  const { a, b } = await bench.pair(n)
  await Promise.all([a.close(), b.close()])
  const running = [startOn(a.folder), startOn(b.folder)]
  const ready = []
  for (const each of running) ready.push(JSON.parse(await each.line))
  const link = await connectLink(a.folder)
  await link.client.device.address({ id: ready[1].device, addresses: ready[1].addresses })
  await sleep(CALM_MS)
  const { devices } = await link.client.status()
  if (!devices.some(({ id, connected }) => id === ready[1].device && connected))
    throw new Error('M11: the devices are not connected')
  link.close()
  await sleep(IDLE_AFTER_MS)
  const runs = []
  for (let run = 0; run < bench.runs; run++) {
    const before = running.map(({ pid }) => ({ cpu: cpuMilliseconds(pid), bytes: writtenBytes(pid) }))
    await sleep(IDLE_MS)
    const spent = running.map(({ pid }, at) => ({
      cpu: cpuMilliseconds(pid) - before[at].cpu,
      bytes: writtenBytes(pid) - before[at].bytes,
    }))
    runs.push({
      cpuMs: Math.max(...spent.map(({ cpu }) => cpu)),
      bytes: Math.max(...spent.map(({ bytes }) => bytes)),
    })
  }
  for (const each of running) await each.end()
  await a.start()
  await b.start()
  const of = (name) => median(runs.map((run) => run[name]))
  say(`  M11 ${n}: ${runs.map(({ cpuMs }) => cpuMs.toFixed(1)).join(', ')} ms in ${IDLE_MS / 1000} s`)
  const cpuMs = of('cpuMs')
  return [
    {
      name: 'M11',
      n,
      ms: IDLE_MS,
      cpuMs,
      bytes: of('bytes'),
      ratio: cpuMs / IDLE_MS,
      runs: runs.map((run) => run.cpuMs),
    },
  ]
}
