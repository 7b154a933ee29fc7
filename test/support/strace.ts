/** A disk whose calls fail under one process: `strace --inject` gives it the error in place of the call. Linux only. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** LevelDB numbers its files in one row; a short run gets as far as this. */
const FILE_NUMBERS = 60
/** Where a device and a relay have their database, and what they keep beside it. */
const STORES = ['store', 'mail']
const NEW_FILES = ['keys.json', 'identity.json', 'incarnation'].map((name) => `${name}.new`)
const FILES = ['holder', 'jottings', ...NEW_FILES]

/** What goes wrong, as strace has it. */
export interface Failure {
  call: 'write' | 'fdatasync' | 'fsync' | 'rename'
  error: 'EIO' | 'ENOSPC'
  /** The so manieth such call for a file in the folder. */
  at: number
  /** All later ones as well. */
  stays: boolean
}

/** Why it can't be tried here; undefined if it can. */
export function straceObstacle(): string | undefined {
  if (process.platform !== 'linux') return 'strace is for Linux'
  const tried = spawnSync('strace', ['-D', '-f', '--seccomp-bpf', '-o', '/dev/null', 'true'])
  if (tried.error) return 'strace is not installed'
  return tried.status === 0 ? undefined : `strace may not be used here (${String(tried.stderr).trim()})`
}

/** Runs a program whose disk fails so, and notes in `log` what it has called. */
export function failing(folder: string, log: string, { call, error, at, stays }: Failure): string[] {
  const numbers = Array.from({ length: FILE_NUMBERS }, (_, number) => String(number).padStart(6, '0'))
  const tables = numbers.flatMap((name) => [
    `${name}.log`,
    `${name}.ldb`,
    `${name}.dbtmp`,
    `MANIFEST-${name}`,
  ])
  const names = [
    '.',
    ...FILES,
    ...STORES,
    ...STORES.flatMap((store) => tables.map((name) => `${store}/${name}`)),
  ]
  const paths = names.map((name) => join(folder, name))
  return [
    ...['strace', '-D', '-q', '-f', '--seccomp-bpf', '-o', log],
    ...['-e', `trace=${call},fdatasync`, '-e', `inject=${call}:error=${error}:when=${at}${stays ? '+' : ''}`],
    ...paths.flatMap((path) => ['-P', path]),
  ]
}

/** strace counts the calls of each thread by itself: what goes to files is to be done by one of them. */
export const ONE_THREAD = { UV_THREADPOOL_SIZE: '1' }

/** Whether it has come to the failure, and how many flushes were without one. */
export function whatHappened(log: string): { failed: number; flushed: number } {
  const lines = readFileSync(log, 'utf8').split('\n')
  const flushed = lines.filter((line) => line.includes('fdatasync') && line.endsWith('= 0')).length
  return { failed: lines.filter((line) => line.includes('(INJECTED)')).length, flushed }
}
