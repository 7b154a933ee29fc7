/** The limit that M1 is held against: the same bytes over raw TCP, then a bulk write of them to LevelDB. */
import { rmSync } from 'node:fs'
import { median } from './fixtures.mjs'
import { Worker } from './processes.mjs'

/** One run, by two processes of its own; ms of the copy, of the write, and of both. */
export async function limitOnce(bench, n) {
  const { file } = await bench.merged(n)
  const [sender, receiver] = [new Worker('limit-process.mjs'), new Worker('limit-process.mjs')]
  const folder = bench.newFolder('limit')
  try {
    await sender.call('load', file)
    const copyMs = await sender.call('send', await receiver.call('listen'))
    const storeMs = await receiver.call('store', folder)
    return { copyMs, storeMs, ms: copyMs + storeMs }
  } finally {
    await Promise.all([sender.end(), receiver.end()])
    rmSync(folder, { recursive: true, force: true })
  }
}

export async function limits(bench, n) {
  const { bytes } = await bench.merged(n)
  const runs = []
  for (let run = 0; run < bench.runs; run++) runs.push(await limitOnce(bench, n))
  const of = (name) => median(runs.map((run) => run[name]))
  return [
    { name: 'limit tcp', n, ms: of('copyMs'), bytes, runs: runs.map(({ copyMs }) => copyMs) },
    { name: 'limit level', n, ms: of('storeMs'), bytes, runs: runs.map(({ storeMs }) => storeMs) },
    { name: 'limit', n, ms: of('ms'), bytes, runs: runs.map(({ ms }) => ms) },
  ]
}
