/**
 * A world with relays: the shipping mail machine, office and store of each device, and the shipping relay core on its
 * own store over a disk that forgets what wasn't flushed. Nothing moves unless the test says so.
 */
import { RelayCore } from '../../relay/core.js'
import { openLevelStore } from '../../relay/store/level-store.js'
import type { MailStore } from '../../relay/store/mail-store.js'
import type { MarkFile } from '../../relay/store/marks.js'
import type { DriverOptions } from '../../src/node/driver-session.js'
import { MailDriver } from '../../src/node/mail-driver.js'
import type { RelaySession } from '../../src/node/mail-driver-session.js'
import { nodeNatives } from '../../src/node/natives.js'
import { equalBytes, toHex } from '../../src/protocol/bytes.js'
import { type EnvelopeKeys, envelopeKeys } from '../../src/protocol/epoch-keys.js'
import type { Inventory } from '../../src/protocol/mailbox.gen.js'
import { decodeMailFrame, encodeMailFrame, type MailFrameKind } from '../../src/protocol/mailbox-wire.js'
import type { Roster } from '../../src/protocol/roster.js'
import { rotateEpoch } from '../../src/protocol/roster-write.js'
import {
  enrol,
  genesis,
  makeDevice,
  must,
  open,
  type TestDevice,
  writing,
} from '../protocol/roster-helpers.js'
import { Disk, type Rows } from './disk.js'
import { SimDevice, World } from './world.js'

type Lane = 'live' | 'bulk'

/** What a relay that means ill does with a message on its way; undefined: nothing, `[]`: it is swallowed. */
export type Meddling = (frame: MailFrameKind, toDevice: boolean) => MailFrameKind[] | undefined

export interface MailWire {
  device: MailDevice
  relay: SimRelay
  toDevice: { lane: Lane; bytes: Uint8Array }[]
  toRelay: { lane: Lane; bytes: Uint8Array }[]
  session: RelaySession
  end: { receive(bytes: Uint8Array): Promise<void>; closed(): void }
  open: boolean
}

export class MailDevice extends SimDevice {
  mail!: MailDriver
  collects = true
  private epochs: EnvelopeKeys[] = []
  /** False: every letter seems to be written under a branch of the roster that has lost. */
  knowsHeads = true

  constructor(
    readonly mailWorld: MailWorld,
    public keys: TestDevice,
  ) {
    super(mailWorld, keys.name, keys.edSecret, keys.ed)
  }

  protected override driverExtras(): Partial<DriverOptions> {
    return {
      mailPending: () => this.mail?.isPending,
      events: { changed: () => this.mail?.changed(), stated: () => this.mail?.stated() },
    }
  }

  /** The keys of all epochs that it can open, the newest last. */
  openEpochs(): void {
    const { roster, practice } = this.mailWorld
    if (this.epochs.length === roster.epoch) return
    this.epochs = [...open(roster, this.keys).epochKeys]
      .sort(([a], [b]) => a - b)
      .map(([number, key]) => envelopeKeys({ practice, number, key }))
  }

  override async boot(): Promise<void> {
    await super.boot()
    const { mailWorld } = this
    this.openEpochs()
    this.mail = new MailDriver({
      replica: this.replica,
      statements: this.statements,
      random: (length) => mailWorld.random.bytes(length),
      driver: this.driver,
      timers: mailWorld.clock,
      now: () => mailWorld.clock.now,
      roster: {
        head: () => mailWorld.roster.head,
        knows: (head) => this.knowsHeads && mailWorld.roster.hashes.some((hash) => equalBytes(hash, head)),
        entries: () => [...mailWorld.roster.entries],
        isMember: (ed) => mailWorld.isMember(ed),
        apply: async () => false,
        newestKeys: () => this.epochs[this.epochs.length - 1],
        keysOf: (keyId) => this.epochs.find((each) => equalBytes(each.keyId, keyId)),
        others: () => [...mailWorld.members].flatMap(([hex, ed]) => (hex === this.hex ? [] : [ed])),
        collectors: () => mailWorld.collectors(this),
      },
      events: { failed: (error) => this.failed(error) },
    })
  }
}

export class SimRelay {
  readonly disk = new Disk()
  private marks: Uint8Array | undefined
  private stamp = 0
  readonly ed: Uint8Array
  core!: RelayCore
  private store!: MailStore
  meddle: Meddling | undefined
  private expiryAge = 2 ** 47
  /** What one practice may leave there; another value counts from the next start on. */
  quotaBytes: number | undefined

