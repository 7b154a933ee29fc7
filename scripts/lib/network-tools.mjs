// @ts-check
/** The programs with which the network lab builds networks of its own. */
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

/** Installs what is missing, where it may. The lab needs root anyway; it says itself why it is skipped. */
export function ensureNetworkTools() {
  const missing = missingNetworkTools()
  if (missing.length > 0) installDebian(missing)
}
