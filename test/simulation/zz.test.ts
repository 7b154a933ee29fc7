import { it } from 'vitest'
import { simulate } from './sim.js'
const from = +(process.env.FROM ?? 1), n = +(process.env.N ?? 40)
it('sim', async () => {
  let bad = 0
  const t = performance.now()
  for (let s = from; s < from + n; s++) {
    const r = await simulate(s, JSON.parse(process.env.OPT ?? '{}'))
    if (r.problems.length) { bad++; if (bad <= +(process.env.SHOW ?? 3)) { console.log('SEED', s, r.problems.slice(0, 4).join('\n   ')); if (process.env.OPS) console.log(r.operations.join('\n')) } }
  }
  console.log('bad', bad, 'of', n, Math.round(performance.now() - t), 'ms')
}, 600000)
