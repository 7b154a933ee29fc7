/**
 * One-time codes: what stands in the fragment of the window's address and is exchanged, once, for
 * the token of this run. The code itself isn't kept, only its hash.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { createSecret } from './local-server-proof.js'

export const CODE_LIFETIME_MS = 5 * 60 * 1000
/** More than anyone opens windows in five minutes; the oldest go first. */
export const MAX_OPEN_CODES = 64

export interface OneTimeCodes {
  create(): string
  /** true once for each code within its lifetime. */
  redeem(code: string): boolean
}

/** `now` in milliseconds of a clock that never goes back. */
export function createOneTimeCodes(now: () => number = () => performance.now()): OneTimeCodes {
  let open: { hash: Buffer; until: number }[] = []
  const prune = () => {
    open = open.filter((entry) => entry.until > now()).slice(-MAX_OPEN_CODES)
  }
  return {
    create() {
      const code = createSecret()
      open.push({ hash: hashOf(code), until: now() + CODE_LIFETIME_MS })
      prune()
      return code
    },
    redeem(code) {
      prune()
      const hash = hashOf(code)
      let found = -1
      // Every entry is compared, so that time tells nothing about which one fits.
      for (const [index, entry] of open.entries()) if (timingSafeEqual(entry.hash, hash)) found = index
      if (found >= 0) open.splice(found, 1)
      return found >= 0
    },
  }
}

function hashOf(code: string): Buffer {
  return createHash('sha256').update(code).digest()
}
