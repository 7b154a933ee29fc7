/** Goals, whether they are met, and the table that shows both. */

import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'

/** At 10,000 cases at most this multiple of the figure at the smallest number of cases. */
const INDEPENDENT = 1.3
const KILOBYTE = 1024
const MEGABYTE = 1e6

/** Of each measure: what is wanted in the end, and what is expected by now where that is less. */
const GOALS = {
  M1: {
    goal: '≤ 3 × the limit; bytes ≤ 0.6 × the merged updates; RSS ≤ 150 MB',
    met: (row) => row.ratio <= 3 && row.bytes <= 0.6 * row.mergedBytes && row.rssMB <= 150,
    expected: '≤ 6 × the limit',
    expectedMet: (row) => row.ratio <= 6,
  },
  M2: {
    goal: '≤ 5 ms; ≤ 1 KB; independent of N',
    met: (row) => row.ms <= 5 && row.bytes <= KILOBYTE && isIndependent(row),
    expected: 'independent of N',
    expectedMet: isIndependent,
  },
  M3: {
    goal: '≤ 20 ms; bytes ≤ the change + 1 KB; independent of N',
    met: (row) => row.ms <= 20 && row.bytes <= row.changeBytes + KILOBYTE && isIndependent(row),
    expected: 'independent of N',
    expectedMet: isIndependent,
  },
  M4: { goal: 'p50 ≤ 2.5 ms; p99 ≤ 15 ms', met: (row) => row.p50 <= 2.5 && row.p99 <= 15 },
  'M4 mailbox': { goal: 'p50 ≤ 400 ms', met: (row) => row.p50 <= 400 },
  M5: {
    goal: '≤ 400 ms; ≤ 0.35 MB; byte-identical export',
    met: (row) => row.ms <= 400 && row.bytes <= 0.35 * MEGABYTE && row.identical,
  },
  M6: {
    goal: '≤ 400 ms; ≤ 90 MB; independent of N',
    met: (row) => row.ms <= 400 && row.rssMB <= 90 && isIndependent(row),
  },
  M7: { goal: '≤ 0.6 × the merged updates', met: (row) => row.ratio <= 0.6 },
  'M7 keystrokes': {
    goal: '≤ 0.3 MB; ≤ 1.5 s of CPU',
    met: (row) => row.bytes <= 0.3 * MEGABYTE && row.cpuMs <= 1500,
  },
  M8: {
    goal: '≤ 0.5 s; relay ≤ 0.1 s of CPU; its disk ≤ 1.5 × the payload; empty afterwards',
    met: (row) => row.ms <= 500 && row.cpuMs <= 100 && row.ratio <= 1.5,
  },
  M9: {
    goal: '≥ 0.7 × the engine alone; p99 ≤ 10 × the p99 of its flushes',
    met: (row) => row.ratio >= 0.7 && row.p99 <= 10 * row.limitMs,
  },
  M10: {
    goal: '≤ 60 KB each; ≤ 2 % of a core; time until all are back told',
    met: (row) => row.bytes <= 60 * KILOBYTE && row.ratio <= 0.02,
  },
  M11: { goal: '≤ 0.2 % of a core; no disk writes', met: (row) => row.ratio <= 0.002 && row.bytes === 0 },
  M12: { goal: '≤ 1.5 s', met: (row) => row.ms <= 1500 },
}

/** For these `ratio` is the figure over that at the smallest N of the same run. */
const COMPARED_BY_N = ['M2', 'M3', 'M6']

function isIndependent(row) {
  return row.ratio === undefined || row.ratio <= INDEPENDENT
}

/** Adds ratios between sizes, goals and verdicts. */
export function judge(rows) {
  for (const row of rows) {
    if (COMPARED_BY_N.includes(row.name) && !row.failed) {
      const smallest = rows
        .filter(({ name, failed }) => name === row.name && !failed)
        .sort((a, b) => a.n - b.n)[0]
      if (smallest !== row) row.ratio = row.ms / smallest.ms
    }
    const wanted = GOALS[row.name]
    if (!wanted) continue
    Object.assign(row, { goal: wanted.goal, met: !row.failed && wanted.met(row) })
    if (wanted.expected)
      Object.assign(row, { expected: wanted.expected, expectedMet: !row.failed && wanted.expectedMet(row) })
  }
  return rows.map(rounded)
}

