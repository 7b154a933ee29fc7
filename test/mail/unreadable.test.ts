/** Cases that can be read nowhere, or not be given: they can be erased, they are counted right, and a person is told. */
import { afterEach, describe, expect, test } from 'vitest'
import { MAX_CASE_STATE_BYTES } from '../../src/protocol/limits.js'
import { KIND_TOMBSTONE } from '../../src/protocol/log.js'
import { encodeCase } from '../../src/store/case-state.js'
import { keys } from '../../src/store/keyspace.js'
import type { MailDevice } from '../support/mail-world.js'
import { MailBench } from './mail-bench.js'

let bench: MailBench
afterEach(() => bench.stop())

async function begin(...names: string[]): Promise<[MailDevice, MailDevice, MailDevice]> {
  const begun = await MailBench.begin(61, ...names)
  bench = begun.bench
  const [a, ...others] = begun.devices
  await bench.create(a!, 'one', 'two')
  for (const other of others) await bench.meet(a!, other)
  return begun.devices
}

const erase = ({ replica }: MailDevice) =>
  replica.append([{ caseId: 'one', kind: KIND_TOMBSTONE, update: new Uint8Array(0), generation: 0 }])

describe('a case that some can’t read is erased for good by whoever likes to', () => {
  for (const [kinds, what] of Object.entries({ p: 'a part', c: 'its row', cp: 'all of it' }))
    for (const rotten of ['b', 'ab', 'abc'])
      test.each(['a', 'b'])(`${what} has rotted at ${rotten}, erased by %s`, async (eraser) => {
        const devices = await begin('a', 'b', 'c')
        for (const device of devices) if (rotten.includes(device.name)) await bench.rot(device, 'one', kinds)
        expect(await erase(devices.find(({ name }) => name === eraser)!)).toEqual({ ok: true })
        await bench.meetAll(devices)
        for (const device of devices) {
          expect((await device.lines()).join()).not.toContain('one')
          const { damaged, meta } = device.replica
          expect({ damaged: damaged.size, total: meta.total }).toEqual({ damaged: 0, total: 1 })
        }
      })

  test('where only a part has rotted, it counts as damaged no longer at once', async () => {
    const [a] = await begin('a', 'b')
    await bench.rot(a, 'one', 'p')
    await erase(a)
    expect(a.replica.damaged.size).toBe(0)
    expect(await a.replica.caseState(a.replica.keyOf('one'))).toMatchObject({ parts: [], erased: 1 })
  })

  test('not so where its row has rotted: more may be claimed of it than was erased', async () => {
    const [a] = await begin('a', 'b')
    await bench.rot(a, 'one', 'c')
    await erase(a)
    expect(a.replica.damaged.size).toBe(1)
  })
})

describe('[H5] a case that nobody can read any more', () => {
  test.each(['p', 'cp'])('ends with a word on each device, and is counted no longer (%s)', async (kinds) => {
    const devices = await begin('a', 'b')
    const told: string[] = []
    for (const device of devices) {
      await bench.forget(device)
      await bench.rot(device, 'one', kinds)
      device.replica.events.ended = (how) => told.push(`${device.name} ${how}`)
    }
    await bench.meetAll(devices)
    for (const { replica } of devices)
      expect({ damaged: replica.damaged.size, total: replica.meta.total }).toEqual({ damaged: 0, total: 1 })
    expect(told.sort()).toEqual(['a lost', 'b lost'])
  })

  /** What two devices are told and hold in the end, each with other rows of one case that rot. */
  async function endsOf(ofA: string, ofB: string): Promise<{ told: string[]; lines: string[] }> {
    const [a, b] = await begin('a', 'b')
    await bench.phone(a, 'one', 'a sentence')
    await bench.meet(a, b)
    const told: string[] = []
    for (const [device, kinds] of [
      [a, ofA],
      [b, ofB],
    ] as const) {
      await bench.forget(device)
      await bench.rot(device, 'one', kinds)
      device.replica.events.ended = (how) => told.push(`${device.name} ${how}`)
    }
    await bench.meetAll([a, b])
    for (const { replica } of [a, b])
      expect({ damaged: replica.damaged.size, total: replica.meta.total }).toEqual({ damaged: 0, total: 2 })
    expect(await a.lines()).toEqual(await b.lines())
    expect((await a.lines()).join()).toContain('a sentence')
    return { told: told.sort(), lines: await a.lines() }
  }

  test.each([
    ['c', 'cp', ['a renamed', 'b lost']],
    ['c', 'c', ['a renamed', 'b renamed']],
  ])('but whose parts can be read goes on under another id (%s, %s)', async (ofA, ofB, expected) => {
    const { told, lines } = await endsOf(ofA, ofB)
    expect(told).toEqual(expected)
    expect(lines.join()).toContain('found-')
  })

  test('goes on as itself where one has its parts, and another one knows only which case that is', async () => {
    const { told, lines } = await endsOf('c', 'p')
    expect(told).toEqual([])
    expect(lines.join()).not.toContain('found-')
  })

  test('ends without one where nothing of it was ever held, or where it was erased', async () => {
    const [a, b] = await begin('a', 'b')
    const told: string[] = []
    for (const { replica, name } of [a, b]) replica.events.ended = () => told.push(name)
    a.replica.cases.noteDamaged(new Uint8Array(16).fill(7))
    await bench.meetAll([a, b])
    expect(a.replica.damaged.size).toBe(0)
    expect(a.replica.meta.total).toBe(2)
    expect(told).toEqual([])
  })
})

test.each(['a', 'ab'])(
  'an erased case whose row rots at %s was not counted, and is not lost',
  async (rotten) => {
    const devices = await begin('a', 'b')
    const [a, b] = devices
    await erase(a)
    await bench.meet(a, b)
    const told: string[] = []
    for (const device of devices) {
      await bench.forget(device)
      if (rotten.includes(device.name)) await bench.rot(device, 'one', 'c')
      device.replica.events.ended = (how) => told.push(`${device.name} ${how}`)
    }
    await bench.meetAll(devices)
    for (const { replica } of devices)
      expect({ damaged: replica.damaged.size, total: replica.meta.total }).toEqual({ damaged: 0, total: 1 })
    expect(told).toEqual([])
  },
)

test('who holds a case and can’t give it, because it is too large, says so, and it stays marked', async () => {
  const [a, b] = await begin('a', 'b')
  const key = a.replica.keyOf('one')
  const state = (await a.replica.caseState(key))!
  const parts = state.parts.map((part) => ({ ...part, bytes: MAX_CASE_STATE_BYTES + 1 }))
  await a.replica.db.write([{ key: keys.case(key), value: encodeCase({ ...state, parts }) }])
  await bench.restart(a)
  await bench.forget(b)
  await bench.rot(b, 'one', 'p')
  const wire = bench.connect(a, b)
  await bench.quiesce()
  expect([...wire.sessionB.wanted.values()].map(({ state: each }) => each)).toEqual(['over'])
  expect(b.replica.damaged.size).toBe(1)
})
