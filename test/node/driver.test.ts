import { afterEach, expect, it, vi } from 'vitest'
import { createUpdate } from '../../src/cases/create.js'
import { setFields, typeText } from '../../src/cases/edit.js'
import { exportLine } from '../../src/cases/project.js'
import { SETTLE_MS } from '../../src/node/driver-announcements.js'
import { SWEEP_DELAY_MS, SWEEP_PAUSE_MS } from '../../src/node/driver-rows.js'
import { nodeNatives } from '../../src/node/natives.js'
import { toHex } from '../../src/protocol/bytes.js'
import { edPublicKey } from '../../src/protocol/ed25519.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import { decodeFrame, encodeFrame } from '../../src/protocol/wire.js'
import { learnCuts } from '../../src/store/healing.js'
import { keys } from '../../src/store/keyspace.js'
import { CHANGES_AT_ONCE, prune } from '../../src/store/pruning.js'
import { casesFrom } from '../../src/store/reading.js'
import { NotepadDevice } from '../support/notepad.js'
import { SimDevice, World } from '../support/world.js'

class NotepadWorld extends World {
  override async add(name: string): Promise<NotepadDevice> {
    const secret = this.random.bytes(32)
    return this.enrol(new NotepadDevice(this, name, secret, edPublicKey(secret)))
  }
}

const CASES = { gte: Uint8Array.of(0x63), lte: Uint8Array.of(0x64) }

let world: World
afterEach(() => world.stop())

const sample = (at: number) => ({
  id: `case-${at}`,
  patient: { firstName: 'Łucja', lastName: `Nowak ${at}` },
  consultations: [{ id: 'c0', date: '2024-01-02', text: 'ból głowy od rana '.repeat(20) }],
})

async function importCases(device: SimDevice, count: number): Promise<void> {
  const changes = Array.from({ length: count }, (_, at) => ({
    caseId: `case-${at}`,
    kind: KIND_UPDATE,
    update: createUpdate(sample(at), nodeNatives.sha256),
  }))
  expect(await device.replica.append(changes)).toEqual({ ok: true })
}

it('brings a first device’s cases to an empty one as whole states, and both know that they are equal', async () => {
  world = new World(1)
  const a = await world.add('a')
  const b = await world.add('b')
  await importCases(a, 100)
  const { sessionA } = world.connect(a, b)
  await world.quiesce()
  expect(b.failures).toEqual([])
  expect(a.failures).toEqual([])
  expect(await b.lines()).toEqual(await a.lines())
  expect((await a.lines()).length).toBe(100)
  const round = a.driver.round(sessionA)
  await world.quiesce()
  expect(await round).toMatchObject({ equal: true, complete: true })
})

class ToldDevice extends SimDevice {
  readonly told: string[] = []
  protected override driverExtras() {
    const events = {
      closed: (_peer: string, code: string) => this.told.push(code),
      compared: (peer: string) => this.told.push(peer),
    }
    return { ...super.driverExtras(), events }
  }
}

class ToldWorld extends World {
  override async add(name: string): Promise<ToldDevice> {
    const secret = this.random.bytes(32)
    return this.enrol(new ToldDevice(this, name, secret, edPublicKey(secret)))
  }
}

it('tells of a peer that it was understood, once its word was compared and not where it is too old', async () => {
  const told = new ToldWorld(31)
  world = told
  const [a, b] = [await told.add('a'), await told.add('b')]
  world.onItsWay = (from, bytes) => {
    const frame = from === b ? decodeFrame(bytes) : undefined
    if (frame?.$case !== 'hello') return bytes
    return encodeFrame({ ...frame, value: { ...frame.value, newest: 0 } })
  }
  world.connect(a, b)
  await world.quiesce()
  expect(a.told).toEqual(['peer-too-old'])
  world.onItsWay = (_from, bytes) => bytes
  world.connect(a, b)
  await world.quiesce()
  expect(new Set(a.told.slice(1))).toEqual(new Set([toHex(b.ed)]))
})

it('reads no further whole states while what was read has not left', async () => {
  world = new World(23)
  const [a, b] = [await world.add('a'), await world.add('b')]
  await importCases(a, 30)
  const { sessionA } = world.connect(a, b)
  let leave = () => {}
  const left = new Promise<void>((resolve) => {
    leave = resolve
  })
  sessionA.link.whenBulkLow = () => left
  await world.quiesce()
  expect(await b.lines()).toEqual([])
  leave()
  await left
  await world.quiesce()
  expect(await b.lines()).toEqual(await a.lines())
})