function rounded(row) {
  const round = (value) => (typeof value === 'number' ? Number(value.toPrecision(4)) : value)
  const whole = ['n', 'bytes', 'mergedBytes', 'changeBytes']
  return Object.fromEntries(
    Object.entries(row).map(([key, value]) => {
      if (whole.includes(key)) return [key, value]
      return [key, Array.isArray(value) ? value.map(round) : round(value)]
    }),
  )
}

export function table(rows) {
  const head = ['Measure', 'N', 'Figure', 'Limit', 'Ratio', 'Goal', 'Met', 'Expected by now', 'Met']
  const lines = rows.map((row) => [
    row.name,
    row.n?.toLocaleString('en') ?? '',
    figure(row),
    row.limitMs === undefined ? '' : milliseconds(row.limitMs),
    row.ratio === undefined || SHARES.includes(row.name) ? '' : `${row.ratio.toFixed(2)} ×`,
    row.goal ?? '',
    verdict(row.met),
    row.expected ?? '',
    verdict(row.expectedMet),
  ])
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** Of these the ratio is a share of one processor. */
const SHARES = ['M10', 'M11']

const verdict = (met) => (met === undefined ? '' : met ? 'yes' : 'no')

/** Where CPU time is that of one thing of many. */
const CPU_OF = {
  M4: 'a keystroke',
  'M4 circuit': 'a keystroke',
  'M4 webrtc': 'a keystroke',
  M9: 'of the relay a deposit',
}

function figure(row) {
  if (row.failed) return `failed: ${row.failed}`
  const parts = []
  if (row.perSecond !== undefined)
    parts.push(`${Math.round(row.perSecond)} a second, the engine alone ${Math.round(row.alone)}`)
  const isShare = SHARES.includes(row.name)
  if (isShare) parts.push(`${(row.ratio * 100).toFixed(2)} % of a core`)
  if (row.name === 'M10') parts.push(`all back after ${milliseconds(row.ms)}`)
  else if (!isShare && row.p50 !== undefined)
    parts.push(`p50 ${row.p50.toFixed(2)} ms`, `p99 ${row.p99.toFixed(2)} ms`)
  else if (!isShare && row.ms !== undefined) parts.push(milliseconds(row.ms))
  if (row.cpuMs !== undefined && !isShare)
    parts.push(
      CPU_OF[row.name]
        ? `${row.cpuMs.toFixed(2)} ms of CPU ${CPU_OF[row.name]}`
        : `${milliseconds(row.cpuMs)} of CPU`,
    )
  if (row.bytes !== undefined) parts.push(bytes(row))
  if (row.rssMB !== undefined) parts.push(`${Math.round(row.rssMB)} MB RSS`)
  if (row.identical !== undefined) parts.push(row.identical ? 'identical' : 'not identical')
  return parts.join('; ')
}

function milliseconds(ms) {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`
  return ms >= 100 ? `${Math.round(ms).toLocaleString('en')} ms` : `${ms.toFixed(1)} ms`
}

function bytes(row) {
  const text =
    row.bytes >= 100_000 ? `${(row.bytes / MEGABYTE).toFixed(2)} MB` : `${row.bytes.toLocaleString('en')} B`
  if (row.changeBytes !== undefined) return `${text} for a change of ${row.changeBytes} B`
  if (row.name === 'M10') return `${text} of memory a device`
  if (row.mergedBytes === undefined) return text
  return `${text}, ${(row.bytes / row.mergedBytes).toFixed(2)} × the merged updates`
}

const BEGIN = '<!-- figures -->'
const END = '<!-- end of figures -->'

/** When and where a run was made, and how busy the machine was. */
export function machine() {
  const model = `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}, Node ${process.versions.node}`
  return `${new Date().toISOString().slice(0, 10)}: ${model}, load ${loadavg()[2].toFixed(1)}`
}

/** Puts the table into a file, between its two marks. */
export function writeTable(file, rows, runs) {
  const text = readFileSync(file, 'utf8')
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`${file} lacks the marks ${BEGIN} and ${END}`)
  const note = `Measured on ${machine()}; medians of ${runs} runs or more.`
  writeFileSync(file, `${text.slice(0, begin)}${BEGIN}\n\n${table(rows)}\n\n${note}\n\n${text.slice(end)}`)
}
