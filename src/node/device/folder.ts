/** The data folder: made for this user only, held by one process, and known again if it was copied. */
import { createHash } from 'node:crypto'
import { chmod, mkdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import type { Database } from '../../store/sealed-db.js'
import { Refused } from '../api.js'
import { FileNotepad } from './notepad.js'
import { droppedAtStart, hasHole, hasStoreFiles, readLogs } from './store-files.js'
import {
  alone,
  copyReadable,
  type Doubt,
  endDoubt,
  isDiskError,
  markDoubt,
  readDoubt,
  settlePlaces,
  syncFolder,
} from './store-repair.js'

/**
 * LevelDB holds two such buffers, and maps its tables into memory: all that are open, and while it compacts what
 * four buffers became, with what they are merged into. So both are small, and of the tables the fewest are open that
 * it allows, 64 beside other files.
 */
const WRITE_BUFFER_BYTES = 5 * 1024 * 1024
const TABLE_BYTES = 1024 * 1024
const OPEN_FILES = 74
const STORE = 'store'
const HOLDER_FILE = 'holder'

/** What `level` is on Node, and its types don't tell. */
interface LevelDb {
  compactRange(from: Uint8Array, to: Uint8Array, options: { keyEncoding: 'view' }): Promise<void>
}

export interface OpenFolder {
  db: Database
  /** There was no store here before: whatever else is missing may be made. */
  isNew: boolean
  /** Says which machine, path and inode this is: a copy has another one. */
  binding: string
  notepad: FileNotepad
  /** Rows may be missing: nothing that the store claims may be believed until `endDoubt`. */
  isInDoubt: boolean
  /** Files under the store have rotted: the next start puts it in order. */
  doubtAtNextStart(): Promise<void>
  /** Everything was put in order, durably. */
  endDoubt(): Promise<void>
  /** Merges what is stored between two keys. */
  compact(from: Uint8Array, to: Uint8Array): Promise<void>
  /** Looks at a key, whatever is there. */
  glance(key: Uint8Array): void
  close(): Promise<void>
}

/** Opens the folder's store, or says who holds it and what is wrong. */
export async function openFolder(folder: string): Promise<OpenFolder> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await chmod(folder, 0o700)
  } catch (error) {
    throw isDiskError(error) ? await openRefusal(folder, error) : notWritable(folder)
  }
  const holder = join(folder, HOLDER_FILE)
  let db: Database | undefined
  try {
    const wasStopped = !(await exists(holder))
    const { isNew, doubt } = await lookBefore(folder, wasStopped)
    const opening = await openOrRepair(folder, doubt)
    db = opening.db
    // After a clean stop nothing is missing at the end of a log, either.
    const hasLost = wasStopped && !doubt && (await droppedAtStart(join(folder, STORE)))
    const isInDoubt = opening.isRepaired || hasLost || doubt !== undefined
    if (opening.isRepaired || hasLost) await markDoubt(folder, 'rows')
    await writeFile(holder, String(process.pid), { mode: 0o600 })
    // What is new here is found again after a power cut.
    if (isNew) await syncFolder(folder)
    return await opened(folder, db, { isNew: isNew || (await isEmpty(db)), isInDoubt })
  } catch (error) {
    await db?.close()
    throw await openRefusal(folder, error)
  }
}

/** What the files say before LevelDB has them: it would pass over what it can't read, and remove it. */
async function lookBefore(
  folder: string,
  wasStopped: boolean,
): Promise<{ isNew: boolean; doubt: Doubt | undefined }> {
  const store = join(folder, STORE)
  await settlePlaces(folder)
  // In this order: another start may be making the store at this moment, and its CURRENT is the last of its files.
  const hasFiles = await hasStoreFiles(store)
  const hasCurrent = await exists(join(store, 'CURRENT'))
  const isNew = !hasCurrent && !hasFiles
  const doubt = await readDoubt(folder)
  if (doubt || isNew) return { isNew, doubt }
  // It would make an empty store in the place of one that has lost its first file.
  const isRotten = !hasCurrent || (wasStopped ? await readLogs(store) : await hasHole(store))
  if (isRotten) await markDoubt(folder, 'files')
  return { isNew, doubt: isRotten ? 'files' : undefined }
}