it('looks elsewhere after each piece of whole states, so that what was read can leave memory', async () => {
  world = new World(24)
  const [a, b] = [await world.add('a'), await world.add('b')]
  await importCases(a, 30)
  const glances: Uint8Array[] = []
  a.replica.db.glance = (key) => void glances.push(key)
  world.connect(a, b)
  await world.quiesce()
  const last = (await a.replica.db.keysIn(CASES)).at(-1)!
  expect(glances).toEqual([keys.part(last.slice(1).reverse(), 0)])
})

it('an offer that is repeated before it is taken up holds up no healing', async () => {
  world = new World(17)
  const [a, b] = [await world.add('a'), await world.add('b')]
  await importCases(a, 30)
  // As an interrupted transfer leaves it: what was taken in is to be looked through when nobody has more to give.
  b.replica.meta = { ...b.replica.meta, unclaimed: true }
  const receive = b.driver.receive.bind(b.driver)
  b.driver.receive = (session, bytes) => {
    // The first comparison crossed with a second one.
    if (decodeFrame(bytes)?.$case === 'offer') void receive(session, bytes)
    return receive(session, bytes)
  }
  const { sessionA } = world.connect(a, b)
  await world.quiesce()
  const round = a.driver.round(sessionA)
  await world.quiesce()
  expect(await round).toMatchObject({ equal: true, complete: true })
  expect(b.replica.meta.unclaimed).toBe(false)
  expect(await b.lines()).toEqual(await a.lines())
})

it('proves the list rows that came with whole states when there is time, a few at once', async () => {
  world = new World(14)
  const [a, b] = [await world.add('a'), await world.add('b')]
  await importCases(a, 30)
  world.connect(a, b)
  await world.quiesce()
  const unproven = async () => {
    let count = 0
    for await (const state of casesFrom(b.replica, new Uint8Array(0))) if (state.rowUnproven) count++
    return count
  }
  expect(await unproven()).toBe(30)
  world.clock.pass(SWEEP_DELAY_MS)
  await world.settle(20)
  const left = await unproven()
  expect(left).toBeLessThan(30)
  expect(left).toBeGreaterThan(0)
  for (let slice = 0; slice < 10; slice++) {
    world.clock.pass(SWEEP_PAUSE_MS)
    await world.settle(20)
  }
  expect(await unproven()).toBe(0)
  expect(b.replica.meta.rowsUnproven).toBe(false)
  expect(b.failures).toEqual([])
})

it('a HELLO that was overtaken by an acknowledgement takes nothing of it back for long', async () => {
  world = new World(29)
  const [a, b, c] = [await world.add('a'), await world.add('b'), await world.add('c')]
  await importCases(a, 1)
  const { sessionA } = world.connect(a, b)
  await world.quiesce()
  world.connect(b, c)
  await world.quiesce()
  const { announcements } = b.driver as unknown as { announcements: { summary(): Promise<unknown> } }
  const summary = announcements.summary.bind(announcements)
  announcements.summary = async () => {
    announcements.summary = summary
    const said = await summary()
    await c.edit('case-0', (doc) => typeText(doc, 'c0', 3, 0, 'C'))
    await world.quiesce()
    expect(held()).toBe(c.replica.logs.get(c.replica.currentLog!)!.seq)
    return said
  }
  const held = () => a.driver.held.get(toHex(b.ed))?.get(c.replica.currentLog!)
  const round = a.driver.round(sessionA)
  await world.quiesce()
  expect(await round).toBeDefined()
  expect(announcements.summary).toBe(summary)
  expect(held()).toBe(c.replica.logs.get(c.replica.currentLog!)!.seq)
})

