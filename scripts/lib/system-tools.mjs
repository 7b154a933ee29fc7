// @ts-check
/** The programs with which the network lab builds networks of its own, and one that makes a disk's calls fail. */
import { spawnSync } from 'node:child_process'
import { installDebian } from './debian.mjs'

const TOOLS = [
  { command: 'ip', packageName: 'iproute2' },
  { command: 'nft', packageName: 'nftables' },
]

/** @returns {string[]} The Debian packages of what is missing. */
export function missingNetworkTools() {
  return TOOLS.filter(({ command }) => spawnSync(command, ['-V'], { stdio: 'ignore' }).error).map(
    ({ packageName }) => packageName,
  )
}

/** Installs what is missing, where it may. The tests that need them say themselves why they are skipped. */
export function ensureSystemTools() {
  const missing = missingNetworkTools()
  if (process.platform === 'linux' && spawnSync('strace', ['-V'], { stdio: 'ignore' }).error)
    missing.push('strace')
  if (missing.length > 0) installDebian(missing)
}
