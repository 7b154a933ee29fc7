// @ts-check
/** For tests that run the built product: vitest calls this once before them. */
import { ensureBuilt } from './build.mjs'

export default function setup() {
  ensureBuilt()
}
