// @ts-check
/** Programs that tests need beside Node: installed where this is Debian and we may. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/**
 * Installs Debian packages, if this system has them and the user is root.
 *
 * @param {string[]} packages
 * @returns {boolean} Whether it was tried.
 */
export function installDebian(packages) {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return false
  process.stderr.write(`Installing ${packages.join(', ')} …\n`)
  apt(['update', '-qq'])
  apt(['install', '-qq', '-y', '--no-install-recommends', ...packages])
  return true
}

/** @param {string[]} args */
function apt(args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const options = ['-o', 'Acquire::Retries=3', '-o', 'Dpkg::Use-Pty=0']
  spawnSync('apt-get', [...options, ...args], { env, stdio: ['ignore', 2, 2], timeout: 5 * 60 * 1000 })
}
