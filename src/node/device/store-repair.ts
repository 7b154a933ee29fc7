/**
 * What becomes of a store whose files have rotted. That it is in doubt is written down first, in a file beside it, and
 * stays so until everything was put in order: whatever can still be read is copied into a fresh store, which takes the
 * old one's place. What the rows then claim is `src/store/distrust.ts`.
 */
import { open, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import type { Database } from '../../store/sealed-db.js'

const STORE = 'store'
/** Being written. */
const COPY = 'store.copy'
/** The damaged one, from when the copy is whole until it stands in its place. */
const OLD = 'store.old'
/** Holds nothing: whoever has it open is the only one that puts stores in order here. It goes with its process. */
const GUARD = 'repair-guard'
const DOUBT_FILE = 'store-in-doubt'
const BYTES_AT_ONCE = 1024 * 1024
const RAW = { keyEncoding: 'view', valueEncoding: 'view' } as const
/** There is no such row: to delete it is a batch that changes nothing. */
const LAST_KEY = Uint8Array.of(0x7a)

/** What `level` is on Node, and its types don't tell. */
interface LevelDb {
  repair(location: string): Promise<void>
  destroy(location: string): Promise<void>
}

/** `files`: they are to be copied first; `rows`: that is done, or wasn't needed. */
export type Doubt = 'files' | 'rows'

export async function readDoubt(folder: string): Promise<Doubt | undefined> {
  const text = await readFile(join(folder, DOUBT_FILE), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  return text.trim() === 'rows' ? 'rows' : 'files'
}

/** Durable when it returns. */
export async function markDoubt(folder: string, doubt: Doubt): Promise<void> {
  const path = join(folder, DOUBT_FILE)
  const file = await open(`${path}.new`, 'w', 0o600)
  try {
    await file.writeFile(`${doubt}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.new`, path)
  await syncFolder(folder)
}

export async function endDoubt(folder: string): Promise<void> {
  await rm(join(folder, DOUBT_FILE), { force: true })
}

/** The disk itself refuses: what was to be stored isn't. */
export const isDiskError = (error: unknown): boolean =>
  /^(EIO|ENOSPC|EDQUOT)$/.test((error as NodeJS.ErrnoException).code ?? '')

/** The names in a folder are on the disk, else it throws; where folders can't be flushed, the system sees to it. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined)
  try {
    await handle?.sync()
  } catch (error) {
    if (isDiskError(error)) throw error
  } finally {
    await handle?.close()
  }
}

const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )

/**
 * Alone with the folder's stores. While somebody else is, it throws what a locked store throws: a second start would
 * remove the copy that the first one is making, and the first one the store that it is a copy of.
 */
export async function alone<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const path = join(folder, GUARD)
  const guard = new Level(path)
  try {
    await guard.open()
  } catch (error) {
    if (isLocked(error)) throw error
    // It may have rotted as well.
    await (Level as unknown as LevelDb).destroy(path)
    await guard.open()
  }
  try {
    return await work()
  } finally {
    await guard.close()
  }
}

/** Ends a change of places that was interrupted. */
export async function settlePlaces(folder: string): Promise<void> {
  if (await isThere(join(folder, OLD))) await alone(folder, () => endChange(folder))
}

async function endChange(folder: string): Promise<void> {
  const [store, copy, old] = [STORE, COPY, OLD].map((name) => join(folder, name)) as [string, string, string]
  // Without a copy the damaged one is all there is.
  if (!(await isThere(store))) await rename((await isThere(copy)) ? copy : old, store)
  await syncFolder(folder)
  await rm(old, { recursive: true, force: true })
}

/** Copies what can be read into a fresh store, in the place of the old one; only `alone`. Throws what opening throws. */
export async function copyReadable(folder: string): Promise<void> {
  const store = join(folder, STORE)
  const copy = join(folder, COPY)
  await rm(copy, { recursive: true, force: true })
  const from = await openAnyhow(store)
  const to = new Level<Uint8Array, Uint8Array>(copy, { ...RAW, compression: false })
  try {
    await to.open()
    await copyRows(from, to as unknown as Database)
  } finally {
    await to.close()
    await from.close()
  }
  await rename(store, join(folder, OLD))
  await rename(copy, store)
  await endChange(folder)
}

const isLocked = (error: unknown) => (error as { cause?: { code?: string } }).cause?.code === 'LEVEL_LOCKED'

/** LevelDB's own repair makes a new table of contents from what tables and logs it can read. */
async function openAnyhow(store: string): Promise<Database> {
  const db = () =>
    new Level<Uint8Array, Uint8Array>(store, { ...RAW, compression: false, createIfMissing: false })
  const first = db()
  try {
    await first.open()
    return first as unknown as Database
  } catch (error) {
    if (isLocked(error)) throw error
  }
  await (Level as unknown as LevelDb).repair(store)
  const second = db()
  await second.open()
  return second as unknown as Database
}

/** Every row that can be read. Bytes that make no sense are passed over; a disk that fails is another matter. */
async function copyRows(from: Database, to: Database): Promise<void> {
  let batch: { type: 'put'; key: Uint8Array; value: Uint8Array }[] = []
  let bytes = 0
  // One row at a time: what was read ahead would be lost with what can't be read behind it.
  const iterator = from.iterator({ ...RAW, highWaterMarkBytes: 0 } as object)
  try {
    for (let entry = await nextEntry(iterator); entry; entry = await nextEntry(iterator)) {
      const [key, value] = entry
      batch.push({ type: 'put', key, value })
      bytes += key.length + value.length
      if (bytes < BYTES_AT_ONCE) continue
      await to.batch(batch, RAW)
      batch = []
      bytes = 0
    }
  } finally {
    await iterator.close()
  }
  // A flushed batch carries everything before it to the disk.
  await to.batch([...batch, { type: 'del', key: LAST_KEY }], { ...RAW, sync: true } as object)
}

async function nextEntry(iterator: {
  next(): Promise<unknown>
}): Promise<[Uint8Array, Uint8Array] | undefined> {
  try {
    const entry = (await iterator.next()) as [Uint8Array, Uint8Array] | undefined
    return entry && [Uint8Array.from(entry[0]), Uint8Array.from(entry[1])]
  } catch (error) {
    if ((error as { code?: string }).code === 'LEVEL_CORRUPTION') return undefined
    throw error
  }
}
