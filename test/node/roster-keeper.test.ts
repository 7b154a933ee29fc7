/** Two branches of the roster at one device: what it takes over, what it writes again, and a kill in between. */
import { expect, test } from 'vitest'
import { RosterKeeper } from '../../src/node/device/roster-keeper.js'
import { isMember, type Roster } from '../../src/protocol/roster.js'
import { resolveFork } from '../../src/protocol/roster-fork.js'
import { removeDevices } from '../../src/protocol/roster-write.js'
import { SealedDb } from '../../src/store/sealed-db.js'
import {
  enrol,
  genesis,
  makeDevice,
  must,
  natives,
  type TestDevice,
  writing,
} from '../protocol/roster-helpers.js'
import { memoryDb } from '../support/databases.js'
import { seeded } from '../support/random.js'

const source = seeded(1)
const random = (bytes: number) => source.bytes(bytes)
const dataKey = random(32)

function keeperOf(own: TestDevice, former: TestDevice[] = [], raw = memoryDb()) {
  const db = new SealedDb({ db: raw, natives, dataKey, random })
  return { raw, db, keeper: new RosterKeeper(db, natives, { ...own, dataKey, former }, random) }
}

const remove = (roster: Roster, by: TestDevice, who: TestDevice) =>
  must(removeDevices(writing(random, roster, by), { ids: [who.ed], cuts: [] })).roster

/** A practice of three, one of which has founded it: its branches win. */
function practice() {
  const [founder, other, third, added, winners] = ['a', 'b', 'c', 'd', 'e'].map((name) =>
    makeDevice(random, name),
  ) as [TestDevice, TestDevice, TestDevice, TestDevice, TestDevice]
  const base = enrol(random, enrol(random, genesis(random, founder), founder, other), founder, third)
  return { founder, other, third, added, winners, base }
}

test.each([1, 2])(
  'what lost is written again on the branch that stands, or neither: killed at write %i',
  async (at) => {
    const { founder, other, third, added, winners, base } = practice()
    const lost = remove(enrol(random, base, other, added), other, third)
    const stands = enrol(random, base, founder, winners)
    expect(resolveFork(natives, lost, stands)).toBe('theirs')
    const { raw, db, keeper } = keeperOf(other)
    await keeper.begin(lost)
    const write = db.write.bind(db)
    let writes = 0
    db.write = (given) => (++writes === at ? Promise.reject(new Error('killed')) : write(given))
    await keeper.apply([...stands.entries]).catch(() => {})
    const again = keeperOf(other, [], raw).keeper
    await again.load()
    await again.apply([...stands.entries])
    const { roster } = again.current!
    const members = [founder, other, winners, added, third].map(({ ed }) => isMember(roster, ed))
    expect(members).toEqual([true, true, true, true, false])
  },
)

test('what a device wrote before its folder was copied is written again by the copy', async () => {
  const { founder, other, added, winners, base } = practice()
  const copy = makeDevice(random, 'copy')
  const { keeper } = keeperOf(copy, [other])
  await keeper.begin(enrol(random, base, other, added))
  await keeper.enrol()
  await keeper.apply([...enrol(random, base, founder, winners).entries])
  const { roster } = keeper.current!
  expect([copy, added, winners].map(({ ed }) => isMember(roster, ed))).toEqual([true, true, true])
})

test('a copy whose original was removed on the branch that stands can still read its own', async () => {
  const { founder, third, base } = practice()
  const copy = makeDevice(random, 'copy')
  const { raw, keeper } = keeperOf(copy, [third])
  await keeper.begin(base)
  await keeper.enrol()
  await keeper.apply([...remove(base, founder, third).entries])
  const again = keeperOf(copy, [third], raw).keeper
  await again.load()
  expect(again.current?.opened.indexKey).toBeDefined()
})
