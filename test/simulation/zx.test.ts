import { it } from 'vitest'
import { simulate } from './sim.js'
import { casesFrom } from '../../src/store/reading.js'
import type { World } from '../support/world.js'
import { inspectUpdate } from '../../src/cases/inspect.js'
import { decodePayload } from '../../src/protocol/payload.js'
import { nodeNatives } from '../../src/node/natives.js'
it('dbg', async () => {
  let w!: World
  const r = await simulate(+(process.env.SEED ?? 7), { plant: (x) => { w = x } })
  console.log(r.problems.join('\n'), r.operations.map((o, i) => i + ' ' + o).filter((o) => !/deliver|time/.test(o)).join('\n'))
  for (const d of w.devices.filter((d) => d.alive)) {
    for await (const s of casesFrom(d.replica, new Uint8Array(0))) {
      if (!w.devices.length) continue
      const parked = s.parked.map((p) => `${p.log.slice(0, 4)}:${p.seq} ` + JSON.stringify(inspectUpdate(decodePayload(nodeNatives, p.payload, 1e7)!), (k, v) => v instanceof Map ? [...v] : v))
      console.log(d.name, s.caseId, [...s.touched].map(([l, n]) => `${l.slice(0, 4)}:${n}`).sort().join(' '), JSON.stringify([...s.clocks].sort()), 'PARKED', parked)
    }
    console.log([...d.replica.logs.all()].map((l) => `${l.log.slice(0, 4)}:${l.seq}${l.cut ? '|' + l.cut.seq : ''}`).sort().join(' '))
  }
}, 600000)