  constructor(readonly world: MailWorld) {
    this.ed = makeDevice((length) => world.random.bytes(length), 'relay').ed
    if (world.pace) this.disk.slow(world.pace)
  }

  async boot(): Promise<void> {
    const { world } = this
    const marks: MarkFile = {
      read: async () => this.marks,
      write: async (bytes) => {
        this.marks = bytes
        this.stamp++
      },
      stamp: async () => `${this.stamp}`,
    }
    const random = (length: number) => world.random.bytes(length)
    const db = this.disk.db as never
    this.store = await openLevelStore({ db, marks, natives: nodeNatives, random })
    const { store } = this
    const clock = { monotonic: () => world.clock.now }
    const limits = this.quotaBytes === undefined ? {} : { quotaBytes: this.quotaBytes }
    this.core = new RelayCore({ store, natives: nodeNatives, clock, limits })
  }

  /** Power goes at the relay: what it didn't flush is lost, and so is every connection. */
  async crash(kept: number): Promise<void> {
    for (const wire of [...this.world.mailWires]) if (wire.relay === this) this.world.cutMail(wire)
    await this.disk.crash(kept)
    await this.boot()
  }

  /** Nobody came for very long: everything that waits has expired, and the practice where no device is connected. */
  async expire(): Promise<void> {
    const { practice, mailWires } = this.world
    this.expiryAge += 1
    if (mailWires.some(({ relay }) => relay === this)) await this.store.visited(practice, this.expiryAge)
    const forget = (gone: Uint8Array) => this.core.forget(gone)
    const { failed } = await this.store.expire(this.expiryAge, forget)
    if (failed) throw new Error('nothing expires')
  }

  /** Its folder comes back as it was. The marks beside it are of a later start. */
  async restore(rows: Rows): Promise<void> {
    for (const wire of [...this.world.mailWires]) if (wire.relay === this) this.world.cutMail(wire)
    await this.disk.restore(rows)
    await this.boot()
  }

  /** How many rows of mail it holds, for whomever. */
  get rows(): number {
    return this.store.totals().rows
  }

  /** Everything that waits for anybody. */
  async waiting(device: MailDevice): Promise<Inventory | undefined> {
    const wire = this.world.mailWires.find((each) => each.relay === this && each.device === device)
    if (!wire) return undefined
    const answer = device.mail.inventory(wire.session)
    await this.world.quiesce()
    return answer
  }
}

export class MailWorld extends World {
  roster!: Roster
  readonly mailDevices: MailDevice[] = []
  readonly relays: SimRelay[] = []
  readonly mailWires: MailWire[] = []
  /** Sees every message of a relay as it leaves. */
  onAnswer: ((relay: SimRelay, device: MailDevice, bytes: Uint8Array) => void) | undefined
  /** Sees every message to a relay as it leaves. */
  onMail: ((device: MailDevice, bytes: Uint8Array, relay: SimRelay) => void) | undefined

  override async add(name: string): Promise<MailDevice> {
    const random = (length: number) => this.random.bytes(length)
    const keys = makeDevice(random, name)
    const first = this.mailDevices[0]
    if (first) this.roster = enrol(random, this.roster, first.keys, keys)
    else {
      this.roster = genesis(random, keys)
      this.practice = this.roster.practiceId
    }
    const device = new MailDevice(this, keys)
    this.mailDevices.push(device)
    await this.enrol(device)
    for (const each of this.mailDevices) each.mail?.rosterChanged()
    return device
  }

  /** A second device from a copy of the folder: the same keys, and whatever the first had written. */
  async addTwin(of: MailDevice, rows: Rows, binding: string): Promise<MailDevice> {
    const device = new MailDevice(this, { ...of.keys, name: `${of.name}+` })
    Object.assign(device, { dataKey: of.dataKey, binding, wallMs: of.wallMs })
    this.mailDevices.push(device)
    this.devices.push(device)
    await device.disk.restore(rows)
    await device.boot()
    return device
  }

  /** A copied folder goes on under keys of its own, which its former ones enrol: from its next start on. */
  enrolAnew(device: MailDevice): void {
    const random = (length: number) => this.random.bytes(length)
    const keys = makeDevice(random, device.name)
    this.roster = enrol(random, this.roster, device.keys, keys)
    Object.assign(device, { keys, ed: keys.ed, secret: keys.edSecret })
    this.members.set(toHex(keys.ed), keys.ed)
  }

