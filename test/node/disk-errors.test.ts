/**
 * A disk that fails at one of the first 500 calls to it, with EIO and with ENOSPC: nothing is announced or
 * acknowledged that isn't durable, reading goes on, and once the disk is well again everything acknowledged is there.
 *
 * The bulk of it is injected here, into the calls of the store to its database: a thousand processes under strace
 * would take half an hour. Two devices fail in each scene, one of each error, while a third works with both.
 * A full disk under the real process is tried in `test/e2e/failures.test.ts`. KARTOTEKA_STEP=1 tries every call.
 */
import { afterEach, expect, it } from 'vitest'
import { createUpdate } from '../../src/cases/create.js'
import { typeText } from '../../src/cases/edit.js'
import { nodeNatives } from '../../src/node/natives.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import { WriteFailedError } from '../../src/store/sealed-db.js'
import { undurable } from '../support/announced.js'
import { type SimDevice, World } from '../support/world.js'

const CALLS = 500
/** Each so manieth of them is tried; 1 tries all. */
const STEP = Number(process.env.KARTOTEKA_STEP ?? 5)
/** What still happens after the disk has failed. */
const TURNS_AFTER = 2
/** What is saved between two meetings. */
const SAVES = 6
const MOST_TURNS = 60
const IDS = ['one', 'two', 'three']

let world: World
afterEach(() => world.stop())

const ERRORS = { EIO: 'Input/output error', ENOSPC: 'No space left on device' }

/** The database as the store sees it: counts calls, and fails from one of them on. */
class FailingDisk {
  calls = 0
  failed: 'read' | 'write' | undefined

  constructor(
    device: SimDevice,
    private readonly at: number,
    private readonly error: keyof typeof ERRORS,
    /** A batch that failed is found after all at the next start. */
    private readonly comesBack: boolean,
  ) {
    const { db } = device.disk
    const batch = db.batch.bind(db) as (...args: unknown[]) => Promise<void>
    const [get, getMany, iterator, keys] = [db.get, db.getMany, db.iterator, db.keys].map((method) =>
      (method as (...args: unknown[]) => unknown).bind(db),
    ) as ((...args: unknown[]) => unknown)[]
    Object.assign(db, {
      batch: async (...args: unknown[]) => {
        if (!this.fails('write')) return batch(...args)
        if (this.comesBack) await batch(args[0], {})
        throw this.thrown()
      },
      get: async (...args: unknown[]) => this.read(() => get!(...args)),
      getMany: async (...args: unknown[]) => this.read(() => getMany!(...args)),
      iterator: (...args: unknown[]) => this.watched(iterator!(...args), 'nextv'),
      keys: (...args: unknown[]) => this.watched(keys!(...args), 'all'),
    })
  }

  private watched(iterator: unknown, method: string): unknown {
    const original = (iterator as Record<string, (...args: unknown[]) => unknown>)[method]!.bind(iterator)
    return Object.assign(iterator as object, {
      [method]: async (...args: unknown[]) => this.read(() => original(...args)),
    })
  }

  private read<T>(work: () => T): T {
    if (this.fails('read')) throw this.thrown()
    return work()
  }

  /** Writes fail for good once one has failed; a read fails once. */
  private fails(what: 'read' | 'write'): boolean {
    this.calls++
    if (this.calls === this.at) {
      this.failed = what
      return true
    }
    return this.failed === 'write' && what === 'write'
  }

  private thrown(): Error {
    const cause = Object.assign(new Error(`IO error: 000005.log: ${ERRORS[this.error]}`), {
      code: 'LEVEL_IO_ERROR',
    })
    return Object.assign(new Error('Database failed', { cause }), { code: 'LEVEL_IO_ERROR' })
  }
}

interface Victim {
  device: SimDevice
  disk: FailingDisk
  acknowledged: string[]
}

/** An edit that somebody is told is saved. */
async function save({ device, acknowledged }: Victim, turn: number): Promise<void> {
  const mark = `<${device.name}${turn}>`
  try {
    const typed = await device.edit(IDS[turn % IDS.length]!, (doc) => typeText(doc, 'c0', 0, 0, mark))
    // The case has not come yet.
    if (!typed.ok) return
    await device.replica.flush()
    acknowledged.push(mark)
  } catch (error) {
    // A batch that failed and is there all the same has replaced parts that memory still knows.
    expect(String(error)).toMatch(/could not be written|Database failed|a part of a case is missing/)
  }
}

