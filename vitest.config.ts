import { defineConfig } from 'vitest/config'
import LongFirst from './scripts/lib/long-first.mjs'

/** Need a browser, and a processor for it: one at a time. A test that imports Playwright must be here. */
export const BROWSER_TESTS = [
  'test/browser/**/*.test.ts',
  'test/{node,relay,ui}/**/*browser*.test.ts',
  'test/ui/window*.test.ts',
]
/** Of code that knows nothing of the world around it (`checkAmbientCalls`): nothing of a file can reach the next. */
const CORE_TESTS = ['test/{protocol,cases}/**/*.test.ts']
const SIMULATION_TESTS = ['test/simulation/**/*.test.ts']
/** Hostile bytes, many of them: `npm run fuzz`. */
const FUZZ_TESTS = ['test/fuzz/**/*.test.ts']
/** Real processes of the built product, on this computer's network or on one made for the test. */
export const E2E_TESTS = ['test/e2e/**/*.test.ts', 'test/netlab/**/*.test.ts']

const MINUTE_MS = 60_000

export default defineConfig({
  test: {
    // The logs of a test that passes are noise.
    silent: 'passed-only',
    sequence: { sequencer: LongFirst },
    reporters: ['default', './scripts/lib/counts-reporter.mjs'],
    coverage: {
      include: ['src/protocol/**/*.ts'],
      exclude: ['**/*.gen.ts'],
      reporter: ['text', 'html'],
      reportOnFailure: true,
      thresholds: { branches: 95 },
    },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          // Everything that is nowhere else, so that no test is lost.
          include: ['test/**/*.test.{ts,tsx}'],
          exclude: [...CORE_TESTS, ...BROWSER_TESTS, ...SIMULATION_TESTS, ...FUZZ_TESTS, ...E2E_TESTS],
          // The longest take 20 s where nothing else runs.
          testTimeout: 4 * MINUTE_MS,
          hookTimeout: 2 * MINUTE_MS,
          maxWorkers: 2,
          // One group with the next three, so that no worker waits for the other's last file in between.
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'core',
          include: CORE_TESTS,
          // A process and its modules for many files: to begin each takes longer than most of them do.
          isolate: false,
          testTimeout: 4 * MINUTE_MS,
          hookTimeout: 2 * MINUTE_MS,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'simulation',
          include: SIMULATION_TESTS,
          testTimeout: 10 * MINUTE_MS,
          hookTimeout: MINUTE_MS,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'fuzz',
          include: FUZZ_TESTS,
          testTimeout: 10 * MINUTE_MS,
          hookTimeout: MINUTE_MS,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'browser',
          include: BROWSER_TESTS,
          globalSetup: './scripts/lib/build-first.mjs',
          testTimeout: 2 * MINUTE_MS,
          hookTimeout: 2 * MINUTE_MS,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: E2E_TESTS,
          globalSetup: './scripts/lib/build-first.mjs',
          testTimeout: 5 * MINUTE_MS,
          hookTimeout: 5 * MINUTE_MS,
          // They wait for each other's processes more than they work. Each has ports and a network of its own.
          maxWorkers: 3,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
