// @ts-check
/**
 * A reporter for vitest: after every file it writes the counts so far to the file that KARTOTEKA_COUNTS
 * names, so that a run that is cut off is counted too; at the end it says why tests were skipped.
 */
import { writeFileSync } from 'node:fs'

/** @typedef {import('vitest/node').TestModule} TestModule */
/** @typedef {import('vitest/node').TestSuite} TestSuite */

export default class CountsReporter {
  counts = { passed: 0, failed: 0, skipped: 0 }
  /** Reason → how many tests. */
  reasons = /** @type {Map<string, number>} */ (new Map())
  /** Project → milliseconds of its files. */
  times = /** @type {Map<string, number>} */ (new Map())

  /** @param {TestModule} module */
  onTestModuleEnd(module) {
    for (const test of module.children.allTests()) {
      const result = test.result()
      if (result.state === 'passed') this.counts.passed += 1
      else if (result.state === 'failed') this.counts.failed += 1
      else {
        this.counts.skipped += 1
        const note = result.state === 'skipped' ? result.note : undefined
        const reason = note ?? `${module.relativeModuleId}: ${test.fullName}`
        this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1)
      }
    }
    // A file that doesn't load and a hook that fails have no test of their own to blame.
    this.counts.failed += module.errors().length
    for (const suite of module.children.allSuites()) this.counts.failed += suite.errors().length
    const project = module.project.name
    this.times.set(project, (this.times.get(project) ?? 0) + module.diagnostic().duration)
    this.write()
  }

  /**
   * @param {readonly TestModule[]} _modules
   * @param {readonly unknown[]} errors
   */
  onTestRunEnd(_modules, errors) {
    this.counts.failed += errors.length
    this.write()
    for (const [reason, count] of this.reasons) console.log(`skipped ${count}: ${reason}`)
    const times = [...this.times].map(([name, ms]) => `${name} ${(ms / 1000).toFixed(0)} s`)
    if (times.length > 0) console.log(`time in tests: ${times.join(', ')}`)
  }

  write() {
    if (process.env.KARTOTEKA_COUNTS) writeFileSync(process.env.KARTOTEKA_COUNTS, JSON.stringify(this.counts))
  }
}
