/**
 * `npm start [-- args]`: installs and builds what is missing, then runs the command line.
 * Nothing of its own goes to standard output.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { checkNode, ensureBuilt, ensureInstalled, program } from './lib/build.mjs'

checkNode()
ensureInstalled()
ensureBuilt()

const child = spawn(process.execPath, [program, ...process.argv.slice(2)], { stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
// Node's own handler would open a debugger.
process.on('SIGUSR1', () => {})
child.on('error', (error) => {
  process.stderr.write(`Kartoteka could not be started (${error.message}).\n`)
  process.exit(1)
})
child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal ?? 'SIGTERM']))
