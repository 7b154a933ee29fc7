/** What the store promises, whatever database it is handed. */
import { describe } from 'vitest'
import type { CreateDb, SuiteOptions } from './store/bench.js'
import { compactionSuite } from './store/compaction.js'
import { damageSuite } from './store/damage.js'
import { distrustSuite } from './store/distrust.js'
import { erasingSuite } from './store/erasing.js'
import { failingSuite } from './store/failing.js'
import { healingSuite } from './store/healing.js'
import { logsSuite } from './store/logs.js'
import { startsSuite } from './store/starts.js'
import { statementsSuite } from './store/statements.js'
import { transfersSuite } from './store/transfers.js'

/** @param createDb a new, empty database; closing and opening it again must bring back what it held. */
export function storeSuite(name: string, createDb: CreateDb, options: SuiteOptions = {}): void {
  describe(`the store on ${name}`, () => {
    logsSuite(createDb)
    erasingSuite(createDb)
    compactionSuite(createDb, options)
    transfersSuite(createDb)
    healingSuite(createDb)
    startsSuite(createDb)
    statementsSuite(createDb)
    damageSuite(createDb)
    distrustSuite(createDb)
    failingSuite(createDb)
  })
}