async function openOrRepair(
  folder: string,
  doubt: Doubt | undefined,
): Promise<{ db: Database; isRepaired: boolean }> {
  const store = join(folder, STORE)
  if (doubt !== 'files') {
    try {
      return { db: await openStore(store), isRepaired: false }
    } catch (error) {
      if (!isCorruption(error)) throw error
      await markDoubt(folder, 'files')
    }
  }
  return alone(folder, async () => {
    await copyReadable(folder)
    return { db: await openStore(store), isRepaired: true }
  })
}

async function opened(
  folder: string,
  db: Database,
  found: Pick<OpenFolder, 'isNew' | 'isInDoubt'>,
): Promise<OpenFolder> {
  const notepad = new FileNotepad(join(folder, 'jottings'))
  return {
    ...found,
    db,
    notepad,
    binding: await bindingOf(folder),
    doubtAtNextStart: () => markDoubt(folder, 'files'),
    endDoubt: () => endDoubt(folder),
    compact: (from, to) => (db as unknown as LevelDb).compactRange(from, to, { keyEncoding: 'view' }),
    glance: (key) => void db.get(key).catch(() => {}),
    async close() {
      notepad.close()
      await rm(join(folder, HOLDER_FILE), { force: true })
      await db.close()
    },
  }
}

/** A first start that was broken off has left nothing that keys could be missed for. */
async function isEmpty(db: Database): Promise<boolean> {
  return (await db.keys({ limit: 1, keyEncoding: 'view' }).all()).length === 0
}

async function openStore(store: string): Promise<Database> {
  const db = new Level<Uint8Array, Uint8Array>(store, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    writeBufferSize: WRITE_BUFFER_BYTES,
    maxFileSize: TABLE_BYTES,
    maxOpenFiles: OPEN_FILES,
    compression: false,
  })
  await db.open()
  return db as unknown as Database
}

/** LevelDB can't make sense of its files, or misses one of them. */
function isCorruption(error: unknown): boolean {
  const cause = causeOf(error)
  return cause?.code === 'LEVEL_CORRUPTION' || /No such file/.test(cause?.message ?? '')
}

const causeOf = (error: unknown) => (error as { cause?: { code?: string; message?: string } }).cause

/** Throws where the disk doesn't tell. */
const exists = (path: string) =>
  stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false
      throw error
    },
  )

async function openRefusal(folder: string, error: unknown): Promise<Refused> {
  const cause = causeOf(error)
  if (cause?.code === 'LEVEL_LOCKED') {
    const pid = await readFile(join(folder, HOLDER_FILE), 'utf8').catch(() => '?')
    return new Refused(
      'in-use',
      `These cases are already open (process ${pid}). Use that window or close it.`,
    )
  }
  if (error instanceof Refused) return error
  const text = `${cause?.message ?? error}`
  if (/permission denied|read-only|EACCES|EROFS|EPERM/i.test(text)) return notWritable(folder)
  if (/No space left|ENOSPC/i.test(text)) {
    return new Refused('disk-full', 'The disk is full. Everything so far is safe; editing is paused.')
  }
  if (/Input\/output error|EIO/i.test(text)) return diskFailed(folder)
  return new Refused('store-damaged', `The store in ${folder} can't be opened (${text}).`)
}

export const diskFailed = (folder: string) =>
  new Refused('disk-failed', `The disk under ${folder} fails. What is stored there is left as it is.`)

const notWritable = (folder: string) =>
  new Refused(
    'not-writable',
    `The folder ${folder} can't be written. Choose another with --data, or change its permissions.`,
  )

async function bindingOf(folder: string): Promise<string> {
  const machine = await readFile('/etc/machine-id', 'utf8').catch(() => hostname())
  const path = await realpath(folder)
  const { ino } = await stat(path)
  return createHash('sha256').update([machine.trim(), path, ino].join('\0')).digest('hex')
}
