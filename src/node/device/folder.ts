/** The data folder: made for this user only, held by one process, and known again if it was copied. */
import { createHash } from 'node:crypto'
import { chmod, mkdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import type { Database } from '../../store/sealed-db.js'
import { Refused } from '../api.js'
import { FileNotepad } from './notepad.js'

/** Sequential writes are cheap; a larger buffer means fewer compactions during a first sync. */
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024
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
  /** Merges what is stored between two keys. */
  compact(from: Uint8Array, to: Uint8Array): Promise<void>
  close(): Promise<void>
}

/** Opens the folder's store, or says who holds it and what is wrong. */
export async function openFolder(folder: string): Promise<OpenFolder> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await chmod(folder, 0o700)
  } catch {
    throw notWritable(folder)
  }
  const isNew = !(await exists(join(folder, 'store', 'CURRENT')))
  const db = new Level<Uint8Array, Uint8Array>(join(folder, 'store'), {
    keyEncoding: 'view',
    valueEncoding: 'view',
    writeBufferSize: WRITE_BUFFER_BYTES,
    compression: false,
  })
  try {
    await db.open()
  } catch (error) {
    throw await openRefusal(folder, error)
  }
  const notepad = new FileNotepad(join(folder, 'jottings'))
  const holder = join(folder, HOLDER_FILE)
  await writeFile(holder, String(process.pid), { mode: 0o600 })
  return {
    db: db as unknown as Database,
    isNew,
    notepad,
    binding: await bindingOf(folder),
    compact: (from, to) => (db as unknown as LevelDb).compactRange(from, to, { keyEncoding: 'view' }),
    async close() {
      notepad.close()
      await rm(holder, { force: true })
      await db.close()
    },
  }
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )

async function openRefusal(folder: string, error: unknown): Promise<Refused> {
  const cause = (error as { cause?: { code?: string; message?: string } }).cause
  if (cause?.code === 'LEVEL_LOCKED') {
    const pid = await readFile(join(folder, HOLDER_FILE), 'utf8').catch(() => '?')
    return new Refused(
      'in-use',
      `These cases are already open (process ${pid}). Use that window or close it.`,
    )
  }
  const text = `${cause?.message ?? error}`
  if (/permission denied|read-only|EACCES|EROFS|EPERM/i.test(text)) return notWritable(folder)
  if (/No space left|ENOSPC/i.test(text)) {
    return new Refused('disk-full', 'The disk is full. Everything so far is safe; editing is paused.')
  }
  return new Refused('store-damaged', `The store in ${folder} can't be opened: ${text}`)
}

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
