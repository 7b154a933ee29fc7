/**
 * The simulator: a few devices, the shipping core, store and driver, one seed. Chaos first (edits, broken
 * connections, crashes that lose the unflushed tail, restored folders, deaths, pruning), then everybody who is
 * left meets, and the content of all must be the same, with nothing lost that any of them held.
 */
import { createHash } from 'node:crypto'
import { inspectUpdate } from '../../src/cases/inspect.js'
import { nodeNatives } from '../../src/node/natives.js'
import { toHex } from '../../src/protocol/bytes.js'
import { fits } from '../../src/protocol/content.js'
import { MAX_STATE_BYTES } from '../../src/protocol/limits.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import { decodePayload } from '../../src/protocol/payload.js'
import { readDoubts } from '../../src/store/doubts.js'
import { casesFrom } from '../../src/store/reading.js'
import type { Rows } from '../support/disk.js'
import { seeded } from '../support/random.js'
import { type SimDevice, type Wire, World } from '../support/world.js'
import { beginning, change, LAST_KIND, leavesToken } from './content.js'

export interface SimOptions {
  steps: number
  devices: number
  /** Restored folders and continued logs: forks. */
  rollbacks: boolean
  deaths: boolean
  /** Disks take their time, so that everything else goes on in the midst of what a device does. */
  slow?: boolean
  /** Called with the world before the chaos: seeded bugs are planted here. */
  plant?: (world: World) => void
}

export const DEFAULTS: SimOptions = { steps: 140, devices: 3, rollbacks: true, deaths: true }

export interface SimResult {
  seed: number
  problems: string[]
  trace: string
  operations: string[]
  stats: Record<string, number>
}

export const CASES = ['c0', 'c1', 'c2', 'c3', 'c4', 'c5']
/** What is typed. In capitals: keys of fields end in an id in base 36, which may well hold `t6z`. */
export const TOKEN = /T\d+Z/g

/** A call to a disk takes so many turns of the event loop at most, in some worlds many more than in others. */
const SLOW_TURNS = [2, 6, 20, 60]
const MOST_STEP_TURNS = 3

/** Of a generator of its own. A third of all calls come at once. */
function slowDown(world: World, seed: number): void {
  const random = seeded(seed ^ 0x510)
  const most = random.pick(SLOW_TURNS)
  world.pace = () => (random() < 0.33 ? 0 : random.int(1, most))
  world.stepTurns = () => random.int(0, MOST_STEP_TURNS)
}

export class Simulation {
  readonly world: World
  readonly operations: string[] = []
  readonly stats: Record<string, number> = {}
  protected tokens = 0
  protected readonly snapshots = new Map<SimDevice, Rows>()
  /** Tokens that a device told a person were stored (flushed), unless it was restored or died since. */
  protected readonly promised = new Map<SimDevice, Set<string>>()

  constructor(
    readonly seed: number,
    readonly options: SimOptions,
  ) {
    this.world = this.makeWorld(seed)
    if (options.slow) slowDown(this.world, seed)
  }

  protected makeWorld(seed: number): World {
    return new World(seed)
  }

  async run(): Promise<SimResult> {
    const { world, options } = this
    options.plant?.(world)
    for (let at = 0; at < options.devices; at++) await world.add(`d${at}`)
    const problems: string[] = []
    try {
      for (let step = 0; step < options.steps; step++) {
        await this.chaos()
        await world.settle(1)
        for (const device of this.live()) {
          if (device.failures.length > 0)
            throw new Error(`${device.name}: ${device.failures[0]} ${(device.failures[0] as Error).stack}`)
        }
      }
      problems.push(...(await this.heal()))
    } catch (error) {
      problems.push(`threw: ${(error as Error).stack ?? error}`)
    }
    const trace = createHash('sha256')
      .update(this.operations.join('\n'))
      .update(String(world.delivered))
      .digest('hex')
    return { seed: this.seed, problems, trace, operations: this.operations, stats: this.stats }
  }

  protected live(): SimDevice[] {
    return this.world.devices.filter((device) => device.alive)
  }

  protected note(operation: string): void {
    this.operations.push(operation)
    const kind = operation.split(' ')[0]!
    this.stats[kind] = (this.stats[kind] ?? 0) + 1
  }

  // ---- chaos

  protected async chaos(): Promise<void> {
    const { world } = this
    const random = world.random
    const roll = random()
    const device = random.pick(this.live())
    if (roll < 0.28) return this.edit(device)
    if (roll < 0.4) return this.connect(device)
    if (roll < 0.7) return this.deliver(random.int(1, 12))
    if (roll < 0.75) return this.cutSome()
    if (roll < 0.79) return this.crash(device)
    if (roll < 0.83) return this.prune(device)
    if (roll < 0.9) {
      const ms = random.pick([50, 300, 2_500, 12_000])
      this.note(`time ${ms}`)
      world.clock.pass(ms)
      return
    }
    if (roll < 0.93) {
      device.disk.held = !device.disk.held
      if (!device.disk.held) device.disk.release()
      return this.note(`disk ${device.name} ${device.disk.held ? 'slow' : 'fast'}`)
    }
    if (roll < 0.96) return this.restart(device)
    if (roll < 0.975 && this.options.rollbacks) return this.rollBack(device)
    if (roll < 0.985 && this.options.deaths && this.live().length > 2) return this.die(device)
    if (roll < 0.995 && world.devices.length < 6) {
      const added = await world.add(`d${world.devices.length}`)
      this.note(`join ${added.name}`)
      return
    }
    return this.flush(device)
  }