async function turnOf(other: SimDevice, victims: Victim[], turn: number): Promise<void> {
  if (turn % 4 === 0) {
    for (const wire of [...world.wires]) world.cut(wire)
    for (const { device } of victims) world.connect(other, device)
  }
  await other.edit(IDS[turn % IDS.length]!, (doc) => typeText(doc, 'c0', 0, 0, `o${turn} `))
  for (const victim of victims) for (let at = 0; at < SAVES; at++) await save(victim, turn * SAVES + at)
  if (turn % 2 === 1) world.clock.pass(3000)
  await world.quiesce()
}

interface Scene {
  victims: Victim[]
  problems: Set<string>
}

async function scene(at: number, seedBug: (device: SimDevice) => void = () => {}): Promise<Scene> {
  world = new World(500)
  const other = await world.add('o')
  const victims: Victim[] = []
  for (const error of ['EIO', 'ENOSPC'] as const) {
    const device = await world.add(error)
    seedBug(device)
    victims.push({ device, disk: new FailingDisk(device, at, error, at % 2 === 0), acknowledged: [] })
  }
  const changes = IDS.map((caseId) => ({
    caseId,
    kind: KIND_UPDATE,
    update: createUpdate(
      { id: caseId, consultations: [{ id: 'c0', date: '2025-01-01', text: '' }] },
      nodeNatives.sha256,
    ),
  }))
  await other.replica.append(changes)
  const problems = new Set<string>()
  world.onSend = (from, bytes) => {
    for (const problem of undurable(from, bytes)) problems.add(problem)
  }
  let after = 0
  for (let turn = 0; turn < MOST_TURNS && after < TURNS_AFTER; turn++) {
    await turnOf(other, victims, turn)
    if (victims.every(({ disk }) => disk.failed)) after++
  }
  return { victims, problems }
}

/** What a person still sees while the disk fails. */
async function expectReading({ device, acknowledged }: Victim): Promise<void> {
  const text = (await device.lines()).join('\n')
  expect(acknowledged.filter((mark) => !text.includes(mark))).toEqual([])
}

/** The power goes, the disk is well again, and the device starts. */
async function restart({ device, acknowledged }: Victim): Promise<void> {
  for (const wire of [...world.wires]) if (wire.a === device || wire.b === device) world.cut(wire)
  await device.driver.stop()
  await device.disk.crash(0)
  await device.boot()
  const text = (await device.lines()).join('\n')
  expect(acknowledged.filter((mark) => !text.includes(mark))).toEqual([])
}

const PART = 100
it.each(Array.from({ length: CALLS / PART }, (_, part) => part * PART + 1))(
  `EIO and ENOSPC at calls from %i on, each ${STEP}th of ${PART}: nothing acknowledged is lost, nothing undurable is said`,
  async (from) => {
    const kinds = { read: 0, write: 0 }
    for (let at = from; at < from + PART; at += STEP) {
      const { victims, problems } = await scene(at)
      expect([...problems], `call ${at}`).toEqual([])
      for (const victim of victims) {
        expect(victim.disk.failed, `call ${at}`).toBeDefined()
        kinds[victim.disk.failed!]++
        await expectReading(victim)
        if (victim.disk.failed === 'write') {
          const { failed } = victim.device.replica.db
          expect(failed).toBeInstanceOf(WriteFailedError)
          expect(failed!.full).toBe(victim.device.name === 'ENOSPC')
        }
        await restart(victim)
      }
      const [other] = world.devices
      for (const { device } of victims) world.connect(other!, device)
      for (let round = 0; round < 2; round++) {
        await world.quiesce()
        world.clock.pass(5000)
      }
      await world.quiesce()
      const lines = await other!.lines()
      for (const { device } of victims) expect(await device.lines(), `call ${at}`).toEqual(lines)
      await world.stop()
    }
    expect(kinds.write).toBeGreaterThan(PART / STEP / 4)
  },
)

it('this check catches a flush whose failure is swallowed', async () => {
  const caught = new Set<string>()
  for (let at = 60; at < 80; at++) {
    const { victims, problems } = await scene(at, ({ replica }) => {
      const flush = replica.flush.bind(replica)
      Object.assign(replica, { flush: () => flush().catch(() => undefined) })
    })
    for (const problem of problems) caught.add(problem)
    for (const { device, acknowledged } of victims) {
      await device.disk.crash(0)
      await device.boot()
      const text = (await device.lines()).join('\n')
      for (const mark of acknowledged) if (!text.includes(mark)) caught.add(mark)
    }
    await world.stop()
  }
  expect(caught.size).toBeGreaterThan(0)
})
