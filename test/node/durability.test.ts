/**
 * Whatever is announced is durable. Real sessions run over disks that forget; every frame that leaves is
 * compared with what a power cut at that very moment would leave behind.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { createUpdate } from '../../src/cases/create.js'
import { typeText } from '../../src/cases/edit.js'
import { nodeNatives } from '../../src/node/natives.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import { decodeFrame } from '../../src/protocol/wire.js'
import { keys } from '../../src/store/keyspace.js'
import { durable, undurable } from '../support/announced.js'
import { type SimDevice, World } from '../support/world.js'

let world: World
afterEach(async () => {
  for (const device of world.devices) {
    device.disk.held = false
    device.disk.release()
  }
  await world.stop()
})

interface Watch {
  problems: Set<string>
  frames: Map<string, number>
}

function watch(): Watch {
  const seen: Watch = { problems: new Set(), frames: new Map() }
  world.onSend = (from, bytes) => {
    const kind = decodeFrame(bytes)?.$case ?? '?'
    seen.frames.set(kind, (seen.frames.get(kind) ?? 0) + 1)
    for (const problem of undurable(from, bytes)) seen.problems.add(problem)
  }
  return seen
}

const sample = (id: string) => ({
  id,
  patient: { firstName: 'Łucja', lastName: `Nowak ${id}` },
  consultations: [{ id: 'c0', date: '2024-01-02', text: 'ból głowy od rana '.repeat(20) }],
})

async function addCases(device: SimDevice, ...ids: string[]): Promise<void> {
  const changes = ids.map((caseId) => ({
    caseId,
    kind: KIND_UPDATE,
    update: createUpdate(sample(caseId), nodeNatives.sha256),
  }))
  expect(await device.replica.append(changes)).toEqual({ ok: true })
}

/** Devices that meet, edit, part and go, while flushes take their time. */
async function live(seed: number, devices: SimDevice[], turns: number): Promise<void> {
  const { random } = world
  const ids = Array.from({ length: 8 }, (_, at) => `case-${seed}-${at}`)
  await addCases(devices[0]!, ...ids)
  const edits: Promise<unknown>[] = []
  for (let turn = 0; turn < turns; turn++) {
    const device = random.pick(devices)
    const other = random.pick(devices.filter((each) => each !== device))
    const wire = random.pick([...world.wires, undefined])
    switch (random.int(0, 9)) {
      case 0:
        if (!world.wires.some(({ a, b }) => [a, b].includes(device) && [a, b].includes(other)))
          world.connect(device, other)
        break
      case 1:
        if (wire && random() < 0.2) world.cut(wire)
        break
      case 2:
        device.disk.held = random() < 0.7
        if (!device.disk.held) device.disk.release()
        break
      case 3:
        device.disk.release()
        break
      case 4:
        world.clock.pass(random.int(1, 3000))
        break
      case 5:
        edits.push(
          device
            .edit(random.pick(ids), (doc) => typeText(doc, 'c0', 0, 0, `${turn} `))
            .catch(() => undefined),
        )
        break
      default:
        for (let at = 0; wire && at < 4; at++) world.deliver(wire, random() < 0.5)
    }
    await world.settle(random.int(0, 2))
  }
  for (const device of devices) {
    device.disk.held = false
    device.disk.release()
  }
  await world.quiesce()
  world.clock.pass(5000)
  await world.quiesce()
  await Promise.all(edits)
}

async function scene(
  seed: number,
  prepare: (devices: SimDevice[]) => void = () => {},
  turns = 250,
): Promise<Watch> {
  world = new World(seed)
  const devices = [await world.add('a'), await world.add('b'), await world.add('c')]
  prepare(devices)
  const seen = watch()
  await live(seed, devices, turns)
  return seen
}

