import { it } from 'vitest'
import { decodeFrame } from '../../src/protocol/wire.js'
import { toHex } from '../../src/protocol/bytes.js'
import { simulate } from './sim.js'
it('dbg', async () => {
  let n = 0
  const log: string[] = []
  const r = await simulate(+(process.env.SEED ?? 7), { plant: (w) => {
    const d = w.deliver.bind(w)
    w.deliver = (wire, toA) => {
      const q = toA ? wire.toA : wire.toB
      const before = [...q]
      const ok = d(wire, toA)
      if (ok) {
        const m = before.find((x) => !q.includes(x))!
        const f = decodeFrame(m.bytes)!
        const v: any = f.value
        n++
        const j = JSON.stringify(v, (k, x) => x instanceof Uint8Array || x?.type === 'Buffer' ? (k === 'log' ? toHex(x).slice(0, 4) : `#${x.length}`) : x?.type === 'Buffer' ? '#' : x)
        log.push(`${toA ? wire.b.name + '>' + wire.a.name : wire.a.name + '>' + wire.b.name} ${f.$case} ${j.slice(0, 400)}`)
        if (log.length > 400000) log.splice(0, 100000)
      }
      return ok
    }
  } })
  console.log(r.problems.slice(0, 3).join('\n'), r.operations.slice(-40).join('\n'))
  console.log(log.slice(-40).join('\n'))
}, 600000)
