/** M6 and M11: the program as it is started, until a case can be read, and when nobody does anything. */
import { setTimeout as sleep } from 'node:timers/promises'
import { connectLink } from '../../dist/src/node/link-client.js'
import { caseId, median, say } from './fixtures.mjs'
import { cpuMilliseconds, peakMegabytes, startProgram, writtenBytes } from './processes.mjs'

const STARTS = 5
const CALM_MS = 6_000
const IDLE_MS = 10_000

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

/** From the start of the process until a case has come over the local link, as to a window. */
export async function start(bench, n) {
  const { a, b } = await bench.pair(n)
  await a.close()
  const runs = []
  for (let run = 0; run < Math.max(STARTS, bench.runs); run++) {
    const began = performance.now()
    const running = startOn(a.folder)
    await running.line
    const readyMs = performance.now() - began
    const link = await connectLink(a.folder)
    await link.client.cases.show({ id: caseId(run) })
    runs.push({ ms: performance.now() - began, readyMs, rssMB: peakMegabytes(running.pid) })
    link.close()
    await running.end()
  }
  await a.start()
  say(`  M6 ${n}: ${runs.map(({ ms }) => Math.round(ms)).join(', ')} ms`)
  // The pair stands for others that want it.
  await a.ask('device.address', { id: b.id, addresses: b.addresses })
  const of = (name) => median(runs.map((run) => run[name]))
  return [{ name: 'M6', n, ms: of('ms'), rssMB: of('rssMB'), runs: runs.map(({ ms }) => ms) }]
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
  await sleep(CALM_MS)
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
