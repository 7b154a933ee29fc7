// @ts-check
/** The browser that the tests of the window drive. */
import { existsSync } from 'node:fs'
import { installDebian } from './debian.mjs'

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
  installDebian(['chromium'])
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
