/** Where the time went: the functions with the most self time in each profile of a folder. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const SHOWN = 25

export function hotspots(folder) {
  const files = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'))
  return files.map((file) => `\n${file}\n${summary(JSON.parse(readFileSync(join(folder, file), 'utf8')))}`).join('\n')
}

function summary({ nodes, samples, timeDeltas }) {
  const names = new Map(nodes.map((node) => [node.id, nameOf(node.callFrame)]))
  const spent = new Map()
  let total = 0
  samples.forEach((id, at) => {
    const name = names.get(id)
    const ms = timeDeltas[at] / 1000
    total += ms
    spent.set(name, (spent.get(name) ?? 0) + ms)
  })
  const top = [...spent].sort((a, b) => b[1] - a[1]).slice(0, SHOWN)
  const line = ([name, ms]) => `  ${((100 * ms) / total).toFixed(1).padStart(5)} % ${ms.toFixed(0).padStart(6)} ms  ${name}`
  return [`  ${total.toFixed(0)} ms in all`, ...top.map(line)].join('\n')
}

function nameOf({ functionName, url, lineNumber }) {
  const place = url.replace(/^.*\/(node_modules|dist)\//, '')
  return `${functionName || '(anonymous)'}${place ? `  ${place}:${lineNumber + 1}` : ''}`
}
