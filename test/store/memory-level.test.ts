import { storeSuite } from '../suites/store.js'
import { memoryDb } from '../support/databases.js'

storeSuite('memory-level', memoryDb)
