/** Devices of one practice over the database under test, and the ways in which they give each other things. */
import * as Y from 'yjs'
import { createUpdate } from '../../../src/cases/create.js'
import { contentText } from '../../../src/cases/project.js'
import { nodeNatives } from '../../../src/node/natives.js'
import { toHex } from '../../../src/protocol/bytes.js'
import { KIND_TOMBSTONE, KIND_UPDATE } from '../../../src/protocol/log.js'
import { stretchesOf } from '../../../src/protocol/transfer.js'
import { decodeParts, docOf } from '../../../src/store/case-content.js'
import { keys } from '../../../src/store/keyspace.js'
import { openStates, readChecks } from '../../../src/store/outgoing.js'
import { casesFrom, readChanges, readItems } from '../../../src/store/reading.js'
import { type LocalChange, Replica, type ReplicaOptions } from '../../../src/store/replica.js'
import { type Database, SealedDb } from '../../../src/store/sealed-db.js'
import { Statements } from '../../../src/store/statements.js'
import { IncomingTransfer } from '../../../src/store/transfers.js'
import { type Keys, makeKeys } from '../../support/logs.js'
import { type Random, seeded } from '../../support/random.js'

export type CreateDb = () => Database | Promise<Database>

export interface SuiteOptions {
  /** Portable natives take minutes for what shows nothing about a database: that is made smaller, or left out. */
  isSlow?: boolean
}

export const RAW = { keyEncoding: 'view', valueEncoding: 'view' } as const

export class Bench {
  readonly random: Random
  readonly practice: Uint8Array
  readonly indexKey: Uint8Array
  readonly members = new Set<string>()
  private readonly devices: Device[] = []

  constructor(
    private readonly createDb: CreateDb,
    seed: number,
  ) {
    this.random = seeded(seed)
    this.practice = this.random.bytes(32)
    this.indexKey = this.random.bytes(32)
  }

  /** Keys of a member without a store here. */
  member(): Keys {
    const made = makeKeys(this.random)
    this.members.add(toHex(made.ed))
    return made
  }

  async device(given: Partial<ReplicaOptions> = {}): Promise<Device> {
    const device = new Device(this, this.member(), await this.createDb(), this.random.bytes(32), given)
    this.devices.push(device)
    await device.open()
    return device
  }

  async stop(): Promise<void> {
    for (const { db } of this.devices.splice(0)) await db.close()
  }
}

export class Device {
  replica!: Replica
  statements!: Statements
  sealed!: SealedDb

  constructor(
    readonly bench: Bench,
    readonly keys: Keys,
    readonly db: Database,
    readonly dataKey: Uint8Array,
    private readonly given: Partial<ReplicaOptions>,
  ) {}

  async open(given: Partial<ReplicaOptions> = {}): Promise<void> {
    const { bench } = this
    const random = (length: number) => bench.random.bytes(length)
    this.sealed = new SealedDb({ db: this.db, natives: nodeNatives, dataKey: this.dataKey, random })
    this.replica = await Replica.open({
      db: this.sealed,
      natives: nodeNatives,
      random,
      now: () => 1_700_000_000_000,
      newClientId: () => bench.random.int(1, 2 ** 48),
      practice: bench.practice,
      indexKey: bench.indexKey,
      device: this.keys,
      isMember: (ed) => bench.members.has(toHex(ed)),
      hasOthers: () => true,
      binding: 'machine',
      ...this.given,
      ...given,
    })
    this.statements = new Statements(this.replica)
    await this.statements.load()
  }

  /** Stops and starts again; `clean` or as after a power cut that lost nothing. */
  async reopen(clean = true, given: Partial<ReplicaOptions> = {}): Promise<void> {
    if (clean) await this.replica.close()
    await this.db.close()
    await this.db.open()
    await this.open(given)
  }

  key(caseId: string): Uint8Array {
    return this.replica.keyOf(caseId)
  }

  async add(...changes: LocalChange[]): Promise<void> {
    const outcome = await this.replica.append(changes)
    if (!outcome.ok) throw new Error(outcome.code)
  }

  create(...ids: string[]): Promise<void> {
    return this.add(...ids.map((id) => update(id, caseUpdate(id))))
  }

  async type(caseId: string, text: string): Promise<void> {
    const { outcome } = await this.replica.docs.edit(caseId, (doc) => doc.getText('t').insert(0, text))
    if (!outcome.ok) throw new Error(outcome.code)
  }

  erase(caseId: string, generation = 0): Promise<void> {
    return this.add({ caseId, kind: KIND_TOMBSTONE, update: new Uint8Array(0), generation })
  }

  /** Held logs: log → last sequence. */
  frontier(): Map<string, number> {
    return new Map([...this.replica.logs.all()].map(({ log, seq }) => [log, seq]))
  }

  get log(): string {
    return this.replica.currentLog!
  }

  seq(log = this.log): number {
    return this.replica.logs.get(log)?.seq ?? 0
  }

