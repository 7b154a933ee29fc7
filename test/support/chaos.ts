/**
 * A practice of real processes in which everything happens at once: devices and relays are killed, stand still, start
 * while others stop, run from an older folder, from a copied one, or from one in which bits have rotted. What was typed
 * is kept apart from it, so that a sentence that is missing afterwards is seen.
 *
 * The order of what happens is the seed's; how long each takes is the machine's. So a seed that has failed is a hint.
 */
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '../../src/node/router.js'
import {
  exported,
  imported,
  joinPractice,
  pinFile,
  startDevice,
  synced,
  TestDevice,
  tempFolder,
} from './processes.js'
import { type Random, seeded } from './random.js'
import { RelayProcess } from './relay-process.js'

const CASES = ['c0', 'c1', 'c2', 'c3']
const BULK = 60
const NAMES = ['A', 'B', 'C']
const RELAYS = 2
const BURST = 15
const MAX_DEVICES = 4
/** A device that has become another one lets go of who was connected to it, and is there again after this. */
const LINK_MS = 300
const LINK_TRIES = 20
/** Meetings after which all have to hold the same. */
const TURNS = 8
const SYNC_SECONDS = 60
/** Files that LevelDB and the device keep in the store's folder, its notes about itself included. */
const STORE = 'store'

interface Place {
  device: TestDevice
  /** The consultation in which it types, so that nobody types into the midst of another's mark. */
  consultation: string
  isPaused: boolean
  /** An older state of its folder. */
  snapshot?: string
}

interface Mark {
  text: string
  by: Place
  /** All held it once. */
  isShared: boolean
  /** Nobody said that it is stored, or the only place where it was has been harmed since. */
  mayBeLost: boolean
}

export interface ChaosOptions {
  seed: number
  /** Never two devices at once: all goes by mail. */
  alone: boolean
  /** What each step was, for whoever reads a failure. */
  note?: (line: string) => void
}

export class Chaos {
  private readonly random: Random
  private readonly places: Place[] = []
  private relays: { process: RelayProcess; isUp: boolean }[] = []
  private readonly marks: Mark[] = []
  /** At most one place between two meetings loses what it holds: of what all held then, the others have all. */
  private harmed: Place | undefined
  /** As often as it is meant to happen. */
  private readonly what: (readonly [name: string, step: (place: Place) => Promise<unknown>])[]

  constructor(private readonly options: ChaosOptions) {
    this.random = seeded(options.seed)
    const weighted: [name: string, step: (place: Place) => Promise<unknown>, weight: number][] = [
      ['type', (place) => this.type(place), 3],
      ['type a burst', (place) => this.burst(place), 3],
      ['type and kill', (place) => this.typeAndKill(place), 1],
      ['kill', (place) => this.end(place, 'kill'), 1],
      ['stop', (place) => this.end(place, 'stop'), 1],
      ['start', (place) => this.start(place), 3],
      ['kill while it starts', (place) => this.killStarting(place), 1],
      ['stand still', async (place) => this.pause(place), 1],
      ['go on', async () => this.resumeAll(), 1],
      ['kill a relay', () => this.killRelay(), 1],
      ['start a relay', () => this.startRelay(), 2],
      ['put an older folder back', (place) => this.putBack(place), 3],
      ['run a copy', (place) => this.runCopy(place), 1],
      ['rot', (place) => this.rot(place), 2],
      ['ask for what is new', (place) => this.ask(place), 1],
      ['wait', () => sleep(this.random.int(10, 2_500)), 2],
      ['switch the mailbox', (place) => this.switchMailbox(place), 1],
      ['put cases away', (place) => this.putAway(place), 1],
    ]
    this.what = weighted.flatMap(([name, step, weight]) =>
      Array.from({ length: weight }, () => [name, step] as const),
    )
  }

  async begin(): Promise<void> {
    for (let at = 0; at < RELAYS; at++)
      this.relays.push({ process: await new RelayProcess().start(), isUp: true })
    const devices = await Promise.all(NAMES.map(() => startDevice()))
    for (const [at, device] of devices.entries())
      this.places.push({ device, consultation: NAMES[at]!, isPaused: false })
    const [first, ...others] = devices as [TestDevice, ...TestDevice[]]
    await first.ok('practice', 'create', '--name', 'Gabinet', '--device', NAMES[0]!, '--pin-file', pinFile())
    await first.ok('mailbox', 'on', this.relays[0]!.process.addresses[0]!)
    for (const [at, device] of others.entries()) {
      await joinPractice(device, first, NAMES[at + 1]!)
      await device.ok('mailbox', 'on')
    }
    await first.ok('mailbox', 'on', this.relays[1]!.process.addresses[0]!)
    const consultations = NAMES.map((id) => ({ id, date: '2025-01-01', text: '.' }))
    const bulk = Array.from({ length: BULK }, (_, at) => bulkId(at))
    await imported(first, [...CASES, ...bulk].map((id) => JSON.stringify({ id, consultations })).join('\n'))
    for (const device of devices) await synced(device)
  }

