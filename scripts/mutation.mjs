// @ts-check
/**
 * `npm run mutation -- [FILE …] [--tests GLOB] [--limit SECONDS] [--write]`: changes src/protocol in small ways, one at
 * a time, and tells which changes no test of the core notices (Stryker, which is installed for it on first use: nothing
 * else needs it). A file takes minutes, the whole core some hours; with the tests beside a file alone (--tests) it is a
 * fraction, and more seem unnoticed. A change that loops is noticed when its tests take longer than they do by --limit
 * (20) and half as long again: a short one is for files of which most changes loop. --write keeps the figures of these
 * files in docs/mutation.json and its table in docs/mutation.md. Every surviving change is in mutation/report.json.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ensureInstalled, root } from './lib/build.mjs'

const VERSION = '9.6.1'
const PACKAGES = ['core', 'vitest-runner'].map((name) => `@stryker-mutator/${name}`)
const FIGURES = join(root, 'docs/mutation.json')

ensureInstalled()
const { values, positionals } = parseArgs({
  options: {
    write: { type: 'boolean', default: false },
    concurrency: { type: 'string', default: '1' },
    tests: { type: 'string' },
    limit: { type: 'string', default: '20' },
  },
  allowPositionals: true,
})
const missing = positionals.filter((file) => !existsSync(join(root, file)))
if (missing.length > 0) {
  console.error(
    `There is no ${missing.join(', ')}. Usage: npm run mutation -- [src/protocol/FILE.ts …] [--write]`,
  )
  process.exit(2)
}
if (!PACKAGES.every((name) => existsSync(join(root, 'node_modules', name)))) {
  const wanted = PACKAGES.map((name) => `${name}@${VERSION}`)
  const install = ['install', '--no-save', '--no-audit', '--no-fund', ...wanted]
  if (spawnSync('npm', install, { cwd: root, stdio: 'inherit' }).status !== 0) process.exit(1)
}
const stryker = join(root, 'node_modules/@stryker-mutator/core/bin/stryker.js')
const chosen = positionals.length > 0 ? ['--mutate', positionals.join(',')] : []
const args = [
  stryker,
  'run',
  'scripts/mutation/stryker.config.json',
  '--concurrency',
  values.concurrency,
  '--timeoutMS',
  String(1000 * Number(values.limit)),
  ...chosen,
]
const env = values.tests === undefined ? process.env : { ...process.env, MUTATION_TESTS: values.tests }
const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', env })
if (status !== 0) process.exit(status ?? 1)

/** @typedef {{ killed: number, timedOut: number, survived: number, uncovered: number, beside?: true }} Figures */
/** @type {Record<string, Figures>} */
const figures = existsSync(FIGURES) ? JSON.parse(readFileSync(FIGURES, 'utf8')) : {}
const report = JSON.parse(readFileSync(join(root, 'mutation/report.json'), 'utf8'))
for (const [file, { mutants }] of Object.entries(report.files)) {
  const count = (/** @type {string} */ kind) =>
    mutants.filter((/** @type {{ status: string }} */ mutant) => mutant.status === kind).length
  const killed = count('Killed') + count('RuntimeError')
  figures[file] = {
    killed,
    timedOut: count('Timeout'),
    survived: count('Survived'),
    uncovered: count('NoCoverage'),
    ...(values.tests === undefined ? {} : { beside: true }),
  }
}
const table = tableOf(figures)
console.log(table)
if (values.write) {
  const sorted = Object.fromEntries(Object.entries(figures).sort(([a], [b]) => (a < b ? -1 : 1)))
  writeFileSync(FIGURES, `${JSON.stringify(sorted, null, 2)}\n`)
  writeFileSync(join(root, 'docs/mutation.md'), `${introduction()}\n${table}\n`)
}

/** @param {Record<string, Figures>} all */
function tableOf(all) {
  const rows = Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1))
  /** @type {Figures} */
  const sum = { killed: 0, timedOut: 0, survived: 0, uncovered: 0 }
  for (const [, { killed, timedOut, survived, uncovered }] of rows) {
    sum.killed += killed
    sum.timedOut += timedOut
    sum.survived += survived
    sum.uncovered += uncovered
  }
  const line = (
    /** @type {[string, Figures]} */ [file, { killed, timedOut, survived, uncovered, beside }],
  ) => {
    const name = beside ? `${file} *` : file
    const noticed = killed + timedOut
    const share = (100 * noticed) / Math.max(1, noticed + survived + uncovered)
    return `| ${name} | ${killed} | ${timedOut} | ${survived} | ${uncovered} | ${share.toFixed(1)} % |`
  }
  const head =
    '| file | failed a test | ran without end | unnoticed | in no test | noticed |\n| --- | --: | --: | --: | --: | --: |'
  return [head, ...rows.map(line), line(['all of these', sum])].join('\n')
}

function introduction() {
  return `# Changes of the core that tests notice

Stryker changes the core in small ways, one at a time (a comparison turned round, a line left out), and runs the tests
that reach the place: test/protocol, test/mail, test/attack and those of the relay's core, not the simulator. A change
that no test notices is either without effect or a gap. Where a file has a *, only the tests beside it were run
(\`--tests\`), which notice less than all. Written by \`npm run mutation -- FILE … --write\`; goal: 80 % noticed.
`
}
