// @ts-check
/**
 * The order of test files, for vitest: the longest first, so that at the end of a run no worker waits for the other's
 * last long file. vitest itself goes by size, which says little here: a simulator's file is short and runs for minutes.
 */
import { BaseSequencer } from 'vitest/node'

/** Of those that take more than 20 seconds on two cores, beginning with the longest. */
const LONG = [
  'simulation/real-seeds',
  'simulation/full-seeds',
  'simulation/',
  'fuzz/',
  'attack/bounds',
  'node/store-rot',
  'e2e/kills',
  'netlab/reconnects',
  'e2e/mailbox',
  'e2e/relay-kills',
  'e2e/store-kills',
  'e2e/store-power',
  'e2e/relay-power',
]

export default class LongFirst extends BaseSequencer {
  /**
   * @param {import('vitest/node').TestSpecification[]} files
   * @override
   */
  async sort(files) {
    /** @param {import('vitest/node').TestSpecification} file */
    const rank = ({ moduleId = '', project }) => {
      const at = LONG.findIndex((part) => moduleId.includes(`/test/${part}`))
      if (at >= 0) return at
      // Next to each other: only then does a process that may run many take another one.
      return project.config.isolate ? LONG.length + 1 : LONG.length
    }
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b))
  }
}