  async step(): Promise<void> {
    const place = this.random.pick(this.places)
    const [name, step] = this.random.pick(this.what)
    this.options.note?.(`${this.places.indexOf(place)} ${name}`)
    await step(place)
  }

  /** Everybody meets. Returns what is wrong then: what is missing, or differs, or is damaged still. */
  async meet(): Promise<string[]> {
    this.resumeAll()
    for (const relay of this.relays) await this.startRelay(relay)
    const texts = new Map<Place, string>()
    let wrong: string[] = []
    for (let turn = 0; turn < TURNS; turn++) {
      wrong = this.options.alone ? await this.takeTurns(texts) : await this.meetAll(texts)
      // Whoever came first has not seen what the last one brought.
      if (wrong.length === 0 && !(this.options.alone && turn === 0)) break
    }
    for (const mark of this.marks) {
      if (mark.mayBeLost) continue
      if ([...texts.values()].some((text) => text.split(mark.text).length !== 2))
        wrong.push(`${mark.text} of ${this.places.indexOf(mark.by)} is missing, or is there twice`)
      mark.isShared = true
    }
    this.harmed = undefined
    return wrong
  }

  private async meetAll(texts: Map<Place, string>): Promise<string[]> {
    const wrong: string[] = []
    for (const place of this.places) if (!place.device.isAlive) await place.device.start()
    for (const place of this.places) await this.syncOf(place).catch((error) => wrong.push(String(error)))
    for (const place of this.places) {
      const { problems } = await (await linkOf(place.device)).status()
      wrong.push(...problems.filter(({ code }) => code === 'store-damaged').map(({ sentence }) => sentence))
      texts.set(place, await exported(place.device))
    }
    return [...wrong, ...differing(texts)]
  }

  private async takeTurns(texts: Map<Place, string>): Promise<string[]> {
    const wrong: string[] = []
    for (const place of this.places) {
      await this.start(place)
      await this.syncOf(place).catch((error) => wrong.push(String(error)))
      texts.set(place, await exported(place.device))
    }
    return [...wrong, ...differing(texts)]
  }

  private async syncOf({ device }: Place): Promise<void> {
    await linkOf(device)
    await synced(device, SYNC_SECONDS)
  }

  // What happens

  private isUp({ device, isPaused }: Place): boolean {
    return device.isAlive && !isPaused
  }

  private newMark(by: Place): Mark {
    const mark = { text: `(${this.marks.length + 1})`, by, isShared: false, mayBeLost: true }
    this.marks.push(mark)
    return mark
  }

  /** On one that doesn't run, by a command that runs it for as long. */
  private async type(place: Place): Promise<void> {
    const { device, consultation, isPaused } = place
    if (isPaused) return
    const mark = this.newMark(place)
    const id = this.random.pick(CASES)
    try {
      if (device.isAlive) {
        const client = await linkOf(device)
        await client.cases.type({ id, consultation, at: 0, erase: 0, text: mark.text })
        await client.flush()
      } else await device.ok('case', 'type', id, '--in', consultation, '--at', '0', '--text', mark.text)
      mark.mayBeLost = false
    } catch (error) {
      // Said in a sentence, nothing is stored: the case is damaged here, or the device is becoming another one.
      if (!/damaged|WebSocket|closed/.test(String(error))) throw error
    }
  }

  private async burst(place: Place): Promise<void> {
    if (this.isUp(place)) for (let at = this.random.int(2, BURST); at > 0; at--) await this.type(place)
  }

  private async typeAndKill(place: Place): Promise<void> {
    if (!this.isUp(place)) return
    const client = await linkOf(place.device)
    const { consultation } = place
    const { text } = this.newMark(place)
    const id = this.random.pick(CASES)
    client.cases.type({ id, consultation, at: 0, erase: 0, text }).catch(() => {})
    await sleep(this.random.int(0, 60))
    await place.device.kill()
  }

  private async end(place: Place, how: 'kill' | 'stop'): Promise<void> {
    this.resume(place)
    if (how === 'kill') await place.device.kill()
    else if (place.device.isAlive) await place.device.stop()
    if (this.random() < 0.4) this.keepFolder(place)
  }

