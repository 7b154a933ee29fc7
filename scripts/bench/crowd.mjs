/** M10: what a relay spends on devices that do nothing, and how soon all are back after it was started anew. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { say } from './fixtures.mjs'
import { cpuMilliseconds, startProgram, Worker } from './processes.mjs'
import { clock } from './worker.mjs'

const PROCESSES = 2
/** By then what a connection brought with it is over: identify, reservations, deadlines, and V8 has given memory back. */
const SETTLED_MS = 75_000
const MEASURE_MS = 30_000
const LOOK_MS = 100

const residentKilobytes = (pid) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1])

function start(folder, port, profile) {
  const listen = ['--listen', `/ip4/127.0.0.1/tcp/${port}`]
  return startProgram(['relay', ...listen, '--stun-port', '0', '--data', folder, '--json'], profile)
}

export async function crowd(bench) {
  const { devices } = bench
  const folder = bench.newFolder('relay')
  let relay = start(folder, 0, bench.profile)
  const workers = Array.from({ length: PROCESSES }, () => new Worker('crowd-process.mjs'))
  try {
    const { addresses } = JSON.parse(await relay.line)
    const port = /\/tcp\/(\d+)/.exec(addresses[0])[1]
    await sleep(1_000)
    const alone = residentKilobytes(relay.pid)
    const each = Math.round(devices / PROCESSES)
    await Promise.all(workers.map((worker, at) => worker.call('come', addresses, each, at + 1)))
    say(`  M10: ${devices} devices are connected`)
    await sleep(SETTLED_MS)
    const before = cpuMilliseconds(relay.pid)
    const began = clock()
    await sleep(MEASURE_MS)
    const share = (cpuMilliseconds(relay.pid) - before) / (clock() - began)
    const kilobytes = (residentKilobytes(relay.pid) - alone) / devices
    const reached = await Promise.all(workers.map((worker) => worker.call('reached')))
    say(`  M10: ${kilobytes.toFixed(0)} KB each, ${(share * 100).toFixed(1)} % of a core, ${reached} reached`)
    await relay.end()
    relay = start(folder, port, bench.profile)
    await relay.line
    const back = clock()
    const ms = Math.max(...(await Promise.all(workers.map(whenComplete)))) - back
    say(`  M10: all are back ${(ms / 1000).toFixed(1)} s after the relay`)
    return [{ name: 'M10', n: devices, ms, ratio: share, bytes: Math.round(kilobytes * 1024) }]
  } finally {
    for (const worker of workers) await worker.end()
    await relay.end()
  }
}

async function whenComplete(worker) {
  for (;;) {
    const at = await worker.call('complete')
    if (at !== null) return at
    await sleep(LOOK_MS)
  }
}
