#!/usr/bin/env node
/** The program `kartoteka`: the command line in the surroundings of a real process. */
import { readFile, writeFile } from 'node:fs/promises'
import type { Surroundings } from './cli/call.js'
import { run } from './cli/program.js'
import { compileLess } from './compiling.js'
import { giveBackOnce, keepHeapSmall } from './heap.js'
import { spareForms } from './spare.js'
import { openWindow } from './window.js'

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Keeps other programs of the computer away from what this process holds in memory and on disk. */
async function harden(): Promise<void> {
  process.umask(0o077)
  // Node's own handler would open a debugger to every local program.
  process.on('SIGUSR1', () => {})
  // No memory in core dumps.
  if (process.platform === 'linux') await writeFile('/proc/self/coredump_filter', '0x0').catch(() => {})
}

const surroundings: Surroundings = {
  env: process.env,
  stdin: process.stdin,
  out: (text) =>
    new Promise((resolve) => {
      process.stdout.write(text, () => resolve())
    }),
  err: (text) => {
    process.stderr.write(text)
  },
  createDevice: async (options) => (await import('./device.js')).createDevice(options),
  openWindow,
  onSignal: (handler) => {
    for (const signal of STOP_SIGNALS) process.on(signal, handler)
    return () => {
      for (const signal of STOP_SIGNALS) process.off(signal, handler)
    }
  },
}

/** From dist/program/node as from src/node: the nearest package above. */
async function versionOf(folder: URL): Promise<string> {
  const text = await readFile(new URL('package.json', folder), 'utf8').catch(() => null)
  if (text !== null) return (JSON.parse(text) as { version: string }).version
  const above = new URL('../', folder)
  return above.href === folder.href ? '0' : versionOf(above)
}

// A reader that has gone away, as in `kartoteka case list | head`, is no failure.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
// A relay makes short-lived objects for thousands of devices: collecting them so often is a tenth of its work.
// It is busy all the time, and is better compiled soon, too.
if (process.argv[2] !== 'relay') {
  keepHeapSmall()
  compileLess()
} else giveBackOnce()
spareForms()
await harden()
process.exit(await run(process.argv.slice(2), surroundings, await versionOf(new URL('./', import.meta.url))))
