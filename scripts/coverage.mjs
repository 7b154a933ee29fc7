// @ts-check
/** `npm run coverage`: which branches of `src/protocol` the tests of the core take, without processes and browsers. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { checkNode, ensureInstalled, root } from './lib/build.mjs'

const PROJECTS = ['unit', 'core', 'simulation']

checkNode()
ensureInstalled()
const vitest = join(root, 'node_modules/vitest/vitest.mjs')
const projects = PROJECTS.flatMap((name) => ['--project', name])
const { status } = spawnSync(process.execPath, [vitest, 'run', '--coverage', ...projects], {
  cwd: root,
  stdio: 'inherit',
})
process.exitCode = status ?? 1
