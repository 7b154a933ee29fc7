import { storeSuite } from '../suites/store.js'
import { classicDb } from '../support/databases.js'

storeSuite('classic-level', classicDb)
