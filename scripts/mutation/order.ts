import { BaseSequencer, type TestSpecification } from 'vitest/node'

/**
 * The order of test files for a mutant: those that noticed the mutant before, then the short ones. The first test that
 * fails ends the run, and neighbours in the code are mostly noticed by the same file.
 */
export default class LikelyFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId, project }: TestSpecification): number => {
      const path = moduleId.slice(this.ctx.config.root.length + 1)
      const last = this.ctx.cache.getFileTestResults(`${project.name}:${path}`)
      return last?.failed ? -1 : (last?.duration ?? 0)
    }
    return [...files].sort((a, b) => rank(a) - rank(b))
  }
}