it.each(['stored', 'lost in a crash'])(
  'a letter that is shown before it is stored, and then is %s',
  async (end) => {
    world = new World(37)
    const [a, b] = [await world.add('a'), await world.add('b')]
    await importCases(a, 1)
    const wire = world.connect(a, b)
    await world.quiesce()
    const log = a.replica.currentLog!
    const before = b.durableSeq(log)
    const held = () => a.driver.held.get(b.hex)?.get(log)
    const claimed: number[] = []
    world.onSend = (from, bytes) => {
      const frame = from === b ? decodeFrame(bytes) : undefined
      const claims =
        frame?.$case === 'ack' ? frame.value.claims : frame?.$case === 'hello' ? frame.value.open : []
      for (const claim of claims) if (toHex(claim.log) === log) claimed.push(claim.seq)
    }
    const doc = await b.replica.openDoc('case-0')
    let goOn = () => {}
    b.replica.options.whenShown = () => new Promise((resolve) => (goOn = resolve))
    await a.edit('case-0', (doc) => typeText(doc, 'c0', 3, 0, 'X'))
    await world.quiesce()
    const shown = () => exportLine(doc, 'case-0')
    expect(shown()).toContain('bólX')
    expect([b.durableSeq(log), held(), claimed]).toEqual([before, before, []])
    if (end === 'stored') {
      // What is typed to it is written behind it.
      const typed = b.edit('case-0', (doc) => typeText(doc, 'c0', 4, 0, 'Y'))
      await world.settle()
      expect([b.replica.currentLog, claimed]).toEqual([undefined, []])
      goOn()
      await typed
      await world.quiesce()
      expect([b.durableSeq(log), held(), Math.max(...claimed)]).toEqual([before + 1, before + 1, before + 1])
    } else {
      world.cut(wire)
      await b.disk.crash(0)
      await b.boot()
      expect((await b.lines()).join()).not.toContain('bólX')
      world.connect(a, b)
      await world.quiesce()
    }
    expect(await b.lines()).toEqual(await a.lines())
    expect((await b.lines()).join()).toContain(end === 'stored' ? 'bólXY' : 'bólX')
  },
)

it('a change of one’s own leaves its channel before the store’s flush is handed over', async () => {
  world = new World(23)
  const [a, b] = [await world.add('a'), await world.add('b')]
  await importCases(a, 1)
  const { sessionA } = world.connect(a, b)
  await world.quiesce()
  const order: string[] = []
  const { send } = sessionA.link
  sessionA.link.send = (lane, bytes) => {
    send(lane, bytes)
    order.push('sent')
  }
  sessionA.link.flush = () => void order.push('left')
  const flush = a.replica.flush.bind(a.replica)
  a.replica.flush = () => {
    order.push('flush')
    return flush()
  }
  await a.edit('case-0', (doc) => typeText(doc, 'c0', 3, 0, 'A'))
  await world.quiesce()
  expect(order.slice(0, 3)).toEqual(['sent', 'left', 'flush'])
})

it('merges what both typed while apart, and sends a live change at once', async () => {
  world = new World(2)
  const a = await world.add('a')
  const b = await world.add('b')
  await importCases(a, 3)
  let wire = world.connect(a, b)
  await world.quiesce()
  world.cut(wire)
  await a.edit('case-1', (doc) => typeText(doc, 'c0', 3, 0, 'AAA'))
  await b.edit('case-1', (doc) => typeText(doc, 'c0', 3, 0, 'BBB'))
  await b.edit('case-2', (doc) => setFields(doc, [['patient.phone', '123']]))
  wire = world.connect(a, b)
  await world.quiesce()
  const lines = await a.lines()
  expect(await b.lines()).toEqual(lines)
  expect(lines.join()).toMatch(/AAABBB|BBBAAA/)
  expect(lines.join()).toContain('"phone":"123"')
  await a.edit('case-0', (doc) => typeText(doc, 'c0', 0, 0, 'live '))
  await world.quiesce()
  expect((await b.lines()).join()).toContain('live ból')
})

it('[S6] whoever connects is told at once of what was only jotted down, and what is typed from then on is a change', async () => {
  world = new NotepadWorld(31)
  const [a, b] = [await world.add('a'), await world.add('b')]
  await importCases(a, 1)
  const type = (text: string) => a.edit('case-0', (doc) => typeText(doc, 'c0', 0, 0, text))
  await type('.')
  const mine = () => a.replica.logs.get(a.replica.currentLog!)!.seq
  const before = mine()
  for (const letter of 'abc') await type(letter)
  expect([mine(), a.replica.docs.jotted]).toEqual([before, 1])
  const told: number[][] = []
  world.onSend = (from, bytes) => {
    const frame = decodeFrame(bytes)
    if (from === a && frame?.$case === 'hello') told.push(frame.value.open.map(({ seq }) => seq))
  }
  const wire = world.connect(a, b)
  await type('d')
  await world.settle()
  expect(told).toEqual([[mine()]])
  expect([mine(), a.replica.docs.jotted]).toEqual([before + 2, 0])
  await world.quiesce()
  await type('e')
  await world.quiesce()
  expect(await b.lines()).toEqual(await a.lines())
  expect((await b.lines()).join()).toContain('edcba.')
  world.cut(wire)
  await type('f')
  expect(a.replica.docs.jotted).toBe(1)
  // Nobody comes: a moment later it is a change all the same.
  world.clock.pass(100)
  await world.settle()
  expect([mine(), a.replica.docs.jotted]).toEqual([before + 4, 0])
})

