/** M8 and `M4 mailbox`: two devices that can't reach each other, and a relay between them. */
import { setTimeout as sleep } from 'node:timers/promises'
import { admit, caseId, folderBytes, median, percentile, say } from './fixtures.mjs'
import { cpuMilliseconds, startProgram } from './processes.mjs'

const CASES = 100
const UPDATES = 1_000
const KEYSTROKES = 30
const QUIET_MS = 2_500
const POLL_MS = 10
const NOTES = 'text:consultations/c0'

/** A relay that opens no circuits, so that nothing but mail goes through it. */
async function startRelay(bench) {
  const folder = bench.newFolder('relay')
  const flags = ['--listen', '/ip4/127.0.0.1/tcp/0', '--stun-port', '0', '--no-circuit', '--json']
  const relay = startProgram(['relay', '--data', folder, ...flags])
  const { addresses } = JSON.parse(await relay.line)
  return { ...relay, folder, address: addresses[0] }
}

/** Both have the same cases and use the mailbox; started anew, neither knows where the other is. */
async function farPair(bench, address) {
  const a = await bench.author(CASES)
  const b = await bench.device('far').start()
  await admit(a, b, 'Far')
  await a.call('whenPeerUpToDate', b.id)
  for (const device of [a, b]) await device.ask('mailbox.on', { relays: [address] })
  await sleep(QUIET_MS)
  for (const device of [a, b]) await device.close()
  return { a, b }
}

async function until(holds, what) {
  for (let waited = 0; waited < 60_000; waited += POLL_MS) {
    if (await holds()) return
    await sleep(POLL_MS)
  }
  throw new Error(`${what} did not happen within a minute`)
}

const isConnected = async (device) => (await device.ask('status')).mailbox.connected

/** 1,000 updates on 100 cases while the other device is away; then it comes and collects them. */
export async function collect(bench) {
  const runs = []
  for (let run = 0; run < bench.runs; run++) {
    const relay = await startRelay(bench)
    const { a, b } = await farPair(bench, relay.address)
    try {
      await a.start()
      await until(() => isConnected(a), 'the connection to the relay')
      const floor = folderBytes(relay.folder)
      const cpuBefore = cpuMilliseconds(relay.pid)
      let payload = 0
      for (let at = 0; at < UPDATES; at++) {
        const id = caseId(at % CASES)
        await a.call('openWindow', id)
        payload += (await a.call('strike', id, NOTES, [0, 0, `update ${at} `])).bytes
      }
      await a.ask('wait', { for: 'synced', timeoutSeconds: 60 })
      await sleep(QUIET_MS)
      const diskBytes = folderBytes(relay.folder) - floor
      await a.close()
      await b.start()
      await b.call('mark')
      await until(() => isConnected(b), 'the connection to the relay')
      const began = performance.now()
      const text = `update ${UPDATES - 1} `
      const last = caseId((UPDATES - 1) % CASES)
      await until(
        async () => (await b.ask('cases.show', { id: last })).json.includes(text),
        'the last update',
      )
      const ms = performance.now() - began
      await b.ask('wait', { for: 'synced', timeoutSeconds: 60 })
      const { pendingTotal } = await b.ask('mailbox.show')
      if (pendingTotal !== 0) throw new Error(`${pendingTotal} envelopes stay at the relay`)
      runs.push({
        ms,
        cpuMs: cpuMilliseconds(relay.pid) - cpuBefore,
        bytes: diskBytes,
        ratio: diskBytes / payload,
      })
      say(
        `  M8: ${ms.toFixed(0)} ms, relay ${runs.at(-1).cpuMs.toFixed(0)} ms of CPU, ${diskBytes} B for ${payload} B`,
      )
    } finally {
      for (const device of [a, b]) await bench.endDevice(device)
      await relay.end()
    }
  }
  const of = (name) => median(runs.map((each) => each[name]))
  return [
    {
      name: 'M8',
      n: CASES,
      ms: of('ms'),
      cpuMs: of('cpuMs'),
      bytes: of('bytes'),
      ratio: of('ratio'),
      runs: runs.map(({ ms }) => ms),
    },
  ]
}

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
      say(`  M4 mailbox: p50 ${runs.at(-1).p50.toFixed(0)} ms`)
    }
  } finally {
    for (const device of [a, b]) await bench.endDevice(device)
    await relay.end()
  }
  const of = (name) => median(runs.map((each) => each[name]))
  return [{ name: 'M4 mailbox', p50: of('p50'), p99: of('p99'), runs: runs.map(({ p50 }) => p50) }]
}
