/** M9: durable deposits at a relay, beside its storage engine alone with the same flushing. */
import { median, percentile, say } from './fixtures.mjs'
import { cpuMilliseconds, startProgram, Worker } from './processes.mjs'

const DEVICES = 32
const WARM_UP_MS = 1_000
const MEASURE_MS = 5_000

const perSecond = ({ count, ms }) => (count * 1000) / ms

export async function deposits(bench) {
  const relay = startProgram(
    [
      'relay',
      '--listen',
      '/ip4/127.0.0.1/tcp/0',
      '--stun-port',
      '0',
      '--data',
      bench.newFolder('relay'),
      '--json',
    ],
    bench.profile,
  )
  const { addresses } = JSON.parse(await relay.line)
  const worker = new Worker('mail-process.mjs')
  const runs = []
  try {
    for (let run = 0; run < bench.runs; run++) {
      // A practice of its own each time: no more than so much may wait for one.
      await worker.call('connect', addresses, DEVICES)
      await worker.call('deposits', WARM_UP_MS)
      const alone = await worker.call('store', bench.newFolder('engine'), DEVICES, MEASURE_MS)
      const before = cpuMilliseconds(relay.pid)
      const measured = await worker.call('deposits', MEASURE_MS)
      const each = {
        perSecond: perSecond(measured),
        alone: perSecond(alone),
        p50: percentile(measured.latencies, 0.5),
        p99: percentile(measured.latencies, 0.99),
        flushP99: percentile(alone.flushes, 0.99),
        cpuMs: (cpuMilliseconds(relay.pid) - before) / measured.count,
      }
      say(`  M9: ${Math.round(each.perSecond)} deposits a second, the engine alone ${Math.round(each.alone)}`)
      runs.push(each)
      await worker.call('disconnect')
    }
  } finally {
    await worker.end()
    await relay.end()
  }
  const of = (name) => median(runs.map((run) => run[name]))
  return [
    {
      name: 'M9',
      perSecond: of('perSecond'),
      alone: of('alone'),
      p50: of('p50'),
      p99: of('p99'),
      limitMs: of('flushP99'),
      ratio: median(runs.map((run) => run.perSecond / run.alone)),
      cpuMs: of('cpuMs'),
      runs: runs.map((run) => run.perSecond),
    },
  ]
}
