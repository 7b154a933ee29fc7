// @ts-check
/**
 * `npm run fuzz -- [FILTER] --inputs N --seed S`: more hostile bytes than a run of the tests has. A failing input names
 * its seed and number; `--at NUMBER` with `-t NAME` replays it alone.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ensureInstalled, root } from './lib/build.mjs'

ensureInstalled()
const { values, positionals } = parseArgs({
  options: {
    inputs: { type: 'string' },
    seed: { type: 'string' },
    at: { type: 'string' },
    testNamePattern: { type: 'string', short: 't' },
  },
  allowPositionals: true,
})
const numbers = [values.inputs, values.seed, values.at].filter((value) => value !== undefined)
if (numbers.some((value) => !/^[0-9]+$/.test(value))) {
  console.error('Usage: npm run fuzz -- [FILTER] --inputs N --seed S [--at NUMBER -t NAME]')
  process.exit(2)
}
const env = {
  ...process.env,
  ...(values.inputs && { KARTOTEKA_FUZZ_INPUTS: values.inputs }),
  ...(values.seed && { KARTOTEKA_FUZZ_SEED: values.seed }),
  ...(values.at && { KARTOTEKA_FUZZ_AT: values.at }),
}
const names = values.testNamePattern ? ['-t', values.testNamePattern] : []
const vitest = join(root, 'node_modules/vitest/vitest.mjs')
// However many inputs are asked for, a test ends only when it is through.
const args = [vitest, 'run', '--project', 'fuzz', '--testTimeout', '0', ...names, ...positionals]
process.exitCode = spawnSync(process.execPath, args, { cwd: root, env, stdio: 'inherit' }).status ?? 1
