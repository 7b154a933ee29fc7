import { mailboxSuite } from '../suites/mailbox.js'
import { classicWorld } from '../support/relay-worlds.js'

mailboxSuite('classic-level', classicWorld)