it('two copies of one device that write at once are seen as a fork while the connections stand', async () => {
  world = new World(23)
  const [a, b, c] = [await world.add('a'), await world.add('b'), await world.add('c')]
  await importCases(a, 2)
  for (const device of [b, c]) {
    const wire = world.connect(a, device)
    await world.quiesce()
    world.cut(wire)
  }
  await a.driver.stop()
  await a.replica.close()
  const twin = new SimDevice(world, 'a+', a.secret, a.ed)
  twin.dataKey = a.dataKey
  await twin.disk.restore(a.disk.snapshot())
  world.devices.push(twin)
  await a.boot()
  await twin.boot()
  world.connect(a, b)
  world.connect(twin, c)
  world.connect(b, c)
  await world.quiesce()
  await a.edit('case-0', (doc) => setFields(doc, [['patient.phone', 'one']]))
  await twin.edit('case-1', (doc) => setFields(doc, [['patient.phone', 'two']]))
  for (let round = 0; round < 4; round++) {
    await world.quiesce()
    world.clock.pass(3_000)
  }
  await world.quiesce()
  for (const device of [a, twin, b, c]) {
    expect(device.failures).toEqual([])
    expect((await device.lines()).join()).toMatch(/one.*two/s)
  }
})

it('a stop in the midst of pruning ends it with its portion, and nothing is said of that or done behind it', async () => {
  world = new World(24)
  const [a, b] = [await world.add('a'), await world.add('b')]
  const typing = { caseId: 'one', kind: KIND_UPDATE, update: createUpdate(sample(1), nodeNatives.sha256) }
  await a.replica.append(Array.from({ length: CHANGES_AT_ONCE + 50 }, () => typing))
  const log = a.replica.currentLog!
  const wire = world.connect(a, b)
  await world.quiesce()
  world.cut(wire)
  const tidied = vi.spyOn(a.replica.db, 'tidy')
  const write = a.replica.db.write.bind(a.replica.db)
  let stopping: Promise<void> | undefined
  a.replica.db.write = (writes) => {
    if (writes.length > CHANGES_AT_ONCE) stopping ??= stop()
    return write(writes)
  }
  const stop = async () => {
    await a.driver.stop()
    await a.replica.close()
    await a.disk.db.close()
    a.alive = false
  }
  world.clock.pass(SETTLE_MS)
  await world.settle()
  await stopping
  await world.settle()
  expect(a.failures).toEqual([])
  expect(a.replica.logs.get(log)).toMatchObject({ retainedFrom: CHANGES_AT_ONCE })
  // The one of the stop itself.
  expect(tidied).toHaveBeenCalledTimes(1)
})

it('a session that fails here ends as if it was stopped: the peer is there, and its connection is sound', async () => {
  world = new World(23)
  const [a, b] = [await world.add('a'), await world.add('b')]
  const codes: string[] = []
  const link = { publicKey: b.ed, send() {}, close: (code: string) => codes.push(code) }
  const flush = a.replica.flush.bind(a.replica)
  a.replica.flush = () => Promise.reject(new Error('the disk is full'))
  const { open } = a.driver.connect(link)
  expect(open).toBe(true)
  await world.settle()
  expect(a.failures).toMatchObject([{ message: 'the disk is full' }])
  expect(codes).toEqual(['stopped'])
  a.replica.flush = flush
})

it.each([true, false])(
  'a cut of a branch that nobody holds any more ends in peace, retained: %s',
  async (isRetained) => {
    world = new World(21)
    world.mostMessages = 2_000
    const [a, b, c] = [await world.add('a'), await world.add('b'), await world.add('c')]
    await importCases(a, 8)
    const met = world.connect(a, b)
    await world.quiesce()
    world.cut(met)
    const log = b.replica.logs.get(a.replica.currentLog!)!
    expect(log.seq).toBe(8)
    if (!isRetained) await prune(b.replica, () => [], 0)
    // c heard of the cut by somebody who gave it nothing of the log, and is gone since.
    await learnCuts(c.replica, [{ log: log.log, seq: 5, check: world.random.bytes(8) }], [log])
    world.connect(b, c)
    for (let at = 0; at < 4; at++) {
      await world.quiesce()
      world.clock.pass(3_000)
    }
    expect(toHex(c.replica.digest())).toBe(toHex(b.replica.digest()))
    expect(await c.lines()).toEqual(await a.lines())
    expect(c.replica.logs.get(log.log)).toMatchObject({ seq: 4, cut: { seq: 4 } })
  },
)