  protected async edit(device: SimDevice, id = this.world.random.pick(CASES)): Promise<void> {
    const { random } = this.world
    const token = `T${this.tokens++}Z`
    const held = await device.replica.caseState(device.replica.keyOf(id))
    const kind = held && held.parts.length > 0 ? random.int(0, LAST_KIND) : -1
    this.note(`edit ${device.name} ${id} ${kind} ${token}`)
    if (kind === -1) {
      const update = beginning(id, token)
      await this.written(device.replica.append([{ caseId: id, kind: KIND_UPDATE, update }]))
    } else {
      const text = this.textOf(token)
      const work = device.replica.docs.edit(id, (doc) => change(doc, kind, text, random))
      await this.written(work)
    }
    if (kind === -1 || leavesToken(kind)) this.world.typed.set(token, device)
  }

  /** What is typed for a token; it holds that. */
  protected textOf(token: string): string {
    return token
  }

  /** Waits for a write that needs no flush; the first of a start waits for one, and that may be held back. */
  protected async written(work: Promise<unknown>): Promise<void> {
    await Promise.race([work.catch(() => {}), this.world.settle(2)])
  }

  /** What a person was told is stored: everything typed before a flush that ended. */
  protected async flush(device: SimDevice): Promise<void> {
    this.note(`flush ${device.name}`)
    const before = await tokensOf(device)
    let done = false
    void device.replica.flush().then(() => {
      done = true
    })
    await this.world.settle(2)
    if (!done) return
    const promised = this.promised.get(device) ?? new Set()
    for (const token of before) promised.add(token)
    this.promised.set(device, promised)
  }

  protected async connect(a: SimDevice): Promise<void> {
    const { world } = this
    const b = world.random.pick(this.live())
    if (
      a === b ||
      world.wires.some((wire) => (wire.a === a && wire.b === b) || (wire.a === b && wire.b === a))
    )
      return
    this.note(`connect ${a.name} ${b.name}`)
    world.connect(a, b)
  }

  protected async deliver(count: number): Promise<void> {
    const { world } = this
    for (let at = 0; at < count && world.wires.length > 0; at++) {
      const wire: Wire = world.random.pick(world.wires)
      world.deliver(wire, world.random() < 0.5)
      await world.settle(1)
    }
    this.note(`deliver ${count}`)
  }

  protected async cutSome(): Promise<void> {
    const { world } = this
    if (world.wires.length === 0) return
    const wire = world.random.pick(world.wires)
    this.note(`cut ${wire.a.name} ${wire.b.name}`)
    world.cut(wire)
  }

  protected async crash(device: SimDevice): Promise<void> {
    const { world } = this
    const kept = world.random.int(0, device.disk.unflushed)
    this.note(`crash ${device.name} ${kept}/${device.disk.unflushed}`)
    await this.kill(device)
    await device.disk.crash(kept)
    device.disk.held = false
    await device.boot()
  }

  protected async kill(device: SimDevice): Promise<void> {
    for (const wire of [...this.world.wires]) if (wire.a === device || wire.b === device) this.world.cut(wire)
    void device.driver.stop()
    await this.world.settle(1)
  }

  protected async prune(device: SimDevice): Promise<void> {
    this.note(`prune ${device.name}`)
    await Promise.race([device.driver.prune(), this.world.settle(2)])
  }

  /** A clean stop and start. The folder may be copied away in between. */
  protected async restart(device: SimDevice): Promise<void> {
    const { world } = this
    const copies = this.options.rollbacks && world.random() < 0.6
    this.note(`restart ${device.name}${copies ? ' copied' : ''}`)
    device.disk.held = false
    device.disk.release()
    for (const wire of [...world.wires]) if (wire.a === device || wire.b === device) world.cut(wire)
    await device.driver.stop()
    await device.replica.close()
    if (copies) this.snapshots.set(device, device.disk.snapshot())
    await device.disk.crash(0)
    await device.boot()
  }

  /** The folder as it was at an earlier clean stop comes back: the log is continued, a fork. */
  protected async rollBack(device: SimDevice): Promise<void> {
    const rows = this.snapshots.get(device)
    if (!rows) return
    this.note(`rollback ${device.name}`)
    await this.kill(device)
    device.disk.held = false
    await device.disk.restore(rows)
    this.promised.delete(device)
    await device.boot()
  }

  protected async die(device: SimDevice): Promise<void> {
    this.note(`die ${device.name}`)
    await this.kill(device)
    this.promised.delete(device)
    device.alive = false
  }

  // ---- healing

