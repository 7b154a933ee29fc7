// @ts-check
/** The browser that the tests of the window drive. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
]

/** Where a browser is, or undefined. */
function findChromium() {
  const wanted = process.env.KARTOTEKA_CHROMIUM
  if (wanted) return existsSync(wanted) ? wanted : undefined
  return PLACES.find((place) => existsSync(place))
}

/**
 * Finds a browser; where there is none and it may, installs Debian's. Otherwise it says what to install:
 * the tests that need it are then skipped.
 *
 * @returns {string | undefined} Its path.
 */
export function ensureChromium() {
  const found = findChromium()
  if (found || process.env.KARTOTEKA_CHROMIUM) return found ?? sayMissing()
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return sayMissing()
  process.stderr.write('Installing chromium …\n')
  apt(['update', '-qq'])
  apt(['install', '-qq', '-y', '--no-install-recommends', 'chromium'])
  return findChromium() ?? sayMissing()
}

function sayMissing() {
  const where = process.env.KARTOTEKA_CHROMIUM
  process.stderr.write(
    where
      ? `There is no browser at ${where}, which KARTOTEKA_CHROMIUM names; the tests that need one are skipped.\n`
      : 'There is no browser; the tests that need one are skipped. Install chromium ' +
          '(Debian: apt-get install chromium), or name one in KARTOTEKA_CHROMIUM.\n',
  )
  return undefined
}

/** @param {string[]} args */
function apt(args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const options = ['-o', 'Acquire::Retries=3', '-o', 'Dpkg::Use-Pty=0']
  spawnSync('apt-get', [...options, ...args], { env, stdio: ['ignore', 2, 2], timeout: 5 * 60 * 1000 })
}
