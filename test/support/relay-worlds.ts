/** The databases that a relay's store runs on, with disks that refuse, copies that come back and bits that flip. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import { type Database, VIEW } from '../../relay/store/database.js'
import { fileMarks } from '../../relay/store/folder.js'
import { openLevelStore } from '../../relay/store/level-store.js'
import type { MailStore } from '../../relay/store/mail-store.js'
import type { MarkFile } from '../../relay/store/marks.js'
import { nodeNatives } from '../../src/node/natives.js'
import type { CreateWorld, StoreWorld } from '../suites/mailbox/bench.js'
import { seeded } from './random.js'
import { memoryMarks, memoryRelayDb } from './relay.js'

interface Disk {
  open(): Database
  marks: MarkFile
  backup(): Promise<{ database(): Promise<void>; all(): Promise<void> }>
  remove(): void
}

class World implements StoreWorld {
  store!: MailStore
  lines: string[] = []
  private db!: Database
  private failure: Error | undefined
  private readonly random = seeded(99)

  constructor(private readonly disk: Disk) {}

  async open(): Promise<this> {
    this.db = this.withFailures(this.disk.open())
    this.store = await openLevelStore({
      db: this.db,
      marks: this.disk.marks,
      natives: nodeNatives,
      random: (length) => this.random.bytes(length),
      log: (line) => this.lines.push(line),
    })
    return this
  }

  /** As LevelDB: after one failed write all others fail until it is opened anew, and then a failed one may be there. */
  private withFailures(db: Database): Database {
    const batch = db.batch.bind(db) as (operations: unknown, options: unknown) => Promise<void>
    let isStuck = false
    db.on('open', () => {
      isStuck = false
    })
    return Object.assign(db, {
      batch: async (operations: unknown, options: unknown) => {
        if (this.failure) isStuck = true
        if (isStuck) throw this.failure ?? new Error('IO error: a write failed before')
        return batch(operations, options)
      },
    }) as Database
  }

  async reopen(): Promise<MailStore> {
    await this.store.close()
    await this.open()
    return this.store
  }

  async backup() {
    await this.store.close()
    const copy = await this.disk.backup()
    await this.open()
    const restore = async (bring: () => Promise<void>) => {
      await this.store.close()
      await bring()
      await this.open()
      return this.store
    }
    return { restoreDatabase: () => restore(copy.database), restoreAll: () => restore(copy.all) }
  }

  break(error: Error): void {
    this.failure = error
  }

  mend(): void {
    this.failure = undefined
  }

  async damage(letter: string, change: 'flip' | 'remove'): Promise<boolean> {
    const key = (await this.keys()).find((each) => each[0] === letter.charCodeAt(0))
    if (!key) return false
    const value = (await this.db.get(key, VIEW)) as Uint8Array
    const flipped = value.map((byte, at) => (at === value.length >> 1 ? byte ^ 4 : byte))
    if (change === 'flip') await this.db.put(key, flipped, VIEW)
    else await this.db.del(key, VIEW)
    return true
  }

  async keys(): Promise<Uint8Array[]> {
    const keys = (await this.db.keys({ keyEncoding: 'view' }).all()) as Uint8Array[]
    return keys.map((key) => Uint8Array.from(key))
  }

  async close(): Promise<void> {
    await this.store.close()
    this.disk.remove()
  }
}

export const memoryWorld: CreateWorld = () => {
  let db = memoryRelayDb()
  const marks = memoryMarks()
  const rows = async () => (await db.iterator(VIEW).all()) as [Uint8Array, Uint8Array][]
  return new World({
    open: () => db,
    marks,
    async backup() {
      await db.open()
      const [copied, content] = [await rows(), marks.content]
      const database = async () => {
        db = memoryRelayDb()
        await db.open()
        for (const [key, value] of copied) await db.put(key, value, VIEW)
      }
      const all = async () => {
        await database()
        await marks.write(content!)
      }
      return { database, all }
    },
    remove() {},
  }).open()
}

export const classicWorld: CreateWorld = () => {
  const root = mkdtempSync(join(tmpdir(), 'kartoteka-relay-'))
  const folder = join(root, 'data')
  const options = { ...VIEW, compression: false }
  return new World({
    open: () => new Level<Uint8Array, Uint8Array>(join(folder, 'mail'), options) as unknown as Database,
    marks: fileMarks(folder),
    async backup() {
      const copy = join(root, 'copy')
      cpSync(folder, copy, { recursive: true, preserveTimestamps: true })
      const bring = (from: string, to: string) => {
        rmSync(to, { recursive: true })
        cpSync(from, to, { recursive: true, preserveTimestamps: true })
      }
      return {
        database: async () => bring(join(copy, 'mail'), join(folder, 'mail')),
        all: async () => bring(copy, folder),
      }
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  }).open()
}
