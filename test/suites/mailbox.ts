/** What a relay's store promises, whatever keeps it. */
import { describe } from 'vitest'
import type { CreateWorld } from './mailbox/bench.js'
import { damageSuite } from './mailbox/damage.js'
import { depositsSuite } from './mailbox/deposits.js'
import { failingSuite } from './mailbox/failing.js'
import { goingSuite } from './mailbox/going.js'
import { incarnationSuite } from './mailbox/incarnation.js'
import { rostersSuite } from './mailbox/rosters.js'

export function mailboxSuite(name: string, create: CreateWorld): void {
  describe(`the relay's store on ${name}`, () => {
    depositsSuite(create)
    goingSuite(create)
    rostersSuite(create)
    incarnationSuite(create)
    failingSuite(create)
    damageSuite(create)
  })
}
