/** A copied folder that becomes a device of its own: its keys, and its place in the roster. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { type Identity, loadIdentity, renewIdentity } from '../../src/node/device/identity.js'
import { collectsMail } from '../../src/node/device/mail-roster.js'
import { RosterKeeper } from '../../src/node/device/roster-keeper.js'
import { nodeNatives as natives } from '../../src/node/natives.js'
import { equalBytes, toHex } from '../../src/protocol/bytes.js'
import { currentMembers } from '../../src/protocol/roster.js'
import {
  addDevice,
  changeSettings,
  createGenesis,
  removeDevices,
  signEnrolment,
} from '../../src/protocol/roster-write.js'
import { SealedDb } from '../../src/store/sealed-db.js'
import { memoryDb } from '../support/databases.js'
import { seeded } from '../support/random.js'

const source = seeded(71)
const random = (length: number) => source.bytes(length)

const root = mkdtempSync(join(tmpdir(), 'kartoteka-copied-'))
const tempFolder = () => mkdtempSync(join(root, 'data-'))
afterAll(() => rmSync(root, { recursive: true }))

function keeperOf(identity: Identity): RosterKeeper {
  const db = new SealedDb({ db: memoryDb(), natives, dataKey: identity.dataKey, random })
  return new RosterKeeper(db, natives, identity, random)
}

async function renewed(folder: string): Promise<Identity> {
  await renewIdentity(folder, await loadIdentity(folder, false))
  return loadIdentity(folder, false)
}

describe('keys of a copied folder', () => {
  it('are new ones; the former stay beside them, and the store stays readable', async () => {
    const folder = tempFolder()
    const before = await loadIdentity(folder, true)
    const after = await renewed(folder)
    expect(toHex(after.ed)).not.toBe(toHex(before.ed))
    expect(toHex(after.x)).not.toBe(toHex(before.x))
    expect(after.dataKey).toEqual(before.dataKey)
    const pairsOf = ({ ed, edSecret, x, xSecret }: Identity) => ({ ed, edSecret, x, xSecret })
    expect(after.former).toEqual([pairsOf(before)])
    expect(await loadIdentity(folder, false)).toEqual(after)
    // A copy of the copy; but not for ever.
    const third = await renewed(folder)
    expect(third.former).toEqual([pairsOf(after), pairsOf(before)])
    const fifth = await renewed(folder).then(() => renewed(folder))
    await expect(renewed(folder)).rejects.toThrow('too many keys')
    expect(await loadIdentity(folder, false)).toEqual(fifth)
  })

  it('are damaged if a digit of the former ones is', async () => {
    const folder = tempFolder()
    await loadIdentity(folder, true)
    await renewed(folder)
    const path = join(folder, 'keys.json')
    const file = JSON.parse(readFileSync(path, 'utf8')) as { former: { x25519: string }[] }
    const [former] = file.former
    const { x25519 } = former!
    former!.x25519 = (x25519.startsWith('0') ? '1' : '0') + x25519.slice(1)
    writeFileSync(path, JSON.stringify(file))
    await expect(loadIdentity(folder, false)).rejects.toMatchObject({ code: 'keys-damaged' })
  })
})

describe('the place of a copied device in the roster', () => {
  let desk: Identity
  let copy: Identity
  let keeper: RosterKeeper
  let copied: RosterKeeper
  const entries = (of: RosterKeeper) => [...of.current!.roster.entries]
  const names = (of: RosterKeeper) => currentMembers(of.current!.roster).map(({ ed }) => of.nameOf(ed))

  beforeEach(async () => {
    const folder = tempFolder()
    desk = await loadIdentity(folder, true)
    keeper = keeperOf(desk)
    const written = createGenesis({
      natives,
      random,
      device: { ...desk, name: 'Desk' },
      practiceName: 'Gabinet',
    })
    if ('error' in written) throw new Error(written.error)
    await keeper.begin(written.roster)
    copy = await renewed(folder)
    copied = keeperOf(copy)
    await copied.begin(keeper.current!.roster)
  })

  /** Pairs a device at the desk; gives its keys. */
  async function pair(name: string): Promise<Identity> {
    const identity = await loadIdentity(tempFolder(), true)
    const { practiceId } = keeper.current!.roster
    const selfSignature = signEnrolment(natives, practiceId, identity)
    const written = await keeper.write((context) =>
      addDevice(context, { ed: identity.ed, x: identity.x, selfSignature, name }),
    )
    expect(written).not.toHaveProperty('error')
    return identity
  }

  it('is of its own, under a name of its own, and it can read and write the roster', async () => {
    expect(await copied.enrol()).toBe('Desk (2)')
    expect(await copied.enrol()).toBeUndefined()
    expect(await keeper.apply(entries(copied))).toBe(true)
    expect(names(keeper)).toEqual(['Desk', 'Desk (2)'])
    const written = await copied.write((context) => changeSettings(context, { practiceName: 'Praxis' }))
    expect(written).not.toHaveProperty('error')
    expect(await keeper.apply(entries(copied))).toBe(true)
    expect(keeper.current!.opened.practiceName).toBe('Praxis')
    expect(toHex(copied.others()[0]!)).toBe(toHex(desk.ed))
  })

  it('collects mail where the original does', async () => {
    await copied.enrol()
    expect(collectsMail(copied, copy.ed)).toBe(false)
    await keeper.write((context) => changeSettings(context, { collectsMail: { [toHex(desk.ed)]: true } }))
    const other = keeperOf(copy)
    await other.begin(keeper.current!.roster)
    await other.enrol()
    expect([copy.ed, desk.ed].map((ed) => collectsMail(other, ed))).toEqual([true, true])
  })

  it('is nobody’s where the original was never enrolled, and needs no enrolment without former keys', async () => {
    expect(await keeper.enrol()).toBeUndefined()
    const lone = keeperOf(copy)
    expect(await lone.enrol()).toBeUndefined()
    const stranger = await renewed(await withKeys())
    const elsewhere = keeperOf(stranger)
    await elsewhere.begin(keeper.current!.roster)
    expect(await elsewhere.enrol()).toBeUndefined()
    expect(elsewhere.isMember(stranger.ed)).toBe(false)
  })

  it('is written again where its branch has lost, and the one that stands tells a stranger of it', async () => {
    const seen = new Set<boolean>()
    for (let round = 0; round < 40 && seen.size < 2; round++) {
      const [a, b] = [keeperOf(desk), keeperOf(copy)]
      const start = keeper.current!.roster
      await a.begin(start)
      await b.begin(start)
      keeper = a
      await pair('Phone')
      await b.enrol()
      const hasLost = a.hasLost(entries(b), copy.ed)
      seen.add(hasLost)
      if (hasLost) {
        // Refused, it is told of the branch that stands.
        expect(await a.apply(entries(b))).toBe(false)
        expect(await b.apply(entries(a))).toBe(true)
        expect(b.isMember(copy.ed)).toBe(true)
      }
      expect(await a.apply(entries(b))).toBe(true)
      await b.apply(entries(a))
      expect(equalBytes(a.current!.roster.head, b.current!.roster.head)).toBe(true)
      expect(names(a).sort()).toEqual(['Desk', 'Desk (2)', 'Phone'])
      expect(b.context()).toBeDefined()
      keeper = keeperOf(desk)
      await keeper.begin(start)
    }
    expect([...seen].sort()).toEqual([false, true])
  })

  it('is nobody’s any more once it was removed, and opens all the same', async () => {
    await copied.enrol()
    await keeper.apply(entries(copied))
    await keeper.write((context) => removeDevices(context, { ids: [copy.ed], cuts: [] }))
    expect(await copied.apply(entries(keeper))).toBe(true)
    expect(await copied.enrol()).toBeUndefined()
    expect(copied.isMember(copy.ed)).toBe(false)
    expect(keeper.hasLost(entries(copied), copy.ed)).toBe(false)
  })

  it('stays outside where there is no room, and opens all the same', async () => {
    while (keeper.hasRoom) await pair(`Phone ${names(keeper).length}`)
    await copied.apply(entries(keeper))
    expect(await copied.enrol()).toBeUndefined()
    expect(copied.current!.opened.practiceName).toBe('Gabinet')
  })

  it('comes back for a copy of a copy whose branch has lost', async () => {
    await copied.enrol()
    const folder = await withKeys()
    const third: Identity = { ...(await loadIdentity(folder, false)), former: [copy, ...copy.former] }
    const again = keeperOf(third)
    await again.begin(copied.current!.roster)
    await again.enrol()
    const lost = entries(again)
    // Whatever wins: what both of them wrote is not there.
    const other = keeperOf(third)
    await other.begin(keeper.current!.roster)
    expect(await other.enrol()).toBe('Desk (2)')
    expect(other.isMember(third.ed)).toBe(true)
    expect(keeper.hasLost(lost, third.ed)).toBe(false)
  })

  it('tells nobody else of it: no other practice, no chain that is a beginning of its own', async () => {
    await pair('Phone')
    expect(keeper.hasLost(entries(copied), desk.ed)).toBe(false)
    expect(keeper.hasLost([], desk.ed)).toBe(false)
    await copied.enrol()
    expect(copied.hasLost(entries(keeper), random(32))).toBe(false)
  })
})

async function withKeys(): Promise<string> {
  const folder = tempFolder()
  await loadIdentity(folder, true)
  return folder
}