  /** Keys of the devices that collect mail, but this one's. */
  collectors(self: MailDevice): Uint8Array[] {
    const others = new Map<string, Uint8Array>()
    for (const { hex, ed, collects } of this.mailDevices)
      if (collects && hex !== self.hex) others.set(hex, ed)
    return [...others.values()]
  }

  /** A new epoch: every device learns of it, and what was sealed before still opens. */
  rotate(): void {
    const random = (length: number) => this.random.bytes(length)
    this.roster = must(rotateEpoch(writing(random, this.roster, this.mailDevices[0]!.keys))).roster
    for (const device of this.mailDevices) {
      device.openEpochs()
      device.mail?.rosterChanged()
    }
  }

  protected override get isIdle(): boolean {
    return super.isIdle && this.relays.every(({ disk }) => disk.isIdle)
  }

  async addRelay(): Promise<SimRelay> {
    const relay = new SimRelay(this)
    await relay.boot()
    this.relays.push(relay)
    return relay
  }

  async connectMail(device: MailDevice, relay: SimRelay): Promise<MailWire> {
    const wire = { device, relay, toDevice: [], toRelay: [], open: true } as unknown as MailWire
    this.mailWires.push(wire)
    wire.end = relay.core.connect(
      { publicKey: device.ed, address: device.name },
      {
        send: (lane, bytes) => {
          if (!wire.open) return
          this.onAnswer?.(relay, device, bytes)
          wire.toDevice.push({ lane, bytes })
        },
        close: () => this.cutMail(wire),
      },
    )
    wire.session = await device.mail.connect({
      relay: relay.ed,
      send: (lane, bytes) => {
        if (!wire.open) return
        this.onMail?.(device, bytes, relay)
        wire.toRelay.push({ lane, bytes: this.onItsWay?.(device, bytes, 'relay') ?? bytes })
      },
      close: () => this.cutMail(wire),
    })
    return wire
  }

  cutMail(wire: MailWire): void {
    if (!wire.open) return
    wire.open = false
    wire.toDevice = []
    wire.toRelay = []
    const at = this.mailWires.indexOf(wire)
    if (at >= 0) this.mailWires.splice(at, 1)
    wire.end.closed()
    if (wire.session) wire.device.mail.disconnect(wire.session, 'lost')
  }

  deliverMail(wire: MailWire, toDevice: boolean): boolean {
    const queue = toDevice ? wire.toDevice : wire.toRelay
    const message = queue.shift()
    if (!message || !wire.session) return false
    this.delivered++
    const { meddle } = wire.relay
    const frame = meddle && decodeMailFrame(message.bytes)
    const instead = frame && meddle?.(frame, toDevice)
    for (const bytes of instead ? instead.map(encodeMailFrame) : [message.bytes]) {
      if (toDevice) void wire.device.mail.receive(wire.session, bytes)
      else void wire.end.receive(bytes)
    }
    return true
  }

  /** Answers a device in the relay's stead. */
  answer(wire: MailWire, frame: MailFrameKind): void {
    wire.toDevice.push({ lane: 'live', bytes: encodeMailFrame(frame) })
  }

  override async quiesce(limit = this.mostMessages): Promise<void> {
    for (let round = 0; round < limit; round++) {
      await super.quiesce(limit)
      let moved = false
      for (const wire of [...this.mailWires])
        for (const toDevice of [true, false]) while (this.deliverMail(wire, toDevice)) moved = true
      await this.settle()
      for (const relay of this.relays) await relay.core.whenQuiet()
      await this.settle()
      if (
        !moved &&
        this.isIdle &&
        this.mailWires.every((wire) => wire.toDevice.length + wire.toRelay.length === 0)
      )
        return
    }
    throw new Error(`seed ${this.seed}: mail never ends`)
  }

  /** Lets virtual time pass in steps, with everything delivered in between. */
  async pass(ms: number, stepMs = 300): Promise<void> {
    for (let at = 0; at < ms; at += stepMs) {
      this.clock.pass(stepMs)
      for (const relay of this.relays) relay.core.tick()
      await this.quiesce()
    }
  }

  override async stop(): Promise<void> {
    for (const wire of [...this.mailWires]) this.cutMail(wire)
    for (const device of this.mailDevices) if (device.alive) await device.mail.stop()
    await super.stop()
  }
}

export const hexOf = (device: SimDevice) => toHex(device.ed)