  /** Gives another device the changes that it lacks, as a session would. */
  async giveTo(other: Device): Promise<void> {
    for (let done = false; !done; ) {
      const from = new Map([...this.frontier().keys()].map((log) => [log, other.seq(log)]))
      const read = await readChanges(this.replica, from, 64 * 1024)
      if (read.pruned.length > 0) throw new Error('no longer retained')
      const outcome = await other.replica.admit(read.openings, read.runs, this.keys.ed)
      if (outcome.gaps.length + outcome.forks.length + outcome.refused.length > 0)
        throw new Error(JSON.stringify(outcome))
      done = read.done
    }
  }

  /** Begins a transfer to another device, and gives all checks of what it targets. */
  async begin(
    other: Device,
    opened: Pick<Awaited<ReturnType<typeof openStates>>, 'target' | 'openings'>,
    after?: Uint8Array,
  ): Promise<IncomingTransfer> {
    const { target, openings } = opened
    const incoming = await IncomingTransfer.begin(other.replica, target, openings, after)
    for (const ranges of stretchesOf(target))
      await incoming.takeChecks(await readChecks(this.replica, ranges))
    return incoming
  }

  /** Starts giving whole states; `steps` pieces are taken, all of them and the end if it isn't given. */
  async transferTo(
    other: Device,
    steps = Number.POSITIVE_INFINITY,
    pieceBytes = 1,
  ): Promise<string[] | undefined> {
    const frontier = other.frontier()
    const incoming = await this.begin(other, await openStates(this.replica, frontier))
    for (let step = 0, after = incoming.cursor; step < steps; step++) {
      const read = await readItems(this.replica, after, frontier, pieceBytes)
      await incoming.take(read.items, false)
      after = read.after
      if (read.done) return incoming.end([])
    }
    return undefined
  }

  /** Raw keys as stored, those of one kind if a letter is given. */
  async rawKeys(letter?: string): Promise<Uint8Array[]> {
    const all = (await this.db.keys(RAW).all()) as Uint8Array[]
    return all.filter((key) => !letter || key[0] === letter.charCodeAt(0)).map((key) => Uint8Array.from(key))
  }

  rawGet(key: Uint8Array): Promise<Uint8Array> {
    return this.db.get(key, RAW) as Promise<Uint8Array>
  }

  rawPut(key: Uint8Array, value: Uint8Array): Promise<void> {
    return this.db.put(key, value, RAW)
  }

  async rawDelete(key: Uint8Array): Promise<void> {
    await this.db.del(key, RAW)
  }

  /** Flips one bit of a stored value. */
  async damage(key: Uint8Array, bit = 300): Promise<void> {
    const value = await this.rawGet(key)
    await this.rawPut(key, flipBit(value, bit % (value.length * 8)))
  }

  /** All that is seen of every case's content, from its stored bytes. */
  async contents(): Promise<Record<string, unknown>> {
    const found: Record<string, unknown> = {}
    for await (const state of casesFrom(this.replica, new Uint8Array(0))) {
      const parts = await this.sealed.getMany(state.parts.map(({ number }) => keys.part(state.key, number)))
      const doc = docOf(decodeParts(nodeNatives, parts as Uint8Array[], state.unchecked))
      const { generation, erased, parked } = state
      found[state.caseId] = {
        content: contentText(doc),
        text: doc.getText('t').toString(),
        generation,
        erased,
        parked: parked.length,
      }
      doc.destroy()
    }
    return found
  }

  /** Everything that must be the same after closing and opening again. */
  async held(): Promise<unknown> {
    const { meta } = this.replica
    const cases: unknown[] = []
    for await (const { key, ...state } of casesFrom(this.replica, new Uint8Array(0)))
      cases.push({ key: toHex(key), ...state })
    return {
      logs: [...this.replica.logs.all()].sort((a, b) => (a.log < b.log ? -1 : 1)),
      digest: this.replica.digest(),
      cases,
      counts: { total: meta.total, archived: meta.archived, deleted: meta.deleted },
      unclaimed: meta.unclaimed,
      currentLog: meta.currentLog,
      contents: await this.contents(),
    }
  }
}

export function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  return Uint8Array.from(bytes, (byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
}

export const update = (caseId: string, bytes: Uint8Array): LocalChange => ({
  caseId,
  kind: KIND_UPDATE,
  update: bytes,
})

/** A case with a name and some notes. */
export function caseUpdate(id: string, archived = false): Uint8Array {
  const json = {
    id,
    archived,
    patient: { firstName: 'Łucja', lastName: `Nowak ${id}` },
    consultations: [
      { id: 'c0', date: '2024-01-02', kind: 'first', text: `${id}: ból głowy od rana. `.repeat(12) },
    ],
  }
  return createUpdate(json, nodeNatives.sha256)
}

/** One update for each letter typed one after the other, by one client. */
export function keystrokes(client: number, letters: string, known?: Uint8Array): Uint8Array[] {
  const doc = Object.assign(new Y.Doc(), { clientID: client })
  if (known) Y.applyUpdate(doc, known)
  const updates: Uint8Array[] = []
  doc.on('update', (each: Uint8Array) => updates.push(each))
  const text = doc.getText('t')
  for (const letter of letters) text.insert(text.length, letter)
  doc.destroy()
  return updates
}