  protected async heal(): Promise<string[]> {
    const { world } = this
    const live = this.live()
    for (const wire of [...world.wires]) world.cut(wire)
    for (const device of live) {
      device.disk.held = false
      device.disk.release()
    }
    await world.settle(3)
    const expected = await this.expectedTokens(live)
    const rounds = 30
    for (let round = 0; round < rounds; round++) {
      this.reconnect()
      await world.quiesce()
      world.clock.pass(3_000)
      await world.quiesce()
      if (await this.settled()) return this.check(expected)
      if (round % 5 === 4) for (const wire of [...world.wires]) world.cut(wire)
    }
    return [`never settled: ${await this.describeAll()}`, ...(await this.check(expected))]
  }

  /** Everything that a device still holds, or told a person was stored. */
  protected async expectedTokens(live: SimDevice[]): Promise<Set<string>> {
    const expected = new Set<string>()
    for (const device of live) for (const token of await tokensOf(device)) expected.add(token)
    for (const [device, tokens] of this.promised) {
      if (device.alive) for (const token of tokens) expected.add(token)
    }
    return expected
  }

  /** A chain first, then all pairs: not everybody meets everybody in life. */
  protected reconnect(): void {
    const live = this.live()
    for (let at = 1; at < live.length; at++) {
      const [a, b] = [live[at - 1]!, live[at]!]
      if (!this.world.wires.some((wire) => (wire.a === a && wire.b === b) || (wire.a === b && wire.b === a)))
        this.world.connect(a, b)
    }
    for (const wire of this.world.wires) {
      void wire.a.driver.round(wire.sessionA)
      void wire.b.driver.round(wire.sessionB)
    }
  }

  protected async settled(): Promise<boolean> {
    const live = this.live()
    if (live.some(({ isInDoubt }) => isInDoubt)) return false
    const digest = toHex(live[0]!.replica.digest())
    for (const device of live) {
      const { replica } = device
      if (toHex(replica.digest()) !== digest || replica.meta.unclaimed || replica.damaged.size > 0)
        return false
      if (device.driver.isReceiving || (await readDoubts(replica)).length > 0) return false
    }
    return true
  }

  protected async check(expected: Set<string>): Promise<string[]> {
    const problems: string[] = []
    const live = this.live()
    const all = await Promise.all(live.map((device) => device.lines()))
    live.forEach((device, at) => {
      for (const failure of device.failures)
        problems.push(`${device.name} failed: ${(failure as Error).stack}`)
      if (all[at]!.join('\n') !== all[0]!.join('\n'))
        problems.push(`${device.name} differs from ${live[0]!.name}`)
      const text = all[at]!.join('\n')
      const held = new Set(text.match(TOKEN) ?? [])
      for (const token of expected) if (!held.has(token)) problems.push(`${device.name} lost ${token}`)
    })
    for (const device of live) problems.push(...(await coverage(device)))
    return problems
  }

  protected async describeAll(): Promise<string> {
    const parts = this.live().map(async (device) => {
      const { replica, driver } = device
      const logs = [...replica.logs.all()].map(
        (log) => `${log.log.slice(0, 4)}:${log.seq}${log.cut ? `|${log.cut.seq}` : ''}`,
      )
      const doubts = await readDoubts(replica).then(
        ({ length }) => length,
        () => '?',
      )
      return `${device.name} [${logs.sort().join(' ')}] unclaimed=${replica.meta.unclaimed} receiving=${driver.isReceiving} doubts=${doubts} damaged=${CASES.filter((id) => replica.damaged.has(toHex(replica.keyOf(id))))}`
    })
    return (await Promise.all(parts)).join('; ')
  }
}

export async function tokensOf(device: SimDevice): Promise<Set<string>> {
  return new Set((await device.lines()).join('\n').match(TOKEN) ?? [])
}

/** Invariant 4 from the other end: a frontier never claims what a touched vector places beyond it. */
async function coverage(device: SimDevice): Promise<string[]> {
  const problems: string[] = []
  for await (const state of casesFrom(device.replica, new Uint8Array(0))) {
    // A base may be gone with every device that held it, unflushed; but what fits must not wait.
    for (const { payload } of state.parked) {
      const contents = inspectUpdate(
        decodePayload(nodeNatives, payload, MAX_STATE_BYTES) ?? new Uint8Array(0),
      )
      if ('error' in contents || fits(contents, state.clocks))
        problems.push(`${device.name} ${state.caseId}: parked for nothing`)
    }
    for (const [log, seq] of state.touched) {
      const held = device.replica.logs.get(log)?.seq ?? 0
      if (seq > held)
        problems.push(`${device.name} ${state.caseId}: touched ${log.slice(0, 4)}:${seq} beyond ${held}`)
    }
  }
  return problems
}

export async function simulate(seed: number, options: Partial<SimOptions> = {}): Promise<SimResult> {
  return runToEnd(new Simulation(seed, { ...DEFAULTS, ...options }))
}

export async function runToEnd(simulation: Simulation): Promise<SimResult> {
  try {
    return await simulation.run()
  } finally {
    for (const device of simulation.world.devices) {
      device.disk.held = false
      device.disk.release()
    }
    for (const wire of [...simulation.world.wires]) simulation.world.cut(wire)
  }
}
