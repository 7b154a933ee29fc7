import { mailboxSuite } from '../suites/mailbox.js'
import { memoryWorld } from '../support/relay-worlds.js'

mailboxSuite('memory-level', memoryWorld)
