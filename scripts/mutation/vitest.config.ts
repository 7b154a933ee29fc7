import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import LikelyFirst from './order.js'

/** Only these, and not all. */
const beside = process.env.MUTATION_TESTS

/** The tests that a mutant of src/protocol must be killed by: the fast ones, with real cryptography. */
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    // The relay's core has the shipping sessions in it: it is what their rules are tested by.
    include: beside ? [beside] : ['test/{protocol,mail,attack}/**/*.test.ts', 'test/relay/core.test.ts'],
    // It lasts for minutes, and asks for time and memory, which a mutant seldom changes.
    exclude: ['test/attack/bounds.test.ts'],
    setupFiles: [fileURLToPath(new URL('setup.ts', import.meta.url))],
    // One worker that keeps its modules: loading them anew for each test file would take most of the time.
    isolate: false,
    sequence: { sequencer: LikelyFirst },
    // Many times slower than a person waits, and more than a mutant's own limit.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    silent: true,
  },
})
