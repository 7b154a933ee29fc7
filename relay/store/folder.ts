/**
 * A relay's data folder: the database, and beside it the incarnation. Made for this user only, held by one
 * process.
 */
import { chmod, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import type { RelayError } from '../error.js'
import { type Database, isFull, VIEW } from './database.js'
import type { MarkFile } from './marks.js'

const DATABASE = 'mail'
const INCARNATION = 'incarnation'
const HOLDER = 'holder'

/** Measured 1.6 times as many deposits as with the default of 4 MB: fewer, longer merges. */
const WRITE_BUFFER_BYTES = 128 * 1024 * 1024

export interface RelayFolder {
  db: Database
  marks: MarkFile
  /** After the database has been closed. */
  release(): Promise<void>
}

/** Opens the folder's database, or says who holds it and what is wrong. */
export async function openRelayFolder(folder: string): Promise<RelayFolder | RelayError> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await chmod(folder, 0o700)
  } catch (error) {
    return notWritable(folder, error)
  }
  const db = new Level<Uint8Array, Uint8Array>(join(folder, DATABASE), {
    ...VIEW,
    writeBufferSize: WRITE_BUFFER_BYTES,
    // What is sealed doesn't get shorter.
    compression: false,
  }) as unknown as Database
  const holder = join(folder, HOLDER)
  try {
    await db.open()
    await writeFile(holder, String(process.pid), { mode: 0o600 })
  } catch (error) {
    await db.close().catch(() => {})
    return openError(folder, error)
  }
  return { db, marks: fileMarks(folder), release: () => rm(holder, { force: true }) }
}

async function openError(folder: string, error: unknown): Promise<RelayError> {
  const cause = (error as { cause?: { code?: string; message?: string } }).cause
  if (cause?.code === 'LEVEL_LOCKED') {
    const pid = await readFile(join(folder, HOLDER), 'utf8').catch(() => '?')
    return { code: 'in-use', sentence: `A relay already runs on ${folder} (process ${pid}).` }
  }
  const text = `${cause?.message ?? error}`
  if (/permission denied|read-only|EACCES|EROFS|EPERM/i.test(text)) return notWritable(folder, error)
  if (isFull(error)) return diskFull(folder)
  const sentence = `The mail in ${folder} can't be opened: ${text} Restore a backup, or move ${DATABASE} away: devices then offer their mail again.`
  return { code: 'store-damaged', sentence }
}

export function diskFull(folder: string): RelayError {
  return { code: 'disk-full', sentence: `The disk of ${folder} is full: make room and start again.` }
}

function notWritable(folder: string, error: unknown): RelayError {
  if (isFull(error)) return diskFull(folder)
  const sentence = `The folder ${folder} can't be written. Choose another with --data, or change its permissions.`
  return { code: 'not-writable', sentence }
}

/** The incarnation's file. A restored copy is another inode, or has at least been changed at another time. */
export function fileMarks(folder: string): MarkFile {
  const path = join(folder, INCARNATION)
  return {
    read: () =>
      readFile(path).then(
        (bytes) => Uint8Array.from(bytes),
        () => undefined,
      ),
    write: (bytes) => writeWhole(path, bytes),
    async stamp() {
      const { ino, ctimeNs } = await stat(path, { bigint: true })
      return `${ino} ${ctimeNs}`
    },
  }
}

/** A file of this user's that is there whole or not at all, also after a power cut. */
export async function writeWhole(path: string, content: Uint8Array | string): Promise<void> {
  const part = `${path}.new`
  const file = await open(part, 'w', 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(part, path)
  const parent = await open(join(path, '..'), 'r')
  try {
    await parent.sync()
  } finally {
    await parent.close()
  }
}
