/** `M4 mailbox`, `M4 circuit` and `M4 webrtc`: keystrokes between devices that reach each other by a relay only. */
import { setTimeout as sleep } from 'node:timers/promises'
import { typing } from './editing.mjs'
import { admit, caseId, median, percentile, say } from './fixtures.mjs'
import { startProgram } from './processes.mjs'

export const CASES = 100
export const QUIET_MS = 2_500
export const NOTES = 'text:consultations/c0'
const KEYSTROKES = 30
const POLL_MS = 10

/** Without circuits nothing but mail goes through it. */
export async function startRelay(bench, { circuit = false } = {}) {
  const folder = bench.newFolder('relay')
  const flags = ['--listen', '/ip4/127.0.0.1/tcp/0', '--stun-port', '0', '--json']
  if (!circuit) flags.push('--no-circuit')
  const relay = startProgram(['relay', '--data', folder, ...flags], bench.profile)
  const { addresses } = JSON.parse(await relay.line)
  return { ...relay, folder, address: addresses[0] }
}

/** Both have the same cases and use the mailbox; started anew, neither knows where the other is. */
export async function farPair(bench, address) {
  const a = await bench.author(CASES)
  const b = await bench.device('far').start()
  await admit(a, b, 'Far')
  await a.call('whenPeerUpToDate', b.id)
  for (const device of [a, b]) await device.ask('mailbox.on', { relays: [address] })
  await sleep(QUIET_MS)
  for (const device of [a, b]) await device.close()
  return { a, b }
}

export async function until(holds, what) {
  for (let waited = 0; waited < 60_000; waited += POLL_MS) {
    if (await holds()) return
    await sleep(POLL_MS)
  }
  throw new Error(`${what} did not happen within a minute`)
}

export const isConnected = async (device) => (await device.ask('status')).mailbox.connected

/** Keystrokes that reach the other device by mail only. */
export async function keystrokesByMail(bench) {
  const relay = await startRelay(bench)
  const { a, b } = await farPair(bench, relay.address)
  const runs = []
  try {
    for (const device of [a, b]) await device.start()
    for (const device of [a, b]) await until(() => isConnected(device), 'the connection to the relay')
    await sleep(QUIET_MS)
    for (let run = 0; run < bench.runs; run++) {
      const id = caseId(run)
      await Promise.all([a.call('openWindow', id), b.call('openWindow', id)])
      const delays = []
      for (let at = 0; at < KEYSTROKES; at++) {
        const arrived = b.worker.next('arrived')
        const { struck } = await a.call('strike', id, NOTES, [0, 0, 'x'])
        delays.push((await arrived).at - struck)
      }
      runs.push({ p50: percentile(delays, 0.5), p99: percentile(delays, 0.99) })
      say(`  M4 mailbox: p50 ${runs.at(-1).p50.toFixed(0)} ms, p99 ${runs.at(-1).p99.toFixed(0)} ms`)
    }
  } finally {
    for (const device of [a, b]) await bench.endDevice(device)
    await relay.end()
  }
  const of = (name) => median(runs.map((each) => each[name]))
  return [{ name: 'M4 mailbox', p50: of('p50'), p99: of('p99'), runs: runs.map(({ p50 }) => p50) }]
}

/** Devices that listen nowhere, so that only the relay joins them; `path` is the one they must end on. */
async function keystrokesOver(bench, name, path, options) {
  const relay = await startRelay(bench, { circuit: true })
  const { a, b } = await farPair(bench, relay.address)
  try {
    for (const device of [a, b]) await device.start({ listen: [], ...options })
    const onPath = async () =>
      (await a.ask('status')).devices.some((each) => each.id === b.id && each.path === path)
    await until(onPath, `a session by "${path}"`)
    await sleep(QUIET_MS)
    const rows = await typing(bench, { a, b }, { name })
    if (!(await onPath())) throw new Error(`${name}: the session took another path meanwhile`)
    return rows
  } finally {
    for (const device of [a, b]) await bench.endDevice(device)
    await relay.end()
  }
}

export const keystrokesByCircuit = (bench) =>
  keystrokesOver(bench, 'M4 circuit', 'relayed', { webrtc: false })

export const keystrokesByRtc = (bench) => keystrokesOver(bench, 'M4 webrtc', 'direct', {})
