/** M8: two devices that are never on together, and a relay between them. */
import { setTimeout as sleep } from 'node:timers/promises'
import { CASES, farPair, isConnected, NOTES, startRelay, until } from './far.mjs'
import { caseId, folderBytes, median, say } from './fixtures.mjs'
import { cpuMilliseconds } from './processes.mjs'

const UPDATES = 1_000
/** By then a relay has rewritten what was folded: three seconds without a deletion, and some for the work. */
const GIVEN_BACK_MS = 5_000

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
      await sleep(GIVEN_BACK_MS)
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
