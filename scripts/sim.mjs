/**
 * `npm run sim -- --seeds N --from SEED`: runs the simulator over many seeds, with `--mail` the one with relays.
 * Ends with 1 on a failing seed, and names it; the seed alone replays it.
 */
import { parseArgs } from 'node:util'
import { createServer } from 'vite'
import { ensureInstalled, root } from './lib/build.mjs'

ensureInstalled()
const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string' },
    steps: { type: 'string' },
    mail: { type: 'boolean' },
  },
})
const seeds = Number(values.seeds ?? 500)
const from = Number(values.from ?? 1)
if (!Number.isInteger(seeds) || !Number.isInteger(from) || seeds < 1) {
  console.error('Usage: npm run sim -- --seeds N --from SEED [--steps N] [--mail]')
  process.exit(2)
}
const server = await createServer({
  root,
  configFile: false,
  logLevel: 'error',
  server: { middlewareMode: true, watch: null, ws: false },
  appType: 'custom',
  optimizeDeps: { noDiscovery: true, include: [] },
})
const simulate = values.mail
  ? (await server.ssrLoadModule('/test/simulation/mail-sim.ts')).simulateMail
  : (await server.ssrLoadModule('/test/simulation/sim.ts')).simulate
const failed = []
const began = performance.now()
for (let seed = from; seed < from + seeds; seed++) {
  const result = await simulate(seed, values.steps ? { steps: Number(values.steps) } : {})
  if (result.problems.length > 0) {
    failed.push(seed)
    console.log(`seed ${seed} fails:\n  ${result.problems.slice(0, 5).join('\n  ')}`)
  }
  if (process.stderr.isTTY)
    process.stderr.write(`\r${seed - from + 1} of ${seeds} seeds, ${failed.length} failing `)
}
await server.close()
const seconds = ((performance.now() - began) / 1000).toFixed(1)
console.log(
  `\n${seeds} seeds from ${from} in ${seconds} s: ${failed.length === 0 ? 'none fails' : `failing: ${failed.join(' ')}`}`,
)
process.exit(failed.length === 0 ? 0 : 1)
