/** Who is not of the practice costs next to nothing, and takes nothing down. */
import { afterEach, expect, test } from 'vitest'
import { RosterKeeper } from '../../src/node/device/roster-keeper.js'
import { nodeNatives } from '../../src/node/natives.js'
import { changeSettings } from '../../src/protocol/roster-write.js'
import { SealedDb } from '../../src/store/sealed-db.js'
import { genesis, makeDevice, must, writing } from '../protocol/roster-helpers.js'
import { memoryDb } from '../support/databases.js'
import { seeded } from '../support/random.js'
import { World } from '../support/world.js'

let world: World | undefined
afterEach(() => world?.stop())

test('a stranger’s message that can’t be a roster ends its session, and is not decoded', async () => {
  world = new World(1)
  const [a, b] = [await world.add('a'), await world.add('b')]
  world.members.delete([...world.members.keys()][1]!)
  const wire = world.connect(a, b)
  // CHANGES of nothing but empty runs.
  const length = 100_000
  const bytes = new Uint8Array(4 + length)
  bytes.set([0x2a, (length & 127) | 128, ((length >> 7) & 127) | 128, length >> 14])
  for (let at = 4; at < bytes.length; at += 2) bytes[at] = 0x12
  void a.driver.receive(wire.sessionA, bytes)
  await world.settle()
  expect(wire.sessionA.open).toBe(false)
})

test('a stranger’s roster is seen to be another practice’s before its signatures are checked', async () => {
  const { bytes: random } = seeded(2)
  const [own, stranger] = [makeDevice(random, 'own'), makeDevice(random, 'stranger')]
  let verified = 0
  const natives = {
    ...nodeNatives,
    verify: (...given: Parameters<typeof nodeNatives.verify>) => {
      verified++
      return nodeNatives.verify(...given)
    },
  }
  const db = new SealedDb({ db: memoryDb(), natives, dataKey: random(32), random })
  const keeper = new RosterKeeper(db, natives, { ...own, dataKey: random(32), former: [] }, random)
  await keeper.begin(genesis(random, own))
  let theirs = genesis(random, stranger)
  for (let at = 0; at < 50; at++)
    theirs = must(changeSettings(writing(random, theirs, stranger), { practiceName: `p${at}` })).roster
  verified = 0
  expect(await keeper.apply([...theirs.entries])).toBe(false)
  expect(verified).toBeLessThanOrEqual(1)
})
