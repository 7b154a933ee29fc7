/**
 * The figures that are kept in docs/bench.json, so that a regression shows: `--write` puts them there, `--compare`
 * sets a run beside them. Of another machine, or a busy one, only ratios within one run say anything.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

/** What is kept of a row, and how it is named in the comparison. */
const KEPT = {
  ms: 'time',
  p50: 'p50',
  p99: 'p99',
  cpuMs: 'CPU',
  bytes: 'bytes',
  rssMB: 'RSS',
  ratio: 'ratio',
}

const nameOf = ({ name, n }) => (n === undefined ? name : `${name} at ${n.toLocaleString('en')}`)
const keptFile = (table) => table.replace(/\.md$/, '.json')

const read = (file) => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { rows: [] })

/** Beside the table; rows of measures that were not made this time stay. */
export function keep(table, rows, machine) {
  const file = keptFile(table)
  const fresh = rows.filter(({ failed }) => !failed).map(shortened)
  const names = new Set(fresh.map(nameOf))
  const others = read(file).rows.filter((row) => !names.has(nameOf(row)))
  const all = [...others, ...fresh].sort((a, b) =>
    nameOf(a).localeCompare(nameOf(b), 'en', { numeric: true }),
  )
  writeFileSync(file, `${JSON.stringify({ machine, rows: all }, null, 2)}\n`)
}

function shortened(row) {
  const kept = ['name', 'n', ...Object.keys(KEPT)].filter((key) => row[key] !== undefined)
  return Object.fromEntries(kept.map((key) => [key, row[key]]))
}

/** Each figure of this run over the one that is kept; undefined if none of them is. */
export function besideKept(table, rows) {
  const { machine, rows: kept } = read(keptFile(table))
  const lines = rows.flatMap((row) => {
    const before = kept.find((each) => nameOf(each) === nameOf(row))
    if (!before || row.failed) return []
    const cells = Object.keys(KEPT).map((key) =>
      before[key] > 0 && row[key] !== undefined ? `${(row[key] / before[key]).toFixed(2)} ×` : '',
    )
    return [[nameOf(row), ...cells]]
  })
  if (lines.length === 0) return undefined
  const head = [`beside the kept figures (${machine})`, ...Object.values(KEPT)]
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
