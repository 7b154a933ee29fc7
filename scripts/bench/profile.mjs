/** Where the time went: the functions with the most self time in each profile of a folder. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const SHOWN = 25

export function hotspots(folder) {
  const files = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'))
  return files
    .map((file) => `\n${file}\n${summary(JSON.parse(readFileSync(join(folder, file), 'utf8')))}`)
    .join('\n')
}

/** Time of a function and, for what isn't ours, the nearest of our functions or packages that called for it. */
function summary({ nodes, samples, timeDeltas }) {
  const parents = new Map()
  const byId = new Map(nodes.map((node) => [node.id, node]))
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node)
  const bills = new Map()
  const spent = new Map()
  let total = 0
  samples.forEach((id, at) => {
    const node = byId.get(id)
    const bill = bills.get(id) ?? billOf(node, parents)
    bills.set(id, bill)
    const ms = timeDeltas[at] / 1000
    total += ms
    spent.set(bill, (spent.get(bill) ?? 0) + ms)
  })
  const top = [...spent].sort((a, b) => b[1] - a[1]).slice(0, SHOWN)
  const line = ([name, ms]) =>
    `  ${((100 * ms) / total).toFixed(1).padStart(5)} % ${ms.toFixed(0).padStart(6)} ms  ${name}`
  return [`  ${total.toFixed(0)} ms in all`, ...top.map(line)].join('\n')
}

function billOf(node, parents) {
  const own = nameOf(node.callFrame)
  for (let caller = node; caller; caller = parents.get(caller.id)) {
    const { url } = caller.callFrame
    if (!url.includes('/dist/') && !url.includes('/src/')) continue
    return caller === node ? own : `${nameOf(caller.callFrame)}  ← ${own}`
  }
  return own
}

function nameOf({ functionName, url, lineNumber }) {
  const place = url.replace(/^.*\/(node_modules|dist\/src|dist)\//, '').replace(/^file:\/\//, '')
  return `${functionName || '(anonymous)'}${place ? ` ${place}:${lineNumber + 1}` : ''}`
}