describe('[X1] [X2] whatever leaves a device is durable there', () => {
  it('three devices that meet, edit and part while disks are slow (seeds 1 to 10)', async () => {
    // What happens in one scene is chance; in ten of them everything does.
    const frames = new Map<string, number>()
    for (let seed = 1; seed <= 10; seed++) {
      const seen = await scene(seed)
      expect([...seen.problems], `seed ${seed}`).toEqual([])
      for (const [kind, count] of seen.frames) frames.set(kind, (frames.get(kind) ?? 0) + count)
      await world.stop()
    }
    for (const kind of ['hello', 'ack', 'changes']) expect(frames.get(kind), kind).toBeGreaterThan(10)
  })

  it('a first transfer of whole states, its acknowledgements, its end, and the statements after it', async () => {
    world = new World(11)
    const [a, b] = [await world.add('a'), await world.add('b')]
    const seen = watch()
    await addCases(a, ...Array.from({ length: 150 }, (_, at) => `case-${at}`))
    world.connect(a, b)
    b.disk.held = true
    for (let turn = 0; turn < 400; turn++) {
      const [wire] = world.wires
      if (wire) world.deliver(wire, turn % 2 === 0)
      if (turn % 7 === 0) b.disk.release()
      await world.settle(1)
    }
    b.disk.held = false
    b.disk.release()
    await world.quiesce()
    world.clock.pass(5000)
    await world.quiesce()
    expect(await b.lines()).toEqual(await a.lines())
    expect([...seen.problems]).toEqual([])
    for (const kind of ['hello', 'offer', 'take', 'begin', 'items', 'end', 'ack', 'statements']) {
      expect(seen.frames.get(kind), kind).toBeGreaterThan(0)
    }
  })

  it('an acknowledgement waits for the flush of its own batch, not for an earlier one that is still under way', async () => {
    world = new World(12)
    const [a, b] = [await world.add('a'), await world.add('b')]
    await addCases(a, 'one')
    world.connect(a, b)
    await world.quiesce()
    const seen = watch()
    b.disk.held = true
    for (let at = 0; at < 5; at++) {
      await a.edit('one', (doc) => typeText(doc, 'c0', 0, 0, `${at}`))
      const [wire] = world.wires
      while (wire && world.deliver(wire, false)) await world.settle(2)
      if (at === 2) b.disk.release()
      await world.settle()
    }
    expect(seen.frames.get('ack') ?? 0).toBeLessThanOrEqual(1)
    b.disk.held = false
    b.disk.release()
    await world.quiesce()
    expect([...seen.problems]).toEqual([])
    expect(seen.frames.get('ack')).toBeGreaterThan(0)
  })

  it('a HELLO and a statement announce nothing that was written while their flush was under way', async () => {
    world = new World(14)
    const [a, b] = [await world.add('a'), await world.add('b')]
    await addCases(b, 'one')
    const { sessionA } = world.connect(a, b)
    await world.quiesce()
    const seen = watch()
    b.disk.held = true
    const edits: Promise<unknown>[] = []
    for (let turn = 0; turn < 30; turn++) {
      edits.push(b.edit('one', (doc) => typeText(doc, 'c0', 0, 0, `${turn} `)))
      if (turn % 3 === 0) void a.driver.round(sessionA)
      if (turn % 4 === 0) void b.driver.whenQuiet()
      await world.settle(turn % 4)
      const [wire] = world.wires
      for (const toA of [true, false]) while (wire && world.deliver(wire, toA)) await world.settle(1)
      edits.push(b.edit('one', (doc) => typeText(doc, 'c0', 0, 0, 'x')))
      await world.settle(turn % 3)
      b.disk.release()
      await world.settle(turn % 5)
    }
    b.disk.held = false
    b.disk.release()
    await Promise.all(edits)
    await world.quiesce()
    expect([...seen.problems]).toEqual([])
    for (const kind of ['hello', 'statements', 'changes'])
      expect(seen.frames.get(kind), kind).toBeGreaterThan(1)
  })
})

it('what a command confirms after a flush survives a power cut at once', async () => {
  world = new World(13)
  const a = await world.add('a')
  for (let at = 0; at < 10; at++) {
    await addCases(a, `case-${at}`)
    const other = a
      .edit(`case-${at}`, (doc) => typeText(doc, 'c0', 0, 0, 'meanwhile '))
      .catch(() => undefined)
    await a.replica.flush()
    expect(durable(a, keys.case(a.replica.keyOf(`case-${at}`)))).toBeDefined()
    await other
  }
  await a.replica.flush()
  await a.driver.stop()
  await a.disk.crash(0)
  await a.boot()
  expect(await a.lines()).toHaveLength(10)
  expect((await a.lines()).every((line) => line.includes('meanwhile '))).toBe(true)
})

describe('this check catches', () => {
  /** Bugs as somebody might write them, each in every device of a scene. */
  const bugs: [string, (device: SimDevice) => void][] = [
    ['a flush that does nothing', ({ replica }) => Object.assign(replica, { flush: async () => {} })],
    [
      'a flush that isn’t waited for',
      ({ replica }) => {
        const flush = replica.flush.bind(replica)
        Object.assign(replica, { flush: async () => void flush().catch(() => undefined) })
      },
    ],
    [
      'a write that forgets to flush to the disk',
      (device) => {
        const batch = device.disk.db.batch.bind(device.disk.db) as (
          operations: unknown,
          options?: object,
        ) => Promise<void>
        Object.assign(device.disk.db, { batch: (operations: unknown) => batch(operations, {}) })
      },
    ],
  ]

  it.each(bugs)('%s', async (_name, seedBug) => {
    const problems = new Set<string>()
    for (const seed of [1, 2, 3]) {
      const seen = await scene(seed, (devices) => devices.forEach(seedBug), 150)
      for (const problem of seen.problems) problems.add(problem)
      await world.stop()
    }
    expect(problems.size).toBeGreaterThan(0)
  })
})