  private async start(place: Place): Promise<void> {
    if (this.options.alone)
      for (const other of this.places)
        if (other !== place && other.device.isAlive) await this.end(other, this.random.pick(['kill', 'stop']))
    if (!place.device.isAlive) await place.device.start()
  }

  private async killStarting(place: Place): Promise<void> {
    if (place.device.isAlive) return
    const starting = this.start(place).catch(() => {})
    await sleep(this.random.int(0, 1_500))
    await place.device.kill()
    await starting
    await place.device.kill()
  }

  private pause(place: Place): void {
    if (!this.isUp(place)) return
    process.kill(place.device.pid, 'SIGSTOP')
    place.isPaused = true
  }

  private resume(place: Place): void {
    if (place.isPaused) process.kill(place.device.pid, 'SIGCONT')
    place.isPaused = false
  }

  private resumeAll(): void {
    for (const place of this.places) this.resume(place)
  }

  private async killRelay(): Promise<void> {
    const relay = this.random.pick(this.relays)
    if (relay.isUp) await relay.process.kill()
    relay.isUp = false
  }

  private async startRelay(relay = this.random.pick(this.relays)): Promise<void> {
    if (!relay.isUp) await relay.process.start()
    relay.isUp = true
  }

  private keepFolder(place: Place): void {
    if (place.device.isAlive) return
    if (place.snapshot) rmSync(place.snapshot, { recursive: true })
    place.snapshot = copyOf(place.device.folder)
  }

  private async putBack(place: Place): Promise<void> {
    const { device, snapshot } = place
    if (!snapshot || this.harmed) return
    this.resume(place)
    await device.kill()
    rmSync(device.folder, { recursive: true, force: true, maxRetries: 5 })
    cpSync(snapshot, device.folder, { recursive: true })
    this.harm(place)
  }

  /** Two that meet directly find out that they are one, and the copy becomes a device of its own. */
  private async runCopy(place: Place): Promise<void> {
    if (this.options.alone || this.harmed || this.places.length === MAX_DEVICES) return
    await this.end(place, this.random.pick(['kill', 'stop']))
    const device = await new TestDevice({ folder: copyOf(place.device.folder) }).start()
    this.places.push({ device, consultation: place.consultation, isPaused: false })
  }

  private async rot(place: Place): Promise<void> {
    if (this.options.alone || this.harmed) return
    await this.end(place, 'stop')
    for (let flips = this.random.int(1, 4); flips > 0; flips--) {
      const file = this.random.pick(filesOf(join(place.device.folder, STORE)))
      const bytes = readFileSync(file)
      if (bytes.length === 0) continue
      bytes[this.random.int(0, bytes.length - 1)]! ^= 1 << this.random.int(0, 7)
      writeFileSync(file, bytes)
      this.options.note?.(`  ${file.slice(place.device.folder.length)}`)
    }
    this.harm(place)
  }

  /** What was typed there since all met may be nowhere else. */
  private harm(place: Place): void {
    this.harmed = place
    this.options.note?.('  harmed')
    for (const mark of this.marks) if (mark.by === place && !mark.isShared) mark.mayBeLost = true
  }

  private async ask(place: Place): Promise<void> {
    if (!this.isUp(place)) return
    const client = await linkOf(place.device)
    void client.wait({ for: 'synced', timeoutSeconds: 5 }).catch(() => {})
  }

  private async switchMailbox(place: Place): Promise<void> {
    if (!this.isUp(place)) return
    if (this.random() < 0.5) await place.device.ok('mailbox', 'off')
    await sleep(this.random.int(0, 500))
    await place.device.ok('mailbox', 'on')
  }

  private async putAway(place: Place): Promise<void> {
    if (!this.isUp(place)) return
    const command = this.random.pick(['archive', 'unarchive', 'delete', 'restore'])
    // One that is damaged here, or was never deleted, is refused.
    await place.device.run('case', command, bulkId(this.random.int(0, BULK - 1)))
  }
}

const bulkId = (at: number): string => `bulk${at}`

async function linkOf(device: TestDevice): Promise<Client> {
  for (let tries = 0; ; tries++)
    try {
      const client = await device.link()
      await client.about()
      return client
    } catch (error) {
      if (tries === LINK_TRIES) throw error
      device.forgetLink()
      await sleep(LINK_MS)
    }
}

function copyOf(folder: string): string {
  const copy = join(tempFolder(), 'data')
  cpSync(folder, copy, { recursive: true })
  return copy
}

function filesOf(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .sort()
}

function differing(texts: Map<Place, string>): string[] {
  return new Set(texts.values()).size === 1 ? [] : ['the devices hold different cases']
}
